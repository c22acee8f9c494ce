//! Limits of the current step of a rolling update (`pkg/controller/deployment/rolling.go` and
//! `util/deployment_util.go`, 1.36).

use cluster::deployment::DeploymentStrategy;

/// `maxSurge` and `maxUnavailable` as numbers of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fenceposts {
    /// Pods above the wanted number.
    pub surge: i32,
    /// Pods that may be missing.
    pub unavailable: i32,
}

/// Size and state of a ReplicaSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetSize {
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.availableReplicas`.
    pub available: i32,
}

/// The limits of a strategy: surge rounds up, unavailable rounds down and is at most the wanted
/// number; where both come out as 0, one pod may be unavailable, or nothing could move
/// (`ResolveFenceposts`). Recreate has neither.
pub(crate) fn fenceposts(strategy: DeploymentStrategy, wanted: i32) -> Fenceposts {
    let DeploymentStrategy::RollingUpdate { max_surge, max_unavailable } = strategy else {
        return Fenceposts::default();
    };
    let surge = max_surge.scaled(wanted, true);
    let mut unavailable = max_unavailable.scaled(wanted, false);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    Fenceposts { surge, unavailable: unavailable.min(wanted) }
}

/// The size that the new set may have now, when all sets together have `total` (`NewRSNewReplicas`,
/// `reconcileNewReplicaSet`).
///
/// ```
/// use wavetank::controllers::deployment::rolling::{Fenceposts, new_set_replicas};
/// let fenceposts = Fenceposts { surge: 1, unavailable: 1 };
/// // 4 wanted, 3 old and 1 new: 5 - 4 = 1 more.
/// assert_eq!(new_set_replicas(4, fenceposts, 4, 1), 2);
/// ```
pub(crate) fn new_set_replicas(
    wanted: i32,
    fenceposts: Fenceposts,
    total: i32,
    new_set: i32,
) -> i32 {
    let room = wanted + fenceposts.surge - total;
    if new_set >= wanted {
        wanted
    } else if room <= 0 {
        new_set
    } else {
        new_set + room.min(wanted - new_set)
    }
}

/// New sizes of the old sets, given oldest first (`reconcileOldReplicaSets`), as pairs of position and size in the
/// order of scaling: unavailable replicas are removed first, since they would block the rollout; then healthy ones as
/// long as enough remain available.
pub(crate) fn old_set_replicas(
    wanted: i32,
    fenceposts: Fenceposts,
    old: &[SetSize],
    new: SetSize,
) -> Vec<(usize, i32)> {
    let active = || old.iter().enumerate().filter(|(_, set)| set.replicas > 0);
    let mut scaled: Vec<(usize, i32)> = Vec::new();
    let min_available = wanted - fenceposts.unavailable;
    let total = active().map(|(_, set)| set.replicas).sum::<i32>() + new.replicas;
    let new_unavailable = new.replicas - new.available;
    let mut unhealthy_may_go = total - min_available - new_unavailable;
    for (position, set) in active() {
        if unhealthy_may_go <= 0 {
            break;
        }
        if set.available > set.replicas {
            // Its status predates its last scaling, so the number of healthy pods is unknown.
            return scaled;
        }
        let unhealthy = unhealthy_may_go.min(set.replicas - set.available);
        if unhealthy > 0 {
            scaled.push((position, set.replicas - unhealthy));
            unhealthy_may_go -= unhealthy;
        }
    }
    if total - min_available - new_unavailable <= 0 {
        return scaled;
    }
    // Pods still shown in the status of a set that was scaled to 0 before no longer count.
    let available = active().map(|(_, set)| set.available).sum::<i32>() + new.available;
    let mut healthy_may_go = (available - min_available).max(0);
    for (position, set) in active() {
        let known = scaled.iter().position(|(other, _)| *other == position);
        let size = known.map_or(set.replicas, |known| scaled[known].1);
        let going = size.min(healthy_may_go);
        healthy_may_go -= going;
        match known {
            Some(known) => scaled[known].1 -= going,
            None if going > 0 => scaled.push((position, size - going)),
            None => {}
        }
    }
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::deployment::IntOrPercent::{Int, Percent};

    fn rolling(surge: i32, unavailable: i32, wanted: i32) -> Fenceposts {
        let strategy = DeploymentStrategy::RollingUpdate {
            max_surge: Percent(surge),
            max_unavailable: Percent(unavailable),
        };
        fenceposts(strategy, wanted)
    }

    fn set(replicas: i32, available: i32) -> SetSize {
        SetSize { replicas, available }
    }

    #[test]
    fn a_rollout_can_always_move() {
        assert_eq!(rolling(0, 10, 5), Fenceposts { surge: 0, unavailable: 1 });
        assert_eq!(rolling(1, 0, 5), Fenceposts { surge: 1, unavailable: 0 });
        assert_eq!(rolling(25, 25, 7), Fenceposts { surge: 2, unavailable: 1 });
        let strategy =
            DeploymentStrategy::RollingUpdate { max_surge: Int(0), max_unavailable: Int(9) };
        assert_eq!(fenceposts(strategy, 3).unavailable, 3);
        assert_eq!(fenceposts(DeploymentStrategy::Recreate, 3), Fenceposts::default());
    }

    #[test]
    fn unavailable_old_pods_go_before_any_healthy_one() {
        // 5 wanted, none may be missing: 4 healthy and 1 broken old pods, 1 new pod starts.
        let limits = Fenceposts { surge: 1, unavailable: 0 };
        assert!(old_set_replicas(5, limits, &[set(3, 3), set(2, 1)], set(1, 0)).is_empty());
        assert_eq!(old_set_replicas(5, limits, &[set(3, 3), set(2, 1)], set(1, 1)), [(1, 1)]);
        let both = old_set_replicas(5, limits, &[set(3, 3), set(2, 1)], set(3, 3));
        assert_eq!(both, [(1, 1), (0, 1)], "in the order of the two passes");
    }

    #[test]
    fn a_set_whose_status_lags_behind_its_scaling_holds_the_rest_back() {
        let limits = Fenceposts { surge: 2, unavailable: 1 };
        assert!(old_set_replicas(4, limits, &[set(3, 4), set(2, 2)], set(1, 1)).is_empty());
    }

    #[test]
    fn healthy_old_pods_go_as_new_ones_become_available() {
        let limits = Fenceposts { surge: 1, unavailable: 1 };
        assert_eq!(old_set_replicas(4, limits, &[set(4, 4)], set(1, 0)), [(0, 3)]);
        assert_eq!(old_set_replicas(4, limits, &[set(3, 3)], set(2, 2)), [(0, 1)]);
    }

    #[test]
    fn pods_of_a_set_that_was_scaled_to_zero_are_available_to_nobody() {
        let limits = Fenceposts { surge: 1, unavailable: 0 };
        assert_eq!(old_set_replicas(4, limits, &[set(0, 3), set(4, 3)], set(1, 1)), [(1, 3)]);
    }
}
