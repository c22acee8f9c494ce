//! The metrics pipeline as a scenario sets it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::prometheus::PrometheusSettings;
use super::rule::MetricRule;
use engine::SimDuration;
use units::LoopPhase;

/// The metrics pipeline, from kubelets and applications to the figures that autoscalers read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// From scrape to scrape of metrics-server (`--metric-resolution`), and so the window of its CPU
    /// samples. Default 15s, as in its published manifests; the flag's own default is 60s.
    #[schemars(extend("x-minimum" = "100ms"))]
    pub resolution: SimDuration,
    /// How often a kubelet reads the counters of a container whose pod takes requests (`--housekeeping-interval`; cAdvisor
    /// waits once to twice as long, by chance): a scrape has what was read last. Default 10s; 0s: the counters of the
    /// scrape's own instant.
    pub housekeeping_interval: SimDuration,
    /// From the beginning of a scrape until metrics-server serves its samples: when all kubelets have answered. Default
    /// 3s, as measured beside a busy control plane.
    pub scrape_time: SimDuration,
    /// When its first scrape of the run comes. Default 5s.
    pub first_scrape: LoopPhase,
    /// The Prometheus behind custom and external metrics.
    pub prometheus: PrometheusSettings,
    /// The metrics that an adapter serves to HPAs of type Pods, Object and External, and to triggers of
    /// KEDA. Default: none, and no adapter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom: Vec<MetricRule>,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            resolution: SimDuration::from_secs(15),
            housekeeping_interval: SimDuration::from_secs(10),
            scrape_time: SimDuration::from_secs(3),
            first_scrape: LoopPhase::After(SimDuration::from_secs(5)),
            prometheus: PrometheusSettings::default(),
            custom: Vec::new(),
        }
    }
}
