//! The steps of one sync: read the scale and the metrics, stabilize, limit, write, and report.

use super::conditions::set_condition;
use super::decision::{
    Decision, Derivation, HpaEvent, MetricsDerivation, ScaleReplicas, ScaleWrite, SelectorProblem,
    SyncError,
};
use super::history::HpaHistory;
use super::inputs::{HpaInputs, HpaView, ObservedScale, ScaleSelector};
use super::limits::{Desired, Limiting, limit, limit_with_behavior};
use super::metric_error::MetricError;
use super::metrics::{MetricsEvaluation, evaluate_metrics};
use super::settings::HpaSettings;
use super::stabilization::{Stabilization, Stabilized, Windows, weigh, weigh_with_behavior};
use cluster::hpa::{HpaSpec, MetricSpec};
use cluster::hpa_status::{
    ConditionDetail, HpaConditionReason as Reason, HpaConditionType, HpaStatus, MetricStatus,
};
use cluster::meta::Name;
use cluster::node::ConditionStatus;
use engine::{SimDuration, SimTime};

/// Reason for writing the minimum regardless of the metrics.
const BELOW_MIN: &str = "Current number of replicas below Spec.MinReplicas";

/// One complete sync of an HPA; the write of its scale has the result given in the inputs.
pub fn reconcile(inputs: &HpaInputs<'_>, history: &mut HpaHistory, now: SimTime) -> Decision {
    decide(inputs, history, now).conclude(inputs.hpa, inputs.scale_write, history)
}

/// A sync up to the write of the scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    decision: Decision,
}

/// A sync up to the write of the scale. The recommendation is remembered by then.
pub fn decide(inputs: &HpaInputs<'_>, history: &mut HpaHistory, now: SimTime) -> Plan {
    let hpa = inputs.hpa;
    let mut decision = Decision {
        time: now,
        scale: None,
        min_replicas: hpa.spec.min_replicas,
        max_replicas: hpa.spec.max_replicas,
        tolerances: hpa.settings.tolerances(hpa.spec.behavior.as_ref()),
        course: Derivation::ScaleUnreadable,
        scale_write: None,
        status: HpaStatus {
            conditions: hpa.status.conditions.clone(),
            current_metrics: Vec::new(),
            ..*hpa.status
        },
        is_status_changed: false,
        events: Vec::new(),
        error: None,
    };
    match inputs.scale {
        Ok(scale) => decide_with_scale(&mut decision, inputs, scale, history),
        Err(error) => {
            decision.status.current_metrics.clone_from(&hpa.status.current_metrics);
            decision.warn(Reason::FailedGetScale.as_str(), error.to_string());
            decision.set(HpaConditionType::AbleToScale, false, Reason::FailedGetScale, error);
            decision.error = Some(SyncError::GetScaleFailed);
        }
    }
    Plan { decision }
}

fn decide_with_scale(
    decision: &mut Decision,
    inputs: &HpaInputs<'_>,
    scale: ObservedScale<'_>,
    history: &mut HpaHistory,
) {
    let HpaView { spec, settings, .. } = inputs.hpa;
    let current = scale.spec_replicas;
    decision.scale = Some(ScaleReplicas { spec: current, status: scale.status_replicas });
    decision.set(HpaConditionType::AbleToScale, true, Reason::SucceededGetScale, ());
    history.record_initial_recommendation(current, decision.time);
    decision.status.current_replicas = current;

    let gate = settings.feature_gates.hpa_scale_to_zero;
    if !gate {
        let conditions = &mut decision.status.conditions;
        conditions.retain(|condition| condition.kind != HpaConditionType::ScaledToZero);
    }
    let scaled_to_zero = decision.status.condition(HpaConditionType::ScaledToZero);
    let scaled_to_zero = scaled_to_zero.is_some_and(|c| c.status == ConditionStatus::True);
    let wakes_up = scaled_to_zero
        && (spec.min_replicas != 0 || spec.metrics.iter().any(MetricSpec::works_without_pods));

    if current == 0 && !wakes_up {
        decision.course = Derivation::Disabled;
        decision.set(HpaConditionType::ScalingActive, false, Reason::ScalingDisabled, ());
    } else if current > spec.max_replicas {
        decision.course = Derivation::AboveMax;
        let reason = "Current number of replicas above Spec.MaxReplicas";
        decision.plan_write(spec.max_replicas, reason.into());
    } else if current != 0 && current < spec.min_replicas {
        decision.course = Derivation::BelowMin;
        decision.plan_write(spec.min_replicas, BELOW_MIN.into());
    } else {
        decide_by_metrics(decision, inputs, scale, history);
    }
}

fn decide_by_metrics(
    decision: &mut Decision,
    inputs: &HpaInputs<'_>,
    scale: ObservedScale<'_>,
    history: &mut HpaHistory,
) {
    if let Some(problem) = decision.reject_selector(scale.selector) {
        decision.course = Derivation::SelectorUnusable;
        decision.error = Some(SyncError::SelectorUnusable(problem));
        return;
    }
    let metrics = evaluate_metrics(inputs, scale, decision.time);
    decision.show_metrics(&metrics);
    if metrics.is_unusable {
        decision.fail_metrics(&metrics);
        decision.course = Derivation::MetricsFailed(metrics);
        return;
    }
    decision.error = metrics.first_error().cloned().map(SyncError::PartialMetricsFailure);
    let winner = metrics.winner_description();
    decision.set(HpaConditionType::ScalingActive, true, Reason::ValidMetricFound, &winner);

    let current = scale.spec_replicas;
    let course = normalize(decision, inputs.hpa, current, metrics, history);
    if course.replicas != current {
        let raw = course.stabilization.recommendation;
        let is_raised = course.replicas != course.limiting.replicas;
        let reason = match raw.cmp(&current) {
            std::cmp::Ordering::Greater => format!("{winner} above target"),
            std::cmp::Ordering::Less => "All metrics below target".to_owned(),
            std::cmp::Ordering::Equal if is_raised => BELOW_MIN.to_owned(),
            // Older recommendations alone moved the count.
            std::cmp::Ordering::Equal => String::new(),
        };
        decision.plan_write(course.replicas, reason);
    }
    decision.course = Derivation::Metrics(Box::new(course));
}

/// From the raw number to the final one (`normalizeDesiredReplicas`,
/// `normalizeDesiredReplicasWithBehaviors`).
fn normalize(
    decision: &mut Decision,
    hpa: HpaView<'_>,
    current: i32,
    metrics: MetricsEvaluation,
    history: &mut HpaHistory,
) -> MetricsDerivation {
    let now = decision.time;
    let HpaView { spec, settings, .. } = hpa;
    let raw = metrics.replicas.max(0);
    let stabilization = weighed(spec, settings, (current, raw), history, now).settle(history, now);
    decision.set(HpaConditionType::AbleToScale, true, stabilization.reason, ());
    let stabilized = stabilization.stabilized;
    let limiting = limited(spec, settings, (current, stabilized), history, now);
    let is_limited = limiting.replicas != stabilized;
    decision.set(HpaConditionType::ScalingLimited, is_limited, limiting.reason, ());
    let mut replicas = limiting.replicas;
    if current == 0 {
        replicas = replicas.max(spec.min_replicas);
    }
    MetricsDerivation { metrics, stabilization, limiting, replicas }
}

/// Applies recent recommendations to a new one.
fn weighed(
    spec: &HpaSpec,
    settings: &HpaSettings,
    (current, recommendation): (i32, i32),
    history: &HpaHistory,
    now: SimTime,
) -> Stabilized {
    let flag_window = settings.downscale_stabilization;
    match &spec.behavior {
        None => weigh(history, recommendation, flag_window, now),
        Some(behavior) => {
            let windows = Windows {
                up: behavior.scale_up.stabilization_window.unwrap_or(SimDuration::ZERO),
                // The flag is stored in a field of whole seconds (`maybeInitScaleDownStabilizationWindow`).
                down: behavior
                    .scale_down
                    .stabilization_window
                    .unwrap_or_else(|| SimDuration::from_secs(flag_window.as_secs())),
            };
            weigh_with_behavior(history, recommendation, current, windows, now)
        }
    }
}

/// Applies rate limits and bounds to the stabilized number.
fn limited(
    spec: &HpaSpec,
    settings: &HpaSettings,
    (current, stabilized): (i32, i32),
    history: &HpaHistory,
    now: SimTime,
) -> Limiting {
    let desired = Desired { current, stabilized, min: spec.min_replicas, max: spec.max_replicas };
    match &spec.behavior {
        None => limit(desired, settings.legacy_scale_up_limit_factor),
        Some(behavior) => limit_with_behavior(desired, behavior, history, now),
    }
}

impl Plan {
    /// The count to be written to the scale, if it changes.
    pub fn scale_write(&self) -> Option<i32> {
        self.decision.scale_write.as_ref().map(|write| write.replicas)
    }

    /// The rest of the sync, once the write of the scale is answered (which counts for nothing if
    /// none was planned).
    pub(crate) fn conclude(
        self,
        hpa: HpaView<'_>,
        scale_write: Result<(), &Name>,
        history: &mut HpaHistory,
    ) -> Decision {
        let mut decision = self.decision;
        if let Some(ScaleReplicas { spec: current, .. }) = decision.scale {
            match (decision.scale_write.take(), scale_write) {
                (Some(write), Ok(())) => {
                    let now = decision.time;
                    let behavior = hpa.spec.behavior.as_ref();
                    history.record_scale_event(behavior, current, write.replicas, now);
                    decision.record_rescaled(hpa, current, write);
                }
                (Some(write), Err(error)) => decision.record_refused(write, error),
                (None, _) if decision.keeps_desired() => {}
                (None, _) => decision.status.desired_replicas = current,
            }
        }
        decision.is_status_changed = decision.status != *hpa.status;
        decision
    }
}

impl Decision {
    /// Repeats a quiet decision at a later time on the same inputs, with windows and limits as of then. Returns
    /// false, without changing anything, if the result would differ.
    pub fn repeat(
        &mut self,
        spec: &HpaSpec,
        settings: &HpaSettings,
        history: &mut HpaHistory,
        now: SimTime,
    ) -> bool {
        let (Derivation::Metrics(course), Some(scale)) = (&mut self.course, self.scale) else {
            return false;
        };
        let (current, before) = (scale.spec, &course.stabilization);
        let numbers = (current, before.recommendation);
        let weighed = weighed(spec, settings, numbers, history, now);
        if (weighed.stabilized, weighed.reason) != (before.stabilized, before.reason) {
            return false;
        }
        let limiting = limited(spec, settings, (current, weighed.stabilized), history, now);
        let before = &course.limiting;
        if (limiting.replicas, limiting.reason) != (before.replicas, before.reason) {
            return false;
        }
        course.stabilization = weighed.settle(history, now);
        course.limiting = limiting;
        self.time = now;
        true
    }

    /// Records the recommendation again, as [`Self::repeat`] also does.
    pub(crate) fn recommend_again(&self, history: &mut HpaHistory, now: SimTime) {
        if let Derivation::Metrics(course) = &self.course {
            course.stabilization.remember(history, now);
        }
    }

    /// True if [`Self::repeat`] yields the same result at every later sync on the same inputs, however much time
    /// passes: no older recommendation and no earlier scale event affects it any more.
    pub fn lasts(&self, spec: &HpaSpec, history: &HpaHistory) -> bool {
        let Derivation::Metrics(course) = &self.course else { return false };
        let Stabilization { recommendation, stabilized, up_window, down_window, .. } =
            course.stabilization;
        let cutoff = self.time - up_window.max(down_window);
        let mut known = history.recommendations.iter().flatten();
        stabilized == recommendation
            && known.all(|one| one.timestamp < cutoff || one.replicas == recommendation)
            && !history.limits_scaling(spec.behavior.as_ref(), self.time)
    }

    fn set(
        &mut self,
        kind: HpaConditionType,
        holds: bool,
        reason: Reason,
        detail: impl Into<ConditionDetail>,
    ) {
        let why = (reason, detail.into());
        set_condition(&mut self.status.conditions, kind, holds, why, self.time);
    }

    fn warn(&mut self, reason: &'static str, message: String) {
        self.events.push(HpaEvent { is_warning: true, reason, message });
    }

    fn plan_write(&mut self, replicas: i32, reason: String) {
        self.scale_write = Some(ScaleWrite { replicas, reason, error: None });
    }

    /// A sync without a number leaves `desiredReplicas` as it was.
    fn keeps_desired(&self) -> bool {
        matches!(self.course, Derivation::SelectorUnusable | Derivation::MetricsFailed(_))
    }

    /// `validateAndParseSelector`: returns the problem, if any.
    fn reject_selector(&mut self, selector: ScaleSelector<'_>) -> Option<SelectorProblem> {
        let (problem, event, reason, message, condition) = match selector {
            ScaleSelector::Unique => return None,
            ScaleSelector::Missing => (
                SelectorProblem::Missing,
                "SelectorRequired",
                Reason::InvalidSelector,
                Name::from("selector is required"),
                Name::from("the HPA target's scale is missing a selector"),
            ),
            ScaleSelector::Invalid(error) => {
                let message = Name::from(format!(
                    "couldn't convert selector into a corresponding internal selector object: {error}"
                ));
                let (problem, reason) = (SelectorProblem::Invalid, Reason::InvalidSelector);
                (problem, reason.as_str(), reason, message.clone(), message)
            }
            ScaleSelector::Ambiguous(message) => {
                let message = message.clone();
                let (problem, reason) = (SelectorProblem::Ambiguous, Reason::AmbiguousSelector);
                (problem, reason.as_str(), reason, message.clone(), message)
            }
        };
        self.warn(event, message.to_string());
        self.set(HpaConditionType::ScalingActive, false, reason, &condition);
        self.warn("FailedComputeMetricsReplicas", message.to_string());
        Some(problem)
    }

    /// Puts the measured values into the status, and an event for each metric that failed.
    fn show_metrics(&mut self, metrics: &MetricsEvaluation) {
        let statuses = metrics.metrics.iter().map(|metric| {
            let proposal = metric.outcome.as_ref().ok()?;
            let source = metric.spec.source.clone();
            Some(MetricStatus { source, current: proposal.current })
        });
        self.status.current_metrics = statuses.collect();
        for metric in &metrics.metrics {
            if let Err(error) = &metric.outcome {
                let reason = MetricError::reason(&metric.spec.source);
                self.warn(reason.as_str(), error.message.to_string());
            }
        }
    }

    fn fail_metrics(&mut self, metrics: &MetricsEvaluation) {
        let Some(failed) = metrics.first_failed.map(|index| &metrics.metrics[index]) else {
            return;
        };
        let Err(error) = &failed.outcome else { return };
        let source = &failed.spec.source;
        let reason = MetricError::reason(source);
        self.set(HpaConditionType::ScalingActive, false, reason, &error.message);
        let invalid = metrics.metrics.iter().filter(|metric| metric.outcome.is_err()).count();
        let message = format!(
            "invalid metrics ({invalid} invalid out of {}), first error is: {}",
            metrics.metrics.len(),
            error.wrapped(&failed.spec)
        );
        self.warn("FailedComputeMetricsReplicas", message);
        self.error = Some(SyncError::MetricsFailed(error.clone()));
    }

    fn record_rescaled(&mut self, hpa: HpaView<'_>, current: i32, write: ScaleWrite) {
        let HpaView { spec, settings, .. } = hpa;
        let replicas = write.replicas;
        self.set(HpaConditionType::AbleToScale, true, Reason::SucceededRescale, replicas);
        if settings.feature_gates.hpa_scale_to_zero {
            let to_zero = current > 0
                && replicas == 0
                && spec.min_replicas == 0
                && spec.metrics.iter().any(MetricSpec::works_without_pods);
            let reason = if to_zero { Reason::ScaledToZero } else { Reason::NotScaledToZero };
            self.set(HpaConditionType::ScaledToZero, to_zero, reason, ());
        }
        let message = format!("New size: {replicas}; reason: {}", write.reason);
        self.events.push(HpaEvent { is_warning: false, reason: "SuccessfulRescale", message });
        self.status.desired_replicas = replicas;
        self.status.last_scale_time = Some(self.time.floor_to_second());
        self.scale_write = Some(write);
    }

    fn record_refused(&mut self, write: ScaleWrite, error: &Name) {
        let ScaleWrite { replicas, reason, .. } = &write;
        let message = format!("New size: {replicas}; reason: {reason}; error: {error}");
        self.warn("FailedRescale", message);
        self.set(HpaConditionType::AbleToScale, false, Reason::FailedUpdateScale, error);
        self.error = Some(SyncError::RescaleFailed);
        self.scale_write = Some(ScaleWrite { error: Some(error.clone()), ..write });
    }
}
