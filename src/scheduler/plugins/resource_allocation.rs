//! Requested and allocatable amounts of the scored resources on a node, and the scoring strategies over them
//! (`noderesources/resource_allocation.go` and related files, 1.36).

use super::super::framework::MAX_NODE_SCORE;
use super::super::node_info::NodeInfo;
use super::super::resources::{Resources, is_scalar_resource};
use cluster::Name;

/// A resource that counts in a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceWeight {
    /// The resource.
    pub name: Name,
    /// Its weight, at least 1.
    pub weight: i64,
}

impl ResourceWeight {
    /// CPU and memory, equally.
    pub(crate) fn cpu_and_memory() -> Vec<Self> {
        ["cpu", "memory"].map(|name| Self { name: name.into(), weight: 1 }).into()
    }
}

/// Direction in which utilization affects the score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScoringStrategy {
    /// The emptier the better.
    LeastAllocated,
    /// The fuller the better.
    MostAllocated,
    /// A broken line from utilisation (percent) to score (0 to 100), utilisation ascending.
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

/// One scored resource on one node, with the incoming pod there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Requested by all pods, the incoming one included.
    pub requested: i64,
    /// Allocatable amount on the node; never 0.
    pub allocatable: i64,
    /// The resource's weight.
    pub weight: i64,
}

impl ScoringStrategy {
    /// Score of a node (0 to 100) over the resources that it has.
    pub fn score(&self, resources: impl Iterator<Item = Allocation>) -> i64 {
        let (mut sum, mut weights) = (0i64, 0i64);
        for one in resources {
            let score = match self {
                Self::LeastAllocated => least_allocated(one.requested, one.allocatable),
                Self::MostAllocated => most_allocated(one.requested, one.allocatable),
                Self::RequestedToCapacityRatio(shape) => {
                    let score = along(shape, utilization(one.requested, one.allocatable));
                    if score <= 0 {
                        continue;
                    }
                    score
                }
            };
            sum += score * one.weight;
            weights += one.weight;
        }
        match self {
            _ if weights == 0 => 0,
            Self::RequestedToCapacityRatio(_) => rounded_half_up(sum, weights),
            // By far the most common: CPU and memory, equally. A constant needs no division.
            _ if weights == 2 => sum / 2,
            _ => sum / weights,
        }
    }
}

/// `part * 100 / whole`, cut to an integer; `whole` is not 0.
#[expect(clippy::cast_possible_truncation, reason = "at most 100")]
fn percentage(part: i64, whole: i64) -> i64 {
    /// A whole below this (64 TiB, in bytes) times 100 is a float without loss, and the next integer above a
    /// quotient is further away (1 / whole) than the quotient's float can be wrong (half of 2^-46).
    const EXACT: i64 = 1 << 46;
    if 0 <= part && part <= whole && whole < EXACT {
        // Several times as fast as a 64-bit integer division, which would run for each resource on each changed node.
        ((part * MAX_NODE_SCORE) as f64 / whole as f64) as i64
    } else {
        part.saturating_mul(MAX_NODE_SCORE) / whole
    }
}

fn least_allocated(requested: i64, allocatable: i64) -> i64 {
    if requested > allocatable {
        return 0;
    }
    percentage(allocatable - requested, allocatable)
}

fn most_allocated(requested: i64, allocatable: i64) -> i64 {
    // Pods without requests count as something, so that more than all can be requested.
    percentage(requested.min(allocatable), allocatable)
}

fn utilization(requested: i64, allocatable: i64) -> i64 {
    if requested > allocatable { 100 } else { percentage(requested, allocatable) }
}

/// The broken line's value, cut to an integer between two points.
fn along(shape: &[(i64, i64)], utilization: i64) -> i64 {
    let Some(next) = shape.iter().position(|(at, _)| utilization <= *at) else {
        return shape.last().map_or(0, |(_, score)| *score);
    };
    if next == 0 {
        return shape[0].1;
    }
    let ((from, low), (to, high)) = (shape[next - 1], shape[next]);
    low + (high - low) * (utilization - from) / (to - from)
}

#[expect(clippy::cast_possible_truncation, reason = "a mean of scores is between 0 and 100")]
fn rounded_half_up(sum: i64, weights: i64) -> i64 {
    libm::round(sum as f64 / weights as f64) as i64
}

/// Whether containers without requests count as something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// CPU and memory with the defaults.
    NonZero,
    /// Plain requests.
    Requested,
}

/// The scored resources, with the incoming pod's requests.
#[derive(Clone, Debug)]
pub struct ResourceAllocation<'c> {
    usage: Usage,
    resources: Vec<Scored<'c>>,
}

/// A scored resource, looked up once for all nodes.
#[derive(Clone, Copy, Debug)]
struct Scored<'c> {
    measure: Measure<'c>,
    weight: i64,
    /// The incoming pod's request.
    request: i64,
}

#[derive(Clone, Copy, Debug)]
enum Measure<'c> {
    Cpu,
    Memory,
    Other(&'c str),
}

impl Measure<'_> {
    fn of(self, resources: &Resources) -> i64 {
        match self {
            Self::Cpu => resources.milli_cpu,
            Self::Memory => resources.memory,
            Self::Other(name) => resources.get(name),
        }
    }
}

impl<'c> ResourceAllocation<'c> {
    /// The scored resources for an incoming pod with these requests: extended resources count only if requested.
    pub fn new(resources: &'c [ResourceWeight], usage: Usage, requests: &Resources) -> Self {
        let mut scored = Vec::with_capacity(resources.len());
        for resource in resources {
            let measure = match &*resource.name {
                "cpu" => Measure::Cpu,
                "memory" => Measure::Memory,
                other => Measure::Other(other),
            };
            let request = measure.of(requests);
            if request != 0 || !is_scalar_resource(&resource.name) {
                scored.push(Scored { measure, weight: resource.weight, request });
            }
        }
        Self { usage, resources: scored }
    }

    /// True if the incoming pod requests none of them.
    pub(crate) fn requests_none(&self) -> bool {
        self.resources.iter().all(|one| one.request == 0)
    }

    /// The resources on a node with the incoming pod there.
    pub fn of(&self, node: &NodeInfo) -> impl Iterator<Item = Allocation> {
        self.on(node, i64::saturating_add)
    }

    /// The resources on a node without the incoming pod.
    pub fn before(&self, node: &NodeInfo) -> impl Iterator<Item = Allocation> {
        self.on(node, |requested, _| requested)
    }

    fn on(
        &self,
        node: &NodeInfo,
        with: impl Fn(i64, i64) -> i64,
    ) -> impl Iterator<Item = Allocation> {
        self.resources.iter().filter_map(move |one| {
            let allocatable = one.measure.of(&node.allocatable);
            let requested = match (self.usage, one.measure) {
                (Usage::NonZero, Measure::Cpu) => node.non_zero.0,
                (Usage::NonZero, Measure::Memory) => node.non_zero.1,
                (_, measure) => measure.of(&node.requested),
            };
            let requested = with(requested, one.request);
            let weight = one.weight;
            (allocatable != 0).then_some(Allocation { requested, allocatable, weight })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_percentage_is_the_quotient_of_integers(
            whole in prop_oneof![1i64..1000, 1i64..1 << 47, any::<i64>()],
            part in prop_oneof![0i64..1000, 0i64..1 << 47, any::<i64>()],
            hundredths in 0i64..=100,
        ) {
            prop_assume!(whole != 0);
            // Exact integer quotients, and values just below.
            let exact = i128::from(whole) * i128::from(hundredths) / 100;
            let exact = i64::try_from(exact).expect("no more than the whole");
            for part in [part, exact.saturating_sub(1), exact, exact.saturating_add(1)] {
                let expected = part.saturating_mul(100).checked_div(whole);
                prop_assert_eq!(Some(percentage(part, whole)), expected);
            }
        }
    }

    fn of(requested: i64, allocatable: i64) -> Allocation {
        Allocation { requested, allocatable, weight: 1 }
    }

    #[test]
    fn least_allocated_cuts_at_each_resource_and_again_at_the_mean() {
        // CPU (4000-1500)*100/4000 = 62 (62.5 cut), memory (8-3)*100/8 = 62 (62.5 cut).
        let score = ScoringStrategy::LeastAllocated.score([of(1500, 4000), of(3, 8)].into_iter());
        assert_eq!(score, 62);
        assert_eq!(ScoringStrategy::LeastAllocated.score([of(9, 8)].into_iter()), 0);
    }

    #[test]
    fn most_allocated_is_capped() {
        assert_eq!(ScoringStrategy::MostAllocated.score([of(9, 8)].into_iter()), 100);
        assert_eq!(ScoringStrategy::MostAllocated.score([of(1, 3)].into_iter()), 33);
    }

    #[test]
    fn a_ratio_is_interpolated_towards_zero_and_resources_that_score_zero_leave_the_mean() {
        let shape = vec![(0, 100), (100, 0)];
        let strategy = ScoringStrategy::RequestedToCapacityRatio(shape);
        assert_eq!(strategy.score([of(1, 3)].into_iter()), 67);
        assert_eq!(strategy.score([of(1, 2), of(2, 2)].into_iter()), 50);
        assert_eq!(strategy.score([of(1, 2), of(1, 3)].into_iter()), 59, "58.5 is rounded");
        let full_is_best = ScoringStrategy::RequestedToCapacityRatio(vec![(0, 0), (100, 100)]);
        assert_eq!(full_is_best.score([of(9, 8)].into_iter()), 100, "more than all is all");
        assert_eq!(along(&[(20, 20), (70, 90)], 10), 20);
        assert_eq!(along(&[(20, 20), (70, 90)], 45), 55);
        assert_eq!(along(&[(20, 20), (70, 90)], 99), 90);
    }
}
