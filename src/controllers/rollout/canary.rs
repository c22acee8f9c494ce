//! Pods of the new and the stable version of a canary (`utils/replicaset/canary.go`, Argo Rollouts 1.9.1).

use cluster::deployment::IntOrPercent;
use cluster::rollout::{CanaryStrategy, TrafficWeights};

/// Size and state of a ReplicaSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetSize {
    /// `spec.replicas`.
    pub replicas: i32,
    /// `status.availableReplicas`.
    pub available: i32,
}

/// Pods above and below the wanted number that an update may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fenceposts {
    /// Pods above.
    pub surge: i32,
    /// Pods that may be missing.
    pub unavailable: i32,
}

/// Pods that the two versions should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of the new version.
    pub new: i32,
    /// Of the stable version.
    pub stable: i32,
}

/// A canary whose weight is the share of its pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasicCanary {
    /// `spec.replicas`.
    pub wanted: i32,
    /// The share of the new version, of `max_weight`.
    pub weight: i32,
    /// All of them.
    pub max_weight: i32,
    /// Limits of `maxSurge` and `maxUnavailable` in pods.
    pub fenceposts: Fenceposts,
    /// The new version; absent until its ReplicaSet exists.
    pub new: Option<SetSize>,
    /// The stable version, if there is one and it is not the new one.
    pub stable: Option<SetSize>,
    /// The stable version, even if it is the new one.
    pub stable_or_new: Option<SetSize>,
    /// `spec.replicas` of all other versions.
    pub others: i32,
}

/// The share that both bounds default to.
const DEFAULT_BOUND: IntOrPercent = IntOrPercent::Percent(25);

/// The bounds of a canary: surge rounds up, unavailable down; if both come out as 0, one pod may be missing
/// (`MaxSurge`, `MaxUnavailable`).
pub(crate) fn fenceposts(canary: &CanaryStrategy, wanted: i32) -> Fenceposts {
    let surge = canary.max_surge.unwrap_or(DEFAULT_BOUND).scaled(wanted, true);
    let unavailable = canary.max_unavailable.unwrap_or(DEFAULT_BOUND).scaled(wanted, false);
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    Fenceposts { surge, unavailable: unavailable.min(wanted) }
}

/// Pods of both versions whose shares come nearest to a weight (`approximateWeightedCanaryStableReplicaCounts`). With
/// a surge they may be one more than wanted; between 0 and 100 % neither gets none where there are two.
///
/// ```
/// use wavetank::controllers::rollout::canary::{Counts, nearest};
/// // 20 % of 4: 1 of 5 is exact, if one more is allowed; else 1 of 4 is nearer than 0.
/// assert_eq!(nearest(4, (20, 100), 1), Counts { new: 1, stable: 4 });
/// assert_eq!(nearest(4, (20, 100), 0), Counts { new: 1, stable: 3 });
/// ```
#[expect(clippy::cast_possible_truncation, reason = "whole numbers in the range of pods")]
pub fn nearest(wanted: i32, (weight, max_weight): (i32, i32), surge: i32) -> Counts {
    if wanted == 0 {
        return Counts::default();
    }
    let exact = f64::from(wanted) * f64::from(weight) / f64::from(max_weight);
    let (above, below) = (libm::ceil(exact) as i32, libm::floor(exact) as i32);
    let zero_is_allowed = weight == max_weight || weight == 0 || (wanted == 1 && surge == 0);
    // Pairs of canary and total.
    let mut options: Vec<(i32, i32)> = Vec::new();
    if above < wanted || zero_is_allowed {
        options.push((above, wanted));
    }
    let below_is_allowed = below != 0 || zero_is_allowed;
    if !is_tied(weight, max_weight, wanted) && below_is_allowed {
        options.push((below, wanted));
    }
    if surge > 0 {
        options.push((above, wanted + 1));
        if !is_tied(weight, max_weight, wanted + 1) && below_is_allowed {
            options.push((below, wanted + 1));
        }
    }
    let distance = |(canary, total): (i32, i32)| {
        let share = f64::from(canary) * f64::from(max_weight) / f64::from(total);
        (share - f64::from(weight)).abs()
    };
    let Some(mut best) = options.first().copied() else {
        return Counts { new: 0, stable: wanted };
    };
    for option in &options[1..] {
        if distance(*option) < distance(best) {
            best = *option;
        }
    }
    Counts { new: best.0, stable: best.1 - best.0 }
}

/// Whether the next numbers above and below are equally far from the weight (`floorCeilingTied`).
#[expect(clippy::float_cmp, reason = "the controller compares so")]
fn is_tied(weight: i32, max_weight: i32, total: i32) -> bool {
    let exact = f64::from(total) * (f64::from(weight) / f64::from(max_weight));
    exact - libm::trunc(exact) == 0.5
}

/// Pods that both versions get now, within surge and unavailability (`CalculateReplicaCountsForBasicCanary`): the
/// stable version grows first, versions other than these two shrink first.
pub fn basic(canary: &BasicCanary) -> Counts {
    let BasicCanary { wanted, fenceposts, new, stable, others, .. } = *canary;
    let goal = match stable {
        Some(_) => nearest(wanted, (canary.weight, canary.max_weight), fenceposts.surge),
        // Without another stable version there are no steps: the new one gets everything.
        None => Counts { new: wanted, stable: 0 },
    };
    let size = |set: Option<SetSize>| set.map_or(0, |set| set.replicas);
    let mut counts = Counts { new: size(new), stable: size(stable) };
    let most = wanted + fenceposts.surge;
    let mut room = most - (others + size(new) + size(stable));
    if stable.is_some() && counts.stable < goal.stable && room > 0 {
        let grown = (counts.stable + room).min(goal.stable);
        room = if counts.stable + room < goal.stable {
            0
        } else {
            room - (goal.stable - counts.stable)
        };
        counts.stable = grown;
    }
    if new.is_some() && counts.new < goal.new && room > 0 {
        counts.new = (counts.new + room).min(goal.new);
    }
    if others > 0 {
        return counts;
    }
    shrink(canary, goal, most, counts)
}

/// Takes pods from the version whose share falls, as far as enough remain available.
fn shrink(canary: &BasicCanary, goal: Counts, most: i32, mut counts: Counts) -> Counts {
    let BasicCanary { wanted, fenceposts, new, stable, .. } = *canary;
    let least = wanted - fenceposts.unavailable;
    let is_increasing = new.is_none_or(|new| goal.new >= new.replicas);
    let standing = standing(new, !is_increasing) + standing(canary.stable_or_new, is_increasing);
    if standing <= least {
        return counts;
    }
    let may_go = standing - least;
    if !is_increasing {
        counts.new = drained(new, goal.new, may_go, counts.new);
        (counts.new, counts.stable) =
            within_limits((new, counts.new), (canary.stable_or_new, counts.stable), most, least);
    } else if stable.is_some() {
        counts.stable = drained(stable, goal.stable, may_go, counts.stable);
        (counts.stable, counts.new) =
            within_limits((stable, counts.stable), (new, counts.new), most, least);
    }
    counts
}

/// Pods of a set that count when another one shrinks (`GetReplicasForScaleDown`).
fn standing(set: Option<SetSize>, ignores_availability: bool) -> i32 {
    set.map_or(0, |set| {
        if set.replicas < set.available || ignores_availability {
            set.replicas
        } else {
            set.available
        }
    })
}

/// `calculateScaleDownReplicaCount`.
fn drained(set: Option<SetSize>, goal: i32, may_go: i32, count: i32) -> i32 {
    match set {
        Some(set) if set.replicas > goal => goal.max(set.replicas - may_go),
        _ => count,
    }
}

/// Keeps the sum of both within the most pods, without making too many unavailable
/// (`adjustReplicaWithinLimits`); returns the counts of both.
fn within_limits(
    (drained, mut drained_count): (Option<SetSize>, i32),
    (other, mut other_count): (Option<SetSize>, i32),
    most: i32,
    least: i32,
) -> (i32, i32) {
    let Some(other) = other else { return (drained_count, other_count) };
    let over = (other_count + drained_count - most).max(0);
    let of_drained = drained.map_or(0, |set| set.available.min(drained_count));
    other_count -= over;
    let available = of_drained + other.available.min(other_count);
    let lost = (other.available - other_count).max(0);
    let missing = (least - available).max(0);
    other_count += lost.min(missing);
    drained_count -= (other_count + drained_count - most).max(0);
    (drained_count, other_count)
}

/// A canary whose weight is carried by a traffic router.
#[derive(Clone, Copy, Debug)]
pub struct RoutedCanary<'a> {
    /// `spec.replicas`.
    pub wanted: i32,
    /// The pods that `setCanaryScale` asks for.
    pub set_replicas: Option<i32>,
    /// The share of the new version, of `max_weight`.
    pub weight: i32,
    /// All of them.
    pub max_weight: i32,
    /// `dynamicStableScale`.
    pub is_dynamic: bool,
    /// `minPodsPerReplicaSet`.
    pub min_pods: i32,
    /// The weights that the router has.
    pub weights: Option<&'a TrafficWeights>,
    /// Whether the update is aborted.
    pub is_aborted: bool,
}

/// Pods of both versions with traffic routing (`CalculateReplicaCountsForTrafficRoutedCanary`): the stable version keeps
/// all, unless it is scaled dynamically.
pub fn routed(canary: &RoutedCanary<'_>) -> Counts {
    let RoutedCanary { wanted, max_weight, min_pods, .. } = *canary;
    let share = |weight: i32| pods_of_weight(wanted, weight, max_weight);
    let at_least = |count: i32| if count == 0 { 0 } else { count.max(min_pods) };
    let mut new = canary.set_replicas.unwrap_or_else(|| at_least(share(canary.weight)));
    if !canary.is_dynamic {
        return Counts { new, stable: wanted };
    }
    let mut stable = share(max_weight - canary.weight);
    if let Some(weights) = canary.weights {
        stable = stable.max(share(weights.stable));
        if canary.is_aborted {
            new = new.max(share(weights.canary));
        }
    }
    Counts { new: at_least(new), stable: at_least(stable) }
}

/// Pods for a weight, rounded up (`trafficWeightToReplicas`).
#[expect(clippy::cast_possible_truncation, reason = "whole numbers in the range of pods")]
pub(crate) fn pods_of_weight(wanted: i32, weight: i32, max_weight: i32) -> i32 {
    libm::ceil(f64::from(weight) * f64::from(wanted) / f64::from(max_weight)) as i32
}

/// `count * part / whole`, rounded down: a product of pods and weight may exceed 32 bits.
pub fn proportion(count: i32, part: i32, whole: i32) -> i32 {
    let share = i64::from(count) * i64::from(part) / i64::from(whole);
    i32::try_from(share).unwrap_or(i32::MAX)
}

/// Whether enough pods of a version are available for a step to be complete (`ReplicaProgressThresholdMet`).
pub(crate) fn has_progressed(
    threshold: Option<IntOrPercent>,
    set: Option<SetSize>,
    wanted: i32,
) -> bool {
    let Some(set) = set else { return false };
    match threshold {
        None => wanted == set.replicas && wanted == set.available,
        Some(IntOrPercent::Percent(_)) if wanted == 0 => true,
        Some(IntOrPercent::Percent(percent)) => {
            let reached = f64::from(set.available) / f64::from(wanted) * 100.0;
            let least = f64::from(percent);
            reached >= least || (reached - least).abs() <= 1e-10
        }
        Some(IntOrPercent::Int(pods)) => set.available >= pods,
    }
}

#[cfg(test)]
#[path = "canary_tests.rs"]
mod tests;
