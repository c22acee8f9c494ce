//! The custom and external metrics of a scenario: under which name an adapter serves which measure of
//! the traffic. A further measure is a variant here, and an arm in `sim::adapter`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cluster::{Name, ServiceReference};

/// One metric of the custom and external metrics APIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricRule {
    /// Its name, as HPAs ask for it, or as it stands in the query of a KEDA trigger; for a KEDA trigger
    /// on a queue, the queue's name.
    pub name: Name,
    /// The quantity that is measured.
    pub measure: Measure,
    /// The Service whose traffic is measured, as namespace/name: each of its pods for metrics of type
    /// Pods, all of it for types Object and External.
    pub service: ServiceReference,
    /// Labels by which the selector of a metric can ask for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Name, Name>,
}

/// Quantities of the traffic, and of the servers that answer it, which a metric can have.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// rate(requests): of a Service, those that no pod takes included.
    RequestsPerSecond,
    /// Requests in the pods, queued ones included; of a Service also those in its work queue.
    Concurrency,
    /// Requests that wait in the pods; of a Service also those in its work queue.
    QueueDepth,
    /// 95 % of the answers in the rate's window took at most this many seconds, by histogram_quantile
    /// over the usual buckets. Of a Service alone.
    LatencyP95,
    /// Of language models: share of the KV cache in use, 0 to 1 (`vllm:kv_cache_usage_perc`); of a
    /// Service, the mean over its pods.
    KvCacheUsage,
    /// Of language models: tokens of answers a second, rate(vllm:generation_tokens_total).
    TokensPerSecond,
    /// Of language models: tokens of prompts computed a second, rate(vllm:prompt_tokens_total).
    PromptTokensPerSecond,
    /// Of language models: percent of the rate's window in which the pod's GPUs worked, 0 to 100, the mean
    /// of DCGM_FI_DEV_GPU_UTIL; of a Service, the mean over its pods.
    GpuUtilization,
}

/// How a measure is read from what is scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is the rate of a counter.
    Rate,
    /// It is the last value of a gauge.
    Gauge,
    /// It is a quantile over the rates of a histogram's cells.
    Quantile,
}

/// How the value of a whole Service comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// It has series of its own.
    Own,
    /// The sum over its pods: `sum(...)` in PromQL, without a value where no pod has one.
    Sum,
    /// The mean over its pods: `avg(...)`.
    Mean,
}

impl Measure {
    /// How it is read.
    pub const fn reading(self) -> Reading {
        match self {
            Self::RequestsPerSecond
            | Self::TokensPerSecond
            | Self::PromptTokensPerSecond
            | Self::GpuUtilization => Reading::Rate,
            Self::Concurrency | Self::QueueDepth | Self::KvCacheUsage => Reading::Gauge,
            Self::LatencyP95 => Reading::Quantile,
        }
    }

    /// How the value of a whole Service comes about.
    pub const fn whole(self) -> Whole {
        match self {
            Self::RequestsPerSecond | Self::Concurrency | Self::QueueDepth | Self::LatencyP95 => {
                Whole::Own
            }
            Self::TokensPerSecond | Self::PromptTokensPerSecond => Whole::Sum,
            Self::KvCacheUsage | Self::GpuUtilization => Whole::Mean,
        }
    }

    /// Whether only servers of language models have it.
    pub const fn is_of_language_models(self) -> bool {
        !matches!(self.whole(), Whole::Own)
    }
}
