//! PersistentVolumeClaims, and the zones of the volumes behind them. A volume is there as soon as the
//! first pod of its claim has a node (`volumeBindingMode: WaitForFirstConsumer`, as the default classes of
//! the clouds have it), in the zone of that node, which it never leaves. A volume that many nodes may
//! mount at once (`ReadWriteMany`, `ReadOnlyMany`) is a file system on the network, of no zone.

use std::fmt;

use super::action::Refused;
use super::change::Change;
use super::limit_range;
use super::meta::{Name, NamespacedName};
use super::node::{NodeId, ZONE_LABEL};
use super::pod::{Pod, PodId};
use super::pod_template::ResourceList;
use super::quota_objects;
use super::stateful_set::StatefulSetId;
use super::store::Store;
use engine::SimTime;
use units::Quantity;

/// What a claim asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimSpec {
    /// `accessModes`.
    pub access_modes: Vec<AccessMode>,
    /// `resources.requests`, of which `storage` is the size.
    pub requests: ResourceList,
    /// `storageClassName`; absent = the cluster's default class.
    pub storage_class: Option<Name>,
}

impl ClaimSpec {
    /// How much it asks for.
    pub fn storage(&self) -> Option<Quantity> {
        self.requests.get("storage")
    }

    /// Whether only one pod may use it at a time.
    pub fn is_of_one_pod(&self) -> bool {
        self.access_modes.contains(&AccessMode::ReadWriteOncePod)
    }

    /// Whether its volume is a disk in one zone.
    fn is_zonal(&self) -> bool {
        let is_shared = |mode: &AccessMode| {
            matches!(mode, AccessMode::ReadWriteMany | AccessMode::ReadOnlyMany)
        };
        !self.access_modes.iter().any(is_shared)
    }
}

/// How a volume may be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// By the pods of one node.
    ReadWriteOnce,
    /// By many nodes, to read.
    ReadOnlyMany,
    /// By many nodes.
    ReadWriteMany,
    /// By one pod.
    ReadWriteOncePod,
}

impl AccessMode {
    /// All, with the names of the API.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("ReadWriteOnce", Self::ReadWriteOnce),
        ("ReadOnlyMany", Self::ReadOnlyMany),
        ("ReadWriteMany", Self::ReadWriteMany),
        ("ReadWriteOncePod", Self::ReadWriteOncePod),
    ];
}

/// As kubectl abbreviates it.
impl fmt::Display for AccessMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadWriteOnce => "RWO",
            Self::ReadOnlyMany => "ROX",
            Self::ReadWriteMany => "RWX",
            Self::ReadWriteOncePod => "RWOP",
        })
    }
}

/// A claim of a StatefulSet's pods: one for each pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimTemplate {
    /// Name of the template, and of the pods' volume.
    pub name: Name,
    /// What each claim asks for.
    pub spec: ClaimSpec,
}

/// A claim that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it asks for.
    pub spec: ClaimSpec,
    /// Its volume; absent before its first pod has a node.
    pub volume: Option<Volume>,
    /// With whom it goes; absent = it stays until somebody deletes it.
    pub owner: Option<ClaimOwner>,
    /// Whether its deletion was asked for, and waits for the last pod that uses it
    /// (`kubernetes.io/pvc-protection`).
    pub is_terminating: bool,
    /// When it was created, cut to whole seconds.
    pub created: SimTime,
}

impl Claim {
    /// The zone that its pods cannot leave.
    pub fn zone(&self) -> Option<&Name> {
        self.volume.as_ref()?.zone.as_ref()
    }

    /// Its phase, or that it goes, as kubectl prints it.
    pub const fn status(&self) -> &'static str {
        match &self.volume {
            _ if self.is_terminating => "Terminating",
            Some(_) => "Bound",
            None => "Pending",
        }
    }
}

/// What a claim is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The zone in which it is; absent for a file system on the network, and on nodes without a zone.
    pub zone: Option<Name>,
}

/// The owner of a claim (`persistentVolumeClaimRetentionPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOwner {
    /// It goes with its StatefulSet.
    StatefulSet(StatefulSetId),
    /// It goes with its pod, which a scale-down removes.
    Pod(PodId),
}

/// A claim as somebody asks for it.
#[derive(Clone, Debug)]
pub struct ClaimDraft {
    /// Its name.
    pub id: NamespacedName,
    /// What it asks for.
    pub spec: ClaimSpec,
    /// With whom it goes.
    pub owner: Option<ClaimOwner>,
}

impl Store {
    /// The claims that exist, by name.
    pub fn claims(&self) -> impl Iterator<Item = (&NamespacedName, &Claim)> {
        self.claims.iter()
    }

    /// The claim of a name.
    pub fn claim(&self, id: &NamespacedName) -> Option<&Claim> {
        self.claims.get(id)
    }

    /// The claims that a pod's volumes name, those that are missing left out.
    pub fn claims_of<'a>(
        &'a self,
        pod: &'a Pod,
    ) -> impl Iterator<Item = (NamespacedName, &'a Claim)> {
        self.template_of(pod).spec.claims().filter_map(|name| {
            let id = NamespacedName::new(pod.id.namespace.clone(), name.clone());
            self.claims.get(&id).map(|claim| (id, claim))
        })
    }

    /// Creates a claim. Of one that is there only the size can change, and not to a smaller one
    /// (`ValidatePersistentVolumeClaimUpdate`).
    pub(super) fn put_claim(
        &mut self,
        now: SimTime,
        draft: ClaimDraft,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let ClaimDraft { id, spec, owner } = draft;
        if !self.quotas.is_empty() {
            quota_objects::admit_claim(self, &id, &spec)?;
        }
        if let Some(claim) = self.claims.get_mut(&id) {
            if claim.is_terminating {
                return Err(Refused::Conflict(format!("pvc {} is to be deleted", id.name)));
            }
            return resize_claim(&id, claim, spec);
        }
        limit_range::admit_claim(self, &id, &spec)?;
        let created = now.floor_to_second();
        let claim = Claim { spec, volume: None, owner, is_terminating: false, created };
        self.claims.insert(id, claim);
        changes.push(Change::ClaimAdded);
        Ok(())
    }

    /// Deletes a claim, or notes that it goes with the last pod that uses it.
    pub(super) fn delete_claim(&mut self, id: &NamespacedName) -> Result<(), Refused> {
        if !self.claims.contains_key(id) {
            return Err(Refused::NotFound);
        }
        if !self.is_claim_used(id) {
            self.claims.remove(id);
            self.leaving_claims.remove(id);
        } else if let Some(claim) = self.claims.get_mut(id) {
            claim.is_terminating = true;
            self.leaving_claims.insert(id.clone());
        }
        Ok(())
    }

    /// Whether a pod that has a node names the claim.
    fn is_claim_used(&self, id: &NamespacedName) -> bool {
        self.pods_in(&id.namespace).any(|(_, pod)| {
            pod.node.is_some() && self.template_of(pod).spec.claims().any(|name| *name == id.name)
        })
    }

    /// Says with whom a claim goes.
    pub(super) fn set_claim_owner(
        &mut self,
        id: &NamespacedName,
        owner: Option<ClaimOwner>,
    ) -> Result<(), Refused> {
        let claim = self.claims.get_mut(id).ok_or(Refused::NotFound)?;
        claim.owner = owner;
        if matches!(owner, Some(ClaimOwner::Pod(_))) || claim.is_terminating {
            self.leaving_claims.insert(id.clone());
        } else {
            self.leaving_claims.remove(id);
        }
        Ok(())
    }

    /// Gives the claims of a pod their volumes where the pod goes.
    pub(super) fn bind_claims(&mut self, pod: PodId, node: NodeId) {
        let Self { claims, pods, templates, nodes, .. } = self;
        let Some(pod) = pods.get(pod) else { return };
        for name in templates[pod.template].spec.claims() {
            let id = NamespacedName::new(pod.id.namespace.clone(), name.clone());
            if let Some(claim) = claims.get_mut(&id)
                && claim.volume.is_none()
            {
                let node = nodes.get(node).filter(|_| claim.spec.is_zonal());
                let zone = node.and_then(|node| node.meta.labels.get(ZONE_LABEL)).cloned();
                claim.volume = Some(Volume { zone });
            }
        }
    }

    /// Removes the claims that were waiting for a pod which is gone.
    pub(super) fn release_claims(&mut self, id: PodId, pod: &Pod) {
        if self.leaving_claims.is_empty() {
            return;
        }
        let own: Vec<NamespacedName> = self.claims_of(pod).map(|(claim, _)| claim).collect();
        for claim in own {
            let leaves = |one: &Claim| one.is_terminating || one.owner == Some(ClaimOwner::Pod(id));
            if self.claims.get(&claim).is_some_and(leaves) {
                let known = self.delete_claim(&claim);
                debug_assert!(known.is_ok(), "a claim that was just found");
            }
        }
    }

    /// Deletes the claims that go with a StatefulSet.
    pub(super) fn delete_claims_of(&mut self, set: StatefulSetId) -> Result<(), Refused> {
        let owner = Some(ClaimOwner::StatefulSet(set));
        let own = self.claims.iter().filter(|(_, claim)| claim.owner == owner);
        let own: Vec<NamespacedName> = own.map(|(id, _)| id.clone()).collect();
        own.iter().try_for_each(|id| self.delete_claim(id))
    }
}

fn resize_claim(id: &NamespacedName, claim: &mut Claim, spec: ClaimSpec) -> Result<(), Refused> {
    let invalid = |why: &str| {
        let message = format!("PersistentVolumeClaim \"{}\" is invalid: {why}", id.name);
        Err(Refused::Forbidden(message))
    };
    let class = spec.storage_class.is_none() || spec.storage_class == claim.spec.storage_class;
    let grows = claim.volume.is_some() || spec.requests == claim.spec.requests;
    if spec.access_modes != claim.spec.access_modes || !class || !grows {
        return invalid(
            "spec: Forbidden: spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims",
        );
    }
    if spec.storage() < claim.spec.storage() {
        return invalid(
            "spec.resources.requests.storage: Forbidden: field can not be less than \
             status.capacity",
        );
    }
    claim.spec.requests = spec.requests;
    Ok(())
}
