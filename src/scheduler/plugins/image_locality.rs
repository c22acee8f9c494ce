//! ImageLocality: prefers nodes that already have the pod's images.

use super::super::cache::Cache;
use super::super::framework::{CycleContext, MAX_NODE_SCORE, PreScore, ScorePlugin, score_by};
use super::super::node_info::NodeInfo;
use cluster::Name;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct ImageLocality;

const MEBIBYTE: i64 = 1024 * 1024;
/// Less than this in images on a node counts as nothing, in bytes.
const MIN_THRESHOLD: i64 = 23 * MEBIBYTE;
/// More than this for each container counts as this, in bytes.
const MAX_CONTAINER_THRESHOLD: i64 = 1000 * MEBIBYTE;

/// Score (0 to 100) of a node holding images of `sum` weighted bytes, for this number of containers.
fn image_score(sum: i64, containers: usize) -> i64 {
    let containers = i64::try_from(containers).unwrap_or(i64::MAX);
    let most = MAX_CONTAINER_THRESHOLD.saturating_mul(containers);
    // Written out because `clamp` panics for a pod without containers.
    let sum = if sum < MIN_THRESHOLD { MIN_THRESHOLD } else { sum.min(most) };
    MAX_NODE_SCORE * (sum - MIN_THRESHOLD) / (most - MIN_THRESHOLD)
}

impl ScorePlugin for ImageLocality {
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        cycle.pod.class.images.iter().all(|image| cycle.cache.image(image).is_none())
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, _: &[usize]) -> PreScore<'c> {
        let (cache, images) = (cycle.cache, &cycle.pod.class.images);
        score_by(move |node| {
            let worth = images.iter().map(|image| worth(cache, image, node));
            image_score(worth.sum(), images.len())
        })
    }
}

/// An image's size on a node, scaled down while few nodes have it, lest all its pods crowd there.
#[expect(clippy::cast_possible_truncation, reason = "a size times a fraction is a size")]
fn worth(cache: &Cache, image: &Name, node: &NodeInfo) -> i64 {
    if !node.images.iter().any(|(name, _)| name == image) {
        return 0;
    }
    let Some(state) = cache.image(image) else { return 0 };
    let spread = f64::from(state.nodes) / cache.node_count() as f64;
    (state.size.0 as f64 * spread) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_count_between_two_thresholds() {
        assert_eq!(image_score(0, 1), 0);
        assert_eq!(image_score(23 * MEBIBYTE, 1), 0);
        assert_eq!(image_score(2000 * MEBIBYTE, 1), 100);
        assert_eq!(image_score(500 * MEBIBYTE, 1), 48);
        assert_eq!(
            image_score(1000 * MEBIBYTE, 2),
            49,
            "each container has a threshold of its own"
        );
    }
}
