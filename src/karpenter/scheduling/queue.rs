//! The order in which pods are tried (`queue.go`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use crate::pod::Pod;

/// Pods by CPU, memory, age and UID. A pod that could not be scheduled goes back to the end, until a full round
/// makes no progress.
#[derive(Debug)]
pub(super) struct Queue {
    pods: VecDeque<usize>,
    /// Length of the queue when each pod was put back.
    length_at_push: BTreeMap<usize, usize>,
}

impl Queue {
    /// A queue of pods, by their positions, which are in order.
    pub(super) fn new(order: Vec<usize>) -> Self {
        Self { pods: order.into(), length_at_push: BTreeMap::new() }
    }

    /// The next pod.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let first = *self.pods.front()?;
        if self.length_at_push.get(&first) == Some(&self.pods.len()) {
            return None;
        }
        self.pods.pop_front()
    }

    /// Puts a pod back.
    pub(super) fn push(&mut self, pod: usize) {
        self.pods.push_back(pod);
        self.length_at_push.insert(pod, self.pods.len());
    }
}

/// Larger CPU requests first, then larger memory requests, then older pods, then by UID.
pub(super) fn queue_order(one: &Pod, other: &Pod) -> Ordering {
    let size = |pod: &Pod| (pod.requests.cpu(), pod.requests.memory());
    size(other)
        .cmp(&size(one))
        .then_with(|| one.created.cmp(&other.created))
        .then_with(|| one.uid.cmp(&other.uid))
}
