//! Rate limits and bounds of scaling: `convertDesiredReplicasWithRules` and `convertDesiredReplicasWithBehaviorRate`
//! in `pkg/controller/podautoscaler/horizontal.go`.

use serde::Serialize;

use super::arithmetic::{ceil_to_i32, truncate_to_i32};
use super::history::{HpaHistory, replicas_changed_in};
use cluster::hpa::{Behavior, PolicyKind, PolicySelect, ScalingPolicy, ScalingRules};
use cluster::hpa_status::HpaConditionReason;
use engine::SimTime;

/// Without a behavior the count may always grow to this number at once.
const LEGACY_SCALE_UP_MINIMUM: f64 = 4.0;

/// Effect of the limits on the stabilized number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limiting {
    /// Result of stabilization.
    pub stabilized: i32,
    /// Result after the limits.
    pub replicas: i32,
    /// `minReplicas`.
    pub min_replicas: i32,
    /// `maxReplicas`.
    pub max_replicas: i32,
    /// The rate limit, if one was computed.
    pub rate: Option<RateLimit>,
    /// Reason of ScalingLimited.
    #[serde(skip)]
    pub reason: HpaConditionReason,
}

/// The furthest replica count currently allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// The number of replicas.
    pub limit: i32,
    /// The selected policy; `None` without a behavior.
    pub select_policy: Option<PolicySelect>,
    /// Limits of the individual policies.
    pub policies: Vec<PolicyLimit>,
}

/// Limit of one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyLimit {
    /// The policy.
    pub policy: ScalingPolicy,
    /// Replicas added in its period.
    pub added: i32,
    /// Replicas removed in its period.
    pub removed: i32,
    /// Replicas at the start of its period.
    pub period_start_replicas: i32,
    /// Resulting bound on the replica count.
    pub limit: i32,
}

/// Current count, desired count, and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desired {
    /// `spec.replicas` of the scale.
    pub current: i32,
    /// Result of stabilization.
    pub stabilized: i32,
    /// `minReplicas`.
    pub min: i32,
    /// `maxReplicas`.
    pub max: i32,
}

impl Desired {
    fn limited(
        self,
        replicas: i32,
        reason: HpaConditionReason,
        rate: Option<RateLimit>,
    ) -> Limiting {
        let Self { stabilized, min: min_replicas, max: max_replicas, .. } = self;
        Limiting { stabilized, replicas, min_replicas, max_replicas, rate, reason }
    }

    fn within_range(self, rate: Option<RateLimit>) -> Limiting {
        self.limited(self.stabilized, HpaConditionReason::DesiredWithinRange, rate)
    }
}

/// Without a behavior: upwards at most to the double (`factor`), or to 4; downwards no limit.
pub fn limit(desired: Desired, factor: f64) -> Limiting {
    let limit = truncate_to_i32((factor * f64::from(desired.current)).max(LEGACY_SCALE_UP_MINIMUM));
    let rate = Some(RateLimit { limit, select_policy: None, policies: Vec::new() });
    let (highest, reason) = highest_allowed(desired.max, limit);
    if desired.stabilized < desired.min {
        desired.limited(desired.min, HpaConditionReason::TooFewReplicas, rate)
    } else if desired.stabilized > highest {
        desired.limited(highest, reason, rate)
    } else {
        desired.within_range(rate)
    }
}

/// With a behavior: its policies, in the direction of the change.
pub fn limit_with_behavior(
    desired: Desired,
    behavior: &Behavior,
    history: &HpaHistory,
    now: SimTime,
) -> Limiting {
    let Desired { current, stabilized, .. } = desired;
    if stabilized > current {
        let rate = scale_up_limit(current, &behavior.scale_up, history, now);
        // Limits hold back; they never push in the opposite direction.
        let (highest, reason) = highest_allowed(desired.max, rate.limit.max(current));
        if stabilized > highest {
            return desired.limited(highest, reason, Some(rate));
        }
        return desired.within_range(Some(rate));
    }
    if stabilized < current {
        let rate = scale_down_limit(current, &behavior.scale_down, history, now);
        let (lowest, reason) = lowest_allowed(desired.min, rate.limit.min(current));
        if stabilized < lowest {
            return desired.limited(lowest, reason, Some(rate));
        }
        return desired.within_range(Some(rate));
    }
    desired.within_range(None)
}

fn highest_allowed(max_replicas: i32, rate_limit: i32) -> (i32, HpaConditionReason) {
    if max_replicas > rate_limit {
        (rate_limit, HpaConditionReason::ScaleUpLimit)
    } else {
        (max_replicas, HpaConditionReason::TooManyReplicas)
    }
}

fn lowest_allowed(min_replicas: i32, rate_limit: i32) -> (i32, HpaConditionReason) {
    if min_replicas < rate_limit {
        (rate_limit, HpaConditionReason::ScaleDownLimit)
    } else {
        (min_replicas, HpaConditionReason::TooFewReplicas)
    }
}

/// The furthest that the policies let the count grow (`calculateScaleUpLimitWithScalingRules`).
pub fn scale_up_limit(
    current: i32,
    rules: &ScalingRules,
    history: &HpaHistory,
    now: SimTime,
) -> RateLimit {
    rate_limit(current, rules, history, now, &UP)
}

/// The furthest that the policies let the count shrink (`calculateScaleDownLimitWithBehaviors`).
pub fn scale_down_limit(
    current: i32,
    rules: &ScalingRules,
    history: &HpaHistory,
    now: SimTime,
) -> RateLimit {
    rate_limit(current, rules, history, now, &DOWN)
}

/// Parameters that differ between scaling up and down.
struct Direction {
    /// The limit of a `Pods` policy.
    pods: fn(i32, i32) -> i32,
    /// The limit of a `Percent` policy.
    percent: fn(i32, i32) -> i32,
    /// Picks the limit that lets the count move furthest.
    furthest: fn(i32, i32) -> i32,
    /// Picks the limit that lets the count move least.
    nearest: fn(i32, i32) -> i32,
    /// Limits in the absence of policies, under `Max` and under `Min`.
    without_policies: (i32, i32),
}

const UP: Direction = Direction {
    pods: i32::wrapping_add,
    // Rounded up, or a small count could never grow.
    percent: |replicas, percent| {
        ceil_to_i32(f64::from(replicas) * (1.0 + f64::from(percent) / 100.0))
    },
    furthest: Ord::max,
    nearest: Ord::min,
    without_policies: (i32::MIN, i32::MAX),
};

const DOWN: Direction = Direction {
    pods: i32::wrapping_sub,
    percent: |replicas, percent| {
        truncate_to_i32(f64::from(replicas) * (1.0 - f64::from(percent) / 100.0))
    },
    furthest: Ord::min,
    nearest: Ord::max,
    without_policies: (i32::MAX, i32::MIN),
};

fn rate_limit(
    current: i32,
    rules: &ScalingRules,
    history: &HpaHistory,
    now: SimTime,
    direction: &Direction,
) -> RateLimit {
    let select_policy = Some(rules.select_policy);
    let (pick, start) = match rules.select_policy {
        PolicySelect::Disabled => {
            return RateLimit { limit: current, select_policy, policies: Vec::new() };
        }
        PolicySelect::Max => (direction.furthest, direction.without_policies.0),
        PolicySelect::Min => (direction.nearest, direction.without_policies.1),
    };
    let policies: Vec<PolicyLimit> = rules
        .policies
        .iter()
        .map(|policy| {
            let added = replicas_changed_in(&history.scale_up_events, policy.period, now);
            let removed = replicas_changed_in(&history.scale_down_events, policy.period, now);
            let period_start_replicas = current.wrapping_sub(added).wrapping_add(removed);
            let allowed = match policy.kind {
                PolicyKind::Pods => direction.pods,
                PolicyKind::Percent => direction.percent,
            };
            let limit = allowed(period_start_replicas, policy.value);
            PolicyLimit { policy: *policy, added, removed, period_start_replicas, limit }
        })
        .collect();
    let limit = policies.iter().fold(start, |limit, policy| pick(limit, policy.limit));
    RateLimit { limit, select_policy, policies }
}
