//! The kinds of Kueue: ResourceFlavor, ClusterQueue, LocalQueue and WorkloadPriorityClass
//! (`kueue.x-k8s.io/v1beta2`).

use super::action::Refused;
use super::kind::Kind;
use super::meta::{Labels, Name, ObjectMeta};
use super::node::Taint;
use super::object::{self, Object, Stored, plain_object};
use super::pod_template::Toleration;
use super::selector::Selector;
use super::store::Store;
use engine::Id;

/// Label of a Job: the LocalQueue in which it waits.
pub const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";
/// Label of a Job: its WorkloadPriorityClass.
pub const PRIORITY_LABEL: &str = "kueue.x-k8s.io/priority-class";

/// Scheduling gate of pods with a queue, until their workload is admitted.
pub const ADMISSION_GATE: &str = "kueue.x-k8s.io/admission";
/// Label of a pod: the group that is admitted together.
pub const POD_GROUP_LABEL: &str = "kueue.x-k8s.io/pod-group-name";
/// Annotation of such a pod: number of pods of the group.
pub const POD_GROUP_COUNT: &str = "kueue.x-k8s.io/pod-group-total-count";
/// Annotation of a Job: the least `parallelism` with which it may be admitted.
pub const MIN_PARALLELISM: &str = "kueue.x-k8s.io/job-min-parallelism";
/// Annotation of a Job: its `completions` follow its `parallelism`.
pub const EQUAL_COMPLETIONS: &str = "kueue.x-k8s.io/job-completions-equal-parallelism";
/// Label of the Jobs of a JobSet: the name of the set, which is admitted as a whole.
pub const JOB_SET_LABEL: &str = "jobset.sigs.k8s.io/jobset-name";
/// Label of such a Job: the replicated Job of which it is one.
pub const REPLICATED_JOB_LABEL: &str = "jobset.sigs.k8s.io/replicatedjob-name";

/// Key of a [`ClusterQueue`] in the store.
pub type ClusterQueueId = Id<ClusterQueue>;

/// A kind of nodes that quotas are about.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceFlavor {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// `spec`.
    pub spec: ResourceFlavorSpec,
}

/// `spec` of a ResourceFlavor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceFlavorSpec {
    /// Labels of the nodes, which pods of admitted Jobs select.
    pub node_labels: Labels,
    /// Taints of the nodes, which pods must tolerate to get the flavor.
    pub node_taints: Vec<Taint>,
    /// Tolerations that pods of admitted Jobs get.
    pub tolerations: Vec<Toleration>,
}

plain_object!(ResourceFlavor, ResourceFlavorSpec);

/// A named priority of Jobs in their queue, independent of that of their pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadPriorityClass {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its fields, which the API keeps at the top level.
    pub spec: WorkloadPriorityClassSpec,
}

/// The fields of a WorkloadPriorityClass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkloadPriorityClassSpec {
    /// The priority.
    pub value: i32,
}

plain_object!(WorkloadPriorityClass, WorkloadPriorityClassSpec);

/// Quotas for the Jobs of several LocalQueues.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterQueue {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// `spec`, defaulted.
    pub spec: ClusterQueueSpec,
    /// `status`.
    pub status: QueueStatus,
}

/// `spec` of a ClusterQueue, defaulted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterQueueSpec {
    /// `cohortName`: the ClusterQueues that lend to each other.
    pub cohort: Option<Name>,
    /// `queueingStrategy: StrictFIFO`: a Job that does not fit blocks those behind it.
    pub is_strict: bool,
    /// `namespaceSelector`: the namespaces whose Jobs may use it; absent = none.
    pub namespaces: Option<Selector>,
    /// `resourceGroups`.
    pub groups: Vec<ResourceGroup>,
    /// `flavorFungibility.whenCanBorrow: TryNextFlavor`: a later flavor without borrowing is preferred.
    pub avoids_borrowing: bool,
    /// `flavorFungibility.whenCanPreempt: MayStopSearch` (`Preempt`): the first flavor in which preemption helps.
    pub stops_at_preemption: bool,
    /// `preemption.withinClusterQueue`.
    pub within_queue: QueuePreemption,
    /// `preemption.reclaimWithinCohort`.
    pub within_cohort: QueuePreemption,
    /// `preemption.borrowWithinCohort` with the policy LowerPriority: Jobs of other queues may be preempted even if the
    /// queue then borrows.
    pub borrow_within_cohort: Option<BorrowWithinCohort>,
    /// `stopPolicy` other than None: nothing is admitted.
    pub is_stopped: bool,
}

/// `preemption.borrowWithinCohort` of a ClusterQueue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BorrowWithinCohort {
    /// `maxPriorityThreshold`: the highest priority of a Job that may be preempted; absent = below that of the other.
    pub max_priority: Option<i32>,
}

/// Jobs that a pending one may preempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueuePreemption {
    /// None.
    #[default]
    Never,
    /// Those of lower priority.
    LowerPriority,
    /// Those of lower priority, and later ones of the same.
    LowerOrNewerEqualPriority,
    /// All.
    Any,
}

/// An entry of `spec.resourceGroups`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceGroup {
    /// `coveredResources`.
    pub resources: Vec<Name>,
    /// The flavors, in the order in which they are tried.
    pub flavors: Vec<FlavorQuotas>,
}

/// The quotas of one flavor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlavorQuotas {
    /// Name of the ResourceFlavor.
    pub flavor: Name,
    /// Its quotas by resource.
    pub quotas: Vec<(Name, FlavorQuota)>,
}

/// The quota of a resource in a flavor, thousandths of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlavorQuota {
    /// `nominalQuota`.
    pub nominal_milli: i64,
    /// `borrowingLimit`: most that it may use above its nominal quota; absent = what the cohort has.
    pub borrowing_limit_milli: Option<i64>,
    /// `lendingLimit`: most of its unused quota for others; absent = all.
    pub lending_limit_milli: Option<i64>,
}

/// `status` of a ClusterQueue or LocalQueue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatus {
    /// `pendingWorkloads`.
    pub pending: i32,
    /// `admittedWorkloads`.
    pub admitted: i32,
}

/// A queue of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalQueue {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// `spec`.
    pub spec: LocalQueueSpec,
    /// `status`.
    pub status: QueueStatus,
}

/// `spec` of a LocalQueue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalQueueSpec {
    /// `clusterQueue`.
    pub cluster_queue: Name,
    /// `stopPolicy` other than None: nothing is admitted.
    pub is_stopped: bool,
}

macro_rules! queue {
    ($row:ident, $spec:ident) => {
        impl Object for $row {
            const KIND: Kind = Kind::$row;
            const IS_CONFIGURATION: bool = true;
            type Spec = $spec;
            type Status = QueueStatus;

            object::accessors!(QueueStatus);

            fn new(_: &mut Store, meta: ObjectMeta, spec: $spec) -> Self {
                Self { meta, spec, status: QueueStatus::default() }
            }

            fn update(
                store: &mut Store,
                id: Id<Self>,
                meta: ObjectMeta,
                spec: $spec,
            ) -> Result<bool, Refused> {
                let table = &mut Self::collection_mut(store).table;
                let queue = table.get_mut(id).ok_or(Refused::NotFound)?;
                Ok(object::replace((&mut queue.meta, &mut queue.spec), meta, spec))
            }
        }
    };
}

queue!(ClusterQueue, ClusterQueueSpec);
queue!(LocalQueue, LocalQueueSpec);
