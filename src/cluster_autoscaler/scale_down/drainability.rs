//! Which pods a node can be freed of (`cluster-autoscaler/simulator/drainability`).

use std::sync::Arc;

use crate::options::Options;
use crate::pdb::RemainingBudgets;
use crate::pods::PodInfo;
use cluster::ClusterView;
use cluster::pod::Owner;
use engine::SimTime;

const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const SAFE_TO_EVICT_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
const ON_COMPLETION: &str = "on-completion";
const SYSTEM_NAMESPACE: &str = "kube-system";
/// Controllers that make a new pod where one goes.
const REPLICATING: [&str; 4] = ["ReplicationController", "Job", "ReplicaSet", "StatefulSet"];

/// Why a pod keeps its node (`drain.BlockingPodReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockingReason {
    /// Its controller is gone.
    ControllerNotFound,
    /// Its controller has too few replicas.
    MinReplicasReached,
    /// Nobody would make a new one.
    NotReplicated,
    /// It has data on the node.
    LocalStorageRequested,
    /// Its annotation says so.
    NotSafeToEvictAnnotation,
    /// It belongs to the system, and no budget says how many of its sort may go.
    UnmovableKubeSystemPod,
    /// Its budget is used up.
    NotEnoughPdb,
}

impl BlockingReason {
    /// As the real autoscaler calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ControllerNotFound => "ControllerNotFound",
            Self::MinReplicasReached => "MinReplicasReached",
            Self::NotReplicated => "NotReplicated",
            Self::LocalStorageRequested => "LocalStorageRequested",
            Self::NotSafeToEvictAnnotation => "NotSafeToEvictAnnotation",
            Self::UnmovableKubeSystemPod => "UnmovableKubeSystemPod",
            Self::NotEnoughPdb => "NotEnoughPdb",
        }
    }
}

/// What is to be done with a pod before its node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is moved.
    Move,
    /// It goes with the node.
    Skip,
    /// It is waited for.
    WaitForCompletion,
    /// It keeps the node.
    Block(BlockingReason),
}

/// The pods of a node, by what is to be done with them.
#[derive(Clone, Debug, Default)]
pub(super) struct PodsToMove {
    /// Those that are moved; pods of DaemonSets are not among them.
    pub(super) pods: Vec<Arc<PodInfo>>,
    /// Whether pods are waited for.
    pub(super) has_on_completion: bool,
}

/// What the rules look at.
#[derive(Clone, Copy)]
pub(super) struct DrainContext<'a> {
    pub(super) options: &'a Options,
    /// Budgets as far as they are used up; without them none stands in the way.
    pub(super) budgets: Option<&'a RemainingBudgets>,
    /// The controllers; without them they are not looked at.
    pub(super) view: Option<ClusterView<'a>>,
    pub(super) now: SimTime,
}

/// What is to be done with the pods of a node, or the first pod that keeps it (`GetPodsToMove`).
pub(super) fn pods_to_move(
    pods: &[Arc<PodInfo>],
    context: DrainContext<'_>,
) -> Result<PodsToMove, (Arc<PodInfo>, BlockingReason)> {
    let mut to_move = PodsToMove::default();
    for pod in pods {
        match outcome(pod, context) {
            Outcome::Move if !pod.is_daemon_set_pod() => to_move.pods.push(Arc::clone(pod)),
            Outcome::Move | Outcome::Skip => {}
            Outcome::WaitForCompletion => to_move.has_on_completion = true,
            Outcome::Block(reason) => return Err((Arc::clone(pod), reason)),
        }
    }
    Ok(to_move)
}

/// The first rule that has a say decides (`rules.Default`).
fn outcome(pod: &PodInfo, context: DrainContext<'_>) -> Outcome {
    let DrainContext { options, now, .. } = context;
    let controller = pod.controller.as_ref();
    if pod.is_mirror() || pod.is_long_terminating(now) {
        return Outcome::Skip;
    }
    if options.skip_nodes_with_custom_controller_pods
        && let Some(reason) = context.view.and_then(|view| controller_reason(pod, view, options))
    {
        return Outcome::Block(reason);
    }
    if pod.is_daemon_set_pod() || pod.has_annotation(SAFE_TO_EVICT, "true") || pod.is_terminal() {
        return Outcome::Move;
    }
    if pod.has_annotation(SAFE_TO_EVICT, ON_COMPLETION) {
        return Outcome::WaitForCompletion;
    }
    let is_replicated = controller.is_some_and(|controller| {
        !options.skip_nodes_with_custom_controller_pods || REPLICATING.contains(&&*controller.kind)
    });
    if !is_replicated {
        return Outcome::Block(BlockingReason::NotReplicated);
    }
    let is_covered = context.budgets.is_some_and(|budgets| budgets.covers(pod));
    if options.skip_nodes_with_system_pods
        && *pod.name.namespace == *SYSTEM_NAMESPACE
        && !is_covered
    {
        let is_over = now > pod.created + options.blocking_system_pod_disruption_timeout;
        let blocked = Outcome::Block(BlockingReason::UnmovableKubeSystemPod);
        return if is_over { Outcome::Move } else { blocked };
    }
    if pod.has_annotation(SAFE_TO_EVICT, "false") {
        return Outcome::Block(BlockingReason::NotSafeToEvictAnnotation);
    }
    if options.skip_nodes_with_local_storage && has_blocking_volume(pod) {
        return Outcome::Block(BlockingReason::LocalStorageRequested);
    }
    if context.budgets.is_some_and(|budgets| !budgets.allow(pod)) {
        return Outcome::Block(BlockingReason::NotEnoughPdb);
    }
    Outcome::Move
}

/// Whether it has a local volume that its annotation does not name.
fn has_blocking_volume(pod: &PodInfo) -> bool {
    let named = pod.annotations.get(SAFE_TO_EVICT_VOLUMES);
    let is_named =
        |volume: &str| named.is_some_and(|names| names.split(',').any(|one| one == volume));
    pod.facts.local_volumes.iter().any(|volume| !is_named(volume))
}

/// What speaks against moving the pod of this controller.
fn controller_reason(
    pod: &PodInfo,
    view: ClusterView<'_>,
    options: &Options,
) -> Option<BlockingReason> {
    let controller = pod.controller.as_ref()?;
    let is_known = REPLICATING.contains(&&*controller.kind) || *controller.kind == *"DaemonSet";
    if is_known && controller.owner.is_none() {
        return Some(BlockingReason::ControllerNotFound);
    }
    let Some(Owner::ReplicaSet(set)) = controller.owner else { return None };
    let replicas = view.replica_sets().get(set).map(|set| i64::from(set.replicas));
    match replicas {
        None => Some(BlockingReason::ControllerNotFound),
        Some(replicas) if replicas < options.min_replica_count => {
            Some(BlockingReason::MinReplicasReached)
        }
        Some(_) => None,
    }
}
