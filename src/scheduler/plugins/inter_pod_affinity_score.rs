//! InterPodAffinity as a score: preferred terms of the pod and of the pods that are there, and
//! required affinity of the latter.

use super::super::framework::{CycleContext, MAX_NODE_SCORE, NodeScore, ScorePlugin};
use super::super::node_info::NodeInfo;
use super::super::pod_class::PodClass;
use super::super::topology::TopologyKey;
use super::class_memo::ClassMemo;
use super::inter_pod_affinity::{InterPodAffinity, namespace_labels};
use crate::cluster::Labels;

impl ScorePlugin for InterPodAffinity {
    fn pre_score<'c>(
        &'c self,
        cycle: &CycleContext<'c>,
        _: &[usize],
    ) -> Option<Box<dyn NodeScore + 'c>> {
        let cache = cycle.cache;
        let own = &cycle.pod.class.affinity;
        let has_own = !own.preferred.is_empty() || !own.preferred_anti.is_empty();
        let is_ignored = self.ignores_preferred_terms_of_existing_pods && !has_own;
        if is_ignored || (!has_own && cache.placed_with_affinity().next().is_none()) {
            return None;
        }
        let labels = namespace_labels(cycle);
        let mut sums = DomainSums::default();
        let mut memo = ClassMemo::new(cache.class_count());
        for node in cache.nodes() {
            for count in &node.classes {
                let look = || self.contributions(cycle, &labels, cache.class(count.class));
                for (key, weight) in memo.get(count.class, look) {
                    sums.add(*key, node, weight * i64::from(count.pods));
                }
            }
        }
        if sums.keys.is_empty() {
            return None;
        }
        Some(Box::new(sums))
    }
}

impl InterPodAffinity {
    /// What each pod of a class that is there adds to the domains that it is in.
    fn contributions(
        &self,
        cycle: &CycleContext<'_>,
        namespace_labels: &Labels,
        pod: &PodClass,
    ) -> Vec<(TopologyKey, i64)> {
        let incoming = cycle.pod.class;
        let namespaces = cycle.view.store().namespaces();
        let mut found = Vec::new();
        for (terms, sign) in
            [(&incoming.affinity.preferred, 1), (&incoming.affinity.preferred_anti, -1)]
        {
            let matching = terms.iter().filter(|(_, term)| term.selects(pod, namespaces));
            found.extend(matching.map(|(weight, term)| (term.topology, sign * weight)));
        }
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

/// Sums of weights by topology key and domain; a key is there once any pod counted for it.
#[derive(Default)]
struct DomainSums {
    keys: Vec<(TopologyKey, Vec<i64>)>,
}

impl DomainSums {
    fn add(&mut self, key: TopologyKey, node: &NodeInfo, weight: i64) {
        let Some(domain) = node.domain(key) else { return };
        let at = self.keys.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.keys.push((key, Vec::new()));
            self.keys.len() - 1
        });
        let sums = &mut self.keys[at].1;
        if sums.len() <= domain.index() {
            sums.resize(domain.index() + 1, 0);
        }
        sums[domain.index()] += weight;
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
