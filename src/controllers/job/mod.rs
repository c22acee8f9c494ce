//! The Job controller (`pkg/controller/job`, 1.36): pods until enough have succeeded, or too many have
//! failed.

pub mod backoff;
pub mod failure_policy;
mod manage;
mod sync;
mod track;

use std::collections::BTreeMap;

use self::backoff::BackoffRecord;
use self::sync::Sync;
use super::pod_control::{PodOperation, owner_of_changed_pod};
use super::{Actions, Backoff, Controller, Key, QueueSettings, RecordedRequest, Requeue, Watches};
use cluster::job::JobId;
use cluster::pod::Owner;
use cluster::{Action, Change, ClusterView, ObjectId, Refused, Store};
use engine::SimDuration;

/// Delay of syncs triggered by pod events and status writes, so that several are batched into one
/// (`syncJobBatchPeriod`).
const BATCH_PERIOD: SimDuration = SimDuration::from_secs(1);

/// The Job controller.
#[derive(Clone, Debug, Default)]
pub struct JobController {
    /// Failures in a row, of the Jobs that have any.
    records: BTreeMap<JobId, BackoffRecord>,
}

impl Controller for JobController {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn watches(&self) -> Watches {
        Watches::JOBS.and(Watches::PODS_OF_JOBS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let owner = match *change {
            Change::Spec(ObjectId::Job(job), _) | Change::Status(ObjectId::Job(job)) => {
                wake.push(Key::Job(job));
                None
            }
            _ => owner_of_changed_pod(view, change),
        };
        if let Some(Owner::Job(job)) = owner {
            wake.push(Key::Job(job));
        }
    }

    fn queue(&self) -> QueueSettings {
        QueueSettings {
            backoff: Backoff {
                initial: SimDuration::from_secs(1),
                max: SimDuration::from_secs(60),
            },
            wake_delay: Some(wake_delay),
            ..QueueSettings::default()
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Job(id) = key else { return Requeue::No };
        self.look(view, id, true, actions);
        Requeue::No
    }

    fn refused(
        &mut self,
        view: ClusterView<'_>,
        key: Key,
        _: &[Refused],
        actions: &mut Actions,
    ) -> Requeue {
        if let Key::Job(id) = key {
            self.look(view, id, false, actions);
        }
        Requeue::Backoff
    }

    fn records(&self, store: &Store, action: &Action) -> Option<RecordedRequest> {
        PodOperation::of(store, action).map(RecordedRequest::Pod)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// A new spec triggers a sync without delay.
const fn wake_delay(change: &Change) -> SimDuration {
    match change {
        Change::Spec(ObjectId::Job(_), _) => SimDuration::ZERO,
        _ => BATCH_PERIOD,
    }
}

impl JobController {
    /// Syncs a Job that the controller manages and that has not finished (`syncJob`).
    fn look(&mut self, view: ClusterView<'_>, id: JobId, may_manage: bool, actions: &mut Actions) {
        let job = view.jobs().get(id).filter(|job| job.status.finished().is_none());
        let Some(job) = job.filter(|job| !job.spec.is_managed_elsewhere) else {
            self.records.remove(&id);
            return;
        };
        let record = self.records.get(&id).copied().unwrap_or_default();
        let record = Sync::new(view, id, job, record).run(may_manage, actions);
        self.records.insert(id, record);
    }
}
