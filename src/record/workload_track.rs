//! One workload over the run.

use super::time_weighted::TimeWeighted;
use crate::cluster::pod::Pod;
use crate::cluster::{ClusterView, NamespacedName};
use crate::engine::SimDuration;

/// Names a workload: what a user wrote, not what controllers made of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// `Deployment`, ...; `Pod` for pods without a controller, which count as one workload by
    /// namespace.
    pub kind: &'static str,
    /// Namespace and name; for bare pods the name is `*`.
    pub id: NamespacedName,
}

impl WorkloadKey {
    /// The workload that a pod belongs to.
    pub fn of(view: ClusterView<'_>, pod: &Pod) -> Self {
        if let Some(deployment) = view.deployment_of(pod)
            && let Some(deployment) = view.deployments().get(deployment)
        {
            return Self { kind: "Deployment", id: deployment.meta.id.clone() };
        }
        let id = NamespacedName::new(pod.id.namespace.clone(), "*");
        Self { kind: "Pod", id }
    }
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct WorkloadTrack {
    /// Its name.
    pub key: WorkloadKey,
    /// `spec.replicas`.
    pub desired: TimeWeighted,
    /// Ready pods that are not terminating.
    pub ready: TimeWeighted,
    /// Pods without a node.
    pub pending: TimeWeighted,
    /// How often an autoscaler changed `spec.replicas`.
    pub rescales: u64,
    /// Pods created.
    pub pods_created: u64,
    /// Container restarts.
    pub restarts: u64,
    /// CPU time used.
    pub cpu_time: SimDuration,
    /// `spec.replicas` at the end of each interval.
    pub desired_series: Vec<i64>,
    /// Ready pods at the end of each interval.
    pub ready_series: Vec<i64>,
    /// Pods without a node at the end of each interval.
    pub pending_series: Vec<i64>,
    /// CPU time used up to the end of each interval.
    pub cpu_time_series: Vec<SimDuration>,
    /// The metric that its HPA looked at last, percent of the target, at the end of each interval.
    pub percent_of_target_series: Vec<Option<f64>>,
    /// The same, now.
    pub percent_of_target: Option<f64>,
}

impl WorkloadTrack {
    /// A workload that appears after so many intervals: before that it had nothing.
    pub fn new(key: WorkloadKey, intervals: usize) -> Self {
        Self {
            key,
            desired: TimeWeighted::default(),
            ready: TimeWeighted::default(),
            pending: TimeWeighted::default(),
            rescales: 0,
            pods_created: 0,
            restarts: 0,
            cpu_time: SimDuration::ZERO,
            desired_series: vec![0; intervals],
            ready_series: vec![0; intervals],
            pending_series: vec![0; intervals],
            cpu_time_series: vec![SimDuration::ZERO; intervals],
            percent_of_target_series: vec![None; intervals],
            percent_of_target: None,
        }
    }

    /// Appends the state now to the series.
    pub(super) fn end_interval(&mut self, intervals: usize) {
        self.desired_series.push(self.desired.value());
        self.ready_series.push(self.ready.value());
        self.pending_series.push(self.pending.value());
        self.cpu_time_series.push(self.cpu_time);
        self.percent_of_target_series.push(self.percent_of_target);
        debug_assert_eq!(self.ready_series.len(), intervals, "series keep step with intervals");
    }
}
