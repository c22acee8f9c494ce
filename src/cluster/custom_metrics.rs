//! Values served by the custom and external metrics APIs (`custom.metrics.k8s.io`, `external.metrics.k8s.io`), and
//! the availability of the metrics APIs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::meta::{Labels, Name};
use super::pod::PodId;
use super::reference::ObjectReference;
use super::selector::Selector;
use engine::{SimDuration, SimTime};

/// One of the three APIs that the HPA controller reads.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum MetricsApi {
    /// `metrics.k8s.io`, served by metrics-server: CPU and memory.
    Resource,
    /// `custom.metrics.k8s.io`, served by an adapter: metrics of pods and other objects.
    Custom,
    /// `external.metrics.k8s.io`, served by an adapter: all other metrics.
    External,
}

/// Availability of a metrics API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiHealth {
    /// It responds.
    #[default]
    Serving,
    /// It is registered, but its server does not respond.
    Unavailable,
    /// The API is not registered in this cluster.
    Unregistered,
}

/// All metrics of the custom and external APIs, by name.
#[derive(Clone, Debug, Default)]
pub struct CustomMetrics {
    /// Series by metric name, in the order of the adapter's rules.
    pub series: BTreeMap<Name, Vec<MetricSeries>>,
}

/// One metric with its labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricSeries {
    /// Labels matched by metric selectors.
    pub labels: Labels,
    /// Values of pods in thousandths of a unit, by ascending id.
    pub pods: Vec<(PodId, i64)>,
    /// Values of other objects, in thousandths of a unit.
    pub objects: BTreeMap<ObjectReference, i64>,
    /// Value in the external API, in thousandths of a unit.
    pub external: Option<i64>,
    /// The value behind `external` as Prometheus computes it, which analyses judge.
    pub exact: Option<f64>,
    /// Time of the measurement.
    pub timestamp: SimTime,
    /// Averaging window; zero for a gauge.
    pub window: SimDuration,
}

impl CustomMetrics {
    /// The series with this name that match a selector.
    pub fn matching<'a>(
        &'a self,
        name: &str,
        selector: Option<&'a Selector>,
    ) -> impl Iterator<Item = &'a MetricSeries> {
        let series = self.series.get(name).into_iter().flatten();
        series.filter(move |one| selector.is_none_or(|selector| selector.matches(&one.labels)))
    }
}

impl MetricSeries {
    /// The value of a pod.
    pub fn of_pod(&self, pod: PodId) -> Option<i64> {
        let place = self.pods.binary_search_by_key(&pod, |(other, _)| *other).ok()?;
        Some(self.pods[place].1)
    }
}

/// Availability of the three metrics APIs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsApis {
    /// `metrics.k8s.io`.
    pub resource: ApiHealth,
    /// `custom.metrics.k8s.io`.
    pub custom: ApiHealth,
    /// `external.metrics.k8s.io`.
    pub external: ApiHealth,
}

impl MetricsApis {
    /// Availability of one API.
    pub const fn health(&self, api: MetricsApi) -> ApiHealth {
        match api {
            MetricsApi::Resource => self.resource,
            MetricsApi::Custom => self.custom,
            MetricsApi::External => self.external,
        }
    }

    pub(super) const fn set(&mut self, api: MetricsApi, health: ApiHealth) {
        match api {
            MetricsApi::Resource => self.resource = health,
            MetricsApi::Custom => self.custom = health,
            MetricsApi::External => self.external = health,
        }
    }
}
