//! Simulates the removal of a node (`cluster-autoscaler/simulator/cluster.go`).

use std::sync::Arc;

use super::drainability::{BlockingReason, DrainContext, PodsToMove, pods_to_move};
use super::planner::UnremovableReason;
use crate::hinting::HintingSimulator;
use crate::pods::PodInfo;
use crate::snapshot::{Slot, Snapshot, SnapshotNode};
use crate::taints::to_be_deleted;
use cluster::ClusterView;

/// A node that can be removed.
#[derive(Clone, Debug)]
pub(super) struct NodeToBeRemoved {
    pub(super) pods: Vec<Arc<PodInfo>>,
    pub(super) has_on_completion: bool,
    /// True if disruption budgets do not allow its pods to be evicted all at once.
    pub(super) is_risky: bool,
}

/// Why a node cannot be removed, and the pod that blocks it, if any.
pub(super) type Failure = (UnremovableReason, Option<(Arc<PodInfo>, BlockingReason)>);

/// Removes a node and moves its pods to other acceptable nodes. If any pod finds none, the snapshot is unchanged.
pub(super) fn simulate_removal(
    snapshot: &mut Snapshot,
    hints: &mut HintingSimulator,
    view: ClusterView<'_>,
    slot: Slot,
    destinations: &[bool],
    context: DrainContext<'_>,
) -> Result<NodeToBeRemoved, Failure> {
    let moved = pods_to_move(&snapshot.node(slot).pods, context)
        .map_err(|blocking| (UnremovableReason::BlockedByPod, Some(blocking)))?;
    let PodsToMove { pods, has_on_completion } = moved;
    if pods.is_empty() {
        snapshot.remove_node(slot);
        return Ok(NodeToBeRemoved { pods, has_on_completion, is_risky: false });
    }
    snapshot.fork();
    for pod in &pods {
        snapshot.remove_pod(slot, pod.id);
    }
    let ghost = with_ghost(snapshot, view, slot);
    let is_destination = |slot: Slot| destinations.get(slot).copied().unwrap_or(false);
    let found = hints.try_schedule(snapshot, view, &pods, true, &is_destination);
    if found.iter().any(Option::is_none) {
        snapshot.revert();
        return Err((UnremovableReason::NoPlaceToMovePods, None));
    }
    snapshot.remove_node(ghost);
    snapshot.commit();
    Ok(NodeToBeRemoved { pods, has_on_completion, is_risky: false })
}

/// Replaces the node by an empty one that takes no pods, since its labels still count for topology.
fn with_ghost(snapshot: &mut Snapshot, view: ClusterView<'_>, slot: Slot) -> Slot {
    let SnapshotNode { node, group, .. } = snapshot.node(slot).clone();
    let mut ghost = cluster::node::Node::clone(&node);
    ghost.taints.push(to_be_deleted(view.now));
    snapshot.remove_node(slot);
    snapshot.add_node(SnapshotNode::new(Arc::new(ghost), Vec::new(), group))
}
