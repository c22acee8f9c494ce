//! An existing pod: its resources, and the time for which it held them.

use super::node_track::GPU_RESOURCE;
use super::recorder::NodeUsage;
use cluster::pod::PodId;
use cluster::pod_template::PodSpec;
use engine::{SimDuration, SimTime};
use units::{Bytes, MilliCpu, Quantity, ResourceTime, Resources};

/// An existing pod.
#[derive(Clone, Debug)]
pub(super) struct PodTrack {
    pub(super) pod: PodId,
    pub(super) workload: usize,
    pub(super) is_bound: bool,
    pub(super) is_ready: bool,
    pub(super) restarts: u64,
    /// Its position among the pods that are paid for by themselves, while it is.
    pub(super) run: Option<usize>,
    /// Position of its node among all nodes of the run.
    node: Option<usize>,
    requests: Resources,
    has_ended: bool,
    settled_at: SimTime,
    cpu_time: SimDuration,
    /// Resources held on its node since the last booking, multiplied by time.
    unbooked: NodeUsage,
}

impl PodTrack {
    pub(super) fn new(pod: PodId, workload: usize, requests: Resources, now: SimTime) -> Self {
        Self {
            pod,
            workload,
            is_bound: false,
            is_ready: false,
            restarts: 0,
            run: None,
            node: None,
            requests,
            has_ended: false,
            settled_at: now,
            cpu_time: SimDuration::ZERO,
            unbooked: NodeUsage::default(),
        }
    }

    /// The pod is bound. Returns the time that it waited for its node, if it did.
    pub(super) fn bind(&mut self, now: SimTime, node: Option<usize>) -> Option<SimDuration> {
        let waited = now - self.settled_at;
        self.is_bound = true;
        self.node = node;
        self.settled_at = now;
        (waited > SimDuration::ZERO).then_some(waited)
    }

    /// Changes the resources reserved for it from now on.
    pub(super) fn resize(&mut self, now: SimTime, spec: &PodSpec) {
        self.settle(now, None);
        self.requests = requests_of(spec);
    }

    /// Its containers have ended for good: from now on it holds no resources, though its object remains.
    pub(super) fn end(&mut self, now: SimTime) {
        self.settle(now, None);
        self.requests = Resources::default();
        self.has_ended = true;
    }

    /// Accumulates the resources held on its node since the last call, and returns the CPU time that its
    /// application used since then; `cpu_time` is its CPU time since the pod was bound, if measured.
    pub(super) fn settle(&mut self, now: SimTime, cpu_time: Option<SimDuration>) -> SimDuration {
        if self.node.is_none() {
            return SimDuration::ZERO;
        }
        let span = now - self.settled_at;
        let requested = ResourceTime::held(self.requests, span);
        let bound = if self.has_ended { SimDuration::ZERO } else { span };
        self.settled_at = now;
        let total = cpu_time.unwrap_or(self.cpu_time);
        let cpu_time = total - std::mem::replace(&mut self.cpu_time, total);
        let used = ResourceTime {
            cpu_milli_ns: i128::from(cpu_time.as_nanos()) * 1000,
            ..ResourceTime::default()
        };
        self.unbooked += NodeUsage { requested, used, charged: requested.max(used), bound };
        cpu_time
    }

    /// Takes the accumulated resources not yet booked, with the node's position.
    pub(super) fn take_unbooked(&mut self) -> Option<(usize, NodeUsage)> {
        Some((self.node?, std::mem::take(&mut self.unbooked)))
    }
}

/// The pod's effective request while it runs, for which it is billed.
pub(super) fn requests_of(spec: &PodSpec) -> Resources {
    Resources {
        cpu: MilliCpu(spec.running_request("cpu", Quantity::milli_value)),
        memory: Bytes(spec.running_request("memory", Quantity::value)),
        gpus: spec.running_request(GPU_RESOURCE, Quantity::value),
    }
}
