//! VolumeRestrictions and VolumeBinding, limited to volumes whose only topology is a zone: a pod whose claim is
//! missing or terminating is rejected; a ReadWriteOncePod claim admits one pod; a volume keeps its pods in its zone.
//! NodeVolumeLimits and VolumeZone reject nothing: nodes hold any number of volumes, and volumes express their zone
//! by node affinity, like those of CSI drivers.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, PreFilter, Refusal,
};
use super::super::node_info::NodeInfo;
use super::super::pod_class::PodClass;
use cluster::claim::Claim;
use cluster::node::ZONE_LABEL;
use cluster::storage_class::StorageClassSpec;
use cluster::{Name, NamespacedName};

/// The plugin that keeps pods from claims that are missing, or in another pod's hands.
#[derive(Clone, Copy, Debug)]
pub struct VolumeRestrictions;

/// The plugin that keeps pods in the zones of their volumes.
#[derive(Clone, Copy, Debug)]
pub struct VolumeBinding;

/// The claims of a pod by name, absent where they do not exist.
fn claims<'c>(
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

/// The volumes must be reachable, or must be allowed to be made where they are.
#[derive(Clone)]
struct Volumes<'c> {
    /// Zones of the provisioned volumes.
    zones: Vec<&'c Name>,
    /// Storage classes of the others that restrict the topology.
    classes: Vec<&'c StorageClassSpec>,
}

impl NodeFilter for Volumes<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let zone = node.labels.get(ZONE_LABEL);
        if !self.zones.iter().all(|wanted| zone == Some(*wanted)) {
            let reason = "node(s) didn't match PersistentVolume's node affinity";
            return Err(Refusal::unresolvable(reason));
        }
        if !self.classes.iter().all(|class| class.allows(&node.labels)) {
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
        let zones: Vec<&Name> = claims(cycle).filter_map(|(_, claim)| claim?.zone()).collect();
        let store = cycle.view.store();
        let unbound =
            claims(cycle).filter_map(|(_, claim)| claim.filter(|one| one.volume.is_none()));
        let classes = unbound.filter_map(|claim| Some(&store.class_of(claim)?.spec));
        let classes: Vec<&StorageClassSpec> =
            classes.filter(|class| !class.allowed_topologies.is_empty()).collect();
        if zones.is_empty() && classes.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::check(Volumes { zones, classes })
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        match event {
            // One of its own claims, recreated and without a volume.
            ClusterEvent::ClaimAdded => {
                claims(cycle).any(|(_, claim)| claim.is_some_and(|claim| claim.volume.is_none()))
            }
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::NodeUpdated { before, after } => before.labels != after.labels,
            _ => false,
        }
    }
}
