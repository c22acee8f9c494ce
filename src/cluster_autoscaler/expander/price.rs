//! The expander `price` (`cluster-autoscaler/expander/price`).

use std::cmp::Ordering;

use super::{ExpanderContext, ExpansionOption};
use crate::gpu::has_gpu;
use crate::report::PriceScore;
use cluster::node::Node;
use cluster::pod_template::ResourceList;
use units::Quantity;

/// Fixed unfitness of nodes with GPUs.
const GPU_UNFITNESS: f64 = 1000.0;
/// CPU (m) and memory (bytes) of the pod whose price is added to both sides, to dampen the effect of very few pods.
const STABILIZATION_POD: (i64, i64) = (500, 500 << 20);

/// Preferred CPU of a node in a cluster with this many nodes, in millicores (`SimplePreferredNodeProvider`).
fn preferred_cpu(nodes: usize) -> i64 {
    match nodes {
        0..=2 => 1000,
        3..=6 => 2000,
        7..=20 => 4000,
        21..=60 => 8000,
        61..=200 => 16_000,
        _ => 32_000,
    }
}

/// Ratio of the larger to the smaller of the node's and the preferred size (`SimpleNodeUnfitness`).
fn unfitness(preferred: i64, node: &Node) -> f64 {
    let cpu = node.capacity.get("cpu").map_or(0, Quantity::milli_value);
    let (preferred, cpu) = (preferred as f64, cpu as f64);
    (preferred / cpu).max(cpu / preferred)
}

/// The options with the lowest score, which is stored in each; options without a price are left out.
pub(super) fn cheapest(
    options: &mut [ExpansionOption],
    left: &[usize],
    context: &ExpanderContext<'_>,
) -> Vec<usize> {
    let (cpu, memory) = STABILIZATION_POD;
    let requests: ResourceList =
        [("cpu", Quantity::from_milli(cpu)), ("memory", Quantity::from_bytes(memory))]
            .into_iter()
            .collect();
    let base = context.cloud.pod_price(&requests);
    let preferred = preferred_cpu(context.node_count);
    let mut best: Vec<usize> = Vec::new();
    let mut lowest = 0.0;
    for at in left {
        let option = &mut options[*at];
        let Some(template) = context.templates.get(&option.name) else { continue };
        let Some(price) = context.cloud.node_price(&option.name) else { continue };
        let nodes = price * option.nodes as f64;
        let mut pods = 0.0;
        for pod in &option.pods {
            pods += context.cloud.pod_price(&pod.facts.requests);
        }
        let unfitness = unfitness(preferred, &template.node);
        let is_gpu = has_gpu(&template.node, context.cloud.gpu_label());
        let suppressed = if is_gpu { GPU_UNFITNESS } else { suppressed(unfitness, option.nodes) };
        let ratio = (nodes + base) / (pods + base);
        let score = suppressed * ratio;
        option.price = Some(PriceScore { nodes, pods, ratio, unfitness, suppressed, score });
        match score.partial_cmp(&lowest) {
            _ if best.is_empty() => {
                best = vec![*at];
                lowest = score;
            }
            Some(Ordering::Less) => {
                best = vec![*at];
                lowest = score;
            }
            Some(Ordering::Equal) => best.push(*at),
            _ => {}
        }
    }
    best
}

/// The unfitness of an option with several nodes: its effect vanishes as the number grows.
fn suppressed(unfitness: f64, nodes: i64) -> f64 {
    (unfitness - 1.0) * (1.0 - libm::tanh((nodes - 1) as f64 / 15.0)) + 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_the_cluster_the_larger_the_node_that_suits_it() {
        let sizes = [2, 3, 6, 7, 20, 21, 60, 61, 200, 201].map(preferred_cpu);
        assert_eq!(sizes, [1, 2, 2, 4, 4, 8, 8, 16, 16, 32].map(|cores| cores * 1000));
    }

    #[test]
    fn unfitness_is_the_same_both_ways_and_matters_less_with_more_nodes() {
        let node = crate::nodes::tests::node("a");
        assert!((unfitness(8000, &node) - 2.0).abs() < 1e-12);
        assert!((unfitness(2000, &node) - 2.0).abs() < 1e-12);
        assert!((suppressed(8.0, 1) - 8.0).abs() < 1e-12);
        assert!(suppressed(8.0, 2) < 8.0 && suppressed(8.0, 100) < 1.01);
    }
}
