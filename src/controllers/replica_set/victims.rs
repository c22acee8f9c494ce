//! Which pods go first when a ReplicaSet shrinks (`ActivePodsWithRanks` of
//! `pkg/controller/controller_utils.go`, 1.36).

use std::cmp::Reverse;

use crate::cluster::pod::{PodPhase, RestartCounts};
use crate::engine::{SimDuration, SimTime};

/// Annotation that says how dear a pod is.
pub const DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What the ranking looks at of an active pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Decides between pods whose ages are alike: the lower goes first.
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

/// The positions of the `count` candidates that go.
///
/// The rule is not a total order (see [`goes_first`]), so this is a merge sort of our own: the
/// library's sorts may panic on such rules.
pub fn victims(candidates: &[Candidate], count: usize, now: SimTime) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    if count < candidates.len() {
        order = merge_sort(&order, &|left, right| {
            goes_first(&candidates[left], &candidates[right], now)
        });
        order.truncate(count);
    }
    order
}

/// Whether `one` goes before `other`.
///
/// Ages are compared by their order of magnitude, floor(log2(nanoseconds)), so that deletions
/// spread over pods of similar age; within one magnitude the UID decides, unless the times are
/// equal. Mixed with the rules after it, that is not transitive.
pub fn goes_first(one: &Candidate, other: &Candidate, now: SimTime) -> bool {
    let before_ages = |pod: &Candidate| {
        let phase = match pod.phase {
            PodPhase::Pending => 0,
            PodPhase::Unknown => 1,
            _ => 2,
        };
        let is_ready = pod.ready_since.is_some();
        (pod.is_assigned, phase, is_ready, pod.deletion_cost, Reverse(pod.colocated))
    };
    let (left, right) = (before_ages(one), before_ages(other));
    if left != right {
        return left < right;
    }
    if let (Some(since), Some(other_since)) = (one.ready_since, other.ready_since)
        && since != other_since
    {
        return is_younger((since, one.uid), (other_since, other.uid), now);
    }
    let restarts = |pod: &Candidate| {
        (Reverse(pod.restarts.containers_max), Reverse(pod.restarts.sidecars_max))
    };
    if restarts(one) != restarts(other) {
        return restarts(one) < restarts(other);
    }
    one.created != other.created
        && is_younger((one.created, one.uid), (other.created, other.uid), now)
}

/// Whether the first of two (time, UID) counts as younger.
fn is_younger(one: (SimTime, u64), other: (SimTime, u64), now: SimTime) -> bool {
    let (left, right) = (magnitude(now - one.0), magnitude(now - other.0));
    if left == right { one.1 < other.1 } else { left < right }
}

/// floor(log2(nanoseconds)); no age at all comes before all others.
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

fn merge_sort(items: &[usize], goes_first: &impl Fn(usize, usize) -> bool) -> Vec<usize> {
    if items.len() < 2 {
        return items.to_vec();
    }
    let (left, right) = items.split_at(items.len() / 2);
    let (left, right) = (merge_sort(left, goes_first), merge_sort(right, goes_first));
    let mut merged = Vec::with_capacity(items.len());
    let (mut from_left, mut from_right) = (0, 0);
    while from_left < left.len() && from_right < right.len() {
        if goes_first(right[from_right], left[from_left]) {
            merged.push(right[from_right]);
            from_right += 1;
        } else {
            merged.push(left[from_left]);
            from_left += 1;
        }
    }
    merged.extend_from_slice(&left[from_left..]);
    merged.extend_from_slice(&right[from_right..]);
    merged
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
    fn a_rule_that_is_no_order_still_gives_the_number_asked_for() {
        // By UID 1 < 2 < 3; by restarts 3 < 1, as their times are equal.
        let mut pods = [running(1, 100), running(2, 101), running(3, 100)];
        pods[2].restarts.containers_max = 1;
        let many: Vec<Candidate> = pods.iter().copied().cycle().take(100).collect();
        assert_eq!(victims(&many, 40, SimTime::ZERO).len(), 40);
    }
}
