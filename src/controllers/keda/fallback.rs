//! Fallback values given to the HPA for a failing trigger (`pkg/fallback/fallback.go`).

use std::collections::BTreeMap;

use cluster::Name;
use cluster::hpa::MetricTarget;
use cluster::node::ConditionStatus::{False, True};
use cluster::scaled_object::{Fallback, KedaCondition};

/// Handling of one reading of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallbackChoice {
    /// The trigger's own value.
    Own,
    /// It fails, which is passed on.
    Error,
    /// It fails, and the fallback answers for it.
    Fallback,
}

/// Consecutive failures after a reading, given those before it. A successful reading resets them.
pub const fn failures_after(before: u32, fails: bool) -> u32 {
    if fails { before.saturating_add(1) } else { 0 }
}

/// Handling of a reading with this number of consecutive failures after it, 0 meaning that it succeeded.
pub fn answer(fallback: Option<Fallback>, failures: u32) -> FallbackChoice {
    match fallback {
        _ if failures == 0 => FallbackChoice::Own,
        Some(fallback) if failures > fallback.failure_threshold => FallbackChoice::Fallback,
        _ => FallbackChoice::Error,
    }
}

/// The value, in thousandths of a unit, that leads the HPA from the current number of replicas to that of the
/// fallback, given the number of ready pods. `None` if a `Value` target has no ready pod to divide by, or the target
/// is a utilization.
#[expect(clippy::cast_possible_truncation, reason = "cut towards zero, as KEDA does")]
pub fn value_milli(
    fallback: Fallback,
    target: MetricTarget,
    current: i32,
    ready_pods: usize,
) -> Option<i64> {
    let wanted = f64::from(fallback.replicas(current));
    let (milli, replicas) = match target {
        MetricTarget::AverageValueMilli(milli) => (milli, wanted),
        MetricTarget::ValueMilli(milli) if ready_pods > 0 => (milli, wanted / ready_pods as f64),
        MetricTarget::ValueMilli(_) | MetricTarget::Utilization(_) => return None,
    };
    Some((units_of(milli) * 1000.0 * replicas) as i64)
}

/// Thousandths as KEDA reads them of a quantity: a whole one is exact, any other as near as the factor is
/// (`AsApproximateFloat64`).
fn units_of(milli: i64) -> f64 {
    if milli % 1000 == 0 { (milli / 1000) as f64 } else { milli as f64 * 0.001 }
}

/// The `Fallback` condition when a reading is recorded. It reflects the failures stored so far, without this reading.
pub fn condition(fallback: Fallback, stored: &BTreeMap<Name, u32>) -> KedaCondition {
    if stored.values().any(|failures| *failures > fallback.failure_threshold) {
        KedaCondition::new(True, "FallbackExists")
    } else {
        KedaCondition::new(False, "NoFallbackFound")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::scaled_object::FallbackBehavior;

    fn fallback(behavior: FallbackBehavior) -> Fallback {
        Fallback { failure_threshold: 2, replicas: 6, behavior }
    }

    #[test]
    fn the_fallback_answers_from_the_failure_on_that_exceeds_the_threshold() {
        let fallback = Some(fallback(FallbackBehavior::Static));
        assert_eq!(answer(fallback, failures_after(1, true)), FallbackChoice::Error);
        assert_eq!(answer(fallback, failures_after(2, true)), FallbackChoice::Fallback);
        assert_eq!(answer(fallback, failures_after(9, false)), FallbackChoice::Own);
        assert_eq!(answer(None, 9), FallbackChoice::Error);
    }

    #[test]
    fn the_value_is_the_target_of_as_many_replicas_as_are_wanted() {
        let per_pod = MetricTarget::AverageValueMilli(2_500);
        let of = |behavior, current| value_milli(fallback(behavior), per_pod, current, 0);
        assert_eq!(of(FallbackBehavior::Static, 9), Some(15_000));
        assert_eq!(of(FallbackBehavior::CurrentReplicas, 9), Some(22_500));
        assert_eq!(of(FallbackBehavior::CurrentReplicasIfLower, 9), Some(15_000));
        let in_all = MetricTarget::ValueMilli(1_000);
        assert_eq!(value_milli(fallback(FallbackBehavior::Static), in_all, 1, 4), Some(1_500));
        assert_eq!(value_milli(fallback(FallbackBehavior::Static), in_all, 1, 0), None);
    }
}
