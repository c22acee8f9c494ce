//! PodTopologySpread as a score: the fewer matching pods in a node's domains, the better.

use std::borrow::Cow;

use super::super::cache::Cache;
use super::super::framework::{CycleContext, MAX_NODE_SCORE, NodeScore, PreScore, ScorePlugin};
use super::super::node_info::NodeInfo;
use super::super::pod_class::SpreadConstraint;
use super::super::topology::{Domain, TopologyKey};
use super::topology_spread::{
    MatchingPods, TopologySpread, counts_by_domain, counts_by_node, has_all_keys,
    has_own_constraints, includes_node, is_on_all_nodes,
};
use cluster::pod_template::WhenUnsatisfiable;

/// The raw score of a node that lacks a topology label: it does not count, and ends with 0.
const IGNORED: i64 = -1;

impl ScorePlugin for TopologySpread {
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        !self.has_constraints(cycle, WhenUnsatisfiable::ScheduleAnyway)
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, feasible: &[usize]) -> PreScore<'c> {
        let constraints = self.constraints_of(cycle, WhenUnsatisfiable::ScheduleAnyway);
        if constraints.is_empty() {
            return None;
        }
        let needs_all_keys = has_own_constraints(cycle.pod.class) || !self.is_system_default;
        let topology = cycle.cache.topology();
        let has_all_keys = |slot: usize| {
            constraints.iter().all(|one| topology.domain_at(one.topology, slot).is_some())
        };
        let feasible = feasible.iter().copied();
        let scored: Vec<usize> =
            feasible.filter(|slot| !needs_all_keys || has_all_keys(*slot)).collect();
        let counter = Counter { cycle, constraints: &constraints, needs_all_keys, scored: &scored };
        let counts = constraints.iter().map(|constraint| counter.count(constraint)).collect();
        Some(Box::new(SpreadScore { constraints, counts, needs_all_keys }))
    }
}

/// Counts for one constraint.
struct Counts {
    pods: Pods,
    /// Makes up for the number of domains: with more of them each holds fewer pods.
    weight: f64,
}

enum Pods {
    /// By slot: host names are counted per node, regardless of their label's value.
    OnNode(Vec<i64>),
    /// By domain; domains without a feasible node do not matter.
    InDomain(Vec<i64>),
}

struct Counter<'a, 'c> {
    cycle: &'a CycleContext<'c>,
    constraints: &'a [SpreadConstraint],
    needs_all_keys: bool,
    scored: &'a [usize],
}

impl Counter<'_, '_> {
    fn count(&self, constraint: &SpreadConstraint) -> Counts {
        let cache = self.cycle.cache;
        if constraint.is_hostname {
            let pods = counts_by_node(self.cycle, constraint);
            return Counts { pods: Pods::OnNode(pods), weight: weight_of(self.scored.len()) };
        }
        // Nodes without the label make one domain together, behind all others; those on which it is empty are
        // taken for such.
        let size = cache.topology().size(constraint.topology);
        let empty = cache.topology().domain_of(constraint.topology, "");
        let position = |domain: Option<Domain>| {
            domain.filter(|one| Some(*one) != empty).map_or(size, Domain::index)
        };
        let mut is_feasible = vec![false; size + 1];
        for slot in self.scored {
            let domain = cache.topology().domain_at(constraint.topology, *slot);
            is_feasible[position(domain)] = true;
        }
        let domains = is_feasible.iter().filter(|feasible| **feasible).count();
        let weight = weight_of(domains);
        let all_take_part = !self.needs_all_keys || is_on_all_nodes(self.cycle, self.constraints);
        let stands_alone = empty.is_none() || self.needs_all_keys;
        let known = (all_take_part && stands_alone)
            .then(|| counts_by_domain(self.cycle, constraint))
            .flatten();
        if let Some(pods) = known {
            return Counts { pods: Pods::InDomain(pods), weight };
        }
        let mut matching = MatchingPods::new(self.cycle);
        let mut pods = vec![0; size + 1];
        for node in cache.nodes() {
            let at = position(node.domain(constraint.topology));
            let takes_part = is_feasible[at]
                && (!self.needs_all_keys || has_all_keys(self.constraints, node))
                && includes_node(constraint, self.cycle.pod.class, node);
            if takes_part {
                pods[at] += matching.count(constraint, node);
            }
        }
        if let Some(empty) = empty {
            pods[empty.index()] = pods[size];
        }
        Counts { pods: Pods::InDomain(pods), weight }
    }
}

/// `topologyNormalizingWeight`.
fn weight_of(domains: usize) -> f64 {
    libm::log((domains + 2) as f64)
}

struct SpreadScore<'c> {
    constraints: Cow<'c, [SpreadConstraint]>,
    counts: Vec<Counts>,
    needs_all_keys: bool,
}

impl SpreadScore<'_> {
    /// The score of the node in a slot with these domains.
    #[expect(clippy::cast_possible_truncation, reason = "rounded on purpose, as the plugin does")]
    fn of(&self, slot: usize, domain: impl Fn(usize, TopologyKey) -> Option<Domain>) -> i64 {
        let mut score = 0.0;
        for (number, (constraint, counts)) in self.constraints.iter().zip(&self.counts).enumerate()
        {
            let Some(domain) = domain(number, constraint.topology) else {
                if self.needs_all_keys {
                    return IGNORED;
                }
                continue;
            };
            let pods = match &counts.pods {
                Pods::OnNode(pods) => pods[slot],
                Pods::InDomain(pods) => pods[domain.index()],
            };
            score += pods as f64 * counts.weight + (constraint.max_skew - 1) as f64;
        }
        libm::round(score) as i64
    }
}

impl NodeScore for SpreadScore<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        self.of(node.id.index(), |_, key| node.domain(key))
    }

    fn score_each(&self, cache: &Cache, slots: &[usize]) -> Vec<i64> {
        let keys = self.constraints.iter().map(|one| cache.topology().by_slot(one.topology));
        let domains: Vec<&[Option<Domain>]> = keys.collect();
        let domain = |slot: usize, number: usize| domains[number].get(slot).copied().flatten();
        slots.iter().map(|slot| self.of(*slot, |number, _| domain(*slot, number))).collect()
    }

    fn normalize(&self, scores: &mut [i64]) {
        let counted = || scores.iter().copied().filter(|score| *score != IGNORED);
        let largest = counted().max().unwrap_or(0);
        let smallest = counted().min().unwrap_or(0);
        for score in scores {
            *score = match *score {
                IGNORED => 0,
                _ if largest == 0 => MAX_NODE_SCORE,
                raw => MAX_NODE_SCORE * (largest + smallest - raw) / largest,
            };
        }
    }
}
