//! VolumeRestrictions and VolumeBinding: a pod whose claim is missing or terminating is rejected; a ReadWriteOncePod
//! claim admits one pod; a bound volume keeps its pods where its node affinity allows; an unbound claim needs a
//! PersistentVolume reachable from the node, or one provisioned there.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, PreFilter, Refusal,
};
use super::super::node_info::NodeInfo;
use super::super::pod_class::PodClass;
use cluster::claim::{Claim, ClaimId, Volume};
use cluster::node::ZONE_LABEL;
use cluster::persistent_volume::{PersistentVolumeId, reaches};
use cluster::store::Store;
use cluster::{Name, NamespacedName};

/// The plugin that keeps pods from claims that are missing, or in another pod's hands.
#[derive(Clone, Copy, Debug)]
pub struct VolumeRestrictions;

/// The plugin that keeps pods in the zones of their volumes.
#[derive(Clone, Copy, Debug)]
pub struct VolumeBinding;

/// The claims of a pod that exist.
pub(super) fn claims_by_key<'c>(
    cycle: &CycleContext<'c>,
) -> impl Iterator<Item = (ClaimId, &'c Claim)> + use<'c> {
    let (class, store) = (cycle.pod.class, cycle.view.store());
    class.claims.iter().filter_map(|name| {
        let id =
            store.named::<Claim>(&NamespacedName::new(class.namespace.clone(), name.clone()))?;
        Some((id, &store.claims()[id]))
    })
}

/// The claims of a pod by name, absent where they do not exist.
pub(super) fn claims<'c>(
    cycle: &CycleContext<'c>,
) -> impl Iterator<Item = (&'c Name, Option<&'c Claim>)> + use<'c> {
    let (class, store) = (cycle.pod.class, cycle.view.store());
    class.claims.iter().map(|name| {
        let id = NamespacedName::new(class.namespace.clone(), name.clone());
        (name, store.claim(&id))
    })
}

/// The first claim of a pod that does not exist.
fn missing_claim<'c>(cycle: &CycleContext<'c>) -> Option<&'c Name> {
    claims(cycle).find(|(_, claim)| claim.is_none()).map(|(name, _)| name)
}

/// Result of both plugins for a pod without claims, or with a missing one.
fn skipped_or_refused<'c>(cycle: &CycleContext<'c>) -> Option<PreFilter<'c>> {
    if cycle.pod.class.claims.is_empty() {
        return Some(PreFilter::Skip);
    }
    let claim = missing_claim(cycle)?;
    let reason = format!("persistentvolumeclaim {claim:?} not found");
    Some(PreFilter::Refuse(Refusal::unresolvable(reason)))
}

/// Number of these claims named by a pod.
fn count_named(claims: &[&Name], namespace: &Name, pod: &PodClass) -> usize {
    if pod.claims.is_empty() || pod.namespace != *namespace {
        return 0;
    }
    pod.claims.iter().filter(|name| claims.contains(name)).count()
}

impl FilterPlugin for VolumeRestrictions {
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        if let Some(found) = skipped_or_refused(cycle) {
            return found;
        }
        let is_of_one_pod =
            |claim: Option<&Claim>| claim.is_some_and(|one| one.spec.is_of_one_pod());
        let own = claims(cycle).filter(|(_, claim)| is_of_one_pod(*claim));
        let claims: Vec<&Name> = own.map(|(name, _)| name).collect();
        if claims.is_empty() {
            return PreFilter::Skip;
        }
        let namespace = &cycle.pod.class.namespace;
        let placed = cycle.cache.nodes().flat_map(|node| &node.pods);
        let users = placed.map(|pod| cycle.cache.class(pod.class));
        let in_use = users.map(|pod| count_named(&claims, namespace, pod)).sum();
        PreFilter::check(OfOnePod { claims, namespace, in_use })
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        match event {
            ClusterEvent::ClaimAdded => missing_claim(cycle).is_none(),
            ClusterEvent::PodGone(gone) => {
                let class = cycle.pod.class;
                let own: Vec<&Name> = class.claims.iter().collect();
                count_named(&own, &class.namespace, gone) > 0
            }
            _ => false,
        }
    }
}

/// No other pod may have the claims.
#[derive(Clone)]
struct OfOnePod<'c> {
    /// Claims usable by only one pod.
    claims: Vec<&'c Name>,
    namespace: &'c Name,
    /// Number of times that pods with a node name one of them (`conflictingPVCRefCount`).
    in_use: usize,
}

impl NodeFilter for OfOnePod<'_> {
    fn filter(&self, _: &NodeInfo) -> Result<(), Refusal> {
        if self.in_use == 0 {
            return Ok(());
        }
        Err(Refusal::unschedulable(
            "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod \
             access mode",
        ))
    }

    fn add_pod(&mut self, pod: &PodClass, _: &NodeInfo) {
        self.in_use += count_named(&self.claims, self.namespace, pod);
    }

    fn remove_pod(&mut self, pod: &PodClass, _: &NodeInfo) {
        self.in_use = self.in_use.saturating_sub(count_named(&self.claims, self.namespace, pod));
    }
}

/// Bound volumes must be reachable, unbound claims must have a match or be provisionable.
#[derive(Clone)]
struct Volumes<'c> {
    store: &'c Store,
    bound: Vec<&'c Volume>,
    unbound: Vec<(ClaimId, &'c Claim)>,
}

impl Volumes<'_> {
    /// True if a volume can be provisioned for the claim at the node.
    fn can_be_made(&self, claim: &Claim, node: &NodeInfo) -> bool {
        let class = self.store.class_of(claim);
        self.store.is_provisioned(claim)
            && class.is_none_or(|class| class.spec.allows(&node.labels))
    }
}

impl NodeFilter for Volumes<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let zone = node.labels.get(ZONE_LABEL);
        let is_reached = |volume: &&Volume| {
            volume.zone.as_ref().is_none_or(|wanted| zone == Some(wanted))
                && reaches(volume.node_affinity.as_deref(), &node.labels, &node.name)
        };
        if !self.bound.iter().all(is_reached) {
            let reason = "node(s) didn't match PersistentVolume's node affinity";
            return Err(Refusal::unresolvable(reason));
        }
        let found = self.store.volumes_on(self.unbound.clone(), &node.labels, &node.name);
        let is_served = |(_, claim, volume): &(ClaimId, &Claim, Option<PersistentVolumeId>)| {
            volume.is_some() || self.can_be_made(claim, node)
        };
        if !found.iter().all(is_served) {
            let reason = "node(s) didn't find available persistent volumes to bind";
            return Err(Refusal::unresolvable(reason));
        }
        Ok(())
    }
}

impl FilterPlugin for VolumeBinding {
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        if let Some(found) = skipped_or_refused(cycle) {
            return found;
        }
        let leaves = |claim: Option<&Claim>| claim.is_some_and(Claim::is_terminating);
        if let Some((name, _)) = claims(cycle).find(|(_, claim)| leaves(*claim)) {
            let reason = format!("persistentvolumeclaim {name:?} is being deleted");
            return PreFilter::Refuse(Refusal::unresolvable(reason));
        }
        let store = cycle.view.store();
        let (mut bound, mut unbound) = (Vec::new(), Vec::new());
        for (id, claim) in claims_by_key(cycle) {
            match &claim.volume {
                Some(volume) => bound.push(volume),
                None if store.waits_for_consumer(claim) => unbound.push((id, claim)),
                None => {
                    let reason = "pod has unbound immediate PersistentVolumeClaims";
                    return PreFilter::Refuse(Refusal::unresolvable(reason));
                }
            }
        }
        bound.retain(|volume| volume.zone.is_some() || volume.node_affinity.is_some());
        // Claims that any node can serve are not checked.
        let has_volumes = !store.persistent_volumes().is_empty();
        unbound.retain(|(_, claim)| {
            let class = store.class_of(claim);
            let is_bounded = class.is_some_and(|class| !class.spec.allowed_topologies.is_empty());
            has_volumes || is_bounded || !store.is_provisioned(claim)
        });
        if bound.is_empty() && unbound.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::check(Volumes { store, bound, unbound })
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        match event {
            // A new claim, volume or class.
            ClusterEvent::ClaimAdded => !cycle.pod.class.claims.is_empty(),
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::NodeUpdated { before, after } => before.labels != after.labels,
            _ => false,
        }
    }
}
