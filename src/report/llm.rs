//! The language model section of a service's report.

use serde::Serialize;

use super::build_services::latency;
use super::model::Latency;
use capacity::cost;
use engine::{SimDuration, SimTime};
use traffic::{IntervalFigures, LlmFigures};
use units::Money;

/// Tokens, latencies and cost of a service's language models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LlmReport {
    /// Time to first token (TTFT) of answered requests; absent without answered requests.
    pub time_to_first_token: Option<Latency>,
    /// Time per output token after the first (TPOT), averaged over each answered request.
    pub time_per_output_token: Option<Latency>,
    /// Tokens generated, including those of failed requests.
    pub output_tokens: u64,
    /// Tokens generated per second after the warm-up.
    pub output_tokens_per_second: f64,
    /// *Allocated* cost per million output tokens: the cost of the resources that the service's workloads hold on their
    /// nodes, for the time after the warm-up. Absent without tokens or prices, and if other language models run in the
    /// same workloads.
    pub million_output_tokens_usd: Option<Money>,
    /// *Fully loaded* cost per million output tokens: including the idle capacity of those nodes, which no other
    /// workload pays for.
    pub million_output_tokens_fully_loaded_usd: Option<Money>,
    /// Prompt tokens computed in prefill, without those from the prefix cache.
    pub prompt_tokens: u64,
    /// Sequences preempted for lack of KV cache.
    pub preemptions: u64,
    /// Share of prompt tokens found in the prefix cache, 0..1.
    pub prefix_hit_ratio: f64,
    /// Share of the servers' time during which an iteration was in progress, 0..1.
    pub gpu_utilization: f64,
    /// Peak KV cache usage of any server, 0..1.
    pub kv_cache_usage_peak: f64,
    /// Per interval.
    pub series: LlmSeries,
}

/// Language model figures per interval; empty before the first request.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LlmSeries {
    /// 95th percentile of the time to first token; absent where nothing was answered.
    pub time_to_first_token_p95_ms: Vec<Option<f64>>,
    /// 95th percentile of the time per output token; absent where nothing was answered.
    pub time_per_output_token_p95_ms: Vec<Option<f64>>,
    /// Tokens generated per second.
    pub output_tokens_per_second: Vec<f64>,
    /// Share of the servers' time during which an iteration was in progress, 0..1.
    pub gpu_utilization: Vec<f64>,
    /// Peak KV cache usage of any server, 0..1.
    pub kv_cache_usage_peak: Vec<f64>,
    /// Running requests (in the batches) of all endpoints at the end of the interval.
    pub num_requests_running: Vec<u64>,
    /// Requests waiting for admission at the end of the interval.
    pub num_requests_waiting: Vec<u64>,
}

/// The language model section of a service; `counted` is the time since the warm-up, and `cost` the cost of the
/// workloads behind the service in that time.
pub(super) fn of(
    figures: &LlmFigures,
    intervals: &[IntervalFigures],
    ends: &[SimTime],
    counted: SimDuration,
    cost: Option<Money>,
) -> LlmReport {
    let seconds = counted.as_secs_f64().max(f64::MIN_POSITIVE);
    LlmReport {
        time_to_first_token: figures.time_to_first_token.map(latency),
        time_per_output_token: figures.time_per_output_token.map(latency),
        output_tokens: figures.output_tokens,
        output_tokens_per_second: figures.output_tokens as f64 / seconds,
        million_output_tokens_usd: cost
            .and_then(|cost| cost::per_million(cost, figures.output_tokens)),
        million_output_tokens_fully_loaded_usd: None,
        prompt_tokens: figures.prompt_tokens,
        preemptions: figures.preemptions,
        prefix_hit_ratio: figures.prefix_hit_ratio,
        gpu_utilization: figures.gpu_utilization,
        kv_cache_usage_peak: figures.kv_cache_usage_peak,
        series: series(intervals, ends),
    }
}

impl LlmReport {
    /// Adds the fully loaded cost of the workloads.
    pub(super) fn fully_loaded(mut self, cost: Option<Money>) -> Self {
        let tokens = self.output_tokens;
        self.million_output_tokens_fully_loaded_usd =
            cost.and_then(|cost| cost::per_million(cost, tokens));
        self
    }
}

fn series(intervals: &[IntervalFigures], ends: &[SimTime]) -> LlmSeries {
    let mut series = LlmSeries::default();
    let mut begin = SimTime::ZERO;
    for (figures, end) in intervals.iter().zip(ends) {
        let seconds = (*end - begin).as_secs_f64().max(f64::MIN_POSITIVE);
        begin = *end;
        let of = figures.llm;
        let p95 = |latencies: Option<traffic::Latencies>| {
            latencies.map(|latencies| latencies.p95.as_millis_f64())
        };
        let tokens = of.map_or(0, |of| of.output_tokens);
        series.time_to_first_token_p95_ms.push(p95(of.and_then(|of| of.time_to_first_token)));
        series.time_per_output_token_p95_ms.push(p95(of.and_then(|of| of.time_per_output_token)));
        series.output_tokens_per_second.push(tokens as f64 / seconds);
        series.gpu_utilization.push(of.map_or(0.0, |of| of.gpu_utilization));
        series.kv_cache_usage_peak.push(of.map_or(0.0, |of| of.kv_cache_usage_peak));
        series.num_requests_running.push(of.map_or(0, |of| of.num_requests_running));
        series.num_requests_waiting.push(of.map_or(0, |of| of.num_requests_waiting));
    }
    series
}
