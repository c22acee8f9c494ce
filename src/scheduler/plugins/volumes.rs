//! VolumeRestrictions, as far as it shows without simulated volumes: a pod whose claim does not
//! exist is refused. NodeVolumeLimits, VolumeBinding and VolumeZone reject nothing, because claims
//! have no PersistentVolumes here.

use super::super::framework::{ClusterEvent, CycleContext, FilterPlugin, PreFilter, Refusal};
use crate::cluster::NamespacedName;
use crate::cluster::pod_template::ReferenceKind;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct VolumeRestrictions;

impl FilterPlugin for VolumeRestrictions {
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        let class = cycle.pod.class;
        for claim in &class.claims {
            let id = NamespacedName::new(class.namespace.clone(), claim.clone());
            if !cycle.view.has_config(ReferenceKind::PersistentVolumeClaim, &id) {
                let reason = format!("persistentvolumeclaim {claim:?} not found");
                return PreFilter::Refuse(Refusal::unresolvable(reason));
            }
        }
        PreFilter::Skip
    }

    fn queueing_hint(&self, _: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        let _ = event;
        false
    }
}
