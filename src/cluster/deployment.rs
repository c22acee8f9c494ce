//! Deployments (apps/v1).

use super::action::Refused;
use super::change::Change;
use super::kind::Kind;
use super::meta::{Name, ObjectMeta};
use super::node::ConditionStatus;
use super::object::{self, Object, Stored};
use super::pod_template::PodTemplate;
use super::selector::Selector;
use super::store::Store;
use engine::{Id, SimTime};

/// Key of a [`Deployment`] in the store.
pub type DeploymentId = Id<Deployment>;

/// A Deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// `spec`: the desired state.
    pub spec: DeploymentSpec,
    /// `status`: the observed state.
    pub status: DeploymentStatus,
}

/// `spec` of a Deployment, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentSpec {
    /// `spec.replicas`.
    pub replicas: i32,
    /// Selects the pods that belong to it.
    pub selector: Selector,
    /// The pod template, without the `pod-template-hash` label.
    pub template: PodTemplate,
    /// `spec.strategy`.
    pub strategy: DeploymentStrategy,
    /// `spec.minReadySeconds`: time for which a pod must be ready before it counts as available.
    pub min_ready_seconds: i32,
    /// Old ReplicaSets kept for rollback.
    pub revision_history_limit: i32,
    /// While set, the rollout makes no progress.
    pub paused: bool,
    /// A rollout without progress for this long is reported as failed.
    pub progress_deadline_seconds: i32,
}

/// `spec.strategy` of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentStrategy {
    /// All old pods are deleted before new ones are created.
    Recreate,
    /// Pods are replaced gradually.
    RollingUpdate {
        /// Extra pods allowed above `replicas` during a rollout.
        max_surge: IntOrPercent,
        /// Pods that may be unavailable during a rollout.
        max_unavailable: IntOrPercent,
    },
}

/// An absolute number or a percentage, such as `maxSurge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntOrPercent {
    /// Absolute number.
    Int(i32),
    /// Percentage of the total.
    Percent(i32),
}

impl IntOrPercent {
    /// Resolves it against `total`; a percentage is rounded up or down (`intstr.GetScaledValueFromIntOrPercent`).
    pub fn scaled(self, total: i32, round_up: bool) -> i32 {
        match self {
            Self::Int(number) => number,
            Self::Percent(percent) => {
                let product = i64::from(percent) * i64::from(total);
                let rounded = if round_up { (product + 99).div_euclid(100) } else { product / 100 };
                i32::try_from(rounded).unwrap_or(i32::MAX)
            }
        }
    }
}

/// `status` of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// The generation that this status describes.
    pub observed_generation: i64,
    /// Active pods: neither finished nor terminating.
    pub replicas: i32,
    /// Pods of the current template.
    pub updated_replicas: i32,
    /// Pods that are ready.
    pub ready_replicas: i32,
    /// Pods that have been ready for at least `minReadySeconds`.
    pub available_replicas: i32,
    /// Pods missing from the desired number of available ones.
    pub unavailable_replicas: i32,
    /// Terminating pods.
    pub terminating_replicas: i32,
    /// `Available`, `Progressing`, `ReplicaFailure`, in the order in which they were first set.
    pub conditions: Vec<WorkloadCondition>,
}

/// A condition in a workload's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadCondition {
    /// Condition type: `Available`, `Progressing`, ...
    pub kind: &'static str,
    /// Its status.
    pub status: ConditionStatus,
    /// Machine-readable reason in CamelCase.
    pub reason: &'static str,
    /// Human-readable message.
    pub message: Name,
    /// Time of the last write, truncated to whole seconds.
    pub last_update: SimTime,
    /// Time of the last change of `status`, truncated to whole seconds.
    pub last_transition: SimTime,
}

impl Object for Deployment {
    const KIND: Kind = Kind::Deployment;
    type Spec = DeploymentSpec;
    type Status = DeploymentStatus;

    object::accessors!(DeploymentStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: DeploymentSpec) -> Self {
        Self { meta, spec, status: DeploymentStatus::default() }
    }

    fn update(
        store: &mut Store,
        id: DeploymentId,
        meta: ObjectMeta,
        spec: DeploymentSpec,
    ) -> Result<bool, Refused> {
        let table = &mut Self::collection_mut(store).table;
        let deployment = table.get_mut(id).ok_or(Refused::NotFound)?;
        selector_is_immutable(&deployment.spec.selector, &spec.selector)?;
        // Annotations count as part of the spec (`deploymentStrategy.PrepareForUpdate`).
        let counts = deployment.spec == spec && deployment.meta.annotations != meta.annotations;
        deployment.meta.generation += i64::from(counts);
        Ok(object::replace((&mut deployment.meta, &mut deployment.spec), meta, spec))
    }

    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: DeploymentId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let owned = store.index.replica_sets_by_owner.remove(&id.into()).unwrap_or_default();
        owned.into_iter().try_for_each(|set| object::delete(store, now, set, changes))
    }
}

/// Refuses to change a workload's selector.
pub(super) fn selector_is_immutable(old: &Selector, new: &Selector) -> Result<(), Refused> {
    if old == new {
        return Ok(());
    }
    Err(Refused::Conflict("spec.selector: field is immutable".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surge_rounds_up_and_unavailable_rounds_down() {
        assert_eq!(IntOrPercent::Percent(25).scaled(3, true), 1);
        assert_eq!(IntOrPercent::Percent(25).scaled(3, false), 0);
        assert_eq!(IntOrPercent::Percent(1).scaled(5, true), 1);
        assert_eq!(IntOrPercent::Int(2).scaled(5, true), 2);
    }
}
