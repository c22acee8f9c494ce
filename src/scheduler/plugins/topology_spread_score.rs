//! PodTopologySpread as a score: the fewer matching pods in a node's domains, the better.

use std::borrow::Cow;

use super::super::framework::{CycleContext, MAX_NODE_SCORE, NodeScore, ScorePlugin};
use super::super::node_info::NodeInfo;
use super::super::pod_class::SpreadConstraint;
use super::super::topology::Domain;
use super::topology_spread::{
    MatchingPods, TopologySpread, counts_by_domain, has_all_keys, has_own_constraints,
    includes_node,
};
use crate::cluster::pod_template::WhenUnsatisfiable;

/// The raw score of a node that lacks a topology label: it does not count, and ends with 0.
const IGNORED: i64 = -1;

impl ScorePlugin for TopologySpread {
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        self.constraints_of(cycle, WhenUnsatisfiable::ScheduleAnyway).is_empty()
    }

    fn pre_score<'c>(
        &'c self,
        cycle: &CycleContext<'c>,
        feasible: &[usize],
    ) -> Option<Box<dyn NodeScore + 'c>> {
        let constraints = self.constraints_of(cycle, WhenUnsatisfiable::ScheduleAnyway);
        if constraints.is_empty() {
            return None;
        }
        let needs_all_keys = has_own_constraints(cycle.pod.class) || !self.is_system_default;
        let scored: Vec<&NodeInfo> = feasible
            .iter()
            .map(|slot| cycle.cache.node(*slot))
            .filter(|node| !needs_all_keys || has_all_keys(&constraints, node))
            .collect();
        let counter = Counter { cycle, constraints: &constraints, needs_all_keys, scored: &scored };
        let counts = constraints.iter().map(|constraint| counter.count(constraint)).collect();
        Some(Box::new(SpreadScore { constraints, counts, needs_all_keys }))
    }
}

/// What one constraint counts.
struct Counts {
    pods: Pods,
    /// Makes up for the number of domains: with more of them each holds fewer pods.
    weight: f64,
}

enum Pods {
    /// By slot: host names are counted per node, whatever their label says.
    OnNode(Vec<i64>),
    /// By domain; domains without a feasible node do not matter.
    InDomain(Vec<i64>),
}

struct Counter<'a, 'c> {
    cycle: &'a CycleContext<'c>,
    constraints: &'a [SpreadConstraint],
    needs_all_keys: bool,
    scored: &'a [&'a NodeInfo],
}

impl Counter<'_, '_> {
    fn count(&self, constraint: &SpreadConstraint) -> Counts {
        let mut matching = MatchingPods::new(self.cycle);
        let cache = self.cycle.cache;
        if constraint.is_hostname {
            let mut pods = vec![0; cache.slots()];
            for node in self.scored {
                pods[node.id.index()] = matching.count(constraint, node);
            }
            return Counts { pods: Pods::OnNode(pods), weight: weight_of(self.scored.len()) };
        }
        // Nodes without the label make one domain together, behind all others.
        let size = cache.topology().size(constraint.topology);
        let position =
            |node: &NodeInfo| node.domain(constraint.topology).map_or(size, Domain::index);
        let mut is_feasible = vec![false; size + 1];
        for node in self.scored {
            is_feasible[position(node)] = true;
        }
        let mut pods = vec![0; size + 1];
        let domains = is_feasible.iter().filter(|feasible| **feasible).count();
        if let Some(mut pods) = counts_by_domain(self.cycle, self.constraints, constraint) {
            pods.push(0);
            return Counts { pods: Pods::InDomain(pods), weight: weight_of(domains) };
        }
        for node in cache.nodes() {
            let takes_part = is_feasible[position(node)]
                && (!self.needs_all_keys || has_all_keys(self.constraints, node))
                && includes_node(constraint, self.cycle.pod.class, node);
            if takes_part {
                pods[position(node)] += matching.count(constraint, node);
            }
        }
        Counts { pods: Pods::InDomain(pods), weight: weight_of(domains) }
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

impl NodeScore for SpreadScore<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "rounded on purpose, as the plugin does")]
    fn score(&self, node: &NodeInfo) -> i64 {
        if self.needs_all_keys && !has_all_keys(&self.constraints, node) {
            return IGNORED;
        }
        let mut score = 0.0;
        for (constraint, counts) in self.constraints.iter().zip(&self.counts) {
            let Some(domain) = node.domain(constraint.topology) else { continue };
            let pods = match &counts.pods {
                Pods::OnNode(pods) => pods[node.id.index()],
                Pods::InDomain(pods) => pods[domain.index()],
            };
            score += pods as f64 * counts.weight + (constraint.max_skew - 1) as f64;
        }
        libm::round(score) as i64
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
