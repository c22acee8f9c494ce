//! Node selectors: which nodes the required node affinity of a pod admits
//! (`component-helpers/scheduling/corev1/nodeaffinity`, 1.36).

use super::meta::{Labels, Name};
use super::pod_template::{NodeSelectorTerm, PodSpec};
use super::selector::{Operator, Requirement};

/// The only field of a node that can be selected on.
pub(crate) const NODE_NAME_FIELD: &str = "metadata.name";

impl NodeSelectorTerm {
    /// Whether a node of this name with these labels meets all requirements. A term without any
    /// matches nothing.
    pub fn matches(&self, labels: &Labels, name: &Name) -> bool {
        let is_empty = self.match_expressions.is_empty() && self.match_fields.is_empty();
        !is_empty
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
            && self.match_fields.iter().all(|requirement| matches_name(requirement, name))
    }
}

impl PodSpec {
    /// Whether a node of this name with these labels meets the node selector and the required node
    /// affinity (`GetRequiredNodeAffinity`).
    pub fn admits_node(&self, labels: &Labels, name: &Name) -> bool {
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self
                .affinity
                .required_node
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term.matches(labels, name)))
    }
}

/// `metadata.name` is compared with exactly one value.
fn matches_name(requirement: &Requirement, name: &Name) -> bool {
    if *requirement.key != *NODE_NAME_FIELD || requirement.values.len() != 1 {
        return false;
    }
    match requirement.operator {
        Operator::In => requirement.values[0] == *name,
        Operator::NotIn => requirement.values[0] != *name,
        _ => false,
    }
}
