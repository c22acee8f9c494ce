//! Classifies pods as counted or not counted for a metric, with the reason (`groupPods` in
//! `pkg/controller/podautoscaler/replica_calculator.go`).

use serde::Serialize;

use super::settings::HpaSettings;
use cluster::node::ConditionStatus;
use cluster::pod::{PodCondition, PodPhase};
use engine::{SimDuration, SimTime};

/// One or more identical pods, as seen by the HPA controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// Number of pods identical in all of these fields, including their samples.
    pub count: u32,
    /// Index of the template with the pod's requests.
    pub template: u32,
    /// `status.phase`.
    pub phase: PodPhase,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// The Ready condition, if the kubelet has written one.
    pub ready: Option<PodCondition>,
    /// `status.startTime`.
    pub start_time: Option<SimTime>,
}

/// The value of a metric for one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodMetric {
    /// Thousandths of a unit, summed over the containers.
    pub value_milli: i64,
    /// When it was measured.
    pub timestamp: SimTime,
    /// Its averaging window.
    pub window: SimDuration,
}

/// Role of a pod in the calculation of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PodClass {
    /// Its sample counts.
    Counted,
    /// Not started or not ready: counts as idle, and only when scaling up.
    Unready,
    /// Without a sample: counts as idle when scaling up, as fully used when scaling down.
    Missing,
    /// Failed or terminating: not counted.
    Ignored,
}

impl ObservedPod {
    /// Whether its Ready condition is True.
    pub fn is_ready(&self) -> bool {
        self.ready.is_some_and(|ready| ready.status == ConditionStatus::True)
    }
}

/// Classifies one pod. Readiness matters only for CPU: a starting process burns CPU that says nothing about load.
pub fn classify_pod(
    pod: &ObservedPod,
    metric: Option<&PodMetric>,
    is_cpu: bool,
    settings: &HpaSettings,
    now: SimTime,
) -> PodClass {
    if pod.is_terminating || pod.phase == PodPhase::Failed {
        return PodClass::Ignored;
    }
    if pod.phase == PodPhase::Pending {
        return PodClass::Unready;
    }
    let Some(metric) = metric else { return PodClass::Missing };
    if is_cpu && is_cpu_sample_unready(pod, metric, settings, now) {
        return PodClass::Unready;
    }
    PodClass::Counted
}

/// Time until which [`classify_pod`] returns the same for a pod with unchanged state and usage as newer samples
/// arrive; `now` if the next sample may change it.
pub(crate) fn class_holds_until(
    pod: &ObservedPod,
    metric: Option<&PodMetric>,
    is_cpu: bool,
    settings: &HpaSettings,
    now: SimTime,
) -> SimTime {
    let is_settled =
        pod.is_terminating || matches!(pod.phase, PodPhase::Failed | PodPhase::Pending);
    let (Some(metric), true, false) = (metric, is_cpu, is_settled) else { return SimTime::MAX };
    let (Some(ready), Some(start_time)) = (pod.ready, pod.start_time) else { return SimTime::MAX };
    let initialized = start_time + settings.cpu_initialization_period;
    if initialized <= now {
        SimTime::MAX
    } else if ready.status == ConditionStatus::False {
        initialized
    } else if metric.timestamp < ready.since + metric.window {
        now
    } else {
        SimTime::MAX
    }
}

fn is_cpu_sample_unready(
    pod: &ObservedPod,
    metric: &PodMetric,
    settings: &HpaSettings,
    now: SimTime,
) -> bool {
    let (Some(ready), Some(start_time)) = (pod.ready, pod.start_time) else { return true };
    let is_unready = ready.status == ConditionStatus::False;
    if start_time + settings.cpu_initialization_period > now {
        // The sample must lie wholly after the change of readiness.
        is_unready || metric.timestamp < ready.since + metric.window
    } else {
        // A pod that was ready once and lost it still counts.
        is_unready && start_time + settings.initial_readiness_delay > ready.since
    }
}
