//! VolumeZone: keeps pods in the zones named by the labels of their volumes
//! (`pkg/scheduler/framework/plugins/volumezone`, 1.36). Provisioned volumes use node affinity, checked by VolumeBinding.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, PreFilter, Refusal,
};
use super::super::node_info::NodeInfo;
use super::volumes::claims;
use cluster::Name;
use cluster::node::ZONE_LABEL;

/// The VolumeZone plugin.
#[derive(Clone, Copy, Debug)]
pub struct VolumeZone;

/// The labelled zones of each bound volume that has any.
#[derive(Clone)]
struct Zones<'c>(Vec<&'c [Name]>);

impl NodeFilter for Zones<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        // Nodes without a zone label pass.
        let Some(zone) = node.labels.get(ZONE_LABEL) else { return Ok(()) };
        if self.0.iter().all(|zones| zones.contains(zone)) {
            return Ok(());
        }
        Err(Refusal::unresolvable("node(s) had no available volume zone"))
    }
}

impl FilterPlugin for VolumeZone {
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        let volumes = claims(cycle).filter_map(|(_, claim)| claim?.volume.as_ref());
        let zones: Vec<&[Name]> = volumes
            .map(|volume| volume.labelled_zones.as_slice())
            .filter(|zones| !zones.is_empty())
            .collect();
        if zones.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::check(Zones(zones))
    }

    fn queueing_hint(&self, _: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::ClaimAdded | ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::NodeUpdated { before, after } => {
                before.labels.get(ZONE_LABEL) != after.labels.get(ZONE_LABEL)
            }
            _ => false,
        }
    }
}
