//! The metrics pipeline's settings in a scenario.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::prometheus::PrometheusSettings;
use super::rule::MetricRule;
use engine::SimDuration;
use units::LoopPhase;

/// The metrics pipeline, from kubelets and applications to the metrics that autoscalers read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Scrape interval of metrics-server (`--metric-resolution`), which is also the window of its CPU samples. Default
    /// 15s, as in its published manifests; the flag's own default is 60s.
    #[schemars(extend("x-minimum" = "100ms"))]
    pub resolution: SimDuration,
    /// Interval at which a kubelet reads the counters of a container whose pod takes requests
    /// (`--housekeeping-interval`; cAdvisor waits a random time of once to twice that): a scrape returns the last
    /// reading. Default 10s; 0s: the counters at the time of the scrape.
    pub housekeeping_interval: SimDuration,
    /// Time from the start of a scrape until metrics-server serves its samples, once all kubelets have answered.
    /// Default 3s, as measured next to a busy control plane.
    pub scrape_time: SimDuration,
    /// Time of the run's first scrape. Default 5s.
    pub first_scrape: LoopPhase,
    /// The Prometheus that supplies custom and external metrics.
    pub prometheus: PrometheusSettings,
    /// The metrics that an adapter serves to HPAs of type Pods, Object and External, and to KEDA triggers. Default:
    /// none, and no adapter.
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
