//! The CronJob controller (`pkg/controller/cronjob/cronjob_controllerv2.go`, 1.36): creates Jobs at their scheduled
//! times.

pub mod missed;
mod sync;

use std::collections::BTreeMap;

use jiff::Timestamp;

use self::sync::Sync;
use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::cron_job::{CronJob, CronJobId};
use cluster::cron_schedule::Schedule;
use cluster::job::JobOwner;
use cluster::{Change, ClusterView, Name, ObjectId};

/// The CronJob controller.
#[derive(Clone, Debug)]
pub struct CronJobController {
    /// The calendar instant at which simulated time is zero; a whole second.
    start: Timestamp,
    /// The schedule and time zone of each CronJob as last seen.
    calendars: BTreeMap<CronJobId, (Schedule, Option<Name>)>,
}

impl CronJobController {
    /// A controller whose simulated time is zero at `start`, a whole second.
    pub const fn new(start: Timestamp) -> Self {
        Self { start, calendars: BTreeMap::new() }
    }

    /// Whether a CronJob's schedule or time zone changed since the last reconcile.
    fn has_new_calendar(&mut self, id: CronJobId, cron_job: &CronJob) -> bool {
        let spec = &cron_job.spec;
        let now = (spec.schedule.clone(), spec.time_zone.clone());
        match self.calendars.get_mut(&id) {
            Some(known) if *known == now => false,
            Some(known) => {
                *known = now;
                true
            }
            None => {
                self.calendars.insert(id, now);
                false
            }
        }
    }
}

impl Controller for CronJobController {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn watches(&self) -> Watches {
        Watches::CRON_JOBS.and(Watches::JOBS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let cron_job = match *change {
            Change::Spec(ObjectId::CronJob(cron_job), _)
            | Change::Status(ObjectId::CronJob(cron_job)) => Some(cron_job),
            Change::Spec(ObjectId::Job(job), _) | Change::Status(ObjectId::Job(job)) => {
                view.jobs().get(job).and_then(|job| job.owner).and_then(JobOwner::cron_job)
            }
            Change::Removed { owner: Some(ObjectId::CronJob(owner)), .. } => Some(owner),
            _ => None,
        };
        wake.extend(cron_job.map(Key::CronJob));
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::CronJob(id) = key else { return Requeue::No };
        let Some(cron_job) = view.cron_jobs().get(id) else {
            self.calendars.remove(&id);
            return Requeue::No;
        };
        let is_rescheduled = self.has_new_calendar(id, cron_job);
        let sync = Sync::new(view, self.start, id, cron_job);
        // Times of a new schedule that lie in the past start nothing (`updateCronJob`).
        let next = if is_rescheduled { sync.next_time() } else { sync.run(actions) };
        next.map_or(Requeue::No, Requeue::At)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
