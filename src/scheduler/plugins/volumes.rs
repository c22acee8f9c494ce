//! VolumeRestrictions, as far as it shows without simulated volumes: a pod whose claim does not
//! exist is refused. NodeVolumeLimits, VolumeBinding and VolumeZone reject nothing, because claims
//! have no PersistentVolumes here.

use super::super::framework::{ClusterEvent, CycleContext, FilterPlugin, PreFilter, Refusal};
use crate::cluster::pod_template::ReferenceKind;
use crate::cluster::{Name, NamespacedName};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct VolumeRestrictions;

/// The first claim of a pod that does not exist.
fn missing_claim<'c>(cycle: &CycleContext<'c>) -> Option<&'c Name> {
    let class = cycle.pod.class;
    class.claims.iter().find(|claim| {
        let id = NamespacedName::new(class.namespace.clone(), (*claim).clone());
        !cycle.view.has_config(ReferenceKind::PersistentVolumeClaim, &id)
    })
}

impl FilterPlugin for VolumeRestrictions {
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        match missing_claim(cycle) {
            None => PreFilter::Skip,
            Some(claim) => {
                let reason = format!("persistentvolumeclaim {claim:?} not found");
                PreFilter::Refuse(Refusal::unresolvable(reason))
            }
        }
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        matches!(event, ClusterEvent::ClaimAdded) && missing_claim(cycle).is_none()
    }
}
