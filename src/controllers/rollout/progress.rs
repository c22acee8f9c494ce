//! Conditions and phase of a Rollout, and whether its update makes progress (`utils/conditions`, `utils/rollout`,
//! `calculateRolloutConditions`, Argo Rollouts 1.9.1).

use super::sets::SetState;
use super::steps;
use super::sync::Sync;
use crate::deployment::status::{condition, find_condition, remove_condition, set_condition};
use crate::replica_set::status::REPLICA_FAILURE;
use cluster::Name;
use cluster::analysis::AnalysisPhase;
use cluster::deployment::WorkloadCondition;
use cluster::node::ConditionStatus;
use cluster::rollout::{Rollout, RolloutPhase, RolloutSpec, RolloutStatus, StepAction};
use engine::{SimDuration, SimTime};

/// Condition type: the spec cannot be carried out.
pub(super) const INVALID_SPEC: &str = "InvalidSpec";
const AVAILABLE: &str = "Available";
const COMPLETED: &str = "Completed";
const HEALTHY: &str = "Healthy";
const PAUSED: &str = "Paused";
const PROGRESSING: &str = "Progressing";
/// Reasons of Progressing.
const ABORTED: &str = "RolloutAborted";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const IS_PAUSED: &str = "RolloutPaused";

pub(super) fn set(conditions: &mut Vec<WorkloadCondition>, condition: WorkloadCondition) {
    set_condition(conditions, condition);
}

pub(super) fn remove(conditions: &mut Vec<WorkloadCondition>, kind: &str) {
    remove_condition(conditions, kind);
}

pub(super) fn invalid_spec(message: String, now: SimTime) -> WorkloadCondition {
    condition(INVALID_SPEC, ConditionStatus::True, INVALID_SPEC, message, now)
}

pub(super) fn progressing(
    status: ConditionStatus,
    reason: &'static str,
    message: impl Into<Name>,
    now: SimTime,
) -> WorkloadCondition {
    condition(PROGRESSING, status, reason, message, now)
}

/// Shows a pause, its end, and a new try after an abort (`checkPausedConditions`).
pub(super) fn show_pause(rollout: &Rollout, conditions: &mut Vec<WorkloadCondition>, now: SimTime) {
    let status = &rollout.status;
    let is_paused = rollout.spec.paused || !status.pauses.is_empty();
    let reason = find_condition(conditions, PROGRESSING).map(|one| one.reason);
    let is_abort_shown = reason == Some(ABORTED);
    let unknown = ConditionStatus::Unknown;
    if is_paused != (reason == Some(IS_PAUSED)) && !is_abort_shown && !is_completed(status) {
        let shown = if is_paused {
            progressing(unknown, IS_PAUSED, "Rollout is paused", now)
        } else {
            progressing(unknown, "RolloutResumed", "Rollout is resumed", now)
        };
        set(conditions, shown);
    }
    if is_abort_shown && !status.is_aborted() {
        let retry = progressing(unknown, "RolloutRetry", "Retrying Rollout after abort", now);
        set(conditions, retry);
    }
    let shown = find_condition(conditions, PAUSED).map(|one| one.status);
    if is_paused != (shown == Some(ConditionStatus::True)) && !is_abort_shown {
        let status = if is_paused { ConditionStatus::True } else { ConditionStatus::False };
        set(conditions, condition(PAUSED, status, IS_PAUSED, "Rollout is paused", now));
    }
}

/// `RolloutCompleted`.
fn is_completed(status: &RolloutStatus) -> bool {
    !status.stable_hash.is_empty() && status.is_fully_promoted()
}

/// Whether all desired pods are of the present version, available, in use, and the only ones (`RolloutHealthy`).
fn is_healthy(rollout: &Rollout, next: &RolloutStatus) -> bool {
    let wanted = rollout.spec.replicas;
    let has_strategy_completed = if let Some(blue_green) = rollout.spec.blue_green() {
        next.active_selector == next.current_pod_hash
            && (blue_green.preview_service.is_none()
                || next.preview_selector == next.current_pod_hash)
    } else {
        let steps = rollout.spec.steps().len();
        let all_steps = steps == 0 || next.current_step.is_none_or(|step| step == steps);
        all_steps && is_completed(next) && next.replicas == wanted
    };
    next.updated_replicas == wanted
        && next.available_replicas == wanted
        && rollout.status.observed_generation == rollout.meta.generation
        && has_strategy_completed
}

/// Whether the next status shows progress over the present one (`RolloutProgressing`).
fn is_further(rollout: &Rollout, next: &RolloutStatus) -> bool {
    let before = &rollout.status;
    let by_strategy = if rollout.spec.blue_green().is_some() {
        before.active_selector != next.active_selector
            || before.preview_selector != next.preview_selector
    } else {
        let both = before.current_step.zip(next.current_step);
        before.stable_hash != next.stable_hash
            || both.is_some_and(|(before, next)| before != next)
            || before.steps_digest != next.steps_digest
    };
    next.updated_replicas != before.updated_replicas
        || next.replicas - next.updated_replicas < before.replicas - before.updated_replicas
        || next.ready_replicas > before.ready_replicas
        || next.available_replicas > before.available_replicas
        || by_strategy
}

/// Whether the deadline has passed since the last progress (`RolloutTimedOut`).
fn has_timed_out(spec: &RolloutSpec, next: &RolloutStatus, now: SimTime) -> bool {
    let Some(shown) = find_condition(&next.conditions, PROGRESSING) else { return false };
    match shown.reason {
        ABORTED | IS_PAUSED => false,
        TIMED_OUT => true,
        _ => shown.last_update + deadline(spec) < now,
    }
}

fn deadline(spec: &RolloutSpec) -> SimDuration {
    SimDuration::from_secs(spec.progress_deadline_seconds.into())
}

/// Whether a step without a limit of its time is under way (`isIndefiniteStep`).
fn is_at_indefinite_step(rollout: &Rollout) -> bool {
    let step = steps::current(rollout).map(|(_, step)| step);
    let action = step.map(|step| &step.action);
    matches!(action, Some(StepAction::Analysis(_) | StepAction::Pause(_)))
        || find_condition(&rollout.status.conditions, PAUSED)
            .is_some_and(|one| one.status == ConditionStatus::True)
}

impl Sync<'_> {
    /// Sets all conditions of the next status, and begins an abort when the deadline has passed
    /// (`calculateRolloutConditions`).
    pub(super) fn judge(&mut self, next: &mut RolloutStatus) {
        let (rollout, now) = (self.rollout, self.view.now);
        let is_paused = rollout.spec.paused || !rollout.status.pauses.is_empty();
        let was_shown = find_condition(&next.conditions, HEALTHY).map(|one| one.status);
        let healthy = is_healthy(rollout, next);
        let mut became_unhealthy = false;
        if healthy && !is_paused {
            let message = "Rollout is healthy";
            set(
                &mut next.conditions,
                condition(HEALTHY, ConditionStatus::True, "RolloutHealthy", message, now),
            );
        } else if let Some(shown) = was_shown {
            became_unhealthy = shown != ConditionStatus::False;
            let message = "Rollout is not healthy";
            set(
                &mut next.conditions,
                condition(HEALTHY, ConditionStatus::False, "RolloutHealthy", message, now),
            );
        }
        if self.pauses.is_aborted(rollout) {
            self.show_abort(next);
        } else if healthy {
            let name = self.sets.new_set().map_or_else(String::new, |set| set.name.to_string());
            let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
            let done = progressing(ConditionStatus::True, "NewReplicaSetAvailable", message, now);
            set(&mut next.conditions, done);
        } else if is_further(rollout, next) || became_unhealthy {
            self.show_progress(next, became_unhealthy);
        } else if !is_at_indefinite_step(rollout)
            && !self.waits_for_scale_down()
            && has_timed_out(&rollout.spec, next, now)
        {
            self.show_time_out(next);
        }
        self.show_availability(next);
        self.show_completion(next);
    }

    fn show_abort(&mut self, next: &mut RolloutStatus) {
        let revision = self.sets.new_set().map_or(0, |set| set.revision);
        let mut message = format!("Rollout aborted update to revision {revision}");
        if let Some(why) = self.pauses.abort.as_ref().filter(|why| !why.is_empty()) {
            message = format!("{message}: {why}");
        }
        let shown = progressing(ConditionStatus::False, ABORTED, message.as_str(), self.view.now);
        let is_new = find_condition(&next.conditions, PROGRESSING)
            .is_none_or(|one| (one.status, one.reason) != (shown.status, shown.reason));
        set(&mut next.conditions, shown);
        if is_new {
            self.warn(ABORTED, message);
        }
    }

    fn show_progress(&self, next: &mut RolloutStatus, became_unhealthy: bool) {
        let now = self.view.now;
        let shown = if became_unhealthy && next.is_fully_promoted() {
            let message = "Rollout does not have minimum availability";
            progressing(ConditionStatus::True, "ReplicaSetNotAvailable", message, now)
        } else {
            let name = self.sets.new_set().map_or_else(String::new, |set| set.name.to_string());
            let message = format!("ReplicaSet \"{name}\" is progressing.");
            progressing(ConditionStatus::True, "ReplicaSetUpdated", message, now)
        };
        // Progress restarts the deadline, so the condition is written even if its reason is unchanged.
        let current = find_condition(&next.conditions, PROGRESSING);
        let since = current.filter(|one| one.status == ConditionStatus::True);
        let last_transition = since.map_or(shown.last_transition, |one| one.last_transition);
        remove(&mut next.conditions, PROGRESSING);
        next.conditions.push(WorkloadCondition { last_transition, ..shown });
    }

    fn show_time_out(&mut self, next: &mut RolloutStatus) {
        let name = self.sets.new_set().map_or_else(String::new, |set| set.name.to_string());
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        let shown = progressing(ConditionStatus::False, TIMED_OUT, message.as_str(), self.view.now);
        set(&mut next.conditions, shown);
        if self.rollout.spec.progress_deadline_abort {
            self.pauses.abort = Some(message.clone());
            self.warn(ABORTED, message);
        }
    }

    /// Whether an earlier version waits to be scaled down (`isWaitingForReplicaSetScaleDown`).
    fn waits_for_scale_down(&self) -> bool {
        self.sets.others().into_iter().any(|at| self.sets.all[at].deadline.is_some())
    }

    fn show_availability(&self, next: &mut RolloutStatus) {
        let wanted = self.rollout.spec.replicas;
        let is_available = if self.rollout.spec.blue_green().is_some() {
            self.sets.of_hash(&next.active_selector).is_some_and(|set| set.is_saturated(wanted))
        } else {
            self.sets.sum(|set| set.available_replicas) >= wanted
        };
        let (status, message) = if is_available {
            (ConditionStatus::True, "Rollout has minimum availability")
        } else {
            (ConditionStatus::False, "Rollout does not have minimum availability")
        };
        let shown = condition(AVAILABLE, status, "AvailableReason", message, self.view.now);
        set(&mut next.conditions, shown);
        let new = self.sets.new_set().into_iter();
        let mut statuses = new.chain(&self.sets.all).filter_map(SetState::status);
        let failure = statuses.find_map(|one| find_condition(&one.conditions, REPLICA_FAILURE));
        match failure {
            Some(failure) => set(&mut next.conditions, failure.clone()),
            None => remove(&mut next.conditions, REPLICA_FAILURE),
        }
    }

    fn show_completion(&mut self, next: &mut RolloutStatus) {
        let before = find_condition(&next.conditions, COMPLETED).map(|one| one.status);
        let status =
            if is_completed(next) { ConditionStatus::True } else { ConditionStatus::False };
        let reason = "RolloutCompleted";
        set(&mut next.conditions, condition(COMPLETED, status, reason, reason, self.view.now));
        if status == ConditionStatus::False && before != Some(status) {
            let revision = self.sets.new_set().map_or(0, |set| set.revision);
            let hash = &next.current_pod_hash;
            let message =
                format!("Rollout not completed, started update to revision {revision} ({hash})");
            self.tell("RolloutNotCompleted", message);
        }
    }
}

/// Sets phase and message (`CalculateRolloutPhase`).
pub(super) fn settle_phase(spec: &RolloutSpec, status: &mut RolloutStatus) {
    let (phase, message) = phase(spec, status);
    (status.phase, status.message) = (phase, message.into());
}

fn phase(spec: &RolloutSpec, status: &RolloutStatus) -> (RolloutPhase, String) {
    for one in &status.conditions {
        if one.kind == INVALID_SPEC || matches!(one.reason, ABORTED | TIMED_OUT) {
            return (RolloutPhase::Degraded, format!("{}: {}", one.reason, one.message));
        }
    }
    let progressing = |why: &str| (RolloutPhase::Progressing, why.to_owned());
    if spec.paused {
        return (RolloutPhase::Paused, "manually paused".to_owned());
    }
    if let Some((reason, _)) = status.pauses.first() {
        return (RolloutPhase::Paused, reason.name().to_owned());
    }
    if status.updated_replicas < spec.replicas {
        return progressing("more replicas need to be updated");
    }
    if status.available_replicas < status.updated_replicas {
        return progressing("updated replicas are still becoming available");
    }
    if let Some(blue_green) = spec.blue_green() {
        if status.active_selector.is_empty() || status.active_selector != status.current_pod_hash {
            return progressing("active service cutover pending");
        }
        if !is_completed(status) {
            let run = status.runs.post_promotion.as_ref();
            let waits = run.map_or(AnalysisPhase::Pending, |run| run.phase);
            if blue_green.post_promotion_analysis.is_some() && !waits.is_completed() {
                return progressing("waiting for analysis to complete");
            }
            return progressing("waiting for post-promotion verification to complete");
        }
    } else {
        let is_routed = spec.canary().is_some_and(|canary| canary.routing.is_some());
        if !is_routed && status.replicas > status.updated_replicas {
            return progressing("old replicas are pending termination");
        }
        if !is_completed(status) {
            return progressing("waiting for all steps to complete");
        }
    }
    (RolloutPhase::Healthy, String::new())
}

/// When to check whether an update is stuck (`requeueStuckRollout`).
pub(super) fn next_check(rollout: &Rollout, next: &RolloutStatus, now: SimTime) -> Option<SimTime> {
    let shown = find_condition(&rollout.status.conditions, PROGRESSING)?;
    let status = &rollout.status;
    if is_healthy(rollout, next)
        || shown.reason == TIMED_OUT
        || rollout.spec.paused
        || !status.pauses.is_empty()
        || status.is_aborted()
        || is_at_indefinite_step(rollout)
        // A version that was completed never times out.
        || shown.reason == "NewReplicaSetAvailable"
    {
        return None;
    }
    let at = shown.last_update + deadline(&rollout.spec) + SimDuration::from_secs(1);
    (at > now).then_some(at)
}
