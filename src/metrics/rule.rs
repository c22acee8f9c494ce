//! The custom and external metrics of a scenario: the names under which an adapter serves measures of the
//! traffic. A new measure needs a variant here and an arm in `sim::adapter`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cluster::{Name, ServiceReference};

/// One metric of the custom and external metrics APIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricRule {
    /// Name of the metric as requested by HPAs, or as it appears in the query of a KEDA trigger; for a
    /// KEDA trigger on a queue, the queue's name.
    pub name: Name,
    /// The measured quantity.
    pub measure: Measure,
    /// The Service whose traffic is measured, as namespace/name: per pod for metrics of type Pods, in
    /// total for types Object and External.
    pub service: ServiceReference,
    /// Labels that the selector of a metric can match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Name, Name>,
}

/// Measures of the traffic and of the servers that answer it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// rate(requests): for a Service, including requests that no pod accepts.
    RequestsPerSecond,
    /// Requests in the pods, including queued ones; for a Service also those in its work queue.
    Concurrency,
    /// Requests queued in the pods; for a Service also those in its work queue.
    QueueDepth,
    /// 95th percentile of response times within the rate window, in seconds, by histogram_quantile over
    /// the usual buckets. For a Service only.
    LatencyP95,
    /// Share of the requests to the pods that they answered with an error of their own, 0 to 1:
    /// rate(errors) / rate(requests). For a Service that of its pods, whichever Service the requests came by; no
    /// value without requests.
    ErrorRate,
    /// The rest: 1 minus the error rate.
    SuccessRate,
    /// LLM serving: share of the KV cache in use, 0 to 1 (`vllm:kv_cache_usage_perc`); for a Service, the
    /// mean over its pods.
    KvCacheUsage,
    /// LLM serving: generated tokens per second, rate(vllm:generation_tokens_total).
    TokensPerSecond,
    /// LLM serving: prompt tokens processed per second, rate(vllm:prompt_tokens_total).
    PromptTokensPerSecond,
    /// LLM serving: percent of the rate window in which the pod's GPUs were busy, 0 to 100, the mean of
    /// DCGM_FI_DEV_GPU_UTIL; for a Service, the mean over its pods.
    GpuUtilization,
}

/// The query that computes a measure from scraped values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The rate of a counter.
    Rate,
    /// The last value of a gauge.
    Gauge,
    /// A quantile over the rates of a histogram's buckets.
    Quantile,
    /// The rate of a counter over that of another.
    Ratio,
}

/// The aggregation that gives the value of a whole Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceAggregation {
    /// Its own series.
    Own,
    /// The sum over its pods: `sum(...)` in PromQL, absent if no pod has a value.
    Sum,
    /// The mean over its pods: `avg(...)`.
    Mean,
    /// The sums over its pods, divided: `sum(...) / sum(...)`.
    Ratio,
}

impl Measure {
    /// The query that computes this measure.
    pub const fn reading(self) -> Reading {
        match self {
            Self::RequestsPerSecond
            | Self::TokensPerSecond
            | Self::PromptTokensPerSecond
            | Self::GpuUtilization => Reading::Rate,
            Self::Concurrency | Self::QueueDepth | Self::KvCacheUsage => Reading::Gauge,
            Self::LatencyP95 => Reading::Quantile,
            Self::ErrorRate | Self::SuccessRate => Reading::Ratio,
        }
    }

    /// The aggregation that gives the value of a whole Service.
    pub const fn whole(self) -> ServiceAggregation {
        match self {
            Self::RequestsPerSecond | Self::Concurrency | Self::QueueDepth | Self::LatencyP95 => {
                ServiceAggregation::Own
            }
            Self::TokensPerSecond | Self::PromptTokensPerSecond => ServiceAggregation::Sum,
            Self::KvCacheUsage | Self::GpuUtilization => ServiceAggregation::Mean,
            Self::ErrorRate | Self::SuccessRate => ServiceAggregation::Ratio,
        }
    }

    /// True for measures that only LLM servers export.
    pub const fn is_of_language_models(self) -> bool {
        matches!(self.whole(), ServiceAggregation::Sum | ServiceAggregation::Mean)
    }
}
