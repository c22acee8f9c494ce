//! The control loops of kube-controller-manager, one file each. They read a view and ask for
//! actions; they hold no clock, no I/O and no randomness.

pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod hpa;
pub mod job;
pub mod keda;
pub mod node_lifecycle;
pub mod pod_control;
pub mod pod_gc;
pub mod replica_set;
pub mod stateful_set;
pub mod taint_eviction;
pub mod ttl_after_finished;
pub mod vpa;
mod watches;

use std::fmt;

use jiff::Timestamp;

use cluster::cron_job::CronJobId;
use cluster::daemon_set::DaemonSetId;
use cluster::deployment::{DeploymentId, ReplicaSetId};
use cluster::hpa_object::HpaId;
use cluster::job::JobId;
use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::policy::PodDisruptionBudgetId;
use cluster::scaled_object::ScaledObjectId;
use cluster::service::ServiceId;
use cluster::stateful_set::StatefulSetId;
use cluster::vpa::VpaId;
use cluster::{Action, Change, ClusterView, Refused};
use engine::{SimDuration, SimTime};

pub use watches::Watches;

/// A control loop.
///
/// The rule of every decision is a free function of its inputs and `now` in the controller's file;
/// `reconcile` only gathers the inputs and translates the decision into actions.
pub trait Controller: fmt::Debug + Send + Sync {
    /// Its name in the audit trail, as kube-controller-manager calls it (`deployment-controller`).
    fn name(&self) -> &'static str;

    /// What it hears the changes of: no other makes it look at anything.
    fn watches(&self) -> Watches {
        Watches::ALL
    }

    /// Adds the keys that a change makes it look at.
    fn wakes_on(&self, view: ClusterView<'_>, change: Change, wake: &mut Vec<Key>);

    /// What it hears of without the delay of a watch: a controller passes work over while nothing changes that
    /// its last decision rests on.
    fn invalidated_by(&self) -> Watches {
        Watches::NONE
    }

    /// Adds the keys that such a change has it look at once more at the same instant.
    fn invalidates_on(&self, view: ClusterView<'_>, change: Change, invalidated: &mut Vec<Key>) {
        let _ = (view, change, invalidated);
    }

    /// How long a change waits before the controller looks at its keys, so that several are one look.
    fn wake_delay(&self, change: Change) -> SimDuration {
        let _ = change;
        SimDuration::ZERO
    }

    /// Keys to look at when the control plane starts; controllers that run on a timer begin here.
    fn starts_with(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Looks at one object and asks for what is missing.
    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue;

    /// Hears what was refused of its last reconcile's requests; it may ask for more (a status that
    /// says so). Without more to say, it tries again after its back-off.
    fn refused(
        &mut self,
        view: ClusterView<'_>,
        key: Key,
        refusals: &[Refused],
        actions: &mut Actions,
    ) -> Requeue {
        let _ = (view, key, refusals, actions);
        Requeue::Backoff
    }

    /// Delays between tries of a key that fails, as its work queue's rate limiter sets them.
    fn backoff(&self) -> Backoff {
        Backoff::default()
    }

    /// Whether it creates and deletes pods through [`pod_control`], whose Events are then logged.
    fn uses_pod_control(&self) -> bool {
        false
    }

    /// Its last decision about a key up to `now` in words, with the numbers filled in.
    fn explain(&self, key: Key, now: SimTime) -> Option<String> {
        let _ = (key, now);
        None
    }

    /// The same with every number under its name, where the decision has such a form.
    fn explain_as_json(&self, key: Key, now: SimTime) -> Option<serde_json::Value> {
        let _ = (key, now);
        None
    }

    /// The last decision about a key as a row of a table, where there is such a form.
    fn explain_in_a_row(&self, key: Key, now: SimTime) -> Option<Row> {
        let _ = (key, now);
        None
    }

    /// A copy with all that it remembers, for snapshots.
    fn boxed_clone(&self) -> Box<dyn Controller>;
}

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
    /// A VerticalPodAutoscaler.
    Vpa(VpaId),
    /// A node.
    Node(NodeId),
    /// A pod.
    Pod(PodId),
    /// A Service.
    Service(ServiceId),
    /// A PodDisruptionBudget.
    PodDisruptionBudget(PodDisruptionBudgetId),
    /// The one pass of a loop that runs on a timer; the number tells several apart.
    Pass(u8),
}

/// A decision as a row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it was taken.
    pub at: SimTime,
    /// Titles of the columns, and what stands in them.
    pub cells: Vec<(&'static str, String)>,
    /// Whether it changed something.
    pub is_change: bool,
}

/// When a control loop wants to look at a key again on its own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requeue {
    /// When something changes.
    #[default]
    No,
    /// After this long, whatever happens.
    After(SimDuration),
    /// At this instant.
    At(SimTime),
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

/// All controllers, in the order in which they hear of a change.
pub fn all(settings: &ControllerSettings) -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(deployment::DeploymentController::default()),
        Box::new(replica_set::ReplicaSetController),
        Box::new(stateful_set::StatefulSetController),
        Box::new(daemon_set::DaemonSetController::default()),
        Box::new(job::JobController::default()),
        Box::new(ttl_after_finished::TtlAfterFinishedController),
        Box::new(cron_job::CronJobController::new(settings.start)),
        Box::new(endpoints::EndpointSliceController),
        Box::new(disruption::DisruptionController),
        Box::new(node_lifecycle::NodeLifecycleController::default()),
        Box::new(taint_eviction::TaintEvictionController::default()),
        Box::new(pod_gc::PodGcController::default()),
        Box::new(hpa::HpaController::new(settings.hpa.clone())),
        Box::new(keda::KedaController::default()),
        Box::new(vpa::VpaController::new(settings.vpa.clone())),
    ]
}

/// Flags of kube-controller-manager, by controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControllerSettings {
    /// The HPA controller.
    pub hpa: hpa::HpaSettings,
    /// The vertical-pod-autoscaler.
    pub vpa: vpa::VpaSettings,
    /// The calendar instant at which simulated time is zero, for CronJobs; a whole second.
    pub start: Timestamp,
}

/// The requests of one reconcile, in order, in one or more batches.
#[derive(Debug, Default)]
pub struct Actions {
    requests: Vec<Action>,
    /// Where batches end, ascending.
    ends: Vec<usize>,
    /// Keys to look at later.
    requeues: Vec<(Key, SimTime)>,
}

impl Actions {
    /// Adds a request.
    pub fn push(&mut self, action: Action) {
        self.requests.push(action);
    }

    /// Ends a batch: what follows is only tried if nothing up to here was refused.
    pub fn end_batch(&mut self) {
        self.ends.push(self.requests.len());
    }

    /// Has the controller look at another key at an instant; of several instants of a key the
    /// earliest stays.
    pub fn requeue(&mut self, key: Key, at: SimTime) {
        self.requeues.push((key, at));
    }

    /// The keys to look at later; empties the list.
    pub fn take_requeues(&mut self) -> Vec<(Key, SimTime)> {
        std::mem::take(&mut self.requeues)
    }

    /// The requests in order, each with whether it begins a batch.
    pub fn into_requests(self) -> impl Iterator<Item = (Action, bool)> {
        let mut ends = self.ends.into_iter().peekable();
        self.requests.into_iter().enumerate().map(move |(position, action)| {
            let mut begins = false;
            while ends.next_if(|end| *end <= position).is_some() {
                begins = true;
            }
            (action, begins)
        })
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}
