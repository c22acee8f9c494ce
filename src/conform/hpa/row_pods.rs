//! Pods of table rows, and what the metrics APIs answered for them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::readings::Reading;
use super::row::ago;
use super::row_errors::EMPTY_ANSWER;
use super::tick::Phase;
use cluster::hpa::MetricSource;
use cluster::meta::Name;
use cluster::node::ConditionStatus;
use cluster::pod::PodCondition;
use cluster::pod_template::{Container, PodSpec, ResourceList};
use controllers::hpa::{GroupTotal, ObservedPod, PodMetric};
use engine::SimDuration;
use units::Quantity;

/// A pod of a row.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pod {
    pub(super) name: String,
    phase: Phase,
    #[serde(default)]
    deleting: bool,
    ready: Option<String>,
    ready_transition_age_seconds: Option<f64>,
    start_age_seconds: Option<f64>,
    #[serde(default)]
    containers: Vec<PodContainer>,
    #[serde(default, rename = "podLevelRequestsMilli")]
    level_requests_milli: BTreeMap<String, i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodContainer {
    name: String,
    #[serde(default)]
    requests_milli: BTreeMap<String, i64>,
    #[serde(default)]
    restartable_init: bool,
}

/// The value of a pod, as old as it says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgedValue {
    age_seconds: f64,
    value_milli: i64,
    #[serde(default)]
    window_seconds: f64,
}

/// What a metrics API answered.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answered {
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

impl Pod {
    /// The pod as the controller sees it, with the template of this number.
    pub(super) fn observed(&self, index: u32) -> ObservedPod {
        let condition = |status: &String| PodCondition {
            status: match status.as_str() {
                "True" => ConditionStatus::True,
                "False" => ConditionStatus::False,
                _ => ConditionStatus::Unknown,
            },
            since: ago(self.ready_transition_age_seconds.unwrap_or(0.0)),
        };
        ObservedPod {
            count: 1,
            template: index,
            phase: self.phase.into(),
            is_terminating: self.deleting,
            ready: self.ready.as_ref().map(condition),
            start_time: self.start_age_seconds.map(ago),
        }
    }

    /// What it is made from.
    pub(super) fn spec(&self) -> PodSpec {
        let mut spec = PodSpec {
            pod_requests: resource_list(&self.level_requests_milli),
            ..PodSpec::default()
        };
        for container in &self.containers {
            let is_sidecar = container.restartable_init;
            let list = if is_sidecar { &mut spec.init_containers } else { &mut spec.containers };
            list.push(Container {
                name: container.name.as_str().into(),
                requests: resource_list(&container.requests_milli),
                is_sidecar,
                ..Container::default()
            });
        }
        spec
    }
}

fn resource_list(amounts: &BTreeMap<String, i64>) -> ResourceList {
    let amounts = amounts.iter();
    amounts.map(|(name, milli)| (Name::from(name.as_str()), Quantity::from_milli(*milli))).collect()
}

impl AgedValue {
    /// The value as the controller takes it.
    pub(super) fn metric(&self) -> PodMetric {
        PodMetric {
            value_milli: self.value_milli,
            timestamp: ago(self.age_seconds),
            window: SimDuration::from_secs_f64(self.window_seconds),
        }
    }
}

impl Answered {
    /// The answer in the order of the pods.
    pub(super) fn reading(&self, pods: &[Pod]) -> Reading {
        match self.error.as_deref() {
            Some(EMPTY_ANSWER) => return Reading::Empty,
            Some(error) => return Reading::Failed(error.into()),
            None => {}
        }
        if let Some(values) = &self.values_milli {
            return Reading::Values(values.clone());
        }
        if let Some(value) = self.value_milli {
            return Reading::Values(vec![value]);
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

    /// Whether this is the answer for a metric.
    pub(super) fn is_for(&self, source: &MetricSource) -> bool {
        match source {
            MetricSource::Resource { resource, container } => {
                self.source == "resource"
                    && *self.resource == **resource
                    && *self.container == *container.as_deref().unwrap_or_default()
            }
            MetricSource::Pods { metric } => self.source == "pods" && *self.metric == *metric.name,
            MetricSource::Object { metric, .. } => {
                self.source == "object" && *self.metric == *metric.name
            }
            MetricSource::External { metric } => {
                self.source == "external" && *self.metric == *metric.name
            }
            MetricSource::Invalid { .. } => false,
        }
    }
}

/// Pods of a row in the form of the controller.
pub(super) struct Pods {
    pub(super) observed: Vec<ObservedPod>,
    pub(super) specs: Vec<PodSpec>,
    pub(super) names: Vec<Name>,
}

impl Pods {
    pub(super) fn new(pods: &[Pod]) -> Self {
        Self {
            observed: (0..).zip(pods).map(|(index, pod)| pod.observed(index)).collect(),
            specs: pods.iter().map(Pod::spec).collect(),
            names: pods.iter().map(|pod| pod.name.as_str().into()).collect(),
        }
    }
}
