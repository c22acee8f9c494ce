//! NodeName: a pod that names its node goes nowhere else.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, PreFilter, Refusal, Scope,
};
use super::super::node_info::NodeInfo;

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
            Some(name) => PreFilter::check(HasName { name }),
        }
    }

    fn queueing_hint(&self, _: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        matches!(event, ClusterEvent::NodeAdded(_))
    }
}

#[derive(Clone, Copy)]
struct HasName<'c> {
    name: &'c str,
}

impl NodeFilter for HasName<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if node.name.as_ref() == self.name {
            return Ok(());
        }
        Err(Refusal::unresolvable("node(s) didn't match the requested node name"))
    }
}
