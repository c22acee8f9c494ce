//! One pod under fluid traffic: its inflow, its queue, and the work done.

use super::stretch::{self, FlowServer, Inflow, Phase};
use crate::backend::BackendState;
use engine::SimTime;

/// A pod that receives a flow.
#[derive(Clone, Debug)]
pub(super) struct FluidPod {
    /// Everything up to this time is processed.
    pub at: SimTime,
    pub state: BackendState,
    pub outlet: FlowServer,
    /// Position of its kind.
    pub kind: usize,
    /// Share of the requests that the application answers with an error, 0 to 1.
    pub error_rate: f64,
    /// CPU time of a request [s].
    pub cpu_seconds: f64,
    /// Queued requests.
    pub queue: f64,
    /// CPU time used since the pod started [s].
    pub cpu_used: f64,
    /// The flows that it receives a share of, with the queued part of each.
    pub parts: Vec<Part>,
}

/// A pod's share of one flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Position of the service.
    pub service: usize,
    /// Number of endpoints that share the flow; 0 = it receives no more of it.
    pub endpoints: usize,
    /// The number of endpoints before, while the endpoints of the service are being replaced.
    pub endpoints_before: usize,
    /// Queued requests of this flow.
    pub queued: f64,
}

impl FluidPod {
    /// Admits an inflow for some seconds, and reports its outcomes phase by phase.
    pub(super) fn serve(&mut self, inflow: Inflow, seconds: f64, mut tell: impl FnMut(f64, Phase)) {
        let before = self.queue;
        let mut queue = before;
        let mut served = 0.0;
        self.queue = stretch::pass(before, inflow, self.outlet, seconds, |phase| {
            served += phase.served;
            tell(queue, phase);
            queue = phase.queue;
        });
        self.cpu_used += served * self.cpu_seconds;
    }

    /// Utilization at this inflow without a queue.
    pub(super) fn utilization(&self, rate: f64) -> f64 {
        if self.outlet.capacity > 0.0 { (rate / self.outlet.capacity).min(1.0) } else { 1.0 }
    }
}
