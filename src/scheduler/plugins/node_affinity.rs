//! NodeAffinity: node selector, required and preferred node affinity, and affinity that the
//! scheduler's configuration adds to every pod.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeScore, PreFilter, PreScore, Refusal, Scope,
    ScorePlugin, default_normalize,
};
use super::super::node_info::NodeInfo;
use super::super::pod_class::PodClass;
use cluster::pod_template::NodeSelectorTerm;
use cluster::selector::{Operator, Requirement};
use cluster::{Labels, Name};

/// The plugin with its arguments.
#[derive(Clone, Debug, Default)]
pub struct NodeAffinity {
    /// `addedAffinity.required...`: terms of which one must match; absent = no requirement.
    pub added_required: Option<Vec<NodeSelectorTerm>>,
    /// `addedAffinity.preferred...` with weights.
    pub added_preferred: Vec<(i32, NodeSelectorTerm)>,
}

/// Whether the node meets the pod's node selector and required node affinity
/// (`nodeaffinity.GetRequiredNodeAffinity`).
pub fn meets_required_affinity(class: &PodClass, node: &NodeInfo) -> bool {
    let selected = |(key, value): (&Name, &Name)| node.labels.get(key) == Some(value);
    class.node_selector.iter().all(selected)
        && class.required_node.as_ref().is_none_or(|terms| matches_any(terms, node))
}

/// Whether one of the terms matches; an empty term matches nothing.
fn matches_any(terms: &[NodeSelectorTerm], node: &NodeInfo) -> bool {
    terms.iter().any(|term| matches_term(term, node))
}

fn matches_term(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    !is_empty(term)
        && term.match_expressions.iter().all(|requirement| requirement.matches(&node.labels))
        && term.match_fields.iter().all(|requirement| matches_field(requirement, &node.name))
}

fn is_empty(term: &NodeSelectorTerm) -> bool {
    term.match_expressions.is_empty() && term.match_fields.is_empty()
}

/// The only field that can be selected on is `metadata.name`, with one value.
fn matches_field(requirement: &Requirement, name: &Name) -> bool {
    if requirement.key.as_ref() != NAME_FIELD || requirement.values.len() != 1 {
        return false;
    }
    match requirement.operator {
        Operator::In => requirement.values[0] == *name,
        Operator::NotIn => requirement.values[0] != *name,
        _ => false,
    }
}

const NAME_FIELD: &str = "metadata.name";

impl NodeAffinity {
    /// Whether a node meets the affinity added by the configuration.
    fn meets_added(&self, node: &NodeInfo) -> bool {
        self.added_required.as_ref().is_none_or(|terms| matches_any(terms, node))
    }

    fn check(&self, class: &PodClass, node: &NodeInfo) -> Result<(), Refusal> {
        if !self.meets_added(node) {
            let reason = "node(s) didn't match scheduler-enforced node affinity";
            return Err(Refusal::unresolvable(reason));
        }
        if !meets_required_affinity(class, node) {
            let reason = "node(s) didn't match Pod's node affinity/selector";
            return Err(Refusal::unresolvable(reason));
        }
        Ok(())
    }
}

impl FilterPlugin for NodeAffinity {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        let class = cycle.pod.class;
        let has_own = class.required_node.is_some() || class.node_selector != Labels::default();
        if !has_own && self.added_required.is_none() {
            return PreFilter::Skip;
        }
        let filter = Box::new(|node: &NodeInfo| self.check(class, node));
        let only = match class.required_node.as_deref().and_then(nodes_by_name) {
            None => None,
            Some(names) if names.is_empty() => {
                return PreFilter::Refuse(Refusal::unresolvable("pod affinity terms conflict"));
            }
            Some(names) => {
                let named = cycle.cache.order().iter().copied();
                let mut only: Vec<usize> =
                    named.filter(|slot| names.contains(&&cycle.cache.node(*slot).name)).collect();
                only.sort_unstable();
                Some(only)
            }
        };
        PreFilter::Check { only, filter }
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        let meets_own = |node: &NodeInfo| meets_required_affinity(cycle.pod.class, node);
        let meets = |node: &NodeInfo| self.meets_added(node) && meets_own(node);
        match event {
            ClusterEvent::NodeAdded(node) => meets(node),
            // The previous state is checked only against the pod's own affinity.
            ClusterEvent::NodeUpdated { before, after } => !meets_own(before) && meets(after),
            _ => false,
        }
    }
}

/// The names to which every term restricts the nodes; `None` if some term names no node. Empty if
/// each term contradicts itself.
fn nodes_by_name(terms: &[NodeSelectorTerm]) -> Option<Vec<&Name>> {
    let mut names: Vec<&Name> = Vec::new();
    for term in terms {
        let fields = term.match_fields.iter();
        let mut fields = fields.filter(|requirement| {
            requirement.key.as_ref() == NAME_FIELD && requirement.operator == Operator::In
        });
        let mut of_term: Vec<&Name> = fields.next()?.values.iter().collect();
        for requirement in fields {
            of_term.retain(|name| requirement.values.contains(name));
        }
        names.extend(of_term);
    }
    if terms.is_empty() { None } else { Some(names) }
}

impl ScorePlugin for NodeAffinity {
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        cycle.pod.class.preferred_node.is_empty() && self.added_preferred.is_empty()
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, _: &[usize]) -> PreScore<'c> {
        let own = &cycle.pod.class.preferred_node;
        if own.is_empty() && self.added_preferred.is_empty() {
            return None;
        }
        Some(Box::new(SumOfWeights { added: &self.added_preferred, own }))
    }
}

struct SumOfWeights<'c> {
    added: &'c [(i32, NodeSelectorTerm)],
    own: &'c [(i32, NodeSelectorTerm)],
}

impl NodeScore for SumOfWeights<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let terms = self.added.iter().chain(self.own);
        let matching = terms.filter(|(_, term)| matches_term(term, node));
        matching.map(|(weight, _)| i64::from(*weight)).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        default_normalize(scores, false);
    }
}
