//! The warm-up of a starter scenario: a generous estimate of the time until all pods are ready.

use super::Models;
use super::llm::{
    IMAGE_PULL_SECONDS as MODEL_PULL_SECONDS, LOAD_GIGABYTES_PER_SECOND, START_SECONDS,
};
use super::sizing::Pool;
use crate::inventory::Inventory;

/// Guessed time to pull an image [s].
const IMAGE_PULL_SECONDS: i64 = 10;
/// Half of a scenario's duration.
const PULLS_MAX_MINUTES: i64 = 30;
/// Minimum with models, and without.
const LEAST_MINUTES: (i64, i64) = (10, 5);

/// Minutes until all pods are up: a node pulls images one after another, nodes get unequal numbers of pods, and servers of
/// language models load their weights.
pub(super) fn warm_up_minutes(inventory: &Inventory, pools: &[Pool], models: &Models<'_>) -> i64 {
    let pods: i128 = inventory.workloads.values().map(|one| i128::from(one.replicas.max(0))).sum();
    let of_pools: i64 = pools.iter().map(|pool| pool.count).sum();
    let nodes = of_pools.max(i64::try_from(inventory.nodes.len()).unwrap_or(i64::MAX)).max(1);
    let images = i64::try_from(pods).unwrap_or(i64::MAX) / nodes;
    let pulls = images.saturating_mul(IMAGE_PULL_SECONDS * 3 / 2) / 60 + 2;
    let least = if models.is_empty() { LEAST_MINUTES.1 } else { LEAST_MINUTES.0 };
    (pulls.min(PULLS_MAX_MINUTES) + loading_minutes(models)).max(least)
}

/// Time until the largest model is loaded, from the pull of its server's image.
fn loading_minutes(models: &Models<'_>) -> i64 {
    let bytes = models.values().map(|(served, _)| served.model.weight_bytes());
    let largest = bytes.fold(0.0, f64::max);
    if largest <= 0.0 {
        return 0;
    }
    let seconds = MODEL_PULL_SECONDS + START_SECONDS + largest / (LOAD_GIGABYTES_PER_SECOND * 1e9);
    minutes(libm::ceil(seconds / 60.0))
}

#[expect(clippy::cast_possible_truncation, reason = "models of the catalog load in minutes")]
const fn minutes(number: f64) -> i64 {
    number as i64
}

/// The duration of a scenario with this warm-up, which leaves at least half an hour for requests.
pub(super) const fn duration_hours(warm_up_minutes: i64) -> i64 {
    (warm_up_minutes + 30 + 59) / 60
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::PodShape;
    use cluster::ObjectReference;
    use std::collections::BTreeMap;

    #[test]
    fn the_warm_up_is_as_long_as_nodes_pull_images() {
        let workload = |replicas| PodShape { replicas, ..PodShape::default() };
        let minutes = |replicas: i64| {
            let id: ObjectReference = "Deployment/web".parse().expect("a reference");
            let workloads = BTreeMap::from([(id, workload(replicas))]);
            warm_up_minutes(&Inventory { workloads, ..Inventory::default() }, &[], &BTreeMap::new())
        };
        // On one node: 24 images of 10 s take 4 minutes, half as long again 6.
        assert_eq!([1, 24, 10_000].map(minutes), [5, 8, 30]);
    }

    #[test]
    fn a_long_warm_up_leaves_half_an_hour() {
        assert_eq!([5, 30, 31, 90, 91].map(duration_hours), [1, 1, 2, 2, 3]);
    }
}
