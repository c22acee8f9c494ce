//! Follows the desired number of pods of objects, and the outcomes of Jobs.

use super::batch_track::JobTrack;
use super::recorder::Recorder;
use super::workload_track::workload_of_job;
use cluster::job::JobId;
use cluster::pod_autoscaler::PodAutoscalerId;
use cluster::scale::ScaleTarget;
use cluster::{Change, ClusterView, Kind, NamespacedName, ObjectId, ObjectReference};
use engine::SimTime;

impl Recorder {
    /// Records a change of an object that has a desired number of pods.
    pub(super) fn desired_changed(&mut self, view: ClusterView<'_>, change: &Change) {
        match *change {
            Change::Spec(ObjectId::PodAutoscaler(id), _) => self.revision_targeted(view, id),
            // The number of nodes that a DaemonSet covers and the active pods of a Job are in their
            // statuses.
            Change::Spec(object, _)
            | Change::Status(object @ (ObjectId::DaemonSet(_) | ObjectId::Job(_))) => {
                if let ObjectId::Job(job) = object {
                    self.job_changed(view, job);
                } else if let ObjectId::CronJob(_) | ObjectId::ScaledJob(_) = object {
                    // It counts as a workload from its creation, even if it never starts a Job.
                    if let Some(position) = self.named(view, object) {
                        self.workloads[position].batch.get_or_insert_default();
                    }
                } else if let Some(pods) = wanted_pods(view, object)
                    && let Some(position) = self.named(view, object)
                {
                    self.wants(view.now, object, position, pods);
                }
            }
            Change::Status(object @ ObjectId::ScaledJob(id)) => {
                let one = view.store().scaled_jobs().get(id);
                let is_capped = one.is_some_and(|one| one.status.is_at_maximum);
                if let Some(position) = self.named(view, object) {
                    self.workloads[position].capped.set(view.now, i64::from(is_capped));
                }
            }
            Change::Removed { object, .. } => {
                self.wants_no_more(view.now, object);
                if let ObjectId::Job(job) = object
                    && let Some(track) = self.jobs.remove(&job)
                {
                    let batch = self.workloads[track.workload].batch.get_or_insert_default();
                    batch.removed(view.now, track);
                }
            }
            _ => {}
        }
    }

    fn job_changed(&mut self, view: ClusterView<'_>, id: JobId) {
        let Some(job) = view.jobs().get(id) else { return };
        let position = match self.jobs.get(&id) {
            Some(track) => track.workload,
            None => self.position_of(workload_of_job(view, id, job)),
        };
        let batch = self.workloads[position].batch.get_or_insert_default();
        let track = self.jobs.entry(id).or_insert_with(|| {
            batch.created(view.now);
            JobTrack::new(position, view.now)
        });
        batch.changed(view.now, track, job);
        self.wants(view.now, ObjectId::Job(id), position, job.status.active);
    }

    fn named(&mut self, view: ClusterView<'_>, object: ObjectId) -> Option<usize> {
        let id = view.name_of(object)?.clone();
        Some(self.position_of(ObjectReference { kind: object.kind(), id }))
    }

    fn wants(&mut self, now: SimTime, object: ObjectId, position: usize, pods: i32) {
        let pods = i64::from(pods);
        let known = self.wanted.insert(object, (position, pods));
        let (_, before) = known.unwrap_or((position, 0));
        let workload = &mut self.workloads[position];
        workload.desired.add(now, pods - before);
        workload.rescales += u64::from(workload.is_revision && known.is_some() && pods != before);
    }

    /// Knative scales a workload, without an Event about it.
    fn revision_targeted(&mut self, view: ClusterView<'_>, id: PodAutoscalerId) {
        let Some(object) = view.store().pod_autoscalers().get(id) else { return };
        let namespace = object.meta.namespace().clone();
        let target = NamespacedName::new(namespace, object.spec.scale_target.clone());
        let position = self.position_of(ObjectReference { kind: Kind::Deployment, id: target });
        let workload = &mut self.workloads[position];
        (workload.hpa, workload.is_revision) = (Some(object.meta.id.clone()), true);
    }

    fn wants_no_more(&mut self, now: SimTime, object: ObjectId) {
        if let Some((position, pods)) = self.wanted.remove(&object) {
            self.workloads[position].desired.add(now, -pods);
        }
    }
}

/// The desired number of pods of an object; `None` if its kind has none, or if it has an owner.
fn wanted_pods(view: ClusterView<'_>, object: ObjectId) -> Option<i32> {
    if view.owner_of(object).is_some() {
        return None;
    }
    match object {
        ObjectId::DaemonSet(id) => {
            Some(view.daemon_sets().get(id)?.status.desired_number_scheduled)
        }
        other => Some(view.scale(ScaleTarget::of(other)?)?.spec_replicas),
    }
}
