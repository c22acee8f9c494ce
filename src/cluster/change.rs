//! What happened to the objects, for those who watch.

use super::deployment::{DeploymentId, ReplicaSetId};
use super::hpa_object::HpaId;
use super::node::NodeId;
use super::pod::{Owner, PodId};
use super::policy::PodDisruptionBudgetId;
use super::selection::Selecting;
use super::service::ServiceId;

/// One change of one object, as a watch would deliver it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node appeared.
    NodeAdded(NodeId),
    /// A node's labels, taints, conditions or cordon changed.
    NodeUpdated(NodeId),
    /// A node object is gone; its id finds nothing any more.
    NodeRemoved(NodeId),
    /// A pod was created.
    PodAdded(PodId),
    /// A pod changed; what of it, says the [`PodChange`].
    PodUpdated(PodId, PodChange),
    /// A pod object is gone; its id finds nothing any more.
    PodRemoved {
        /// Which pod it was.
        pod: PodId,
        /// Who owned it.
        owner: Option<Owner>,
        /// Where it was.
        node: Option<NodeId>,
    },
    /// A pod that a Service or a PodDisruptionBudget selected is gone.
    SelectedPodRemoved(Selecting),
    /// A Deployment was created or its spec changed.
    DeploymentSpec(DeploymentId),
    /// A Deployment's status changed.
    DeploymentStatus(DeploymentId),
    /// A Deployment is gone.
    DeploymentRemoved(DeploymentId),
    /// A ReplicaSet was created, scaled or annotated.
    ReplicaSetSpec(ReplicaSetId),
    /// A ReplicaSet's status changed.
    ReplicaSetStatus(ReplicaSetId),
    /// A ReplicaSet is gone.
    ReplicaSetRemoved {
        /// Which one it was.
        replica_set: ReplicaSetId,
        /// Who owned it.
        owner: Option<DeploymentId>,
    },
    /// A Service was created or its spec changed.
    ServiceSpec(ServiceId),
    /// A Service's endpoints changed.
    Endpoints(ServiceId),
    /// An HPA was created, its spec changed, or it is gone and its id finds nothing any more.
    HpaSpec(HpaId),
    /// An HPA's status changed.
    HpaStatus(HpaId),
    /// A PodDisruptionBudget was created or changed.
    PodDisruptionBudget(PodDisruptionBudgetId),
}

/// What changed of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodChange {
    /// It was bound to its node.
    Bound,
    /// It was nominated to a node, or is not any more.
    Nominated,
    /// The kubelet took it (`startTime`), or its phase changed.
    Phase,
    /// Its Ready condition changed.
    Ready,
    /// Its deletion was asked for.
    DeletionRequested,
    /// Its labels or annotations changed.
    Labels,
    /// It was said to be disrupted.
    Disrupted,
    /// A container restarted.
    Restarted,
    /// Its scheduling gates were removed.
    Gates,
}
