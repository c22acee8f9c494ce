//! Constraints on the placement of pods relative to each other (`topology.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::PodError;
use super::node_filter::NodeFilter;
use super::pass_context::PassContext;
use super::pods::PassPods;
use super::preferences::PodConstraints;
use super::topology_group::{DomainTaints, GroupDraft, GroupKey, TopologyGroup, TopologyKind};
use crate::labels::HOSTNAME;
use crate::node_pool::NodePool;
use crate::pod::Pod;
use crate::requirement::{NodeOperator, Requirement};
use crate::requirements::Requirements;
use crate::state::{PreferencePolicy, Snapshot, StateNode};
use cluster::node::Taint;
use cluster::pod_template::{PodAffinityTerm, WhenUnsatisfiable, merge_label_keys};
use cluster::selector::Selector;
use cluster::{Labels, Name};

/// All topology groups of a pass.
#[derive(Debug)]
pub(super) struct Topology<'a> {
    snapshot: &'a Snapshot,
    /// The nodes that pods may be assigned to, if the place of any pod depends on that of others.
    targets: Vec<&'a StateNode>,
    ground: &'a PassContext<'a>,
    groups: Groups,
    /// The groups of required anti-affinities, which repel other pods.
    inverse: Groups,
    /// UIDs of the pods being scheduled, which do not count at their present location.
    excluded: BTreeSet<Name>,
    /// The groups that constrain a pod of the pass, by position.
    owned: BTreeMap<usize, BTreeSet<usize>>,
    /// The groups through which a pod of the pass repels others.
    owned_inverse: BTreeMap<usize, BTreeSet<usize>>,
}

#[derive(Debug, Default)]
struct Groups {
    list: Vec<TopologyGroup>,
    places: BTreeMap<GroupKey, usize>,
}

impl<'a> Topology<'a> {
    /// The groups of these pods (`NewTopology`).
    pub(super) fn new(
        ground: &'a PassContext<'a>,
        targets: impl Iterator<Item = &'a StateNode>,
        pods: &PassPods<'_>,
    ) -> Self {
        let needs_counts = !ground.repelling.is_empty() || pods.is_any_choosy();
        let placed =
            pods.iter().filter(|_| needs_counts).map(|constraints| constraints.pod.uid.clone());
        let mut topology = Self {
            snapshot: ground.snapshot,
            targets: targets.filter(|_| needs_counts).collect(),
            ground,
            groups: Groups::default(),
            inverse: Groups::default(),
            excluded: placed.collect(),
            owned: BTreeMap::new(),
            owned_inverse: BTreeMap::new(),
        };
        topology.add_those_that_repel(&ground.repelling);
        pods.iter().filter(|_| needs_counts).for_each(|constraints| topology.update(constraints));
        topology
    }

    /// Assigns a pod to the groups of its current constraints (`Update`).
    pub(super) fn update(&mut self, constraints: &PodConstraints) {
        self.owned.remove(&constraints.index);
        for term in &constraints.affinity.required_anti {
            let draft = self.draft_of_term(TopologyKind::AntiAffinity, &constraints.pod, term);
            let place = self.inverse_place(draft, constraints);
            self.owned_inverse.entry(constraints.index).or_default().insert(place);
        }
        let mut drafts = self.drafts_of_spread(constraints);
        let affinity = &constraints.affinity;
        let respects = self.snapshot.options.preference_policy == PreferencePolicy::Respect;
        for (kind, required, preferred) in [
            (TopologyKind::Affinity, &affinity.required_pod, &affinity.preferred_pod),
            (TopologyKind::AntiAffinity, &affinity.required_anti, &affinity.preferred_anti),
        ] {
            let preferred = preferred.iter().map(|(_, term)| term).filter(|_| respects);
            let terms = required.iter().chain(preferred);
            drafts.extend(terms.map(|term| self.draft_of_term(kind, &constraints.pod, term)));
        }
        for draft in drafts {
            let key = draft.key();
            let place = if let Some(place) = self.groups.places.get(&key) {
                *place
            } else {
                let known = self.ground.known().get(&draft.topology);
                let mut group = draft.group(known, &constraints.tolerations);
                self.count(&mut group);
                self.groups.insert(key, group)
            };
            self.owned.entry(constraints.index).or_default().insert(place);
        }
    }

    fn drafts_of_spread(&self, constraints: &PodConstraints) -> Vec<GroupDraft> {
        let respects = self.snapshot.options.preference_policy == PreferencePolicy::Respect;
        let counts = |when| respects || when == WhenUnsatisfiable::DoNotSchedule;
        let own = constraints.spread.iter().filter(|one| counts(one.when_unsatisfiable));
        own.map(|one| {
            let merged = one.selector.as_ref().map(|selector| {
                merge_label_keys(selector, &one.match_label_keys, &[], &constraints.pod.labels)
            });
            GroupDraft {
                kind: TopologyKind::Spread,
                topology: one.topology_key.clone(),
                namespaces: BTreeSet::from([constraints.pod.id.namespace.clone()]),
                max_skew: one.max_skew,
                min_domains: one.min_domains,
                selector: merged,
                filter: NodeFilter::of_spread(
                    constraints,
                    one.node_taints_policy,
                    one.node_affinity_policy,
                ),
            }
        })
        .collect()
    }

    fn draft_of_term(&self, kind: TopologyKind, pod: &Pod, term: &PodAffinityTerm) -> GroupDraft {
        let (matching, other) = (&term.match_label_keys, &term.mismatch_label_keys);
        let merged = |selector| merge_label_keys(selector, matching, other, &pod.labels);
        GroupDraft {
            kind,
            topology: term.topology_key.clone(),
            namespaces: self.namespaces(pod, term),
            max_skew: i32::MAX,
            min_domains: None,
            selector: term.selector.as_ref().map(merged),
            filter: NodeFilter::default(),
        }
    }

    /// The namespaces of a term: those that it lists and those that it selects, or else the pod's own.
    fn namespaces(&self, pod: &Pod, term: &PodAffinityTerm) -> BTreeSet<Name> {
        let listed = term.namespaces.iter().cloned();
        match &term.namespace_selector {
            None if term.namespaces.is_empty() => BTreeSet::from([pod.id.namespace.clone()]),
            None => listed.collect(),
            Some(selector) => {
                let all = self.snapshot.namespaces.iter();
                let selected = all.filter(|(_, labels)| selector.matches(labels));
                selected.map(|(name, _)| name.clone()).chain(listed).collect()
            }
        }
    }

    fn inverse_place(&mut self, draft: GroupDraft, constraints: &PodConstraints) -> usize {
        let key = draft.key();
        if let Some(place) = self.inverse.places.get(&key) {
            return *place;
        }
        let group = draft.group(self.ground.known().get(key.topology()), &constraints.tolerations);
        self.inverse.insert(key, group)
    }

    /// Adds the groups of existing pods that repel others (`updateInverseAffinities`).
    fn add_those_that_repel(&mut self, repelling: &[&StateNode]) {
        for (labels, pod) in repelling.iter().copied().filter_map(with_labels).flatten() {
            let terms = &pod.template.spec.affinity.required_anti;
            if terms.is_empty() || pod.is_terminal || self.excluded.contains(&pod.uid) {
                continue;
            }
            for term in terms {
                let draft = self.draft_of_term(TopologyKind::AntiAffinity, pod, term);
                let key = draft.key();
                let place = if let Some(place) = self.inverse.places.get(&key) {
                    *place
                } else {
                    let known = self.ground.known().get(&term.topology_key);
                    let group = draft.group(known, &pod.template.spec.tolerations);
                    self.inverse.insert(key, group)
                };
                if let Some(domain) = labels.get(&term.topology_key) {
                    self.inverse.list[place].record(domain);
                }
            }
        }
    }

    /// Counts the existing pods (`countDomains`).
    fn count(&self, group: &mut TopologyGroup) {
        for target in &self.targets {
            let Some(node) = &target.node else { continue };
            if group.filter.matches(&node.taints, &Requirements::of_labels(&node.labels))
                && let Some(domain) = target.labels().get(&group.topology)
            {
                group.register(domain);
            }
        }
        let is_counted = |pod: &Pod, selector: Option<&Selector>| {
            pod.is_active()
                && group.namespaces.contains(&pod.id.namespace)
                && !self.excluded.contains(&pod.uid)
                && selector.is_none_or(|selector| selector.matches(&pod.labels))
        };
        let mut found: BTreeMap<Name, i32> = BTreeMap::new();
        for state in &self.snapshot.nodes {
            let Some(node) = &state.node else { continue };
            let is_host = group.topology.as_ref() == HOSTNAME;
            let by_name = Some(&node.name).filter(|_| is_host);
            let Some(domain) = node.labels.get(&group.topology).or(by_name) else { continue };
            let selector = group.selector.as_ref();
            let pods = state.pods.iter().filter(|pod| is_counted(pod, selector)).count();
            let counts = pods > 0
                && group.filter.matches(&node.taints, &Requirements::of_labels(&node.labels));
            if counts {
                *found.entry(domain.clone()).or_default() +=
                    i32::try_from(pods).unwrap_or(i32::MAX);
            }
        }
        for (domain, pods) in found {
            group.record(&domain);
            group.domains.insert(domain.clone(), group.domains[&domain] + pods - 1);
        }
    }

    /// Registers the hosts of all nodes as domains.
    pub(super) fn register_hosts<'b>(&mut self, hosts: impl Iterator<Item = &'b Name>) {
        let mut groups = self.groups.list.iter().chain(&self.inverse.list);
        if groups.any(|group| group.topology.as_ref() == HOSTNAME) {
            hosts.for_each(|host| self.register_host(host));
        }
    }

    /// Registers a host as a domain.
    pub(super) fn register_host(&mut self, host: &Name) {
        let groups = self.groups.list.iter_mut().chain(&mut self.inverse.list);
        for group in groups.filter(|group| group.topology.as_ref() == HOSTNAME) {
            group.register(host);
        }
    }

    /// Tightens a node's requirements so that a pod may be assigned to it (`AddRequirements`); unchanged if no
    /// group concerns the pod.
    pub(super) fn tighten(
        &self,
        constraints: &PodConstraints,
        taints: &[Taint],
        requirements: &Requirements,
    ) -> Result<Requirements, PodError> {
        let mut tightened = requirements.clone();
        let own = self.owned.get(&constraints.index).into_iter().flatten();
        let own = own.map(|place| &self.groups.list[*place]);
        let of_others = self.inverse.list.iter();
        let of_others =
            of_others.filter(|group| group.counts(&constraints.pod, taints, requirements));
        for group in own.chain(of_others) {
            let of_pod = constraints.strict.get_or_any(&group.topology);
            let of_node = requirements.get_or_any(&group.topology);
            let domains = group.next(&constraints.pod, &of_pod, &of_node, &self.snapshot.ties);
            if domains.operator() == NodeOperator::DoesNotExist {
                return Err(unsatisfiable(group, &of_pod, &of_node));
            }
            tightened.add(Arc::new(domains));
        }
        Ok(tightened)
    }

    /// True if any group concerns the pod.
    pub(super) fn concerns(&self, constraints: &PodConstraints) -> bool {
        self.owned.contains_key(&constraints.index)
            || self.inverse.list.iter().any(|group| group.selects(&constraints.pod))
    }

    /// Records the assignment of a pod to a node (`Record`).
    pub(super) fn record(
        &mut self,
        constraints: &PodConstraints,
        taints: &[Taint],
        requirements: &Requirements,
    ) {
        for group in &mut self.groups.list {
            if !group.counts(&constraints.pod, taints, requirements) {
                continue;
            }
            let Some(domains) = requirements.get(&group.topology) else { continue };
            // An anti-affinity blocks every domain in which its pod may end up.
            if group.kind == TopologyKind::AntiAffinity {
                domains.values().iter().for_each(|domain| group.record(domain));
            } else if let Some(domain) = domains.only_value() {
                group.record(domain);
            }
        }
        for place in self.owned_inverse.get(&constraints.index).into_iter().flatten() {
            let group = &mut self.inverse.list[*place];
            if let Some(domains) = requirements.get(&group.topology) {
                domains.values().iter().for_each(|domain| group.record(domain));
            }
        }
    }
}

impl Groups {
    fn insert(&mut self, key: GroupKey, group: TopologyGroup) -> usize {
        let place = self.list.len();
        self.list.push(group);
        self.places.insert(key, place);
        place
    }
}

fn unsatisfiable(group: &TopologyGroup, of_pod: &Requirement, of_node: &Requirement) -> PodError {
    let counts = group.domains.iter().map(|(domain, count)| format!("{domain}: {count}"));
    PodError::new(format!(
        "unsatisfiable topology constraint for {}, key={} (counts = {}, podDomains = {of_pod}, nodeDomains = {of_node})",
        group.kind.as_str(),
        group.topology,
        counts.collect::<Vec<_>>().join(", "),
    ))
}

/// The pods of a node, each with the node's labels.
fn with_labels(state: &StateNode) -> Option<impl Iterator<Item = (&Labels, &Arc<Pod>)>> {
    let node = state.node.as_ref()?;
    Some(state.pods.iter().map(move |pod| (&node.labels, pod)))
}

/// The possible domains of nodes of these pools (`buildDomainGroups`).
pub(super) fn domains_of(
    snapshot: &Snapshot,
    pools: &[Arc<NodePool>],
) -> BTreeMap<Name, DomainTaints> {
    let mut known: BTreeMap<Name, DomainTaints> = BTreeMap::new();
    for pool in pools {
        let types = snapshot.types_of(&pool.name);
        if types.is_empty() {
            continue;
        }
        let own = pool.own_requirements();
        let taints = &pool.template.taints;
        for one in types {
            let mut both = own.clone();
            both.add_all(&one.requirements);
            both.iter().for_each(|requirement| insert(&mut known, requirement, taints));
        }
        for requirement in own.iter().filter(|one| one.operator() == NodeOperator::In) {
            insert(&mut known, requirement, taints);
        }
    }
    known
}

fn insert(known: &mut BTreeMap<Name, DomainTaints>, requirement: &Requirement, taints: &[Taint]) {
    let domains = known.entry(requirement.key.clone()).or_default();
    for domain in requirement.values() {
        let behind = domains.entry(domain.clone()).or_default();
        if taints.is_empty() {
            *behind = vec![Vec::new()];
        } else if behind.first().is_none_or(|first| !first.is_empty())
            && !behind.iter().any(|one| one == taints)
        {
            behind.push(taints.to_vec());
        }
    }
}
