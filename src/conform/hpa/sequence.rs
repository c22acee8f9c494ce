//! A sequence: one HPA over many syncs, each starting from the state that the previous one left.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::compare::first_difference;
use super::pods::{Pod, Sample, Template};
use super::readings::readings;
use super::sync::{Scale, Sync};
use super::{Flags, defaulted_spec};
use crate::Difference;
use crate::json::is_equal;
use crate::recording::parse;
use cluster::hpa_status::HpaStatus;
use cluster::pod_template::PodSpec;
use controllers::hpa::{HpaFeatureGates, HpaHistory};
use engine::SimTime;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    #[serde(default)]
    flags: Flags,
    #[serde(default)]
    feature_gates: HpaFeatureGates,
    hpa: Value,
    hpa_spec_defaulted: Option<Value>,
    workload: Workload,
    ticks: Vec<Tick>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Workload {
    #[serde(default)]
    selector: String,
    templates: Vec<Template>,
}

/// The inputs of a sync.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tick {
    t: f64,
    hpa_spec: Option<Value>,
    #[serde(default)]
    controller_restart: bool,
    #[serde(default)]
    other_hpa_selects_same_pods: bool,
    scale: Scale,
    #[serde(default)]
    pub(super) pods: Vec<Pod>,
    #[serde(default)]
    pub(super) orphan_metrics: Vec<Sample>,
    pub(super) resource_metrics_api: Option<ApiState>,
    pub(super) custom_metrics_api: Option<ApiState>,
    pub(super) external_metrics_api: Option<ApiState>,
    #[serde(default)]
    pub(super) object_metrics: BTreeMap<String, i64>,
    #[serde(default)]
    pub(super) external_metrics: BTreeMap<String, Vec<i64>>,
    expect: Value,
}

/// Failure of a metrics API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ApiState {
    /// The call fails.
    Error,
    /// It answers with an empty list.
    Empty,
}

/// Replays one case and returns the first difference, if any.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    let api_version = case.hpa["apiVersion"].as_str().unwrap_or("autoscaling/v2");
    let (mut spec, defaulted) = defaulted_spec(api_version, &case.hpa)?;
    if let Some(expected) = case.hpa_spec_defaulted
        && !is_equal(&expected, &defaulted)
    {
        let field = "hpaSpecDefaulted";
        return Ok(Some(Difference::new("", field, expected, defaulted, case.hpa)));
    }
    let settings = case.flags.settings(case.feature_gates)?;
    let templates: Result<Vec<PodSpec>, String> =
        case.workload.templates.iter().map(Template::pod_spec).collect();
    let templates = templates?;
    let (mut status, mut history) = (HpaStatus::default(), HpaHistory::default());
    for (index, tick) in case.ticks.iter().enumerate() {
        if let Some(changed) = &tick.hpa_spec {
            (spec, _) = defaulted_spec("autoscaling/v2", &json!({ "spec": changed }))?;
        }
        if tick.controller_restart {
            history = HpaHistory::default();
        }
        if let Some(pod) = tick.pods.iter().find(|pod| pod.template as usize >= templates.len()) {
            return Err(format!("t={}: there is no template {}", tick.t, pod.template));
        }
        let sync = Sync {
            namespace: "default",
            settings: &settings,
            spec: &spec,
            status: &status,
            scale: Some(&tick.scale),
            selector: &case.workload.selector,
            has_rival: tick.other_hpa_selects_same_pods,
            write_fails: tick.scale.update_error.0,
            pods: &tick.pods,
            templates: &templates,
            readings: &readings(&spec, tick),
            now: SimTime::from_secs_f64(tick.t),
        };
        let decision = sync.reconcile(&mut history);
        let has_replicas = tick.scale.status_replicas > 0;
        if let Some((field, expected, got)) =
            first_difference(&tick.expect, &decision, has_replicas)
        {
            let at = format!("tick {index} (t={})", tick.t);
            let inputs = recorded_inputs(line, index);
            return Ok(Some(Difference {
                explanation: decision.explain(&|index| format!("group {index}").into()),
                ..Difference::new(at, field, expected, got, inputs)
            }));
        }
        status = decision.status;
    }
    Ok(None)
}

/// The recorded tick without its expected results.
fn recorded_inputs(line: &str, index: usize) -> Value {
    let mut case: Value = parse(line).unwrap_or_default();
    let mut tick = case["ticks"][index].take();
    if let Value::Object(fields) = &mut tick {
        fields.remove("expect");
    }
    tick
}
