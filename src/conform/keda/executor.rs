//! The scale executor: polls of one ScaledObject, each starting from the state that the previous one left.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::conditions;
use super::scaled_object::Spec;
use crate::Difference;
use crate::json::is_equal;
use crate::recording::{Mapped, inputs_of, parse};
use cluster::scaled_object::{Pause, ScaledObjectStatus};
use controllers::keda::executor::{Triggers, decide};
use engine::SimTime;

#[derive(Debug, Deserialize)]
struct Case {
    spec: Mapped<Spec>,
    loops: Vec<Mapped<Poll>>,
}

/// The inputs of a poll.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Poll {
    t: f64,
    active: bool,
    error: bool,
    annotations: Option<BTreeMap<String, String>>,
    replicas: i32,
    #[serde(default)]
    scale_refused: bool,
    expect: Value,
}

/// Replays one case and returns the first difference, if any.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    let mut spec = case.spec.lower(Pause::default());
    let mut status = ScaledObjectStatus::default();
    for (index, poll) in case.loops.iter().enumerate() {
        if let Some(annotations) = &poll.annotations {
            spec.pause = Pause::of(|name| {
                annotations.get(&format!("autoscaling.keda.sh/{name}")).map(String::as_str)
            });
        }
        let now = SimTime::from_secs_f64(poll.t);
        let triggers = Triggers { is_active: poll.active, is_failing: poll.error };
        let replicas = poll.replicas;
        let decision = decide(&spec, SimTime::ZERO, status.last_active, triggers, replicas, now);
        let written = decision.scales_to();
        let is_refused = poll.scale_refused && written.is_some();
        let after = written.filter(|_| !is_refused).unwrap_or(replicas);
        status.conditions = decision.conditions(status.conditions, &spec, triggers, is_refused);
        if decision.notes_activity(&spec, triggers, is_refused) {
            status.last_active = Some(now.floor_to_second());
        }
        let event = decision.event_reason(is_refused);
        let fields = [
            ("replicas", json!(after)),
            ("lastActive", json!(status.last_active.map(SimTime::as_secs_f64))),
            ("conditions", conditions(status.conditions)),
            ("events", json!(event.map(|reason| [reason]))),
        ];
        for (field, got) in fields {
            let expected = &poll.expect[field];
            if !is_equal(expected, &got) {
                let at = format!("poll {index} (t={})", poll.t);
                let inputs = inputs_of(line, &["loops"], index);
                let difference = Difference::new(at, field, expected.clone(), got, inputs);
                let explanation = format!("decision: {decision:?}");
                return Ok(Some(Difference { explanation, ..difference }));
            }
        }
    }
    Ok(None)
}
