//! Requests as a continuous flow, for very high traffic: arrivals are a rate over time, spread evenly
//! over the endpoints; each pod processes them as fast as its CPU allows, the rest queues, and overflows when
//! the queue is full.
//!
//! Between two changes (an endpoint is added or removed, a rate changes slope, a pod's CPU changes)
//! all amounts are integrals of linear functions and are computed exactly, on demand. The cost
//! depends on the number of changes and queries, not on the number of requests.

mod flow;
mod latency;
mod model;
mod pod;
mod stretch;
mod tally;

pub(super) use flow::FlowCurve;

use super::backend::{BackendId, BackendState};
use super::figures::{FlowAmounts, ServiceFigures};
use super::minutes::{MINUTE, MinuteFigures, Minutes};
use super::recording::{FailureCause, IntervalFigures};
use super::request_model::RequestModel;
use engine::{Digest, SimDuration, SimTime};
use flow::Flow;
use latency::PodKind;
use model::{Means, outlet};
use pod::{FluidPod, Part};
use stretch::{Inflow, Phase};

/// All flows and their pods.
#[derive(Clone, Debug)]
pub(super) struct Fluid {
    /// By service; absent for services with single requests.
    flows: Vec<Option<Flow>>,
    /// By the backend's slot.
    pods: Vec<Option<FluidPod>>,
    kinds: Vec<PodKind>,
    interval: SimDuration,
    interval_end: SimTime,
    counts_from: SimTime,
    minute_end: SimTime,
    /// Pods whose share of a flow has risen since [`Self::take_risen`].
    risen: Vec<BackendId>,
}

/// A bound of the CPU demand of a pod's flows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CpuOutlook {
    /// Upper bound in cores.
    pub(super) most: f64,
    /// The time until which it holds, while the endpoints and the pod's CPU stay as they are.
    pub(super) until: SimTime,
}

/// The initial state of a backend that starts to receive a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewPod {
    pub(super) id: BackendId,
    pub(super) state: BackendState,
    pub(super) model: u32,
    pub(super) cores: f64,
}

impl Fluid {
    /// The flows, by service, from time zero on; `(curve, timeout in seconds)` for services that have
    /// one.
    pub(super) fn new(
        flows: Vec<Option<(FlowCurve, f64)>>,
        interval: SimDuration,
        warm_up: SimDuration,
    ) -> Self {
        let flow = |(curve, timeout)| Flow::new(curve, timeout);
        Self {
            flows: flows.into_iter().map(|one| one.map(flow)).collect(),
            pods: Vec::new(),
            kinds: Vec::new(),
            interval,
            interval_end: SimTime::ZERO + interval,
            counts_from: SimTime::ZERO + warm_up,
            minute_end: SimTime::ZERO + MINUTE,
            risen: Vec::new(),
        }
    }

    /// Whether requests to a service are a flow.
    pub(super) fn has(&self, service: u32) -> bool {
        self.flows.get(service as usize).is_some_and(Option::is_some)
    }

    /// Ends intervals, minutes and the warm-up that are over by `now`.
    #[inline]
    pub(super) fn pass_boundaries(&mut self, now: SimTime) {
        while self.interval_end.min(self.counts_from).min(self.minute_end) <= now {
            let boundary = self.interval_end.min(self.counts_from).min(self.minute_end);
            self.flush(boundary);
            let Self { flows, kinds, .. } = self;
            if boundary == self.minute_end {
                self.minute_end = boundary + MINUTE;
                flows.iter_mut().flatten().for_each(|flow| flow.end_minute(kinds));
            }
            if boundary == self.counts_from {
                self.counts_from = SimTime::MAX;
                flows.iter_mut().flatten().for_each(|flow| flow.begin_counting(kinds));
            }
            if boundary == self.interval_end {
                self.interval_end = boundary + self.interval;
                flows.iter_mut().flatten().for_each(|flow| flow.end_interval(kinds));
            }
        }
    }

    /// Directs a service's flow to these pods from now on; `new` describes a pod that receives its
    /// first flow.
    pub(super) fn set_endpoints(
        &mut self,
        now: SimTime,
        service: u32,
        endpoints: &[BackendId],
        models: &[RequestModel],
        new: impl Fn(BackendId) -> Option<NewPod>,
    ) {
        let service = service as usize;
        self.advance_flow(service, now);
        for slot in 0..self.pods.len() {
            let is_part = |pod: &FluidPod| pod.parts.iter().any(|part| part.service == service);
            if self.pods[slot].as_ref().is_some_and(is_part) {
                self.advance_pod(slot, now);
                self.set_part(slot, service, 0);
            }
        }
        let mut missing = 0;
        for endpoint in endpoints {
            let slot = endpoint.index();
            if self.pods.get(slot).is_none_or(Option::is_none) {
                match new(*endpoint) {
                    Some(backend) => self.add_pod(now, backend, models),
                    None => missing += 1,
                }
            }
            self.advance_pod(slot, now);
            if self.set_part(slot, service, endpoints.len()) {
                self.risen.push(*endpoint);
            }
        }
        if let Some(Some(flow)) = self.flows.get_mut(service) {
            flow.set_endpoints(endpoints.len(), missing);
        }
    }

    /// Changes a backend's state from now on.
    pub(super) fn set_state(&mut self, now: SimTime, backend: BackendId, state: BackendState) {
        self.advance_pod(backend.index(), now);
        if let Some(pod) = self.pod_mut(backend) {
            pod.state = state;
        }
    }

    /// Changes a backend's CPU from now on.
    pub(super) fn set_cores(
        &mut self,
        now: SimTime,
        backend: BackendId,
        cores: f64,
        models: &[RequestModel],
    ) {
        self.advance_pod(backend.index(), now);
        let Self { pods, kinds, .. } = self;
        if let Some(Some(pod)) = pods.get_mut(backend.index()) {
            let model = &models[kinds[pod.kind].model];
            pod.outlet = outlet(model, Means::of(model), cores);
        }
    }

    /// Drops the requests queued in a backend.
    pub(super) fn drop_queue(&mut self, now: SimTime, backend: BackendId, cause: FailureCause) {
        self.advance_pod(backend.index(), now);
        let Self { flows, pods, .. } = self;
        let Some(Some(pod)) = pods.get_mut(backend.index()) else { return };
        for part in &mut pod.parts {
            if let Some(flow) = &mut flows[part.service] {
                flow.current.fail(cause, std::mem::take(&mut part.queued));
            }
        }
        pod.queue = 0.0;
    }

    /// A backend was removed; an endpoint that still names it refuses requests.
    pub(super) fn remove(&mut self, now: SimTime, backend: BackendId, cause: FailureCause) {
        self.drop_queue(now, backend, cause);
        let Some(pod) = self.pods.get_mut(backend.index()).and_then(Option::take) else { return };
        for part in pod.parts.iter().filter(|part| part.endpoints > 0) {
            self.advance_flow(part.service, now);
            if let Some(flow) = &mut self.flows[part.service] {
                flow.lose_endpoint();
            }
        }
    }

    /// CPU time that a backend has used.
    pub(super) fn cpu_used(&mut self, now: SimTime, backend: BackendId) -> SimDuration {
        self.advance_pod(backend.index(), now);
        let used = self.pod_mut(backend).map_or(0.0, |pod| pod.cpu_used);
        SimDuration::from_secs_f64(used)
    }

    /// Cores that a backend could use now.
    pub(super) fn cpu_demand(&mut self, now: SimTime, backend: BackendId) -> f64 {
        self.advance_pod(backend.index(), now);
        let Self { flows, pods, .. } = self;
        let Some(Some(pod)) = pods.get(backend.index()) else { return 0.0 };
        let rate: f64 = pod.parts.iter().map(|part| rate_of(flows, part, now)).sum();
        // A queue would use more CPU than the pod has.
        let queued = if pod.queue > 0.0 { pod.outlet.capacity } else { 0.0 };
        (rate + queued) * pod.cpu_seconds
    }

    /// A bound of the cores that a backend, advanced to `now`, could use from now on; absent if requests are queued
    /// in it, or may be before any rate changes slope.
    pub(super) fn cpu_outlook(&mut self, now: SimTime, backend: BackendId) -> Option<CpuOutlook> {
        let Self { flows, pods, .. } = self;
        let (mut rate, mut until) = (0.0, SimTime::MAX);
        let Some(Some(pod)) = pods.get(backend.index()) else {
            return Some(CpuOutlook { most: rate, until });
        };
        for part in pod.parts.iter().filter(|part| part.endpoints > 0) {
            let Some(flow) = &mut flows[part.service] else { continue };
            let segment = flow.segment(now);
            let most = flow.rate_and_slope(now).0.max(segment.end_rps);
            rate += most / part.endpoints as f64;
            until = until.min(segment.end);
        }
        // Sums of rates within the segment are rounded otherwise.
        let rate = rate * (1.0 + 1e-9);
        let is_free = pod.queue <= 0.0 && rate <= pod.outlet.capacity;
        is_free.then_some(CpuOutlook { most: rate * pod.cpu_seconds, until })
    }

    /// Cores that a backend without a queue could use at `now`; infinitely many if its queue would grow. Changes
    /// nothing, for checks.
    pub(super) fn cpu_wanted(&self, now: SimTime, backend: BackendId) -> f64 {
        let Some(Some(pod)) = self.pods.get(backend.index()) else { return 0.0 };
        let parts = pod.parts.iter().filter(|part| part.endpoints > 0);
        let rate_of = |part: &Part| {
            let rate = self.flows[part.service].as_ref().map_or(0.0, |flow| flow.rate_at(now));
            rate / part.endpoints as f64
        };
        let rate: f64 = parts.map(rate_of).sum();
        if rate > pod.outlet.capacity { f64::INFINITY } else { rate * pod.cpu_seconds }
    }

    /// Whether a backend receives a share of any flow, or has some of it in its queue.
    pub(super) fn receives(&self, backend: BackendId) -> bool {
        let pod = self.pods.get(backend.index()).and_then(Option::as_ref);
        pod.is_some_and(|pod| !pod.parts.is_empty())
    }

    /// Takes the pods whose share of a flow has risen since the last call, other than with the flow's rate.
    pub(super) fn take_risen(&mut self) -> Vec<BackendId> {
        std::mem::take(&mut self.risen)
    }

    /// Whole number of requests queued in a backend.
    pub(super) fn queued(&mut self, now: SimTime, backend: BackendId) -> usize {
        self.advance_pod(backend.index(), now);
        let queued = self.pod_mut(backend).map_or(0.0, |pod| pod.queue);
        usize::try_from(tally::whole(queued)).unwrap_or(usize::MAX)
    }

    /// Time at which a backend's queue is empty if nothing else arrives.
    pub(super) fn drained_at(&mut self, now: SimTime, backend: BackendId) -> SimTime {
        self.advance_pod(backend.index(), now);
        match self.pod_mut(backend) {
            Some(pod) if pod.queue > 0.0 && pod.outlet.capacity > 0.0 => {
                now + SimDuration::from_secs_f64(pod.queue / pod.outlet.capacity)
            }
            Some(pod) if pod.queue > 0.0 => SimTime::MAX,
            _ => now,
        }
    }

    /// Outcomes of a service's flow since the warm-up, in whole requests.
    pub(super) fn figures(&mut self, now: SimTime, service: u32) -> Option<ServiceFigures> {
        self.flush(now);
        let queued = self.queued_of(service as usize);
        let Self { flows, kinds, .. } = self;
        flows.get(service as usize)?.as_ref().map(|flow| flow.figures(queued, kinds))
    }

    /// Outcomes of a service's flow since the start, unrounded.
    pub(super) fn amounts(&mut self, now: SimTime, service: u32) -> Option<FlowAmounts> {
        self.flush(now);
        let queued = self.queued_of(service as usize);
        let flow = self.flows.get(service as usize)?.as_ref()?;
        let all = flow.all();
        Some(FlowAmounts { arrived: all.arrived, served: all.served, failed: all.failed, queued })
    }

    /// Whole number of requests to a service so far.
    pub(super) fn arrived(&self, service: u32) -> Option<u64> {
        let flow = self.flows.get(service as usize)?.as_ref()?;
        Some(tally::whole(flow.all().arrived))
    }

    /// The completed intervals of a service.
    pub(super) fn intervals(&self, service: u32) -> Option<&[IntervalFigures]> {
        Some(&self.flows.get(service as usize)?.as_ref()?.intervals)
    }

    /// The minutes of a service.
    pub(super) fn minutes_mut(&mut self, service: u32) -> Option<&mut Minutes> {
        Some(&mut self.flows.get_mut(service as usize)?.as_mut()?.minutes)
    }

    /// The minutes of a service until `now`.
    pub(super) fn minutes(&mut self, now: SimTime, service: u32) -> Option<Vec<MinuteFigures>> {
        self.has(service).then(|| self.flush(now));
        let Self { flows, kinds, .. } = self;
        Some(flows.get(service as usize)?.as_ref()?.minutes(kinds))
    }

    /// Adds the results so far to a run's fingerprint.
    pub(super) fn digest(&mut self, now: SimTime, digest: &mut Digest) {
        self.flush(now);
        for flow in self.flows.iter().flatten() {
            let all = flow.all();
            let (by_cluster, by_application) =
                all.failed.split_at(FailureCause::ApplicationError as usize);
            let errors = by_application.iter().filter(|amount| **amount > 0.0);
            let requests = [all.arrived, all.served];
            let amounts = requests.iter().chain(by_cluster).chain(errors);
            amounts.for_each(|amount| digest.word(amount.to_bits()));
        }
    }

    /// Advances everything to `now` and adds it to the sums.
    fn flush(&mut self, now: SimTime) {
        for service in 0..self.flows.len() {
            self.advance_flow(service, now);
        }
        for slot in 0..self.pods.len() {
            self.advance_pod(slot, now);
        }
        self.flows.iter_mut().flatten().for_each(Flow::sum_up);
    }

    fn queued_of(&self, service: usize) -> f64 {
        let parts = self.pods.iter().flatten().flat_map(|pod| &pod.parts);
        parts.filter(|part| part.service == service).map(|part| part.queued).sum()
    }

    fn pod_mut(&mut self, backend: BackendId) -> Option<&mut FluidPod> {
        self.pods.get_mut(backend.index())?.as_mut()
    }

    fn add_pod(&mut self, now: SimTime, backend: NewPod, models: &[RequestModel]) {
        let slot = backend.id.index();
        if self.pods.len() <= slot {
            self.pods.resize_with(slot + 1, || None);
        }
        let id = backend.model as usize;
        let means = Means::of(&models[id]);
        let same =
            |kind: &PodKind| kind.model == id && kind.cores.to_bits() == backend.cores.to_bits();
        let kind = self.kinds.iter().position(same).unwrap_or_else(|| {
            self.kinds.push(PodKind::new(id, &models[id], means, backend.cores));
            self.kinds.len() - 1
        });
        self.pods[slot] = Some(FluidPod {
            at: now,
            state: backend.state,
            outlet: outlet(&models[id], means, backend.cores),
            kind,
            error_rate: models[id].mean_error_rate(),
            cpu_seconds: means.cpu,
            queue: 0.0,
            cpu_used: 0.0,
            parts: Vec::new(),
        });
    }

    /// Makes a pod one of this many endpoints of a service; 0 = no endpoint. Returns whether its share is greater
    /// than before.
    fn set_part(&mut self, slot: usize, service: usize, endpoints: usize) -> bool {
        let Some(Some(pod)) = self.pods.get_mut(slot) else { return false };
        match pod.parts.iter_mut().find(|part| part.service == service) {
            Some(part) => {
                if endpoints == 0 {
                    part.endpoints_before = part.endpoints;
                }
                part.endpoints = endpoints;
                let before = part.endpoints_before;
                endpoints > 0 && (before == 0 || endpoints < before)
            }
            None if endpoints > 0 => {
                pod.parts.push(Part { service, endpoints, endpoints_before: 0, queued: 0.0 });
                true
            }
            None => false,
        }
    }

    fn advance_flow(&mut self, service: usize, now: SimTime) {
        if let Some(Some(flow)) = self.flows.get_mut(service) {
            flow.advance(now);
        }
    }

    /// Advances a pod to `now`.
    #[inline]
    fn advance_pod(&mut self, slot: usize, now: SimTime) {
        let Self { flows, pods, .. } = self;
        let Some(Some(pod)) = pods.get_mut(slot) else { return };
        while pod.at < now {
            let mut end = now;
            for part in pod.parts.iter().filter(|part| part.endpoints > 0) {
                if let Some(flow) = &mut flows[part.service] {
                    end = end.min(flow.segment(pod.at).end);
                }
            }
            advance_in_segment(pod, flows, end);
            pod.at = end;
        }
    }
}

/// Advances a pod over a span in which no rate changes slope.
fn advance_in_segment(pod: &mut FluidPod, flows: &mut [Option<Flow>], end: SimTime) {
    let from = pod.at;
    let seconds = (end - from).as_secs_f64();
    let mut inflow = Inflow { rate: 0.0, slope: 0.0 };
    for part in &pod.parts {
        let own = inflow_of(flows, part, from);
        inflow.rate += own.rate;
        inflow.slope += own.slope;
    }
    let refused = match pod.state {
        BackendState::Serving => None,
        BackendState::Refusing => Some(FailureCause::Refused),
        BackendState::Unreachable | BackendState::Gone => Some(FailureCause::Unreachable),
    };
    if let Some(cause) = refused {
        for part in &pod.parts {
            let own = inflow_of(flows, part, from);
            if let Some(flow) = &mut flows[part.service] {
                flow.current.fail(cause, (own.rate + 0.5 * own.slope * seconds) * seconds);
            }
        }
        inflow = Inflow { rate: 0.0, slope: 0.0 };
    }
    // Work in a machine that does not answer stays there.
    if pod.state == BackendState::Unreachable
        || (inflow.rate == 0.0 && inflow.slope == 0.0 && pod.queue == 0.0)
    {
        return;
    }
    let mut parts = std::mem::take(&mut pod.parts);
    let (kind, capacity, error_rate) = (pod.kind, pod.outlet.capacity, pod.error_rate);
    let utilization = pod.utilization(inflow.rate + 0.5 * inflow.slope * seconds);
    let mut passed = 0.0;
    pod.serve(inflow, seconds, |before, phase: Phase| {
        let middle = passed + 0.5 * phase.seconds;
        passed += phase.seconds;
        let there = before + phase.arrived - phase.overflowed;
        for part in &mut parts {
            let own = if refused.is_none() {
                inflow_of(flows, part, from)
            } else {
                Inflow { rate: 0.0, slope: 0.0 }
            };
            let Some(flow) = &mut flows[part.service] else { continue };
            let arrived = (own.rate + own.slope * middle) * phase.seconds;
            let share = if phase.arrived > 0.0 { arrived / phase.arrived } else { 0.0 };
            let overflowed = phase.overflowed * share;
            let own_there = part.queued + arrived - overflowed;
            let served = if there > 0.0 { phase.served * (own_there / there) } else { 0.0 };
            part.queued = if phase.queue > 0.0 { (own_there - served).max(0.0) } else { 0.0 };
            flow.count((kind, error_rate), &phase, (served, overflowed), (utilization, capacity));
        }
    });
    pod.parts = parts;
    pod.parts.retain(|part| part.endpoints > 0 || part.queued > 0.0);
}

/// A pod's share of a flow from this time on, until the flow's rate changes slope.
fn inflow_of(flows: &mut [Option<Flow>], part: &Part, at: SimTime) -> Inflow {
    match &mut flows[part.service] {
        Some(flow) if part.endpoints > 0 => {
            let (rate, slope) = flow.rate_and_slope(at);
            let share = 1.0 / part.endpoints as f64;
            Inflow { rate: rate * share, slope: slope * share }
        }
        _ => Inflow { rate: 0.0, slope: 0.0 },
    }
}

fn rate_of(flows: &mut [Option<Flow>], part: &Part, at: SimTime) -> f64 {
    inflow_of(flows, part, at).rate
}
