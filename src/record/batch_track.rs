//! Outcomes of the Jobs of a Job or CronJob.

use std::collections::BTreeMap;

use super::time_weighted::TimeWeighted;
use cluster::Name;
use cluster::job::{FAILED, Job};
use engine::{SimDuration, SimTime};

/// The Jobs of one workload over the run.
#[derive(Clone, Debug, Default)]
pub struct BatchTrack {
    /// Jobs created, including those that have ended.
    pub created: u64,
    /// Completed Jobs.
    pub complete: u64,
    /// Failed Jobs.
    pub failed: u64,
    /// Jobs deleted before they ended, as with `concurrencyPolicy: Replace`.
    pub deleted: u64,
    /// Unfinished Jobs.
    pub running: TimeWeighted,
    /// Those among them that are suspended, as until Kueue admits them.
    pub suspended: TimeWeighted,
    /// Time from creation to completion, summed over the completed Jobs.
    pub completion_time: SimDuration,
    /// Longest time from creation to completion.
    pub completion_time_max: SimDuration,
    /// Pods of Jobs whose containers all exited with 0.
    pub pods_succeeded: u64,
    /// Pods of Jobs that failed and counted towards the back-off limit.
    pub pods_failed: u64,
    /// Failed Jobs by the reason of their Failed condition, such as `BackoffLimitExceeded`.
    pub failures: BTreeMap<Name, u64>,
}

/// An existing Job.
#[derive(Clone, Copy, Debug)]
pub(super) struct JobTrack {
    /// Position of its workload.
    pub(super) workload: usize,
    created: SimTime,
    has_ended: bool,
    is_suspended: bool,
    succeeded: i32,
    failed: i32,
}

impl JobTrack {
    pub(super) const fn new(workload: usize, now: SimTime) -> Self {
        Self {
            workload,
            created: now,
            has_ended: false,
            is_suspended: false,
            succeeded: 0,
            failed: 0,
        }
    }
}

impl BatchTrack {
    pub(super) fn created(&mut self, now: SimTime) {
        self.created += 1;
        self.running.add(now, 1);
    }

    /// Records the outcome of a Job whose status has changed.
    pub(super) fn changed(&mut self, now: SimTime, track: &mut JobTrack, job: &Job) {
        let more = |now: i32, before: &mut i32| {
            let more = now.saturating_sub(std::mem::replace(before, now));
            u64::try_from(more).unwrap_or(0)
        };
        self.pods_succeeded += more(job.status.succeeded, &mut track.succeeded);
        self.pods_failed += more(job.status.failed, &mut track.failed);
        self.suspend(now, track, job.spec.suspend && job.status.finished().is_none());
        let Some(condition) = job.status.finished().filter(|_| !track.has_ended) else { return };
        track.has_ended = true;
        self.running.add(now, -1);
        if condition.kind == FAILED {
            self.failed += 1;
            *self.failures.entry(condition.reason.into()).or_default() += 1;
        } else {
            let took = now - track.created;
            self.complete += 1;
            self.completion_time += took;
            self.completion_time_max = self.completion_time_max.max(took);
        }
    }

    fn suspend(&mut self, now: SimTime, track: &mut JobTrack, is_suspended: bool) {
        if std::mem::replace(&mut track.is_suspended, is_suspended) != is_suspended {
            self.suspended.add(now, if is_suspended { 1 } else { -1 });
        }
    }

    pub(super) fn removed(&mut self, now: SimTime, mut track: JobTrack) {
        self.suspend(now, &mut track, false);
        if !track.has_ended {
            self.deleted += 1;
            self.running.add(now, -1);
        }
    }
}
