//! NodeUnschedulable: keeps pods off cordoned nodes.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, PreFilter, Refusal, Scope,
};
use cluster::Name;
use cluster::node::{Taint, UNSCHEDULABLE_TAINT};
use cluster::pod_template::TaintEffect;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct NodeUnschedulable;

impl FilterPlugin for NodeUnschedulable {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        let tolerations = &cycle.pod.class.tolerations;
        if !tolerations.is_empty() {
            // A pod that tolerates the cordon's taint may still be placed there.
            let taint = Taint {
                key: UNSCHEDULABLE_TAINT.into(),
                value: Name::from(""),
                effect: TaintEffect::NoSchedule,
                time_added: None,
            };
            if tolerations.iter().any(|toleration| toleration.tolerates(&taint)) {
                return PreFilter::Skip;
            }
        }
        PreFilter::require(
            |node| !node.unschedulable,
            || Refusal::unresolvable("node(s) were unschedulable"),
        )
    }

    fn queueing_hint(&self, _: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(node) => !node.unschedulable,
            ClusterEvent::NodeUpdated { before, after } => {
                before.unschedulable && !after.unschedulable
            }
            _ => false,
        }
    }
}
