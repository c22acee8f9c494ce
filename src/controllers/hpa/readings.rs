//! Reads the metrics APIs for each metric of an HPA (the metrics client,
//! `pkg/controller/podautoscaler/metrics/client.go`).

use super::{MetricReading, PodMetric, PodMetrics, cpu_milli, memory_milli, pod_usage_milli};
use crate::keda::{external_value, scaled_object_of};
use cluster::Kind;
use cluster::custom_metrics::{ApiHealth, MetricsApi};
use cluster::hpa::{MetricIdentifier, MetricSource};
use cluster::hpa_object::HpaObject;
use cluster::meta::Name;
use cluster::metrics::Sample;
use cluster::pod::PodId;
use cluster::{ClusterView, NamespacedName, ObjectReference};

/// Response of a metrics API, owned.
#[derive(Clone, Debug)]
pub enum Reading {
    /// The call fails with this error.
    Failed(Name),
    /// No pod has a sample.
    Empty,
    /// Values of the pods, in their order: a sample may be without the value.
    PerPod(Vec<Option<PodMetric>>),
    /// Values in thousandths of a unit.
    Values(Vec<i64>),
}

impl Reading {
    /// The answer as the controller takes it.
    pub fn as_input(&self) -> MetricReading<'_> {
        match self {
            Self::Failed(error) => MetricReading::Failed(error),
            Self::Empty => MetricReading::Empty,
            Self::PerPod(values) => {
                MetricReading::PerPod(PodMetrics { values, ..PodMetrics::default() })
            }
            Self::Values(values) => MetricReading::Values(values),
        }
    }
}

/// The answer for one metric of an HPA with these pods.
pub fn reading(
    view: ClusterView<'_>,
    hpa: &HpaObject,
    source: &MetricSource,
    pods: &[PodId],
) -> Reading {
    if let Some(error) = api_error(view, source).or_else(|| source_error(view, source)) {
        return Reading::Failed(error);
    }
    match source {
        MetricSource::Resource { resource, container } => {
            let table = view.store().pod_metrics();
            let is_cpu = &**resource == "cpu";
            let value = |pod: &PodId| {
                let sample = table.get(*pod)?;
                let Sample { timestamp, window, .. } = sample;
                let value_milli = if is_cpu && container.is_none() && sample.others.is_empty() {
                    cpu_milli(sample.cpu_nano)
                } else {
                    usage_milli(view, *pod, sample, resource, container.as_deref())?
                };
                Some(PodMetric { value_milli, timestamp, window })
            };
            if !pods.iter().any(|pod| table.get(*pod).is_some()) {
                return Reading::Empty;
            }
            Reading::PerPod(pods.iter().map(value).collect())
        }
        MetricSource::Pods { metric } => {
            let series = || view.store().custom_metrics().series.get(&*metric.name);
            if series().is_none() {
                return Reading::Failed(not_found(&metric.name, "pods"));
            }
            let value = |pod: &PodId| {
                let custom = view.store().custom_metrics();
                let mut series = custom.matching(&metric.name, metric.selector.as_ref());
                series.find_map(|one| {
                    let value_milli = one.of_pod(*pod)?;
                    let (timestamp, window) = (one.timestamp, one.window);
                    Some(PodMetric { value_milli, timestamp, window })
                })
            };
            let values: Vec<Option<PodMetric>> = pods.iter().map(value).collect();
            if values.iter().all(Option::is_none) {
                return Reading::Empty;
            }
            Reading::PerPod(values)
        }
        MetricSource::Object { metric, described_object } => {
            let object = ObjectReference {
                kind: Kind::spelled(&described_object.kind).unwrap_or(Kind::CustomResource),
                id: NamespacedName::new(
                    hpa.meta.namespace().clone(),
                    described_object.name.clone(),
                ),
            };
            object_value(view, metric, &object)
        }
        MetricSource::External { metric } => {
            if let Some(scaled_object) = scaled_object_of(metric) {
                let namespace = hpa.meta.namespace();
                return match external_value(view, namespace, scaled_object, &metric.name) {
                    Some(Ok(value)) => Reading::Values(vec![value]),
                    Some(Err(error)) => Reading::Failed(error.into()),
                    None => Reading::Values(Vec::new()),
                };
            }
            let custom = view.store().custom_metrics();
            let series = custom.matching(&metric.name, metric.selector.as_ref());
            Reading::Values(series.filter_map(|one| one.external).collect())
        }
        MetricSource::Invalid { .. } => Reading::Values(Vec::new()),
    }
}

fn object_value(
    view: ClusterView<'_>,
    metric: &MetricIdentifier,
    object: &ObjectReference,
) -> Reading {
    let custom = view.store().custom_metrics();
    let mut series = custom.matching(&metric.name, metric.selector.as_ref());
    if let Some(value) = series.find_map(|one| one.objects.get(object).copied()) {
        return Reading::Values(vec![value]);
    }
    let resource = format!("{}s", object.kind.name().to_lowercase());
    Reading::Failed(not_found(&metric.name, &resource))
}

fn usage_milli(
    view: ClusterView<'_>,
    pod: PodId,
    sample: Sample<'_>,
    resource: &str,
    container: Option<&str>,
) -> Option<i64> {
    let amount = |cpu_nano: i64, memory: i64| match resource {
        "cpu" => Some(cpu_milli(cpu_nano)),
        "memory" => Some(memory_milli(memory)),
        _ => None,
    };
    let own = amount(sample.cpu_nano, sample.memory.0);
    let mut others = sample.others.iter();
    let Some(name) = container else {
        let others = others.map(|one| amount(one.cpu_nano, one.memory.0));
        return pod_usage_milli([own].into_iter().chain(others));
    };
    if let Some(other) = others.find(|one| *one.container == *name) {
        return amount(other.cpu_nano, other.memory.0);
    }
    let template = view.template_of(view.pods().get(pod)?);
    let exists = template.spec.containers.iter().any(|container| *container.name == *name);
    own.filter(|_| exists)
}

/// The error of an API that does not answer.
fn api_error(view: ClusterView<'_>, source: &MetricSource) -> Option<Name> {
    let apis = view.store().metrics_apis();
    if matches!(source, MetricSource::Resource { .. })
        && apis.health(MetricsApi::Resource) == ApiHealth::Serving
    {
        return None;
    }
    let (api, resource) = match source {
        MetricSource::Resource { .. } => (MetricsApi::Resource, "pods.metrics.k8s.io".to_owned()),
        MetricSource::Pods { .. } => (MetricsApi::Custom, "pods.custom.metrics.k8s.io *".into()),
        MetricSource::Object { described_object, .. } => {
            let object = described_object;
            let resource = object.kind.to_lowercase();
            (MetricsApi::Custom, format!("{resource}s.custom.metrics.k8s.io {}", object.name))
        }
        MetricSource::External { metric } => {
            (MetricsApi::External, format!("{}.external.metrics.k8s.io", metric.name))
        }
        MetricSource::Invalid { .. } => return None,
    };
    match (apis.health(api), api) {
        (ApiHealth::Serving, _) => None,
        (ApiHealth::Unregistered, MetricsApi::Custom) => {
            Some("no custom metrics API (custom.metrics.k8s.io) registered".into())
        }
        (ApiHealth::Unregistered, _) => Some(
            format!("the server could not find the requested resource (get {resource})").into(),
        ),
        (ApiHealth::Unavailable, _) => {
            let text = "the server is currently unable to handle the request";
            Some(format!("{text} (get {resource})").into())
        }
    }
}

/// The error of an adapter whose metric source does not respond.
fn source_error(view: ClusterView<'_>, source: &MetricSource) -> Option<Name> {
    let (MetricSource::Pods { metric }
    | MetricSource::Object { metric, .. }
    | MetricSource::External { metric }) = source
    else {
        return None;
    };
    let is_failing = view.store().is_metric_failing(&metric.name);
    is_failing.then(|| "Internal error occurred: unable to fetch metrics".into())
}

/// The adapter's answer where it has no such metric (`NewMetricNotFoundError` of
/// `custom-metrics-apiserver`).
fn not_found(metric: &str, resource: &str) -> Name {
    format!("the server could not find the metric {metric} for {resource}").into()
}
