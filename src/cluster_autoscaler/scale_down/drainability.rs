//! Which pods can be drained from a node (`cluster-autoscaler/simulator/drainability`).

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
/// Controllers that replace a deleted pod.
const REPLICATING: [&str; 4] = ["ReplicationController", "Job", "ReplicaSet", "StatefulSet"];

/// Why a pod blocks the removal of its node (`drain.BlockingPodReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockingReason {
    /// Its controller no longer exists.
    ControllerNotFound,
    /// Its controller has too few replicas.
    MinReplicasReached,
    /// No controller would replace it.
    NotReplicated,
    /// It has local data on the node.
    LocalStorageRequested,
    /// An annotation marks it as not safe to evict.
    NotSafeToEvictAnnotation,
    /// It is a system pod without a disruption budget.
    UnmovableKubeSystemPod,
    /// Its disruption budget is exhausted.
    NotEnoughPdb,
}

impl BlockingReason {
    /// The name in the real autoscaler.
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

/// How a pod affects the removal of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is moved.
    Move,
    /// It is ignored, and deleted with the node.
    Skip,
    /// The removal waits for it to complete.
    WaitForCompletion,
    /// It blocks the removal.
    Block(BlockingReason),
}

/// The pods of a node, by how they affect its removal.
#[derive(Clone, Debug, Default)]
pub(super) struct PodsToMove {
    /// The pods to move, not including DaemonSet pods.
    pub(super) pods: Vec<Arc<PodInfo>>,
    /// True if the removal waits for pods to complete.
    pub(super) has_on_completion: bool,
}

/// Input of the rules.
#[derive(Clone, Copy)]
pub(super) struct DrainContext<'a> {
    pub(super) options: &'a Options,
    /// The remaining disruption budgets; without them none blocks.
    pub(super) budgets: Option<&'a RemainingBudgets>,
    /// Access to the controllers; without it they are not checked.
    pub(super) view: Option<ClusterView<'a>>,
    pub(super) now: SimTime,
}

/// The pods to move from a node, or the first pod that blocks its removal (`GetPodsToMove`).
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

/// Whether the removal of a node without pods to move waits for pods to complete; `None` if it has pods to move, or
/// one that blocks its removal.
pub(super) fn moves_nothing(pods: &[Arc<PodInfo>], context: DrainContext<'_>) -> Option<bool> {
    let mut has_on_completion = false;
    for pod in pods {
        match outcome(pod, context) {
            Outcome::Move if pod.is_daemon_set_pod() => {}
            Outcome::Skip => {}
            Outcome::WaitForCompletion => has_on_completion = true,
            Outcome::Move | Outcome::Block(_) => return None,
        }
    }
    Some(has_on_completion)
}

/// The outcome of the first rule that applies (`rules.Default`).
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

/// True if it has a local volume that its annotation does not list as safe.
fn has_blocking_volume(pod: &PodInfo) -> bool {
    let named = pod.annotations.get(SAFE_TO_EVICT_VOLUMES);
    let is_named =
        |volume: &str| named.is_some_and(|names| names.split(',').any(|one| one == volume));
    pod.facts.local_volumes.iter().any(|volume| !is_named(volume))
}

/// Why a pod with this controller cannot be moved.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::{annotated, controller, of_template, pod};
    use cluster::pod::PodPhase;
    use cluster::pod_template::{PodTemplate, RestartPolicy};
    use serde_json::json;

    fn told(pod: &PodInfo, options: &Options, now: i64) -> Outcome {
        let budgets = RemainingBudgets::default();
        let now = SimTime::from_secs(now);
        outcome(pod, DrainContext { options, budgets: Some(&budgets), view: None, now })
    }

    fn with_volume() -> PodInfo {
        let mut template = PodTemplate::default();
        let volumes = json!([{ "name": "v", "emptyDir": {} }]);
        template.document = json!({ "spec": { "volumes": volumes } }).into();
        of_template("v", template)
    }

    #[test]
    fn the_first_rule_that_has_a_say_decides() {
        let options = Options::default();
        let blocked = Outcome::Block;
        let mut alone = pod("a");
        alone.controller = None;
        let mut custom = pod("c");
        custom.controller = Some(controller("Thing", "t"));
        let mut system = pod("s");
        system.name.namespace = SYSTEM_NAMESPACE.into();
        let mut failed = alone.clone();
        failed.phase = PodPhase::Failed;
        let mirror = annotated(alone.clone(), "kubernetes.io/config.mirror", "x");
        for (pod, expected) in [
            (pod("p"), Outcome::Move),
            (mirror, Outcome::Skip),
            (annotated(alone.clone(), SAFE_TO_EVICT, "true"), Outcome::Move),
            (annotated(pod("p"), SAFE_TO_EVICT, ON_COMPLETION), Outcome::WaitForCompletion),
            (alone, blocked(BlockingReason::NotReplicated)),
            (custom, blocked(BlockingReason::NotReplicated)),
            (failed, Outcome::Move),
            (system.clone(), blocked(BlockingReason::UnmovableKubeSystemPod)),
            (
                annotated(pod("p"), SAFE_TO_EVICT, "false"),
                blocked(BlockingReason::NotSafeToEvictAnnotation),
            ),
            (with_volume(), blocked(BlockingReason::LocalStorageRequested)),
            (annotated(with_volume(), SAFE_TO_EVICT_VOLUMES, "w,v"), Outcome::Move),
        ] {
            assert_eq!(told(&pod, &options, 0), expected, "{}", pod.name);
        }
        assert_eq!(told(&system, &options, 3600), blocked(BlockingReason::UnmovableKubeSystemPod));
        assert_eq!(told(&system, &options, 3601), Outcome::Move);
    }

    #[test]
    fn flags_switch_rules_off() {
        let options = Options {
            skip_nodes_with_custom_controller_pods: false,
            skip_nodes_with_local_storage: false,
            skip_nodes_with_system_pods: false,
            ..Options::default()
        };
        let mut custom = with_volume();
        custom.controller = Some(controller("Thing", "t"));
        custom.name.namespace = SYSTEM_NAMESPACE.into();
        assert_eq!(told(&custom, &options, 0), Outcome::Move);
        custom.controller = None;
        assert_eq!(told(&custom, &options, 0), Outcome::Block(BlockingReason::NotReplicated));
    }

    #[test]
    fn a_pod_that_would_start_again_has_not_ended() {
        let mut ended = pod("a");
        ended.controller = None;
        ended.phase = PodPhase::Succeeded;
        assert_eq!(
            told(&ended, &Options::default(), 0),
            Outcome::Block(BlockingReason::NotReplicated)
        );
        let mut template = PodTemplate::default();
        template.spec.restart_policy = RestartPolicy::OnFailure;
        let mut ended = PodInfo { controller: None, ..of_template("a", template) };
        ended.phase = PodPhase::Succeeded;
        assert_eq!(told(&ended, &Options::default(), 0), Outcome::Move);
    }
}
