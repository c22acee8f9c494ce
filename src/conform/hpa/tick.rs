//! The inputs of one sync as recordings hold them, and how they become those of the controller.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use cluster::meta::Name;
use cluster::pod::{PodCondition, PodPhase};
use cluster::pod_template::{Container, PodSpec, ResourceList};
use controllers::hpa::ObservedPod;
use engine::SimTime;
use units::Quantity;

/// Go's zero time, in seconds since the start of a case: a transition that nobody wrote down.
const ZERO_TIME: f64 = -1e9;

/// What was there when the controller looked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tick {
    pub(super) t: f64,
    pub(super) hpa_spec: Option<Value>,
    #[serde(default)]
    pub(super) controller_restart: bool,
    #[serde(default)]
    pub(super) other_hpa_selects_same_pods: bool,
    pub(super) scale: Scale,
    #[serde(default)]
    pub(super) pods: Vec<PodGroup>,
    #[serde(default)]
    pub(super) orphan_metrics: Vec<Sample>,
    pub(super) resource_metrics_api: Option<ApiState>,
    pub(super) custom_metrics_api: Option<ApiState>,
    pub(super) external_metrics_api: Option<ApiState>,
    #[serde(default)]
    pub(super) object_metrics: BTreeMap<String, i64>,
    #[serde(default)]
    pub(super) external_metrics: BTreeMap<String, Vec<i64>>,
    pub(super) expect: super::compare::ExpectedTick,
}

/// The scale subresource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scale {
    #[serde(default)]
    pub(super) spec_replicas: i32,
    #[serde(default)]
    pub(super) status_replicas: i32,
    pub(super) selector: Option<String>,
    #[serde(default)]
    pub(super) get_error: Flag,
    #[serde(default)]
    pub(super) update_error: Flag,
}

/// A flag that may also be written as a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
pub(super) struct Flag(pub(super) bool);

impl From<Value> for Flag {
    fn from(value: Value) -> Self {
        Self(!matches!(value, Value::Null | Value::Bool(false)))
    }
}

/// How a metrics API misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ApiState {
    /// The call fails.
    Error,
    /// It answers with an empty list.
    Empty,
}

/// Pods that are alike in everything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodGroup {
    phase: Phase,
    ready: Option<bool>,
    ready_since: Option<f64>,
    start: Option<f64>,
    #[serde(default)]
    deleting: bool,
    #[serde(default)]
    template: u32,
    #[serde(flatten)]
    pub(super) sample: Sample,
}

/// What the metrics APIs say about pods that are alike.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sample {
    #[serde(default = "one")]
    pub(super) n: u32,
    pub(super) usage: Option<BTreeMap<String, ContainerUsage>>,
    /// A sample exists if this is present.
    pub(super) usage_at: Option<f64>,
    pub(super) window: Option<f64>,
    #[serde(default)]
    pub(super) pod_metrics: BTreeMap<String, i64>,
}

/// What one container uses.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerUsage {
    pub(super) cpu_milli: Option<i64>,
    pub(super) cpu_nano: Option<i64>,
    pub(super) mem_bytes: Option<i64>,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Phase {
    /// Unset, which the upstream tests leave it.
    #[serde(rename = "")]
    Unset,
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// What pods are made from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Template {
    containers: Vec<TemplateContainer>,
    #[serde(default)]
    pod_level_requests: BTreeMap<String, Quantity>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateContainer {
    name: String,
    #[serde(default)]
    requests: BTreeMap<String, Quantity>,
    #[serde(default)]
    restartable_init: bool,
}

const fn one() -> u32 {
    1
}

impl From<Phase> for PodPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Pending => Self::Pending,
            Phase::Running => Self::Running,
            Phase::Succeeded => Self::Succeeded,
            Phase::Failed => Self::Failed,
            Phase::Unset | Phase::Unknown => Self::Unknown,
        }
    }
}

impl PodGroup {
    /// The pods as the controller sees them.
    pub(super) fn observed(&self) -> ObservedPod {
        let condition = |ready: bool| PodCondition {
            status: ready.into(),
            since: SimTime::from_secs_f64(self.ready_since.unwrap_or(ZERO_TIME)),
        };
        ObservedPod {
            count: self.sample.n,
            template: self.template,
            phase: self.phase.into(),
            is_terminating: self.deleting,
            ready: self.ready.map(condition),
            start_time: self.start.map(SimTime::from_secs_f64),
        }
    }
}

impl Template {
    /// The parts of a pod's spec that the HPA looks at.
    pub(super) fn pod_spec(&self) -> PodSpec {
        let mut spec =
            PodSpec { pod_requests: resource_list(&self.pod_level_requests), ..PodSpec::default() };
        for container in &self.containers {
            let is_sidecar = container.restartable_init;
            let list = if is_sidecar { &mut spec.init_containers } else { &mut spec.containers };
            list.push(Container {
                name: container.name.as_str().into(),
                requests: resource_list(&container.requests),
                is_sidecar,
                ..Container::default()
            });
        }
        spec
    }
}

fn resource_list(amounts: &BTreeMap<String, Quantity>) -> ResourceList {
    amounts.iter().map(|(name, amount)| (Name::from(name.as_str()), *amount)).collect()
}
