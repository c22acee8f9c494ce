//! Knative's PodAutoscaler: scaling of a revision by its requests, and the activator's place in their path.

use super::action::Refused;
use super::change::Change;
use super::kind::Kind;
use super::meta::{Name, ObjectMeta};
use super::node::ConditionStatus;
use super::object::{self, Object, Stored};
use super::store::Store;
use engine::{Id, SimDuration, SimTime};

/// Key of a [`PodAutoscaler`] in the store.
pub type PodAutoscalerId = Id<PodAutoscaler>;

/// A PodAutoscaler of `autoscaling.internal.knative.dev/v1alpha1`, with the ServerlessService that it owns.
#[derive(Clone, Debug)]
pub struct PodAutoscaler {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// Its spec, with the settings of its annotations and of `config-autoscaler`.
    pub spec: PodAutoscalerSpec,
    /// The status last written by Knative.
    pub status: PodAutoscalerStatus,
    /// The last statistics that activators and queue-proxies sent to the autoscaler.
    pub report: Option<RevisionReport>,
}

/// Statistics of a revision's requests over the last second, from all activators and queue-proxies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RevisionReport {
    /// Time of sending.
    pub at: SimTime,
    /// Mean number of requests in progress, including those in the activator.
    pub concurrency: f64,
    /// Requests that arrived.
    pub requests: f64,
}

/// The metric by which a revision is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScalingMetric {
    /// Requests in progress.
    #[default]
    Concurrency,
    /// Requests per second.
    Rps,
}

/// Averaging of past values of the metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// Equal weights for all seconds of a window.
    #[default]
    Linear,
    /// Higher weights for later seconds.
    WeightedExponential,
}

/// Spec of a PodAutoscaler, with annotations and cluster-wide settings resolved (`MakeDecider`, `MakeMetric`).
#[derive(Clone, Debug, PartialEq)]
pub struct PodAutoscalerSpec {
    /// The Deployment of the revision.
    pub scale_target: Name,
    /// The Service that receives its requests.
    pub service: Name,
    /// Maximum number of requests that a pod processes at once; 0 = no limit.
    pub container_concurrency: u32,
    /// The metric.
    pub metric: ScalingMetric,
    /// Averaging of the metric.
    pub aggregation: Aggregation,
    /// Target value of the metric per pod.
    pub target: f64,
    /// Maximum value of the metric that a pod can handle.
    pub total: f64,
    /// Concurrent requests that the pods must be able to absorb without queueing; -1 = the activator stays in the path.
    pub target_burst_capacity: f64,
    /// Ratio of desired to ready pods, over the panic window, at which panic mode begins.
    pub panic_threshold: f64,
    /// Window of the metric in stable mode.
    pub stable_window: SimDuration,
    /// Window of the metric in panic mode.
    pub panic_window: SimDuration,
    /// Time for which a smaller number must hold before it is applied.
    pub scale_down_delay: SimDuration,
    /// Minimum number of pods.
    pub min_scale: i32,
    /// Maximum number of pods; 0 = no limit.
    pub max_scale: i32,
    /// Initial number of pods of a new revision.
    pub initial_scale: i32,
    /// Minimum number of pods above zero.
    pub activation_scale: i32,
    /// Maximum ratio of desired to ready pods in one decision.
    pub max_scale_up_rate: f64,
    /// Maximum ratio of ready to desired pods in one decision.
    pub max_scale_down_rate: f64,
    /// Whether it may be scaled to zero.
    pub scales_to_zero: bool,
    /// Time for the activator to enter the path before the last pod is removed.
    pub grace_period: SimDuration,
    /// Minimum time for which the last pod is kept after the decision for zero.
    pub pod_retention: SimDuration,
    /// Time after which an activation without ready pods has failed.
    pub activation_timeout: SimDuration,
}

/// Target of a revision's requests (`spec.mode` of its ServerlessService).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerlessMode {
    /// The activator, which passes them on to pods.
    #[default]
    Proxy,
    /// The pods, directly.
    Serve,
}

/// Status of a PodAutoscaler and its ServerlessService.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodAutoscalerStatus {
    /// `desiredScale`; -1 until there is a decision.
    pub desired_scale: i32,
    /// `actualScale`: ready pods.
    pub actual_scale: i32,
    /// Condition Active: True = serving, Unknown = pods are starting, False = no requests.
    pub active: ConditionStatus,
    /// Last transition of the condition.
    pub active_since: SimTime,
    /// Condition ScaleTargetInitialized: the initial scale was reached once.
    pub is_initialized: bool,
    /// Mode of the ServerlessService.
    pub mode: ServerlessMode,
    /// Last change of the mode.
    pub mode_since: SimTime,
}

impl Default for PodAutoscalerStatus {
    fn default() -> Self {
        Self {
            desired_scale: -1,
            actual_scale: 0,
            active: ConditionStatus::Unknown,
            active_since: SimTime::ZERO,
            is_initialized: false,
            mode: ServerlessMode::Proxy,
            mode_since: SimTime::ZERO,
        }
    }
}

impl PodAutoscalerStatus {
    /// Whether a first request at the activator is needed to start a pod.
    pub const fn is_dormant(&self) -> bool {
        self.desired_scale == 0
    }
}

impl Object for PodAutoscaler {
    const KIND: Kind = Kind::PodAutoscaler;
    type Spec = PodAutoscalerSpec;
    type Status = PodAutoscalerStatus;

    object::accessors!(PodAutoscalerStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: PodAutoscalerSpec) -> Self {
        let since = meta.created;
        let status = PodAutoscalerStatus {
            active_since: since,
            mode_since: since,
            ..PodAutoscalerStatus::default()
        };
        Self { meta, spec, status, report: None }
    }

    fn update(
        store: &mut Store,
        id: PodAutoscalerId,
        meta: ObjectMeta,
        spec: PodAutoscalerSpec,
    ) -> Result<bool, Refused> {
        let object = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        // The rest is of annotations.
        let is_same = object.spec.scale_target == spec.scale_target
            && object.spec.container_concurrency == spec.container_concurrency;
        Ok(object::replace_if((&mut object.meta, &mut object.spec), meta, spec, is_same))
    }
}

/// Keeps the statistics of some revisions for their autoscaler.
pub(super) fn report(
    store: &mut Store,
    reports: &[(PodAutoscalerId, RevisionReport)],
    changes: &mut Vec<Change>,
) {
    for (id, report) in reports {
        if let Some(object) = PodAutoscaler::collection_mut(store).table.get_mut(*id) {
            object.report = Some(*report);
            changes.push(Change::Status(PodAutoscaler::object_id(*id)));
        }
    }
}
