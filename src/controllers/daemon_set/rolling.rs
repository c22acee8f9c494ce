//! Selects the daemon pods that a rolling update replaces (`rollingUpdate` of `pkg/controller/daemon/update.go`,
//! 1.36).

use cluster::daemon_set::DaemonSetUpdate;
use cluster::pod::PodId;

/// The non-terminating pods of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NodePods {
    /// Of the current revision.
    pub(super) new: Option<RevisionPod>,
    /// Of an earlier one.
    pub(super) old: Option<RevisionPod>,
    /// There are several pods of the same revision.
    pub(super) is_crowded: bool,
    /// Whether a pod should be created there.
    pub(super) should_run: bool,
}

/// A pod, and whether it is ready for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RevisionPod {
    pub(super) id: PodId,
    pub(super) is_available: bool,
}

/// The current step of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replacement {
    /// Pods to delete.
    pub(super) delete: Vec<PodId>,
    /// Positions of nodes that get a second pod.
    pub(super) surge: Vec<usize>,
}

/// Surge and unavailable nodes of a strategy in numbers: percentages of the nodes that should run a
/// pod, rounded up. If both come out as 0 although there are such nodes, one node may be unavailable
/// (`updatedDesiredNodeCounts`).
pub(super) fn limits(update: DaemonSetUpdate, desired: i32) -> Option<(i32, i32)> {
    let DaemonSetUpdate::RollingUpdate { max_surge, max_unavailable } = update else {
        return None;
    };
    let surge = max_surge.scaled(desired, true);
    let unavailable = max_unavailable.scaled(desired, true);
    let is_stuck = desired > 0 && surge == 0 && unavailable == 0;
    Some((surge, if is_stuck { 1 } else { unavailable }))
}

/// Deletes old pods as far as the number of unavailable nodes allows; old pods that are unavailable anyway are always
/// deleted.
pub(super) fn in_place(nodes: &[NodePods], max_unavailable: i32) -> Replacement {
    let mut unavailable = 0;
    let mut needless: Vec<PodId> = Vec::new();
    let mut candidates: Vec<PodId> = Vec::new();
    for node in nodes {
        match (node.new, node.old) {
            _ if node.is_crowded => unavailable += 1,
            (None, None) | (Some(_), Some(_)) => unavailable += 1,
            (Some(new), None) => unavailable += i32::from(!new.is_available),
            (None, Some(old)) if !old.is_available => {
                needless.push(old.id);
                unavailable += 1;
            }
            (None, Some(old)) => {
                if unavailable < max_unavailable {
                    candidates.push(old.id);
                }
            }
        }
    }
    let remaining = usize::try_from(max_unavailable - unavailable).unwrap_or(0);
    needless.extend(candidates.into_iter().take(remaining));
    Replacement { delete: needless, surge: Vec::new() }
}

/// Creates new pods next to old ones as far as the surge allows, and deletes old pods whose replacement is available.
/// On nodes that should no longer run a pod, the old pod is deleted once enough others are available. On `settled`
/// other nodes, a new pod is available.
pub(super) fn with_surge(
    nodes: &[NodePods],
    settled: i32,
    max_surge: i32,
    desired: i32,
) -> Replacement {
    let mut replacement = Replacement::default();
    let mut misplaced: Vec<PodId> = Vec::new();
    let mut candidates: Vec<usize> = Vec::new();
    let (mut surging, mut available) = (0, settled);
    for (position, node) in nodes.iter().enumerate() {
        if node.is_crowded {
            surging += 1;
            continue;
        }
        available += i32::from(node.old.or(node.new).is_some_and(|pod| pod.is_available));
        match (node.new, node.old) {
            (_, None) => {}
            (None, Some(old)) => match (old.is_available, node.should_run) {
                (false, false) => replacement.delete.push(old.id),
                (false, true) => replacement.surge.push(position),
                (true, false) => misplaced.push(old.id),
                (true, true) if surging < max_surge => candidates.push(position),
                (true, true) => {}
            },
            (Some(new), Some(_)) if !new.is_available => surging += 1,
            (Some(_), Some(old)) => replacement.delete.push(old.id),
        }
    }
    let deletable = usize::try_from(available - desired).unwrap_or(0);
    replacement.delete.extend(misplaced.into_iter().take(deletable));
    let remaining = usize::try_from(max_surge - surging).unwrap_or(0);
    replacement.surge.extend(candidates.into_iter().take(remaining));
    replacement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(slot: u64, is_available: bool) -> NodePods {
        let id = PodId::from_bits(slot);
        let old = Some(RevisionPod { id, is_available });
        NodePods { old, should_run: true, ..NodePods::default() }
    }

    #[test]
    fn pods_that_are_not_available_are_replaced_without_using_the_budget_of_others() {
        let nodes = [old(1, true), old(2, false), old(3, true)];
        let only_broken = in_place(&nodes, 1);
        assert_eq!(only_broken.delete, [PodId::from_bits(2)]);
        assert_eq!(in_place(&nodes, 2).delete.len(), 2);
    }

    #[test]
    fn a_surge_creates_beside_and_deletes_nothing_yet() {
        let nodes = [old(1, true), old(2, true), old(3, true)];
        let surge = with_surge(&nodes, 0, 2, 3);
        assert!(surge.delete.is_empty());
        assert_eq!(surge.surge, [0, 1]);
    }

    #[test]
    fn a_node_with_several_pods_of_a_kind_takes_a_place_of_the_surge() {
        let crowded = NodePods { is_crowded: true, ..old(1, true) };
        let nodes = [crowded, old(2, true), old(3, true)];
        assert_eq!(with_surge(&nodes, 0, 1, 3), Replacement::default());
        assert_eq!(with_surge(&nodes, 0, 2, 3).surge, [1]);
        assert!(in_place(&nodes, 1).delete.is_empty());
        assert_eq!(in_place(&nodes, 2).delete, [PodId::from_bits(2)]);
    }

    #[test]
    fn a_new_pod_that_is_not_available_takes_one_too_and_an_available_one_ends_the_old() {
        let pair = |slot, is_available| NodePods {
            new: Some(RevisionPod { id: PodId::from_bits(slot + 10), is_available }),
            ..old(slot, true)
        };
        let nodes = [pair(1, false), pair(2, true), old(3, true)];
        let replacement = with_surge(&nodes, 0, 1, 3);
        assert_eq!(replacement.delete, [PodId::from_bits(2)]);
        assert!(replacement.surge.is_empty());
        assert_eq!(with_surge(&nodes, 0, 2, 3).surge, [2]);
    }
}
