//! Comparison of a run with the recording.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::expected::{Expected, Section};
use super::run::{RunEvent, RunResults};
use crate::Difference;
use crate::json::first_gap;

/// Variation of loop times between equal runs [s], plus half a tenth for rounding.
const TIME_SLACK: f64 = 0.2 + 0.051;
/// Request counts are rounded to tenths.
const REQUEST_SLACK: f64 = 0.11;
/// Time span of the context shown around a difference [s].
const CONTEXT_BEFORE: f64 = 16.0;
const CONTEXT_AFTER: f64 = 1.0;
/// Maximum number of decisions shown as context.
const CONTEXT_LINES: usize = 12;

/// Size of the comparison of a base run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Number of samples.
    pub samples: usize,
    /// Number of events, counted per pod.
    pub events: usize,
    /// Number of rescales among them.
    pub rescales: usize,
}

/// The first difference between a base run and its recording, if any.
pub(crate) fn first_difference(
    shown: &RunResults,
    expected: &Expected,
) -> (Compared, Option<Difference>) {
    let compared = Compared {
        samples: expected.samples.len(),
        events: expected.events.len(),
        rescales: expected.events.iter().filter(|event| is_rescale(event)).count(),
    };
    let of_events = event_difference(shown, expected);
    let of_samples = sample_difference(shown, expected);
    let first = match (of_events, of_samples) {
        (Some(event), Some(sample)) => Some(if event.0 <= sample.0 { event.1 } else { sample.1 }),
        (event, sample) => event.or(sample).map(|(_, difference)| difference),
    };
    (compared, first)
}

fn is_rescale(event: &RunEvent) -> bool {
    event.what.starts_with("rescale")
}

fn sample_difference(shown: &RunResults, expected: &Expected) -> Option<(f64, Difference)> {
    let repro = &expected.repro;
    if shown.samples.len() != expected.samples.len() {
        let (got, wanted) = (shown.samples.len(), expected.samples.len());
        return Some((0.0, difference(shown, 0.0, "samples", &json!(wanted), &json!(got))));
    }
    for (ours, theirs) in shown.samples.iter().zip(&expected.samples) {
        let t = theirs["t"].as_f64().unwrap_or_default();
        let exact: [(&str, Section); 4] = [
            ("deployments", repro.deployments),
            ("hpa", repro.hpa),
            ("pending", repro.pending),
            ("podsPerNode", repro.pods_per_node),
        ];
        for (key, section) in exact {
            if section.is_certain_at(t)
                && let Some((path, wanted, got)) =
                    first_gap(key, &theirs[key], &ours[key], &|_| 0.0)
            {
                return Some((t, difference(shown, t, &path, &wanted, &got)));
            }
        }
        if repro.pods_per_node_sorted.is_certain_at(t) {
            let (wanted, got) = (sorted(&theirs["podsPerNode"]), sorted(&ours["podsPerNode"]));
            if wanted != got {
                let path = "podsPerNode, sorted";
                return Some((t, difference(shown, t, path, &json!(wanted), &json!(got))));
            }
        }
        let certain = repro.services.is_certain_at(t);
        let slack = REQUEST_SLACK + if certain { 0.0 } else { 2.0 * repro.services_max_difference };
        let key = "services";
        if let Some((path, wanted, got)) = first_gap(key, &theirs[key], &ours[key], &|_| slack) {
            return Some((t, difference(shown, t, &path, &wanted, &got)));
        }
    }
    None
}

fn sorted(per_node: &Value) -> Vec<i64> {
    let counts = per_node.as_object().into_iter().flat_map(|map| map.values());
    let mut counts: Vec<i64> = counts.filter_map(Value::as_i64).collect();
    counts.sort_unstable();
    counts
}

fn event_difference(shown: &RunResults, expected: &Expected) -> Option<(f64, Difference)> {
    let repro = &expected.repro;
    let by_node = repro.pods_per_node.identical;
    let (theirs, ours) = (by_kind(&expected.events, by_node), by_kind(&shown.events, by_node));
    let kinds: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let mut first: Option<(f64, String, Value, Value)> = None;
    for kind in kinds {
        let is_certain = match kind.split(' ').next() {
            Some("rescale") => repro.rescales_identical,
            Some("pod") => repro.pod_event_counts_identical || repro.deployments.identical,
            _ => true,
        };
        let none = Vec::new();
        let wanted = theirs.get(kind).unwrap_or(&none);
        let got = ours.get(kind).unwrap_or(&none);
        let gap = if repro.pod_event_counts_identical || !is_fate_of_a_pod(kind) {
            first_missed(wanted, got)
        } else {
            first_unmatched(wanted, got, &short_lives(kind, &theirs))
        };
        let Some(t) = gap.filter(|_| is_certain) else { continue };
        if first.as_ref().is_none_or(|(earliest, ..)| t < *earliest) {
            let around = |times: &[f64]| {
                json!(times.iter().filter(|one| (**one - t).abs() < 60.0).collect::<Vec<_>>())
            };
            first = Some((t, kind.clone(), around(wanted), around(got)));
        }
    }
    let (t, kind, wanted, got) = first?;
    let field = format!("times of `{kind}`");
    Some((t, difference(shown, t, &field, &wanted, &got)))
}

/// The times of each kind of event, in order.
fn by_kind(events: &[RunEvent], by_node: bool) -> BTreeMap<String, Vec<f64>> {
    let mut kinds: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for event in events {
        let kind = match event.node.as_ref().filter(|_| by_node) {
            Some(node) => format!("{} {node}", event.what),
            None => event.what.clone(),
        };
        kinds.entry(kind).or_default().push(event.t);
    }
    for times in kinds.values_mut() {
        times.sort_unstable_by(f64::total_cmp);
    }
    kinds
}

/// The first time at which two series differ.
fn first_missed(theirs: &[f64], ours: &[f64]) -> Option<f64> {
    let apart = |(one, other): (&f64, &f64)| (one - other).abs() > TIME_SLACK;
    let at = theirs.iter().zip(ours).position(apart);
    let at = at.or((theirs.len() != ours.len()).then(|| theirs.len().min(ours.len())))?;
    [theirs.get(at), ours.get(at)].into_iter().flatten().copied().reduce(f64::min)
}

/// True for events that pods deleted at the instant of their creation may or may not have: the real scheduler binds
/// some of them before they are gone.
fn is_fate_of_a_pod(kind: &str) -> bool {
    let mut words = kind.split(' ').skip(2);
    kind.starts_with("pod ") && matches!(words.next(), Some("bind" | "delete" | "gone"))
}

/// The instants at which pods of the event's Deployment were both created and deleted.
fn short_lives(kind: &str, events: &BTreeMap<String, Vec<f64>>) -> Vec<f64> {
    let deployment = kind.split(' ').nth(1).unwrap_or_default();
    let times = |event: &str| {
        let prefix = format!("pod {deployment} {event}");
        let of_event = events.iter().filter(move |(kind, _)| kind.starts_with(&prefix));
        of_event.flat_map(|(_, times)| times).copied().collect::<Vec<f64>>()
    };
    let ended: Vec<f64> = [times("delete"), times("gone")].concat();
    let mut both = times("create");
    both.retain(|created| ended.iter().any(|ended| (created - ended).abs() <= TIME_SLACK));
    both
}

/// The first time in either series without a match in the other, except within a second of a short-lived pod.
fn first_unmatched(theirs: &[f64], ours: &[f64], short_lives: &[f64]) -> Option<f64> {
    const LONGEST: f64 = 1.0 + TIME_SLACK;
    let is_free = |t: f64| {
        short_lives.iter().any(|short| (short - TIME_SLACK..=short + LONGEST).contains(&t))
    };
    let (mut theirs, mut ours) = (theirs.iter().peekable(), ours.iter().peekable());
    while theirs.peek().is_some() || ours.peek().is_some() {
        let their = theirs.peek().map_or(f64::INFINITY, |t| **t);
        let our = ours.peek().map_or(f64::INFINITY, |t| **t);
        let alone = (their - our).abs() > TIME_SLACK;
        if their <= our || !alone {
            theirs.next();
        }
        if our < their || !alone {
            ours.next();
        }
        if alone && !is_free(their.min(our)) {
            return Some(their.min(our));
        }
    }
    None
}

/// A difference, with the decisions around its time and the state of the objects.
fn difference(shown: &RunResults, t: f64, field: &str, wanted: &Value, got: &Value) -> Difference {
    let around = |time: &f64| (t - CONTEXT_BEFORE..=t + CONTEXT_AFTER).contains(time);
    let lines: Vec<String> = shown
        .log
        .iter()
        .filter(|(time, _)| around(time))
        .map(|(time, text)| format!("{time:.1}  {text}"))
        .collect();
    let skipped = lines.len().saturating_sub(CONTEXT_LINES);
    let mut explanation = lines[skipped..].join("\n");
    if skipped > 0 {
        explanation = format!("{skipped} earlier ones\n{explanation}");
    }
    let sample = shown
        .samples
        .iter()
        .rev()
        .find(|sample| sample["t"].as_f64().is_some_and(|time| time <= t));
    let objects = sample.map_or(Value::Null, |sample| {
        json!({"t": sample["t"], "deployments": sample["deployments"],
            "podsPerNode": sample["podsPerNode"], "pending": sample["pending"]})
    });
    Difference {
        at: format!("t={t}"),
        field: field.to_owned(),
        expected: wanted.clone(),
        got: got.clone(),
        inputs: objects,
        explanation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fate_of_pods_that_ended_as_they_were_made_is_left_open() {
        let lives = [100.0];
        assert_eq!(first_unmatched(&[50.0, 100.0], &[50.1], &lives), None);
        assert_eq!(first_unmatched(&[50.0], &[50.1, 101.0], &lives), None);
        assert_eq!(first_unmatched(&[50.0, 100.0], &[], &lives), Some(50.0));
        assert_eq!(first_unmatched(&[50.0], &[50.0, 103.0], &lives), Some(103.0));
        assert_eq!(first_unmatched(&[50.0], &[50.4], &lives), Some(50.0));
    }

    #[test]
    fn a_short_life_begins_and_ends_in_one_instant_in_one_deployment() {
        let events = [("pod web create", 7.0), ("pod web gone", 7.1), ("pod api create", 9.0)];
        let mut by_kind: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (kind, t) in events {
            by_kind.entry(kind.to_owned()).or_default().push(t);
        }
        assert_eq!(short_lives("pod web bind n01", &by_kind), [7.0]);
        assert!(short_lives("pod api bind", &by_kind).is_empty());
        assert!(is_fate_of_a_pod("pod web bind n01") && !is_fate_of_a_pod("pod web create"));
    }
}
