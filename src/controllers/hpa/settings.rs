//! The controller's flags and feature gates, with the defaults of Kubernetes 1.36.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::replicas::Tolerances;
use cluster::hpa::Behavior;
use engine::{ClientRate, SimDuration};
use units::LoopPhase;

/// `--horizontal-pod-autoscaler-*` flags of kube-controller-manager
/// (`pkg/controller/podautoscaler/config/v1alpha1/defaults.go`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HpaSettings {
    /// From one decision on an HPA to the next.
    #[schemars(extend("x-minimum" = "100ms"))]
    pub sync_period: SimDuration,
    /// When the HPAs of the manifests are applied: each is decided on one `syncPeriod` later, and so on. Not
    /// a flag: in a real cluster it follows from when the HPA, or its controller, came. Default 0s, with all
    /// other objects; `seeded` is anywhere in one period.
    pub sync_phase: LoopPhase,
    /// Maximum deviation from 1 of the ratio of current to target value that causes no change.
    pub tolerance: f64,
    /// Period whose highest recommendation limits a scale-down.
    pub downscale_stabilization: SimDuration,
    /// Time after a pod's start in which its CPU samples are ignored while it is unready.
    pub cpu_initialization_period: SimDuration,
    /// Time after a pod's start in which a change of its readiness counts as the initial one.
    pub initial_readiness_delay: SimDuration,
    /// Feature gates that change decisions.
    pub feature_gates: HpaFeatureGates,
    /// Replicas may grow by this factor per sync where the HPA has no behavior. Not a flag: a
    /// constant of the controller, which recordings of its own unit tests raise.
    #[serde(skip, default = "legacy_scale_up_limit_factor")]
    pub legacy_scale_up_limit_factor: f64,
    /// Rate limit of the controller's reads. Not a flag of the HPA: it follows from the controller manager's client.
    #[serde(skip)]
    pub reads: ClientRate,
    /// Whether a sync on the very inputs of the last one, which did nothing, takes that decision over. Not
    /// a flag, and no decision depends on it: it saves time.
    #[serde(skip, default = "repeats_quiet_syncs")]
    pub repeats_quiet_syncs: bool,
}

/// Feature gates of the HPA controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HpaFeatureGates {
    /// `behavior.scaleUp.tolerance` and `behavior.scaleDown.tolerance` count (beta, on).
    #[serde(rename = "HPAConfigurableTolerance")]
    pub hpa_configurable_tolerance: bool,
    /// An HPA with `minReplicas: 0` wakes up again from zero (alpha, off).
    #[serde(rename = "HPAScaleToZero")]
    pub hpa_scale_to_zero: bool,
    /// Requests at pod level replace the sum over the containers (beta, on).
    #[serde(rename = "PodLevelResources")]
    pub pod_level_resources: bool,
}

const fn legacy_scale_up_limit_factor() -> f64 {
    2.0
}

const fn repeats_quiet_syncs() -> bool {
    true
}

impl Default for HpaSettings {
    fn default() -> Self {
        Self {
            sync_period: SimDuration::from_secs(15),
            sync_phase: LoopPhase::After(SimDuration::ZERO),
            tolerance: 0.1,
            downscale_stabilization: SimDuration::from_secs(300),
            cpu_initialization_period: SimDuration::from_secs(300),
            initial_readiness_delay: SimDuration::from_secs(30),
            feature_gates: HpaFeatureGates::default(),
            legacy_scale_up_limit_factor: legacy_scale_up_limit_factor(),
            reads: ClientRate::default(),
            repeats_quiet_syncs: repeats_quiet_syncs(),
        }
    }
}

impl Default for HpaFeatureGates {
    fn default() -> Self {
        Self {
            hpa_configurable_tolerance: true,
            hpa_scale_to_zero: false,
            pod_level_resources: true,
        }
    }
}

impl HpaSettings {
    /// The band around the target for an HPA: its own where it has one and the gate allows it.
    pub fn tolerances(&self, behavior: Option<&Behavior>) -> Tolerances {
        let own = behavior.filter(|_| self.feature_gates.hpa_configurable_tolerance);
        let up = own.and_then(|behavior| behavior.scale_up.tolerance);
        let down = own.and_then(|behavior| behavior.scale_down.tolerance);
        Tolerances {
            scale_up: up.unwrap_or(self.tolerance),
            scale_down: down.unwrap_or(self.tolerance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_names_only_what_it_changes() {
        let settings: HpaSettings = serde_json::from_str(
            r#"{"syncPeriod": "30s", "featureGates": {"HPAScaleToZero": true}}"#,
        )
        .expect("valid settings");
        assert_eq!(settings.sync_period, SimDuration::from_secs(30));
        assert!(settings.feature_gates.hpa_scale_to_zero);
        assert!(settings.feature_gates.hpa_configurable_tolerance);
        assert_eq!(settings.downscale_stabilization, SimDuration::from_secs(300));
        assert!(serde_json::from_str::<HpaSettings>(r#"{"syncperiod": 1}"#).is_err());
    }
}
