//! Flags of the vertical-pod-autoscaler's components, with their real defaults (`docs/flags.md`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;
use units::Quantity;

/// Flags of recommender and updater.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VpaSettings {
    /// Interval between recommender runs (`--recommender-interval`). Default 1m.
    #[schemars(extend("x-minimum" = "1s"))]
    pub recommender_interval: SimDuration,
    /// Interval between updater runs (`--updater-interval`). Default 1m.
    #[schemars(extend("x-minimum" = "1s"))]
    pub updater_interval: SimDuration,
    /// Percentile of CPU usage used as the target (`--target-cpu-percentile`). Default 0.9.
    pub target_cpu_percentile: f64,
    /// Percentile of memory peaks used as the target (`--target-memory-percentile`). Default 0.9.
    pub target_memory_percentile: f64,
    /// Percentile of the lower bound (`--recommendation-lower-bound-cpu-percentile`). Default 0.5.
    pub lower_bound_cpu_percentile: f64,
    /// Percentile of the lower bound (`--recommendation-lower-bound-memory-percentile`). Default 0.5.
    pub lower_bound_memory_percentile: f64,
    /// Percentile of the upper bound (`--recommendation-upper-bound-cpu-percentile`). Default 0.95.
    pub upper_bound_cpu_percentile: f64,
    /// Percentile of the upper bound (`--recommendation-upper-bound-memory-percentile`). Default 0.95.
    pub upper_bound_memory_percentile: f64,
    /// Length of sample history at which the upper bound is twice its percentile; bounds narrow with longer history
    /// (`--confidence-interval-cpu`). Default 24h.
    #[schemars(extend("x-minimum" = "1s"))]
    pub confidence_interval_cpu: SimDuration,
    /// The same for memory (`--confidence-interval-memory`). Default 24h.
    #[schemars(extend("x-minimum" = "1s"))]
    pub confidence_interval_memory: SimDuration,
    /// Margin added to every percentile (`--recommendation-margin-fraction`). Default 0.15.
    pub safety_margin_fraction: f64,
    /// `--cpu-histogram-decay-half-life`. Default 24h.
    #[schemars(extend("x-minimum" = "1s"))]
    pub cpu_histogram_half_life: SimDuration,
    /// `--memory-histogram-decay-half-life`. Default 24h.
    #[schemars(extend("x-minimum" = "1s"))]
    pub memory_histogram_half_life: SimDuration,
    /// Only the peak of each such time counts for memory (`--memory-aggregation-interval`). Default 24h.
    #[schemars(extend("x-minimum" = "1s"))]
    pub memory_aggregation_interval: SimDuration,
    /// Number of these intervals after the last sample at which statistics of containers expire
    /// (`--memory-aggregation-interval-count`). Default 8.
    #[schemars(range(max = 100_000), extend("x-minimum" = 1))]
    pub memory_aggregation_interval_count: i64,
    /// Factor between the memory of an OOM-killed container and its assumed need (`--oom-bump-up-ratio`).
    /// Default 1.2.
    pub oom_bump_up_ratio: f64,
    /// Minimum increase after an OOM kill (`--oom-min-bump-up-bytes`). Default 100Mi.
    pub oom_min_bump_up: Quantity,
    /// Least CPU of a pod, thousandths (`--pod-recommendation-min-cpu-millicores`). Default 25.
    pub pod_min_cpu_millicores: f64,
    /// Least memory of a pod, mebibytes (`--pod-recommendation-min-memory-mb`). Default 250.
    pub pod_min_memory_mb: f64,
    /// The most that is recommended where the policy has no maximum
    /// (`--container-recommendation-max-allowed-cpu`). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_recommendation_max_allowed_cpu: Option<Quantity>,
    /// The same of memory (`--container-recommendation-max-allowed-memory`). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_recommendation_max_allowed_memory: Option<Quantity>,
    /// CPU recommendations are rounded to a multiple of this many thousandths of a core (`--round-cpu-millicores`).
    /// Default 1.
    pub round_cpu_millicores: i64,
    /// Memory recommendations are rounded to a multiple of this many bytes (`--round-memory-bytes`). Default 1.
    pub round_memory_bytes: i64,
    /// Recommend whole CPUs for containers whose VPA has the annotation for it
    /// (`--cpu-integer-post-processor-enabled`). Default false.
    pub post_processor_cpu_as_integer: bool,
    /// A pod with a container OOM-killed within this time after its start may be evicted regardless of its age
    /// (`--evict-after-oom-threshold`). Default 10m.
    pub evict_after_oom_threshold: SimDuration,
    /// Fraction of a workload's pods that may be disrupted at a time (`--eviction-tolerance`). Default 0.5.
    pub eviction_tolerance: f64,
    /// Pods that must live for any to be evicted (`--min-replicas`). Default 2.
    pub min_replicas: i32,
    /// Pods within their bounds are left alone this long after their start
    /// (`--in-recommendation-bounds-eviction-lifetime-threshold`). Default 12h.
    pub eviction_lifetime_threshold: SimDuration,
    /// And for ever, if target and request differ by less than this part
    /// (`--pod-update-threshold`). Default 0.1.
    pub pod_update_threshold: f64,
    /// Pods whose containers need no restart for it are resized regardless of the number of disrupted pods
    /// (`--in-place-skip-disruption-budget`). Default false.
    pub in_place_skip_disruption_budget: bool,
    /// Feature gate `InPlace`, without which the mode of that name does nothing. Off in the real updater; on here,
    /// since a manifest using the mode would otherwise show no effect.
    #[serde(skip, default = "on")]
    pub has_in_place_mode: bool,
    /// Feature gate `PerVPAConfig`: `evictAfterOOMSeconds` counts.
    #[serde(skip)]
    pub has_per_vpa_config: bool,
}

const fn on() -> bool {
    true
}

impl VpaSettings {
    /// Time after its last sample for which a container's aggregate is kept.
    pub(crate) fn memory_aggregation_window(&self) -> SimDuration {
        self.memory_aggregation_interval * self.memory_aggregation_interval_count
    }
}

impl Default for VpaSettings {
    fn default() -> Self {
        let day = SimDuration::from_secs(86_400);
        Self {
            recommender_interval: SimDuration::from_secs(60),
            updater_interval: SimDuration::from_secs(60),
            target_cpu_percentile: 0.9,
            target_memory_percentile: 0.9,
            lower_bound_cpu_percentile: 0.5,
            lower_bound_memory_percentile: 0.5,
            upper_bound_cpu_percentile: 0.95,
            upper_bound_memory_percentile: 0.95,
            confidence_interval_cpu: day,
            confidence_interval_memory: day,
            safety_margin_fraction: 0.15,
            cpu_histogram_half_life: day,
            memory_histogram_half_life: day,
            memory_aggregation_interval: day,
            memory_aggregation_interval_count: 8,
            oom_bump_up_ratio: 1.2,
            oom_min_bump_up: Quantity::from_bytes(100 << 20),
            pod_min_cpu_millicores: 25.0,
            pod_min_memory_mb: 250.0,
            container_recommendation_max_allowed_cpu: None,
            container_recommendation_max_allowed_memory: None,
            round_cpu_millicores: 1,
            round_memory_bytes: 1,
            post_processor_cpu_as_integer: false,
            evict_after_oom_threshold: SimDuration::from_secs(600),
            eviction_tolerance: 0.5,
            min_replicas: 2,
            eviction_lifetime_threshold: SimDuration::from_secs(12 * 3600),
            pod_update_threshold: 0.1,
            in_place_skip_disruption_budget: false,
            has_in_place_mode: true,
            has_per_vpa_config: false,
        }
    }
}
