//! Flags of the vertical-pod-autoscaler's components, with their real defaults (`docs/flags.md`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;
use units::{Bytes, MilliCpu, Quantity};

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
    /// After a kill for lack of memory the container is taken to need so many times what it had
    /// (`--oom-bump-up-ratio`). Default 1.2.
    pub oom_bump_up_ratio: f64,
    /// And so much more at least (`--oom-min-bump-up-bytes`). Default 100Mi.
    pub oom_min_bump_up: Quantity,
    /// Pods of which a container was killed for its memory so soon after its start need not be old to be
    /// evicted (`--evict-after-oom-threshold`). Default 10m.
    pub evict_after_oom_threshold: SimDuration,
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
    /// Least memory of a pod (`--pod-recommendation-min-memory-mb`, which are mebibytes).
    #[serde(skip, default = "pod_min_memory")]
    pub pod_min_memory: Bytes,
}

const fn pod_min_cpu() -> MilliCpu {
    MilliCpu(25)
}

const fn pod_min_memory() -> Bytes {
    Bytes(250 << 20)
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
            oom_bump_up_ratio: 1.2,
            oom_min_bump_up: Quantity::from_bytes(100 << 20),
            evict_after_oom_threshold: SimDuration::from_secs(600),
            eviction_tolerance: 0.5,
            min_replicas: 2,
            eviction_lifetime_threshold: SimDuration::from_secs(12 * 3600),
            pod_update_threshold: 0.1,
            pod_min_cpu: pod_min_cpu(),
            pod_min_memory: pod_min_memory(),
        }
    }
}
