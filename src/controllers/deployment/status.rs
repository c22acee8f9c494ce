//! Computes a Deployment's status, and whether its rollout makes progress
//! (`pkg/controller/deployment/{sync,progress}.go`, 1.36).

use cluster::Name;
use cluster::deployment::{Deployment, DeploymentStatus, WorkloadCondition};
use cluster::node::ConditionStatus;
use engine::{SimDuration, SimTime};

/// Condition type: enough pods are available.
pub const AVAILABLE: &str = "Available";
/// Condition type: the rollout is progressing.
pub(crate) const PROGRESSING: &str = "Progressing";
/// The rollout is complete.
pub(crate) const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
/// No progress for longer than the deadline.
pub(crate) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
/// The Deployment is paused.
pub const PAUSED: &str = "DeploymentPaused";
/// The Deployment was resumed after a pause.
const RESUMED: &str = "DeploymentResumed";

/// Sums over the ReplicaSets of a Deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sum of `spec.replicas` over all sets.
    pub spec_replicas: i32,
    /// Pods of all sets.
    pub replicas: i32,
    /// Pods of the new set.
    pub updated: i32,
    /// Ready pods.
    pub ready: i32,
    /// Available pods.
    pub available: i32,
    /// Terminating pods.
    pub terminating: i32,
}

/// Whether there is a deadline: the API's largest number means none.
pub(crate) const fn has_progress_deadline(deployment: &Deployment) -> bool {
    deployment.spec.progress_deadline_seconds != i32::MAX
}

/// The status that follows from the sums, without a judgement of progress (`calculateStatus`).
pub fn calculate(
    deployment: &Deployment,
    conditions: &[WorkloadCondition],
    totals: Totals,
    max_unavailable: i32,
    now: SimTime,
) -> DeploymentStatus {
    let mut status = DeploymentStatus {
        observed_generation: deployment.meta.generation,
        replicas: totals.replicas,
        updated_replicas: totals.updated,
        ready_replicas: totals.ready,
        available_replicas: totals.available,
        unavailable_replicas: (totals.spec_replicas - totals.available).max(0),
        terminating_replicas: totals.terminating,
        conditions: conditions.to_vec(),
    };
    let has_enough = totals.available >= deployment.spec.replicas - max_unavailable;
    let (holds, reason, message) = if has_enough {
        let message = "Deployment has minimum availability.";
        (ConditionStatus::True, "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.";
        (ConditionStatus::False, "MinimumReplicasUnavailable", message)
    };
    let current = find_condition(&status.conditions, AVAILABLE);
    if current.is_none_or(|current| (current.status, current.reason) != (holds, reason)) {
        let available = condition(AVAILABLE, holds, reason, message, now);
        set_condition(&mut status.conditions, available);
    }
    status
}

/// Whether the rollout is complete: all desired replicas are there, and no others (`DeploymentComplete`).
pub const fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = deployment.spec.replicas;
    status.updated_replicas == wanted
        && status.replicas == wanted
        && status.available_replicas == wanted
        && status.observed_generation >= deployment.meta.generation
}

/// Whether the new status shows progress over the old one (`DeploymentProgressing`).
pub(crate) const fn is_further(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    new.updated_replicas > old.updated_replicas
        || new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
        || new.ready_replicas > old.ready_replicas
        || new.available_replicas > old.available_replicas
}

/// Whether the deadline has passed since the last progress (`DeploymentTimedOut`).
pub(crate) fn has_timed_out(
    deadline: SimDuration,
    progressing: &WorkloadCondition,
    now: SimTime,
) -> bool {
    match progressing.reason {
        NEW_SET_AVAILABLE => false,
        TIMED_OUT => true,
        _ => progressing.last_update + deadline < now,
    }
}

/// Evaluates the progress of a rollout since the Deployment's status was last written, and sets the Progressing
/// condition of `status`. `conditions` are the previous ones with this sync's changes; `name` is that of the new set,
/// or of the Deployment (`syncRolloutStatus`).
pub(crate) fn judge_progress(
    deployment: &Deployment,
    conditions: &[WorkloadCondition],
    status: &mut DeploymentStatus,
    name: impl FnOnce() -> String,
    now: SimTime,
) {
    let old = &deployment.status;
    if !has_progress_deadline(deployment) {
        remove_condition(&mut status.conditions, PROGRESSING);
        return;
    }
    let current = find_condition(conditions, PROGRESSING);
    let was_complete = status.replicas == status.updated_replicas
        && current.is_some_and(|current| current.reason == NEW_SET_AVAILABLE);
    if was_complete {
        return;
    }
    let deadline = SimDuration::from_secs(deployment.spec.progress_deadline_seconds.into());
    let progressing = find_condition(&status.conditions, PROGRESSING);
    if is_complete(deployment, status) {
        let message = format!("{} has successfully progressed.", name());
        let done = condition(PROGRESSING, ConditionStatus::True, NEW_SET_AVAILABLE, message, now);
        set_condition(&mut status.conditions, done);
    } else if is_further(old, status) {
        let message = format!("{} is progressing.", name());
        let mut moving =
            condition(PROGRESSING, ConditionStatus::True, "ReplicaSetUpdated", message, now);
        // Progress restarts the deadline, so the condition is written even if its reason is unchanged.
        if let Some(current) = current
            && current.status == ConditionStatus::True
        {
            moving.last_transition = current.last_transition;
        }
        remove_condition(&mut status.conditions, PROGRESSING);
        status.conditions.push(moving);
    } else if progressing.is_some_and(|progressing| has_timed_out(deadline, progressing, now)) {
        let message = format!("{} has timed out progressing.", name());
        let stuck = condition(PROGRESSING, ConditionStatus::False, TIMED_OUT, message, now);
        set_condition(&mut status.conditions, stuck);
    }
}

/// The Progressing condition set by a pause or its end, if any (`checkPausedConditions`).
pub(crate) fn pause_condition(
    is_paused: bool,
    progressing: Option<&WorkloadCondition>,
    now: SimTime,
) -> Option<WorkloadCondition> {
    let reason = progressing.map(|progressing| progressing.reason);
    let unknown = |reason, message: &str| {
        Some(condition(PROGRESSING, ConditionStatus::Unknown, reason, message, now))
    };
    match (is_paused, reason) {
        (_, Some(TIMED_OUT)) | (true, Some(PAUSED)) => None,
        (true, _) => unknown(PAUSED, "Deployment is paused"),
        (false, Some(PAUSED)) => unknown(RESUMED, "Deployment is resumed"),
        (false, _) => None,
    }
}

/// A condition that holds from `now` on.
pub fn condition(
    kind: &'static str,
    status: ConditionStatus,
    reason: &'static str,
    message: impl Into<Name>,
    now: SimTime,
) -> WorkloadCondition {
    let since = now.floor_to_second();
    let message = message.into();
    WorkloadCondition { kind, status, reason, message, last_update: since, last_transition: since }
}

/// The condition of a kind.
pub(crate) fn find_condition<'a>(
    conditions: &'a [WorkloadCondition],
    kind: &str,
) -> Option<&'a WorkloadCondition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Sets a condition unless one with the same status and reason is present (`SetDeploymentCondition`).
pub fn set_condition(conditions: &mut Vec<WorkloadCondition>, mut condition: WorkloadCondition) {
    if let Some(current) = find_condition(conditions, condition.kind)
        && current.status == condition.status
    {
        if current.reason == condition.reason {
            return;
        }
        condition.last_transition = current.last_transition;
    }
    remove_condition(conditions, condition.kind);
    conditions.push(condition);
}

/// Removes a condition.
pub(crate) fn remove_condition(conditions: &mut Vec<WorkloadCondition>, kind: &str) {
    conditions.retain(|condition| condition.kind != kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progressing(reason: &'static str, seconds: i64) -> WorkloadCondition {
        let now = SimTime::from_secs(seconds);
        condition(PROGRESSING, ConditionStatus::True, reason, "", now)
    }

    #[test]
    fn the_deadline_counts_from_the_last_progress_and_not_after_completion() {
        let deadline = SimDuration::from_secs(60);
        let stuck = progressing("ReplicaSetUpdated", 10);
        assert!(!has_timed_out(deadline, &stuck, SimTime::from_secs(70)));
        assert!(has_timed_out(deadline, &stuck, SimTime::from_secs(71)));
        let done = progressing(NEW_SET_AVAILABLE, 10);
        assert!(!has_timed_out(deadline, &done, SimTime::from_secs(1000)));
    }

    #[test]
    fn a_condition_of_the_same_status_keeps_its_transition_time() {
        let mut conditions = vec![progressing("NewReplicaSetCreated", 1)];
        set_condition(&mut conditions, progressing("ReplicaSetUpdated", 5));
        assert_eq!(conditions[0].last_transition, SimTime::from_secs(1));
        assert_eq!(conditions[0].last_update, SimTime::from_secs(5));
        set_condition(&mut conditions, progressing("ReplicaSetUpdated", 9));
        assert_eq!(conditions[0].last_update, SimTime::from_secs(5));
    }

    #[test]
    fn a_pause_shows_but_does_not_hide_an_exceeded_deadline() {
        let now = SimTime::ZERO;
        let reason = |is_paused, current: &WorkloadCondition| {
            pause_condition(is_paused, Some(current), now).map(|condition| condition.reason)
        };
        assert_eq!(reason(true, &progressing(TIMED_OUT, 0)), None);
        assert_eq!(reason(true, &progressing(NEW_SET_AVAILABLE, 0)), Some(PAUSED));
        assert_eq!(reason(false, &progressing(PAUSED, 0)), Some(RESUMED));
        assert_eq!(reason(false, &progressing(RESUMED, 0)), None);
    }
}
