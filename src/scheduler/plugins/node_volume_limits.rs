//! NodeVolumeLimits: keeps pods from nodes to which no more volumes of a CSI driver can be attached
//! (`pkg/scheduler/framework/plugins/nodevolumelimits/csi.go`, 1.36).

use std::collections::BTreeSet;

use super::super::cache::Cache;
use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, PreFilter, Refusal,
};
use super::super::node_info::NodeInfo;
use super::volumes::{claims, claims_by_key};
use cluster::NamespacedName;
use cluster::attachment::Driver;
use cluster::claim::{Claim, ClaimId};
use cluster::store::Store;

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct NodeVolumeLimits;

/// The volumes of the pod must find room beside those of the others.
#[derive(Clone)]
struct Limits<'c> {
    store: &'c Store,
    cache: &'c Cache,
    /// The pod's claims by the limit against which they count.
    wanted: Vec<(Driver<'c>, Vec<ClaimId>)>,
}

impl Limits<'_> {
    /// The claims whose volumes are on the node, or will be: of its pods, and those that are still attached to it.
    fn present(&self, node: &NodeInfo) -> BTreeSet<ClaimId> {
        let classes = node.classes.iter().map(|count| self.cache.class(count.class));
        let of_pods = classes.flat_map(|class| {
            class.claims.iter().filter_map(|name| {
                let id = NamespacedName::new(class.namespace.clone(), name.clone());
                self.store.named::<Claim>(&id)
            })
        });
        of_pods.chain(self.store.attached_to(node.id)).collect()
    }
}

impl NodeFilter for Limits<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let mut present = None;
        for (driver, claims) in &self.wanted {
            let Some(limit) = self.store.attach_limit(node.id, driver) else { continue };
            let present = present.get_or_insert_with(|| self.present(node));
            let counts = |id: &&ClaimId| {
                let claim = self.store.claims().get(**id);
                claim.is_some_and(|claim| self.store.limited_by(claim).as_ref() == Some(driver))
            };
            let taken = present.iter().filter(counts).count();
            let further = claims.iter().filter(|id| !present.contains(id)).count();
            // What is there already needs no further room.
            if further > 0 && taken + further > limit as usize {
                return Err(Refusal::unschedulable("node(s) exceed max volume count"));
            }
        }
        Ok(())
    }
}

impl FilterPlugin for NodeVolumeLimits {
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        if cycle.pod.class.claims.is_empty() {
            return PreFilter::Skip;
        }
        let store = cycle.view.store();
        let mut wanted: Vec<(Driver<'c>, Vec<ClaimId>)> = Vec::new();
        for (id, claim) in claims_by_key(cycle) {
            let Some(driver) = store.limited_by(claim) else { continue };
            match wanted.iter_mut().find(|(known, _)| *known == driver) {
                Some((_, claims)) if claims.contains(&id) => {}
                Some((_, claims)) => claims.push(id),
                None => wanted.push((driver, vec![id])),
            }
        }
        if wanted.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::check(Limits { store, cache: cycle.cache, wanted })
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::NodeAdded(_) | ClusterEvent::AttachmentsChanged => true,
            ClusterEvent::PodGone(gone) => !gone.claims.is_empty(),
            ClusterEvent::ClaimAdded => claims(cycle).all(|(_, claim)| claim.is_some()),
            _ => false,
        }
    }
}
