//! InterPodAffinity as a filter: required affinity and anti-affinity of the pod, and the required
//! anti-affinity of existing pods.

use serde::Deserialize;

use super::super::cache::Cache;
use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, PreFilter, Refusal,
};
use super::super::node_info::{ClassId, NodeInfo};
use super::super::pod_class::{AffinityTerm, PodAffinity, PodClass};
use super::super::tally::Tally;
use super::super::topology::{Domain, TopologyKey};
use cluster::Labels;

/// The plugin with its arguments.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct InterPodAffinity {
    /// Weight of each required affinity term of an existing pod in the score.
    pub hard_pod_affinity_weight: i64,
    /// Whether preferred terms of existing pods are ignored for pods without any.
    #[serde(rename = "ignorePreferredTermsOfExistingPods")]
    pub ignores_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignores_preferred_terms_of_existing_pods: false }
    }
}

/// Labels of the incoming pod's namespace; empty if the object does not exist.
pub(super) fn namespace_labels(cycle: &CycleContext<'_>) -> Labels {
    let namespace = cycle.view.store().namespace(&cycle.pod.class.namespace);
    namespace.map(|namespace| namespace.meta.labels.clone()).unwrap_or_default()
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
        let repelling = cache.placed_with_affinity();
        for class in repelling.filter(|one| !cache.class(*one).affinity.required_anti.is_empty()) {
            let keys = filter.existing_keys(cache.class(class));
            count_class(&mut filter.existing_anti_affinity, cache, &keys, class);
        }
        for class in selectable_classes(cache, own) {
            let (affinity, anti_affinity) = filter.own_keys(cache.class(class));
            count_class(&mut filter.affinity, cache, &affinity, class);
            count_class(&mut filter.anti_affinity, cache, &anti_affinity, class);
        }
        if !has_own && filter.existing_anti_affinity.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::check(filter)
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        let own = &cycle.pod.class.affinity;
        let store = cycle.view.store();
        let matches_all = |terms: &[AffinityTerm], pod: &PodClass| {
            !terms.is_empty() && terms.iter().all(|term| term.selects(pod, store))
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
                own.required.is_empty()
                    || own.required.iter().any(has_key)
                    || !own.required_anti.is_empty()
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
            ClusterEvent::NodeRemoved(_)
            | ClusterEvent::NominationGone(_)
            | ClusterEvent::ClaimAdded
            | ClusterEvent::AttachmentsChanged => false,
        }
    }
}

/// Effect of the pods of a class on the incoming pod: the topology keys of the matching terms.
#[derive(Clone, Debug, Default)]
struct TermMatches {
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
    /// Number of pairs of key and domain with a count other than 0.
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
        if counts.is_empty() {
            counts.extend(tallies.iter().map(|tally| i64::from(tally.pods)));
            self.occupied += tallies.iter().map(|tally| usize::from(tally.pods > 0)).sum::<usize>();
            return;
        }
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

    /// Whether any pod counts in a domain of a node.
    fn touches(&self, domain: impl Fn(TopologyKey) -> Option<Domain>) -> bool {
        self.keys.iter().any(|(key, counts)| {
            let domain = domain(*key);
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
        term.selects(pod, self.cycle.view.store())
    }

    /// The keys of the incoming pod's terms that the pods of a class count for: of required affinity if they
    /// match all of it, and of required anti-affinity.
    fn own_keys(&self, pod: &PodClass) -> (Vec<TopologyKey>, Vec<TopologyKey>) {
        let own = &self.cycle.pod.class.affinity;
        let all = |terms: &[AffinityTerm]| terms.iter().map(|term| term.topology).collect();
        let matches_all = own.required.iter().all(|term| self.selects(term, pod));
        let affinity = if matches_all { all(&own.required) } else { Vec::new() };
        let anti_affinity = own.required_anti.iter().filter(|term| self.selects(term, pod));
        (affinity, anti_affinity.map(|term| term.topology).collect())
    }

    /// The keys of the required anti-affinity of a class that the incoming pod matches.
    fn existing_keys(&self, pod: &PodClass) -> Vec<TopologyKey> {
        let incoming = self.cycle.pod.class;
        let terms = pod.affinity.required_anti.iter();
        let matching = terms.filter(|term| term.selects_incoming(incoming, &self.namespace_labels));
        matching.map(|term| term.topology).collect()
    }

    fn bearing(&self, pod: &PodClass) -> TermMatches {
        let (affinity, anti_affinity) = self.own_keys(pod);
        TermMatches { affinity, anti_affinity, existing_anti_affinity: self.existing_keys(pod) }
    }

    fn count(&mut self, bearing: &TermMatches, node: &NodeInfo, pods: i64) {
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

    /// Reason for rejecting a node with these domains, if any.
    fn problem(&self, domain: impl Fn(TopologyKey) -> Option<Domain>) -> Option<Problem> {
        if !self.satisfies_affinity(&domain) {
            Some(Problem::Affinity)
        } else if !self.satisfies_anti_affinity(&domain) {
            Some(Problem::AntiAffinity)
        } else if self.existing_anti_affinity.touches(&domain) {
            Some(Problem::ExistingAntiAffinity)
        } else {
            None
        }
    }

    fn satisfies_affinity(&self, domain: impl Fn(TopologyKey) -> Option<Domain>) -> bool {
        let terms = &self.cycle.pod.class.affinity.required;
        let mut has_pods = true;
        for term in terms {
            let Some(domain) = domain(term.topology) else { return false };
            has_pods &= self.affinity.get(term.topology, domain) > 0;
        }
        // Otherwise the first pod of a group with affinity to itself would wait forever.
        has_pods
            || (self.affinity.is_empty()
                && terms.iter().all(|term| self.selects(term, self.cycle.pod.class)))
    }

    fn satisfies_anti_affinity(&self, domain: impl Fn(TopologyKey) -> Option<Domain>) -> bool {
        self.cycle.pod.class.affinity.required_anti.iter().all(|term| {
            let domain = domain(term.topology);
            domain.is_none_or(|domain| self.anti_affinity.get(term.topology, domain) <= 0)
        })
    }
}

/// All classes on nodes that a required term of a pod may select, ascending.
fn selectable_classes(cache: &Cache, own: &PodAffinity) -> Vec<ClassId> {
    let mut found = Vec::new();
    // Pods count for required affinity only if they match all of its terms.
    for term in own.required.iter().take(1).chain(&own.required_anti) {
        let Some((namespaces, selector)) = term.listed() else {
            return cache.placed_classes().collect();
        };
        for namespace in namespaces {
            found.extend(cache.placed_matching(namespace, selector));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Counts all pods of a class by the terms' keys, using the cache's counts.
fn count_class(counts: &mut DomainCounts, cache: &Cache, keys: &[TopologyKey], class: ClassId) {
    for key in keys {
        counts.add_all(*key, cache.tallies().of(class, *key));
    }
}

/// The rule that makes a node infeasible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    /// The pod's own required affinity.
    Affinity,
    /// Its own required anti-affinity.
    AntiAffinity,
    /// The required anti-affinity of existing pods.
    ExistingAntiAffinity,
}

impl NodeFilter for AffinityFilter<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        match self.problem(|key| node.domain(key)) {
            None => Ok(()),
            Some(Problem::Affinity) => {
                Err(Refusal::unresolvable("node(s) didn't match pod affinity rules"))
            }
            Some(Problem::AntiAffinity) => {
                Err(Refusal::unschedulable("node(s) didn't match pod anti-affinity rules"))
            }
            Some(Problem::ExistingAntiAffinity) => {
                let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
                Err(Refusal::unschedulable(reason))
            }
        }
    }

    fn admits(&self, cache: &Cache, slot: usize) -> bool {
        self.problem(|key| cache.topology().domain_at(key, slot)).is_none()
    }

    fn add_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        self.count(&self.bearing(pod), node, 1);
    }

    fn remove_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        self.count(&self.bearing(pod), node, -1);
    }
}
