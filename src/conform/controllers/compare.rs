//! Whether a replay agrees with the recording, by the rules of the golden README ("How to
//! compare").

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::case::Case;
use super::trace::Trace;

/// All that differs; empty if the replay agrees.
pub(super) fn differences(case: &Case, trace: &Trace) -> Vec<String> {
    let mut differences = timeline(case, trace);
    if !case.pods_list_truncated {
        differences.extend(pods(case, trace));
    }
    differences.extend(node_events(case, trace));
    if case.class == "slowstart" {
        differences.extend(creations(case, trace));
    }
    if case.class == "pdb" {
        differences.extend(evictions(case, trace));
    }
    differences
}

/// Compares what became of the evictions.
fn evictions(case: &Case, trace: &Trace) -> Option<String> {
    let told = |entries: &[Value]| -> Vec<String> {
        entries
            .iter()
            .map(|entry| {
                let rest = entry.as_array().map_or(&[][..], |fields| &fields[1..]);
                format!("{} µs: {}", micros(&entry[0]), json!(rest))
            })
            .collect()
    };
    let expected = told(case.expect.results.as_deref().unwrap_or_default());
    let ours = told(&trace.results);
    let differs = expected != ours;
    differs.then(|| format!("evictions: {expected:?} expected, {ours:?} ours"))
}

/// Compares the instants of accepted creations; refused ones too where none was ever accepted, for
/// otherwise their number depends on a race.
fn creations(case: &Case, trace: &Trace) -> Vec<String> {
    let expected = case.expect.results.clone().unwrap_or_default();
    let is_all_refused = expected.iter().all(|entry| entry[1] == 0);
    let told = |entries: &[Value]| -> Vec<String> {
        entries
            .iter()
            .filter(|entry| is_all_refused || entry[1] != 0)
            .map(|entry| {
                let (count, what) =
                    if is_all_refused { (&entry[2], "refused") } else { (&entry[1], "accepted") };
                format!("{} µs: {count} {what}", micros(&entry[0]))
            })
            .collect()
    };
    let (expected, ours) = (told(&expected), told(&trace.results));
    let differs = expected != ours;
    differs
        .then(|| format!("creations: {expected:?} expected, {ours:?} ours"))
        .into_iter()
        .collect()
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
fn micros(time: &Value) -> i64 {
    libm::round(time.as_f64().unwrap_or(-1e9) * 1e6) as i64
}

fn time_of(record: &Value) -> i64 {
    micros(&record["t"])
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

/// Compares what happened to pods. Which of several pods that are alike is deleted is arbitrary in
/// the real controllers too, so whole lives of pods are compared rather than their numbers; where
/// not even those were the same in two recordings, single events.
fn pods(case: &Case, trace: &Trace) -> Vec<String> {
    let Some(expected) = &case.expect.pods else { return Vec::new() };
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for life in lives(case, expected) {
        counts.entry(life).or_default().0 += 1;
    }
    for life in lives(case, &trace.pods) {
        counts.entry(life).or_default().1 += 1;
    }
    counts
        .into_iter()
        .filter(|(_, (expected, ours))| expected != ours)
        .map(|(life, (expected, ours))| format!("pods: {life}: {expected} expected, {ours} ours"))
        .collect()
}

/// Compares what happened to nodes, without their names: which of several nodes that fail together
/// comes first is arbitrary.
fn node_events(case: &Case, trace: &Trace) -> Vec<String> {
    let Some(expected) = &case.expect.node_events else { return Vec::new() };
    let anonymous = |events: &[Value]| -> Vec<String> {
        let told = events.iter().map(|event| {
            let time = event[0].as_f64().unwrap_or(-1.0);
            json!([time, event[2], event[3], event[4]]).to_string()
        });
        let mut told: Vec<String> = told.collect();
        told.sort_unstable();
        told
    };
    let (expected, ours) = (anonymous(expected), anonymous(&trace.node_events));
    let differs = expected != ours;
    let text = || format!("nodes:\n  expected {expected:?}\n  ours     {ours:?}");
    differs.then(text).into_iter().collect()
}

/// What happened to each pod, or single events where pods cannot be told apart.
fn lives(case: &Case, events: &[Value]) -> Vec<String> {
    if !case.stable.pod_ordinals {
        return events.iter().map(|event| format!("{} {}", event[2], event_text(event))).collect();
    }
    let mut lives: BTreeMap<(&str, u64), Vec<String>> = BTreeMap::new();
    for event in events {
        let pod = (event[2].as_str().unwrap_or_default(), event[3].as_u64().unwrap_or(0));
        lives.entry(pod).or_default().push(event_text(event));
    }
    let joined = lives.into_iter().map(|((owner, _), mut life)| {
        life.sort();
        format!("{owner} {}", life.join(" "))
    });
    joined.collect()
}

/// What must be equal of a pod event. UIDs and generated names never are.
fn event_text(event: &Value) -> String {
    let mut extra = event[4].clone();
    if let Some(fields) = extra.as_object_mut() {
        fields.shift_remove("uid");
        fields.shift_remove("hash");
        fields.shift_remove("name");
        fields.sort_keys();
    }
    if event[1] == "bind" {
        // As arbitrary as the order in which nodes that fail together are tainted.
        extra = Value::Null;
    }
    let time = event[0].as_f64().unwrap_or(-1.0);
    json!([time, event[1], extra]).to_string()
}
