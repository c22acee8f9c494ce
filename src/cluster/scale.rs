//! The scale sub-resource: what an autoscaler reads and writes of a workload, whatever its kind.

use super::action::Action;
use super::deployment::{DeploymentId, ReplicaSetId};
use super::meta::{Name, NamespacedName};
use super::pod::{Owner, Pod, PodId};
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
}

/// `autoscaling/v1` Scale, as far as it is numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas`.
    pub spec_replicas: i32,
    /// `status.replicas`: the pods that the workload's controller last counted.
    pub status_replicas: i32,
}

impl ScaleTarget {
    /// The request that writes `spec.replicas`.
    pub fn scale_to(self, replicas: i32) -> Action {
        match self {
            Self::Deployment(id) => Action::ScaleDeployment(id, replicas),
            Self::ReplicaSet(id) => Action::ScaleReplicaSet(id, replicas),
            Self::StatefulSet(id) => Action::ScaleStatefulSet(id, replicas),
        }
    }
}

impl Store {
    /// The workload of a kind and name, if it exists and can be scaled.
    pub fn scale_target(&self, kind: &str, id: &NamespacedName) -> Option<ScaleTarget> {
        match kind {
            "Deployment" => self.deployment_named(id).map(ScaleTarget::Deployment),
            "ReplicaSet" => self.replica_set_named(id).map(ScaleTarget::ReplicaSet),
            "StatefulSet" => self.stateful_set_named(id).map(ScaleTarget::StatefulSet),
            _ => None,
        }
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
        };
        Some(Scale { spec_replicas, status_replicas })
    }

    /// The kind and the name of a workload, if it still exists.
    pub fn kind_and_name_of(&self, target: ScaleTarget) -> Option<(&'static str, &NamespacedName)> {
        Some(match target {
            ScaleTarget::Deployment(id) => ("Deployment", &self.deployments().get(id)?.meta.id),
            ScaleTarget::ReplicaSet(id) => ("ReplicaSet", &self.replica_sets().get(id)?.meta.id),
            ScaleTarget::StatefulSet(id) => ("StatefulSet", &self.stateful_sets().get(id)?.meta.id),
        })
    }

    /// The selector of a workload's pods, if it still exists.
    pub fn selector_scaled_by(&self, target: ScaleTarget) -> Option<&Selector> {
        match target {
            ScaleTarget::Deployment(id) => Some(&self.deployments().get(id)?.spec.selector),
            ScaleTarget::ReplicaSet(id) => Some(&self.replica_sets().get(id)?.selector),
            ScaleTarget::StatefulSet(id) => Some(&self.stateful_sets().get(id)?.spec.selector),
        }
    }

    /// The pods of a workload, terminating ones included.
    pub fn pods_scaled_by(&self, target: ScaleTarget) -> impl Iterator<Item = (PodId, &Pod)> {
        self.owners_scaled_by(target).flat_map(|owner| self.pods_of(owner))
    }

    /// Who owns the pods of a workload: itself, or its ReplicaSets.
    pub fn owners_scaled_by(&self, target: ScaleTarget) -> impl Iterator<Item = Owner> {
        let (deployment, own) = match target {
            ScaleTarget::Deployment(id) => (Some(id), None),
            ScaleTarget::ReplicaSet(id) => (None, Some(Owner::ReplicaSet(id))),
            ScaleTarget::StatefulSet(id) => (None, Some(Owner::StatefulSet(id))),
        };
        let sets = deployment.into_iter().flat_map(|id| self.replica_sets_of(id));
        sets.map(|(set, _)| Owner::ReplicaSet(set)).chain(own)
    }

    /// The workload that an autoscaler would name for a pod of this owner.
    pub fn scaled_owner(&self, owner: Owner) -> Option<ScaleTarget> {
        match owner {
            Owner::ReplicaSet(set) => Some(match self.replica_sets().get(set)?.owner {
                Some(deployment) => ScaleTarget::Deployment(deployment),
                None => ScaleTarget::ReplicaSet(set),
            }),
            Owner::StatefulSet(set) => Some(ScaleTarget::StatefulSet(set)),
            Owner::DaemonSet(_) | Owner::Job(_) => None,
        }
    }

    fn replica_set_named(&self, id: &NamespacedName) -> Option<ReplicaSetId> {
        self.index.replica_sets_by_name.get(id).copied()
    }
}

/// The resource that the API server names when a scale target does not exist.
pub fn resource_of(kind: &str) -> Name {
    match kind {
        "Deployment" => "deployments.apps".into(),
        "ReplicaSet" => "replicasets.apps".into(),
        "StatefulSet" => "statefulsets.apps".into(),
        other => other.to_lowercase().into(),
    }
}
