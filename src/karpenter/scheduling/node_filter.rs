//! Which nodes count towards a topology constraint (`topologynodefilter.go`).

use std::collections::{BTreeMap, BTreeSet};

use super::preferences::PodConstraints;
use crate::pod::untolerated;
use crate::requirements::Requirements;
use cluster::Name;
use cluster::node::Taint;
use cluster::pod_template::{NodeInclusionPolicy, TaintEffect, Toleration, TolerationOperator};

/// The nodes that count: all for affinity; for spread constraints those that their inclusion policies admit.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeFilter {
    /// The node selector combined with each required term; a node must meet one of them.
    alternatives: Vec<Requirements>,
    /// Absent for affinity.
    pub(super) taints: Option<NodeInclusionPolicy>,
    affinity: Option<NodeInclusionPolicy>,
    tolerations: Vec<Toleration>,
}

/// An orderable form of a toleration.
type TolerationKey = (Name, bool, Name, Option<TaintEffect>, Option<i64>);

/// Key under which Karpenter considers two filters the same: the required keys without their values
/// (`TopologyGroup.Hash` sees exported fields only), and only those that occur an odd number of times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FilterKey {
    alternatives: BTreeSet<BTreeSet<Name>>,
    taints: Option<bool>,
    affinity: Option<bool>,
    tolerations: BTreeSet<TolerationKey>,
}

impl NodeFilter {
    /// The nodes that count for a spread constraint of a pod.
    pub(super) fn of_spread(
        constraints: &PodConstraints,
        taints: NodeInclusionPolicy,
        affinity: NodeInclusionPolicy,
    ) -> Self {
        let selector = Requirements::of_labels(&constraints.spec().node_selector);
        let alternatives = match &constraints.affinity.required_node {
            None => vec![selector],
            Some(terms) => {
                let with = |term: &cluster::pod_template::NodeSelectorTerm| {
                    let mut all = selector.clone();
                    all.add_all(&Requirements::of_expressions(&term.match_expressions));
                    all
                };
                terms.iter().map(with).collect()
            }
        };
        Self {
            alternatives,
            taints: Some(taints),
            affinity: Some(affinity),
            tolerations: constraints.tolerations.to_vec(),
        }
    }

    /// True if a node with these taints and requirements counts (`Matches`).
    pub(super) fn matches(&self, taints: &[Taint], requirements: &Requirements) -> bool {
        let is_met = self.affinity != Some(NodeInclusionPolicy::Honor)
            || self.alternatives.is_empty()
            || self.alternatives.iter().any(|one| requirements.is_compatible(one, None));
        is_met
            && (self.taints != Some(NodeInclusionPolicy::Honor)
                || untolerated(taints, &self.tolerations).is_none())
    }

    /// The key for comparisons.
    pub(super) fn key(&self) -> FilterKey {
        let keys = |one: &Requirements| one.iter().map(|one| one.key.clone()).collect();
        let toleration = |one: &Toleration| {
            let exists = one.operator == TolerationOperator::Exists;
            (one.key.clone(), exists, one.value.clone(), one.effect, one.toleration_seconds)
        };
        let honors = |policy: Option<NodeInclusionPolicy>| {
            policy.map(|policy| policy == NodeInclusionPolicy::Honor)
        };
        FilterKey {
            alternatives: odd(self.alternatives.iter().map(keys)),
            taints: honors(self.taints),
            affinity: honors(self.affinity),
            tolerations: odd(self.tolerations.iter().map(toleration)),
        }
    }
}

/// The items that occur an odd number of times: the hash combines the members of a set by XOR, so that pairs cancel
/// out.
pub(super) fn odd<T: Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| count % 2 == 1).map(|(item, _)| item).collect()
}
