//! Nominated pods, for which preemption makes room: they count on their nominated node for pods of equal or lower
//! priority (`backend/queue/nominator.go`, 1.36).

use std::collections::BTreeMap;

use super::node_info::ClassId;
use cluster::node::NodeId;
use cluster::pod::PodId;

/// Nominated pods by node, in the order of nomination.
#[derive(Clone, Debug, Default)]
pub struct Nominations {
    by_node: BTreeMap<NodeId, Vec<Nominated>>,
    by_pod: BTreeMap<PodId, NodeId>,
}

/// A nominated pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nominated {
    /// The pod.
    pub pod: PodId,
    /// Class of equal pods.
    pub class: ClassId,
    /// Pod priority.
    pub priority: i32,
}

impl Nominations {
    /// Nominates a pod to a node, instead of any other.
    pub fn set(&mut self, node: NodeId, nominated: Nominated) {
        self.remove(nominated.pod);
        self.by_node.entry(node).or_default().push(nominated);
        self.by_pod.insert(nominated.pod, node);
    }

    /// Forgets a pod's nomination.
    pub fn remove(&mut self, pod: PodId) {
        let Some(node) = self.by_pod.remove(&pod) else { return };
        if let Some(pods) = self.by_node.get_mut(&node) {
            pods.retain(|nominated| nominated.pod != pod);
            if pods.is_empty() {
                self.by_node.remove(&node);
            }
        }
    }

    /// Whether no pod is nominated.
    pub fn is_empty(&self) -> bool {
        self.by_pod.is_empty()
    }

    /// The node to which a pod is nominated.
    pub fn of(&self, pod: PodId) -> Option<NodeId> {
        self.by_pod.get(&pod).copied()
    }

    /// The pods nominated to a node.
    pub fn on(&self, node: NodeId) -> &[Nominated] {
        self.by_node.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The pods nominated to a node that count for a pod of this priority.
    pub fn counting(
        &self,
        node: NodeId,
        priority: i32,
        pod: Option<PodId>,
    ) -> impl Iterator<Item = &Nominated> {
        let nominated = self.on(node).iter();
        nominated.filter(move |one| one.priority >= priority && Some(one.pod) != pod)
    }
}
