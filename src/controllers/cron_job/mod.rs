//! The CronJob controller (`pkg/controller/cronjob/cronjob_controllerv2.go`, 1.36): makes Jobs when their
//! time has come.

pub mod missed;
mod sync;

use jiff::Timestamp;

use self::sync::Sync;
use super::{Actions, Controller, Key, Requeue};
use crate::cluster::{Change, ClusterView};

/// The CronJob controller.
#[derive(Clone, Copy, Debug)]
pub struct CronJobController {
    /// The calendar instant at which simulated time is zero; a whole second.
    pub start: Timestamp,
}

impl Controller for CronJobController {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn wakes_on(&self, view: ClusterView<'_>, change: Change, wake: &mut Vec<Key>) {
        let cron_job = match change {
            Change::CronJobSpec(cron_job) | Change::CronJobStatus(cron_job) => Some(cron_job),
            Change::JobSpec(job) | Change::JobStatus(job) => {
                view.jobs().get(job).and_then(|job| job.owner)
            }
            Change::JobRemoved { owner, .. } => owner,
            _ => None,
        };
        wake.extend(cron_job.map(Key::CronJob));
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::CronJob(id) = key else { return Requeue::No };
        let Some(cron_job) = view.cron_jobs().get(id) else { return Requeue::No };
        Sync::new(view, self.start, id, cron_job).run(actions).map_or(Requeue::No, Requeue::At)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }
}
