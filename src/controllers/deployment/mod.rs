//! The Deployment controller (`pkg/controller/deployment`, 1.36): replaces pods of an old template
//! by pods of a new one, through ReplicaSets. Creates no pods itself.

pub mod rolling;
pub mod scaling;
pub mod status;
mod sync;

use self::sync::KnownSet;
use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::deployment::{DeploymentId, DeploymentStrategy};
use cluster::pod::Owner;
use cluster::{Change, ClusterView, ObjectId};

/// The Deployment controller.
#[derive(Clone, Debug, Default)]
pub struct DeploymentController {
    /// By the Deployment's slot: the set of its template.
    new_sets: Vec<Option<KnownSet>>,
}

impl Controller for DeploymentController {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn watches(&self) -> Watches {
        Watches::DEPLOYMENTS.and(Watches::REPLICA_SETS).and(Watches::PODS_OF_REPLICA_SETS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let deployment = match *change {
            Change::Spec(ObjectId::Deployment(id), _)
            | Change::Status(ObjectId::Deployment(id)) => Some(id),
            Change::Spec(ObjectId::ReplicaSet(id), _)
            | Change::Status(ObjectId::ReplicaSet(id)) => {
                view.replica_sets().get(id).and_then(|set| set.owner?.deployment())
            }
            Change::Removed { owner: Some(ObjectId::Deployment(owner)), .. } => Some(owner),
            Change::PodRemoved { owner: Some(Owner::ReplicaSet(set)), .. } => {
                let owner = view.replica_sets().get(set).and_then(|set| set.owner?.deployment());
                owner.filter(|id| waits_for_last_pod(view, *id))
            }
            _ => None,
        };
        wake.extend(deployment.map(Key::Deployment));
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Deployment(id) = key else { return Requeue::No };
        let Some(deployment) = view.store().deployments().get(id) else { return Requeue::No };
        if self.new_sets.len() <= id.index() {
            self.new_sets.resize(id.index() + 1, None);
        }
        sync::Sync::new(view, id, deployment, &mut self.new_sets[id.index()], actions).run()
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// Whether the Deployment recreates and has no pod left (`deletePod`).
fn waits_for_last_pod(view: ClusterView<'_>, id: DeploymentId) -> bool {
    view.deployments().get(id).is_some_and(|deployment| {
        deployment.spec.strategy == DeploymentStrategy::Recreate
            && view
                .replica_sets_of(id)
                .all(|(set, _)| view.pods_of(Owner::ReplicaSet(set)).next().is_none())
    })
}
