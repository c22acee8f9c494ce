//! The spec of a recorded ScaledObject. As KEDA's webhook has not validated these, they are used as they are,
//! without the checks on manifests.

use serde::Deserialize;

use crate::recording::Mapped;
use cluster::hpa::ObjectReference;
use cluster::scaled_object::{self, FallbackBehavior, Pause, ScaledObjectSpec};
use engine::SimDuration;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    polling_interval: Option<i32>,
    cooldown_period: Option<i32>,
    initial_cooldown_period: Option<i32>,
    idle_replica_count: Option<i32>,
    min_replica_count: Option<i32>,
    max_replica_count: Option<i32>,
    pub(super) fallback: Option<Mapped<Fallback>>,
    pub(super) advanced: Option<Mapped<Advanced>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fallback {
    failure_threshold: i32,
    replicas: i32,
    behavior: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Advanced {
    pub(super) scaling_modifiers: Option<Mapped<ScalingModifiers>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScalingModifiers {
    formula: Option<String>,
    pub(super) target: Option<String>,
    activation_target: Option<String>,
    pub(super) metric_type: Option<String>,
}

impl Spec {
    /// The spec with the pause annotations in `pause`.
    pub(super) fn lower(&self, pause: Pause) -> ScaledObjectSpec {
        let seconds = |given: Option<i32>, default: i32| {
            SimDuration::from_secs(i64::from(given.unwrap_or(default)))
        };
        ScaledObjectSpec {
            scale_target: ObjectReference {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "app".into(),
            },
            polling_interval: seconds(self.polling_interval, 30),
            cooldown_period: seconds(self.cooldown_period, 300),
            initial_cooldown_period: seconds(self.initial_cooldown_period, 0),
            idle_replicas: self.idle_replica_count,
            min_replicas: self.min_replica_count.unwrap_or(0),
            max_replicas: self.max_replica_count.unwrap_or(100),
            triggers: Vec::new(),
            behavior: None,
            hpa_name: "keda-hpa-app".into(),
            fallback: self.fallback.as_deref().map(Fallback::lower),
            pause,
            modifiers: None,
        }
    }

    /// The formula over all triggers, if there is one (`IsUsingModifiers`).
    pub(super) fn modifiers(&self) -> Option<&ScalingModifiers> {
        let modifiers = self.advanced.as_deref()?.scaling_modifiers.as_deref()?;
        let ScalingModifiers { formula, target, activation_target, metric_type } = modifiers;
        let fields = [formula, target, activation_target, metric_type];
        fields.into_iter().flatten().any(|text| !text.is_empty()).then_some(modifiers)
    }

    /// The fallback, if it is valid (`HasValidFallback`).
    pub(super) fn valid_fallback(&self) -> Option<scaled_object::Fallback> {
        let fallback = self.fallback.as_deref()?;
        let is_positive = |text: &str| text.parse().is_ok_and(|target: i64| target > 0);
        let has_target = self
            .modifiers()
            .is_none_or(|modifiers| modifiers.target.as_deref().is_some_and(is_positive));
        (fallback.failure_threshold >= 0 && fallback.replicas >= 0 && has_target)
            .then(|| fallback.lower())
    }
}

impl Fallback {
    fn lower(&self) -> scaled_object::Fallback {
        scaled_object::Fallback {
            failure_threshold: u32::try_from(self.failure_threshold).unwrap_or(0),
            replicas: self.replicas,
            behavior: match self.behavior.as_deref() {
                Some("currentReplicas") => FallbackBehavior::CurrentReplicas,
                Some("currentReplicasIfHigher") => FallbackBehavior::CurrentReplicasIfHigher,
                Some("currentReplicasIfLower") => FallbackBehavior::CurrentReplicasIfLower,
                _ => FallbackBehavior::Static,
            },
        }
    }
}
