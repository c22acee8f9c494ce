//! The state of an individual pod.

use super::container_status::{ContainerStatuses, PodConditions};
use super::daemon_set::DaemonSetId;
use super::job::JobId;
use super::meta::{Labels, Name, NamespacedName};
use super::node::{ConditionStatus, NodeId};
use super::objects::ObjectId;
use super::pod_template::TemplateId;
use super::replica_set::ReplicaSetId;
use super::resize::PodResize;
use super::stateful_set::StatefulSetId;
use engine::{Id, SimTime};

/// Key of a [`Pod`] in the store.
pub type PodId = Id<Pod>;

/// A pod. Everything shared with its siblings is in its template.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Namespace and name.
    pub id: NamespacedName,
    /// Stands for `metadata.uid`: unique in a run. Controllers that compare UIDs compare these numbers.
    pub uid: u64,
    /// Its template.
    pub template: TemplateId,
    /// The controller that owns it.
    pub owner: Option<Owner>,
    /// `creationTimestamp`, cut to whole seconds.
    pub created: SimTime,
    /// Creation number in the store: breaks ties between equal creation times.
    pub sequence: u64,
    /// `metadata.resourceVersion`: the number of the last write in the store.
    pub resource_version: u64,
    /// `status.phase`.
    pub phase: PodPhase,
    /// `spec.nodeName`.
    pub node: Option<NodeId>,
    /// `status.nominatedNodeName`: where preemption makes room for it.
    pub nominated_node: Option<NodeId>,
    /// `status.startTime`: when the kubelet accepted it.
    pub start_time: Option<SimTime>,
    /// Time of the deletion request and deadline; present while terminating.
    pub deletion: Option<Deletion>,
    /// The Ready condition, absent until the kubelet writes it.
    pub ready: Option<PodCondition>,
    /// The DisruptionTarget condition's reason, if the pod is being disrupted.
    pub disruption_target: Option<&'static str>,
    /// The largest restart counts, as compared by controllers.
    pub restarts: RestartCounts,
    /// Container statuses reported by the kubelet.
    pub containers: ContainerStatuses,
    /// The conditions other than Ready.
    pub conditions: PodConditions,
    /// `status.reason`, such as `Evicted`, for a pod that its kubelet ended or refused.
    pub status_reason: Option<&'static str>,
    /// The finalizer that holds the object.
    pub finalizer: Finalizer,
    /// Labels and annotations where they differ from the template's.
    pub overrides: Option<Box<PodOverrides>>,
    /// Progress of an in-place resize; absent once all requested resources are in force.
    pub resize: Option<Box<PodResize>>,
}

/// The state of a pod read by controllers at every sync. The store keeps it contiguous for the pods of an owner:
/// whole pods are scattered in memory, and reading them costs cache misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodState {
    /// The pod's template.
    pub template: TemplateId,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Whether its deletion was requested.
    pub is_terminating: bool,
    /// The Ready condition, absent until the kubelet writes it.
    pub ready: Option<PodCondition>,
    /// `status.startTime`: when the kubelet accepted it.
    pub start_time: Option<SimTime>,
}

/// Labels and annotations of a pod that differ from its template's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodOverrides {
    /// All labels.
    pub labels: Labels,
    /// All annotations.
    pub annotations: Labels,
}

/// The controller that owns a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A ReplicaSet.
    ReplicaSet(ReplicaSetId),
    /// A StatefulSet.
    StatefulSet(StatefulSetId),
    /// A DaemonSet.
    DaemonSet(DaemonSetId),
    /// A Job.
    Job(JobId),
}

impl From<Owner> for ObjectId {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::ReplicaSet(id) => Self::ReplicaSet(id),
            Owner::StatefulSet(id) => Self::StatefulSet(id),
            Owner::DaemonSet(id) => Self::DaemonSet(id),
            Owner::Job(id) => Self::Job(id),
        }
    }
}

/// `metadata.finalizers`; only that of Jobs is modeled (`batch.kubernetes.io/job-tracking`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finalizer {
    /// No finalizer.
    #[default]
    Absent,
    /// The finalizer is present.
    Holds,
    /// The object is to be removed once the finalizer is.
    HoldsRemoval,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodPhase {
    /// Not every container has started.
    #[default]
    Pending,
    /// Bound, and at least one container runs.
    Running,
    /// All containers exited successfully and will not be restarted.
    Succeeded,
    /// All containers exited, at least one with a failure, and will not be restarted.
    Failed,
    /// The node is unreachable.
    Unknown,
}

impl PodPhase {
    /// Whether the pod has ended for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// The spelling used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }
}

/// A requested deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Time of the request.
    pub requested_at: SimTime,
    /// `deletionTimestamp`: when the grace ends, cut to whole seconds.
    pub deadline: SimTime,
}

/// A condition of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodCondition {
    /// Its status.
    pub status: ConditionStatus,
    /// Time of the last transition, truncated to whole seconds.
    pub since: SimTime,
}

impl PodCondition {
    /// True if its status is True.
    pub fn is_true(self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Restart counts: controllers compare the largest over containers and over sidecars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestartCounts {
    /// The largest count over the regular containers.
    pub containers_max: u32,
    /// The largest count over the sidecars.
    pub sidecars_max: u32,
}

impl Pod {
    /// `metadata.name`.
    pub const fn name(&self) -> &Name {
        &self.id.name
    }

    /// Whether the Ready condition is True.
    pub fn is_ready(&self) -> bool {
        self.ready.is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// Whether it has an address (`status.podIP`): its kubelet reported the sandbox. It keeps the address when the sandbox
    /// has ended (`getPodIPs` of the kubelet's `pleg`). Without reports of conditions it has one from its start.
    pub fn has_address(&self) -> bool {
        match self.conditions.ready_to_start_containers {
            Some(condition) => condition.is_true() || self.phase != PodPhase::Pending,
            None => self.start_time.is_some(),
        }
    }

    /// Whether its deletion was requested.
    pub const fn is_terminating(&self) -> bool {
        self.deletion.is_some()
    }

    /// True if controllers count it: neither finished nor terminating (`IsPodActive` in
    /// `pkg/controller/controller_utils.go`).
    pub const fn is_active(&self) -> bool {
        !self.phase.is_terminal() && self.deletion.is_none()
    }

    /// The state read by controllers at every sync.
    pub const fn state(&self) -> PodState {
        PodState {
            template: self.template,
            phase: self.phase,
            is_terminating: self.is_terminating(),
            ready: self.ready,
            start_time: self.start_time,
        }
    }
}

impl PodState {
    /// [`Pod::is_active`].
    pub const fn is_active(&self) -> bool {
        !self.phase.is_terminal() && !self.is_terminating
    }
}
