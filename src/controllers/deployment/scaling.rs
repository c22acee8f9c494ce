//! How a Deployment's change of size is shared among its ReplicaSets (`scale` of
//! `pkg/controller/deployment/sync.go`, 1.36).

/// A ReplicaSet that has replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveSet {
    /// `spec.replicas`.
    pub replicas: i32,
    /// Annotation `deployment.kubernetes.io/max-replicas`: wanted number and surge when the set
    /// was last scaled.
    pub max_replicas: Option<i32>,
}

/// The size of the Deployment to be shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// `spec.replicas`.
    pub wanted: i32,
    /// The surge allowed.
    pub surge: i32,
    /// `status.replicas`: stands in for a missing annotation.
    pub observed: i32,
}

/// The sizes that several active sets, oldest first, get in proportion to what they have. Rounding
/// leftovers go to the largest.
///
/// ```
/// use wavetank::controllers::deployment::scaling::{ActiveSet, Target, proportional};
/// // 10 replicas with surge 3, 8 old and 5 new, are scaled to 15: 8 × 18/13 = 11, and the other
/// // two of five go to the new set.
/// let set = |replicas| ActiveSet { replicas, max_replicas: Some(13) };
/// let target = Target { wanted: 15, surge: 3, observed: 13 };
/// assert_eq!(proportional(&[set(8), set(5)], target), [11, 7]);
/// ```
pub fn proportional(sets: &[ActiveSet], target: Target) -> Vec<i32> {
    let mut sizes: Vec<i32> = sets.iter().map(|set| set.replicas).collect();
    let allowed = if target.wanted > 0 { target.wanted + target.surge } else { 0 };
    let to_add = allowed - sizes.iter().sum::<i32>();
    if to_add == 0 {
        return sizes;
    }
    let mut added = 0;
    let order = by_size(sets, to_add > 0);
    for &position in &order {
        let share = share_of(sets[position], target);
        let left = to_add - added;
        let share = if to_add > 0 { share.min(left) } else { share.max(left) };
        let share = if left == 0 { 0 } else { share };
        sizes[position] += share;
        added += share;
    }
    if let Some(&largest) = order.first() {
        sizes[largest] = (sizes[largest] + to_add - added).max(0);
    }
    sizes
}

/// Positions from the largest set to the smallest; of equal ones the newer is first when the
/// Deployment grows, the older when it shrinks.
fn by_size(sets: &[ActiveSet], newer_first: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sets.len()).collect();
    if newer_first {
        order.reverse();
    }
    order.sort_by_key(|position| std::cmp::Reverse(sets[*position].replicas));
    order
}

/// What a set gains or loses if everything scales alike (`getReplicaSetFraction`).
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

    fn sizes(replicas: &[i32], max_replicas: i32, wanted: i32, surge: i32) -> Vec<i32> {
        let sets: Vec<ActiveSet> = replicas
            .iter()
            .map(|&replicas| ActiveSet { replicas, max_replicas: Some(max_replicas) })
            .collect();
        let observed = replicas.iter().sum();
        proportional(&sets, Target { wanted, surge, observed })
    }

    #[test]
    fn shares_never_add_up_to_more_than_the_change() {
        // 5 → 6 with two equal sets: the newer gets the one replica when growing, ...
        assert_eq!(sizes(&[3, 3], 6, 6, 1), [3, 4]);
        // ... and the older loses it when shrinking.
        assert_eq!(sizes(&[3, 3], 6, 4, 1), [2, 3]);
    }

    #[test]
    fn scaling_to_zero_empties_every_set() {
        assert_eq!(sizes(&[8, 5], 13, 0, 3), [0, 0]);
    }
}
