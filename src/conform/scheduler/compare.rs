//! The first difference between a replay and the recording.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::case::Case;
use super::world::Step;
use crate::Difference;

/// The real scheduler's choice among equal nodes, which depends on its heap and not on a rule.
const INFORMATIVE: [&str; 1] = ["schedulerPick"];

/// Fields decided first are compared first, so that a difference is shown where it originates.
const FIRST: [&str; 5] = ["pod", "result", "rejected", "feasible", "scores"];

/// The first difference between the recorded steps and ours.
pub(super) fn first_difference(case: &Case, decided: &[Step]) -> Option<Difference> {
    let recorded = &case.steps;
    for (number, (recorded, decided)) in recorded.iter().zip(decided).enumerate() {
        if let Some(difference) = differs(number, recorded, decided) {
            return Some(difference);
        }
    }
    if recorded.len() != decided.len() {
        let (expected, got) = (json!(recorded.len()), json!(decided.len()));
        return Some(Difference::new("", "number of steps", expected, got, Value::Null));
    }
    let tried = |step: &&Step| step.get("result") != Some(&json!("gated"));
    let queue: Vec<&Value> = decided.iter().filter(tried).map(|step| &step["pod"]).collect();
    let (expected, got) = (json!(case.queue), json!(queue));
    (expected != got).then(|| Difference::new("", "queue", expected, got, Value::Null))
}

fn differs(
    number: usize,
    recorded: &BTreeMap<String, Value>,
    decided: &Step,
) -> Option<Difference> {
    let pod = recorded.get("pod").and_then(Value::as_str).unwrap_or_default();
    let at = format!("step {} ({pod})", number + 1);
    let fields = FIRST.into_iter().chain(recorded.keys().map(String::as_str));
    let fields = fields.chain(decided.keys().map(String::as_str));
    for field in fields.filter(|field| !INFORMATIVE.contains(field)) {
        let expected = normalized(field, recorded.get(field));
        let got = normalized(field, decided.get(field));
        if expected != got {
            let inputs = json!({"pod": pod, "rejected": decided.get("rejected")});
            return Some(Difference::new(at, field, expected, got, inputs));
        }
    }
    None
}

/// Groups of rejected nodes, preemption candidates, and cleared nominations are sets: their order does not matter.
fn normalized(field: &str, value: Option<&Value>) -> Value {
    let mut value = value.cloned().unwrap_or(Value::Null);
    match field {
        "rejected" => sort(&mut value, |group| group["nodes"][0].to_string()),
        "postFilter" => {
            for (set, name) in [("candidates", "/node"), ("clearedNominations", "")] {
                let name = |one: &Value| one.pointer(name).map(Value::to_string);
                if let Some(set) = value.get_mut(set) {
                    sort(set, name);
                }
            }
        }
        _ => {}
    }
    value
}

fn sort<K: Ord>(list: &mut Value, key: impl Fn(&Value) -> K) {
    if let Value::Array(list) = list {
        list.sort_by_key(key);
    }
}
