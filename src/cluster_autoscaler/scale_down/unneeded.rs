//! Unneeded nodes, and since when they are (`core/scaledown/unneeded`).

use std::collections::BTreeMap;

use super::planner::UnremovableReason;
use super::removal::NodeToBeRemoved;
use crate::nodes::{is_ready, is_scale_down_disabled};
use crate::options::ResolvedGroupOptions;
use crate::report::names;
use crate::snapshot::SnapshotNode;
use cluster::{Name, NamespacedName};
use engine::{SimDuration, SimTime};

/// An unneeded node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnneededNode {
    /// Time since which it is unneeded.
    pub since: SimTime,
    /// How long it must be unneeded before it is removed.
    pub threshold: SimDuration,
    /// The pods that would be moved.
    pub pods: Vec<NamespacedName>,
    /// True if disruption budgets do not allow these to be evicted all at once.
    pub is_risky: bool,
}

/// All unneeded nodes, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct UnneededNodes(pub(super) BTreeMap<Name, Unneeded>);

/// An unneeded node, with its pods as objects.
#[derive(Clone, Debug)]
pub(super) struct Unneeded {
    pub(super) removal: NodeToBeRemoved,
    pub(super) node: SnapshotNode,
    pub(super) since: SimTime,
    pub(super) threshold: SimDuration,
}

impl UnneededNodes {
    /// Replaces the unneeded nodes. Those that were unneeded in the previous loop keep their time.
    pub(super) fn update(
        &mut self,
        nodes: Vec<(NodeToBeRemoved, SnapshotNode, ResolvedGroupOptions)>,
        now: SimTime,
    ) {
        let before = std::mem::take(&mut self.0);
        for (removal, node, group) in nodes {
            let name = node.node.meta.name().clone();
            let since = before.get(&name).map_or(now, |known| known.since);
            let is_ready = is_ready(&node.node);
            let threshold = if is_ready { group.unneeded_time } else { group.unready_time };
            self.0.insert(name, Unneeded { removal, node, since, threshold });
        }
    }
}

impl Unneeded {
    /// The node as it is told to others.
    pub(super) fn told(&self) -> UnneededNode {
        UnneededNode {
            since: self.since,
            threshold: self.threshold,
            pods: names(&self.removal.pods),
            is_risky: self.removal.is_risky,
        }
    }

    /// Why it must not be removed yet: by annotation, or because it has not been unneeded for longer than the
    /// threshold.
    pub(super) fn waits(&self, now: SimTime) -> Option<UnremovableReason> {
        if is_scale_down_disabled(&self.node.node) {
            return Some(UnremovableReason::ScaleDownDisabledAnnotation);
        }
        if !is_too_early(self.since, self.threshold, now) {
            return None;
        }
        Some(if is_ready(&self.node.node) {
            UnremovableReason::NotUnneededLongEnough
        } else {
            UnremovableReason::NotUnreadyLongEnough
        })
    }
}

/// True if it is too early to remove a node that is unneeded since `since`. With a threshold of 60 s, more than that
/// must have passed.
fn is_too_early(since: SimTime, threshold: SimDuration, now: SimTime) -> bool {
    threshold > SimDuration::ZERO && since + threshold >= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_goes_when_it_was_unneeded_for_longer_than_the_threshold() {
        let at = SimTime::from_secs;
        let minute = SimDuration::from_secs(60);
        assert!(is_too_early(at(10), minute, at(70)));
        assert!(!is_too_early(at(10), minute, at(71)));
        assert!(!is_too_early(at(10), SimDuration::ZERO, at(10)));
    }
}
