//! Nodes added and removed, with the reasons, and pods that waited for a node.

use super::build::{ReportInput, end};
use super::model::{NodeChange, NodeEvent, PodWaits};
use record::NodeTrack;

/// Shortest wait that is reported, seconds; below it is the scheduler's own latency.
const SHORTEST_WAIT_SECONDS: f64 = 1.0;

/// Nodes added or removed during the run, in order of time.
pub(super) fn changes(facts: ReportInput<'_>) -> Vec<NodeChange> {
    let mut changes = Vec::new();
    for node in &facts.recorder.nodes {
        let change = |at: engine::SimTime, event, reason: &Option<String>| NodeChange {
            at_seconds: at.as_secs_f64(),
            node: node.name.to_string(),
            event,
            instance_type: node.machine.instance_type.to_string(),
            capacity_type: node.machine.capacity_type.as_str(),
            reason: reason.clone().unwrap_or_default(),
        };
        if node.added_because.is_some() && node.has_joined() {
            changes.push(change(node.added, NodeEvent::Added, &node.added_because));
        }
        if let Some(at) = removal(facts, node) {
            changes.push(change(at, NodeEvent::Removed, &node.removed_because));
        }
    }
    changes.sort_by(|one, other| one.at_seconds.total_cmp(&other.at_seconds));
    changes
}

fn removal(facts: ReportInput<'_>, node: &NodeTrack) -> Option<engine::SimTime> {
    let comes_and_goes = node.removed_because.is_some() || node.added_because.is_some();
    node.removed.filter(|at| comes_and_goes && *at < end(facts) && node.has_joined())
}

/// Waiting times of pods for a node; `None` if none waited.
pub(super) fn waits(facts: ReportInput<'_>) -> Option<PodWaits> {
    let waits = facts.recorder.pod_waits.iter().map(|wait| wait.as_secs_f64());
    let mut waits: Vec<f64> = waits.filter(|wait| *wait >= SHORTEST_WAIT_SECONDS).collect();
    waits.sort_by(f64::total_cmp);
    let longest = *waits.last()?;
    let quantile = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    Some(PodWaits {
        pods: waits.len() as u64,
        mean_seconds: waits.iter().sum::<f64>() / waits.len() as f64,
        p50_seconds: quantile(50),
        p95_seconds: quantile(95),
        max_seconds: longest,
    })
}
