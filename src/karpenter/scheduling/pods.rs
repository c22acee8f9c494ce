//! The pods of a pass: those that every pass over a snapshot schedules, prepared once, and those that leave a node.

use std::sync::Arc;

use super::pass_context::PassContext;
use super::preferences::PodConstraints;
use super::queue::queue_order;
use crate::pod::Pod;
use cluster::pod_template::Affinity;

/// The pods that every pass over a snapshot schedules: the pending ones, followed by those of nodes to be removed.
#[derive(Debug)]
pub(super) struct CommonPods {
    constraints: Vec<PodConstraints>,
    /// Their positions in the order of the queue.
    order: Vec<usize>,
    is_any_choosy: bool,
}

impl CommonPods {
    pub(super) fn new(ground: &PassContext<'_>) -> Self {
        let pods: Vec<&Arc<Pod>> = ground.pending.iter().chain(&ground.of_going).collect();
        let mut order: Vec<usize> = (0..pods.len()).collect();
        order.sort_by(|one, other| queue_order(pods[*one], pods[*other]));
        let constraints = ground.constraints_of(pods.into_iter(), 0);
        let is_any_choosy = constraints.iter().any(is_choosy);
        Self { constraints, order, is_any_choosy }
    }
}

/// The pods of a pass.
#[derive(Debug)]
pub(super) struct PassPods<'a> {
    common: &'a CommonPods,
    /// Number of pending ones.
    pending: usize,
    /// Those that leave a node.
    moved: Vec<PodConstraints>,
}

impl<'a> PassPods<'a> {
    pub(super) fn new(ground: &'a PassContext<'_>, moved: &[Arc<Pod>]) -> Self {
        let common = ground.common();
        let moved = ground.constraints_of(moved.iter(), common.constraints.len());
        Self { common, pending: ground.pending.len(), moved }
    }

    /// A pod by its position.
    pub(super) fn get(&self, position: usize) -> &PodConstraints {
        let known = self.common.constraints.get(position);
        known.unwrap_or_else(|| &self.moved[position - self.common.constraints.len()])
    }

    /// All of them: the pending ones, those that leave a node, and those of nodes to be removed.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PodConstraints> {
        let (pending, of_going) = self.common.constraints.split_at(self.pending);
        pending.iter().chain(&self.moved).chain(of_going)
    }

    /// True if the place of some pod depends on that of others.
    pub(super) fn is_any_choosy(&self) -> bool {
        self.common.is_any_choosy || self.moved.iter().any(is_choosy)
    }

    /// All positions in the order of the queue.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let before = &self.common.order;
        let mut moved: Vec<&PodConstraints> = self.moved.iter().collect();
        moved.sort_by(|one, other| queue_order(&one.pod, &other.pod));
        let mut order = Vec::with_capacity(before.len() + moved.len());
        let mut rest = &before[..];
        for one in moved {
            // Of equal pods, pending ones come first, and those of nodes to be removed last.
            let goes_first = |other: &usize| {
                let other_pod = &self.common.constraints[*other].pod;
                let by_queue = queue_order(other_pod, &one.pod);
                by_queue.is_lt() || by_queue.is_eq() && *other < self.pending
            };
            let (first, last) = rest.split_at(rest.partition_point(goes_first));
            order.extend_from_slice(first);
            order.push(one.index);
            rest = last;
        }
        order.extend_from_slice(rest);
        order
    }
}

/// True if the placement of a pod depends on that of others.
fn is_choosy(constraints: &PodConstraints) -> bool {
    let Affinity { required_pod, preferred_pod, required_anti, preferred_anti, .. } =
        &*constraints.affinity;
    !(constraints.spread.is_empty()
        && required_pod.is_empty()
        && preferred_pod.is_empty()
        && required_anti.is_empty()
        && preferred_anti.is_empty())
}
