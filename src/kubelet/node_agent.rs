//! One node's kubelet: its reachability and the state shared by its pods.

use super::images::Images;
use super::work::Work;
use cluster::Name;
use cluster::node::NodeId;
use engine::SimTime;

/// One node's kubelet.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeAgent {
    pub(super) reach: Reach,
    pub(super) images: Images,
    /// Setup and teardown work of its pods.
    pub(super) work: Work,
    /// Phase of its relists as a fraction of their period, 0 to 1.
    pub(super) phase: f64,
    /// When the token bucket of its API client is full again.
    pub(super) client_full_at: SimTime,
}

/// Whether a kubelet is running and reachable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// Running and reachable.
    #[default]
    Up,
    /// The kubelet process is stopped; the containers keep running.
    Stopped,
    /// The node's network is down.
    Unreachable,
    /// The machine is down.
    Down,
}

impl NodeAgent {
    /// The kubelet of a node with these images.
    pub(super) fn new(images: impl Iterator<Item = Name>) -> Self {
        Self { reach: Reach::Up, images: Images::new(images), ..Self::default() }
    }

    /// Whether the machine is down or unreachable.
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
