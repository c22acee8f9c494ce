//! The scale sub-resource, through which autoscalers read and write workloads of any kind.

use super::deployment::DeploymentId;
use super::kind::Kind;
use super::meta::{Name, NamespacedName};
use super::objects::ObjectId;
use super::pod::{Owner, Pod, PodId};
use super::replica_set::{ReplicaSetId, SetOwner};
use super::rollout::RolloutId;
use super::selector::Selector;
use super::stateful_set::StatefulSetId;
use super::store::Store;

/// A workload with a scale sub-resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScaleTarget {
    /// A Deployment.
    Deployment(DeploymentId),
    /// A ReplicaSet.
    ReplicaSet(ReplicaSetId),
    /// A StatefulSet.
    StatefulSet(StatefulSetId),
    /// A Rollout.
    Rollout(RolloutId),
}

/// The numeric fields of `autoscaling/v1` Scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas`.
    pub spec_replicas: i32,
    /// `status.replicas`: the pods that the workload's controller last counted.
    pub status_replicas: i32,
}

impl From<ScaleTarget> for ObjectId {
    fn from(target: ScaleTarget) -> Self {
        match target {
            ScaleTarget::Deployment(id) => Self::Deployment(id),
            ScaleTarget::ReplicaSet(id) => Self::ReplicaSet(id),
            ScaleTarget::StatefulSet(id) => Self::StatefulSet(id),
            ScaleTarget::Rollout(id) => Self::Rollout(id),
        }
    }
}

impl ScaleTarget {
    /// The target that an object is, if it has a scale sub-resource.
    pub const fn of(object: ObjectId) -> Option<Self> {
        Some(match object {
            ObjectId::Deployment(id) => Self::Deployment(id),
            ObjectId::ReplicaSet(id) => Self::ReplicaSet(id),
            ObjectId::StatefulSet(id) => Self::StatefulSet(id),
            ObjectId::Rollout(id) => Self::Rollout(id),
            _ => return None,
        })
    }
}

impl Store {
    /// The workload of a kind and name, if it exists and can be scaled.
    pub fn scale_target(&self, kind: &str, id: &NamespacedName) -> Option<ScaleTarget> {
        ScaleTarget::of(self.object_named(Kind::spelled(kind)?, id)?)
    }

    /// The scale of a workload, if it still exists.
    pub fn scale(&self, target: ScaleTarget) -> Option<Scale> {
        let (spec_replicas, status_replicas) = match target {
            ScaleTarget::Deployment(id) => {
                let deployment = self.deployments().get(id)?;
                (deployment.spec.replicas, deployment.status.replicas)
            }
            ScaleTarget::ReplicaSet(id) => {
                let set = self.replica_sets().get(id)?;
                (set.replicas, set.status.replicas)
            }
            ScaleTarget::StatefulSet(id) => {
                let set = self.stateful_sets().get(id)?;
                (set.spec.replicas, set.status.replicas)
            }
            ScaleTarget::Rollout(id) => {
                let rollout = self.rollouts().get(id)?;
                (rollout.spec.replicas, rollout.status.hpa_replicas)
            }
        };
        Some(Scale { spec_replicas, status_replicas })
    }

    /// The kind and the name of a workload, if it still exists.
    pub fn kind_and_name_of(&self, target: ScaleTarget) -> Option<(Kind, &NamespacedName)> {
        let object = ObjectId::from(target);
        Some((object.kind(), self.name_of(object)?))
    }

    /// The selector of a workload's pods, if it still exists.
    pub fn selector_scaled_by(&self, target: ScaleTarget) -> Option<&Selector> {
        match target {
            ScaleTarget::Deployment(id) => Some(&self.deployments().get(id)?.spec.selector),
            ScaleTarget::ReplicaSet(id) => Some(&self.replica_sets().get(id)?.selector),
            ScaleTarget::StatefulSet(id) => Some(&self.stateful_sets().get(id)?.spec.selector),
            ScaleTarget::Rollout(id) => Some(&self.rollouts().get(id)?.spec.selector),
        }
    }

    /// The pods of a workload, terminating ones included.
    pub fn pods_scaled_by(&self, target: ScaleTarget) -> impl Iterator<Item = (PodId, &Pod)> {
        self.owners_scaled_by(target).flat_map(|owner| self.pods_of(owner))
    }

    /// The owners of a workload's pods: itself, or its ReplicaSets.
    pub fn owners_scaled_by(&self, target: ScaleTarget) -> impl Iterator<Item = Owner> {
        let (owner, own) = match target {
            ScaleTarget::Deployment(id) => (Some(SetOwner::Deployment(id)), None),
            ScaleTarget::Rollout(id) => (Some(SetOwner::Rollout(id)), None),
            ScaleTarget::ReplicaSet(id) => (None, Some(Owner::ReplicaSet(id))),
            ScaleTarget::StatefulSet(id) => (None, Some(Owner::StatefulSet(id))),
        };
        let sets = owner.into_iter().flat_map(|id| self.replica_sets_of(id));
        sets.map(|(set, _)| Owner::ReplicaSet(set)).chain(own)
    }

    /// The workload that an autoscaler would name for a pod of this owner.
    pub fn scaled_owner(&self, owner: Owner) -> Option<ScaleTarget> {
        match owner {
            Owner::ReplicaSet(set) => Some(match self.replica_sets().get(set)?.owner {
                Some(SetOwner::Deployment(deployment)) => ScaleTarget::Deployment(deployment),
                Some(SetOwner::Rollout(rollout)) => ScaleTarget::Rollout(rollout),
                None => ScaleTarget::ReplicaSet(set),
            }),
            Owner::StatefulSet(set) => Some(ScaleTarget::StatefulSet(set)),
            Owner::DaemonSet(_) | Owner::Job(_) => None,
        }
    }
}

/// The resource that the API server names when a scale target does not exist.
pub fn resource_of(kind: &str) -> Name {
    Kind::spelled(kind).map_or_else(|| kind.to_lowercase(), Kind::resource).into()
}
