//! Outcomes of LLM requests: TTFT and TPOT, and the work of the servers.

use super::counters::LlmCounters;
use super::iteration_cost::to_nanos;
use super::sequence::{CompletedRequest, Departure};
use crate::recording::{Latencies, LatenciesWithFailures, Records, Tally};
use engine::{SimDuration, SimTime};

/// LLM requests of a service, and the work of its servers, over a span of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LlmFigures {
    /// Time to first token (TTFT) of the answered requests; absent if there were none.
    pub time_to_first_token: Option<Latencies>,
    /// Time per output token (TPOT) after the first, averaged per request of two tokens or more; absent if there
    /// were none.
    pub time_per_output_token: Option<Latencies>,
    /// Output tokens (`vllm:generation_tokens_total`).
    pub output_tokens: u64,
    /// Prompt tokens computed.
    pub prompt_tokens: u64,
    /// Sequences preempted for lack of KV cache (`vllm:num_preemptions_total`).
    pub preemptions: u64,
    /// Share of prompt tokens found in the cache, 0..1.
    pub prefix_hit_ratio: f64,
    /// Share of the servers' time during which an iteration was in progress, 0..1.
    pub gpu_utilization: f64,
    /// Peak share of a server's KV cache in use, 0..1.
    pub kv_cache_usage_peak: f64,
    /// Requests in the batches of all endpoints at the end of the span (`vllm:num_requests_running`).
    pub num_requests_running: u64,
    /// Requests waiting for admission at the end of the span (`vllm:num_requests_waiting`).
    pub num_requests_waiting: u64,
}

/// State of an inference server for autoscaling metrics, under vLLM's names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LlmStatus {
    /// Requests in the batch (`vllm:num_requests_running`).
    pub num_requests_running: u64,
    /// Requests waiting for admission (`vllm:num_requests_waiting`).
    pub num_requests_waiting: u64,
    /// Share of the KV cache in use, 0..1 (`vllm:kv_cache_usage_perc`, which is also a share).
    pub kv_cache_usage_perc: f64,
    /// Prompt tokens computed since the start (`vllm:prompt_tokens_total`).
    pub prompt_tokens_total: u64,
    /// Output tokens since the start (`vllm:generation_tokens_total`).
    pub generation_tokens_total: u64,
    /// Preemptions since the start (`vllm:num_preemptions_total`).
    pub num_preemptions_total: u64,
    /// Time since the start during which an iteration was in progress: its increase over a span, divided by the
    /// span, is the utilization shown by `DCGM_FI_DEV_GPU_UTIL`.
    pub gpu_busy: SimDuration,
}

/// LLM record of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct LlmRecord {
    total: Span,
    interval: Span,
    /// Of each interval that ended, by its number: those before the first request have none.
    running: u64,
    waiting: u64,
}

#[derive(Clone, Debug, Default)]
struct Span {
    first_token: Tally,
    per_token: Tally,
    output_tokens: u64,
    prompt_tokens: u64,
    preemptions: u64,
    prefix_queries: u64,
    prefix_hits: u64,
    busy: SimDuration,
    alive: SimDuration,
    kv_peak: f64,
}

impl Span {
    fn answered(&mut self, first_token: SimDuration, per_token: Option<SimDuration>) {
        self.first_token.answered(first_token);
        if let Some(per_token) = per_token {
            self.per_token.answered(per_token);
        }
    }

    fn worked(&mut self, since: &LlmCounters, now: &LlmCounters, span: SimDuration, kv_peak: f64) {
        self.output_tokens += now.output_tokens - since.output_tokens;
        self.prompt_tokens += now.prompt_tokens - since.prompt_tokens;
        self.preemptions += now.preemptions - since.preemptions;
        self.prefix_queries += now.prefix_queries - since.prefix_queries;
        self.prefix_hits += now.prefix_hits - since.prefix_hits;
        self.busy += SimDuration::from_nanos(to_nanos(now.busy) - to_nanos(since.busy));
        self.alive += span;
        self.kv_peak = self.kv_peak.max(kv_peak);
    }

    fn figures(&self, running: u64, waiting: u64) -> LlmFigures {
        let share = |part: f64, whole: f64| if whole > 0.0 { (part / whole).min(1.0) } else { 0.0 };
        LlmFigures {
            time_to_first_token: self.first_token.latencies(),
            time_per_output_token: self.per_token.latencies(),
            output_tokens: self.output_tokens,
            prompt_tokens: self.prompt_tokens,
            preemptions: self.preemptions,
            prefix_hit_ratio: share(self.prefix_hits as f64, self.prefix_queries as f64),
            gpu_utilization: share(self.busy.as_secs_f64(), self.alive.as_secs_f64()),
            kv_cache_usage_peak: self.kv_peak,
            num_requests_running: running,
            num_requests_waiting: waiting,
        }
    }
}

impl LlmRecord {
    /// Figures since the warm-up.
    pub fn figures(&self) -> LlmFigures {
        self.total.figures(self.running, self.waiting)
    }

    /// TTFT since the warm-up over all ended requests, `failed` of which failed.
    pub fn first_token_of_all(&self, failed: u64) -> Option<LatenciesWithFailures> {
        self.total.first_token.latencies_of_all(failed)
    }

    /// Number of first tokens since the warm-up within each of these times.
    pub fn within(&self, limits: &[SimDuration]) -> Vec<u64> {
        self.total.first_token.within(limits).collect()
    }

    /// Records the metrics of the endpoints at the end of an interval.
    pub fn show(&mut self, running: u64, waiting: u64) {
        (self.running, self.waiting) = (running, waiting);
    }

    /// Closes the interval and starts the next.
    pub fn end_interval(&mut self) -> LlmFigures {
        let figures = self.interval.figures(self.running, self.waiting);
        self.interval = Span::default();
        figures
    }
}

impl Records {
    /// A request left its server. `overhead` is the additional time per request, and `swept` as in
    /// [`Records::finish`].
    pub(super) fn leave(&mut self, left: Departure, overhead: SimDuration, swept: SimTime) {
        match left {
            Departure::CompletedRequest(answered) => self.answer(answered, overhead, swept),
            Departure::Aborted { client, at } => self.shed(client, at, swept),
        }
    }

    fn answer(&mut self, answered: CompletedRequest, overhead: SimDuration, swept: SimTime) {
        let CompletedRequest { client, first_token, finished, output } = answered;
        self.finish(client, finished + overhead, swept);
        let record = &mut self.services[client.service as usize];
        if finished + overhead > record.deadline(client.arrived) {
            return;
        }
        let to_first = first_token - client.arrived + overhead;
        let per_token = (output > 1).then(|| (finished - first_token) / i64::from(output - 1));
        let counts = record.counts(client.arrived);
        let llm = record.llm.get_or_insert_default();
        llm.interval.answered(to_first, per_token);
        if counts {
            llm.total.answered(to_first, per_token);
        }
    }

    /// Records the work of a service's server from `since` to `now`.
    pub(super) fn worked(
        &mut self,
        service: u32,
        since: &LlmCounters,
        now: &LlmCounters,
        kv_peak: f64,
    ) {
        let record = &mut self.services[service as usize];
        let counts = record.counts(since.since);
        let span = now.since - since.since;
        let llm = record.llm.get_or_insert_default();
        llm.interval.worked(since, now, span, kv_peak);
        if counts {
            llm.total.worked(since, now, span, kv_peak);
        }
    }
}
