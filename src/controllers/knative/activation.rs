//! Applies a decision to the Deployment's scale: bounds, scaling to zero, and the choice between activator and pods as
//! the target of requests (`pkg/reconciler/autoscaling/kpa`).

use cluster::node::ConditionStatus;
use cluster::pod_autoscaler::{PodAutoscalerSpec, PodAutoscalerStatus, ServerlessMode};
use engine::{SimDuration, SimTime};

/// The desired scale is not known.
pub const UNKNOWN: i32 = -1;
/// Wait after a deactivation while the activator is in the path already.
const AFTER_DEACTIVATION: SimDuration = SimDuration::from_secs(3);

/// The outcome of a reconcile of a PodAutoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The desired scale, as in the status.
    pub want: i32,
    /// Whether to write it to the Deployment.
    pub applies: bool,
    /// Time of the next reconcile, if no event comes first.
    pub again: Option<SimTime>,
    /// Reason why a desired scale of zero is not applied.
    pub held_by: Option<Hold>,
}

/// Reason to keep the last pod without requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// `enable-scale-to-zero` is off.
    Disabled,
    /// The first pods are starting.
    Activating,
    /// It has been active for less than the stable window.
    Active(SimTime),
    /// The activator is coming into the path.
    Deactivating,
    /// `scale-to-zero-pod-retention-period` is not over.
    Retention(SimTime),
    /// The activator has been in the path for less than the grace period.
    Grace(SimTime),
}

impl Step {
    const fn apply(want: i32) -> Self {
        Self { want, applies: true, again: None, held_by: None }
    }

    const fn hold(want: i32, held_by: Hold, again: Option<SimTime>) -> Self {
        Self { want, applies: false, again, held_by: Some(held_by) }
    }
}

/// Applies the bounds and the rules of scaling to zero to the autoscaler's decision (`scale`).
pub fn scale(
    spec: &PodAutoscalerSpec,
    status: &PodAutoscalerStatus,
    desired: i32,
    now: SimTime,
) -> Step {
    if desired < 0 && status.active != ConditionStatus::Unknown {
        return Step { want: desired, applies: false, again: None, held_by: None };
    }
    let bounded = bounded(spec, status.is_initialized, desired);
    if bounded == 0 { to_zero(spec, status, now) } else { Step::apply(bounded) }
}

/// A number of pods limited to the bounds; until it is reached, the initial scale is a lower bound too.
fn bounded(spec: &PodAutoscalerSpec, is_initialized: bool, desired: i32) -> i32 {
    let mut least = spec.min_scale;
    if spec.initial_scale > 1 && !is_initialized {
        least = least.max(spec.initial_scale);
    }
    if desired < least {
        least
    } else if spec.max_scale != 0 {
        desired.min(spec.max_scale)
    } else {
        desired
    }
}

/// Decides whether the last pod is removed (`handleScaleToZero`).
fn to_zero(spec: &PodAutoscalerSpec, status: &PodAutoscalerStatus, now: SimTime) -> Step {
    if !spec.scales_to_zero {
        return Step { held_by: Some(Hold::Disabled), ..Step::apply(1) };
    }
    let for_so_long = now - status.active_since;
    match status.active {
        ConditionStatus::Unknown if for_so_long > spec.activation_timeout => Step::apply(0),
        ConditionStatus::Unknown => {
            Step::hold(UNKNOWN, Hold::Activating, Some(now + spec.activation_timeout))
        }
        ConditionStatus::True if for_so_long >= spec.stable_window => {
            let is_proxy = status.mode == ServerlessMode::Proxy;
            let again = is_proxy.then_some(now + AFTER_DEACTIVATION);
            Step::hold(0, Hold::Deactivating, again)
        }
        ConditionStatus::True => {
            let until = status.active_since + spec.stable_window;
            Step { again: Some(until), held_by: Some(Hold::Active(until)), ..Step::apply(1) }
        }
        ConditionStatus::False => without_requests(spec, status, now),
    }
}

/// The same for a revision that is inactive.
fn without_requests(spec: &PodAutoscalerSpec, status: &PodAutoscalerStatus, now: SimTime) -> Step {
    if status.mode == ServerlessMode::Serve {
        return Step::hold(0, Hold::Deactivating, Some(now + SimDuration::from_secs(1)));
    }
    let for_so_long = now - status.active_since;
    if for_so_long >= spec.grace_period.max(spec.pod_retention) {
        return Step::apply(0);
    }
    if for_so_long < spec.pod_retention {
        let until = status.active_since + spec.pod_retention;
        return Step::hold(0, Hold::Retention(until), Some(until));
    }
    let until = status.mode_since + spec.grace_period;
    if now >= until { Step::apply(0) } else { Step::hold(0, Hold::Grace(until), Some(until)) }
}

/// The target of requests: the pods if any are desired and they have room for a burst, else the activator.
pub const fn mode(want: i32, excess_burst_capacity: i32) -> ServerlessMode {
    if want > 0 && excess_burst_capacity >= 0 {
        ServerlessMode::Serve
    } else {
        ServerlessMode::Proxy
    }
}

/// The status after a reconcile (`computeStatus`, `computeActiveCondition`); times have whole seconds, as in the API.
pub(crate) fn status_after(
    spec: &PodAutoscalerSpec,
    before: &PodAutoscalerStatus,
    (want, mode): (i32, ServerlessMode),
    ready: i32,
    now: SimTime,
) -> PodAutoscalerStatus {
    let mut after = *before;
    after.actual_scale = ready;
    if want != UNKNOWN || before.desired_scale < 0 {
        after.desired_scale = want;
    }
    if mode != before.mode {
        (after.mode, after.mode_since) = (mode, now.floor_to_second());
    }
    let least = if before.is_initialized {
        spec.min_scale.max(1)
    } else {
        spec.min_scale.max(spec.initial_scale)
    };
    after.is_initialized |= ready >= least;
    let was_inactive = before.active == ConditionStatus::False;
    after.active = if want == 0 || least == 0 {
        ConditionStatus::False
    } else if want <= 0 && was_inactive {
        before.active
    } else if ready < least {
        ConditionStatus::Unknown
    } else {
        ConditionStatus::True
    };
    if after.active != before.active {
        after.active_since = now.floor_to_second();
    }
    after
}
