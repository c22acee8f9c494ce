//! NodeName: restricts a pod with `spec.nodeName` to that node.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, PreFilter, Refusal, Scope,
};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct NodeName;

impl FilterPlugin for NodeName {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        match &cycle.pod.class.node_name {
            None => PreFilter::Skip,
            Some(name) => PreFilter::require(
                move |node| node.name == *name,
                || Refusal::unresolvable("node(s) didn't match the requested node name"),
            ),
        }
    }

    fn queueing_hint(&self, _: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        matches!(event, ClusterEvent::NodeAdded(_))
    }
}
