//! Comparison of a replay with the recording, by the rules of the golden README ("How to compare").

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::case::Case;
use super::trace::Trace;

/// All differences; empty if the replay agrees.
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

/// Compares the outcomes of evictions.
fn evictions(case: &Case, trace: &Trace) -> Option<String> {
    let told = |entry: &Value| {
        let rest = entry.as_array().and_then(|fields| fields.get(1..)).unwrap_or_default();
        Some(format!("{} µs: {}", micros(&entry[0]), json!(rest)))
    };
    differing("evictions", case.expect.results.as_deref(), &trace.results, told)
}

/// Compares the times of accepted creations; also of refused ones if none was ever accepted, since otherwise the
/// number of refusals depends on a race.
fn creations(case: &Case, trace: &Trace) -> Option<String> {
    let expected = case.expect.results.as_deref();
    let is_all_refused = expected.unwrap_or_default().iter().all(|entry| entry[1] == 0);
    let told = |entry: &Value| {
        let (count, what) =
            if is_all_refused { (&entry[2], "refused") } else { (&entry[1], "accepted") };
        let counts = is_all_refused || *count != 0;
        counts.then(|| format!("{} µs: {count} {what}", micros(&entry[0])))
    };
    differing("creations", expected, &trace.results, told)
}

/// The recorded and our value, if they are written differently.
fn differing(
    what: &str,
    expected: Option<&[Value]>,
    ours: &[Value],
    told: impl Fn(&Value) -> Option<String>,
) -> Option<String> {
    let of = |entries: &[Value]| entries.iter().filter_map(&told).collect::<Vec<String>>();
    let (expected, ours) = (of(expected.unwrap_or_default()), of(ours));
    (expected != ours).then(|| format!("{what}: {expected:?} expected, {ours:?} ours"))
}

fn timeline(case: &Case, trace: &Trace) -> Vec<String> {
    let (expected, ours) = (by_time(&case.expect.timeline), by_time(&trace.timeline));
    let alternatives = || case.expect.alternatives.iter().chain(&case.expect.alternatives_batched);
    let times: BTreeSet<i64> = expected.keys().chain(ours.keys()).copied().collect();
    let difference = |time: i64| {
        let (expected, ours) = (expected.get(&time), ours.get(&time));
        let of_time = alternatives().filter(|other| micros(&other["t"]) == time);
        let mut accepted = expected.copied().into_iter().chain(of_time);
        let agrees = ours.is_some_and(|ours| accepted.any(|one| is_same_state(one, ours)));
        let text = |record: Option<&&Value>| record.map_or("no record".into(), ToString::to_string);
        let (expected, ours) = (text(expected), text(ours));
        (!agrees).then(|| format!("timeline:\n  expected {expected}\n  ours     {ours}"))
    };
    times.into_iter().filter_map(difference).collect()
}

/// A time in integer microseconds, so that equal times have equal keys.
#[expect(clippy::cast_possible_truncation, reason = "times of cases are small")]
fn micros(time: &Value) -> i64 {
    libm::round(time.as_f64().unwrap_or(-1e9) * 1e6) as i64
}

fn by_time(records: &[Value]) -> BTreeMap<i64, &Value> {
    records.iter().map(|record| (micros(&record["t"]), record)).collect()
}

/// True if two records show the same state, ignoring which of several reasons for Progressing=True the real
/// controller happened to keep.
fn is_same_state(one: &Value, other: &Value) -> bool {
    canonical(one) == canonical(other)
}

fn canonical(record: &Value) -> Value {
    let mut record = record.clone();
    if let Value::Object(fields) = &mut record {
        fields.remove("t");
    }
    let deployments = record.get_mut("deployment").and_then(Value::as_object_mut);
    for (_, deployment) in deployments.into_iter().flatten() {
        let conditions = deployment.get_mut("cond").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten() {
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

/// Compares pod events. Which of several equal pods is deleted is arbitrary even in the real controllers, so whole
/// pod histories are compared rather than ordinals; if not even those were the same in two recordings, individual
/// events.
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

/// Compares node events without node names: which of several nodes that fail together comes first is arbitrary.
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

/// The history of each pod, or individual events if pods cannot be identified.
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

/// The part of a pod event that must be equal. UIDs and generated names never are.
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
