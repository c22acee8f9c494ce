//! The scale executor: scaling from zero or the idle count and back, which the HPA does not do, and the resulting
//! status of the ScaledObject (`RequestScale` of `pkg/scaling/executor/scale_scaledobjects.go`).

use cluster::node::ConditionStatus::{False, True, Unknown};
use cluster::scaled_object::{KedaCondition, KedaConditions, ScaledObjectSpec};
use engine::SimTime;

/// Reason of `Ready` while all is well, and for failures of the executor while paused.
const READY_REASON: &str = "ScaledObjectReady";
/// `Active` while something is active.
const ACTIVE_REASON: &str = "ScalerActive";
/// `Active` while nothing is.
const NOT_ACTIVE_REASON: &str = "ScalerNotActive";

/// Action of KEDA itself on a scale target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationDecision {
    /// The HPA is in charge, or there is nothing to do.
    Leave,
    /// Something is active: from zero, or from the idle count, to this many.
    Activate(i32),
    /// Nothing is active and the cooldown is over: down to this many.
    Deactivate(i32),
    /// Nothing is active, and the cooldown lasts until then.
    CoolDown(SimTime),
    /// Below the minimum: up to it.
    RaiseToMinimum(i32),
    /// Triggers fail and none is active: without data, nothing is scaled.
    Fails,
    /// An annotation forbids to wake it, or to put it to sleep.
    HeldBack,
    /// It is paused.
    Paused,
    /// It is paused with this many replicas.
    PausedAt(i32),
    /// The annotation that pauses it does not contain a number of replicas.
    PausedUnreadably,
}

/// Combined state of the triggers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Triggers {
    /// One of them is active.
    pub is_active: bool,
    /// One of them fails.
    pub is_failing: bool,
}

/// Decides about a target with this number of replicas.
pub fn decide(
    spec: &ScaledObjectSpec,
    created: SimTime,
    last_active: Option<SimTime>,
    triggers: Triggers,
    replicas: i32,
    now: SimTime,
) -> ActivationDecision {
    match spec.pause.replicas {
        _ if spec.pause.is_unreadable => return ActivationDecision::PausedUnreadably,
        Some(paused) if paused != replicas => return ActivationDecision::PausedAt(paused),
        _ if spec.pause.is_paused => return ActivationDecision::Paused,
        _ => {}
    }
    let is_idle = spec.idle_replicas.is_some() && replicas < spec.min_replicas;
    if is_active(spec, triggers) {
        return match replicas {
            _ if !is_idle && replicas != 0 => ActivationDecision::Leave,
            _ if spec.pause.scale_out => ActivationDecision::HeldBack,
            _ => ActivationDecision::Activate(spec.min_replicas.max(1)),
        };
    }
    // A fallback to zero replicas is treated like an absence of failures.
    if triggers.is_failing && spec.fallback.is_none_or(|fallback| fallback.replicas != 0) {
        return ActivationDecision::Fails;
    }
    let floor = match spec.idle_replicas {
        Some(idle) if replicas > idle => idle,
        // With an idle count, a minimum of 0 is ignored, and the target is scaled down to the idle count.
        Some(idle) if replicas > 0 && spec.min_replicas == 0 => idle,
        None if replicas > 0 && spec.min_replicas == 0 => 0,
        None if replicas < spec.min_replicas => {
            return ActivationDecision::RaiseToMinimum(spec.min_replicas);
        }
        _ => return ActivationDecision::Leave,
    };
    if spec.pause.scale_in {
        return ActivationDecision::HeldBack;
    }
    let cooled_down = match last_active {
        Some(active) => active + spec.cooldown_period,
        None => created.floor_to_second() + spec.initial_cooldown_period,
    };
    if cooled_down < now {
        ActivationDecision::Deactivate(floor)
    } else {
        ActivationDecision::CoolDown(cooled_down)
    }
}

/// Whether it counts as active: by its triggers or by force.
const fn is_active(spec: &ScaledObjectSpec, triggers: Triggers) -> bool {
    triggers.is_active || spec.pause.force_activation
}

impl ActivationDecision {
    /// The count to write, if it changes.
    pub const fn scales_to(self) -> Option<i32> {
        match self {
            Self::Activate(replicas)
            | Self::Deactivate(replicas)
            | Self::RaiseToMinimum(replicas)
            | Self::PausedAt(replicas) => Some(replicas),
            Self::Leave
            | Self::CoolDown(_)
            | Self::Fails
            | Self::HeldBack
            | Self::Paused
            | Self::PausedUnreadably => None,
        }
    }

    /// Whether `lastActiveTime` moves to now: once it is awake and all triggers answer, or when it is woken.
    /// A write of the scale that the API refuses wakes nothing.
    pub const fn notes_activity(
        self,
        spec: &ScaledObjectSpec,
        triggers: Triggers,
        is_refused: bool,
    ) -> bool {
        match self {
            Self::Activate(_) => !is_refused,
            Self::Leave => is_active(spec, triggers) && !triggers.is_failing,
            _ => false,
        }
    }

    /// Reason of the event about the write of the scale; the executor emits none for a minimum or a pause.
    pub const fn event_reason(self, is_refused: bool) -> Option<&'static str> {
        match (self, is_refused) {
            (Self::Activate(_), false) => Some("KEDAScaleTargetActivated"),
            (Self::Activate(_), true) => Some("KEDAScaleTargetActivationFailed"),
            (Self::Deactivate(_), false) => Some("KEDAScaleTargetDeactivated"),
            (Self::Deactivate(_), true) => Some("KEDAScaleTargetDeactivationFailed"),
            _ => None,
        }
    }

    /// The resulting conditions, derived from the previous ones.
    pub fn conditions(
        self,
        before: KedaConditions,
        spec: &ScaledObjectSpec,
        triggers: Triggers,
        is_refused: bool,
    ) -> KedaConditions {
        let mut after = before;
        if !triggers.is_failing && !before.ready.is(True) {
            after.ready = KedaCondition::new(True, READY_REASON);
        }
        match self {
            Self::PausedUnreadably => {
                after.ready = KedaCondition::new(False, READY_REASON);
                return after;
            }
            Self::PausedAt(_) if is_refused => {
                after.ready = KedaCondition::new(Unknown, READY_REASON);
                return after;
            }
            Self::Paused | Self::PausedAt(_) => return after,
            Self::Leave
                if is_active(spec, triggers)
                    && triggers.is_failing
                    && !before.ready.is(Unknown) =>
            {
                after.ready = KedaCondition::new(Unknown, "PartialTriggerError");
            }
            Self::Fails if spec.fallback.is_none() && !before.ready.is(False) => {
                after.ready = KedaCondition::new(False, "TriggerError");
            }
            Self::Deactivate(_) if !is_refused => {
                after.active = KedaCondition::new(False, NOT_ACTIVE_REASON);
            }
            Self::CoolDown(_) => after.active = KedaCondition::new(False, "ScalerCooldown"),
            _ => {}
        }
        let is_active = is_active(spec, triggers);
        if after.active.is(Unknown) || after.active.is(True) != is_active {
            let reason = if is_active { ACTIVE_REASON } else { NOT_ACTIVE_REASON };
            after.active = KedaCondition::new(is_active.into(), reason);
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::hpa::ObjectReference;
    use cluster::scaled_object::{Fallback, FallbackBehavior, Pause};
    use engine::SimDuration;

    fn spec(min_replicas: i32, idle_replicas: Option<i32>) -> ScaledObjectSpec {
        ScaledObjectSpec {
            scale_target: ObjectReference {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "web".into(),
            },
            polling_interval: SimDuration::from_secs(30),
            cooldown_period: SimDuration::from_secs(300),
            initial_cooldown_period: SimDuration::ZERO,
            idle_replicas,
            min_replicas,
            max_replicas: 100,
            triggers: Vec::new(),
            behavior: None,
            hpa_name: "keda-hpa-web".into(),
            fallback: None,
            pause: Pause::default(),
            modifiers: None,
        }
    }

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    fn decision(
        spec: &ScaledObjectSpec,
        active: bool,
        replicas: i32,
        now: i64,
    ) -> ActivationDecision {
        let triggers = Triggers { is_active: active, is_failing: false };
        decide(spec, at(0), Some(at(100)), triggers, replicas, at(now))
    }

    #[test]
    fn the_cooldown_is_over_only_after_its_last_instant() {
        let to_zero = spec(0, None);
        assert_eq!(decision(&to_zero, false, 7, 400), ActivationDecision::CoolDown(at(400)));
        assert_eq!(decision(&to_zero, false, 7, 401), ActivationDecision::Deactivate(0));
        assert_eq!(decision(&to_zero, false, 0, 401), ActivationDecision::Leave);
    }

    #[test]
    fn activity_wakes_from_zero_to_the_minimum_but_at_least_to_one() {
        assert_eq!(decision(&spec(0, None), true, 0, 500), ActivationDecision::Activate(1));
        assert_eq!(decision(&spec(0, None), true, 3, 500), ActivationDecision::Leave);
        assert_eq!(decision(&spec(4, Some(1)), true, 1, 500), ActivationDecision::Activate(4));
    }

    #[test]
    fn an_idle_count_stands_in_for_zero_and_a_minimum_is_kept() {
        assert_eq!(decision(&spec(4, Some(1)), false, 6, 500), ActivationDecision::Deactivate(1));
        assert_eq!(decision(&spec(4, None), false, 6, 500), ActivationDecision::Leave);
        assert_eq!(decision(&spec(4, None), false, 2, 500), ActivationDecision::RaiseToMinimum(4));
    }

    #[test]
    fn without_any_activity_yet_the_initial_cooldown_counts() {
        let fresh = ScaledObjectSpec {
            initial_cooldown_period: SimDuration::from_secs(60),
            ..spec(0, None)
        };
        let quiet = Triggers::default();
        assert_eq!(
            decide(&fresh, at(0), None, quiet, 1, at(60)),
            ActivationDecision::CoolDown(at(60))
        );
        assert_eq!(
            decide(&fresh, at(0), None, quiet, 1, at(90)),
            ActivationDecision::Deactivate(0)
        );
    }

    #[test]
    fn triggers_that_fail_put_nothing_to_sleep_unless_the_fallback_is_nothing() {
        let failing = Triggers { is_failing: true, is_active: false };
        let decision = |fallback: Option<i32>| {
            let fallback = fallback.map(|replicas| Fallback {
                failure_threshold: 3,
                replicas,
                behavior: FallbackBehavior::Static,
            });
            let spec = ScaledObjectSpec { fallback, ..spec(0, None) };
            decide(&spec, at(0), Some(at(100)), failing, 4, at(500))
        };
        assert_eq!(decision(None), ActivationDecision::Fails);
        assert_eq!(decision(Some(6)), ActivationDecision::Fails);
        assert_eq!(decision(Some(0)), ActivationDecision::Deactivate(0));
    }

    #[test]
    fn annotations_hold_back_one_direction_or_both() {
        let with = |pause| ScaledObjectSpec { pause, ..spec(0, None) };
        let scale_in = with(Pause { scale_in: true, ..Pause::default() });
        assert_eq!(decision(&scale_in, false, 4, 500), ActivationDecision::HeldBack);
        assert_eq!(decision(&scale_in, true, 0, 500), ActivationDecision::Activate(1));
        let scale_out = with(Pause { scale_out: true, ..Pause::default() });
        assert_eq!(decision(&scale_out, true, 0, 500), ActivationDecision::HeldBack);
        let forced = with(Pause { force_activation: true, ..Pause::default() });
        assert_eq!(decision(&forced, false, 0, 500), ActivationDecision::Activate(1));
        assert_eq!(decision(&forced, false, 3, 500), ActivationDecision::Leave);
        let paused = with(Pause { is_paused: true, replicas: Some(2), ..Pause::default() });
        assert_eq!(decision(&paused, true, 0, 500), ActivationDecision::PausedAt(2));
        assert_eq!(decision(&paused, false, 2, 500), ActivationDecision::Paused);
    }

    #[test]
    fn activity_is_noted_when_all_triggers_answer_or_when_it_is_woken() {
        let spec = spec(0, None);
        let triggers = |is_failing| Triggers { is_active: true, is_failing };
        let noted = |decision: ActivationDecision, is_failing, is_refused| {
            decision.notes_activity(&spec, triggers(is_failing), is_refused)
        };
        assert!(noted(ActivationDecision::Leave, false, false));
        assert!(!noted(ActivationDecision::Leave, true, false), "one of them fails");
        assert!(!ActivationDecision::Leave.notes_activity(&spec, Triggers::default(), false));
        assert!(noted(ActivationDecision::Activate(1), true, false));
        assert!(!noted(ActivationDecision::Activate(1), false, true), "the scale was not written");
        assert!(!noted(ActivationDecision::HeldBack, false, false));
    }
}
