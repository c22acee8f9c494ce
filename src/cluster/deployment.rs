//! Deployments and ReplicaSets (apps/v1).

use super::meta::{Name, ObjectMeta};
use super::node::ConditionStatus;
use super::pod_template::{PodTemplate, TemplateId};
use super::selector::Selector;
use engine::{Id, SimDuration, SimTime};

/// Key of a [`Deployment`] in the store.
pub type DeploymentId = Id<Deployment>;
/// Key of a [`ReplicaSet`] in the store.
pub type ReplicaSetId = Id<ReplicaSet>;

/// A Deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// What its owner asks for.
    pub spec: DeploymentSpec,
    /// `metadata.generation`: counts changes of the spec.
    pub generation: i64,
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

/// A ReplicaSet.
#[derive(Clone, Debug)]
pub struct ReplicaSet {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// The Deployment that owns it, if any.
    pub owner: Option<DeploymentId>,
    /// Pods wanted.
    pub replicas: i32,
    /// Which pods belong to it.
    pub selector: Selector,
    /// What its pods are made from, with the `pod-template-hash` label.
    pub template: TemplateId,
    /// How long a pod must be ready before it counts as available.
    pub min_ready: SimDuration,
    /// `metadata.generation`: counts changes of the spec.
    pub generation: i64,
    /// Annotation `deployment.kubernetes.io/revision`; 0 = none.
    pub revision: i64,
    /// Annotation `deployment.kubernetes.io/desired-replicas`, if set.
    pub desired_replicas: Option<i32>,
    /// Annotation `deployment.kubernetes.io/max-replicas`, if set.
    pub max_replicas: Option<i32>,
    /// What was observed.
    pub status: ReplicaSetStatus,
}

/// `status` of a ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaSetStatus {
    /// The generation that this status describes.
    pub observed_generation: i64,
    /// Pods that are neither ended nor terminating.
    pub replicas: i32,
    /// Those with all the labels of the template.
    pub fully_labeled_replicas: i32,
    /// Those that are ready.
    pub ready_replicas: i32,
    /// Those that are ready for `minReadySeconds`.
    pub available_replicas: i32,
    /// Pods with a deletion mark.
    pub terminating_replicas: i32,
    /// `ReplicaFailure`, if creating or deleting pods failed.
    pub conditions: Vec<WorkloadCondition>,
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
