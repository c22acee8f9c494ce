//! A sequence: one HPA over many syncs, each starting from what the one before left.

use serde::Deserialize;
use serde_json::{Value, json};

use super::compare::{first_difference, is_equal};
use super::readings::{Reading, readings};
use super::tick::{Template, Tick};
use super::{Flags, defaulted_spec};
use crate::Difference;
use crate::recording::parse;
use cluster::hpa::HpaSpec;
use cluster::hpa_status::HpaStatus;
use cluster::meta::Name;
use cluster::pod_template::PodSpec;
use cluster::selector::Selector;
use controllers::hpa::{
    Decision, HpaFeatureGates, HpaHistory, HpaInputs, HpaSettings, HpaView, ObservedPod,
    ObservedScale, ScaleSelector, reconcile,
};
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

/// Replays one case; what differs first, if anything does.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    let api_version = case.hpa["apiVersion"].as_str().unwrap_or("autoscaling/v2");
    let (spec, defaulted) = defaulted_spec(api_version, &case.hpa)?;
    if let Some(expected) = &case.hpa_spec_defaulted
        && !is_equal(expected, &defaulted)
    {
        return Ok(Some(Difference {
            at: String::new(),
            field: "hpaSpecDefaulted".to_owned(),
            expected: expected.clone(),
            got: defaulted,
            inputs: case.hpa.clone(),
            explanation: String::new(),
        }));
    }
    let mut replay = Replay {
        settings: case.flags.settings(case.feature_gates),
        templates: case.workload.templates.iter().map(Template::pod_spec).collect(),
        selector: &case.workload.selector,
        spec,
        status: HpaStatus::default(),
        history: HpaHistory::default(),
    };
    for (index, tick) in case.ticks.iter().enumerate() {
        let decision = replay.tick(tick)?;
        let has_replicas = tick.scale.status_replicas > 0;
        if let Some((field, expected, got)) =
            first_difference(&tick.expect, &decision, has_replicas)
        {
            return Ok(Some(Difference {
                at: format!("tick {index} (t={})", tick.t),
                field: field.to_owned(),
                expected,
                got,
                inputs: recorded_inputs(line, index),
                explanation: decision.explain(&group_name),
            }));
        }
        replay.status = decision.status;
    }
    Ok(None)
}

/// An HPA on its way through a case.
struct Replay<'a> {
    settings: HpaSettings,
    templates: Vec<PodSpec>,
    /// The workload's selector.
    selector: &'a str,
    spec: HpaSpec,
    status: HpaStatus,
    history: HpaHistory,
}

impl Replay<'_> {
    fn tick(&mut self, tick: &Tick) -> Result<Decision, String> {
        if let Some(spec) = &tick.hpa_spec {
            let object = json!({ "spec": spec });
            (self.spec, _) = defaulted_spec("autoscaling/v2", &object)?;
        }
        if tick.controller_restart {
            self.history = HpaHistory::default();
        }
        let error = Name::from("the API server says no");
        let pods: Vec<ObservedPod> =
            tick.pods.iter().map(super::tick::PodGroup::observed).collect();
        let templates: Vec<&PodSpec> = self.templates.iter().collect();
        if let Some(pod) = pods.iter().find(|pod| pod.template as usize >= templates.len()) {
            return Err(format!("t={}: there is no template {}", tick.t, pod.template));
        }
        let readings = readings(&self.spec, tick);
        let metrics: Vec<_> = readings.iter().map(Reading::as_input).collect();
        let selector = tick.scale.selector.as_deref().unwrap_or(self.selector);
        let unparsable =
            selector.parse::<Selector>().err().map(|error| Name::from(error.to_string()));
        let others = Name::from("another one");
        let selector = match &unparsable {
            _ if selector.is_empty() => ScaleSelector::Missing,
            Some(error) => ScaleSelector::Invalid(error),
            None if tick.other_hpa_selects_same_pods && !pods.is_empty() => {
                ScaleSelector::Ambiguous(&others)
            }
            None => ScaleSelector::Unique,
        };
        let scale = ObservedScale {
            spec_replicas: tick.scale.spec_replicas,
            status_replicas: tick.scale.status_replicas,
            selector,
        };
        let inputs = HpaInputs {
            hpa: HpaView {
                namespace: "default",
                spec: &self.spec,
                status: &self.status,
                settings: &self.settings,
            },
            scale: if tick.scale.get_error.0 { Err(&error) } else { Ok(scale) },
            scale_write: if tick.scale.update_error.0 { Err(&error) } else { Ok(()) },
            pods: &pods,
            templates: &templates,
            metrics: &metrics,
            pod_name: &group_name,
        };
        Ok(reconcile(&inputs, &mut self.history, SimTime::from_secs_f64(tick.t)))
    }
}

/// Recorded pods have no names: they are groups of pods that are alike.
fn group_name(index: usize) -> Name {
    format!("group {index}").into()
}

/// The recorded tick without what was expected of it.
fn recorded_inputs(line: &str, index: usize) -> Value {
    let mut case: Value = parse(line).unwrap_or_default();
    let mut tick = case["ticks"][index].take();
    if let Value::Object(fields) = &mut tick {
        fields.remove("expect");
    }
    tick
}
