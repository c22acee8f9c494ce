//! A node in the snapshot.

use std::sync::{Arc, OnceLock};

use super::pods::PodInfo;
use super::scale_down::Examination;
use super::taints::{TO_BE_DELETED, has_taint};
use cluster::node::Node;

/// A node with its pods.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotNode {
    pub(crate) node: Arc<Node>,
    /// The pods by creation time, followed by those that were moved here.
    pub(crate) pods: Vec<Arc<PodInfo>>,
    /// Number of pods that are there before any is moved.
    own: usize,
    /// Position of its group.
    pub(crate) group: Option<usize>,
    /// Scale-down's finding about it, valid while neither it nor its pods change.
    examination: OnceLock<Examination>,
    /// Whether it has no pods to move, likewise.
    moves_nothing: OnceLock<Option<bool>>,
}

impl SnapshotNode {
    /// A node of a group with its pods.
    pub(crate) fn new(node: Arc<Node>, pods: Vec<Arc<PodInfo>>, group: Option<usize>) -> Self {
        let (examination, moves_nothing) = (OnceLock::new(), OnceLock::new());
        Self { own: pods.len(), node, pods, group, examination, moves_nothing }
    }

    /// Replaces its pods.
    pub(crate) fn set_pods(&mut self, pods: Vec<Arc<PodInfo>>) {
        self.own = pods.len();
        *self.pods_mut() = pods;
    }

    /// Takes the pods that were moved here.
    pub(crate) fn take_moved(&mut self) -> Vec<Arc<PodInfo>> {
        if self.pods.len() <= self.own {
            return Vec::new();
        }
        let own = self.own;
        self.pods_mut().split_off(own)
    }

    pub(crate) fn pods_mut(&mut self) -> &mut Vec<Arc<PodInfo>> {
        self.forget();
        &mut self.pods
    }

    pub(crate) fn forget(&mut self) {
        self.examination = OnceLock::new();
        self.moves_nothing = OnceLock::new();
    }

    /// True if time alone does not change the part that its pods play: one that is terminating stops counting after a
    /// while.
    fn is_timeless(&self) -> bool {
        self.pods.iter().all(|pod| pod.deletion.is_none())
    }

    /// Result of its examination, computed once.
    pub(crate) fn examined(&self, examine: impl FnOnce() -> Examination) -> Examination {
        if let Some(known) = self.examination.get() {
            return known.clone();
        }
        let found = examine();
        // The taint of a node that is being deleted counts for a while.
        if self.is_timeless() && !has_taint(&self.node, TO_BE_DELETED) {
            let _ = self.examination.set(found.clone());
        }
        found
    }

    /// Result of the rule for its pods, computed once: whether the removal of a node without pods to move waits
    /// for pods to complete.
    pub(crate) fn moves_nothing(
        &self,
        rule: impl FnOnce(&[Arc<PodInfo>]) -> Option<bool>,
    ) -> Option<bool> {
        if let Some(known) = self.moves_nothing.get() {
            return *known;
        }
        let found = rule(&self.pods);
        if self.is_timeless() {
            let _ = self.moves_nothing.set(found);
        }
        found
    }
}
