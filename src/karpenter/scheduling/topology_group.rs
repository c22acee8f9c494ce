//! Number of matching pods in each domain, and the domains allowed for the next one (`topologygroup.go`).

use std::collections::{BTreeMap, BTreeSet};

use super::node_filter::{FilterKey, NodeFilter, odd};
use crate::labels::HOSTNAME;
use crate::pod::{Pod, untolerated};
use crate::requirement::{NodeOperator, Requirement};
use crate::requirements::Requirements;
use crate::ties::Ties;
use cluster::Name;
use cluster::node::Taint;
use cluster::pod_template::{NodeInclusionPolicy, Toleration};
use cluster::selector::{Requirement as LabelRequirement, Selector};

/// The type of constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TopologyKind {
    Spread,
    Affinity,
    AntiAffinity,
}

impl TopologyKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Spread => "topology spread",
            Self::Affinity => "pod affinity",
            Self::AntiAffinity => "pod anti-affinity",
        }
    }
}

/// Identity of a group: equal constraints of several pods form one group. `minDomains` is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    kind: TopologyKind,
    topology: Name,
    namespaces: BTreeSet<Name>,
    max_skew: i32,
    filter: FilterKey,
    selector: Option<BTreeSet<LabelRequirement>>,
}

impl GroupKey {
    /// The label whose value is the domain.
    pub(super) const fn topology(&self) -> &Name {
        &self.topology
    }
}

/// The taints of the nodes that offer each domain.
pub(super) type DomainTaints = BTreeMap<Name, Vec<Vec<Taint>>>;

/// A constraint, with the number of pods in each domain.
#[derive(Clone, Debug)]
pub(super) struct TopologyGroup {
    pub(super) kind: TopologyKind,
    pub(super) topology: Name,
    pub(super) namespaces: BTreeSet<Name>,
    max_skew: i32,
    min_domains: Option<i32>,
    /// If absent, no new pod is selected, although all existing ones are counted.
    pub(super) selector: Option<Selector>,
    pub(super) filter: NodeFilter,
    pub(super) domains: BTreeMap<Name, i32>,
    /// The domains without pods.
    empty: BTreeSet<Name>,
}

/// The input for a group.
pub(super) struct GroupDraft {
    pub(super) kind: TopologyKind,
    pub(super) topology: Name,
    pub(super) namespaces: BTreeSet<Name>,
    pub(super) max_skew: i32,
    pub(super) min_domains: Option<i32>,
    pub(super) selector: Option<Selector>,
    pub(super) filter: NodeFilter,
}

impl GroupDraft {
    /// The identity of the group.
    pub(super) fn key(&self) -> GroupKey {
        let requirements = |selector: &Selector| odd(selector.requirements.iter().cloned());
        let sorted = |mut one: LabelRequirement| {
            one.values.sort();
            one
        };
        let selector = self.selector.as_ref().map(requirements);
        GroupKey {
            kind: self.kind,
            topology: self.topology.clone(),
            namespaces: self.namespaces.clone(),
            max_skew: self.max_skew,
            filter: self.filter.key(),
            selector: selector.map(|all| all.into_iter().map(sorted).collect()),
        }
    }

    /// The group, with the possible domains of new nodes.
    pub(super) fn group(
        self,
        known: Option<&DomainTaints>,
        tolerations: &[Toleration],
    ) -> TopologyGroup {
        let ignores_taints = self.filter.taints == Some(NodeInclusionPolicy::Ignore);
        let counts = |taints: &Vec<Vec<Taint>>| {
            ignores_taints || taints.iter().any(|one| untolerated(one, tolerations).is_none())
        };
        let domains: BTreeMap<Name, i32> = known
            .into_iter()
            .flatten()
            .filter(|(_, taints)| counts(taints))
            .map(|(domain, _)| (domain.clone(), 0))
            .collect();
        TopologyGroup {
            kind: self.kind,
            topology: self.topology,
            namespaces: self.namespaces,
            max_skew: self.max_skew,
            min_domains: self.min_domains,
            selector: self.selector,
            filter: self.filter,
            empty: domains.keys().cloned().collect(),
            domains,
        }
    }
}

impl TopologyGroup {
    /// True if a new pod is selected, wherever it is assigned.
    pub(super) fn selects(&self, pod: &Pod) -> bool {
        self.namespaces.contains(&pod.id.namespace)
            && self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
    }

    /// True if a pod counts on a node with these taints and requirements.
    pub(super) fn counts(&self, pod: &Pod, taints: &[Taint], requirements: &Requirements) -> bool {
        self.selects(pod) && self.filter.matches(taints, requirements)
    }

    /// Counts one more pod in a domain.
    pub(super) fn record(&mut self, domain: &Name) {
        *self.domains.entry(domain.clone()).or_default() += 1;
        self.empty.remove(domain);
    }

    /// Registers a domain.
    pub(super) fn register(&mut self, domain: &Name) {
        if !self.domains.contains_key(domain) {
            self.domains.insert(domain.clone(), 0);
            self.empty.insert(domain.clone());
        }
    }

    /// The domains allowed for a pod, given its own and the node's requirements; without values if there is none.
    pub(super) fn next(
        &self,
        pod: &Pod,
        of_pod: &Requirement,
        of_node: &Requirement,
        ties: &Ties,
    ) -> Requirement {
        match self.kind {
            TopologyKind::Spread => self.next_spread(pod, of_pod, of_node, ties),
            TopologyKind::Affinity => self.next_affinity(pod, of_pod, of_node, ties),
            TopologyKind::AntiAffinity => self.next_anti_affinity(of_pod, of_node),
        }
    }

    /// The host of a node, if hosts are the domains.
    fn host<'a>(&self, of_node: &'a Requirement) -> Option<&'a Name> {
        let is_host = self.topology.as_ref() == HOSTNAME && of_node.values().len() == 1;
        of_node.values().first().filter(|_| is_host)
    }

    fn count(&self, domain: &str) -> i32 {
        self.domains.get(domain).copied().unwrap_or(0)
    }

    fn one(&self, domain: &Name) -> Requirement {
        Requirement::value(&self.topology, domain)
    }

    fn none(&self) -> Requirement {
        Requirement::absent(&self.topology)
    }

    /// The registered domains that a node allows.
    fn known<'a>(&'a self, of_node: &'a Requirement) -> Box<dyn Iterator<Item = &'a Name> + 'a> {
        if of_node.operator() == NodeOperator::In {
            let values = of_node.values().iter();
            return Box::new(values.filter(|domain| self.domains.contains_key(*domain)));
        }
        Box::new(self.domains.keys().filter(|domain| of_node.has(domain)))
    }

    /// An allowed domain with the fewest pods, if one more there stays within the skew.
    fn next_spread(
        &self,
        pod: &Pod,
        of_pod: &Requirement,
        of_node: &Requirement,
        ties: &Ties,
    ) -> Requirement {
        let own = i32::from(self.selects(pod));
        if let Some(host) = self.host(of_node) {
            // A new host can always be created, so that the minimum is 0.
            let fits = self.count(host) + own <= self.max_skew;
            return if fits { self.one(host) } else { self.none() };
        }
        let least = self.least(of_pod);
        let allowed: Vec<(&Name, i32)> = self
            .known(of_node)
            .map(|domain| (domain, self.count(domain) + own))
            .filter(|(_, count)| count.saturating_sub(least) <= self.max_skew)
            .collect();
        let fewest = allowed.iter().map(|(_, count)| *count).min();
        let best = allowed.iter().filter(|(_, count)| Some(*count) == fewest);
        match ties.pick(best.map(|(domain, _)| domain.as_ref())) {
            Some(domain) => self.one(&domain.into()),
            None => self.none(),
        }
    }

    /// The lowest count among the domains that the pod allows (`domainMinCount`).
    fn least(&self, of_pod: &Requirement) -> i32 {
        if self.topology.as_ref() == HOSTNAME {
            return 0;
        }
        let allowed = self.domains.iter().filter(|(domain, _)| of_pod.has(domain));
        let counts: Vec<i32> = allowed.map(|(_, count)| *count).collect();
        let has_too_few = |least: i32| i32::try_from(counts.len()).is_ok_and(|count| count < least);
        if self.min_domains.is_some_and(has_too_few) {
            return 0;
        }
        counts.into_iter().min().unwrap_or(i32::MAX)
    }

    /// The domains with pods; if there are none and the pod selects itself, any domain.
    fn next_affinity(
        &self,
        pod: &Pod,
        of_pod: &Requirement,
        of_node: &Requirement,
        ties: &Ties,
    ) -> Requirement {
        let mut options = self.none();
        if let Some(host) = self.host(of_node) {
            let fits = of_pod.has(host) && (self.count(host) > 0 || self.may_begin(pod, of_pod));
            return if fits { self.one(host) } else { options };
        }
        for domain in self.known(of_node) {
            if of_pod.has(domain) && self.count(domain) > 0 {
                options.insert(domain.clone());
            }
        }
        if !options.values().is_empty() || !self.may_begin(pod, of_pod) {
            return options;
        }
        let both = of_pod.intersection(of_node);
        for allowed in [&both, of_pod] {
            let domains = self.domains.keys().filter(|domain| allowed.has(domain));
            if let Some(domain) = ties.pick(domains.map(AsRef::as_ref)) {
                options.insert(domain.into());
            }
        }
        options
    }

    /// True if a pod that selects itself is the first of its group, or all others are in domains that it excludes.
    fn may_begin(&self, pod: &Pod, of_pod: &Requirement) -> bool {
        let has_pods = |(domain, count): (&Name, &i32)| of_pod.has(domain) && *count > 0;
        self.selects(pod)
            && (self.domains.len() == self.empty.len() || !self.domains.iter().any(has_pods))
    }

    /// The domains without pods.
    fn next_anti_affinity(&self, of_pod: &Requirement, of_node: &Requirement) -> Requirement {
        let mut options = self.none();
        if let Some(host) = self.host(of_node) {
            return if self.count(host) == 0 { self.one(host) } else { options };
        }
        for domain in self.empty.iter().filter(|domain| of_node.has(domain) && of_pod.has(domain)) {
            options.insert(domain.clone());
        }
        options
    }
}
