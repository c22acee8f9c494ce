//! InterPodAffinity as a score: preferred terms of the pod and of existing pods, and
//! required affinity of the latter.

use super::super::cache::Cache;
use super::super::framework::{CycleContext, MAX_NODE_SCORE, NodeScore, PreScore, ScorePlugin};
use super::super::node_info::NodeInfo;
use super::super::pod_class::PodClass;
use super::super::tally::Tally;
use super::super::topology::TopologyKey;
use super::inter_pod_affinity::{InterPodAffinity, namespace_labels};
use cluster::Labels;

impl ScorePlugin for InterPodAffinity {
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        self.has_nothing_to_score(cycle)
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, _: &[usize]) -> PreScore<'c> {
        let cache = cycle.cache;
        if self.has_nothing_to_score(cycle) {
            return None;
        }
        let labels = namespace_labels(cycle);
        let mut sums = DomainSums::default();
        for class in cache.placed_with_affinity() {
            for (key, weight) in self.of_existing(cycle, &labels, cache.class(class)) {
                sums.add_all(key, cache.tallies().of(class, key), weight);
            }
        }
        let has_own = has_preferred_terms(cycle.pod.class);
        for class in cache.placed_classes().filter(|_| has_own) {
            for (key, weight) in of_incoming(cycle, cache.class(class)) {
                sums.add_all(key, cache.tallies().of(class, key), weight);
            }
        }
        if sums.keys.is_empty() {
            return None;
        }
        Some(Box::new(sums))
    }
}

impl InterPodAffinity {
    /// True if neither the pod nor existing pods have terms that count.
    fn has_nothing_to_score(&self, cycle: &CycleContext<'_>) -> bool {
        !has_preferred_terms(cycle.pod.class)
            && (self.ignores_preferred_terms_of_existing_pods
                || cycle.cache.placed_with_affinity().next().is_none())
    }

    /// Contribution of the terms of an existing pod's class to the domains of each of its pods.
    fn of_existing(
        &self,
        cycle: &CycleContext<'_>,
        namespace_labels: &Labels,
        pod: &PodClass,
    ) -> Vec<(TopologyKey, i64)> {
        let incoming = cycle.pod.class;
        let mut found = Vec::new();
        if self.hard_pod_affinity_weight > 0 {
            let terms = pod.affinity.required.iter();
            let matching = terms.filter(|term| term.selects_incoming(incoming, namespace_labels));
            found.extend(matching.map(|term| (term.topology, self.hard_pod_affinity_weight)));
        }
        for (terms, sign) in [(&pod.affinity.preferred, 1), (&pod.affinity.preferred_anti, -1)] {
            let matching =
                terms.iter().filter(|(_, term)| term.selects_incoming(incoming, namespace_labels));
            found.extend(matching.map(|(weight, term)| (term.topology, sign * weight)));
        }
        found
    }
}

fn has_preferred_terms(class: &PodClass) -> bool {
    !class.affinity.preferred.is_empty() || !class.affinity.preferred_anti.is_empty()
}

/// Contribution of the incoming pod's terms to the domains of each pod of an existing class.
fn of_incoming(cycle: &CycleContext<'_>, pod: &PodClass) -> Vec<(TopologyKey, i64)> {
    let own = &cycle.pod.class.affinity;
    let store = cycle.view.store();
    let mut found = Vec::new();
    for (terms, sign) in [(&own.preferred, 1), (&own.preferred_anti, -1)] {
        let matching = terms.iter().filter(|(_, term)| term.selects(pod, store));
        found.extend(matching.map(|(weight, term)| (term.topology, sign * weight)));
    }
    found
}

/// Sums of weights by topology key and domain; a key is there once any pod counted for it.
#[derive(Default)]
struct DomainSums {
    keys: Vec<(TopologyKey, Vec<i64>)>,
}

impl DomainSums {
    fn add_all(&mut self, key: TopologyKey, tallies: &[Tally], weight: i64) {
        if tallies.iter().all(|tally| tally.pods == 0) {
            return;
        }
        let at = self.keys.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.keys.push((key, Vec::new()));
            self.keys.len() - 1
        });
        let sums = &mut self.keys[at].1;
        if sums.len() < tallies.len() {
            sums.resize(tallies.len(), 0);
        }
        for (sum, tally) in sums.iter_mut().zip(tallies) {
            *sum += weight * i64::from(tally.pods);
        }
    }
}

impl NodeScore for DomainSums {
    fn score(&self, node: &NodeInfo) -> i64 {
        let of_key = |(key, sums): &(TopologyKey, Vec<i64>)| {
            let domain = node.domain(*key)?;
            sums.get(domain.index()).copied()
        };
        self.keys.iter().filter_map(of_key).sum()
    }

    fn score_each(&self, cache: &Cache, slots: &[usize]) -> Vec<i64> {
        let mut scores = vec![0; slots.len()];
        for (key, sums) in &self.keys {
            let domains = cache.topology().by_slot(*key);
            for (score, slot) in scores.iter_mut().zip(slots) {
                let domain = domains.get(*slot).copied().flatten();
                *score += domain.and_then(|domain| sums.get(domain.index())).copied().unwrap_or(0);
            }
        }
        scores
    }

    #[expect(clippy::cast_possible_truncation, reason = "a fraction of 100 is between 0 and 100")]
    fn normalize(&self, scores: &mut [i64]) {
        let largest = scores.iter().copied().max().unwrap_or(0);
        let smallest = scores.iter().copied().min().unwrap_or(0);
        let range = largest - smallest;
        for score in scores {
            *score = if range > 0 {
                (MAX_NODE_SCORE as f64 * ((*score - smallest) as f64 / range as f64)) as i64
            } else {
                0
            };
        }
    }
}
