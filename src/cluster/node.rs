//! Nodes: capacity, labels, taints, conditions.

use super::meta::{Name, ObjectMeta};
use super::pod_template::{ResourceList, TaintEffect};
use crate::engine::{Id, SimTime};
use crate::units::Bytes;

/// Key of a [`Node`] in the store.
pub type NodeId = Id<Node>;

/// A node as the API server holds it. `meta.labels` are the node's labels.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// What the machine has (`status.capacity`).
    pub capacity: ResourceList,
    /// What pods may use (`status.allocatable`).
    pub allocatable: ResourceList,
    /// `spec.unschedulable`: cordoned.
    pub unschedulable: bool,
    /// Taints in their order.
    pub taints: Vec<Taint>,
    /// The Ready condition.
    pub ready: NodeReady,
    /// Images that the node holds, by name with tag, with their size.
    pub images: Vec<(Name, Bytes)>,
    /// The pool that it belongs to, for price and report; empty for Node objects given as such.
    pub pool: Name,
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Key.
    pub key: Name,
    /// Value, empty if none.
    pub value: Name,
    /// What it does.
    pub effect: TaintEffect,
    /// When it was set, if that is known.
    pub time_added: Option<SimTime>,
}

/// The Ready condition of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeReady {
    /// Its status.
    pub status: ConditionStatus,
    /// Last transition, cut to whole seconds.
    pub since: SimTime,
}

/// Status of any condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody can tell.
    Unknown,
}

impl ConditionStatus {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Well-known label of a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Well-known label of a node's region.
pub const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// Well-known label of a node's name.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// Set by the node lifecycle controller when the kubelet says that it is not ready.
pub const NOT_READY_TAINT: &str = "node.kubernetes.io/not-ready";
/// Set by the node lifecycle controller when the kubelet is not heard of.
pub const UNREACHABLE_TAINT: &str = "node.kubernetes.io/unreachable";
/// Set by the node lifecycle controller on cordoned nodes.
pub const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";
