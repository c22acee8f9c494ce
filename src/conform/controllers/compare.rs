//! Whether a replay agrees with the recording, by the rules of the golden README ("How to
//! compare").

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::case::Case;
use super::trace::Trace;

/// Times that differ by less are equal [s].
const TIME_TOLERANCE: f64 = 1e-6;

/// All that differs; empty if the replay agrees.
pub(super) fn differences(case: &Case, trace: &Trace) -> Vec<String> {
    let mut differences = timeline(case, trace);
    differences.extend(pods(case, trace));
    differences
}

fn timeline(case: &Case, trace: &Trace) -> Vec<String> {
    let expected = by_time(&case.expect.timeline);
    let ours = by_time(&trace.timeline);
    let alternatives: Vec<&Value> =
        case.expect.alternatives.iter().chain(&case.expect.alternatives_batched).collect();
    let mut times: Vec<i64> = expected.keys().chain(ours.keys()).copied().collect();
    times.sort_unstable();
    times.dedup();
    let mut differences = Vec::new();
    for time in times {
        let (expected, ours) = (expected.get(&time), ours.get(&time));
        let is_alternative = ours.is_some_and(|ours| {
            alternatives.iter().any(|other| time_of(other) == time && is_same_state(other, ours))
        });
        let agrees = match (expected, ours) {
            (Some(expected), Some(ours)) => is_same_state(expected, ours),
            _ => false,
        };
        if !agrees && !is_alternative {
            let (expected, ours) = (expected.map(|r| text(r)), ours.map(|r| text(r)));
            let none = || "no record".to_owned();
            differences.push(format!(
                "timeline:\n  expected {}\n  ours     {}",
                expected.unwrap_or_else(none),
                ours.unwrap_or_else(none)
            ));
        }
    }
    differences
}

/// Microseconds, so that equal times have equal keys.
#[expect(clippy::cast_possible_truncation, reason = "times of cases are small")]
fn time_of(record: &Value) -> i64 {
    libm::round(record["t"].as_f64().unwrap_or(-1e9) / TIME_TOLERANCE) as i64
}

fn by_time(records: &[Value]) -> BTreeMap<i64, &Value> {
    records.iter().map(|record| (time_of(record), record)).collect()
}

fn text(record: &Value) -> String {
    record.to_string()
}

/// Whether two records show the same state, but for the reasons of Progressing=True of which the
/// real controller keeps one or another by chance.
fn is_same_state(one: &Value, other: &Value) -> bool {
    canonical(one) == canonical(other)
}

fn canonical(record: &Value) -> Value {
    let mut record = record.clone();
    record["t"] = Value::Null;
    let deployments = record.get_mut("deployment").and_then(Value::as_object_mut);
    for (_, deployment) in deployments.into_iter().flatten() {
        for condition in deployment["cond"].as_array_mut().into_iter().flatten() {
            let is_moving = ["NewReplicaSetCreated", "ReplicaSetUpdated", "FoundNewReplicaSet"]
                .iter()
                .any(|reason| *condition == json!(["Progressing", "True", reason]));
            if is_moving {
                *condition = json!("progressing");
            }
        }
    }
    record
}

fn pods(case: &Case, trace: &Trace) -> Vec<String> {
    let Some(expected) = &case.expect.pods else { return Vec::new() };
    let with_ordinals = case.stable.pod_ordinals;
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for event in expected {
        counts.entry(pod_key(event, with_ordinals)).or_default().0 += 1;
    }
    for event in &trace.pods {
        counts.entry(pod_key(event, with_ordinals)).or_default().1 += 1;
    }
    counts
        .into_iter()
        .filter(|(_, (expected, ours))| expected != ours)
        .filter(|(_, (expected, _))| !case.pods_list_truncated || *expected > 0)
        .map(|(event, (expected, ours))| format!("pods: {event}: {expected} expected, {ours} ours"))
        .collect()
}

/// What must be equal of a pod event. UIDs and generated names never are.
fn pod_key(event: &Value, with_ordinal: bool) -> String {
    let mut extra = event[4].clone();
    if let Some(fields) = extra.as_object_mut() {
        fields.shift_remove("uid");
        fields.shift_remove("name");
        fields.sort_keys();
    }
    let time = event[0].as_f64().unwrap_or(-1.0);
    let ordinal = if with_ordinal { event[3].clone() } else { Value::Null };
    json!([time, event[1], event[2], ordinal, extra]).to_string()
}
