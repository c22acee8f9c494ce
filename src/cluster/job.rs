//! Jobs (batch/v1).

use std::sync::Arc;

use super::action::Refused;
use super::change::Change;
use super::cron_job::CronJobId;
use super::deployment::WorkloadCondition;
use super::job_indexes::IndexSet;
use super::job_update;
use super::kind::Kind;
use super::kueue::QUEUE_LABEL;
use super::meta::{Labels, Name, ObjectMeta};
use super::node::ConditionStatus;
use super::object::{self, Object, Stored};
use super::objects::ObjectId;
use super::pod::{Owner, PodId};
use super::pod_template::{PodTemplate, TemplateId};
use super::pod_verbs::{delete_pods_of, remove_pod_finalizer};
use super::scaled_job::ScaledJobId;
use super::store::Store;
use engine::{Id, SimTime};

/// Key of a [`Job`] in the store.
pub type JobId = Id<Job>;

/// Condition type: the Job has completed.
pub const COMPLETE: &str = "Complete";
/// Condition type: the Job has failed.
pub const FAILED: &str = "Failed";
/// Label and annotation holding a pod's completion index.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// A Job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// The object that created it, if any.
    pub owner: Option<JobOwner>,
    /// `spec`: the desired state.
    pub spec: JobSpec,
    /// Template of non-indexed pods, with the Job's labels.
    pub template: TemplateId,
    /// `status`: the observed state.
    pub status: JobStatus,
}

/// An object that creates Jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobOwner {
    /// A CronJob.
    CronJob(CronJobId),
    /// A ScaledJob of KEDA.
    ScaledJob(ScaledJobId),
}

impl JobOwner {
    /// The CronJob, if it is one.
    pub const fn cron_job(self) -> Option<CronJobId> {
        match self {
            Self::CronJob(id) => Some(id),
            Self::ScaledJob(_) => None,
        }
    }
}

impl From<CronJobId> for JobOwner {
    fn from(id: CronJobId) -> Self {
        Self::CronJob(id)
    }
}

impl From<ScaledJobId> for JobOwner {
    fn from(id: ScaledJobId) -> Self {
        Self::ScaledJob(id)
    }
}

impl From<JobOwner> for ObjectId {
    fn from(owner: JobOwner) -> Self {
        match owner {
            JobOwner::CronJob(id) => Self::CronJob(id),
            JobOwner::ScaledJob(id) => Self::ScaledJob(id),
        }
    }
}

/// `spec` of a Job, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// Pods that may run at once.
    pub parallelism: i32,
    /// Pods that must succeed; absent = the first success completes the Job (a work queue).
    pub completions: Option<i32>,
    /// `completionMode: Indexed`: each completion has its own index.
    pub is_indexed: bool,
    /// Number of pod failures tolerated before the Job fails.
    pub backoff_limit: i32,
    /// Number of pod failures tolerated before an index fails.
    pub backoff_limit_per_index: Option<i32>,
    /// Number of failed indexes tolerated before the Job fails.
    pub max_failed_indexes: Option<i32>,
    /// Maximum run time of the Job, in seconds.
    pub active_deadline_seconds: Option<i64>,
    /// No pod runs while set.
    pub suspend: bool,
    /// Time until deletion after the Job finishes, in seconds; absent = never deleted.
    pub ttl_seconds_after_finished: Option<i32>,
    /// `podFailurePolicy.rules`; absent = every failure counts.
    pub pod_failure_policy: Option<Vec<PodFailureRule>>,
    /// `successPolicy.rules`; absent = all indexes must succeed.
    pub success_policy: Option<Vec<SuccessRule>>,
    /// `podReplacementPolicy: Failed`: a terminating pod is replaced only once it has finished.
    pub replaces_only_failed: bool,
    /// `managedBy` names another controller; the Job controller then ignores the Job.
    pub is_managed_elsewhere: bool,
    /// The pod template.
    pub template: PodTemplate,
}

/// A rule of `podFailurePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFailureRule {
    /// Effect of a match.
    pub action: PodFailureAction,
    /// The failures it matches.
    pub pattern: PodFailurePattern,
}

/// Effect of a rule on a matching failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodFailureAction {
    /// The Job fails.
    FailJob,
    /// The pod's index fails.
    FailIndex,
    /// The pod is replaced without counting the failure.
    Ignore,
    /// The failure counts, as without a rule.
    Count,
}

/// Pod failures matched by a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodFailurePattern {
    /// By the exit code of a container.
    ExitCodes {
        /// Name of the container; absent = any.
        container: Option<Name>,
        /// True for `NotIn`, false for `In`.
        is_negated: bool,
        /// Exit codes.
        values: Vec<i32>,
    },
    /// By pod conditions, any of which must be present.
    Conditions(Vec<(Name, ConditionStatus)>),
}

/// A rule of `successPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuccessRule {
    /// Indexes that count; absent = all.
    pub indexes: Option<Name>,
    /// Number of indexes that must succeed; absent = all.
    pub count: Option<i32>,
}

/// `status` of a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobStatus {
    /// Time from which its pods could run, or could run again after a suspension.
    pub start_time: Option<SimTime>,
    /// Time of completion.
    pub completion_time: Option<SimTime>,
    /// Pods that are neither finished nor terminating.
    pub active: i32,
    /// Active pods that are ready.
    pub ready: i32,
    /// Pods that are terminating and have not finished.
    pub terminating: i32,
    /// Pods that succeeded.
    pub succeeded: i32,
    /// Pods that failed and count as failures.
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
    /// The condition that finished the Job, if any (`IsJobFinished`).
    pub fn finished(&self) -> Option<&WorkloadCondition> {
        self.conditions.iter().find(|condition| {
            [COMPLETE, FAILED].contains(&condition.kind)
                && condition.status == ConditionStatus::True
        })
    }
}

/// The completion index in a pod's labels.
pub fn completion_index(labels: &Labels) -> Option<i32> {
    labels.get(COMPLETION_INDEX)?.parse().ok()
}

/// Labels by which a Job selects its pods unless its selector is written manually (`generateSelector`): its UID and
/// its name, each under the current and the legacy key.
pub const JOB_LABELS: [&str; 4] = [
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

/// A Job to be created.
#[derive(Clone, Debug)]
pub struct JobDraft {
    /// `spec`.
    pub spec: JobSpec,
    /// The object that creates it, if any.
    pub owner: Option<JobOwner>,
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

    fn new(store: &mut Store, mut meta: ObjectMeta, draft: JobDraft) -> Self {
        let JobDraft { mut spec, owner } = draft;
        // The webhook of Kueue, which is there if there are queues.
        if meta.labels.contains_key(QUEUE_LABEL) && !store.cluster_queues().is_empty() {
            spec.suspend = true;
            if let Some(document) = &mut meta.document {
                Arc::make_mut(document).object["spec"]["suspend"] = true.into();
            }
        }
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
        self.owner.map(ObjectId::from)
    }

    fn index(store: &mut Store, id: JobId) {
        if let Some(owner) = store.jobs()[id].owner {
            store.index.jobs_by_owner.entry(owner).or_default().insert(id);
        }
    }

    /// Its pods are no longer tracked, so their finalizers are removed.
    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: JobId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        if let Some(owner) = self.owner
            && let Some(siblings) = store.index.jobs_by_owner.get_mut(&owner)
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
