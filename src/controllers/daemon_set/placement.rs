//! Which nodes should run a daemon pod (`NodeShouldRunDaemonPod`, 1.36).

use cluster::node::Node;
use cluster::pod_template::{PodTemplate, TaintEffect};

/// Whether a node should have a pod, and whether it may keep one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// A pod should be created there.
    pub should_run: bool,
    /// An existing pod may stay there.
    pub should_continue: bool,
}

/// Evaluates a node for the pods of a DaemonSet: by name, selector and affinity, and by taints. Taints that only
/// repel new pods do not affect a running one.
pub fn placement(template: &PodTemplate, node: &Node) -> Placement {
    let spec = &template.spec;
    let is_named = spec.node_name.as_ref().is_none_or(|name| name == node.meta.name());
    if !is_named || !spec.admits_node(&node.meta.labels, node.meta.name()) {
        return Placement { should_run: false, should_continue: false };
    }
    let tolerates = |effect: TaintEffect| {
        node.taints
            .iter()
            .filter(|taint| taint.effect == effect)
            .all(|taint| spec.tolerations.iter().any(|toleration| toleration.tolerates(taint)))
    };
    let may_stay = tolerates(TaintEffect::NoExecute);
    Placement {
        should_run: may_stay && tolerates(TaintEffect::NoSchedule),
        should_continue: may_stay,
    }
}
