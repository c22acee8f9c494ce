//! NodeResourcesBalancedAllocation: prefers nodes on which the pod makes resource utilization more balanced.

use super::super::framework::{
    CycleContext, MAX_NODE_SCORE, PreScore, Scope, ScorePlugin, score_by,
};
use super::resource_allocation::{Allocation, ResourceAllocation, ResourceWeight, Usage};

/// The plugin with its arguments.
#[derive(Clone, Debug)]
pub struct BalancedAllocation {
    /// The resources to balance; weights are ignored.
    pub resources: Vec<ResourceWeight>,
}

impl Default for BalancedAllocation {
    fn default() -> Self {
        Self { resources: ResourceWeight::cpu_and_memory() }
    }
}

/// Score of a node: 75 if the pod leaves the balance unchanged, up to 100 if it improves it.
fn balance_score(
    before: impl Iterator<Item = Allocation>,
    after: impl Iterator<Item = Allocation>,
) -> i64 {
    let half = MAX_NODE_SCORE / 2;
    half + (half + evenness(after) - evenness(before)) / 2
}

/// Evenness of the used fractions: 100 less 100 times their standard deviation, truncated.
#[expect(clippy::cast_possible_truncation, reason = "the result is between 0 and 100")]
fn evenness(resources: impl Iterator<Item = Allocation>) -> i64 {
    let fraction = |one: Allocation| (one.requested as f64 / one.allocatable as f64).min(1.0);
    let mut resources = resources.map(fraction);
    let deviation = match (resources.next(), resources.next(), resources.next()) {
        (None, ..) | (_, None, _) => 0.0,
        (Some(first), Some(second), None) => ((first - second) / 2.0).abs(),
        (Some(first), Some(second), Some(third)) => {
            let many: Vec<f64> = [first, second, third].into_iter().chain(resources).collect();
            let mean = many.iter().sum::<f64>() / many.len() as f64;
            let squares = many.iter().map(|fraction| (fraction - mean) * (fraction - mean));
            (squares.sum::<f64>() / many.len() as f64).sqrt()
        }
    };
    ((1.0 - deviation) * MAX_NODE_SCORE as f64) as i64
}

impl ScorePlugin for BalancedAllocation {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, _: &[usize]) -> PreScore<'c> {
        let requests = &cycle.pod.class.requests;
        let allocation = ResourceAllocation::new(&self.resources, Usage::Requested, requests);
        if allocation.requests_none() {
            return None;
        }
        score_by(move |node| balance_score(allocation.before(node), allocation.of(node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(cpu: (i64, i64), memory: (i64, i64)) -> impl Iterator<Item = Allocation> {
        let one = |(requested, allocatable)| Allocation { requested, allocatable, weight: 1 };
        [one(cpu), one(memory)].into_iter()
    }

    #[test]
    fn the_three_worked_examples_of_the_golden_data_hold() {
        // a: before |0.25-0.125|/2 -> 93; with |0.375-0.375| -> 100.
        assert_eq!(balance_score(two((2, 8), (1, 8)), two((3, 8), (3, 8))), 78);
        // b: before 0.75/0.75 -> 100; with |0.875-1.0|/2 -> 93.
        assert_eq!(balance_score(two((6, 8), (6, 8)), two((7, 8), (8, 8))), 71);
        // c: before 0/0 -> 100; with |0.0625-0.25|/2 -> 90.
        assert_eq!(balance_score(two((0, 16), (0, 16)), two((1, 16), (4, 16))), 70);
    }

    #[test]
    fn what_is_overcommitted_counts_as_full() {
        let full = balance_score(two((8, 8), (8, 8)), two((8, 8), (8, 8)));
        assert_eq!(balance_score(two((16, 8), (8, 8)), two((24, 8), (8, 8))), full);
    }
}
