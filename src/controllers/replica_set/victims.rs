//! Ranks the pods to delete when a ReplicaSet scales down (`ActivePodsWithRanks` of
//! `pkg/controller/controller_utils.go`, 1.36).

use std::cmp::Reverse;

use cluster::pod::{PodPhase, RestartCounts};
use engine::{SimDuration, SimTime};

/// Annotation with the deletion cost of a pod.
pub(crate) const DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The properties of an active pod used in the ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Tie-break between pods of similar age: the lower is deleted first.
    pub uid: u64,
    /// Whether it has a node.
    pub is_assigned: bool,
    /// Its phase.
    pub phase: PodPhase,
    /// Since when it is ready, if it is.
    pub ready_since: Option<SimTime>,
    /// Its deletion cost.
    pub deletion_cost: i32,
    /// Active pods of the same Deployment on its node.
    pub colocated: u32,
    /// Restarts of its containers.
    pub restarts: RestartCounts,
    /// When it was created.
    pub created: SimTime,
}

/// The positions of the `count` candidates to delete.
///
/// The rule is not a total order (see `Rank::goes_first`), so this is a custom merge sort: the library's sorts may
/// panic on such rules.
pub fn victims(candidates: &[Candidate], count: usize, now: SimTime) -> Vec<usize> {
    if count >= candidates.len() {
        return (0..candidates.len()).collect();
    }
    let ranks = candidates.iter().enumerate();
    let ranks: Vec<Rank> =
        ranks.map(|(position, candidate)| Rank::new(position, candidate, now)).collect();
    let mut order: Vec<&Rank> = ranks.iter().collect();
    sort_first(&mut order, count, &mut Vec::with_capacity(ranks.len()));
    order.iter().take(count).map(|rank| rank.position).collect()
}

/// The sort key of a candidate, computed once.
#[derive(Clone, Copy, Debug)]
struct Rank {
    position: usize,
    uid: u64,
    /// Criteria that take precedence over ages, from the highest bits down: whether it has a node, phase, readiness,
    /// deletion cost, and the number of sibling pods on its node (more = earlier).
    before_ages: u128,
    ready_since: Option<SimTime>,
    ready_magnitude: Option<u32>,
    restarts: (Reverse<u32>, Reverse<u32>),
    created: SimTime,
    created_magnitude: Option<u32>,
}

impl Rank {
    fn new(position: usize, candidate: &Candidate, now: SimTime) -> Self {
        let Candidate { uid, ready_since, created, restarts, .. } = *candidate;
        let phase = match candidate.phase {
            PodPhase::Pending => 0,
            PodPhase::Unknown => 1,
            _ => 2,
        };
        let before_cost =
            u128::from(candidate.is_assigned) << 3 | phase << 1 | u128::from(ready_since.is_some());
        // The lowest is zero.
        let cost = candidate.deletion_cost.abs_diff(i32::MIN);
        Self {
            position,
            uid,
            before_ages: before_cost << 64
                | u128::from(cost) << 32
                | u128::from(!candidate.colocated),
            ready_since,
            ready_magnitude: ready_since.and_then(|since| magnitude(now - since)),
            restarts: (Reverse(restarts.containers_max), Reverse(restarts.sidecars_max)),
            created,
            created_magnitude: magnitude(now - created),
        }
    }

    /// Whether this one is deleted before another.
    ///
    /// Ages are compared by order of magnitude, floor(log2(nanoseconds)), so that deletions spread over pods of
    /// similar age; within one magnitude the UID decides, unless the times are equal. Combined with the later
    /// criteria, this is not transitive.
    fn goes_first(&self, other: &Self) -> bool {
        if self.before_ages != other.before_ages {
            return self.before_ages < other.before_ages;
        }
        if self.ready_since.is_some() && self.ready_since != other.ready_since {
            return (self.ready_magnitude, self.uid) < (other.ready_magnitude, other.uid);
        }
        if self.restarts != other.restarts {
            return self.restarts < other.restarts;
        }
        self.created != other.created
            && (self.created_magnitude, self.uid) < (other.created_magnitude, other.uid)
    }
}

/// floor(log2(nanoseconds)); a missing age sorts before all others.
fn magnitude(age: SimDuration) -> Option<u32> {
    u64::try_from(age.as_nanos()).ok().and_then(u64::checked_ilog2)
}

/// The deletion cost that an annotation states; one that the API server would refuse counts as 0
/// (`GetDeletionCostFromPodAnnotations` of `pkg/apis/core/helper`).
pub fn deletion_cost(annotation: &str) -> i32 {
    let first = annotation.bytes().next();
    let is_valid = annotation == "0" || matches!(first, Some(b'-' | b'1'..=b'9'));
    if is_valid { annotation.parse().unwrap_or(0) } else { 0 }
}

/// Moves the first `count` elements of a merge sort by `Rank::goes_first` to the front: the head of two merged halves
/// depends only on the head of each. `merged` has capacity for all elements and is empty before and after.
fn sort_first<'a>(ranks: &mut [&'a Rank], count: usize, merged: &mut Vec<&'a Rank>) {
    if ranks.len() < 2 {
        return;
    }
    let (left, right) = ranks.split_at_mut(ranks.len() / 2);
    sort_first(left, count, merged);
    sort_first(right, count, merged);
    let mut left = &left[..count.min(left.len())];
    let mut right = &right[..count.min(right.len())];
    let count = count.min(left.len() + right.len());
    while merged.len() < count {
        let from = match (left, right) {
            ([first, ..], [other, ..]) if !other.goes_first(first) => &mut left,
            ([_, ..], []) => &mut left,
            _ => &mut right,
        };
        let Some((first, rest)) = from.split_first() else { break };
        merged.push(*first);
        *from = rest;
    }
    ranks[..merged.len()].copy_from_slice(merged);
    merged.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(uid: u64, ready_age_seconds: i64) -> Candidate {
        Candidate {
            uid,
            is_assigned: true,
            phase: PodPhase::Running,
            ready_since: Some(SimTime::from_secs(-ready_age_seconds)),
            deletion_cost: 0,
            colocated: 1,
            restarts: RestartCounts::default(),
            created: SimTime::from_secs(-ready_age_seconds),
        }
    }

    #[test]
    fn costs_with_a_plus_or_leading_zeros_are_refused() {
        assert_eq!(deletion_cost("-7"), -7);
        assert_eq!(deletion_cost("0"), 0);
        assert_eq!(deletion_cost("+3"), 0);
        assert_eq!(deletion_cost("007"), 0);
        assert_eq!(deletion_cost("9999999999"), 0);
    }

    #[test]
    fn ages_compare_by_powers_of_two_nanoseconds() {
        // 2^36 ns = 68.7 s lies between 68 s and 69 s; 69 s and 137 s share a magnitude.
        let (old, young) = (running(1, 69), running(2, 68));
        assert_eq!(victims(&[old, young], 1, SimTime::ZERO), [1]);
        let (old, young) = (running(1, 137), running(2, 69));
        assert_eq!(victims(&[young, old], 1, SimTime::ZERO), [1]);
    }

    #[test]
    fn the_first_are_the_same_however_many_are_asked_for() {
        // Ages of several magnitudes, some of them equal, so that the rule is no order.
        let candidates: Vec<Candidate> = (0..37)
            .map(|at: u8| running(u64::from(at) * 7919 % 37, 1 + i64::from(at % 9) * 40))
            .collect();
        let all = victims(&candidates, 36, SimTime::ZERO);
        for count in 1..36 {
            assert_eq!(victims(&candidates, count, SimTime::ZERO), all[..count]);
        }
    }

    #[test]
    fn a_rule_that_is_no_order_still_gives_the_number_asked_for() {
        // By UID 1 < 2 < 3; by restarts 3 < 1, as their times are equal.
        let mut pods = [running(1, 100), running(2, 101), running(3, 100)];
        pods[2].restarts.containers_max = 1;
        let many: Vec<Candidate> = pods.iter().copied().cycle().take(100).collect();
        assert_eq!(victims(&many, 40, SimTime::ZERO).len(), 40);
    }

    #[test]
    fn of_equal_pods_the_one_whose_containers_and_then_whose_sidecars_restarted_most_goes_first() {
        let restarted = |containers_max, sidecars_max| Candidate {
            restarts: RestartCounts { containers_max, sidecars_max },
            ..running(1, 100)
        };
        let first = |pods: &[Candidate]| victims(pods, 1, SimTime::ZERO);
        assert_eq!(first(&[restarted(0, 1), restarted(0, 3), restarted(0, 2)]), [1]);
        assert_eq!(first(&[restarted(0, 9), restarted(1, 0), restarted(0, 2)]), [1]);
    }
}
