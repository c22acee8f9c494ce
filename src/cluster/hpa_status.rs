//! The status of a HorizontalPodAutoscaler: replicas, measured values, conditions. Computed by `controllers::hpa`.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::hpa::MetricSource;
use super::meta::Name;
use super::node::ConditionStatus;
use engine::SimTime;

/// `HorizontalPodAutoscalerStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HpaStatus {
    /// Time of the last successful scaling, truncated to whole seconds.
    #[serde(rename = "last_scale_time_seconds")]
    pub last_scale_time: Option<SimTime>,
    /// `spec.replicas` of the scale at the controller's last sync.
    pub current_replicas: i32,
    /// Replicas last requested by the controller.
    pub desired_replicas: i32,
    /// Measured values in the order of the spec; `None` for a failed metric.
    pub current_metrics: Vec<Option<MetricStatus>>,
    /// Conditions in the order in which they were first set.
    pub conditions: Vec<HpaCondition>,
}

/// The measured value of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricStatus {
    /// The metric.
    pub source: Arc<MetricSource>,
    /// Current value.
    pub current: MetricValue,
}

/// A measured value, in the unit of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricValue {
    /// For a utilization target.
    Utilization {
        /// Percent of the request.
        percent: i32,
        /// Mean per pod, in thousandths of a unit.
        average_milli: i64,
    },
    /// Mean per pod, in thousandths of a unit.
    AverageValueMilli(i64),
    /// For all pods together, in thousandths of a unit.
    ValueMilli(i64),
}

/// A condition of an HPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpaCondition {
    /// `type` of the condition.
    pub kind: HpaConditionType,
    /// Status of the condition.
    pub status: ConditionStatus,
    /// Reason of the condition.
    pub reason: HpaConditionReason,
    /// Variable part of the message.
    pub detail: ConditionDetail,
    /// Time of the last change of `status`, truncated to whole seconds.
    pub last_transition_time: SimTime,
}

/// The variable part of a condition's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionDetail {
    /// None: the message depends only on the reason.
    None,
    /// A number of replicas.
    Replicas(i32),
    /// A metric name, or a quoted error.
    Text(Name),
}

/// Type of an HPA's condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HpaConditionType {
    /// The scale can be read and written, and scaling is not held back.
    AbleToScale,
    /// The metrics yield a number of replicas.
    ScalingActive,
    /// A limit constrains the number of replicas.
    ScalingLimited,
    /// This HPA scaled the target to zero.
    ScaledToZero,
}

macro_rules! condition_reasons {
    ($($reason:ident => $message:literal,)*) => {
        /// Reason of an HPA's condition, with the message of `pkg/controller/podautoscaler/horizontal.go`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum HpaConditionReason {
            $(#[doc = concat!("The message is \"", $message, "\" and the detail.")] $reason,)*
        }

        impl HpaConditionReason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$reason),*];

            /// The spelling used by the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$reason => stringify!($reason),)* }
            }

            /// The message without the part added by [`ConditionDetail`].
            const fn message(self) -> &'static str {
                match self { $(Self::$reason => $message,)* }
            }
        }
    };
}

condition_reasons! {
    SucceededGetScale => "the HPA controller was able to get the target's current scale",
    FailedGetScale => "the HPA controller was unable to get the target's current scale: ",
    ReadyForNewScale => "recommended size matches current size",
    ScaleDownStabilized => "recent recommendations were higher than current one, applying the highest recent recommendation",
    ScaleUpStabilized => "recent recommendations were lower than current one, applying the lowest recent recommendation",
    SucceededRescale => "the HPA controller was able to update the target scale to ",
    FailedUpdateScale => "the HPA controller was unable to update the target scale: ",
    ValidMetricFound => "the HPA was able to successfully calculate a replica count from ",
    ScalingDisabled => "scaling is disabled since the replica count of the target is zero",
    InvalidSelector => "",
    AmbiguousSelector => "",
    InvalidMetricSourceType => "the HPA was unable to compute the replica count: ",
    FailedGetResourceMetric => "the HPA was unable to compute the replica count: ",
    FailedGetContainerResourceMetric => "the HPA was unable to compute the replica count: ",
    FailedGetPodsMetric => "the HPA was unable to compute the replica count: ",
    FailedGetObjectMetric => "the HPA was unable to compute the replica count: ",
    FailedGetExternalMetric => "the HPA was unable to compute the replica count: ",
    DesiredWithinRange => "the desired count is within the acceptable range",
    ScaleUpLimit => "the desired replica count is increasing faster than the maximum scale rate",
    ScaleDownLimit => "the desired replica count is decreasing faster than the maximum scale rate",
    TooManyReplicas => "the desired replica count is more than the maximum replica count",
    TooFewReplicas => "the desired replica count is less than the minimum replica count",
    ScaledToZero => "the HPA controller scaled the workload to zero",
    NotScaledToZero => "the HPA controller did not scale the workload to zero",
}

impl HpaStatus {
    /// The condition of this type, if ever set.
    pub fn condition(&self, kind: HpaConditionType) -> Option<&HpaCondition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}

impl HpaCondition {
    /// The message in the controller's words.
    pub fn message(&self) -> String {
        format!("{}{}", self.reason.message(), self.detail)
    }
}

impl HpaConditionType {
    /// The spelling used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AbleToScale => "AbleToScale",
            Self::ScalingActive => "ScalingActive",
            Self::ScalingLimited => "ScalingLimited",
            Self::ScaledToZero => "ScaledToZero",
        }
    }
}

impl From<()> for ConditionDetail {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<i32> for ConditionDetail {
    fn from(replicas: i32) -> Self {
        Self::Replicas(replicas)
    }
}

impl From<&Name> for ConditionDetail {
    fn from(text: &Name) -> Self {
        Self::Text(text.clone())
    }
}

impl fmt::Display for ConditionDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Replicas(replicas) => replicas.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl Serialize for HpaCondition {
    /// In the API's form, with times in seconds of the run.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("HpaCondition", 5)?;
        fields.serialize_field("type", self.kind.as_str())?;
        fields.serialize_field("status", self.status.as_str())?;
        fields.serialize_field("reason", self.reason.as_str())?;
        fields.serialize_field("message", &self.message())?;
        fields.serialize_field("last_transition_time_seconds", &self.last_transition_time)?;
        fields.end()
    }
}

impl Serialize for MetricStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("MetricStatus", 3)?;
        fields.serialize_field("type", self.source.type_name())?;
        fields.serialize_field("name", self.source.name())?;
        fields.serialize_field("current", &self.current)?;
        fields.end()
    }
}
