//! Flags of the vertical-pod-autoscaler's components, with their real defaults (`docs/flags.md`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::SimDuration;
use crate::units::{Bytes, MilliCpu};

/// Flags of recommender and updater.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VpaSettings {
    /// From one look at the metrics to the next (`--recommender-interval`). Default 1m.
    pub recommender_interval: SimDuration,
    /// From one look at the pods to the next (`--updater-interval`). Default 1m.
    pub updater_interval: SimDuration,
    /// Percentile of usage that is the target (`--target-cpu-percentile`). Default 0.9.
    pub target_percentile: f64,
    /// Percentile of the lower bound. Default 0.5.
    pub lower_bound_percentile: f64,
    /// Percentile of the upper bound. Default 0.95.
    pub upper_bound_percentile: f64,
    /// What is added to every percentile (`--recommendation-margin-fraction`). Default 0.15.
    pub safety_margin_fraction: f64,
    /// `--cpu-histogram-decay-half-life`. Default 24h.
    pub cpu_histogram_half_life: SimDuration,
    /// `--memory-histogram-decay-half-life`. Default 24h.
    pub memory_histogram_half_life: SimDuration,
    /// Only the peak of each such time counts for memory (`--memory-aggregation-interval`). Default 24h.
    pub memory_aggregation_interval: SimDuration,
    /// Part of a workload's pods that may be gone at a time (`--eviction-tolerance`). Default 0.5.
    pub eviction_tolerance: f64,
    /// Pods that must live for any to be evicted (`--min-replicas`). Default 2.
    pub min_replicas: i32,
    /// Pods within their bounds are left alone this long after their start
    /// (`--in-recommendation-bounds-eviction-lifetime-threshold`). Default 12h.
    pub eviction_lifetime_threshold: SimDuration,
    /// And for ever, if target and request differ by less than this part
    /// (`--pod-update-threshold`). Default 0.1.
    pub pod_update_threshold: f64,
    /// Least CPU of a pod (`--pod-recommendation-min-cpu-millicores`).
    #[serde(skip, default = "pod_min_cpu")]
    pub pod_min_cpu: MilliCpu,
    /// Least memory of a pod (`--pod-recommendation-min-memory-mb`).
    #[serde(skip, default = "pod_min_memory")]
    pub pod_min_memory: Bytes,
}

const fn pod_min_cpu() -> MilliCpu {
    MilliCpu(25)
}

const fn pod_min_memory() -> Bytes {
    Bytes(250_000_000)
}

impl Default for VpaSettings {
    fn default() -> Self {
        Self {
            recommender_interval: SimDuration::from_secs(60),
            updater_interval: SimDuration::from_secs(60),
            target_percentile: 0.9,
            lower_bound_percentile: 0.5,
            upper_bound_percentile: 0.95,
            safety_margin_fraction: 0.15,
            cpu_histogram_half_life: SimDuration::from_secs(86_400),
            memory_histogram_half_life: SimDuration::from_secs(86_400),
            memory_aggregation_interval: SimDuration::from_secs(86_400),
            eviction_tolerance: 0.5,
            min_replicas: 2,
            eviction_lifetime_threshold: SimDuration::from_secs(12 * 3600),
            pod_update_threshold: 0.1,
            pod_min_cpu: pod_min_cpu(),
            pod_min_memory: pod_min_memory(),
        }
    }
}
