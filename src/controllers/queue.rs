//! The work queues of the control loops, modeled on client-go: keys, back-off, and delayed requeues.

use cluster::Change;
use cluster::claim::ClaimId;
use cluster::cron_job::CronJobId;
use cluster::daemon_set::DaemonSetId;
use cluster::deployment::DeploymentId;
use cluster::hpa_object::HpaId;
use cluster::job::JobId;
use cluster::kueue::ClusterQueueId;
use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::pod_autoscaler::PodAutoscalerId;
use cluster::policy::PodDisruptionBudgetId;
use cluster::replica_set::ReplicaSetId;
use cluster::rollout::RolloutId;
use cluster::scaled_job::ScaledJobId;
use cluster::scaled_object::ScaledObjectId;
use cluster::service::ServiceId;
use cluster::stateful_set::StatefulSetId;
use cluster::vpa::VpaId;
use engine::{SimDuration, SimTime};

/// The work-queue key of a control loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A Deployment.
    Deployment(DeploymentId),
    /// A ReplicaSet.
    ReplicaSet(ReplicaSetId),
    /// A StatefulSet.
    StatefulSet(StatefulSetId),
    /// A DaemonSet.
    DaemonSet(DaemonSetId),
    /// A Job.
    Job(JobId),
    /// A CronJob.
    CronJob(CronJobId),
    /// An HPA.
    Hpa(HpaId),
    /// A ScaledObject of KEDA.
    ScaledObject(ScaledObjectId),
    /// A ScaledJob of KEDA.
    ScaledJob(ScaledJobId),
    /// A ClusterQueue of Kueue.
    ClusterQueue(ClusterQueueId),
    /// A PodAutoscaler of Knative.
    PodAutoscaler(PodAutoscalerId),
    /// A Rollout.
    Rollout(RolloutId),
    /// A VerticalPodAutoscaler.
    Vpa(VpaId),
    /// A node.
    Node(NodeId),
    /// A pod.
    Pod(PodId),
    /// A Service.
    Service(ServiceId),
    /// A PersistentVolumeClaim.
    Claim(ClaimId),
    /// A PodDisruptionBudget.
    PodDisruptionBudget(PodDisruptionBudgetId),
    /// The single key of a periodic loop; the number distinguishes several loops.
    Pass(u8),
}

/// Settings of a control loop's work queue. The default is that of most controllers.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueSettings {
    /// Delays between tries of a key that fails, as the queue's rate limiter sets them.
    pub backoff: Backoff,
    /// Delay between a change and the reconcile of the keys it enqueues, so that several changes are batched; absent
    /// = no delay.
    pub wake_delay: Option<fn(&Change) -> SimDuration>,
    /// Keys enqueued when the control plane starts; periodic controllers begin here.
    pub starts_with: &'static [Key],
}

/// Requeue requested by a control loop for its own key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requeue {
    /// When something changes.
    #[default]
    No,
    /// After this long, whatever happens.
    After(SimDuration),
    /// At this instant.
    At(SimTime),
    /// At this instant, in place of earlier answers: a loop that begins anew with each wake.
    OnlyAt(SimTime),
    /// After the back-off of a key that failed once more; every other answer ends the row.
    Backoff,
}

/// An exponential back-off (client-go's `ItemExponentialFailureRateLimiter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub initial: SimDuration,
    /// The longest.
    pub max: SimDuration,
}

impl Default for Backoff {
    /// `DefaultControllerRateLimiter`: 5 ms doubling up to 1000 s.
    fn default() -> Self {
        Self { initial: SimDuration::from_millis(5), max: SimDuration::from_secs(1000) }
    }
}

impl Backoff {
    /// The delay when the key has failed `failures` times before this one.
    pub fn delay_after(self, failures: u32) -> SimDuration {
        let factor = 1_i64.checked_shl(failures.min(62)).unwrap_or(i64::MAX);
        (self.initial * factor).min(self.max)
    }
}
