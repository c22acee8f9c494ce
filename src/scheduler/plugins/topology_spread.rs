//! PodTopologySpread: its arguments, the constraints of a pod, and which nodes and pods count.

use std::borrow::Cow;

use super::super::framework::CycleContext;
use super::super::node_info::{ClassCount, ClassId, NodeInfo};
use super::super::pod_class::{PodClass, SpreadConstraint};
use super::class_memo::ClassMemo;
use super::node_affinity::meets_required_affinity;
use super::taint_toleration::has_untolerated_taint;
use cluster::node::{HOSTNAME_LABEL, ZONE_LABEL};
use cluster::pod_template::{NodeInclusionPolicy, TopologySpreadConstraint, WhenUnsatisfiable};
use cluster::selection::Selecting;
use cluster::selector::Selector;
use cluster::{Labels, Name};

/// The plugin with its arguments.
#[derive(Clone, Debug)]
pub struct TopologySpread {
    /// Constraints of pods that have none; their selectors come from Services and owners.
    pub default_constraints: Vec<TopologySpreadConstraint>,
    /// Whether these are the scheduler's own defaults (`defaultingType: System`): nodes without the labels are then
    /// scored as well.
    pub is_system_default: bool,
}

impl Default for TopologySpread {
    fn default() -> Self {
        let constraint = |key: &str, max_skew| TopologySpreadConstraint {
            max_skew,
            topology_key: key.into(),
            when_unsatisfiable: WhenUnsatisfiable::ScheduleAnyway,
            selector: None,
            match_label_keys: Vec::new(),
            min_domains: None,
            node_affinity_policy: NodeInclusionPolicy::Honor,
            node_taints_policy: NodeInclusionPolicy::Ignore,
        };
        Self {
            default_constraints: vec![constraint(HOSTNAME_LABEL, 3), constraint(ZONE_LABEL, 5)],
            is_system_default: true,
        }
    }
}

impl TopologySpread {
    /// The topology keys of its default constraints.
    pub fn topology_keys(&self) -> impl Iterator<Item = Name> {
        self.default_constraints.iter().map(|constraint| constraint.topology_key.clone())
    }

    /// Whether a pod has constraints of one sort.
    pub(super) fn has_constraints(
        &self,
        cycle: &CycleContext<'_>,
        when: WhenUnsatisfiable,
    ) -> bool {
        let class = cycle.pod.class;
        if has_own_constraints(class) {
            return match when {
                WhenUnsatisfiable::DoNotSchedule => !class.hard_spread.is_empty(),
                WhenUnsatisfiable::ScheduleAnyway => !class.soft_spread.is_empty(),
            };
        }
        self.default_constraints.iter().any(|one| one.when_unsatisfiable == when)
            && default_selectors(cycle).any(|selector| !selector.is_empty())
    }

    /// The constraints of one kind for a pod: its own, or the defaults if it has none at all.
    pub(super) fn constraints_of<'c>(
        &self,
        cycle: &CycleContext<'c>,
        when: WhenUnsatisfiable,
    ) -> Cow<'c, [SpreadConstraint]> {
        let class = cycle.pod.class;
        if has_own_constraints(class) {
            return Cow::Borrowed(match when {
                WhenUnsatisfiable::DoNotSchedule => &class.hard_spread,
                WhenUnsatisfiable::ScheduleAnyway => &class.soft_spread,
            });
        }
        let defaults = self.default_constraints.iter();
        let mut defaults = defaults.filter(|one| one.when_unsatisfiable == when).peekable();
        if defaults.peek().is_none() {
            return Cow::Borrowed(&[]);
        }
        let selector = default_selector(cycle);
        if selector.is_empty() {
            return Cow::Borrowed(&[]);
        }
        let topology = cycle.cache.topology();
        let mut find = |key: &Name| topology.find(key).expect("profiles register their keys");
        let with_selector = |constraint: &TopologySpreadConstraint| {
            let mut constraint = SpreadConstraint::new(constraint, &Labels::default(), &mut find);
            constraint.selector = Some(selector.clone());
            constraint
        };
        Cow::Owned(defaults.map(with_selector).collect())
    }
}

/// Whether a pod has any constraint of its own, so that the defaults are not used.
pub(super) fn has_own_constraints(class: &PodClass) -> bool {
    !class.hard_spread.is_empty() || !class.soft_spread.is_empty()
}

/// The conjunction of the selectors of a pod's Services and owner (`helper.DefaultSelector`).
fn default_selector(cycle: &CycleContext<'_>) -> Selector {
    let parts = default_selectors(cycle);
    Selector { requirements: parts.flat_map(|part| &part.requirements).cloned().collect() }
}

/// The selectors of the Services that select a pod, and of its owner.
fn default_selectors<'c>(cycle: &CycleContext<'c>) -> impl Iterator<Item = &'c Selector> {
    let (class, store) = (cycle.pod.class, cycle.view.store());
    let pod = cycle.pod.id.and_then(|id| store.pods().get(id));
    // Of a pod that exists the store knows which Services select it.
    let known = pod.into_iter().flat_map(|pod| store.selecting(pod)).filter_map(|selecting| {
        let Selecting::Service(id) = selecting else { return None };
        store.services().get(id)?.spec.selector.as_ref()
    });
    let all = if pod.is_none() { Some(store.services().values()) } else { None };
    let compared = all.into_iter().flatten().filter_map(|service| {
        let selector = service.spec.selector.as_ref()?;
        let selects =
            *service.meta.namespace() == class.namespace && selector.matches(&class.labels);
        selects.then_some(selector)
    });
    let owned = cycle.pod.owner.and_then(|owner| store.selector_of(owner));
    known.chain(compared).chain(owned)
}

/// Whether a node has the labels of all constraints.
pub(super) fn has_all_keys(constraints: &[SpreadConstraint], node: &NodeInfo) -> bool {
    constraints.iter().all(|constraint| node.domain(constraint.topology).is_some())
}

/// Whether all nodes have the labels of all constraints.
pub(super) fn is_on_all_nodes(cycle: &CycleContext<'_>, constraints: &[SpreadConstraint]) -> bool {
    let (topology, nodes) = (cycle.cache.topology(), cycle.cache.node_count());
    constraints.iter().all(|constraint| topology.nodes_with(constraint.topology) == nodes)
}

/// Whether a constraint counts the pods of a node (`matchNodeInclusionPolicies`).
pub(super) fn includes_node(
    constraint: &SpreadConstraint,
    class: &PodClass,
    node: &NodeInfo,
) -> bool {
    (!constraint.honors_affinity || meets_required_affinity(class, node))
        && (!constraint.honors_taints || !has_untolerated_taint(&node.taints, &class.tolerations))
}

/// Matching pods per domain, if inclusion policies exclude no node with the constraint's label; `None` if they do, so
/// that each node must be checked.
pub(super) fn counts_by_domain(
    cycle: &CycleContext<'_>,
    constraint: &SpreadConstraint,
) -> Option<Vec<i64>> {
    let (cache, own) = (cycle.cache, cycle.pod.class);
    let asks_for_nodes = own.required_node.is_some() || !own.node_selector.is_empty();
    if (constraint.honors_affinity && asks_for_nodes)
        || (constraint.honors_taints && cache.has_hard_taints())
        || !cache.tallies().is_counted(constraint.topology)
    {
        return None;
    }
    let mut counts = vec![0; cache.topology().size(constraint.topology)];
    for class in counted_classes(cycle, constraint) {
        let tallies = cache.tallies().of(class, constraint.topology);
        for (count, tally) in counts.iter_mut().zip(tallies) {
            *count += tally.staying();
        }
    }
    Some(counts)
}

/// The pods that a constraint counts on each node, by slot.
pub(super) fn counts_by_node(cycle: &CycleContext<'_>, constraint: &SpreadConstraint) -> Vec<i64> {
    let mut counts = vec![0; cycle.cache.slots()];
    let mut add = |class: ClassId| -> Option<()> {
        for (slot, tally) in cycle.cache.pods_by_node(class)? {
            counts[slot] += tally.staying();
        }
        Some(())
    };
    if counted_classes(cycle, constraint).all(|class| add(class).is_some()) {
        return counts;
    }
    let mut matching = MatchingPods::new(cycle);
    for node in cycle.cache.nodes() {
        counts[node.id.index()] = matching.count(constraint, node);
    }
    counts
}

/// True if a pod may be scored by the number of pods of its kind on each node, so that keeping these counts up to
/// date pays off ([`super::super::cache::Cache::count_by_node`]).
pub(crate) fn may_count_by_node(cycle: &CycleContext<'_>) -> bool {
    let class = cycle.pod.class;
    if has_own_constraints(class) {
        return class.soft_spread.iter().any(|constraint| constraint.is_hostname);
    }
    default_selectors(cycle).next().is_some()
}

/// The classes on nodes that a constraint counts: those in the pod's namespace that it selects.
fn counted_classes<'c>(
    cycle: &CycleContext<'c>,
    constraint: &'c SpreadConstraint,
) -> impl Iterator<Item = ClassId> {
    // An empty selector counts none (`SpreadConstraint::counts`).
    let selector = constraint.selector.as_ref().filter(|selector| !selector.is_empty());
    let namespace = &cycle.pod.class.namespace;
    selector.into_iter().flat_map(|selector| cycle.cache.placed_matching(namespace, selector))
}

/// Counts a constraint's pods on nodes, remembering which classes of pods it matches.
pub(super) struct MatchingPods<'c> {
    cycle: CycleContext<'c>,
    matching: ClassMemo<bool>,
}

impl<'c> MatchingPods<'c> {
    pub(super) fn new(cycle: &CycleContext<'c>) -> Self {
        Self { cycle: *cycle, matching: ClassMemo::new(cycle.cache.class_count()) }
    }

    /// The pods on a node that a constraint counts: of the pod's namespace, not terminating. Each
    /// counter serves one constraint only.
    pub(super) fn count(&mut self, constraint: &SpreadConstraint, node: &NodeInfo) -> i64 {
        let (cache, own) = (self.cycle.cache, self.cycle.pod.class);
        let mut matches = |count: &&ClassCount| {
            *self.matching.get(count.class, || {
                let class = cache.class(count.class);
                class.namespace == own.namespace && constraint.counts(&class.labels)
            })
        };
        let counts = node.classes.iter();
        counts.filter(|count| matches(count)).map(|count| count.staying()).sum()
    }
}
