//! The answers of the metrics APIs for each metric of the HPA in a recorded sync.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::pods::{ContainerUsage, Pod, Sample};
use super::row::ago;
use super::row_errors::EMPTY_ANSWER;
use super::sequence::{ApiState, Tick};
use cluster::hpa::{HpaSpec, MetricSource};
use cluster::meta::Name;
use controllers::hpa::{
    GroupTotal, MetricReading, PodMetric, PodMetrics, cpu_milli, memory_milli, pod_usage_milli,
};
use engine::{SimDuration, SimTime};

/// The answer of a metrics API, owned.
pub(super) enum Reading {
    Failed(Name),
    Empty,
    PerPod { values: Vec<Option<PodMetric>>, orphans: GroupTotal },
    Values(Vec<i64>),
}

impl Reading {
    /// The answer as the controller's input.
    pub(super) fn as_input(&self) -> MetricReading<'_> {
        match self {
            Self::Failed(error) => MetricReading::Failed(error),
            Self::Empty => MetricReading::Empty,
            Self::PerPod { values, orphans } => {
                MetricReading::PerPod(PodMetrics { values, orphans: *orphans })
            }
            Self::Values(values) => MetricReading::Values(values),
        }
    }
}

/// The answers for all metrics of a spec, in order.
pub(super) fn readings(spec: &HpaSpec, tick: &Tick) -> Vec<Reading> {
    spec.metrics.iter().map(|metric| reading(&metric.source, tick)).collect()
}

fn reading(source: &MetricSource, tick: &Tick) -> Reading {
    let api = match source {
        MetricSource::Resource { .. } => tick.resource_metrics_api,
        MetricSource::Pods { .. } | MetricSource::Object { .. } => tick.custom_metrics_api,
        MetricSource::External { .. } => tick.external_metrics_api,
        MetricSource::Invalid { .. } => None,
    };
    match api {
        Some(ApiState::Error) => return Reading::Failed("the API is down".into()),
        // An object metric is requested by name: there is no list that could be empty.
        Some(ApiState::Empty) if !matches!(source, MetricSource::Object { .. }) => {
            return Reading::Empty;
        }
        _ => {}
    }
    match source {
        MetricSource::Resource { resource, container } => {
            let sample = |sample: &Sample| usage(sample, resource, container.as_deref());
            per_pod(tick, |sample| sample.usage_at.is_some(), sample)
        }
        MetricSource::Pods { metric } => {
            let value = |sample: &Sample| {
                let value_milli = *sample.pod_metrics.get(&*metric.name)?;
                let (timestamp, window) = (SimTime::ZERO, SimDuration::ZERO);
                Some(PodMetric { value_milli, timestamp, window })
            };
            per_pod(tick, |sample| value(sample).is_some(), value)
        }
        MetricSource::Object { metric, .. } => {
            let value = tick.object_metrics.get(&*metric.name);
            value.map_or_else(
                || Reading::Failed("the metric is not found".into()),
                |value| Reading::Values(vec![*value]),
            )
        }
        MetricSource::External { metric } => {
            let values = tick.external_metrics.get(&*metric.name);
            values.map_or(Reading::Empty, |values| Reading::Values(values.clone()))
        }
        MetricSource::Invalid { .. } => Reading::Empty,
    }
}

/// The answer of an API with samples for the pods in `is_item`, with the value of each.
fn per_pod(
    tick: &Tick,
    is_item: impl Fn(&Sample) -> bool,
    value: impl Fn(&Sample) -> Option<PodMetric>,
) -> Reading {
    let samples = || tick.pods.iter().map(|group| &group.sample);
    if !samples().chain(&tick.orphan_metrics).any(|sample| sample.n > 0 && is_item(sample)) {
        return Reading::Empty;
    }
    let mut orphans = GroupTotal::default();
    for sample in &tick.orphan_metrics {
        if let Some(metric) = value(sample) {
            orphans.add(sample.n, metric.value_milli, 0);
        }
    }
    Reading::PerPod { values: samples().map(value).collect(), orphans }
}

fn usage(sample: &Sample, resource: &str, container: Option<&str>) -> Option<PodMetric> {
    let containers = sample.usage.as_ref()?;
    let value_milli = match container {
        Some(name) => container_usage_milli(containers.get(name)?, resource)?,
        None => pod_usage_milli(containers.values().map(|c| container_usage_milli(c, resource)))?,
    };
    Some(PodMetric {
        value_milli,
        timestamp: SimTime::from_secs_f64(sample.usage_at?),
        window: SimDuration::from_secs_f64(sample.window.unwrap_or(0.0)),
    })
}

fn container_usage_milli(container: &ContainerUsage, resource: &str) -> Option<i64> {
    match resource {
        "cpu" => container.cpu_milli.or(container.cpu_nano.map(cpu_milli)),
        "memory" => container.mem_bytes.map(memory_milli),
        _ => None,
    }
}

/// The value of a pod in a row, with its age.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgedValue {
    age_seconds: f64,
    value_milli: i64,
    #[serde(default)]
    window_seconds: f64,
}

impl AgedValue {
    /// The value as the controller's input.
    pub(super) fn metric(&self) -> PodMetric {
        PodMetric {
            value_milli: self.value_milli,
            timestamp: ago(self.age_seconds),
            window: SimDuration::from_secs_f64(self.window_seconds),
        }
    }
}

/// The answer of a metrics API in a row.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetricsResponse {
    source: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    container: String,
    #[serde(default)]
    metric: String,
    error: Option<String>,
    #[serde(default)]
    per_pod: BTreeMap<String, AgedValue>,
    value_milli: Option<i64>,
    values_milli: Option<Vec<i64>>,
}

impl MetricsResponse {
    /// The answer in the order of the pods.
    pub(super) fn reading(&self, pods: &[Pod]) -> Reading {
        match self.error.as_deref() {
            Some(EMPTY_ANSWER) => return Reading::Empty,
            Some(error) => return Reading::Failed(error.into()),
            None => {}
        }
        if let Some(values) = self.values_milli.clone().or(self.value_milli.map(|one| vec![one])) {
            return Reading::Values(values);
        }
        let of_pod = |pod: &Pod| self.per_pod.get(&pod.name).map(AgedValue::metric);
        let values = pods.iter().map(of_pod).collect();
        let mut orphans = GroupTotal::default();
        for (name, value) in &self.per_pod {
            if !pods.iter().any(|pod| pod.name == *name) {
                orphans.add(1, value.value_milli, 0);
            }
        }
        Reading::PerPod { values, orphans }
    }

    /// True if this is the answer for the metric.
    pub(super) fn is_for(&self, source: &MetricSource) -> bool {
        let (kind, name, of_container) = match source {
            MetricSource::Resource { container, .. } => {
                ("resource", &self.resource, container.as_deref().unwrap_or_default())
            }
            MetricSource::Pods { .. } => ("pods", &self.metric, &*self.container),
            MetricSource::Object { .. } => ("object", &self.metric, &*self.container),
            MetricSource::External { .. } => ("external", &self.metric, &*self.container),
            MetricSource::Invalid { .. } => return false,
        };
        self.source == kind && name == source.name() && self.container == of_container
    }
}
