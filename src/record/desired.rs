//! Follows the number of pods that objects ask for, and the outcomes of Jobs.

use super::batch_track::JobTrack;
use super::recorder::Recorder;
use super::workload_track::workload_of_job;
use cluster::change::Change;
use cluster::daemon_set::DaemonSetId;
use cluster::deployment::{DeploymentId, ReplicaSetId};
use cluster::job::JobId;
use cluster::stateful_set::StatefulSetId;
use cluster::{ClusterView, NamespacedName, ObjectReference};
use engine::SimTime;

/// An object whose spec asks for a number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanting {
    Deployment(DeploymentId),
    /// A ReplicaSet that no Deployment owns.
    ReplicaSet(ReplicaSetId),
    StatefulSet(StatefulSetId),
    DaemonSet(DaemonSetId),
    Job(JobId),
}

impl Recorder {
    /// Follows the number of pods that an object asks for.
    pub(super) fn wanting_changed(&mut self, view: ClusterView<'_>, change: Change) {
        let now = view.now;
        match change {
            Change::DeploymentSpec(id) => {
                let Some(one) = view.deployments().get(id) else { return };
                let position = self.named("Deployment", &one.meta.id);
                self.wants(now, Wanting::Deployment(id), position, one.spec.replicas);
            }
            Change::DeploymentRemoved(id) => self.wants_no_more(now, Wanting::Deployment(id)),
            Change::ReplicaSetSpec(id) => {
                let Some(one) = view.replica_sets().get(id) else { return };
                if one.owner.is_none() {
                    let position = self.named("ReplicaSet", &one.meta.id);
                    self.wants(now, Wanting::ReplicaSet(id), position, one.replicas);
                }
            }
            Change::ReplicaSetRemoved { replica_set, .. } => {
                self.wants_no_more(now, Wanting::ReplicaSet(replica_set));
            }
            Change::StatefulSetSpec(id) => {
                let Some(one) = view.stateful_sets().get(id) else { return };
                let position = self.named("StatefulSet", &one.meta.id);
                self.wants(now, Wanting::StatefulSet(id), position, one.spec.replicas);
            }
            Change::StatefulSetRemoved(id) => self.wants_no_more(now, Wanting::StatefulSet(id)),
            Change::DaemonSetSpec(id) | Change::DaemonSetStatus(id) => {
                let Some(one) = view.daemon_sets().get(id) else { return };
                let position = self.named("DaemonSet", &one.meta.id);
                let nodes = one.status.desired_number_scheduled;
                self.wants(now, Wanting::DaemonSet(id), position, nodes);
            }
            Change::DaemonSetRemoved(id) => self.wants_no_more(now, Wanting::DaemonSet(id)),
            Change::CronJobSpec(id) => {
                // From its start on it is a workload, even if no Job comes.
                let Some(one) = view.cron_jobs().get(id) else { return };
                let position = self.named("CronJob", &one.meta.id);
                self.workloads[position].batch.get_or_insert_default();
            }
            Change::JobSpec(id) | Change::JobStatus(id) => self.job_changed(view, id),
            Change::JobRemoved { job, .. } => {
                self.wants_no_more(now, Wanting::Job(job));
                if let Some(track) = self.jobs.remove(&job) {
                    let batch = self.workloads[track.workload].batch.get_or_insert_default();
                    batch.removed(now, track);
                }
            }
            _ => {}
        }
    }

    fn job_changed(&mut self, view: ClusterView<'_>, id: JobId) {
        let Some(job) = view.jobs().get(id) else { return };
        let position = match self.jobs.get(&id) {
            Some(track) => track.workload,
            None => self.position_of(workload_of_job(view, job)),
        };
        let batch = self.workloads[position].batch.get_or_insert_default();
        let track = self.jobs.entry(id).or_insert_with(|| {
            batch.created(view.now);
            JobTrack::new(position, view.now)
        });
        batch.changed(view.now, track, job);
        self.wants(view.now, Wanting::Job(id), position, job.status.active);
    }

    fn named(&mut self, kind: &str, id: &NamespacedName) -> usize {
        self.position_of(ObjectReference { kind: kind.into(), id: id.clone() })
    }

    fn wants(&mut self, now: SimTime, object: Wanting, position: usize, pods: i32) {
        let pods = i64::from(pods);
        let (_, before) = self.wanted.insert(object, (position, pods)).unwrap_or((position, 0));
        self.workloads[position].desired.add(now, pods - before);
    }

    fn wants_no_more(&mut self, now: SimTime, object: Wanting) {
        if let Some((position, pods)) = self.wanted.remove(&object) {
            self.workloads[position].desired.add(now, -pods);
        }
    }
}
