//! NodePorts: two pods with one host port do not share a node.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, PreFilter, Refusal, Scope,
};
use super::super::node_info::NodeInfo;
use super::super::pod_class::HostPort;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct NodePorts;

/// Whether the wanted ports are free on the node.
fn ports_are_free(wanted: &[HostPort], node: &NodeInfo) -> bool {
    !wanted.iter().any(|port| node.ports.iter().any(|taken| port.conflicts(taken)))
}

impl FilterPlugin for NodePorts {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        let wanted = &cycle.pod.class.host_ports;
        if wanted.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::require(
            move |node| ports_are_free(wanted, node),
            || {
                let reason = "node(s) didn't have free ports for the requested pod ports";
                Refusal::unschedulable(reason)
            },
        )
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::PodGone(gone) | ClusterEvent::NominationGone(gone) => {
                let wanted = &cycle.pod.class.host_ports;
                wanted.iter().any(|port| gone.host_ports.iter().any(|freed| port.conflicts(freed)))
            }
            _ => false,
        }
    }
}
