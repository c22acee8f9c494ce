//! Which nodes count where pods are spread (`topologynodefilter.go`).

use std::collections::{BTreeMap, BTreeSet};

use super::preferences::Ask;
use crate::pod::untolerated;
use crate::requirements::Requirements;
use cluster::Name;
use cluster::node::Taint;
use cluster::pod_template::{NodeInclusionPolicy, TaintEffect, Toleration, TolerationOperator};

/// Which nodes count: all, for affinity; for spread constraints those that their policies include.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeFilter {
    /// Node selector with each of the required terms; one must be met.
    alternatives: Vec<Requirements>,
    /// Absent for affinity.
    pub(super) taints: Option<NodeInclusionPolicy>,
    affinity: Option<NodeInclusionPolicy>,
    tolerations: Vec<Toleration>,
}

/// A toleration in a form that can be ordered.
type TolerationKey = (Name, bool, Name, Option<TaintEffect>, Option<i64>);

/// What two filters have in common that Karpenter takes for the same: the keys that are required, but not their
/// values (`TopologyGroup.Hash` sees exported fields only), and each as often as not twice.
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
        ask: &Ask,
        taints: NodeInclusionPolicy,
        affinity: NodeInclusionPolicy,
    ) -> Self {
        let selector = Requirements::of_labels(&ask.spec().node_selector);
        let alternatives = match &ask.affinity.required_node {
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
            tolerations: ask.tolerations.to_vec(),
        }
    }

    /// Whether a node with these taints and requirements counts (`Matches`).
    pub(super) fn matches(&self, taints: &[Taint], requirements: &Requirements) -> bool {
        let is_met = self.affinity != Some(NodeInclusionPolicy::Honor)
            || self.alternatives.is_empty()
            || self.alternatives.iter().any(|one| requirements.is_compatible(one, None));
        is_met
            && (self.taints != Some(NodeInclusionPolicy::Honor)
                || untolerated(taints, &self.tolerations).is_none())
    }

    /// What it is compared by.
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

/// What comes an odd number of times: hashes of a set's members are combined by exclusive or, so that what comes
/// twice leaves no trace.
pub(super) fn odd<T: Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| count % 2 == 1).map(|(item, _)| item).collect()
}
