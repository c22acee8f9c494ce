//! Changes of objects, for those who watch.

use super::meta::NamespacedName;
use super::node::NodeId;
use super::objects::ObjectId;
use super::pod::{Owner, PodId};
use super::selection::Selecting;
use super::service::ServiceId;
use super::store::Store;

/// One change of one object, as a watch would deliver it. Every write that changes something is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node was added.
    NodeAdded(NodeId),
    /// A node's labels, taints, conditions or cordon changed.
    NodeUpdated(NodeId),
    /// A pod was created.
    PodAdded(PodId),
    /// A pod changed; [`PodChanges`] says in which respect.
    PodUpdated(PodId, PodChanges),
    /// A pod object is gone; its id finds nothing any more.
    PodRemoved {
        /// Its former key.
        pod: PodId,
        /// Its name.
        name: Box<NamespacedName>,
        /// The controller that owned it.
        owner: Option<Owner>,
        /// The node to which it was bound.
        node: Option<NodeId>,
    },
    /// A pod that a Service or a PodDisruptionBudget selected is gone.
    SelectedPodRemoved(Selecting),
    /// Metadata or spec of an object other than a pod or a node were written.
    Spec(ObjectId, Write),
    /// The status of an object other than a pod or a node was written.
    Status(ObjectId),
    /// An object other than a pod is gone; its key finds nothing any more.
    Removed {
        /// Its former key.
        object: ObjectId,
        /// Its name.
        name: Box<NamespacedName>,
        /// The object that owned it.
        owner: Option<ObjectId>,
    },
    /// The ControllerRevisions of a StatefulSet or a DaemonSet changed.
    Revisions(Owner),
    /// The EndpointSlices of a Service changed.
    Endpoints(ServiceId),
    /// The metrics API serves other samples of pods of this owner, or none any more.
    PodSamples(Owner),
    /// A metrics API fails, or serves again.
    MetricsApi,
}

/// Whether a write made an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It did.
    Create,
    /// The object was there.
    Update,
}

impl Change {
    /// The object that changed; `None` for what is no object of the store.
    pub fn object(&self) -> Option<ObjectId> {
        Some(match self {
            Self::NodeAdded(node) | Self::NodeUpdated(node) => ObjectId::Node(*node),
            Self::PodAdded(pod) | Self::PodUpdated(pod, _) | Self::PodRemoved { pod, .. } => {
                ObjectId::Pod(*pod)
            }
            Self::Spec(object, _) | Self::Status(object) | Self::Removed { object, .. } => *object,
            Self::Revisions(owner) => (*owner).into(),
            Self::Endpoints(service) => ObjectId::Service(*service),
            Self::SelectedPodRemoved(_) | Self::PodSamples(_) | Self::MetricsApi => return None,
        })
    }

    /// The object that is gone with this change.
    pub fn removed(&self) -> Option<ObjectId> {
        match self {
            Self::Removed { object, .. } => Some(*object),
            Self::PodRemoved { pod, .. } => Some(ObjectId::Pod(*pod)),
            _ => None,
        }
    }

    /// The name of the object that changed.
    pub fn name<'a>(&'a self, store: &'a Store) -> Option<&'a NamespacedName> {
        match self {
            Self::Removed { name, .. } | Self::PodRemoved { name, .. } => Some(name),
            _ => store.name_of(self.object()?),
        }
    }
}

/// The respects in which one write changed a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodChanges(u16);

impl PodChanges {
    /// It was bound to its node.
    pub const BOUND: Self = Self(1);
    /// It was nominated to a node, or is not any more.
    pub const NOMINATED: Self = Self(1 << 1);
    /// The kubelet took it (`startTime`), or its phase changed.
    pub const PHASE: Self = Self(1 << 2);
    /// Its Ready condition changed.
    pub const READY: Self = Self(1 << 3);
    /// Its deletion was asked for.
    pub const DELETION_REQUESTED: Self = Self(1 << 4);
    /// Its labels or annotations changed.
    pub const LABELS: Self = Self(1 << 5);
    /// It was said to be disrupted.
    pub const DISRUPTED: Self = Self(1 << 6);
    /// A container restarted.
    pub const RESTARTED: Self = Self(1 << 7);
    /// The state of a container, or a condition other than Ready, changed.
    pub const CONTAINERS: Self = Self(1 << 8);
    /// Its finalizer was removed.
    pub const FINALIZER: Self = Self(1 << 9);
    /// Its scheduling gates were removed.
    pub const GATES: Self = Self(1 << 10);
    /// Its containers ask for other amounts, or have got them.
    pub const RESIZED: Self = Self(1 << 11);

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether one of those is among these.
    pub const fn has(self, any_of: Self) -> bool {
        self.0 & any_of.0 != 0
    }
}

/// Adds a change of a pod; what one write changes of it is one change.
pub(super) fn push_pod_update(changes: &mut Vec<Change>, pod: PodId, what: PodChanges) {
    if let Some(Change::PodUpdated(last, known)) = changes.last_mut()
        && *last == pod
    {
        *known = known.and(what);
    } else {
        changes.push(Change::PodUpdated(pod, what));
    }
}
