//! InterPodAffinity as a filter: required affinity and anti-affinity of the pod, and the required
//! anti-affinity of the pods that are there.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, PreFilter, Refusal,
};
use super::super::node_info::{ClassId, NodeInfo};
use super::super::pod_class::{AffinityTerm, PodClass};
use super::super::tally::Tally;
use super::super::topology::{Domain, TopologyKey};
use crate::cluster::Labels;

/// The plugin with its arguments.
#[derive(Clone, Copy, Debug)]
pub struct InterPodAffinity {
    /// What each required affinity term of a pod that is there counts in the score.
    pub hard_pod_affinity_weight: i64,
    /// Whether preferred terms of pods that are there are ignored for pods without any.
    pub ignores_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignores_preferred_terms_of_existing_pods: false }
    }
}

/// The labels of the incoming pod's namespace; none if there is no such object.
pub(super) fn namespace_labels(cycle: &CycleContext<'_>) -> Labels {
    let namespace = cycle.view.store().namespaces().get(&cycle.pod.class.namespace);
    namespace.map(|namespace| namespace.labels.clone()).unwrap_or_default()
}

impl FilterPlugin for InterPodAffinity {
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        let own = &cycle.pod.class.affinity;
        let has_own = !own.required.is_empty() || !own.required_anti.is_empty();
        let cache = cycle.cache;
        let mut placed = cache.placed_with_affinity().map(|class| cache.class(class));
        if !has_own && !placed.any(|class| !class.affinity.required_anti.is_empty()) {
            return PreFilter::Skip;
        }
        let mut filter = AffinityFilter {
            cycle: *cycle,
            namespace_labels: namespace_labels(cycle),
            affinity: DomainCounts::default(),
            anti_affinity: DomainCounts::default(),
            existing_anti_affinity: DomainCounts::default(),
        };
        for class in cache.placed_classes() {
            let bearing = filter.bearing(cache.class(class));
            filter.count_class(&bearing, class);
        }
        if !has_own && filter.existing_anti_affinity.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::check(filter)
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        let own = &cycle.pod.class.affinity;
        let namespaces = cycle.view.store().namespaces();
        let matches_all = |terms: &[AffinityTerm], pod: &PodClass| {
            !terms.is_empty() && terms.iter().all(|term| term.selects(pod, namespaces))
        };
        match event {
            ClusterEvent::PodPlaced(pod) => matches_all(&own.required, pod),
            ClusterEvent::PodGone(pod) => {
                let labels = namespace_labels(cycle);
                let repels = |term: &AffinityTerm| term.selects_incoming(cycle.pod.class, &labels);
                matches_all(&own.required_anti, pod)
                    || pod.affinity.required_anti.iter().any(repels)
            }
            ClusterEvent::PodRelabelled { before, after } => {
                (!matches_all(&own.required, before) && matches_all(&own.required, after))
                    || (matches_all(&own.required_anti, before)
                        && !matches_all(&own.required_anti, after))
            }
            ClusterEvent::NodeAdded(node) => {
                let has_key = |term: &AffinityTerm| node.domain(term.topology).is_some();
                own.required.iter().any(has_key) || own.required.is_empty()
            }
            ClusterEvent::NodeUpdated { before, after } => {
                let moves = |term: &AffinityTerm| {
                    before.domain(term.topology) != after.domain(term.topology)
                };
                let gains =
                    |term: &AffinityTerm| moves(term) && after.domain(term.topology).is_some();
                let loses =
                    |term: &AffinityTerm| moves(term) && before.domain(term.topology).is_some();
                own.required.iter().any(gains) || own.required_anti.iter().any(loses)
            }
            ClusterEvent::NodeRemoved(_) => false,
        }
    }
}

/// How the pods of a class bear on the incoming pod: the topology keys of the terms that match.
#[derive(Clone, Debug, Default)]
struct Bearing {
    /// Keys of the required affinity terms, if the pods match all of them.
    affinity: Vec<TopologyKey>,
    /// Keys of the required anti-affinity terms that the pods match.
    anti_affinity: Vec<TopologyKey>,
    /// Keys of the pods' own required anti-affinity terms that the incoming pod matches.
    existing_anti_affinity: Vec<TopologyKey>,
}

/// Matching pods by topology key and domain. Terms with one key count together, as in the real
/// plugin, which counts pairs of key and value.
#[derive(Clone, Debug, Default)]
struct DomainCounts {
    keys: Vec<(TopologyKey, Vec<i64>)>,
    /// How many pairs of key and domain have a count other than 0.
    occupied: usize,
}

impl DomainCounts {
    fn add(&mut self, key: TopologyKey, domain: Domain, pods: i64) {
        let at = self.keys.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.keys.push((key, Vec::new()));
            self.keys.len() - 1
        });
        let counts = &mut self.keys[at].1;
        if counts.len() <= domain.index() {
            counts.resize(domain.index() + 1, 0);
        }
        let count = &mut counts[domain.index()];
        self.occupied -= usize::from(*count != 0);
        *count += pods;
        self.occupied += usize::from(*count != 0);
    }

    /// Adds the pods of a class in all domains.
    fn add_all(&mut self, key: TopologyKey, tallies: &[Tally]) {
        if tallies.is_empty() {
            return;
        }
        let at = self.keys.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.keys.push((key, Vec::with_capacity(tallies.len())));
            self.keys.len() - 1
        });
        let counts = &mut self.keys[at].1;
        if counts.len() < tallies.len() {
            counts.resize(tallies.len(), 0);
        }
        for (count, tally) in counts.iter_mut().zip(tallies) {
            self.occupied += usize::from(*count == 0 && tally.pods > 0);
            *count += i64::from(tally.pods);
        }
    }

    fn get(&self, key: TopologyKey, domain: Domain) -> i64 {
        let counts = self.keys.iter().find(|(known, _)| *known == key);
        counts.and_then(|(_, counts)| counts.get(domain.index())).copied().unwrap_or(0)
    }

    fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Whether any pod counts in a domain of the node.
    fn touches(&self, node: &NodeInfo) -> bool {
        self.keys.iter().any(|(key, counts)| {
            let domain = node.domain(*key);
            domain.is_some_and(|domain| counts.get(domain.index()).is_some_and(|count| *count > 0))
        })
    }
}

#[derive(Clone)]
struct AffinityFilter<'c> {
    cycle: CycleContext<'c>,
    namespace_labels: Labels,
    affinity: DomainCounts,
    anti_affinity: DomainCounts,
    existing_anti_affinity: DomainCounts,
}

impl AffinityFilter<'_> {
    fn selects(&self, term: &AffinityTerm, pod: &PodClass) -> bool {
        term.selects(pod, self.cycle.view.store().namespaces())
    }

    fn bearing(&self, pod: &PodClass) -> Bearing {
        let own = &self.cycle.pod.class.affinity;
        let keys = |terms: &[AffinityTerm], matches: &dyn Fn(&AffinityTerm) -> bool| {
            let matching = terms.iter().filter(|term| matches(term));
            matching.map(|term| term.topology).collect::<Vec<_>>()
        };
        let matches_all = own.required.iter().all(|term| self.selects(term, pod));
        Bearing {
            affinity: keys(&own.required, &|_| matches_all),
            anti_affinity: keys(&own.required_anti, &|term| self.selects(term, pod)),
            existing_anti_affinity: keys(&pod.affinity.required_anti, &|term| {
                term.selects_incoming(self.cycle.pod.class, &self.namespace_labels)
            }),
        }
    }

    /// Counts all pods of a class. Keys of terms are counted by.
    fn count_class(&mut self, bearing: &Bearing, class: ClassId) {
        let tallies = self.cycle.cache.tallies();
        for (counts, keys) in [
            (&mut self.affinity, &bearing.affinity),
            (&mut self.anti_affinity, &bearing.anti_affinity),
            (&mut self.existing_anti_affinity, &bearing.existing_anti_affinity),
        ] {
            for key in keys {
                counts.add_all(*key, tallies.of(class, *key));
            }
        }
    }

    fn count(&mut self, bearing: &Bearing, node: &NodeInfo, pods: i64) {
        for (counts, keys) in [
            (&mut self.affinity, &bearing.affinity),
            (&mut self.anti_affinity, &bearing.anti_affinity),
            (&mut self.existing_anti_affinity, &bearing.existing_anti_affinity),
        ] {
            for key in keys {
                if let Some(domain) = node.domain(*key) {
                    counts.add(*key, domain, pods);
                }
            }
        }
    }

    fn satisfies_affinity(&self, node: &NodeInfo) -> bool {
        let terms = &self.cycle.pod.class.affinity.required;
        let mut has_pods = true;
        for term in terms {
            let Some(domain) = node.domain(term.topology) else { return false };
            has_pods &= self.affinity.get(term.topology, domain) > 0;
        }
        // The first pod of a group that has affinity to itself would otherwise wait for ever.
        has_pods
            || (self.affinity.is_empty()
                && terms.iter().all(|term| self.selects(term, self.cycle.pod.class)))
    }

    fn satisfies_anti_affinity(&self, node: &NodeInfo) -> bool {
        self.cycle.pod.class.affinity.required_anti.iter().all(|term| {
            let domain = node.domain(term.topology);
            domain.is_none_or(|domain| self.anti_affinity.get(term.topology, domain) <= 0)
        })
    }
}

impl NodeFilter for AffinityFilter<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if !self.satisfies_affinity(node) {
            return Err(Refusal::unresolvable("node(s) didn't match pod affinity rules"));
        }
        if !self.satisfies_anti_affinity(node) {
            return Err(Refusal::unschedulable("node(s) didn't match pod anti-affinity rules"));
        }
        if self.existing_anti_affinity.touches(node) {
            let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
            return Err(Refusal::unschedulable(reason));
        }
        Ok(())
    }

    fn add_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        self.count(&self.bearing(pod), node, 1);
    }

    fn remove_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        self.count(&self.bearing(pod), node, -1);
    }
}
