//! PersistentVolumeClaims, and the zones of the volumes behind them. A volume is provisioned once the first pod of
//! its claim has a node (`volumeBindingMode: WaitForFirstConsumer`, as in the default classes of the clouds), in that
//! node's zone, and never leaves it. A volume that many nodes may mount at once (`ReadWriteMany`, `ReadOnlyMany`) is
//! a network file system without a zone.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU64;

use super::action::Refused;
use super::apply::admit;
use super::assigned::uid_text;
use super::attachment::Attachment;
use super::change::{Change, Write};
use super::kind::Kind;
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::node::{NodeId, ZONE_LABEL};
use super::object::{self, Object, Stored};
use super::objects::{self, AnySpec, ObjectId};
use super::pod::{Pod, PodId};
use super::pod_template::NodeSelectorTerm;
use super::pod_template::ResourceList;
use super::selector::Selector;
use super::stateful_set::StatefulSetId;
use super::storage_class::StorageClass;
use super::store::Store;
use engine::{Id, SimTime};
use units::Quantity;

/// `spec` of a PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimSpec {
    /// `accessModes`.
    pub access_modes: Vec<AccessMode>,
    /// `resources.requests`; `storage` is the size.
    pub requests: ResourceList,
    /// `storageClassName`; absent = the cluster's default class.
    pub storage_class: Option<Name>,
    /// `volumeName`: the volume to bind.
    pub volume_name: Option<Name>,
    /// `selector` on the labels of its volume; no volume is provisioned for such a claim.
    pub selector: Option<Selector>,
    /// `volumeMode: Block`.
    pub is_block: bool,
}

impl ClaimSpec {
    /// Requested size.
    pub fn storage(&self) -> Option<Quantity> {
        self.requests.get("storage")
    }

    /// True if only one pod may use it at a time.
    pub fn is_of_one_pod(&self) -> bool {
        self.access_modes.contains(&AccessMode::ReadWriteOncePod)
    }

    /// True if its volume is a disk in one zone.
    fn is_zonal(&self) -> bool {
        let is_shared = |mode: &AccessMode| {
            matches!(mode, AccessMode::ReadWriteMany | AccessMode::ReadOnlyMany)
        };
        !self.access_modes.iter().any(is_shared)
    }
}

/// Access mode of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Mountable by the pods of one node.
    ReadWriteOnce,
    /// Mountable by many nodes, read-only.
    ReadOnlyMany,
    /// Mountable by many nodes.
    ReadWriteMany,
    /// Mountable by one pod.
    ReadWriteOncePod,
}

impl AccessMode {
    /// All modes with their API names.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("ReadWriteOnce", Self::ReadWriteOnce),
        ("ReadOnlyMany", Self::ReadOnlyMany),
        ("ReadWriteMany", Self::ReadWriteMany),
        ("ReadWriteOncePod", Self::ReadWriteOncePod),
    ];
}

/// The abbreviation used by kubectl.
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

/// A `volumeClaimTemplates` entry of a StatefulSet: one claim for each pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimTemplate {
    /// Name of the template, and of the pods' volume.
    pub name: Name,
    /// Spec of each claim.
    pub spec: ClaimSpec,
}

/// A PersistentVolumeClaim. Its finalizer `kubernetes.io/pvc-protection` delays its removal while a pod uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Size, access modes and storage class.
    pub spec: ClaimSpec,
    /// Its volume; absent until its first pod has a node.
    pub volume: Option<Volume>,
    /// The nodes to which its volume is attached.
    pub attachments: Vec<Attachment>,
    /// The owner whose deletion deletes it; absent = it stays until deleted directly.
    pub owner: Option<ClaimOwner>,
}

/// Key of a [`Claim`] in the store.
pub type ClaimId = Id<Claim>;

impl Claim {
    /// Name of the volume provisioned for it, in the form used by provisioners.
    pub fn volume_name(&self) -> String {
        if let Some(name) = self.volume.as_ref().and_then(|volume| volume.name.as_ref()) {
            return name.to_string();
        }
        format!("pvc-{}", uid_text(self.meta.uid))
    }

    /// True if its deletion waits for the last pod using it.
    pub const fn is_terminating(&self) -> bool {
        self.meta.deletion.is_some()
    }

    /// Zone to which its pods are confined.
    pub fn zone(&self) -> Option<&Name> {
        self.volume.as_ref()?.zone.as_ref()
    }

    /// Its phase, or `Terminating`, as printed by kubectl.
    pub const fn status(&self) -> &'static str {
        match &self.volume {
            _ if self.is_terminating() => "Terminating",
            Some(_) => "Bound",
            None => "Pending",
        }
    }
}

/// The volume to which a claim is bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Zone of the volume; absent for a network file system, and on nodes without a zone.
    pub zone: Option<Name>,
    /// Its name, if it is one of the manifests' PersistentVolumes.
    pub name: Option<Name>,
    /// The zones that its label names (`VolumeZone`); none: any.
    pub labelled_zones: Vec<Name>,
    /// The terms of its node affinity; `None` for any node.
    pub node_affinity: Option<Vec<NodeSelectorTerm>>,
    /// Its CSI driver or in-tree plugin, if it is one of the manifests' PersistentVolumes.
    pub driver: Option<Name>,
    /// See [`PersistentVolumeSpec::is_never_attached`](super::persistent_volume::PersistentVolumeSpec::is_never_attached).
    pub is_never_attached: bool,
}

/// The owner of a claim (`persistentVolumeClaimRetentionPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOwner {
    /// Deleted with its StatefulSet.
    StatefulSet(StatefulSetId),
    /// Deleted with its pod, which a scale-down removes.
    Pod(PodId),
}

/// A claim to be created by a controller.
#[derive(Clone, Debug)]
pub struct ClaimDraft {
    /// Namespace and name of the claim.
    pub id: NamespacedName,
    /// Size, access modes and storage class.
    pub spec: ClaimSpec,
    /// The owner whose deletion deletes it.
    pub owner: Option<ClaimOwner>,
}

/// The fields of a claim that clients write.
#[derive(Clone, Debug)]
pub struct ClaimContent {
    /// Size, access modes and storage class.
    pub spec: ClaimSpec,
    /// The owner whose deletion deletes it.
    pub owner: Option<ClaimOwner>,
}

impl From<ClaimSpec> for ClaimContent {
    fn from(spec: ClaimSpec) -> Self {
        Self { spec, owner: None }
    }
}

impl Object for Claim {
    const KIND: Kind = Kind::PersistentVolumeClaim;
    const IS_CONFIGURATION: bool = true;
    type Spec = ClaimContent;
    type Status = ();

    object::accessors!(meta);

    fn written(&self, _: &Store) -> ClaimContent {
        ClaimContent { spec: self.spec.clone(), owner: self.owner }
    }

    fn new(_: &mut Store, meta: ObjectMeta, content: ClaimContent) -> Self {
        Self {
            meta,
            spec: content.spec,
            volume: None,
            attachments: Vec::new(),
            owner: content.owner,
        }
    }

    /// Only the size can change, and it cannot shrink (`ValidatePersistentVolumeClaimUpdate`).
    fn update(
        store: &mut Store,
        id: ClaimId,
        meta: ObjectMeta,
        ClaimContent { spec, .. }: ClaimContent,
    ) -> Result<bool, Refused> {
        let claim = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        if claim.is_terminating() {
            return Err(Refused::Conflict(format!("pvc {} is to be deleted", meta.name())));
        }
        let spec = resized(claim, spec)?;
        Ok(object::replace((&mut claim.meta, &mut claim.spec), meta, spec))
    }

    fn owner(&self) -> Option<ObjectId> {
        self.owner.map(|owner| match owner {
            ClaimOwner::StatefulSet(set) => ObjectId::StatefulSet(set),
            ClaimOwner::Pod(pod) => ObjectId::Pod(pod),
        })
    }

    fn index(store: &mut Store, id: ClaimId) {
        store.bind_at_once(id);
        store.provision(id);
        let claim = &store.claims()[id];
        let waits = claim.is_terminating() || matches!(claim.owner, Some(ClaimOwner::Pod(_)));
        if waits {
            store.leaving_claims.insert(id);
        } else {
            store.leaving_claims.remove(&id);
        }
    }

    fn is_held(&self, store: &Store) -> bool {
        let name = self.meta.name();
        store.pods_in(self.meta.namespace()).any(|(_, pod)| {
            pod.node.is_some() && store.template_of(pod).spec.claims().any(|claim| claim == name)
        })
    }

    fn removed(
        self,
        store: &mut Store,
        _: SimTime,
        id: ClaimId,
        _: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        store.leaving_claims.remove(&id);
        store.forget_attachments(id, &self.attachments);
        if let Some(name) = self.volume.and_then(|volume| volume.name) {
            store.release_volume(&name);
        }
        Ok(())
    }
}

impl Store {
    /// Looks up a claim by name.
    pub fn claim(&self, id: &NamespacedName) -> Option<&Claim> {
        self.find::<Claim>(id)
    }

    /// The existing claims among those named by a pod's volumes.
    pub fn claims_of<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = (ClaimId, &'a Claim)> {
        self.template_of(pod).spec.claims().filter_map(|name| {
            let id = NamespacedName::new(pod.id.namespace.clone(), name.clone());
            let id = self.named::<Claim>(&id)?;
            Some((id, &self.claims()[id]))
        })
    }

    /// Creates a claim of a StatefulSet's pod, or overwrites the existing one.
    pub(super) fn put_claim(
        &mut self,
        now: SimTime,
        draft: ClaimDraft,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let ClaimDraft { id, spec, owner } = draft;
        let meta = match self.claim(&id) {
            Some(known) => known.meta.clone(),
            None => ObjectMeta::new(id.namespace, id.name),
        };
        let mut content = AnySpec::from(ClaimContent { spec, owner });
        admit(self, &meta, &mut content)?;
        objects::apply_any(self, now, meta, content, changes)
    }

    /// Changes the owner whose deletion deletes a claim.
    pub(super) fn set_claim_owner(
        &mut self,
        id: &NamespacedName,
        owner: Option<ClaimOwner>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let id = self.named::<Claim>(id).ok_or(Refused::NotFound)?;
        let claim = &mut Claim::collection_mut(self).table[id];
        if std::mem::replace(&mut claim.owner, owner) != owner {
            Claim::index(self, id);
            changes.push(Change::Spec(ObjectId::PersistentVolumeClaim(id), Write::Update));
        }
        Ok(())
    }

    /// Provisions volumes for a pod's claims in the zone of its node.
    pub(super) fn bind_claims(&mut self, pod: PodId, node: NodeId, changes: &mut Vec<Change>) {
        let Some(pod) = self.pods.get(pod) else { return };
        let Some(node) = self.nodes.get(node) else { return };
        let unbound = self.claims_of(pod).filter(|(_, claim)| claim.volume.is_none());
        let found = self.volumes_on(unbound.collect(), &node.meta.labels, node.meta.name());
        let found: Vec<_> = found
            .into_iter()
            .filter(|(_, claim, volume)| volume.is_some() || self.is_provisioned(claim))
            .map(|(id, _, volume)| (id, volume))
            .collect();
        let zone = node.meta.labels.get(ZONE_LABEL).cloned();
        for (id, volume) in found {
            if let Some(volume) = volume {
                self.bind_volume(id, volume);
            } else {
                let claim = &mut Claim::collection_mut(self).table[id];
                let zone = zone.clone().filter(|_| claim.spec.is_zonal());
                claim.volume = Some(Volume { zone, ..Volume::default() });
            }
            changes.push(Change::Status(ObjectId::PersistentVolumeClaim(id)));
        }
    }

    /// The claim's storage class, if it exists.
    pub fn class_of(&self, claim: &Claim) -> Option<&StorageClass> {
        let name = claim.spec.storage_class.clone()?;
        self.find(&NamespacedName { namespace: Name::default(), name })
    }

    /// Provisions a volume immediately if the claim's class says so, in a zone allowed by the class. The zone is
    /// chosen by the claim's name, so that the claims of a StatefulSet are spread (`getPVCNameHashAndIndexOffset` of
    /// the external provisioner).
    fn provision(&mut self, id: ClaimId) {
        let claim = &self.claims()[id];
        let class = self.class_of(claim).filter(|class| class.spec.is_immediate);
        let class = class.filter(|_| self.is_provisioned(claim));
        let Some(class) = class.filter(|_| claim.volume.is_none()) else { return };
        let nodes = self.nodes().values().map(|node| &node.meta.labels);
        let allowed = nodes.filter(|labels| class.spec.allows(labels));
        let zones: BTreeSet<&Name> = allowed.filter_map(|labels| labels.get(ZONE_LABEL)).collect();
        let zones: Vec<&Name> = zones.into_iter().collect();
        // Without nodes there is no zone to provision in.
        let Some(count) = NonZeroU64::new(zones.len() as u64) else { return };
        let place = usize::try_from(place_of(claim.meta.name()) % count).unwrap_or(0);
        let zone = zones.get(place).map(|zone| (*zone).clone());
        let zone = zone.filter(|_| claim.spec.is_zonal());
        Claim::collection_mut(self).table[id].volume = Some(Volume { zone, ..Volume::default() });
    }

    /// Provisions volumes for all claims waiting for this class.
    pub(super) fn provision_of(&mut self, class: &Name) {
        let waits = |claim: &Claim| claim.spec.storage_class.as_ref() == Some(class);
        let waiting = self.claims().iter().filter(|(_, claim)| waits(claim));
        for id in waiting.map(|(id, _)| id).collect::<Vec<_>>() {
            self.provision(id);
        }
    }

    /// Removes the claims that were waiting for a removed pod.
    pub(super) fn release_claims(
        &mut self,
        now: SimTime,
        id: PodId,
        pod: &Pod,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        if self.leaving_claims.is_empty() {
            return Ok(());
        }
        let leaves = |one: &Claim| one.is_terminating() || one.owner == Some(ClaimOwner::Pod(id));
        let own = self.claims_of(pod).filter(|(_, claim)| leaves(claim));
        let own: Vec<ClaimId> = own.map(|(claim, _)| claim).collect();
        own.into_iter().try_for_each(|claim| object::delete(self, now, claim, changes))
    }

    /// Deletes the claims owned by a StatefulSet.
    pub(super) fn delete_claims_of(
        &mut self,
        now: SimTime,
        set: StatefulSetId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let owner = Some(ClaimOwner::StatefulSet(set));
        let own = self.claims().iter().filter(|(_, claim)| claim.owner == owner);
        let mut own: Vec<(NamespacedName, ClaimId)> =
            own.map(|(id, claim)| (claim.meta.id.clone(), id)).collect();
        own.sort();
        own.into_iter().try_for_each(|(_, id)| object::delete(self, now, id, changes))
    }
}

/// The spec of a claim after an update; refused if anything but the size changes.
fn resized(claim: &Claim, spec: ClaimSpec) -> Result<ClaimSpec, Refused> {
    let invalid = |why: &str| {
        let name = claim.meta.name();
        Err(Refused::Forbidden(format!("PersistentVolumeClaim \"{name}\" is invalid: {why}")))
    };
    let class = spec.storage_class.is_none() || spec.storage_class == claim.spec.storage_class;
    let grows = claim.volume.is_some() || spec.requests == claim.spec.requests;
    let names = spec.volume_name.is_none() || spec.volume_name == claim.spec.volume_name;
    let same = spec.access_modes == claim.spec.access_modes
        && spec.selector == claim.spec.selector
        && spec.is_block == claim.spec.is_block;
    if !same || !class || !grows || !names {
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
    Ok(ClaimSpec { requests: spec.requests, ..claim.spec.clone() })
}

/// Zone index derived from a claim's name: the hash of the part before a trailing number, plus that number.
fn place_of(name: &str) -> u64 {
    let (base, number) = match name.rsplit_once('-') {
        Some((base, number)) => match number.parse::<u64>() {
            Ok(number) => (base, number),
            Err(_) => (name, 0),
        },
        None => (name, 0),
    };
    // 32-bit FNV-1.
    let hash = base
        .bytes()
        .fold(2_166_136_261_u32, |hash, byte| hash.wrapping_mul(16_777_619) ^ u32::from(byte));
    u64::from(hash).wrapping_add(number)
}
