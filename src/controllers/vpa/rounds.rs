//! A round of the updater: selects pods to resize or evict, in order, as long as enough of the others are undisturbed
//! (`RunOnce` of `pkg/updater/logic`).

use std::collections::BTreeMap;

use super::settings::VpaSettings;
use super::updater::{
    Group, ResizeState, UpdatePriority, UpdaterPod, has_lower_target, is_admitted,
    is_to_be_updated, priority,
};
use cluster::meta::Name;
use cluster::vpa::{ContainerRecommendation, UpdateMode, VpaSpec};
use cluster::vpa_admission::{AdmittedResources, admitted};
use cluster::vpa_capping::{NamespaceLimits, capped};
use engine::{SimDuration, SimTime};

/// Inputs of a round.
#[derive(Clone, Debug)]
pub struct Round<'a, P> {
    /// When it begins.
    pub now: SimTime,
    /// The VPA.
    pub spec: &'a VpaSpec,
    /// The VPA's recommendation; absent until there is one.
    pub recommendation: Option<&'a [ContainerRecommendation]>,
    /// The LimitRanges of its namespace.
    pub limits: &'a NamespaceLimits,
    /// Its pods, as they are listed.
    pub pods: Vec<UpdaterPod<'a, P>>,
    /// Groups of pods with a common owner; absent for groups that must not be disturbed.
    pub groups: Vec<Option<Group>>,
    /// The flags.
    pub settings: &'a VpaSettings,
}

/// The API calls of a round.
pub trait UpdaterApi<P> {
    /// Evicts a pod at the given time; returns whether it was evicted.
    fn evict(&mut self, pod: &P, at: SimTime) -> bool;
    /// Resizes a pod; returns whether the request was accepted.
    fn resize(&mut self, pod: &P, resources: &[AdmittedResources]) -> bool;
    /// The place of a pod among candidates of equal priority. The real order is that of the list only while
    /// they are few.
    fn rank(&self, _: &P) -> usize {
        0
    }
}

/// State of the updater between rounds.
#[derive(Clone, Debug)]
pub struct UpdaterMemory<P> {
    /// When a pod of this name was first seen being resized. Nothing ever resets it.
    first_seen: BTreeMap<Name, SimTime>,
    /// The recommendations of the last infeasible attempt.
    infeasible: BTreeMap<P, Vec<ContainerRecommendation>>,
    evictions: RateLimiter,
    resizes: RateLimiter,
}

impl<P> Default for UpdaterMemory<P> {
    fn default() -> Self {
        Self::new(0.0, 0)
    }
}

/// The in-place action possible for a pod (`InPlaceDecision`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Approved,
    Deferred,
    Evict,
    Infeasible,
    /// It is infeasible, and was tried already.
    Tried,
}

impl<P> UpdaterMemory<P> {
    /// An updater with `--eviction-rate-limit` and `--eviction-rate-burst`; a limit of 0 or less is none.
    pub const fn new(evictions_per_second: f64, burst: i64) -> Self {
        let limiter = RateLimiter::new(evictions_per_second, burst);
        Self {
            first_seen: BTreeMap::new(),
            infeasible: BTreeMap::new(),
            evictions: limiter,
            resizes: limiter,
        }
    }
}

impl<P: Ord + Clone> UpdaterMemory<P> {
    /// Resizes or evicts pods.
    pub fn run(&mut self, mut round: Round<'_, P>, api: &mut dyn UpdaterApi<P>) {
        let spec = round.spec;
        if !spec.mode.updates() {
            return;
        }
        let deadline = round.now + round.settings.updater_interval;
        let pods = &round.pods;
        self.infeasible.retain(|id, _| pods.iter().any(|pod| pod.id == *id));
        let mut to_evict = Vec::new();
        if !spec.mode.resizes() {
            let meant = (0..round.pods.len()).filter(|pod| self.can_evict(&round, *pod));
            to_evict = meant.collect();
            to_evict = self.in_order(&round, to_evict, api);
        } else if spec.mode != UpdateMode::InPlace || round.settings.has_in_place_mode {
            let meant = (0..round.pods.len()).filter(|pod| {
                let only_resizes = spec.mode == UpdateMode::InPlace;
                match self.decide(&round, *pod) {
                    Decision::Approved => true,
                    Decision::Infeasible | Decision::Deferred => only_resizes,
                    Decision::Evict => !only_resizes,
                    Decision::Tried => false,
                }
            });
            let meant = meant.collect();
            for pod in self.in_order(&round, meant, api) {
                match self.resize(&mut round, pod, deadline, api) {
                    Resized::Done => {}
                    Resized::Evict => to_evict.push(pod),
                    Resized::OutOfTime => return,
                }
            }
        }
        for pod in to_evict {
            if !self.can_evict(&round, pod) {
                continue;
            }
            let Some(at) = self.evictions.wait(round.now, deadline) else { return };
            round.now = at;
            let UpdaterPod { id, group, is_pending, .. } = &round.pods[pod];
            if api.evict(id, at) && !is_pending {
                disturb(&mut round.groups, *group);
            }
        }
    }

    /// Candidates far enough from the recommendation: those scaling up first, then by decreasing distance from their
    /// target (`getPodsUpdateOrder`).
    fn in_order(
        &self,
        round: &Round<'_, P>,
        meant: Vec<usize>,
        api: &dyn UpdaterApi<P>,
    ) -> Vec<usize> {
        let Round { spec, limits, settings, now, .. } = *round;
        let given = round.recommendation.unwrap_or_default();
        let chosen = meant.into_iter().filter_map(|place| {
            let pod = &round.pods[place];
            let own = capped(spec, given, &pod.containers, limits).ok()?.recommendation;
            let tried = self.infeasible.get(&pod.id).filter(|_| spec.mode == UpdateMode::InPlace);
            if tried.is_some_and(|tried| !has_lower_target(tried, &own)) {
                return None;
            }
            let priority = priority(pod, &own);
            let has_quick_oom = pod.has_quick_oom(spec, settings);
            let is_far = is_to_be_updated(priority, has_quick_oom, pod.start_time, now, settings);
            let is_far = is_far && is_admitted(pod, &own, spec.eviction_requirements.as_deref());
            is_far.then_some((priority, place))
        });
        let mut chosen: Vec<(UpdatePriority, usize)> = chosen.collect();
        chosen.sort_by(|(one, this), (other, that)| {
            let up = other.scales_up.cmp(&one.scales_up);
            let further = || other.difference.total_cmp(&one.difference);
            let rank = |place: usize| api.rank(&round.pods[place].id);
            up.then_with(further).then_with(|| rank(*this).cmp(&rank(*that)))
        });
        chosen.into_iter().map(|(_, place)| place).collect()
    }

    /// `CanEvict`.
    fn can_evict(&mut self, round: &Round<'_, P>, pod: usize) -> bool {
        let pod = &round.pods[pod];
        let Some(group) = group_of(&round.groups, pod.group) else { return false };
        match pod.resize {
            _ if pod.is_pending => true,
            _ if group.is_below_min => false,
            Some(resize) => self.has_failed(pod, resize, &group, round.now),
            None => group.is_disruptable(),
        }
    }

    /// Whether a pod that is being resized may be evicted (`CanEvictInPlacingPod`).
    fn has_failed(
        &mut self,
        pod: &UpdaterPod<'_, P>,
        resize: ResizeState,
        group: &Group,
        now: SimTime,
    ) -> bool {
        let since = *self.first_seen.entry(pod.name.clone()).or_insert(now);
        group.is_disruptable() && resize.has_failed(now - since)
    }

    /// `CanInPlaceUpdate`.
    fn decide(&mut self, round: &Round<'_, P>, pod: usize) -> Decision {
        let pod = &round.pods[pod];
        let group = group_of(&round.groups, pod.group).filter(|_| !pod.is_pending);
        let (Some(group), Some(recommendation)) = (group, round.recommendation) else {
            return Decision::Deferred;
        };
        let only_resizes = round.spec.mode == UpdateMode::InPlace;
        let tried = self.infeasible.get(&pod.id).filter(|_| only_resizes);
        if tried.is_some_and(|tried| !has_lower_target(tried, recommendation)) {
            return Decision::Tried;
        }
        match pod.resize {
            Some(ResizeState::Infeasible | ResizeState::Error) if only_resizes => {
                Decision::Infeasible
            }
            Some(_) if only_resizes => Decision::Deferred,
            Some(resize) if self.has_failed(pod, resize, &group, round.now) => Decision::Evict,
            None if round.settings.in_place_skip_disruption_budget && !pod.restarts_for_resize => {
                Decision::Approved
            }
            None if group.is_disruptable() => Decision::Approved,
            Some(_) | None => Decision::Deferred,
        }
    }

    fn resize(
        &mut self,
        round: &mut Round<'_, P>,
        place: usize,
        deadline: SimTime,
        api: &mut dyn UpdaterApi<P>,
    ) -> Resized {
        let only_resizes = round.spec.mode == UpdateMode::InPlace;
        let decision = self.decide(round, place);
        let pod = &round.pods[place];
        let recommendation = round.recommendation.unwrap_or_default();
        match decision {
            // In a mode that never evicts, a deferred resize is requested again.
            Decision::Deferred if !only_resizes => return Resized::Done,
            Decision::Tried => return Resized::Done,
            Decision::Evict => return Resized::Evict,
            Decision::Infeasible => {
                self.infeasible.insert(pod.id.clone(), recommendation.to_vec());
            }
            Decision::Approved | Decision::Deferred => {}
        }
        let Some(at) = self.resizes.wait(round.now, deadline) else { return Resized::OutOfTime };
        round.now = at;
        let is_in_group = group_of(&round.groups, pod.group).is_some();
        let resources = admitted(round.spec, recommendation, &pod.containers, round.limits);
        let is_taken = resources.is_ok_and(|resources| {
            let says_something =
                |one: &AdmittedResources| !one.requests.is_empty() || !one.limits.is_empty();
            is_in_group && resources.iter().any(says_something) && api.resize(&pod.id, &resources)
        });
        if is_taken {
            let group = pod.group;
            disturb(&mut round.groups, group);
            Resized::Done
        } else if only_resizes {
            Resized::Done
        } else {
            Resized::Evict
        }
    }
}

/// Outcome of an attempt to resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resized {
    Done,
    Evict,
    OutOfTime,
}

fn group_of(groups: &[Option<Group>], group: Option<usize>) -> Option<Group> {
    *groups.get(group?)?
}

fn disturb(groups: &mut [Option<Group>], group: Option<usize>) {
    if let Some(Some(group)) = group.and_then(|group| groups.get_mut(group)) {
        group.disturbed += 1;
    }
}

/// A bucket of tokens (`golang.org/x/time/rate`).
#[derive(Clone, Copy, Debug, PartialEq)]
struct RateLimiter {
    per_second: f64,
    burst: i64,
    tokens: f64,
    last: Option<SimTime>,
}

impl RateLimiter {
    const fn new(per_second: f64, burst: i64) -> Self {
        Self { per_second, burst, tokens: burst as f64, last: None }
    }

    /// Time at which a token is available, if before the deadline.
    #[expect(clippy::cast_possible_truncation, reason = "cut as in Go")]
    fn wait(&mut self, now: SimTime, deadline: SimTime) -> Option<SimTime> {
        if self.per_second <= 0.0 {
            return Some(now);
        }
        if self.burst < 1 {
            return None;
        }
        let since = now - self.last.unwrap_or(now);
        let full = self.tokens + since.as_secs_f64().max(0.0) * self.per_second;
        let tokens = full.min(self.burst as f64) - 1.0;
        let delay = if tokens < 0.0 {
            SimDuration::from_nanos((1e9 * (-tokens / self.per_second)) as i64)
        } else {
            SimDuration::ZERO
        };
        if now + delay > deadline {
            return None;
        }
        (self.tokens, self.last) = (tokens, Some(now));
        Some(now + delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_lets_a_burst_through_and_then_one_at_a_time_until_the_round_is_over() {
        let at = |seconds: f64| SimTime::from_secs_f64(seconds);
        let mut limiter = RateLimiter::new(0.1, 2);
        let deadline = at(15.0);
        assert_eq!(limiter.wait(at(0.0), deadline), Some(at(0.0)));
        assert_eq!(limiter.wait(at(0.0), deadline), Some(at(0.0)));
        assert_eq!(limiter.wait(at(0.0), deadline), Some(at(10.0)));
        assert_eq!(limiter.wait(at(10.0), deadline), None);
        assert_eq!(RateLimiter::new(0.0, 0).wait(at(1.0), deadline), Some(at(1.0)));
    }
}
