//! Whether the pods of some nodes could be scheduled without these nodes (`SimulateScheduling`).

use std::cell::OnceCell;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::candidate::Candidate;
use crate::pod::Pod;
use crate::scheduling::{ExistingPlacement, PassContext, PassScope, PodFailure, Results, solve};
use cluster::NamespacedName;

/// A scheduling pass without these nodes; `None` if one of them is already being deleted, no pool can create nodes,
/// or the pass would create more than `most_claims` nodes. Room on a node that is not initialized does not count,
/// except for pods of nodes that are being deleted.
pub(super) fn simulate(
    ground: &PassContext<'_>,
    without: &[Candidate],
    most_claims: Option<usize>,
) -> Option<Results> {
    if without.iter().any(|one| ground.is_going(&one.node)) {
        return None;
    }
    let snapshot = ground.snapshot;
    let moved = without.iter().flat_map(|one| one.pods.iter());
    let moved: Vec<Arc<Pod>> =
        moved.filter(|pod| snapshot.is_reschedulable_now(pod)).cloned().collect();
    let without = without.iter().map(|one| &one.node).collect();
    let scope = PassScope { without, most_claims, lists_used_nodes_only: true };
    let mut results = solve(ground, &moved, &scope)?;
    results.truncate(&snapshot.options);
    let mut failures: Vec<(NamespacedName, PodFailure)> = Vec::new();
    // Only ever looked up, never iterated.
    let going: OnceCell<FxHashSet<PodKey<'_>>> = OnceCell::new();
    let going = || going.get_or_init(|| ground.of_going.iter().map(key).collect());
    let early = |place: &&ExistingPlacement| !place.is_initialized && !place.pods.is_empty();
    for place in results.existing.iter().filter(early) {
        // Whether pending pods are scheduled does not matter here.
        let moved = place.pods.iter().filter(|pod| !pod.is_provisionable());
        for pod in moved.filter(|pod| !going().contains(&key(pod))) {
            let message = format!("would schedule against uninitialized {}", place.node);
            failures.push((pod.id.clone(), PodFailure { message, is_pending: false }));
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
