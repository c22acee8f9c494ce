//! CronJobs (batch/v1).

use super::action::Refused;
use super::change::Change;
use super::cron_schedule::Schedule;
use super::job::{JobId, JobOwner, JobSpec};
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
    /// Object metadata.
    pub meta: ObjectMeta,
    /// `spec`: the desired state.
    pub spec: CronJobSpec,
    /// `status`: the observed state.
    pub status: CronJobStatus,
}

/// `spec` of a CronJob, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronJobSpec {
    /// Schedule of the Jobs.
    pub schedule: Schedule,
    /// Time zone of the schedule; absent = UTC, the time zone of kube-controller-manager.
    pub time_zone: Option<Name>,
    /// Maximum delay of a Job's start, in seconds; absent = no limit.
    pub starting_deadline_seconds: Option<i64>,
    /// `spec.concurrencyPolicy`.
    pub concurrency_policy: ConcurrencyPolicy,
    /// No Job starts while set.
    pub suspend: bool,
    /// Template of the Jobs.
    pub job_template: JobTemplate,
    /// Successful Jobs kept.
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
    /// `spec` of the Jobs.
    pub spec: JobSpec,
}

/// `spec.concurrencyPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConcurrencyPolicy {
    /// Jobs may run concurrently.
    #[default]
    Allow,
    /// No Job starts while another is running.
    Forbid,
    /// A running Job is deleted to make room for the new one.
    Replace,
}

/// `status` of a CronJob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CronJobStatus {
    /// Running Jobs.
    pub active: Vec<JobId>,
    /// Scheduled time of the last Job.
    pub last_schedule_time: Option<SimTime>,
    /// Time at which a Job last completed.
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
        let jobs = store.index.jobs_by_owner.remove(&JobOwner::CronJob(id)).unwrap_or_default();
        jobs.into_iter().try_for_each(|job| object::delete(store, now, job, changes))
    }
}
