//! The expander `least-waste` (`cluster-autoscaler/expander/waste`).

use std::cmp::Ordering;

use super::{ExpanderContext, ExpansionOption};
use cluster::node::Node;
use units::Quantity;

/// The fraction of the new nodes' CPU that the option's pods do not request, plus that of the memory. Relative to
/// capacity, not allocatable.
///
/// 5 pods of 1 CPU and 2 GiB on 2 nodes of 4 CPUs and 16 GiB: 3/8 + 22/32 = 1.0625.
pub(crate) fn waste(option: &ExpansionOption, node: &Node) -> f64 {
    let wasted = |resource: &str, value: fn(Quantity) -> i64| {
        let zero = Quantity::from_units(0);
        let requests = option.pods.iter().filter_map(|pod| pod.facts.requests.get(resource));
        let requested = requests.fold(zero, |sum, amount| sum + amount);
        let capacity = node.capacity.get(resource).map_or(0, value);
        let available = capacity.saturating_mul(option.nodes);
        available.saturating_sub(value(requested)) as f64 / available as f64
    };
    wasted("cpu", Quantity::milli_value) + wasted("memory", Quantity::value)
}

/// The options with the least waste.
pub(super) fn least_waste(
    options: &[ExpansionOption],
    left: &[usize],
    context: &ExpanderContext<'_>,
) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::new();
    let mut least = 0.0;
    for at in left {
        let Some(template) = context.templates.get(&options[*at].name) else { continue };
        let wasted = waste(&options[*at], &template.node);
        match wasted.partial_cmp(&least) {
            _ if best.is_empty() => {
                least = wasted;
                best = vec![*at];
            }
            Some(Ordering::Less) => {
                least = wasted;
                best = vec![*at];
            }
            Some(Ordering::Equal) => best.push(*at),
            _ => {}
        }
    }
    best
}
