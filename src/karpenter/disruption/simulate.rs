//! Whether the pods of some nodes have a place without these (`SimulateScheduling`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::candidate::Candidate;
use crate::pod::Pod;
use crate::provisioner::pending_pods;
use crate::scheduling::{PodFailure, Results, solve};
use crate::state::{Snapshot, StateNode};
use cluster::{Name, NamespacedName};

/// A pass without these nodes; absent if one of them is already going, or no pool can make nodes. A place on a node that
/// is not ready yet does not count, but for pods of nodes that are going.
pub(super) fn simulate(snapshot: &Snapshot, without: &[Candidate]) -> Option<Results> {
    let names: BTreeSet<&Name> = without.iter().map(|one| &one.node).collect();
    let is_one = |state: &StateNode| names.contains(state.name());
    if snapshot.nodes.iter().any(|state| state.is_going() && is_one(state)) {
        return None;
    }
    let remaining = snapshot.nodes.iter().filter(|state| !state.is_going() && !is_one(state));
    let targets: Vec<&StateNode> = remaining.collect();
    let (mut pods, _) = pending_pods(snapshot);
    let moved = without.iter().flat_map(|one| &one.pods);
    pods.extend(moved.filter(|pod| snapshot.is_reschedulable_now(pod)).cloned());
    let of_going = snapshot.pods_of_going_nodes();
    let going: BTreeSet<PodKey<'_>> = of_going.iter().map(key).collect();
    pods.extend(of_going.iter().cloned());
    let mut results = solve(snapshot, &pods, targets)?;
    results.truncate(&snapshot.options);
    let mut failures: Vec<(NamespacedName, PodFailure)> = Vec::new();
    for place in results.existing.iter().filter(|place| !place.is_initialized) {
        for pod in place.pods.iter().filter(|pod| !going.contains(&key(pod))) {
            let message = format!("would schedule against uninitialized {}", place.node);
            let is_pending = pod.is_provisionable();
            failures.push((pod.id.clone(), PodFailure { message, is_pending }));
        }
    }
    results.errors.extend(failures);
    Some(results)
}

/// Namespace and name, borrowed.
type PodKey<'a> = (&'a str, &'a str);

fn key(pod: &Arc<Pod>) -> PodKey<'_> {
    (&pod.id.namespace, &pod.id.name)
}
