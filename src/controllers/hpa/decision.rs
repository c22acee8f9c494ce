//! One decision of the HPA controller with all its reasons.

use serde::Serialize;

use super::limits::Limiting;
use super::metric_error::MetricError;
use super::metrics::MetricsEvaluation;
use super::replicas::Tolerances;
use super::stabilization::Stabilization;
use cluster::hpa_status::HpaStatus;
use cluster::meta::Name;
use engine::SimTime;

/// The result of one sync of an HPA, with reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// When.
    #[serde(rename = "at_seconds")]
    pub time: SimTime,
    /// Replicas of the scale as it was found; `None` where it could not be read.
    pub scale: Option<ScaleReplicas>,
    /// `minReplicas` of the HPA.
    pub min_replicas: i32,
    /// `maxReplicas` of the HPA.
    pub max_replicas: i32,
    /// The band in which nothing changes.
    pub tolerances: Tolerances,
    /// Derivation of the number.
    pub course: Derivation,
    /// The write of the scale, where the number changed.
    pub scale_write: Option<ScaleWrite>,
    /// The status from now on.
    pub status: HpaStatus,
    /// Whether the status changed, so that it is sent to the API server.
    pub is_status_changed: bool,
    /// Events in their order.
    pub events: Vec<HpaEvent>,
    /// The error that the sync ends with.
    pub error: Option<SyncError>,
}

/// The two replica counts of a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ScaleReplicas {
    /// `spec.replicas`: the current count, as far as the HPA is concerned.
    pub spec: i32,
    /// `status.replicas`: the pods that the workload controller last counted.
    pub status: i32,
}

/// Derivation of a decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Derivation {
    /// The scale could not be read.
    ScaleUnreadable,
    /// The target is at zero, and this HPA did not scale it there.
    Disabled,
    /// The count was set to the maximum at once.
    AboveMax,
    /// The count was set to the minimum at once.
    BelowMin,
    /// The scale's selector is unusable.
    SelectorUnusable,
    /// Too many metrics failed.
    MetricsFailed(MetricsEvaluation),
    /// The metrics gave a number.
    Metrics(Box<MetricsDerivation>),
}

/// From the metrics to the number of replicas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricsDerivation {
    /// Recommendation of the metrics.
    pub metrics: MetricsEvaluation,
    /// Result of stabilization by recent recommendations.
    pub stabilization: Stabilization,
    /// Result of rate limits and bounds.
    pub limiting: Limiting,
    /// The number: that of `limiting`, or the minimum when waking up from zero.
    pub replicas: i32,
}

/// A write of the scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScaleWrite {
    /// The count written.
    pub replicas: i32,
    /// Reason in the event; empty if only stabilization changed the count.
    pub reason: String,
    /// The error that it met.
    pub error: Option<Name>,
}

/// A Kubernetes Event about the HPA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HpaEvent {
    /// Whether its type is `Warning`, else `Normal`.
    pub is_warning: bool,
    /// Reason.
    pub reason: &'static str,
    /// Message.
    pub message: String,
}

/// The error that a sync ends with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncError {
    /// The scale could not be read.
    GetScaleFailed,
    /// The scale's selector is unusable.
    SelectorUnusable(SelectorProblem),
    /// No number came of the metrics; the first error among them.
    MetricsFailed(MetricError),
    /// Some metrics yielded a number; the first error of the others.
    PartialMetricsFailure(MetricError),
    /// The scale could not be written.
    RescaleFailed,
}

/// Problem with the selector of a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectorProblem {
    /// It is empty.
    Missing,
    /// It does not parse.
    Invalid,
    /// Other HPAs select its pods, too.
    Ambiguous,
}

impl Decision {
    /// Recommendation of the metrics before stabilization and limits; `None` if they were not read or failed, in
    /// which case it is not recorded.
    pub fn raw_recommendation(&self) -> Option<i32> {
        match &self.course {
            Derivation::Metrics(course) => Some(course.stabilization.recommendation),
            _ => None,
        }
    }

    /// The evaluated metrics, if they were read.
    pub fn metrics(&self) -> Option<&MetricsEvaluation> {
        match &self.course {
            Derivation::Metrics(course) => Some(&course.metrics),
            Derivation::MetricsFailed(metrics) => Some(metrics),
            _ => None,
        }
    }

    /// Whether it listed the pods of its target's selector.
    pub(crate) fn listed_pods(&self) -> bool {
        let Self { course, error, .. } = self;
        let ambiguous = SyncError::SelectorUnusable(SelectorProblem::Ambiguous);
        match course {
            Derivation::Metrics(_) | Derivation::MetricsFailed(_) => true,
            Derivation::SelectorUnusable => *error == Some(ambiguous),
            Derivation::ScaleUnreadable
            | Derivation::Disabled
            | Derivation::AboveMax
            | Derivation::BelowMin => false,
        }
    }

    /// True if it did nothing, and would do nothing again on the same inputs: nothing is written, and no event is
    /// sent.
    pub fn is_quiet(&self) -> bool {
        matches!(self.course, Derivation::Metrics(_))
            && self.scale_write.is_none()
            && !self.is_status_changed
            && self.events.is_empty()
            && self.error.is_none()
    }

    /// Replicas of the scale after this sync.
    pub fn replicas_after(&self) -> Option<i32> {
        match &self.scale_write {
            Some(write) if write.error.is_none() => Some(write.replicas),
            _ => self.scale.map(|scale| scale.spec),
        }
    }
}
