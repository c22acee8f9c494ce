//! Change notifications, the simulation's equivalent of watch events.

use super::meta::NamespacedName;
use super::node::NodeId;
use super::objects::ObjectId;
use super::pod::{Owner, PodId};
use super::selection::Selecting;
use super::service::ServiceId;
use super::store::Store;

/// One change of one object, as a watch would deliver it. Every effective write produces one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node was added.
    NodeAdded(NodeId),
    /// A node's labels, taints, conditions or cordon changed.
    NodeUpdated(NodeId),
    /// A pod was created.
    PodAdded(PodId),
    /// A pod changed; [`PodChanges`] lists the aspects.
    PodUpdated(PodId, PodChanges),
    /// A pod object was removed; its id no longer resolves.
    PodRemoved {
        /// Its former key.
        pod: PodId,
        /// Namespace and name of the pod.
        name: Box<NamespacedName>,
        /// The controller that owned it.
        owner: Option<Owner>,
        /// The node to which it was bound.
        node: Option<NodeId>,
    },
    /// A pod selected by a Service or PodDisruptionBudget was removed.
    SelectedPodRemoved(Selecting, PodId),
    /// Metadata or spec of an object other than a pod or node was written.
    Spec(ObjectId, Write),
    /// The status of an object other than a pod or node was written.
    Status(ObjectId),
    /// An object other than a pod was removed; its id no longer resolves.
    Removed {
        /// Its former key.
        object: ObjectId,
        /// Namespace and name of the object.
        name: Box<NamespacedName>,
        /// The object that owned it.
        owner: Option<ObjectId>,
    },
    /// The ControllerRevisions of a StatefulSet or a DaemonSet changed.
    Revisions(Owner),
    /// The EndpointSlices of a Service changed.
    Endpoints(ServiceId),
    /// The resource metrics API serves different samples for pods of this owner, or none.
    PodSamples(Owner),
    /// A metrics API became unavailable, or recovered.
    MetricsApi,
}

/// Kind of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The object was created.
    Create,
    /// The object existed and was updated.
    Update,
}

impl Change {
    /// The object that changed; `None` if the change does not concern an object in the store.
    pub fn object(&self) -> Option<ObjectId> {
        Some(match self {
            Self::NodeAdded(node) | Self::NodeUpdated(node) => ObjectId::Node(*node),
            Self::PodAdded(pod) | Self::PodUpdated(pod, _) | Self::PodRemoved { pod, .. } => {
                ObjectId::Pod(*pod)
            }
            Self::Spec(object, _) | Self::Status(object) | Self::Removed { object, .. } => *object,
            Self::Revisions(owner) => (*owner).into(),
            Self::Endpoints(service) => ObjectId::Service(*service),
            Self::SelectedPodRemoved(..) | Self::PodSamples(_) | Self::MetricsApi => return None,
        })
    }

    /// The object that this change removed.
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

/// Set of aspects in which one write changed a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodChanges(u16);

impl PodChanges {
    /// It was bound to its node.
    pub const BOUND: Self = Self(1);
    /// `status.nominatedNodeName` changed.
    pub const NOMINATED: Self = Self(1 << 1);
    /// The kubelet accepted it (`startTime`), or its phase changed.
    pub const PHASE: Self = Self(1 << 2);
    /// Its Ready condition changed.
    pub const READY: Self = Self(1 << 3);
    /// Its deletion was requested.
    pub const DELETION_REQUESTED: Self = Self(1 << 4);
    /// Its labels or annotations changed.
    pub const LABELS: Self = Self(1 << 5);
    /// Its DisruptionTarget condition was set.
    pub(crate) const DISRUPTED: Self = Self(1 << 6);
    /// A container restarted.
    pub const RESTARTED: Self = Self(1 << 7);
    /// The state of a container, or a condition other than Ready, changed.
    pub const CONTAINERS: Self = Self(1 << 8);
    /// Its finalizer was removed.
    pub(crate) const FINALIZER: Self = Self(1 << 9);
    /// Its scheduling gates were removed.
    pub const GATES: Self = Self(1 << 10);
    /// The requested, allocated or actual resources of its containers changed.
    pub const RESIZED: Self = Self(1 << 11);
    /// It got its address.
    pub const ADDRESS: Self = Self(1 << 12);

    /// The union of both sets.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// True if the sets intersect.
    pub const fn has(self, any_of: Self) -> bool {
        self.0 & any_of.0 != 0
    }
}

/// Adds a change of a pod, merging all aspects changed by one write into one change.
pub(super) fn push_pod_update(changes: &mut Vec<Change>, pod: PodId, what: PodChanges) {
    if let Some(Change::PodUpdated(last, known)) = changes.last_mut()
        && *last == pod
    {
        *known = known.and(what);
    } else {
        changes.push(Change::PodUpdated(pod, what));
    }
}
