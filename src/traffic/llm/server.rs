//! An inference server as a backend of a service: records its requests and work.

use std::sync::Arc;

use super::counters::LlmCounters;
use super::engine::LlmEngine;
use super::iteration_cost::to_nanos;
use super::record::LlmStatus;
use super::sequence::{Departure, Request};
use super::spec::LlmRequests;
use crate::recording::{Client, FailureCause, NO_ATTEMPT, Records};
use crate::request_model::RequestSize;
use engine::{SimDuration, SimTime};

/// One inference server.
#[derive(Clone, Debug)]
pub(crate) struct LlmServer {
    engine: LlmEngine,
    requests: Arc<LlmRequests>,
    /// Time at which the clients were last checked.
    swept: SimTime,
    /// The counters already recorded at that time.
    recorded: LlmCounters,
    /// The service that the server's work is recorded for: the last one to send a request.
    service: Option<u32>,
    cpu: Cpu,
}

/// The CPU of its pod.
#[derive(Clone, Copy, Debug)]
struct Cpu {
    cores: f64,
    /// CPU time used, and busy time, when it got these cores.
    used_before: SimDuration,
    busy_before: SimDuration,
}

impl LlmServer {
    /// An idle server on a pod of `cores`.
    pub fn new(requests: &Arc<LlmRequests>, now: SimTime, cores: f64) -> Self {
        let engine = LlmEngine::new(Arc::clone(&requests.server), now);
        let (recorded, none) = (engine.counters, SimDuration::ZERO);
        let cpu = Cpu { cores, used_before: none, busy_before: none };
        Self { engine, requests: Arc::clone(requests), swept: now, recorded, service: None, cpu }
    }

    /// Accepts a request unless it exceeds the server's capacity.
    pub fn offer(
        &mut self,
        now: SimTime,
        client: Client,
        size: &RequestSize,
        records: &mut Records,
    ) -> Result<(), FailureCause> {
        self.advance(now, records);
        if self.service != Some(client.service) {
            self.take_down(now, records);
            self.service = Some(client.service);
        }
        let tokens = self.requests.size(size.tokens, size.quantiles());
        let tokens = tokens.ok_or(FailureCause::TooLong)?;
        if !self.requests.server.holds(tokens.prompt, tokens.output) {
            return Err(FailureCause::TooLong);
        }
        let session = self.requests.session(size.tokens, size.quantiles());
        // For requests in the network of calls, the caller signals when it gives up.
        let is_known = self.requests.abort_on_disconnect && client.attempt == NO_ATTEMPT;
        let record = &records.services[client.service as usize];
        let deadline = if is_known { record.deadline(client.arrived) } else { SimTime::MAX };
        let request = Request::new(client, tokens.prompt, tokens.output);
        self.engine.admit(now, Request { session, deadline, ..request });
        Ok(())
    }

    /// The caller of this attempt gives up at `now`.
    pub fn abort(&mut self, now: SimTime, attempt: u32) {
        if self.requests.abort_on_disconnect {
            self.engine.abort(now, attempt);
        }
    }

    /// Advances to `now`.
    pub fn advance(&mut self, now: SimTime, records: &mut Records) {
        let (overhead, swept) = (self.requests.request_overhead, self.swept);
        self.engine.advance(now, &mut |left| records.leave(left, overhead, swept));
    }

    /// Advances to `now`, and records the clients that gave up by then and the server's work.
    pub fn sweep(&mut self, now: SimTime, records: &mut Records) {
        self.advance(now, records);
        for client in self.engine.clients() {
            records.sweep(client, self.swept, now);
        }
        self.swept = now;
        self.take_down(now, records);
    }

    /// Records the server's work for its service.
    fn take_down(&mut self, now: SimTime, records: &mut Records) {
        let counters = &mut self.engine.counters;
        counters.since = now;
        if let Some(service) = self.service {
            let peak = counters.kv_blocks_peak as f64 / self.engine.kv.total().max(1) as f64;
            records.worked(service, &self.recorded, counters, peak);
        }
        counters.kv_blocks_peak = self.engine.kv.used();
        self.recorded = *counters;
    }

    /// Drops all work and returns the waiting clients.
    pub(crate) fn take_clients(&mut self, now: SimTime, records: &mut Records) -> Vec<Client> {
        self.sweep(now, records);
        self.engine.take_clients(now)
    }

    /// The clients of the requests in the server.
    pub fn clients(&self) -> impl Iterator<Item = Client> + '_ {
        self.engine.clients()
    }

    /// Number of requests in the server, including waiting ones.
    pub fn len(&self) -> usize {
        self.engine.running() + self.engine.waiting()
    }

    /// End of the current iteration; [`SimTime::MAX`] if there is none.
    pub fn next_event(&self) -> SimTime {
        self.engine.next_event().unwrap_or(SimTime::MAX)
    }

    /// Whether an iteration is in progress.
    pub(crate) fn is_busy(&self) -> bool {
        self.engine.next_event().is_some()
    }

    /// Time at which all work is done if nothing else arrives.
    pub fn drained_at(&self, now: SimTime) -> SimTime {
        let mut ahead = self.engine.clone();
        let mut last = now;
        let overhead = self.requests.request_overhead;
        ahead.advance(SimTime::MAX, &mut |left| match left {
            Departure::CompletedRequest(answered) => last = last.max(answered.finished + overhead),
            Departure::Aborted { at, .. } => last = last.max(at),
        });
        last
    }

    /// CPU time used until `now`, where the server must be.
    pub fn cpu_used(&self, now: SimTime) -> SimDuration {
        let Cpu { cores, used_before, busy_before } = self.cpu;
        let busy = (self.busy(now) - busy_before).as_secs_f64();
        used_before + SimDuration::from_secs_f64(busy * self.requests.cpu_cores.min(cores))
    }

    /// Sets the pod's cores from `now` on, where the server must be.
    pub fn set_cores(&mut self, now: SimTime, cores: f64) {
        let (used_before, busy_before) = (self.cpu_used(now), self.busy(now));
        self.cpu = Cpu { cores, used_before, busy_before };
    }

    /// Cores that it could use at this instant.
    pub(crate) fn cores_wanted(&self) -> f64 {
        if self.is_busy() { self.requests.cpu_cores } else { 0.0 }
    }

    /// Cores that it uses while busy, if available.
    pub fn cpu_cores(&self) -> f64 {
        self.requests.cpu_cores
    }

    fn busy(&self, now: SimTime) -> SimDuration {
        SimDuration::from_nanos(to_nanos(self.engine.busy(now)))
    }

    /// Share of the KV cache in use, 0..1.
    fn kv_usage(&self) -> f64 {
        self.engine.kv.used() as f64 / self.engine.kv.total().max(1) as f64
    }

    /// Share of the KV cache in use, in millionths.
    pub(crate) fn kv_usage_ppm(&self) -> u64 {
        self.engine.kv.used().saturating_mul(1_000_000) / self.engine.kv.total().max(1)
    }

    /// The session of a request; 0 for none.
    pub(crate) fn session_of(&self, size: &RequestSize) -> u32 {
        self.requests.session(size.tokens, size.quantiles())
    }

    /// Its metrics.
    pub fn status(&self) -> LlmStatus {
        let counters = &self.engine.counters;
        LlmStatus {
            num_requests_running: self.engine.running() as u64,
            num_requests_waiting: self.engine.waiting() as u64,
            kv_cache_usage_perc: self.kv_usage(),
            prompt_tokens_total: counters.prompt_tokens,
            generation_tokens_total: counters.output_tokens,
            num_preemptions_total: counters.preemptions,
            gpu_busy: SimDuration::from_nanos(to_nanos(counters.busy)),
        }
    }
}
