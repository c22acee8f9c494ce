//! The updater: which pods are so far from the recommendation that they are evicted
//! (`pkg/updater/priority`, `pkg/updater/restriction`).

use super::settings::VpaSettings;
use cluster::vpa::{Amounts, ContainerRecommendation, EvictionRequirement};
use engine::SimDuration;

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

/// What a container requests, and what is recommended for it.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// Its requests; 0 where it has none.
    pub request: Amounts,
    /// The recommendation.
    pub recommendation: &'a ContainerRecommendation,
    /// Whether its CPU and its memory are recommended at all (`controlledResources`).
    pub controls: [bool; 2],
}

impl Compared<'_> {
    /// Request, target, lower and upper bound of CPU and of memory, in thousandths; without those that are
    /// not recommended.
    fn resources(&self) -> impl Iterator<Item = (usize, [i64; 4])> {
        let ContainerRecommendation { target, lower_bound, upper_bound, .. } = self.recommendation;
        let all = [self.request, *target, *lower_bound, *upper_bound];
        let cpu = all.map(|amounts| amounts.cpu.0);
        let memory = all.map(|amounts| amounts.memory.0.saturating_mul(1000));
        let controls = self.controls;
        [cpu, memory].into_iter().enumerate().filter(move |(resource, _)| controls[*resource])
    }
}

/// The priority of a pod with these containers (`GetUpdatePriority`).
pub fn priority<'a>(containers: impl Iterator<Item = Compared<'a>>) -> UpdatePriority {
    let mut priority = UpdatePriority::default();
    let (mut requested, mut recommended) = ([0_i64; 2], [0_i64; 2]);
    for container in containers {
        for (resource, [request, target, lower, upper]) in container.resources() {
            // Without a request there is nothing that could be inside of bounds.
            priority.is_outside_bounds |= request == 0 || request < lower || request > upper;
            priority.scales_up |= request == 0 || target > request;
            requested[resource] += request;
            recommended[resource] += target;
        }
    }
    for (request, target) in
        requested.into_iter().zip(recommended).filter(|(_, target)| *target > 0)
    {
        let request = request.max(1) as f64;
        priority.difference += (request - target as f64).abs() / request;
    }
    priority
}

/// Whether the requirements allow a pod with these containers to be evicted: one of the containers has to
/// meet all of them (`scalingDirectionPodEvictionAdmission`). A requirement is met where one of its
/// resources changes in its direction.
pub fn is_admitted<'a>(
    mut containers: impl Iterator<Item = Compared<'a>>,
    requirements: &[EvictionRequirement],
) -> bool {
    let meets = |container: &Compared<'_>, requirement: &EvictionRequirement| {
        container.resources().any(|(resource, [request, target, ..])| {
            let is_meant = [requirement.cpu, requirement.memory][resource];
            is_meant && if requirement.higher { target > request } else { target < request }
        })
    };
    requirements.is_empty()
        || containers.any(|container| {
            let Amounts { cpu, memory } = container.request;
            cpu.0 == 0
                || memory.0 == 0
                || requirements.iter().all(|requirement| meets(&container, requirement))
        })
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
/// of them, and one where that would be none although all run (`isPodDisruptable`).
pub fn evictable(configured: i32, running: i32, settings: &VpaSettings) -> i32 {
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
    use units::{Bytes, MilliCpu};

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
        let of = |request| priority([compared(request, &recommendation())].into_iter());
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

    fn compared(request: Amounts, recommendation: &ContainerRecommendation) -> Compared<'_> {
        Compared { request, recommendation, controls: [true, true] }
    }

    #[test]
    fn half_of_the_replicas_may_go_and_one_of_a_lone_one() {
        let settings = VpaSettings::default();
        assert_eq!(evictable(4, 4, &settings), 2);
        assert_eq!(evictable(4, 3, &settings), 1);
        assert_eq!(evictable(4, 2, &settings), 0);
        assert_eq!(evictable(1, 1, &settings), 1);
    }

    #[test]
    fn what_is_not_controlled_does_not_matter_and_what_is_not_requested_lies_outside() {
        let recommendation = recommendation();
        let cpu_only = Compared {
            controls: [true, false],
            ..compared(amounts(200, 1_000_000), &recommendation)
        };
        assert_eq!(priority([cpu_only].into_iter()), UpdatePriority::default());
        let without = priority([compared(amounts(200, 0), &recommendation)].into_iter());
        assert!(without.is_outside_bounds && without.scales_up);
    }

    #[test]
    fn all_requirements_must_be_met_by_one_container_and_each_by_one_resource() {
        let recommendation = recommendation();
        let container = |request| compared(request, &recommendation);
        let requirement = |cpu, memory, higher| EvictionRequirement { cpu, memory, higher };
        let grows = [requirement(true, true, true)];
        let admitted = |request, requirements: &[EvictionRequirement]| {
            is_admitted([container(request)].into_iter(), requirements)
        };
        assert!(admitted(amounts(100, 2000), &grows), "CPU grows");
        assert!(!admitted(amounts(300, 2000), &grows));
        let both = [requirement(true, false, true), requirement(false, true, true)];
        assert!(!admitted(amounts(100, 2000), &both));
        assert!(admitted(amounts(100, 0), &both), "no request can be compared with");
        let split = [container(amounts(100, 2000)), container(amounts(300, 500))];
        assert!(!is_admitted(split.into_iter(), &both));
        assert!(admitted(amounts(300, 2000), &[]));
    }
}
