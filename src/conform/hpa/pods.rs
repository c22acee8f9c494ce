//! Recorded pods and their templates, and the conversion to the controller's input.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::row::ago;
use crate::objects::{condition_status, object_of, phase};
use cluster::pod::PodCondition;
use cluster::pod_template::PodSpec;
use controllers::hpa::ObservedPod;
use engine::SimTime;

/// Go's zero time, in seconds since the start of a case: a transition time that is not set.
const ZERO_TIME: f64 = -1e9;

/// Several equal pods, or one named pod. Times are relative to the start of a sequence, or ages at the single
/// decision of a row.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pod {
    /// Empty in sequences.
    #[serde(default)]
    pub(super) name: String,
    phase: String,
    #[serde(default)]
    deleting: bool,
    /// A boolean in sequences, the status of the condition in rows.
    ready: Option<Value>,
    ready_since: Option<f64>,
    ready_transition_age_seconds: Option<f64>,
    start: Option<f64>,
    start_age_seconds: Option<f64>,
    #[serde(default)]
    pub(super) template: u32,
    /// For rows.
    #[serde(flatten)]
    pub(super) own_template: Template,
    /// For sequences.
    #[serde(flatten)]
    pub(super) sample: Sample,
}

/// The metrics APIs' data about equal pods.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sample {
    #[serde(default = "one")]
    pub(super) n: u32,
    /// By container.
    pub(super) usage: Option<BTreeMap<String, ContainerUsage>>,
    /// Time of the sample; absent if there is none.
    pub(super) usage_at: Option<f64>,
    pub(super) window: Option<f64>,
    #[serde(default)]
    pub(super) pod_metrics: BTreeMap<String, i64>,
}

/// Usage of one container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerUsage {
    pub(super) cpu_milli: Option<i64>,
    pub(super) cpu_nano: Option<i64>,
    pub(super) mem_bytes: Option<i64>,
}

/// The parts of a pod template that the controller reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Template {
    containers: Vec<Container>,
    /// Init containers listed separately by a row; others are among `containers`, marked by `restartableInit`.
    init_containers: Vec<Container>,
    pod_level_requests: Map<String, Value>,
    pod_level_requests_milli: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    requests: Map<String, Value>,
    requests_milli: Map<String, Value>,
    restartable_init: bool,
    restart_policy: Option<String>,
}

impl Container {
    /// True if it is a restartable init container (sidecar).
    fn is_restartable(&self) -> bool {
        self.restartable_init || self.restart_policy.as_deref() == Some("Always")
    }
}

const fn one() -> u32 {
    1
}

impl Pod {
    /// The pods as the controller's input.
    pub(super) fn observed(&self) -> ObservedPod {
        let time = |since: Option<f64>, age: Option<f64>| {
            since.map(SimTime::from_secs_f64).or(age.map(ago))
        };
        let since = time(self.ready_since, self.ready_transition_age_seconds);
        let condition = |ready: &Value| PodCondition {
            status: match ready {
                Value::Bool(is_ready) => (*is_ready).into(),
                status => condition_status(status.as_str().unwrap_or_default()),
            },
            since: since.unwrap_or(SimTime::from_secs_f64(ZERO_TIME)),
        };
        ObservedPod {
            count: self.sample.n,
            template: self.template,
            phase: phase(&self.phase),
            is_terminating: self.deleting,
            ready: self.ready.as_ref().map(condition),
            start_time: time(self.start, self.start_age_seconds),
        }
    }
}

impl Template {
    /// The spec of a pod.
    pub(super) fn pod_spec(&self) -> Result<PodSpec, String> {
        // The API server would reject this, but some of the upstream tests use it.
        if self.containers.is_empty() {
            return Ok(PodSpec::default());
        }
        let container = |one: &Container| {
            json!({
                "name": one.name,
                "image": "app",
                "resources": { "requests": amounts(&one.requests, &one.requests_milli) },
                "restartPolicy": one.is_restartable().then_some("Always"),
            })
        };
        let of = |is_init: bool| -> Value {
            let own = self.containers.iter().filter(|one| one.restartable_init == is_init);
            let named = self.init_containers.iter().filter(|_| is_init);
            own.chain(named).map(container).collect()
        };
        let level = amounts(&self.pod_level_requests, &self.pod_level_requests_milli);
        let pod = json!({ "metadata": { "name": "pod" }, "spec": {
            "containers": of(false),
            "initContainers": of(true),
            "resources": { "requests": level },
        } });
        let pod = object_of(("v1", "Pod"), pod, "template")?;
        let template = pod.spec.pod_template();
        template.map(|template| template.spec.clone()).ok_or_else(|| "template: is none".to_owned())
    }
}

/// Amounts as in a manifest, from quantities and from milli-units.
fn amounts(texts: &Map<String, Value>, milli: &Map<String, Value>) -> Map<String, Value> {
    let milli = milli.iter().map(|(name, milli)| (name.clone(), json!(format!("{milli}m"))));
    texts.clone().into_iter().chain(milli).collect()
}

/// The pod specs of a row, with a separate template per pod.
pub(super) fn own_templates(pods: &mut [Pod]) -> Result<Vec<PodSpec>, String> {
    let numbered = (0..).zip(pods);
    let lowered = numbered.map(|(number, pod)| {
        pod.template = number;
        pod.own_template.pod_spec()
    });
    lowered.collect()
}
