//! The controller of Argo Rollouts, 1.9.1: updates a workload by steps (`canary_sync`) or from blue to green
//! (`blue_green`). The arithmetic of pods is in `canary`, that of steps in `steps`, that of analyses in `analysis`.

pub mod analysis;
mod blue_green;
pub mod canary;
mod canary_sync;
mod explain;
mod pauses;
mod progress;
mod references;
mod restart;
mod routing;
mod runs;
mod scaling;
mod services;
mod sets;
pub mod steps;
mod sync;

use self::sync::Sync;
use super::{Actions, Controller, Explain, Key, Requeue, Watches};
use cluster::replica_set::SetOwner;
use cluster::rollout::RolloutId;
use cluster::{Change, ClusterView, ObjectId};
use engine::SimTime;

pub use runs::measured_by;

/// The controller of Rollouts.
#[derive(Clone, Debug, Default)]
pub struct RolloutController {
    /// By the Rollout's slot: what its last sync found.
    last: Vec<Option<explain::LastSync>>,
}

impl Controller for RolloutController {
    fn name(&self) -> &'static str {
        "rollouts-controller"
    }

    fn watches(&self) -> Watches {
        Watches::ROLLOUTS.and(Watches::REPLICA_SETS).and(Watches::SERVICES)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let rollout = match *change {
            Change::Spec(ObjectId::Rollout(id), _) | Change::Status(ObjectId::Rollout(id)) => {
                Some(id)
            }
            Change::Spec(ObjectId::ReplicaSet(id), _)
            | Change::Status(ObjectId::ReplicaSet(id)) => {
                match view.replica_sets().get(id).and_then(|set| set.owner) {
                    Some(SetOwner::Rollout(id)) => Some(id),
                    _ => None,
                }
            }
            Change::Removed {
                object: ObjectId::ReplicaSet(_),
                owner: Some(ObjectId::Rollout(owner)),
                ..
            } => Some(owner),
            Change::Spec(ObjectId::Service(id), _) => {
                let Some(service) = view.services().get(id) else { return };
                let (namespace, name) = (service.meta.namespace(), service.meta.name());
                let all = view.store().rollouts().iter();
                let users = all.filter(|(_, one)| {
                    one.meta.namespace() == namespace
                        && one.spec.services().any(|(_, own)| own == name)
                });
                wake.extend(users.map(|(id, _)| Key::Rollout(id)));
                return;
            }
            _ => None,
        };
        wake.extend(rollout.map(Key::Rollout));
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Rollout(id) = key else { return Requeue::No };
        let Some(rollout) = view.store().rollouts().get(id) else { return Requeue::No };
        if self.last.len() <= id.index() {
            self.last.resize(id.index() + 1, None);
        }
        let sync = Sync::new(view, id, rollout, actions);
        self.last[id.index()] = Some(explain::LastSync::of(&sync));
        sync.run()
    }

    fn explanations(&self) -> Option<&dyn Explain> {
        Some(self)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl RolloutController {
    fn last(&self, id: RolloutId) -> Option<&explain::LastSync> {
        self.last.get(id.index())?.as_ref()
    }
}

impl Explain for RolloutController {
    fn explain(&self, key: Key, _: SimTime) -> Option<String> {
        let Key::Rollout(id) = key else { return None };
        self.last(id).map(ToString::to_string)
    }
}
