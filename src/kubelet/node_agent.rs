//! One node's kubelet: whether it works, and what it keeps for all of its pods.

use super::images::Images;
use super::work::Work;
use cluster::Name;
use cluster::node::NodeId;

/// One node's kubelet.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeAgent {
    pub(super) reach: Reach,
    pub(super) images: Images,
    /// The making and ending of its pods.
    pub(super) work: Work,
    /// When its relists come, as a part of their period, 0 to 1.
    pub(super) phase: f64,
}

/// Whether a kubelet works and is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// It does.
    #[default]
    Up,
    /// Its process is stopped, while the containers go on.
    Stopped,
    /// The network to its node fails.
    Unreachable,
    /// The machine is down.
    Down,
}

impl NodeAgent {
    /// The kubelet of a node that has these images.
    pub(super) fn new(images: impl Iterator<Item = Name>) -> Self {
        Self { reach: Reach::Up, images: Images::new(images), ..Self::default() }
    }

    /// Whether its machine is down, or cannot be reached.
    pub(super) const fn is_down(&self) -> bool {
        matches!(self.reach, Reach::Down | Reach::Unreachable)
    }
}

/// The kubelet of a node.
pub(super) fn agent_of(nodes: &mut Vec<NodeAgent>, node: NodeId) -> &mut NodeAgent {
    if nodes.len() <= node.index() {
        nodes.resize_with(node.index() + 1, NodeAgent::default);
    }
    &mut nodes[node.index()]
}
