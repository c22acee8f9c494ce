//! The TTL-after-finished controller (`pkg/controller/ttlafterfinished`, 1.36): removes Jobs some time
//! after their end.

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::job::Job;
use cluster::{Action, Change, ClusterView, ObjectId};
use engine::{SimDuration, SimTime};

/// The TTL-after-finished controller.
#[derive(Clone, Copy, Debug, Default)]
pub struct TtlAfterFinishedController;

/// Time at which a Job is to be deleted: its TTL after the condition that finished it.
pub fn expires_at(job: &Job) -> Option<SimTime> {
    let ttl = SimDuration::from_secs(job.spec.ttl_seconds_after_finished?.into());
    Some(job.status.finished()?.last_transition + ttl)
}

impl Controller for TtlAfterFinishedController {
    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn watches(&self) -> Watches {
        Watches::JOBS
    }

    fn wakes_on(&mut self, _: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        if let Change::Spec(ObjectId::Job(job), _) | Change::Status(ObjectId::Job(job)) = *change {
            wake.push(Key::Job(job));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Job(id) = key else { return Requeue::No };
        match view.jobs().get(id).and_then(expires_at) {
            None => Requeue::No,
            Some(at) if at > view.now => Requeue::At(at),
            Some(_) => {
                actions.push(Action::Delete(ObjectId::Job(id)));
                Requeue::No
            }
        }
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}
