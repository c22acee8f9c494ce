//! PodTopologySpread: its arguments, the constraints of a pod, and which nodes and pods count.

use std::borrow::Cow;

use super::super::framework::CycleContext;
use super::super::node_info::{ClassCount, NodeInfo};
use super::super::pod_class::{PodClass, SpreadConstraint};
use super::class_memo::ClassMemo;
use super::node_affinity::meets_required_affinity;
use super::taint_toleration::has_untolerated_taint;
use crate::cluster::node::{HOSTNAME_LABEL, ZONE_LABEL};
use crate::cluster::pod_template::{
    NodeInclusionPolicy, TopologySpreadConstraint, WhenUnsatisfiable,
};
use crate::cluster::selector::Selector;
use crate::cluster::{Labels, Name};

/// The plugin with its arguments.
#[derive(Clone, Debug)]
pub struct TopologySpread {
    /// Constraints of pods that have none; their selectors come from Services and owners.
    pub default_constraints: Vec<TopologySpreadConstraint>,
    /// Whether those are the scheduler's own (`defaultingType: System`): then nodes without the
    /// labels are scored as well.
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

    /// The constraints of one sort for a pod: its own, or the defaults if it has none at all.
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

/// What the Services and the owner of a pod select together (`helper.DefaultSelector`).
fn default_selector(cycle: &CycleContext<'_>) -> Selector {
    let class = cycle.pod.class;
    let mut selector = Selector::default();
    for service in cycle.view.services().values() {
        if *service.meta.namespace() == class.namespace
            && let Some(selected) = &service.selector
            && selected.matches(&class.labels)
        {
            selector.requirements.extend(selected.requirements.iter().cloned());
        }
    }
    if let Some(owned) = cycle.pod.owner.and_then(|owner| cycle.view.store().selector_of(owner)) {
        selector.requirements.extend(owned.requirements.iter().cloned());
    }
    selector
}

/// Whether a node has the labels of all constraints.
pub(super) fn has_all_keys(constraints: &[SpreadConstraint], node: &NodeInfo) -> bool {
    constraints.iter().all(|constraint| node.domain(constraint.topology).is_some())
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

/// The pods that a constraint counts in each domain; `None` where that takes a look at every node, because
/// some do not take part.
pub(super) fn counts_by_domain(
    cycle: &CycleContext<'_>,
    constraints: &[SpreadConstraint],
    constraint: &SpreadConstraint,
) -> Option<Vec<i64>> {
    let (cache, own) = (cycle.cache, cycle.pod.class);
    let has_all_keys =
        |one: &SpreadConstraint| cache.topology().nodes_with(one.topology) == cache.node_count();
    let asks_for_nodes = own.required_node.is_some() || !own.node_selector.is_empty();
    if (constraint.honors_affinity && asks_for_nodes)
        || (constraint.honors_taints && cache.has_hard_taints())
        || !cache.tallies().is_counted(constraint.topology)
        || !constraints.iter().all(has_all_keys)
    {
        return None;
    }
    let mut counts = vec![0; cache.topology().size(constraint.topology)];
    for class in cache.placed_classes() {
        let pods = cache.class(class);
        if pods.namespace == own.namespace && constraint.counts(&pods.labels) {
            let tallies = cache.tallies().of(class, constraint.topology);
            for (count, tally) in counts.iter_mut().zip(tallies) {
                *count += tally.staying();
            }
        }
    }
    Some(counts)
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
