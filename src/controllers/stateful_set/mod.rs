//! The StatefulSet controller (`pkg/controller/statefulset`, 1.36): pods with ordinals, created in ascending order,
//! removed and updated from the highest down. The gate `MaxUnavailableStatefulSet` is off by default, so updates
//! proceed one pod at a time.

pub mod events;
pub mod rules;
mod sync;

use self::events::StatefulPodOperation;
use self::sync::Sync;
use super::pod_control::owner_of_changed_pod;
use super::{Actions, Controller, Key, RecordedRequest, Requeue, Watches};
use cluster::pod::Owner;
use cluster::{Action, Change, ClusterView, ObjectId, Refused, Store};

/// The StatefulSet controller.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatefulSetController;

impl Controller for StatefulSetController {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn watches(&self) -> Watches {
        Watches::STATEFUL_SETS.and(Watches::PODS_OF_STATEFUL_SETS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let owner = match *change {
            Change::Spec(ObjectId::StatefulSet(set), _)
            | Change::Status(ObjectId::StatefulSet(set)) => {
                wake.push(Key::StatefulSet(set));
                None
            }
            _ => owner_of_changed_pod(view, change),
        };
        if let Some(Owner::StatefulSet(set)) = owner {
            wake.push(Key::StatefulSet(set));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::StatefulSet(id) = key else { return Requeue::No };
        match Sync::new(view, id) {
            Some(sync) => sync.run(actions),
            None => Requeue::No,
        }
    }

    fn refused(
        &mut self,
        view: ClusterView<'_>,
        key: Key,
        _: &[Refused],
        actions: &mut Actions,
    ) -> Requeue {
        let Key::StatefulSet(id) = key else { return Requeue::No };
        let Some(sync) = Sync::new(view, id) else { return Requeue::No };
        sync.write_status(actions);
        Requeue::Backoff
    }

    fn records(&self, store: &Store, action: &Action) -> Option<RecordedRequest> {
        StatefulPodOperation::of(store, action).map(RecordedRequest::StatefulPod)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}
