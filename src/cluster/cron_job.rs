//! CronJobs (batch/v1).

use super::action::Refused;
use super::change::Change;
use super::cron_schedule::Schedule;
use super::job::{JobId, JobSpec};
use super::kind::Kind;
use super::meta::{Labels, Name, ObjectMeta};
use super::object::{self, Object, Stored};
use super::store::Store;
use engine::{Id, SimTime};

/// Key of a [`CronJob`] in the store.
pub type CronJobId = Id<CronJob>;

/// A CronJob.
#[derive(Clone, Debug)]
pub struct CronJob {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// What its owner asks for.
    pub spec: CronJobSpec,
    /// What was observed.
    pub status: CronJobStatus,
}

/// `spec` of a CronJob, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronJobSpec {
    /// When Jobs start.
    pub schedule: Schedule,
    /// The time zone of the schedule; absent = UTC, as of kube-controller-manager.
    pub time_zone: Option<Name>,
    /// How late a Job may start, in seconds; absent = however late.
    pub starting_deadline_seconds: Option<i64>,
    /// What happens while an earlier Job still runs.
    pub concurrency_policy: ConcurrencyPolicy,
    /// While set, no Job starts.
    pub suspend: bool,
    /// What Jobs are made from.
    pub job_template: JobTemplate,
    /// Complete Jobs kept.
    pub successful_history_limit: i32,
    /// Failed Jobs kept.
    pub failed_history_limit: i32,
}

/// `spec.jobTemplate` of a CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTemplate {
    /// Labels of the Jobs.
    pub labels: Labels,
    /// Annotations of the Jobs.
    pub annotations: Labels,
    /// What the Jobs do.
    pub spec: JobSpec,
}

/// `spec.concurrencyPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConcurrencyPolicy {
    /// Jobs run beside each other.
    #[default]
    Allow,
    /// No Job starts while another runs.
    Forbid,
    /// The running Job makes room.
    Replace,
}

/// `status` of a CronJob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CronJobStatus {
    /// Jobs that run.
    pub active: Vec<JobId>,
    /// The scheduled time of the last Job.
    pub last_schedule_time: Option<SimTime>,
    /// When a Job was last complete.
    pub last_successful_time: Option<SimTime>,
}

impl Object for CronJob {
    const KIND: Kind = Kind::CronJob;
    type Spec = CronJobSpec;
    type Status = CronJobStatus;

    object::accessors!(CronJobStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: CronJobSpec) -> Self {
        Self { meta, spec, status: CronJobStatus::default() }
    }

    fn update(
        store: &mut Store,
        id: CronJobId,
        meta: ObjectMeta,
        spec: CronJobSpec,
    ) -> Result<bool, Refused> {
        let table = &mut Self::collection_mut(store).table;
        let cron_job = table.get_mut(id).ok_or(Refused::NotFound)?;
        Ok(object::replace((&mut cron_job.meta, &mut cron_job.spec), meta, spec))
    }

    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: CronJobId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let jobs = store.index.jobs_by_cron_job.remove(&id).unwrap_or_default();
        jobs.into_iter().try_for_each(|job| object::delete(store, now, job, changes))
    }
}
