//! The updater: priority of pods by the distance from their recommendation, and the limits on disturbing them
//! (`pkg/updater/priority`, `pkg/updater/restriction`).

use super::settings::VpaSettings;
use cluster::meta::Name;
use cluster::vpa::{ContainerRecommendation, EvictionRequirement, Resource, VpaSpec};
use cluster::vpa_capping::CappedContainer;
use engine::{SimDuration, SimTime};

/// A resize deferred for longer is abandoned (`DeferredResizeUpdateTimeout`).
const DEFERRED_MAX: SimDuration = SimDuration::from_secs(5 * 60);
/// A resize in progress for longer is abandoned (`InProgressResizeUpdateTimeout`).
const IN_PROGRESS_MAX: SimDuration = SimDuration::from_secs(60 * 60);

/// A pod's distance from its recommendation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdatePriority {
    /// A request is outside of its bounds.
    pub is_outside_bounds: bool,
    /// Whether a request increases.
    pub scales_up: bool,
    /// Difference of target and request as part of the request, over CPU and memory.
    pub difference: f64,
}

/// A pod with a node that is neither terminating nor finished, as seen by the updater, which lists no others.
#[derive(Clone, Debug)]
pub struct UpdaterPod<'a, P> {
    /// Identifies the pod.
    pub id: P,
    /// Pod name.
    pub name: Name,
    /// The number of the group of pods that share its owner; absent without an owner.
    pub group: Option<usize>,
    /// Whether its phase is Pending.
    pub is_pending: bool,
    /// `status.startTime`.
    pub start_time: Option<SimTime>,
    /// Its containers, with the amounts in force.
    pub containers: Vec<CappedContainer<'a>>,
    /// Containers observed by its webhook (annotation `vpaObservedContainers`); absent without the annotation.
    pub observed: Option<Vec<Name>>,
    /// Containers whose last run was OOM-killed, with its duration.
    pub ooms: Vec<(Name, SimDuration)>,
    /// State of a resize.
    pub resize: Option<ResizeState>,
    /// Whether some container restarts when it is resized.
    pub restarts_for_resize: bool,
}

/// State of a resize (`getResizeStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeState {
    /// The node currently lacks room.
    Deferred,
    /// The node is too small.
    Infeasible,
    /// It is under way.
    InProgress,
    /// It failed.
    Error,
    /// Its conditions match none of the other states.
    Unknown,
}

impl ResizeState {
    /// Whether a resize first seen `waited` ago has failed, so that the pod may be evicted
    /// (`CanEvictInPlacingPod`).
    pub fn has_failed(self, waited: SimDuration) -> bool {
        match self {
            Self::Deferred => waited > DEFERRED_MAX,
            Self::InProgress => waited > IN_PROGRESS_MAX,
            Self::Infeasible | Self::Error | Self::Unknown => true,
        }
    }
}

impl<P> UpdaterPod<'_, P> {
    fn is_observed(&self, container: &str) -> bool {
        let observed = self.observed.as_ref();
        observed.is_none_or(|all| all.iter().any(|name| **name == *container))
    }

    /// Whether a container that the VPA looks after ran out of memory soon after its start, in its last run.
    pub(crate) fn has_quick_oom(&self, spec: &VpaSpec, settings: &VpaSettings) -> bool {
        let own = spec.evict_after_oom.filter(|_| settings.has_per_vpa_config);
        let threshold = own.unwrap_or(settings.evict_after_oom_threshold);
        let is_off = |name: &Name| spec.policy_of(name).is_some_and(|policy| policy.is_off);
        self.ooms
            .iter()
            .any(|(name, lasted)| self.is_observed(name) && !is_off(name) && *lasted < threshold)
    }
}

/// The priority of a pod under a recommendation (`GetUpdatePriority`).
pub fn priority<P>(
    pod: &UpdaterPod<'_, P>,
    recommendation: &[ContainerRecommendation],
) -> UpdatePriority {
    let mut priority = UpdatePriority::default();
    let (mut requested, mut recommended) = ([0_i64; 2], [None::<i64>; 2]);
    for container in pod.containers.iter().filter(|one| pod.is_observed(one.name)) {
        let own = recommendation.iter().find(|one| one.container == *container.name);
        let Some(own) = own else { continue };
        for (resource, target) in own.target.iter() {
            let sum = &mut recommended[resource as usize];
            *sum = Some(sum.unwrap_or(0).saturating_add(target.milli_value()));
            let Some(request) = container.requests.get(resource.as_str()) else {
                // Without a request, nothing is inside the bounds.
                priority.is_outside_bounds = true;
                priority.scales_up = true;
                continue;
            };
            let sum = &mut requested[resource as usize];
            *sum = sum.saturating_add(request.milli_value());
            priority.scales_up |= target.milli_value() > request.milli_value();
            let nanos = request.nanos();
            let (lower, upper) = (own.lower_bound.get(resource), own.upper_bound.get(resource));
            priority.is_outside_bounds |= lower.is_some_and(|bound| nanos < bound.nanos())
                || upper.is_some_and(|bound| nanos > bound.nanos());
        }
    }
    for (request, target) in requested.into_iter().zip(recommended) {
        let Some(target) = target else { continue };
        let request = (request as f64).max(1.0);
        priority.difference += (request - target as f64).abs() / request;
    }
    priority
}

/// Whether the requirements allow a pod to be disturbed: one of the containers that are recommended anything
/// has to meet all of them (`scalingDirectionPodEvictionAdmission`). A requirement is met where one of its
/// resources changes in its direction.
pub(crate) fn is_admitted<P>(
    pod: &UpdaterPod<'_, P>,
    recommendation: &[ContainerRecommendation],
    requirements: Option<&[EvictionRequirement]>,
) -> bool {
    let Some(requirements) = requirements else { return true };
    pod.containers.iter().any(|container| {
        let own = recommendation.iter().find(|one| one.container == *container.name);
        let Some(own) = own else { return false };
        let request = |resource: Resource| container.requests.get(resource.as_str());
        let meets = |requirement: &EvictionRequirement| {
            Resource::ALL.into_iter().any(|resource| {
                let is_meant = match resource {
                    Resource::Cpu => requirement.cpu,
                    Resource::Memory => requirement.memory,
                };
                let milli = |amount: Option<units::Quantity>| {
                    amount.map_or(0, units::Quantity::milli_value)
                };
                let (request, target) = (milli(request(resource)), milli(own.target.get(resource)));
                is_meant && if requirement.higher { target > request } else { target < request }
            })
        };
        Resource::ALL.into_iter().any(|resource| request(resource).is_none())
            || requirements.iter().all(meets)
    })
}

/// Whether a pod should be updated for its distance from the recommendation. A pod OOM-killed soon after its start
/// need not be old, nor far from its target; but something must change (`AddPod`).
pub(crate) fn is_to_be_updated(
    priority: UpdatePriority,
    has_quick_oom: bool,
    start_time: Option<SimTime>,
    now: SimTime,
    settings: &VpaSettings,
) -> bool {
    if has_quick_oom && priority.difference == 0.0 {
        return false;
    }
    if has_quick_oom || priority.is_outside_bounds {
        return true;
    }
    start_time.is_some_and(|start| now >= start + settings.eviction_lifetime_threshold)
        && priority.difference >= settings.pod_update_threshold
}

/// The pods of an owner, and the number of them that may be disturbed (`singleGroupStats`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Configured replicas.
    pub configured: i64,
    /// Pods that are not Pending.
    pub running: i64,
    /// Pods that may be disrupted at a time.
    pub tolerance: i64,
    /// Pods already disturbed in this pass.
    pub disturbed: i64,
    /// Fewer pods than the minimum, so that none is evicted.
    pub is_below_min: bool,
}

impl Group {
    /// A group with these numbers of configured, live and pending pods; `None` if it must not be updated
    /// (`GetCreatorMaps`).
    #[expect(clippy::cast_possible_truncation, reason = "cut as in Go")]
    pub fn new(
        configured: i64,
        live: i64,
        pending: i64,
        spec: &VpaSpec,
        settings: &VpaSettings,
    ) -> Option<Self> {
        let least = spec.min_replicas.unwrap_or(settings.min_replicas);
        let is_below_min = live < i64::from(least);
        let skips = settings.in_place_skip_disruption_budget && spec.mode.resizes();
        if is_below_min && !skips {
            return None;
        }
        let tolerance = (configured as f64 * settings.eviction_tolerance) as i64;
        let running = live - pending;
        Some(Self { configured, running, tolerance, disturbed: 0, is_below_min })
    }

    /// Whether one more may be disturbed: the tolerance's part of them, and one where that would be none
    /// although all run (`isPodDisruptable`).
    pub const fn is_disruptable(&self) -> bool {
        let should_live = self.configured - self.tolerance;
        self.running - self.disturbed > should_live
            || (self.configured == self.running && self.tolerance == 0 && self.disturbed == 0)
    }
}

/// Whether some target is lower than the one that was tried
/// (`hasLowerResourceRecommendation`).
pub(crate) fn has_lower_target(
    tried: &[ContainerRecommendation],
    now: &[ContainerRecommendation],
) -> bool {
    now.iter().any(|one| {
        let earlier = tried.iter().find(|other| other.container == one.container);
        earlier.is_some_and(|earlier| {
            one.target.iter().any(|(resource, target)| {
                earlier.target.get(resource).is_some_and(|tried| target.nanos() < tried.nanos())
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::hpa::ObjectReference;
    use cluster::pod_template::ResourceList;
    use cluster::vpa::{Amounts, UpdateMode};
    use units::{Bytes, MilliCpu, Quantity};

    fn recommendation() -> ContainerRecommendation {
        let amounts = |cpu, memory| Amounts::new(MilliCpu(cpu), Bytes(memory));
        ContainerRecommendation {
            container: "app".into(),
            target: amounts(200, 1000),
            lower_bound: amounts(100, 500),
            upper_bound: amounts(400, 2000),
            uncapped_target: amounts(200, 1000),
        }
    }

    fn requests(cpu: i64, memory: Option<i64>) -> ResourceList {
        let memory = memory.map(|memory| ("memory", Quantity::from_bytes(memory)));
        [("cpu", Quantity::from_milli(cpu))].into_iter().chain(memory).collect()
    }

    fn with<T>(requests: &[ResourceList], judge: impl Fn(&UpdaterPod<'_, ()>) -> T) -> T {
        let (name, limits) = (Name::from("app"), ResourceList::default());
        let containers = requests
            .iter()
            .map(|requests| CappedContainer { name: &name, requests, limits: &limits })
            .collect();
        judge(&UpdaterPod {
            id: (),
            name: "web-0".into(),
            group: None,
            is_pending: false,
            start_time: None,
            containers,
            observed: None,
            ooms: Vec::new(),
            resize: None,
            restarts_for_resize: false,
        })
    }

    fn priority_of(cpu: i64, memory: Option<i64>) -> UpdatePriority {
        with(&[requests(cpu, memory)], |pod| priority(pod, &[recommendation()]))
    }

    #[test]
    fn outside_of_the_bounds_a_pod_goes_at_once_inside_only_when_it_is_old() {
        let settings = VpaSettings::default();
        let (young, old) = (SimTime::from_secs(86_300), SimTime::ZERO);
        let now = SimTime::from_secs(86_400);
        let goes = |cpu, start, has_oom| {
            let priority = priority_of(cpu, Some(1000));
            is_to_be_updated(priority, has_oom, Some(start), now, &settings)
        };
        assert!(goes(50, young, false));
        assert!(!goes(150, young, false));
        assert!(goes(150, old, false));
        assert!(!goes(195, old, false));
        // After a kill for lack of memory every difference counts, but there must be one.
        assert!(goes(195, young, true));
        assert!(!goes(200, young, true));
        assert!(priority_of(150, Some(1000)).scales_up);
    }

    #[test]
    fn half_of_the_replicas_may_go_and_one_of_a_lone_one() {
        let disturbable = |configured: i64, running: i64| {
            let mut group =
                Group { configured, running, tolerance: configured / 2, ..Group::default() };
            while group.is_disruptable() && group.disturbed < configured {
                group.disturbed += 1;
            }
            group.disturbed
        };
        assert_eq!(disturbable(4, 4), 2);
        assert_eq!(disturbable(4, 3), 1);
        assert_eq!(disturbable(4, 2), 0);
        assert_eq!(disturbable(1, 1), 1);
    }

    #[test]
    fn too_few_pods_are_left_alone_unless_they_are_resized_where_they_run() {
        let spec = |mode| VpaSpec {
            target: ObjectReference {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "web".into(),
            },
            mode,
            min_replicas: None,
            policies: Vec::new(),
            eviction_requirements: None,
            evict_after_oom: None,
        };
        let settings = VpaSettings::default();
        assert_eq!(Group::new(1, 1, 0, &spec(UpdateMode::Recreate), &settings), None);
        let settings = VpaSettings { in_place_skip_disruption_budget: true, ..settings };
        let group = Group::new(1, 1, 0, &spec(UpdateMode::InPlaceOrRecreate), &settings);
        assert!(group.is_some_and(|group| group.is_below_min));
    }

    #[test]
    fn what_is_not_recommended_does_not_matter_and_what_is_not_requested_lies_outside() {
        let mut cpu_only = recommendation();
        for list in [&mut cpu_only.target, &mut cpu_only.lower_bound, &mut cpu_only.upper_bound] {
            list.memory = None;
        }
        let judged =
            with(&[requests(200, Some(1_000_000))], |pod| priority(pod, &[cpu_only.clone()]));
        assert_eq!(judged, UpdatePriority::default());
        let without = priority_of(200, None);
        assert!(without.is_outside_bounds && without.scales_up);
    }

    #[test]
    fn all_requirements_must_be_met_by_one_container_and_each_by_one_resource() {
        let requirement = |cpu, memory, higher| EvictionRequirement { cpu, memory, higher };
        let grows = [requirement(true, true, true)];
        let admitted = |all: &[ResourceList], requirements: &[EvictionRequirement]| {
            with(all, |pod| is_admitted(pod, &[recommendation()], Some(requirements)))
        };
        assert!(admitted(&[requests(100, Some(2000))], &grows), "CPU grows");
        assert!(!admitted(&[requests(300, Some(2000))], &grows));
        let both = [requirement(true, false, true), requirement(false, true, true)];
        assert!(!admitted(&[requests(100, Some(2000))], &both));
        assert!(admitted(&[requests(100, None)], &both), "no request can be compared with");
        let split = [requests(100, Some(2000)), requests(300, Some(500))];
        assert!(!admitted(&split, &both));
        assert!(admitted(&[requests(300, Some(2000))], &[]));
    }

    #[test]
    fn a_resize_that_cannot_be_is_given_up_at_once_and_a_deferred_one_after_five_minutes() {
        let minutes = |minutes: i64| SimDuration::from_secs(minutes * 60);
        assert!(ResizeState::Infeasible.has_failed(minutes(0)));
        assert!(!ResizeState::Deferred.has_failed(minutes(5)));
        assert!(ResizeState::Deferred.has_failed(minutes(6)));
        assert!(!ResizeState::InProgress.has_failed(minutes(60)));
        assert!(ResizeState::InProgress.has_failed(minutes(61)));
    }
}
