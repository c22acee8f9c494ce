//! Figures of the traffic at a given time: results per service, work and CPU per backend.
//!
//! Queries only advance time; they have no other effect.

use super::backend::{Backend, BackendId, BackendState};
use super::exported_histogram::LatencyCells;
use super::llm::{LlmFigures, LlmServer, LlmStatus};
use super::minutes::{LatencyLimits, MinuteFigures};
use super::path::{ServiceId, Traffic};
use super::recording::{
    FailureCause, IntervalFigures, Latencies, LatenciesWithFailures, NO_ATTEMPT, Outcomes, Records,
    ServiceRecord, Waits,
};
use super::request_class::Mix;
use super::request_model::RequestModelId;
use super::user_uptime::UserUptime;
use cluster::NamespacedName;
use engine::{Digest, SimDuration, SimTime};

/// Polling interval for the drain of a pod whose requests wait for other services.
const DRAIN_POLL: SimDuration = SimDuration::from_millis(100);

/// Outcomes and latencies of the requests to a service that arrived since the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServiceFigures {
    /// Counts; `arrived` is the sum of `answered`, failed and `in_flight`.
    pub outcomes: Outcomes,
    /// Requests whose clients are still waiting.
    pub in_flight: u64,
    /// Latencies of answered requests; absent if there were none.
    pub latencies: Option<Latencies>,
    /// Latencies of all ended requests, where a failed one ranks as slower than any answer; absent if none
    /// ended.
    pub latencies_of_all: Option<LatenciesWithFailures>,
    /// TTFT of all ended requests, likewise; absent without LLM servers.
    pub first_token_of_all: Option<LatenciesWithFailures>,
    /// Figures of its LLM servers; absent if none had a request.
    pub llm: Option<LlmFigures>,
    /// Their queueing times, if waits are recorded.
    pub waits: Option<Waits>,
}

/// Load of a pod, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodLoad {
    /// Requests accepted since its start: the change over time is the rate.
    pub taken: u64,
    /// Requests in the pod: the concurrency. Those whose clients gave up count until they are completed or an
    /// inference server drops them.
    pub in_flight: usize,
    /// Requests in the pod that wait for a slot.
    pub queued: usize,
}

/// Load of a service, for metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServiceLoad {
    /// Requests arrived since the beginning: the change over time is the rate.
    pub arrived: u64,
    /// Requests in the service's work queue.
    pub work_queue_length: usize,
    /// The last completed interval of the recording, with its latencies; absent before the end of the first.
    pub last_interval: Option<IntervalFigures>,
}

/// Outcomes of a flow since the start of the run, in fractional requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowAmounts {
    /// Arrived requests: the sum of `served`, failed and `queued`.
    pub arrived: f64,
    /// Requests that were served.
    pub served: f64,
    /// Requests that failed, by position of the cause in [`FailureCause::ALL`].
    pub failed: [f64; FailureCause::ALL.len()],
    /// Requests waiting in pods.
    pub queued: f64,
}

/// A class of the requests to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassId {
    service: ServiceId,
    position: usize,
}

impl ClassId {
    fn record(self, records: &Records) -> &ServiceRecord {
        &records.classes[self.service.0 as usize][self.position]
    }
}

impl ServiceFigures {
    fn of(record: &ServiceRecord, in_flight: u64) -> Self {
        let total = record.total();
        let failed = total.outcomes.failed_in_all();
        Self {
            outcomes: total.outcomes,
            in_flight,
            latencies: total.latencies(),
            latencies_of_all: total.latencies_of_all(failed),
            first_token_of_all: record.llm.as_ref().and_then(|llm| llm.first_token_of_all(failed)),
            llm: record.llm.as_ref().map(|llm| llm.figures()),
            waits: record.waits(),
        }
    }
}

impl FlowAmounts {
    /// Requests that failed with this cause.
    pub const fn failed_by(&self, cause: FailureCause) -> f64 {
        self.failed[cause as usize]
    }

    /// Requests that failed, over all causes.
    pub fn failed_in_all(&self) -> f64 {
        self.failed.iter().sum()
    }
}

impl Traffic {
    /// Outcomes and latencies of the requests to a service until `now`.
    pub fn figures(&mut self, now: SimTime, service: ServiceId) -> ServiceFigures {
        self.advance(now);
        if let Some(figures) = self.fluid.figures(now, service.0) {
            return figures;
        }
        self.sweep(now);
        let record = &self.records.services[service.0 as usize];
        let in_pods =
            self.backends.values().flat_map(|row| row.waiting_clients(now, &self.records));
        let hanging = self.hanging[service.0 as usize].clients();
        let counted = in_pods
            .filter(|client| client.service == service.0 && client.attempt == NO_ATTEMPT)
            .chain(hanging)
            .filter(|client| record.counts(client.arrived));
        let under_way = self.network.under_way(service.0);
        let under_way = under_way.filter(|(came, _)| record.counts(*came));
        ServiceFigures::of(record, (counted.count() + under_way.count()) as u64)
    }

    /// The request classes of a service, in the order of its model; none if all requests are alike.
    pub fn classes(&self, service: ServiceId) -> impl Iterator<Item = (ClassId, &str)> {
        let names = self.network.mix(service.0).into_iter().flat_map(Mix::names);
        names.enumerate().map(move |(position, name)| (ClassId { service, position }, &**name))
    }

    /// Outcomes and latencies of the requests of a class until `now`.
    pub fn class_figures(&mut self, now: SimTime, class: ClassId) -> ServiceFigures {
        self.advance(now);
        let record = class.record(&self.records);
        let ClassId { service, position } = class;
        let number = self.network.mix(service.0).and_then(|mix| mix.number(position));
        let under_way = self.network.under_way(service.0);
        let is_counted = |(came, class): &(_, u16)| record.counts(*came) && Some(*class) == number;
        ServiceFigures::of(record, under_way.filter(is_counted).count() as u64)
    }

    /// Per-minute figures of a class so far, including the current minute.
    pub fn class_minutes(&mut self, now: SimTime, class: ClassId) -> Vec<MinuteFigures> {
        self.advance(now);
        class.record(&self.records).minutes()
    }

    /// Checks the answers of a class against these limits, minute by minute, from now on.
    pub fn set_class_latency_limits(&mut self, class: ClassId, limits: LatencyLimits) {
        let record = &mut self.records.classes[class.service.0 as usize][class.position];
        record.minutes.limits = limits;
    }

    /// Outcomes of the requests to a service until `now`, if they are a flow.
    pub fn flow_amounts(&mut self, now: SimTime, service: ServiceId) -> Option<FlowAmounts> {
        self.advance(now);
        self.fluid.amounts(now, service.0)
    }

    /// Requests to a service so far, including those before the end of the warm-up; for a flow, up to the last
    /// query of its figures.
    pub fn arrived(&self, service: ServiceId) -> u64 {
        if let Some(arrived) = self.fluid.arrived(service.0) {
            return arrived;
        }
        self.records.services[service.0 as usize].arrived_in_all()
    }

    /// The completed intervals of a service, in order of time.
    pub fn intervals(&self, service: ServiceId) -> &[IntervalFigures] {
        if let Some(intervals) = self.fluid.intervals(service.0) {
            return intervals;
        }
        &self.records.services[service.0 as usize].intervals
    }

    /// Checks the answers of a service against these limits, minute by minute, from now on.
    pub fn set_latency_limits(&mut self, service: ServiceId, limits: LatencyLimits) {
        match self.fluid.minutes_mut(service.0) {
            Some(minutes) => minutes.limits = limits,
            None => self.records.services[service.0 as usize].minutes.limits = limits,
        }
    }

    /// Per-minute figures of the run so far, including the current minute.
    pub fn minutes(&mut self, now: SimTime, service: ServiceId) -> Vec<MinuteFigures> {
        self.advance(now);
        if let Some(minutes) = self.fluid.minutes(now, service.0) {
            return minutes;
        }
        self.sweep(now);
        self.records.services[service.0 as usize].minutes()
    }

    /// Requests in the backend whose clients are still waiting.
    pub fn in_flight(&mut self, now: SimTime, backend: BackendId) -> usize {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return 0 };
        row.sweep(now, &mut self.records);
        let one_by_one = row.waiting_clients(now, &self.records).count() + row.hanging as usize;
        one_by_one + self.fluid.queued(now, backend)
    }

    /// Time at which the backend has finished everything in flight, if nothing else arrives; [`SimTime::MAX`]
    /// if it has no CPU. While its requests wait for other services, the time of the next poll.
    pub fn drained_at(&mut self, now: SimTime, backend: BackendId) -> SimTime {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return now };
        row.sweep(now, &mut self.records);
        if row.holds() {
            // The response times of called services are not known.
            let is_idle = row.contents(now).0 == 0;
            return if is_idle { now } else { now + DRAIN_POLL };
        }
        // Neighbors may leave it more CPU by then, or callers may have given up.
        let may_be_sooner = row.node_cpu.is_some() || (row.is_networked && row.llm().is_some());
        let drained_at = row.drained_at(now).max(self.fluid.drained_at(now, backend));
        if may_be_sooner { drained_at.min(now + DRAIN_POLL) } else { drained_at }
    }

    /// Load of a pod at `now`.
    pub fn pod_load(&mut self, now: SimTime, backend: BackendId) -> PodLoad {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return PodLoad::default() };
        row.sweep(now, &mut self.records);
        let (in_flight, queued) = row.contents(now);
        PodLoad { taken: row.taken, in_flight, queued }
    }

    /// Whether the application accepts connections and answers.
    pub fn is_serving(&self, backend: BackendId) -> bool {
        self.backends.get(backend).is_some_and(|row| row.state == BackendState::Serving)
    }

    /// Up and down time of the users of a service; absent if it is not known which requests come from the same one.
    pub fn user_uptime(&self, now: SimTime, service: ServiceId) -> Option<UserUptime> {
        let record = self.records.services.get(service.0 as usize)?;
        Some(record.users.as_ref()?.until(now))
    }

    /// Sets the time after a request for which its user counts as there.
    pub fn set_user_cutoff(&mut self, service: ServiceId, cutoff: SimDuration) {
        let record = self.records.services.get_mut(service.0 as usize);
        if let Some(users) = record.and_then(|record| record.users.as_mut()) {
            users.cutoff = cutoff;
        }
    }

    /// The services whose failed calls made requests of this service fail, with the number of those calls
    /// since the warm-up, most first. Each retry counts.
    pub fn failed_calls(&self, service: ServiceId) -> Vec<(ServiceId, u64)> {
        let calls = &self.records.services[service.0 as usize].failed_calls;
        let mut calls: Vec<_> =
            calls.iter().map(|(service, count)| (ServiceId(*service), *count)).collect();
        calls.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        calls
    }

    /// The services that the pods behind a service call as their request models say, in that order.
    pub fn calls_of(&self, service: ServiceId) -> Vec<ServiceId> {
        let mut called = Vec::new();
        let behind = self.backends.values().filter(|row| row.endpoint_of.contains(&service.0));
        for row in behind {
            for edge in self.network.edges_of_model[row.model.0 as usize].clone() {
                let to = ServiceId(self.network.edges[edge as usize].service);
                if !called.contains(&to) {
                    called.push(to);
                }
            }
        }
        called
    }

    /// Load of a service at `now`.
    pub fn service_load(&mut self, now: SimTime, service: ServiceId) -> ServiceLoad {
        self.advance(now);
        ServiceLoad {
            arrived: self.arrived(service),
            work_queue_length: self.work_queue_length(service),
            last_interval: self.intervals(service).last().copied(),
        }
    }

    /// CPU time used by the backend until `now`, including requests in progress.
    pub fn cpu_time_used(&mut self, now: SimTime, backend: BackendId) -> SimDuration {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return SimDuration::ZERO };
        row.sweep(now, &mut self.records);
        row.cpu_used(now) + self.fluid.cpu_used(now, backend)
    }

    /// Takes the time, since it was last taken, in which the backend's CPU limit kept its requests from the CPU: of
    /// requests one by one, not of a flow.
    pub fn take_throttled(&mut self, now: SimTime, backend: BackendId) -> SimDuration {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return SimDuration::ZERO };
        row.sweep(now, &mut self.records);
        row.take_throttled(now)
    }

    /// Metrics of the backend's inference server at `now`; absent if it has none.
    pub fn llm_status(&mut self, now: SimTime, backend: BackendId) -> Option<LlmStatus> {
        self.advance(now);
        let row = self.backends.get_mut(backend)?;
        row.sweep(now, &mut self.records);
        row.llm().map(LlmServer::status)
    }

    /// Records the state of the endpoints' inference servers, which are at the current time.
    pub(super) fn show_llm(&mut self) {
        for (service, record) in self.services.iter().zip(&mut self.records.services) {
            let Some(llm) = &mut record.llm else { continue };
            let servers = service.endpoints.iter().filter_map(|one| self.backends.get(*one)?.llm());
            let (mut running, mut waiting) = (0, 0);
            for status in servers.map(LlmServer::status) {
                running += status.num_requests_running;
                waiting += status.num_requests_waiting;
            }
            llm.show(running, waiting);
        }
    }

    /// Counts the answers of a service by latency from now on, with these upper bounds in seconds.
    pub fn count_latencies(&mut self, service: ServiceId, bounds_seconds: &'static [f64]) {
        let cells = LatencyCells { bounds_seconds, counts: vec![0; bounds_seconds.len() + 1] };
        self.records.services[service.0 as usize].cells = Some(Box::new(cells));
    }

    /// Number of answers of a service by latency so far; empty if they are not counted.
    pub fn latency_counts(&mut self, now: SimTime, service: ServiceId) -> &[u64] {
        self.advance(now);
        self.sweep(now);
        let cells = &self.records.services[service.0 as usize].cells;
        cells.as_ref().map_or(&[], |cells| cells.counts.as_slice())
    }

    /// Requests accepted by the backend so far.
    pub fn taken(&mut self, now: SimTime, backend: BackendId) -> u64 {
        self.advance(now);
        self.backends.get(backend).map_or(0, Backend::taken)
    }

    /// Requests that the backend answered with an error of its own so far.
    pub fn errors(&self, backend: BackendId) -> u64 {
        self.backends.get(backend).map_or(0, |row| row.errors)
    }

    /// Requests in the backend waiting for one of its slots.
    pub fn queued(&mut self, now: SimTime, backend: BackendId) -> usize {
        let in_flight = self.in_flight(now, backend);
        let slots = self.backends.get(backend).map_or(0, Backend::concurrency);
        in_flight.saturating_sub(slots)
    }

    /// Whether the service has an endpoint that is serving now, or an activator or a queue that waits for one.
    pub fn can_answer(&self, service: ServiceId) -> bool {
        let endpoints = &self.services[service.0 as usize].endpoints;
        let waits = self.has_activator(service) || self.network.has_work_queue(service.0);
        waits || endpoints.iter().any(|one| self.is_serving(*one))
    }

    /// Names of the services called by requests of a model.
    pub fn called_by(&self, model: RequestModelId) -> impl Iterator<Item = &NamespacedName> {
        self.models[model.0 as usize].calls.iter().map(|call| &call.service.0)
    }

    /// Whether the service has endpoints, serving or not.
    pub fn has_endpoints(&self, service: ServiceId) -> bool {
        !self.services[service.0 as usize].endpoints.is_empty()
    }

    /// The services, ascending, whose [`Self::can_answer`] may have changed since the last call.
    pub fn take_touched(&mut self) -> Vec<ServiceId> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().map(ServiceId).collect()
    }

    /// Adds the results so far to a run's fingerprint.
    pub fn digest(&mut self, now: SimTime, digest: &mut Digest) {
        self.advance(now);
        self.sweep(now);
        self.records.services.iter().for_each(|record| record.digest(digest));
        self.records.classes.iter().flatten().for_each(|record| record.digest(digest));
        self.fluid.digest(now, digest);
    }
}
