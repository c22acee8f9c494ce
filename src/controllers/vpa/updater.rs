//! The updater: which pods are so far from the recommendation that they are evicted
//! (`pkg/updater/priority`, `pkg/updater/restriction`).

use super::settings::VpaSettings;
use crate::cluster::vpa::{Amounts, ContainerRecommendation};
use crate::engine::SimDuration;

/// How far a pod is from its recommendation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdatePriority {
    /// A request is outside of its bounds.
    pub is_outside_bounds: bool,
    /// A request is to grow.
    pub scales_up: bool,
    /// Difference of target and request as part of the request, over CPU and memory.
    pub difference: f64,
}

/// The priority of a pod whose containers request so much (`GetUpdatePriority`).
pub fn priority<'a>(
    containers: impl Iterator<Item = (Amounts, &'a ContainerRecommendation)>,
) -> UpdatePriority {
    let mut priority = UpdatePriority::default();
    let (mut requested, mut recommended) = ([0_i64; 2], [0_i64; 2]);
    for (request, recommendation) in containers {
        let amounts = |amounts: Amounts| [amounts.cpu.0, amounts.memory.0];
        let bounds = amounts(recommendation.lower_bound)
            .into_iter()
            .zip(amounts(recommendation.upper_bound));
        for (request, (lower, upper)) in amounts(request).into_iter().zip(bounds) {
            priority.is_outside_bounds |= request < lower || request > upper;
        }
        for resource in 0..2 {
            let (request, target) =
                (amounts(request)[resource], amounts(recommendation.target)[resource]);
            priority.scales_up |= target > request;
            requested[resource] += request;
            recommended[resource] += target;
        }
    }
    for (request, target) in requested.into_iter().zip(recommended) {
        let base = request.max(1) as f64;
        priority.difference += (request - target).abs() as f64 / base;
    }
    priority
}

/// Whether a pod of this age is to be evicted for its distance. One that ran out of memory soon after its
/// start need not be old, nor far from its target; but something must change.
pub fn is_to_be_updated(
    priority: UpdatePriority,
    has_quick_oom: bool,
    age: SimDuration,
    settings: &VpaSettings,
) -> bool {
    if has_quick_oom {
        return priority.difference > 0.0;
    }
    if priority.is_outside_bounds {
        return true;
    }
    age >= settings.eviction_lifetime_threshold
        && priority.difference >= settings.pod_update_threshold
}

/// How many of so many replicas, of which so many run, may be evicted in one go: the tolerance's part
/// of them, and one where that would be none although all run (`CanEvict`).
pub fn evictable(configured: i32, running: i32, least: i32, settings: &VpaSettings) -> i32 {
    if running < least {
        return 0;
    }
    let tolerated = tolerated(configured, settings.eviction_tolerance);
    if tolerated == 0 && running == configured {
        return 1;
    }
    (running - (configured - tolerated)).max(0)
}

/// `int(float64(configured) * evictionToleranceFraction)`.
#[expect(clippy::cast_possible_truncation, reason = "cut as in Go")]
fn tolerated(configured: i32, tolerance: f64) -> i32 {
    (f64::from(configured) * tolerance) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bytes, MilliCpu};

    fn amounts(cpu: i64, memory: i64) -> Amounts {
        Amounts { cpu: MilliCpu(cpu), memory: Bytes(memory) }
    }

    fn recommendation() -> ContainerRecommendation {
        ContainerRecommendation {
            container: "app".into(),
            target: amounts(200, 1000),
            lower_bound: amounts(100, 500),
            upper_bound: amounts(400, 2000),
            uncapped_target: amounts(200, 1000),
        }
    }

    #[test]
    fn outside_of_the_bounds_a_pod_goes_at_once_inside_only_when_it_is_old() {
        let settings = VpaSettings::default();
        let of = |request| priority([(request, &recommendation())].into_iter());
        let (minute, day) = (SimDuration::from_secs(60), SimDuration::from_secs(86_400));
        assert!(is_to_be_updated(of(amounts(50, 1000)), false, minute, &settings));
        assert!(!is_to_be_updated(of(amounts(150, 1000)), false, minute, &settings));
        assert!(is_to_be_updated(of(amounts(150, 1000)), false, day, &settings));
        assert!(!is_to_be_updated(of(amounts(195, 1000)), false, day, &settings));
        // After a kill for lack of memory every difference counts, but there must be one.
        assert!(is_to_be_updated(of(amounts(195, 1000)), true, minute, &settings));
        assert!(!is_to_be_updated(of(amounts(200, 1000)), true, minute, &settings));
        assert!(of(amounts(150, 1000)).scales_up);
    }

    #[test]
    fn half_of_the_replicas_may_go_and_one_of_a_lone_one() {
        let settings = VpaSettings::default();
        assert_eq!(evictable(4, 4, 2, &settings), 2);
        assert_eq!(evictable(4, 3, 2, &settings), 1);
        assert_eq!(evictable(4, 2, 2, &settings), 0);
        assert_eq!(evictable(1, 1, 1, &settings), 1);
        assert_eq!(evictable(1, 1, 2, &settings), 0);
    }
}
