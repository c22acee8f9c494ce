//! One workload over the run.

use super::batch_track::BatchTrack;
use super::steps::Steps;
use super::time_weighted::TimeWeighted;
use cluster::job::{Job, JobId};
use cluster::pod::Pod;
use cluster::{ClusterView, Kind, Labels, NamespacedName, ObjectId, ObjectReference};
use engine::SimDuration;

/// The workload that a pod belongs to: the object that the user wrote, not those that controllers
/// derived from it. Pods without a controller count as one workload per namespace, named `*`.
pub fn workload_of(view: ClusterView<'_>, pod: &Pod) -> ObjectReference {
    pod.owner.and_then(|owner| workload_behind(view, owner.into())).unwrap_or_else(|| {
        ObjectReference { kind: Kind::Pod, id: NamespacedName::new(pod.id.namespace.clone(), "*") }
    })
}

/// The root of the chain of owners, as far as they exist.
fn workload_behind(view: ClusterView<'_>, owned: ObjectId) -> Option<ObjectReference> {
    let mut object = owned;
    while let Some(owner) = view.owner_of(object).filter(|owner| view.name_of(*owner).is_some()) {
        object = owner;
    }
    Some(ObjectReference { kind: object.kind(), id: view.name_of(object)?.clone() })
}

/// The workload that a Job belongs to: its CronJob, or itself.
pub(super) fn workload_of_job(view: ClusterView<'_>, id: JobId, job: &Job) -> ObjectReference {
    let itself = || ObjectReference { kind: Kind::Job, id: job.meta.id.clone() };
    workload_behind(view, ObjectId::Job(id)).unwrap_or_else(itself)
}

/// A workload over the run: replicas, readiness, restarts and CPU.
#[derive(Clone, Debug)]
pub struct WorkloadTrack {
    /// Kind, namespace and name.
    pub workload: ObjectReference,
    /// Labels of the first of its pods.
    pub labels: Labels,
    /// The HPA or PodAutoscaler of Knative that scales it, if any.
    pub hpa: Option<NamespacedName>,
    /// Whether it is a PodAutoscaler.
    pub is_revision: bool,
    /// Desired pods: `spec.replicas`, nodes of a DaemonSet, active pods of Jobs.
    pub desired: Steps,
    /// Ready pods that are not terminating.
    pub ready: Steps,
    /// Pods without a node.
    pub pending: Steps,
    /// 1 while its HPA is limited by its maximum, else 0.
    pub capped: TimeWeighted,
    /// Number of changes of `spec.replicas` by an autoscaler.
    pub rescales: u64,
    /// Pods created for it, including replacements.
    pub pods_created: u64,
    /// Restarts of its pods' containers by the kubelet.
    pub restarts: u64,
    /// CPU time used by its pods' applications.
    pub cpu_time: SimDuration,
    /// Time in which a CPU limit kept requests in a pod from the CPU, summed over pods.
    pub throttled: SimDuration,
    /// `spec.replicas` at the end of each interval.
    pub desired_series: Vec<i64>,
    /// Ready pods at the end of each interval.
    pub ready_series: Vec<i64>,
    /// Pods without a node at the end of each interval.
    pub pending_series: Vec<i64>,
    /// CPU time used up to the end of each interval.
    pub cpu_time_series: Vec<SimDuration>,
    /// The metric last read by its HPA, percent of the target, at the end of each interval.
    pub percent_of_target_series: Vec<Option<f64>>,
    /// The current value of that metric.
    pub percent_of_target: Option<f64>,
    /// Why its pods that had no node at the end of the run had none, in the scheduler's words.
    pub waits_because: Option<String>,
    /// Outcomes of its Jobs, if it is a Job or CronJob.
    pub batch: Option<BatchTrack>,
}

impl WorkloadTrack {
    /// A workload that appears after `intervals` intervals; its series are zero before that.
    pub fn new(workload: ObjectReference, intervals: usize) -> Self {
        Self {
            workload,
            labels: Labels::default(),
            hpa: None,
            is_revision: false,
            desired: Steps::default(),
            ready: Steps::default(),
            pending: Steps::default(),
            capped: TimeWeighted::default(),
            rescales: 0,
            pods_created: 0,
            restarts: 0,
            cpu_time: SimDuration::ZERO,
            throttled: SimDuration::ZERO,
            desired_series: vec![0; intervals],
            ready_series: vec![0; intervals],
            pending_series: vec![0; intervals],
            cpu_time_series: vec![SimDuration::ZERO; intervals],
            percent_of_target_series: vec![None; intervals],
            percent_of_target: None,
            waits_because: None,
            batch: None,
        }
    }

    /// Appends the current state to the series.
    pub(super) fn end_interval(&mut self, intervals: usize) {
        self.desired_series.push(self.desired.value());
        self.ready_series.push(self.ready.value());
        self.pending_series.push(self.pending.value());
        self.cpu_time_series.push(self.cpu_time);
        self.percent_of_target_series.push(self.percent_of_target);
        debug_assert_eq!(self.ready_series.len(), intervals, "series keep step with intervals");
    }
}
