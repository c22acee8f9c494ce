//! KEDA's ScaledJob: creates a Job for each part of the work that its triggers report.

use super::action::Refused;
use super::change::Change;
use super::cron_job::JobTemplate;
use super::job::JobOwner;
use super::kind::Kind;
use super::meta::{Name, ObjectMeta};
use super::object::{self, Object, Stored};
use super::scaled_object::{KedaConditions, Trigger};
use super::store::Store;
use engine::{Id, SimDuration, SimTime};

/// Key of a [`ScaledJob`] in the store.
pub type ScaledJobId = Id<ScaledJob>;

/// Jobs at most, where `maxReplicaCount` is missing.
const DEFAULT_MAX_REPLICAS: i64 = 100;

/// Label of the Jobs of a ScaledJob and of their pods: its name.
pub const SCALED_JOB_LABEL: &str = "scaledjob.keda.sh/name";

/// A ScaledJob of `keda.sh/v1alpha1`.
#[derive(Clone, Debug)]
pub struct ScaledJob {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// `spec`, defaulted.
    pub spec: ScaledJobSpec,
    /// As KEDA last wrote it.
    pub status: ScaledJobStatus,
}

/// `spec` of a ScaledJob, defaulted.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledJobSpec {
    /// `jobTargetRef`, with the labels and annotations that KEDA gives all Jobs and their pods.
    pub job_template: JobTemplate,
    /// `pollingInterval`: time between evaluations of the triggers.
    pub polling_interval: SimDuration,
    /// `triggers`.
    pub triggers: Vec<Trigger>,
    /// `scalingStrategy.multipleScalersCalculation`.
    pub calculation: ScalersCalculation,
    /// The fields by which KEDA counts Jobs.
    pub scaling: JobScaling,
    /// `rollout.strategy: gradual`: a change of the spec leaves running Jobs alone; otherwise they are deleted.
    pub is_rollout_gradual: bool,
    /// The annotation `autoscaling.keda.sh/paused`.
    pub is_paused: bool,
}

/// `spec.scalingStrategy.multipleScalersCalculation`: combines several active triggers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScalersCalculation {
    /// The longest queue.
    #[default]
    Max,
    /// The shortest queue.
    Min,
    /// The mean of the queues.
    Avg,
    /// All queues together.
    Sum,
}

/// The fields of a ScaledJob's spec by which KEDA counts Jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct JobScaling {
    /// `minReplicaCount`: Jobs that run even with an empty queue.
    pub min_replicas: Option<i64>,
    /// `maxReplicaCount`.
    pub max_replicas: Option<i64>,
    /// `scalingStrategy`.
    pub strategy: ScalingStrategy,
    /// `scalingStrategy.pendingPodConditions`: a Job is pending until a pod has all of them.
    pub pending_pod_conditions: Vec<Name>,
    /// `successfulJobsHistoryLimit`: completed Jobs that stay.
    pub successful_jobs_history_limit: usize,
    /// `failedJobsHistoryLimit`: failed Jobs that stay.
    pub failed_jobs_history_limit: usize,
}

impl JobScaling {
    /// `MinReplicaCount`: never above the maximum.
    pub fn min_replicas(&self) -> i64 {
        let min = self.min_replicas.unwrap_or(0);
        self.max_replicas.map_or(min, |max| min.min(max))
    }

    /// `MaxReplicaCount`: minus the minimum, unless the minimum exceeds it.
    pub fn max_replicas(&self) -> i64 {
        match (self.max_replicas, self.min_replicas) {
            (Some(max), Some(min)) if min > max => max,
            (Some(max), _) => max.saturating_sub(self.min_replicas()),
            (None, _) => DEFAULT_MAX_REPLICAS,
        }
    }
}

/// `scalingStrategy.strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ScalingStrategy {
    /// The queue length minus the running Jobs.
    #[default]
    Default,
    /// The queue length minus a fraction of the running Jobs.
    Custom {
        /// Taken off the queue's length.
        deduction: i64,
        /// The part of the running Jobs that counts.
        running_part: f64,
    },
    /// The queue length, for queues that do not count messages in progress.
    Accurate,
    /// As many as the maximum has room for.
    Eager,
}

impl ScalingStrategy {
    /// The strategy with this name. An unparsable running part replaces the custom strategy by the default one
    /// (`NewScalingStrategy`).
    pub fn named(name: &str, deduction: i64, running_part: &str) -> Self {
        match (name, running_part.parse()) {
            ("custom", Ok(running_part)) => Self::Custom { deduction, running_part },
            ("accurate", _) => Self::Accurate,
            ("eager", _) => Self::Eager,
            _ => Self::Default,
        }
    }

    /// Its name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Custom { .. } => "custom",
            Self::Accurate => "accurate",
            Self::Eager => "eager",
        }
    }
}

/// `status` of a ScaledJob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaledJobStatus {
    /// `lastActiveTime`: when a trigger was last seen active, cut to whole seconds.
    pub last_active: Option<SimTime>,
    /// `conditions`.
    pub conditions: KedaConditions,
    /// Jobs created so far, by which their names differ.
    pub created: u64,
    /// Whether the queue asked for more Jobs than `maxReplicaCount` at the last poll; not a field of the API.
    pub is_at_maximum: bool,
}

impl Object for ScaledJob {
    const KIND: Kind = Kind::ScaledJob;
    type Spec = ScaledJobSpec;
    type Status = ScaledJobStatus;

    object::accessors!(ScaledJobStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: ScaledJobSpec) -> Self {
        Self { meta, spec, status: ScaledJobStatus::default() }
    }

    fn update(
        store: &mut Store,
        id: ScaledJobId,
        meta: ObjectMeta,
        spec: ScaledJobSpec,
    ) -> Result<bool, Refused> {
        let object = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        // The pause, and what its Jobs take over, is of the metadata.
        let JobTemplate { labels, annotations, .. } = spec.job_template.clone();
        let mut comparable = object.spec.clone();
        comparable.job_template.labels = labels;
        comparable.job_template.annotations = annotations;
        comparable.is_paused = spec.is_paused;
        let is_same = comparable == spec;
        Ok(object::replace_if((&mut object.meta, &mut object.spec), meta, spec, is_same))
    }

    /// Deletes its Jobs.
    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: ScaledJobId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let owner = JobOwner::ScaledJob(id);
        let jobs = store.index.jobs_by_owner.remove(&owner).unwrap_or_default();
        jobs.into_iter().try_for_each(|job| object::delete(store, now, job, changes))
    }
}
