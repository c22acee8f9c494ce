//! Jobs (batch/v1).

use super::action::Refused;
use super::change::Change;
use super::cron_job::CronJobId;
use super::deployment::WorkloadCondition;
use super::job_indexes::IndexSet;
use super::job_update;
use super::kind::Kind;
use super::meta::{Labels, Name, ObjectMeta};
use super::node::ConditionStatus;
use super::object::{self, Object, Stored};
use super::objects::ObjectId;
use super::pod::{Owner, PodId};
use super::pod_template::{PodTemplate, TemplateId};
use super::pod_verbs::{delete_pods_of, remove_pod_finalizer};
use super::store::Store;
use engine::{Id, SimTime};

/// Key of a [`Job`] in the store.
pub type JobId = Id<Job>;

/// Condition kind: all that was asked for is done.
pub const COMPLETE: &str = "Complete";
/// Condition kind: the Job has failed.
pub const FAILED: &str = "Failed";
/// Label and annotation with the completion index of a pod.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// A Job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// The CronJob that made it, if any.
    pub owner: Option<CronJobId>,
    /// What its owner asks for.
    pub spec: JobSpec,
    /// The template of pods without an index, with the Job's labels.
    pub template: TemplateId,
    /// What was observed.
    pub status: JobStatus,
}

/// `spec` of a Job, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// Pods that may run at once.
    pub parallelism: i32,
    /// Pods that must succeed; absent = the first success ends the Job (a work queue).
    pub completions: Option<i32>,
    /// `completionMode: Indexed`: each completion has an index of its own.
    pub is_indexed: bool,
    /// More failed pods than these fail the Job.
    pub backoff_limit: i32,
    /// More failed pods than these fail an index.
    pub backoff_limit_per_index: Option<i32>,
    /// More failed indexes than these fail the Job.
    pub max_failed_indexes: Option<i32>,
    /// How long the Job may run, in seconds.
    pub active_deadline_seconds: Option<i64>,
    /// While set, no pod runs.
    pub suspend: bool,
    /// How long the Job stays after its end, in seconds; absent = for ever.
    pub ttl_seconds_after_finished: Option<i32>,
    /// `podFailurePolicy.rules`; absent = every failure counts.
    pub pod_failure_policy: Option<Vec<PodFailureRule>>,
    /// `successPolicy.rules`; absent = all indexes must succeed.
    pub success_policy: Option<Vec<SuccessRule>>,
    /// `podReplacementPolicy: Failed`: a terminating pod is replaced when it has ended.
    pub replaces_only_failed: bool,
    /// `managedBy` names somebody else than the Job controller, which then leaves the Job alone.
    pub is_managed_elsewhere: bool,
    /// What the pods are made from.
    pub template: PodTemplate,
}

/// A rule of `podFailurePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFailureRule {
    /// What a match means.
    pub action: PodFailureAction,
    /// Which failures match.
    pub pattern: PodFailurePattern,
}

/// What a failure means that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodFailureAction {
    /// The Job fails.
    FailJob,
    /// The pod's index fails.
    FailIndex,
    /// The pod is replaced, and the failure is not counted.
    Ignore,
    /// It is counted, as without a rule.
    Count,
}

/// Which failures a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodFailurePattern {
    /// By the exit code of a container.
    ExitCodes {
        /// Of this container only; absent = of any.
        container: Option<Name>,
        /// `In` or, if set, `NotIn`.
        is_negated: bool,
        /// The codes.
        values: Vec<i32>,
    },
    /// By conditions of the pod, of which one must be there.
    Conditions(Vec<(Name, ConditionStatus)>),
}

/// A rule of `successPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuccessRule {
    /// These indexes count; absent = all.
    pub indexes: Option<Name>,
    /// So many of them must succeed; absent = all of them.
    pub count: Option<i32>,
}

/// `status` of a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobStatus {
    /// When its pods could first run, or run again after a suspension.
    pub start_time: Option<SimTime>,
    /// When it was complete.
    pub completion_time: Option<SimTime>,
    /// Pods that have neither ended nor terminate.
    pub active: i32,
    /// Active pods that are ready.
    pub ready: i32,
    /// Pods that terminate and have not ended.
    pub terminating: i32,
    /// Pods that succeeded.
    pub succeeded: i32,
    /// Pods that failed and count.
    pub failed: i32,
    /// Indexes that succeeded.
    pub completed_indexes: IndexSet,
    /// Indexes that failed; absent without `backoffLimitPerIndex`.
    pub failed_indexes: Option<IndexSet>,
    /// `uncountedTerminatedPods.succeeded`.
    pub uncounted_succeeded: Vec<PodId>,
    /// `uncountedTerminatedPods.failed`.
    pub uncounted_failed: Vec<PodId>,
    /// `Suspended`, `FailureTarget`, `SuccessCriteriaMet`, `Failed`, `Complete`.
    pub conditions: Vec<WorkloadCondition>,
}

impl JobStatus {
    /// The condition that ended the Job, if it has ended (`IsJobFinished`).
    pub fn finished(&self) -> Option<&WorkloadCondition> {
        self.conditions.iter().find(|condition| {
            [COMPLETE, FAILED].contains(&condition.kind)
                && condition.status == ConditionStatus::True
        })
    }
}

/// The completion index of a pod, by its labels.
pub fn completion_index(labels: &Labels) -> Option<i32> {
    labels.get(COMPLETION_INDEX)?.parse().ok()
}

/// Labels by which a Job finds its pods, unless its selector is written by hand (`generateSelector`): its uid and its
/// name, each under the key of today and that of old.
pub const JOB_LABELS: [&str; 4] = [
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

/// A Job to be created.
#[derive(Clone, Debug)]
pub struct JobDraft {
    /// What it does.
    pub spec: JobSpec,
    /// The CronJob that makes it, if any.
    pub owner: Option<CronJobId>,
}

impl From<JobSpec> for JobDraft {
    fn from(spec: JobSpec) -> Self {
        Self { spec, owner: None }
    }
}

impl Object for Job {
    const KIND: Kind = Kind::Job;
    type Spec = JobDraft;
    type Status = JobStatus;

    object::accessors!(meta, JobStatus);

    fn written(&self, _: &Store) -> JobDraft {
        JobDraft { spec: self.spec.clone(), owner: self.owner }
    }

    fn new(store: &mut Store, meta: ObjectMeta, draft: JobDraft) -> Self {
        let JobDraft { mut spec, owner } = draft;
        spec.template.labels = job_update::own_labels(&spec.template.labels, &meta);
        let template = store.intern(spec.template.clone());
        Self { meta, owner, spec, template, status: JobStatus::default() }
    }

    fn update(
        store: &mut Store,
        id: JobId,
        meta: ObjectMeta,
        JobDraft { spec, .. }: JobDraft,
    ) -> Result<bool, Refused> {
        let job = store.jobs().get(id).ok_or(Refused::NotFound)?;
        job_update::validate(job, &spec)?;
        let template = job_update::with_own_labels(job, &spec.template);
        let spec = JobSpec { template, ..spec };
        let template = store.intern(spec.template.clone());
        let job = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        job.template = template;
        Ok(object::replace((&mut job.meta, &mut job.spec), meta, spec))
    }

    fn owner(&self) -> Option<ObjectId> {
        self.owner.map(ObjectId::CronJob)
    }

    fn index(store: &mut Store, id: JobId) {
        if let Some(owner) = store.jobs()[id].owner {
            store.index.jobs_by_cron_job.entry(owner).or_default().insert(id);
        }
    }

    /// Nobody counts its pods any more, so their finalizers go too.
    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: JobId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        if let Some(owner) = self.owner
            && let Some(siblings) = store.index.jobs_by_cron_job.get_mut(&owner)
        {
            siblings.remove(&id);
        }
        let pods: Vec<PodId> = store.pods_of(Owner::Job(id)).map(|(pod, _)| pod).collect();
        for pod in pods {
            remove_pod_finalizer(store, now, pod, changes)?;
        }
        delete_pods_of(store, now, Owner::Job(id), changes)
    }
}
