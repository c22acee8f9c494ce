//! Nodes in a loop, with their readiness and group.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::gpu::allocatable_gpus;
use super::provider::CloudProvider;
use super::taints::{TO_BE_DELETED, has_taint, is_starting};
use cluster::node::{
    ConditionStatus, DISK_PRESSURE_TAINT, NETWORK_UNAVAILABLE_TAINT, NOT_READY_TAINT, Node, NodeId,
};
use cluster::{ClusterView, Name};
use engine::{SimDuration, SimTime};

/// How long a node must be ready before it serves as a template for its group (`stabilizationDelay`).
const STABILIZATION: SimDuration = SimDuration::from_secs(60);
/// Annotation that prevents the removal of a node.
const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

/// A node in one loop.
#[derive(Clone, Debug)]
pub struct LoopNode {
    /// Its key in the store.
    pub id: NodeId,
    /// The object; set to not ready while its GPUs are missing or it has a startup taint.
    pub node: Arc<Node>,
    /// Position of its group; absent if it is not autoscaled.
    pub group: Option<usize>,
    /// True if it is ready (`GetNodeReadiness`).
    pub is_ready: bool,
    /// True if its machine exists.
    pub has_instance: bool,
    /// True if it is ready and schedulable now.
    pub is_ready_and_schedulable: bool,
}

impl LoopNode {
    /// Its name.
    pub fn name(&self) -> &Name {
        self.node.meta.name()
    }
}

/// All nodes by name, as of the last loop; unchanged ones are not processed again.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeList {
    /// The store's change counter of nodes, and the number of groups.
    seen: Option<(u64, usize)>,
    nodes: Vec<LoopNode>,
    /// Number of instances that the cloud had removed by then.
    removals: u64,
    /// The ids of `nodes`. Only ever looked up, never iterated.
    ids: FxHashSet<NodeId>,
}

impl NodeList {
    /// All nodes by name; those that lack their GPUs or have not started count as not ready (`obtainNodeLists`).
    pub(crate) fn update(
        &mut self,
        view: ClusterView<'_>,
        cloud: &dyn CloudProvider,
    ) -> Vec<LoopNode> {
        let seen = (view.nodes_revision(), cloud.node_groups().len());
        if self.seen != Some(seen) {
            if self.seen.is_some_and(|(_, groups)| groups != seen.1) {
                // The nodes may belong to other groups now.
                *self = Self::default();
            }
            self.seen = Some(seen);
            self.update_known(view, cloud);
            self.add_new(view, cloud);
        }
        self.update_instances(cloud);
        self.nodes.clone()
    }

    /// Removes the nodes that are gone, and processes those that changed.
    fn update_known(&mut self, view: ClusterView<'_>, cloud: &dyn CloudProvider) {
        let Self { nodes, ids, .. } = self;
        nodes.retain_mut(|one| {
            let Some(node) = view.nodes().get(one.id) else {
                ids.remove(&one.id);
                return false;
            };
            if node.meta.resource_version != one.node.meta.resource_version {
                *one = loop_node(one.id, node, cloud);
            }
            true
        });
    }

    /// Checks which machines exist; one that did does so until the cloud removes any.
    fn update_instances(&mut self, cloud: &dyn CloudProvider) {
        let removals = cloud.removals();
        let is_any_gone = std::mem::replace(&mut self.removals, removals) != removals;
        for one in self.nodes.iter_mut().filter(|one| is_any_gone || !one.has_instance) {
            one.has_instance = cloud.has_instance(&one.node);
        }
    }

    fn add_new(&mut self, view: ClusterView<'_>, cloud: &dyn CloudProvider) {
        if view.nodes().len() == self.nodes.len() {
            return;
        }
        for (id, node) in view.nodes().iter() {
            if self.ids.insert(id) {
                self.nodes.push(loop_node(id, node, cloud));
            }
        }
        self.nodes.sort_by(|one, other| super::natural_cmp(one.name(), other.name()));
    }
}

fn loop_node(id: NodeId, node: &Node, cloud: &dyn CloudProvider) -> LoopNode {
    let is_listed_ready = is_ready(node) && !node.unschedulable;
    let awaits_gpu = is_listed_ready
        && node.meta.labels.contains_key(cloud.gpu_label())
        && allocatable_gpus(node).is_none();
    let is_unready = awaits_gpu || is_listed_ready && is_starting(node);
    let group = cloud.group_of(node);
    let mut node = node.clone();
    if is_unready {
        node.ready.status = ConditionStatus::False;
        node.ready.since = node.meta.created;
    }
    let is_ready_and_schedulable = is_listed_ready && !is_unready;
    let (is_ready, has_instance) = (is_ready(&node), false);
    LoopNode { id, node: Arc::new(node), group, is_ready, has_instance, is_ready_and_schedulable }
}

/// True if a node is ready (`GetNodeReadiness`), by its conditions (Ready, disk, network) and its taints.
pub(crate) fn is_ready(node: &Node) -> bool {
    let [_, disk, _, network] = node.health.conditions;
    let unready_taints = [NOT_READY_TAINT, DISK_PRESSURE_TAINT, NETWORK_UNAVAILABLE_TAINT];
    node.ready.status == ConditionStatus::True
        && disk != ConditionStatus::True
        && network != ConditionStatus::True
        && !unready_taints.iter().any(|key| has_taint(node, key))
}

/// True if a node can serve as the template of its group (`isNodeGoodTemplateCandidate`).
pub(crate) fn is_good_template(node: &Node, now: SimTime) -> bool {
    is_ready(node)
        && node.ready.since + STABILIZATION < now
        && !node.unschedulable
        && !has_taint(node, TO_BE_DELETED)
}

/// True if an annotation prevents the removal of the node.
pub(crate) fn is_scale_down_disabled(node: &Node) -> bool {
    node.meta.annotations.get(SCALE_DOWN_DISABLED).is_some_and(|value| **value == *"true")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use cluster::ObjectMeta;
    use cluster::pod_template::ResourceList;
    use units::Quantity;

    /// A ready node with 4 cores, 16 GiB and room for 110 pods.
    pub(crate) fn node(name: &str) -> Node {
        let list: ResourceList = [
            ("cpu", Quantity::from_units(4)),
            ("memory", Quantity::from_bytes(16 << 30)),
            ("pods", Quantity::from_units(110)),
        ]
        .into_iter()
        .collect();
        Node::new(ObjectMeta::new("", name), list)
    }

    #[test]
    fn a_node_is_a_template_after_more_than_a_minute_of_readiness() {
        let node = node("a");
        assert!(!is_good_template(&node, SimTime::from_secs(60)));
        assert!(is_good_template(&node, SimTime::from_secs(61)));
        let cordoned = Node { unschedulable: true, ..node };
        assert!(!is_good_template(&cordoned, SimTime::from_secs(61)));
    }

    #[test]
    fn a_full_disk_and_a_missing_network_make_a_node_unready_and_short_memory_does_not() {
        for (condition, expected) in [(0, true), (1, false), (2, true), (3, false)] {
            let mut node = node("a");
            node.health.conditions[condition] = ConditionStatus::True;
            assert_eq!(is_ready(&node), expected, "condition {condition}");
        }
    }
}
