//! Distributes a Deployment's change of size among its ReplicaSets (`scale` of `pkg/controller/deployment/sync.go`,
//! 1.36).

use std::cmp::Reverse;

use engine::SimTime;

/// A ReplicaSet that has replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveSet {
    /// `spec.replicas`.
    pub replicas: i32,
    /// Annotation `deployment.kubernetes.io/max-replicas`: wanted number and surge when the set
    /// was last scaled.
    pub max_replicas: Option<i32>,
    /// When it was created.
    pub created: SimTime,
}

/// The size of the Deployment to be shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// `spec.replicas`.
    pub wanted: i32,
    /// The surge allowed.
    pub surge: i32,
    /// `status.replicas`: replaces a missing annotation.
    pub observed: i32,
}

/// The new sizes of several active sets, in proportion to their current ones, as pairs of position and size in
/// the order in which the sets are scaled: the largest first, which also gets the remainder of rounding.
///
/// ```
/// use wavetank::controllers::deployment::scaling::{ActiveSet, Target, proportional};
/// use wavetank::engine::SimTime;
/// // 10 replicas with surge 3, 8 old and 5 new, are scaled to 15: 8 × 18/13 = 11, and the other
/// // two of five go to the new set.
/// let set = |replicas, at| {
///     ActiveSet { replicas, max_replicas: Some(13), created: SimTime::from_secs(at) }
/// };
/// let target = Target { wanted: 15, surge: 3, observed: 13 };
/// assert_eq!(proportional(&[set(5, 60), set(8, 0)], target), [(1, 11), (0, 7)]);
/// ```
pub fn proportional(sets: &[ActiveSet], target: Target) -> Vec<(usize, i32)> {
    let allowed = if target.wanted > 0 { target.wanted + target.surge } else { 0 };
    let to_add = allowed - sets.iter().map(|set| set.replicas).sum::<i32>();
    let mut added = 0;
    let mut sizes: Vec<(usize, i32)> = in_order(sets, to_add)
        .into_iter()
        .map(|position| {
            let left = to_add - added;
            let share = match to_add {
                _ if left == 0 => 0,
                1.. => share_of(sets[position], target).min(left),
                _ => share_of(sets[position], target).max(left),
            };
            added += share;
            (position, sets[position].replicas + share)
        })
        .collect();
    if let Some((_, largest)) = sizes.first_mut()
        && to_add != 0
    {
        *largest = (*largest + to_add - added).max(0);
    }
    sizes
}

/// Positions from the largest set to the smallest; of equal ones the younger comes first when the Deployment grows,
/// the older when it shrinks (`ReplicaSetsBySizeNewer`, `ReplicaSetsBySizeOlder`). Unsorted if there is nothing to
/// distribute.
fn in_order(sets: &[ActiveSet], to_add: i32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sets.len()).collect();
    let size = |position: &usize| Reverse(sets[*position].replicas);
    match to_add {
        0 => {}
        1.. => order.sort_by_key(|at| (size(at), Reverse(sets[*at].created))),
        _ => order.sort_by_key(|at| (size(at), sets[*at].created)),
    }
    order
}

/// Change of a set's size under proportional scaling (`getReplicaSetFraction`).
fn share_of(set: ActiveSet, target: Target) -> i32 {
    if target.wanted == 0 {
        return -set.replicas;
    }
    let before = set.max_replicas.filter(|max| *max != 0).unwrap_or(target.observed);
    if before == 0 {
        return 0;
    }
    let product = f64::from(set.replicas.wrapping_mul(target.wanted + target.surge));
    round_to_i32(product / f64::from(before)) - set.replicas
}

/// Half away from zero, as Kubernetes' `RoundToInt32` does.
#[expect(clippy::cast_possible_truncation, reason = "cutting off the fraction is meant")]
fn round_to_i32(value: f64) -> i32 {
    if value < 0.0 { (value - 0.5) as i32 } else { (value + 0.5) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets of these sizes, created one after another.
    fn sets(replicas: &[i32], max_replicas: i32) -> Vec<ActiveSet> {
        let set = |(at, replicas): (i64, &i32)| ActiveSet {
            replicas: *replicas,
            max_replicas: Some(max_replicas),
            created: SimTime::from_secs(at),
        };
        (0..).zip(replicas).map(set).collect()
    }

    fn scaled(sets: &[ActiveSet], wanted: i32, surge: i32) -> Vec<(usize, i32)> {
        let observed = sets.iter().map(|set| set.replicas).sum();
        proportional(sets, Target { wanted, surge, observed })
    }

    #[test]
    fn shares_never_add_up_to_more_than_the_change() {
        assert_eq!(scaled(&sets(&[3, 3], 6), 6, 1), [(1, 4), (0, 3)]);
        assert_eq!(scaled(&sets(&[3, 3], 6), 4, 1), [(0, 2), (1, 3)]);
    }

    #[test]
    fn scaling_to_zero_empties_every_set() {
        assert_eq!(scaled(&sets(&[8, 5], 13), 0, 3), [(0, 0), (1, 0)]);
    }

    #[test]
    fn of_equal_sets_the_age_decides_and_not_which_of_them_is_current() {
        // After a rollback the current set, the last, is the older one.
        let mut sets = sets(&[3, 3], 6);
        sets.reverse();
        assert_eq!(scaled(&sets, 6, 1), [(0, 4), (1, 3)]);
        assert_eq!(scaled(&sets, 4, 1), [(1, 2), (0, 3)]);
    }
}
