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
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// What its owner asks for.
    pub spec: DeploymentSpec,
    /// What was observed.
    pub status: DeploymentStatus,
}

/// `spec` of a Deployment, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentSpec {
    /// Pods wanted.
    pub replicas: i32,
    /// Which pods belong to it.
    pub selector: Selector,
    /// What the pods are made from, without the `pod-template-hash` label.
    pub template: PodTemplate,
    /// How pods are replaced.
    pub strategy: DeploymentStrategy,
    /// How long a pod must be ready before it counts as available.
    pub min_ready_seconds: i32,
    /// Old ReplicaSets kept for rollback.
    pub revision_history_limit: i32,
    /// Rollout changes nothing while set.
    pub paused: bool,
    /// Without progress for this long, the rollout counts as failed.
    pub progress_deadline_seconds: i32,
}

/// `spec.strategy` of a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentStrategy {
    /// Old pods go before new ones come.
    Recreate,
    /// Little by little.
    RollingUpdate {
        /// Pods above `replicas` during a rollout.
        max_surge: IntOrPercent,
        /// Pods that may be missing during a rollout.
        max_unavailable: IntOrPercent,
    },
}

/// A number or a percentage, as `maxSurge` and its like are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntOrPercent {
    /// So many.
    Int(i32),
    /// So many in a hundred.
    Percent(i32),
}

impl IntOrPercent {
    /// The number it stands for out of `total`; a percentage is rounded up or down
    /// (`intstr.GetScaledValueFromIntOrPercent`).
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
    /// Pods that are neither ended nor terminating.
    pub replicas: i32,
    /// Those of the current template.
    pub updated_replicas: i32,
    /// Those that are ready.
    pub ready_replicas: i32,
    /// Those that are ready for `minReadySeconds`.
    pub available_replicas: i32,
    /// Those still missing.
    pub unavailable_replicas: i32,
    /// Pods with a deletion mark.
    pub terminating_replicas: i32,
    /// `Available`, `Progressing`, `ReplicaFailure`, in the order in which they were first set.
    pub conditions: Vec<WorkloadCondition>,
}

/// A condition of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadCondition {
    /// `Available`, `Progressing`, ...
    pub kind: &'static str,
    /// Its status.
    pub status: ConditionStatus,
    /// One word in CamelCase.
    pub reason: &'static str,
    /// A sentence.
    pub message: Name,
    /// When it was last written, cut to whole seconds.
    pub last_update: SimTime,
    /// When the status last changed, cut to whole seconds.
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
        let owned = store.index.replica_sets_by_deployment.remove(&id).unwrap_or_default();
        owned.into_iter().try_for_each(|set| object::delete(store, now, set, changes))
    }
}

/// Refuses another selector for a workload.
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
