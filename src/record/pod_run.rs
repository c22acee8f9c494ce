//! Pods that are paid for by themselves, and from when to when.

use cluster::Kind;
use cluster::ObjectReference;
use cluster::pod_resources::pod_requests;
use cluster::pod_template::PodSpec;
use engine::{SimDuration, SimTime};
use units::{Bytes, MilliCpu, Quantity};

/// A pod on a serverless node, from its binding to its end; a resized pod has one entry for each size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRun {
    /// Position of its workload.
    pub workload: usize,
    /// Position of its node.
    pub node: usize,
    /// Total CPU request of the pod, including init containers and overhead.
    pub cpu: MilliCpu,
    /// Memory, likewise.
    pub memory: Bytes,
    /// Ephemeral storage, likewise.
    pub storage: Bytes,
    /// Since when.
    pub from: SimTime,
    /// Its end; absent while it continues.
    pub until: Option<SimTime>,
}

impl PodRun {
    pub(super) fn new(workload: usize, node: usize, spec: &PodSpec, from: SimTime) -> Self {
        let requests = pod_requests(spec);
        let amount = |resource: &str| requests.get(resource);
        Self {
            workload,
            node,
            cpu: amount("cpu").map_or(MilliCpu(0), MilliCpu::from),
            memory: amount("memory").map_or(Bytes(0), Bytes::from),
            storage: Bytes(amount("ephemeral-storage").map_or(0, Quantity::value)),
            from,
            until: None,
        }
    }

    /// Its duration, up to `now`.
    pub fn lasted(&self, now: SimTime) -> SimDuration {
        self.until.unwrap_or(now) - self.from
    }
}

/// Pods of the system are not billed: Autopilot's price says so, and Fargate runs no DaemonSets.
pub(super) fn is_billed(workload: &ObjectReference) -> bool {
    !(workload.kind == Kind::DaemonSet && *workload.id.namespace == *"kube-system")
}
