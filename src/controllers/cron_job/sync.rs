//! One sync of a CronJob (`syncCronJob`, `cleanupFinishedJobs`).

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::missed::most_recent;
use crate::Actions;
use cluster::action::Event;
use cluster::cron_job::{ConcurrencyPolicy, CronJob, CronJobId, CronJobStatus};
use cluster::cron_schedule::time_zone;
use cluster::document::Document;
use cluster::job::{COMPLETE, Job, JobDraft, JobId};
use cluster::{Action, ClusterView, Kind, Name, NamespacedName, ObjectId, ObjectMeta};
use engine::{SimDuration, SimTime};

/// Jobs start this long after their time (`nextScheduleDelta`).
const SCHEDULE_DELTA: SimDuration = SimDuration::from_millis(100);
/// Annotation of a Job with its scheduled time.
const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// State of one sync.
pub(super) struct Sync<'a> {
    view: ClusterView<'a>,
    start: Timestamp,
    id: CronJobId,
    cron_job: &'a CronJob,
    jobs: Vec<(JobId, &'a Job)>,
    status: CronJobStatus,
}

impl<'a> Sync<'a> {
    pub(super) fn new(
        view: ClusterView<'a>,
        start: Timestamp,
        id: CronJobId,
        cron_job: &'a CronJob,
    ) -> Self {
        let jobs = view.store().jobs_of(id).collect();
        Self { view, start, id, cron_job, jobs, status: cron_job.status.clone() }
    }

    /// Runs the sync; returns the time of the next one.
    pub(super) fn run(mut self, actions: &mut Actions) -> Option<SimTime> {
        self.follow_jobs(actions);
        let (scheduled, again) = self.schedule(actions);
        self.clean_up(actions);
        if self.status != self.cron_job.status {
            actions.push(Action::status(self.id, self.status.clone()));
        }
        // The Job exists only once its creation is carried out: the next sync adds it to the list.
        if let Some((meta, job)) = scheduled {
            let name = meta.name().clone();
            actions.push(Action::create(meta, job));
            actions.push(self.event(false, "SuccessfulCreate", format!("Created job {name}")));
        }
        again
    }

    /// The CronJob's next scheduled time.
    pub(super) fn next_time(&self) -> Option<SimTime> {
        let zone = time_zone(self.cron_job.spec.time_zone.as_deref())?;
        self.next(&zone, self.calendar(self.view.now))
    }

    /// Removes finished Jobs from the list of active ones and records successes; adds Jobs missing from the list.
    fn follow_jobs(&mut self, actions: &mut Actions) {
        for (id, job) in self.jobs.clone() {
            let was_active = self.status.active.contains(&id);
            match job.status.finished() {
                None if !was_active => self.status.active.push(id),
                None => {}
                Some(condition) => {
                    if was_active {
                        self.status.active.retain(|other| *other != id);
                        let name = job.meta.name();
                        let message =
                            format!("Saw completed job: {name}, condition: {}", condition.kind);
                        actions.push(self.event(false, "SawCompletedJob", message));
                    }
                    if condition.kind == COMPLETE {
                        let last = &mut self.status.last_successful_time;
                        *last = (*last).max(job.status.completion_time);
                    }
                }
            }
        }
        let is_there = |id: &JobId| self.view.jobs().contains(*id);
        let missing = self.status.active.iter().filter(|id| !is_there(id)).count();
        for _ in 0..missing {
            actions.push(self.event(false, "MissingJob", "Active job went missing".to_owned()));
        }
        self.status.active.retain(is_there);
    }

    /// The Job to start now, if any, and the time of the next sync.
    fn schedule(
        &mut self,
        actions: &mut Actions,
    ) -> (Option<(ObjectMeta, JobDraft)>, Option<SimTime>) {
        let spec = &self.cron_job.spec;
        let Some(zone) = time_zone(spec.time_zone.as_deref()).filter(|_| !spec.suspend) else {
            return (None, None);
        };
        let now = self.calendar(self.view.now);
        let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
        let known = self.earliest();
        let earliest = deadline.map_or(known, |deadline| {
            known.max(now.checked_sub(deadline).unwrap_or(Timestamp::MIN))
        });
        let found = match most_recent(&spec.schedule, &zone, earliest, now) {
            Ok(found) => found,
            Err(why) => {
                let message = format!("invalid schedule: {} : {why}", spec.schedule);
                actions.push(self.event(true, "InvalidSchedule", message));
                return (None, None);
            }
        };
        if found.are_many {
            let message = "too many missed start times. Set or decrease \
                           .spec.startingDeadlineSeconds or check clock skew";
            actions.push(self.event(true, "TooManyMissedTimes", message.to_owned()));
        }
        let Some(time) = found.time else { return (None, self.next(&zone, now)) };
        if deadline.is_some_and(|deadline| time.checked_add(deadline).is_ok_and(|end| end < now)) {
            let message = format!("Missed scheduled time to start a job: {time}");
            actions.push(self.event(true, "MissSchedule", message));
            return (None, self.next(&zone, now));
        }
        let at = self.simulated(time);
        let name = self.job_name(time);
        if self.status.last_schedule_time == Some(at) || self.is_active(&name) {
            return (None, self.next(&zone, now));
        }
        if !self.makes_room(actions) {
            return (None, self.next(&zone, now));
        }
        let named = NamespacedName::new(self.cron_job.meta.namespace().clone(), name.clone());
        let known = self.view.named(&named);
        if let Some(job) = known {
            // Two times within a minute yield the same name: the Job of the first counts for both. A foreign Job with
            // this name leaves the CronJob waiting for the next event (`AlreadyExists`).
            if self.view.jobs()[job].owner != Some(self.id.into()) {
                return (None, None);
            }
            self.status.active.push(job);
        }
        self.status.last_schedule_time = Some(at);
        let again = self.next(&zone, now);
        (known.is_none().then(|| self.draft(name, time)), again)
    }

    /// Whether a Job of this name is on the list of active ones (`inActiveListByName`).
    fn is_active(&self, name: &Name) -> bool {
        let mut active = self.status.active.iter().filter_map(|id| self.view.jobs().get(*id));
        active.any(|job| job.meta.name() == name)
    }

    /// Whether a Job may start given those that are running (`concurrencyPolicy`).
    fn makes_room(&mut self, actions: &mut Actions) -> bool {
        match self.cron_job.spec.concurrency_policy {
            ConcurrencyPolicy::Forbid if !self.status.active.is_empty() => {
                let message = "Not starting job because prior execution is running and \
                               concurrency policy is Forbid";
                actions.push(self.event(false, "JobAlreadyActive", message.to_owned()));
                false
            }
            ConcurrencyPolicy::Replace => {
                for job in std::mem::take(&mut self.status.active) {
                    self.delete_job(job, actions);
                }
                true
            }
            ConcurrencyPolicy::Allow | ConcurrencyPolicy::Forbid => true,
        }
    }

    /// The time from which missed runs count.
    fn earliest(&self) -> Timestamp {
        let last = self.status.last_schedule_time;
        self.calendar(last.unwrap_or(self.cron_job.meta.created))
    }

    /// Shortly after the next scheduled time (`nextScheduleTimeDuration`): counted from the last one
    /// up to now, or from where the count of missed ones begins.
    fn next(&self, zone: &TimeZone, now: Timestamp) -> Option<SimTime> {
        let schedule = &self.cron_job.spec.schedule;
        let earliest = self.earliest();
        let from = match most_recent(schedule, zone, earliest, now) {
            Ok(found) => found.time.unwrap_or(if found.are_some { now } else { earliest }),
            Err(_) => now,
        };
        Some(self.simulated(schedule.next(from, zone)?) + SCHEDULE_DELTA)
    }

    /// Deletes finished Jobs above the history limits, the oldest first.
    fn clean_up(&mut self, actions: &mut Actions) {
        let spec = &self.cron_job.spec;
        for (limit, is_complete) in
            [(spec.failed_history_limit, false), (spec.successful_history_limit, true)]
        {
            let mut ended: Vec<(Option<SimTime>, Name, JobId)> = self
                .jobs
                .iter()
                .filter_map(|(id, job)| {
                    let condition = job.status.finished()?;
                    let is_meant = (condition.kind == COMPLETE) == is_complete;
                    is_meant.then(|| (job.status.start_time, job.meta.name().clone(), *id))
                })
                .collect();
            // Jobs without a start time sort last.
            ended.sort_by_key(|(start, name, _)| (start.is_none(), *start, name.clone()));
            let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            for (_, _, job) in ended.into_iter().take(surplus) {
                self.delete_job(job, actions);
            }
        }
    }

    fn delete_job(&self, id: JobId, actions: &mut Actions) {
        let Some(job) = self.view.jobs().get(id) else { return };
        let message = format!("Deleted job {}", job.meta.name());
        actions.push(Action::Delete(ObjectId::Job(id)));
        actions.push(self.event(false, "SuccessfulDelete", message));
    }

    /// Named after the scheduled time, so that it is made once (`getJobName`).
    fn job_name(&self, time: Timestamp) -> Name {
        format!("{}-{}", self.cron_job.meta.name(), time.as_second().div_euclid(60)).into()
    }

    fn draft(&self, name: Name, time: Timestamp) -> (ObjectMeta, JobDraft) {
        let template = &self.cron_job.spec.job_template;
        let mut meta = ObjectMeta::new(self.cron_job.meta.namespace().clone(), name);
        meta.labels = template.labels.clone();
        let zone = time_zone(self.cron_job.spec.time_zone.as_deref()).unwrap_or(TimeZone::UTC);
        meta.annotations = template.annotations.with(SCHEDULED_AT, rfc_3339(time, zone));
        meta.document = self.document().map(Arc::new);
        (meta, JobDraft { owner: Some(self.id.into()), spec: template.spec.clone() })
    }

    /// A Job as the CronJob's manifest has it.
    fn document(&self) -> Option<Document> {
        let written = &self.cron_job.meta.document.as_ref()?.object;
        let spec = written.pointer("/spec/jobTemplate/spec")?;
        Some(Document { object: json!({ "spec": spec }), last_applied: None })
    }

    fn calendar(&self, time: SimTime) -> Timestamp {
        let offset = SignedDuration::from_nanos((time - SimTime::ZERO).as_nanos());
        self.start.checked_add(offset).unwrap_or(Timestamp::MAX)
    }

    fn simulated(&self, time: Timestamp) -> SimTime {
        SimTime::ZERO + SimDuration::from_secs(time.as_second() - self.start.as_second())
    }

    fn event(&self, is_warning: bool, reason: &'static str, message: String) -> Action {
        Action::Event(Box::new(Event {
            kind: Kind::CronJob,
            object: self.cron_job.meta.id.clone(),
            is_warning,
            reason,
            message,
        }))
    }
}

/// Formats a time as RFC 3339 in a time zone, with `Z` for UTC (Go's `time.RFC3339`).
fn rfc_3339(time: Timestamp, zone: TimeZone) -> String {
    let local = time.to_zoned(zone);
    let form = if local.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    local.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduled_time_is_told_in_the_time_zone_of_the_cron_job() {
        let time: Timestamp = "2026-07-01T06:30:00Z".parse().unwrap();
        let time_text = |zone| rfc_3339(time, time_zone(zone).unwrap());
        assert_eq!(time_text(None), "2026-07-01T06:30:00Z");
        assert_eq!(time_text(Some("America/New_York")), "2026-07-01T02:30:00-04:00");
        assert_eq!(time_text(Some("Africa/Abidjan")), "2026-07-01T06:30:00Z");
    }
}
