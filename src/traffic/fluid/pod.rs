//! One pod under fluid traffic: what flows to it, what waits in it, what it has worked off.

use super::stretch::{self, Inflow, Outlet, Phase};
use crate::backend::BackendState;
use engine::SimTime;

/// A pod that takes a flow.
#[derive(Clone, Debug)]
pub(super) struct FluidPod {
    /// Up to here everything has happened.
    pub at: SimTime,
    pub state: BackendState,
    pub outlet: Outlet,
    /// Position of its kind.
    pub kind: usize,
    /// CPU time of a request [s].
    pub cpu_seconds: f64,
    /// Requests that wait.
    pub queue: f64,
    /// CPU time worked off since the pod came [s].
    pub cpu_used: f64,
    /// The flows of which it gets a share, and what of each waits in it.
    pub parts: Vec<Part>,
}

/// Share of one flow that a pod gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Position of the service.
    pub service: usize,
    /// One of so many endpoints that share the flow; 0 = it gets no more of it.
    pub endpoints: usize,
    /// Requests of it that wait.
    pub queued: f64,
}

impl FluidPod {
    /// Lets an inflow in for some seconds, and tells its outcomes phase by phase.
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

    /// How much it works at an inflow without a queue, as a share of all that it can.
    pub(super) fn utilization(&self, rate: f64) -> f64 {
        if self.outlet.capacity > 0.0 { (rate / self.outlet.capacity).min(1.0) } else { 1.0 }
    }
}
