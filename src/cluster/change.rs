//! What happened to the objects, for those who watch.

use super::cron_job::CronJobId;
use super::daemon_set::DaemonSetId;
use super::deployment::{DeploymentId, ReplicaSetId};
use super::hpa_object::HpaId;
use super::job::JobId;
use super::node::NodeId;
use super::pod::{Owner, PodId};
use super::policy::PodDisruptionBudgetId;
use super::scaled_object::ScaledObjectId;
use super::selection::Selecting;
use super::service::ServiceId;
use super::stateful_set::StatefulSetId;
use super::vpa::VpaId;

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
    /// A pod changed; what of it, say the [`PodChanges`].
    PodUpdated(PodId, PodChanges),
    /// A pod object is gone; its id finds nothing any more.
    PodRemoved {
        /// Which pod it was.
        pod: PodId,
        /// Who owned it.
        owner: Option<Owner>,
        /// Where it was.
        node: Option<NodeId>,
    },
    /// A PersistentVolumeClaim was created.
    ClaimAdded,
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
    /// A StatefulSet was created or its spec changed.
    StatefulSetSpec(StatefulSetId),
    /// A StatefulSet's status changed.
    StatefulSetStatus(StatefulSetId),
    /// A StatefulSet is gone.
    StatefulSetRemoved(StatefulSetId),
    /// A DaemonSet was created or its spec changed.
    DaemonSetSpec(DaemonSetId),
    /// A DaemonSet's status changed.
    DaemonSetStatus(DaemonSetId),
    /// A DaemonSet is gone.
    DaemonSetRemoved(DaemonSetId),
    /// A Job was created or its spec changed.
    JobSpec(JobId),
    /// A Job's status changed.
    JobStatus(JobId),
    /// A Job is gone.
    JobRemoved {
        /// Which one it was.
        job: JobId,
        /// The CronJob that made it.
        owner: Option<CronJobId>,
    },
    /// A CronJob was created or its spec changed.
    CronJobSpec(CronJobId),
    /// A CronJob's status changed.
    CronJobStatus(CronJobId),
    /// A CronJob is gone.
    CronJobRemoved(CronJobId),
    /// A Service was created, its spec changed, or it is gone and its id finds nothing any more.
    ServiceSpec(ServiceId),
    /// A Service's endpoints changed.
    Endpoints(ServiceId),
    /// An HPA was created, its spec changed, or it is gone and its id finds nothing any more.
    HpaSpec(HpaId),
    /// An HPA's status changed.
    HpaStatus(HpaId),
    /// A ScaledObject was created, or it is gone and its id finds nothing any more.
    ScaledObject(ScaledObjectId),
    /// The metrics API serves other samples of pods of this owner, or none any more.
    PodSamples(Owner),
    /// A metrics API fails, or serves again.
    MetricsApi,
    /// A VerticalPodAutoscaler was created, or it is gone and its id finds nothing any more.
    Vpa(VpaId),
    /// A PodDisruptionBudget was created or changed.
    PodDisruptionBudget(PodDisruptionBudgetId),
}

/// What changed of a pod in one write.
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
