//! Changes of nodes, and of the pods on them.

use std::sync::OnceLock;

use super::{Cache, ImageState};
use crate::node_info::{ClassId, NodeInfo, PlacedPod};
use crate::node_order::NodeOrder;
use crate::tally::Tally;
use crate::topology::Domains;
use cluster::node::{Node, NodeId};
use cluster::pod::PodId;

impl Cache {
    /// Adds a node.
    pub fn add_node(&mut self, id: NodeId, node: &Node) {
        let mut domains = Domains::new();
        self.topology.enter(id.index(), &node.meta.labels, &mut domains);
        if self.nodes.len() <= id.index() {
            self.nodes.resize_with(id.index() + 1, || None);
        }
        let mut info = NodeInfo::new(id, node, domains);
        info.generation = self.next_generation(id);
        self.count(&info);
        self.zones.add(id.index(), &info.labels);
        self.nodes[id.index()] = Some(info);
        self.count += 1;
        self.order_changed();
    }

    /// Applies an updated Node object.
    pub fn update_node(&mut self, id: NodeId, node: &Node) {
        let generation = self.next_generation(id);
        let Some(mut info) = self.take(id) else { return };
        self.discount(&info);
        if info.labels != node.meta.labels {
            if NodeOrder::moves(&info.labels, &node.meta.labels) {
                self.zones.remove(id.index(), &info.labels);
                self.zones.add(id.index(), &node.meta.labels);
                self.order_changed();
            }
            self.tallies.leave_all(&info);
            self.topology.leave(id.index(), &info.labels, &info.domains);
            info.domains.clear();
            self.topology.enter(id.index(), &node.meta.labels, &mut info.domains);
            self.tallies.enter_all(&info);
        }
        info.set_node(node);
        info.generation = generation;
        self.count(&info);
        self.nodes[id.index()] = Some(info);
    }

    /// Removes a node and the pods on it.
    pub fn remove_node(&mut self, id: NodeId) {
        let Some(info) = self.take(id) else { return };
        for count in &info.classes {
            self.count_placed(count.class, |placed| *placed -= count.pods);
        }
        self.discount(&info);
        self.tallies.leave_all(&info);
        self.index.leave(&info);
        self.topology.leave(id.index(), &info.labels, &info.domains);
        self.zones.remove(id.index(), &info.labels);
        self.count -= 1;
        self.order_changed();
    }

    /// Adds a pod to a node; does nothing if the node is unknown.
    pub fn add_pod(&mut self, node: NodeId, pod: PlacedPod) {
        let generation = self.next_generation(node);
        if let Some(info) = node_mut(&mut self.nodes, node) {
            info.add_pod(pod, &self.classes[pod.class.index()]);
            info.generation = generation;
            let enter = |tally: &mut Tally| {
                tally.pods += 1;
                tally.terminating += u32::from(pod.is_terminating);
            };
            self.tallies.change(info, pod.class, enter);
            self.index.change(info, pod.class, enter);
            self.count_placed(pod.class, |placed| *placed += 1);
        }
    }

    /// Removes a pod of a class from a node.
    pub fn remove_pod(&mut self, node: NodeId, pod: PodId, class: ClassId) {
        let generation = self.next_generation(node);
        if let Some(info) = node_mut(&mut self.nodes, node)
            && let Some(gone) = info.remove_pod(Some(pod), &self.classes[class.index()])
        {
            info.generation = generation;
            let leave = |tally: &mut Tally| {
                tally.pods -= 1;
                tally.terminating -= u32::from(gone.is_terminating);
            };
            self.tallies.change(info, gone.class, leave);
            self.index.change(info, gone.class, leave);
            self.count_placed(class, |placed| *placed -= 1);
        }
    }

    /// Changes the number of a class's pods on nodes.
    fn count_placed(&mut self, class: ClassId, change: impl Fn(&mut u32)) {
        change(&mut self.placed[class.index()]);
        let priority = self.classes[class.index()].priority;
        let of_priority = self.on_nodes_of_priority.entry(priority).or_default();
        change(of_priority);
        if *of_priority == 0 {
            self.on_nodes_of_priority.remove(&priority);
        }
    }

    /// Marks a pod on a node as terminating.
    pub(crate) fn set_terminating(&mut self, node: NodeId, pod: PodId) {
        let generation = self.next_generation(node);
        if let Some(info) = node_mut(&mut self.nodes, node) {
            if let Some(class) = info.set_terminating(pod) {
                let mark = |tally: &mut Tally| tally.terminating += 1;
                self.tallies.change(info, class, mark);
                self.index.change(info, class, mark);
            }
            info.generation = generation;
        }
    }

    fn take(&mut self, id: NodeId) -> Option<NodeInfo> {
        let slot = self.nodes.get_mut(id.index())?;
        slot.take_if(|node| node.id == id)
    }

    fn order_changed(&mut self) {
        self.order_version += 1;
        self.order = OnceLock::new();
        self.name_ranks = OnceLock::new();
    }

    fn next_generation(&mut self, node: NodeId) -> u64 {
        self.generation += 1;
        // Tracking more changes than nodes individually does not pay off.
        if self.changes.len() > self.nodes.len() {
            self.changes.pop_front();
        }
        self.changes.push_back(u32::try_from(node.index()).unwrap_or(u32::MAX));
        self.generation
    }

    /// Adds a node's taints and images to the counts.
    fn count(&mut self, node: &NodeInfo) {
        self.softly_tainted += usize::from(node.has_soft_taint());
        self.hard_tainted += usize::from(node.has_hard_taint());
        for (name, size) in &node.images {
            let state =
                self.images.entry(name.clone()).or_insert(ImageState { size: *size, nodes: 0 });
            state.nodes += 1;
        }
    }

    /// Subtracts a node's taints and images from the counts.
    fn discount(&mut self, node: &NodeInfo) {
        self.softly_tainted -= usize::from(node.has_soft_taint());
        self.hard_tainted -= usize::from(node.has_hard_taint());
        for (name, _) in &node.images {
            if let Some(state) = self.images.get_mut(name) {
                state.nodes -= 1;
                if state.nodes == 0 {
                    self.images.remove(name);
                }
            }
        }
    }
}

fn node_mut(nodes: &mut [Option<NodeInfo>], id: NodeId) -> Option<&mut NodeInfo> {
    nodes.get_mut(id.index())?.as_mut().filter(|node| node.id == id)
}
