//! Static PersistentVolumes and their binding to claims (`pkg/controller/volume/persistentvolume`, 1.36). Dynamic
//! provisioning is in `claim`.

use std::cmp::Reverse;

use super::action::Refused;
use super::claim::{AccessMode, Claim, ClaimId, Volume};
use super::kind::Kind;
use super::meta::{Labels, Name, NamespacedName, ObjectMeta};
use super::node::ZONE_LABEL;
use super::object::{self, Object, Stored};
use super::pod_template::NodeSelectorTerm;
use super::store::Store;
use engine::Id;
use units::Quantity;

/// Provisioner of classes without dynamic provisioning.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// Former zone label.
const OLD_ZONE_LABEL: &str = "failure-domain.beta.kubernetes.io/zone";
/// Separator of several zones in a zone label (`LabelMultiZoneDelimiter`).
const ZONE_DELIMITER: &str = "__";

/// A static PersistentVolume.
#[derive(Clone, Debug)]
pub struct PersistentVolume {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// `spec` of the volume.
    pub spec: PersistentVolumeSpec,
    /// The bound claim; after its deletion, the former claim.
    pub claim: Option<NamespacedName>,
    /// True if the bound claim was deleted and the volume is retained.
    pub is_released: bool,
}

/// Key of a PersistentVolume.
pub type PersistentVolumeId = Id<PersistentVolume>;

/// Spec of a PersistentVolume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersistentVolumeSpec {
    /// `capacity.storage`.
    pub capacity: Option<Quantity>,
    /// `accessModes`.
    pub access_modes: Vec<AccessMode>,
    /// `storageClassName`; empty for none.
    pub storage_class: Name,
    /// `nodeAffinity.required`: the terms of which a node must meet one; `None` for any node.
    pub node_affinity: Option<Vec<NodeSelectorTerm>>,
    /// `claimRef`: the claim for which it is reserved.
    pub claim: Option<NamespacedName>,
    /// `persistentVolumeReclaimPolicy: Recycle`: available again after its claim is deleted.
    pub is_recycled: bool,
    /// `volumeMode: Block`.
    pub is_block: bool,
    /// `csi.driver`, or the in-tree plugin of its source that a CSI driver replaces.
    pub driver: Option<Name>,
    /// True for sources that pods mount directly (`hostPath`, `local`, network file systems): the attach-detach
    /// controller does not know them.
    pub is_never_attached: bool,
}

impl PersistentVolume {
    /// `status.phase`.
    pub const fn phase(&self) -> &'static str {
        match (&self.claim, self.is_released) {
            (Some(_), true) => "Released",
            (Some(_), false) => "Bound",
            (None, _) => "Available",
        }
    }

    /// True if it fits the claim, regardless of `claimRef` (`checkVolumeSatisfyClaim`).
    fn satisfies(&self, claim: &Claim) -> bool {
        let spec = &self.spec;
        self.is_large_enough(claim)
            && *spec.storage_class == *claim.spec.storage_class.clone().unwrap_or_default()
            && spec.is_block == claim.spec.is_block
            && claim.spec.access_modes.iter().all(|mode| spec.access_modes.contains(mode))
    }

    fn is_large_enough(&self, claim: &Claim) -> bool {
        claim.spec.storage() <= self.spec.capacity
    }

    /// True if its node affinity admits the node.
    fn reaches(&self, labels: &Labels, name: &Name) -> bool {
        reaches(self.spec.node_affinity.as_deref(), labels, name)
    }

    fn as_volume(&self) -> Volume {
        let labels = &self.meta.labels;
        let zones = labels.get(ZONE_LABEL).or_else(|| labels.get(OLD_ZONE_LABEL));
        let zones = zones.map_or("", |zones| zones);
        Volume {
            zone: None,
            name: Some(self.meta.name().clone()),
            labelled_zones: zones
                .split(ZONE_DELIMITER)
                .filter(|zone| !zone.is_empty())
                .map(Name::from)
                .collect(),
            node_affinity: self.spec.node_affinity.clone(),
            driver: self.spec.driver.clone(),
            is_never_attached: self.spec.is_never_attached,
        }
    }
}

/// True if there are no terms, or one of them matches the node.
pub fn reaches(terms: Option<&[NodeSelectorTerm]>, labels: &Labels, name: &Name) -> bool {
    terms.is_none_or(|terms| terms.iter().any(|term| term.matches(labels, name)))
}

impl Object for PersistentVolume {
    const KIND: Kind = Kind::PersistentVolume;
    const IS_CONFIGURATION: bool = true;
    type Spec = PersistentVolumeSpec;
    type Status = ();

    object::accessors!();

    fn new(_: &mut Store, meta: ObjectMeta, spec: PersistentVolumeSpec) -> Self {
        Self { meta, spec, claim: None, is_released: false }
    }

    fn update(
        store: &mut Store,
        id: PersistentVolumeId,
        meta: ObjectMeta,
        spec: PersistentVolumeSpec,
    ) -> Result<bool, Refused> {
        let volume = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        Ok(object::replace((&mut volume.meta, &mut volume.spec), meta, spec))
    }

    /// Binds waiting claims, oldest first.
    fn index(store: &mut Store, _: PersistentVolumeId) {
        let unbound = store.claims().iter().filter(|(_, claim)| claim.volume.is_none());
        let mut unbound: Vec<(u64, ClaimId)> =
            unbound.map(|(id, claim)| (claim.meta.sequence, id)).collect();
        unbound.sort_unstable();
        for (_, claim) in unbound {
            store.bind_at_once(claim);
        }
    }
}

impl Store {
    /// True if the claim is bound when its first pod is scheduled (`IsDelayBindingMode`). A class without a manifest is
    /// assumed to be the cloud's own, with `WaitForFirstConsumer`.
    pub fn waits_for_consumer(&self, claim: &Claim) -> bool {
        match self.class_of(claim) {
            Some(class) => !class.spec.is_immediate,
            None => self.is_provisioned(claim),
        }
    }

    /// True if a volume is provisioned for this claim when none fits: its class has a provisioner or no manifest, and the
    /// claim names no particular volume.
    pub fn is_provisioned(&self, claim: &Claim) -> bool {
        let spec = &claim.spec;
        let has_class = spec.storage_class.as_deref() != Some("");
        let class = self.class_of(claim);
        has_class
            && spec.volume_name.is_none()
            && spec.selector.is_none()
            && class.is_none_or(|class| *class.spec.provisioner != *NO_PROVISIONER)
    }

    /// Binds a claim to an existing volume before any pod is scheduled: one reserved for it or named by it, else the best
    /// match unless its class delays binding (`syncUnboundClaim`).
    pub(super) fn bind_at_once(&mut self, id: ClaimId) {
        let claim = &self.claims()[id];
        if claim.volume.is_some() {
            return;
        }
        let found = match &claim.spec.volume_name {
            Some(name) => self.volume_named(name, claim),
            None => self.kept_volume(claim).or_else(|| {
                // A class without a manifest does not delay static binding.
                let waits = self.class_of(claim).is_some_and(|class| !class.spec.is_immediate);
                if waits { None } else { self.best_volume(claim, None, &[]) }
            }),
        };
        if let Some(volume) = found {
            self.bind_volume(id, volume);
        }
    }

    fn volume_named(&self, name: &Name, claim: &Claim) -> Option<PersistentVolumeId> {
        let id = NamespacedName { namespace: Name::default(), name: name.clone() };
        let found = self.named::<PersistentVolume>(&id)?;
        let volume = &self.persistent_volumes()[found];
        let is_kept = volume.spec.claim.as_ref() == Some(&claim.meta.id);
        let is_free = volume.spec.claim.is_none() && volume.satisfies(claim);
        (volume.claim.is_none() && (is_kept || is_free)).then_some(found)
    }

    /// The free volume whose `claimRef` names the claim.
    fn kept_volume(&self, claim: &Claim) -> Option<PersistentVolumeId> {
        let is_kept = |volume: &PersistentVolume| {
            volume.spec.claim.as_ref() == Some(&claim.meta.id)
                && volume.claim.is_none()
                && volume.is_large_enough(claim)
        };
        self.persistent_volumes().iter().find(|(_, volume)| is_kept(volume)).map(|(id, _)| id)
    }

    /// The best free volume for a claim, reachable from `node` if given, excluding `taken`: fewest access modes, then
    /// smallest capacity, then first by name (`FindMatchingVolume`, `allPossibleMatchingAccessModes`).
    fn best_volume(
        &self,
        claim: &Claim,
        node: Option<(&Labels, &Name)>,
        taken: &[PersistentVolumeId],
    ) -> Option<PersistentVolumeId> {
        let fits = |(id, volume): &(PersistentVolumeId, &PersistentVolume)| {
            volume.claim.is_none()
                && volume.spec.claim.is_none()
                && !taken.contains(id)
                && volume.satisfies(claim)
                && claim
                    .spec
                    .selector
                    .as_ref()
                    .is_none_or(|selector| selector.matches(&volume.meta.labels))
                && node.is_none_or(|(labels, name)| volume.reaches(labels, name))
        };
        let volumes = self.persistent_volumes().iter().filter(fits);
        let best = volumes.max_by_key(|(_, volume)| {
            let size = volume.spec.capacity.map(Quantity::nanos);
            Reverse((volume.spec.access_modes.len(), size, volume.meta.name().clone()))
        });
        best.map(|(id, _)| id)
    }

    /// Matches a pod's unbound claims to volumes on a node, smallest claim first; `None` for a claim without a match
    /// (`findMatchingVolumes` of the scheduler's volume binder).
    pub fn volumes_on<'a>(
        &self,
        mut unbound: Vec<(ClaimId, &'a Claim)>,
        labels: &Labels,
        name: &Name,
    ) -> Vec<(ClaimId, &'a Claim, Option<PersistentVolumeId>)> {
        unbound.sort_by_key(|(_, claim)| claim.spec.storage().map(Quantity::nanos));
        let mut taken = Vec::new();
        let found = unbound.into_iter().map(|(id, claim)| {
            let volume = self.best_volume(claim, Some((labels, name)), &taken);
            taken.extend(volume);
            (id, claim, volume)
        });
        found.collect()
    }

    pub(super) fn bind_volume(&mut self, claim: ClaimId, volume: PersistentVolumeId) {
        let name = self.claims()[claim].meta.id.clone();
        let volume = &mut PersistentVolume::collection_mut(self).table[volume];
        volume.claim = Some(name);
        volume.is_released = false;
        let volume = volume.as_volume();
        Claim::collection_mut(self).table[claim].volume = Some(volume);
    }

    /// Releases a volume after its claim was deleted. `Delete` is treated as `Retain`: neither is available to other claims.
    pub(super) fn release_volume(&mut self, name: &Name) {
        let id = NamespacedName { namespace: Name::default(), name: name.clone() };
        let Some(id) = self.named::<PersistentVolume>(&id) else { return };
        let volume = &mut PersistentVolume::collection_mut(self).table[id];
        if volume.spec.is_recycled {
            volume.claim = None;
        } else {
            volume.is_released = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::{ClaimContent, ClaimSpec};
    use crate::storage_class::StorageClassSpec;
    use crate::{Action, ObjectReference, apply};
    use engine::{SimTime, Streams};

    fn store() -> Store {
        Store::new(Streams::new(1))
    }

    fn act(store: &mut Store, action: Action) {
        apply(store, SimTime::ZERO, action, &mut Vec::new()).expect("it is taken");
    }

    fn size(text: &str) -> Quantity {
        text.parse().expect("a quantity")
    }

    fn volume(capacity: &str, class: &str) -> PersistentVolumeSpec {
        PersistentVolumeSpec {
            capacity: Some(size(capacity)),
            access_modes: vec![AccessMode::ReadWriteOnce],
            storage_class: class.into(),
            ..PersistentVolumeSpec::default()
        }
    }

    fn put_volume(store: &mut Store, name: &str, spec: PersistentVolumeSpec) {
        act(store, Action::apply(ObjectMeta::new("", name.to_owned()), spec));
    }

    fn put_claim(store: &mut Store, name: &str, storage: &str, change: impl Fn(&mut ClaimSpec)) {
        let mut spec = ClaimSpec {
            access_modes: vec![AccessMode::ReadWriteOnce],
            requests: [(Name::from("storage"), size(storage))].into_iter().collect(),
            storage_class: Some("manual".into()),
            ..ClaimSpec::default()
        };
        change(&mut spec);
        act(
            store,
            Action::apply(ObjectMeta::new("shop", name.to_owned()), ClaimContent::from(spec)),
        );
    }

    fn bound(store: &Store, claim: &str) -> Option<String> {
        let claim = store.claim(&NamespacedName::new("shop", claim.to_owned()))?;
        Some(claim.volume.as_ref()?.name.as_deref()?.to_owned())
    }

    #[test]
    fn a_claim_gets_the_smallest_volume_that_is_large_enough_and_of_its_class_and_modes() {
        let mut store = store();
        put_volume(&mut store, "huge", volume("100Gi", "manual"));
        put_volume(&mut store, "fit", volume("10Gi", "manual"));
        put_volume(&mut store, "small", volume("1Gi", "manual"));
        put_volume(&mut store, "other", volume("5Gi", "fast"));
        let shared = vec![AccessMode::ReadWriteOnce, AccessMode::ReadWriteMany];
        let nfs = PersistentVolumeSpec { access_modes: shared, ..volume("6Gi", "manual") };
        put_volume(&mut store, "nfs", nfs);
        put_claim(&mut store, "a", "5Gi", |_| ());
        put_claim(&mut store, "b", "5Gi", |one| one.access_modes = vec![AccessMode::ReadWriteMany]);
        put_claim(&mut store, "c", "200Gi", |_| ());
        assert_eq!(bound(&store, "a").as_deref(), Some("fit"), "nfs has more modes than asked for");
        assert_eq!(bound(&store, "b").as_deref(), Some("nfs"));
        assert_eq!(bound(&store, "c"), None);
        put_claim(&mut store, "d", "5Gi", |_| ());
        assert_eq!(bound(&store, "d").as_deref(), Some("huge"));
        put_volume(&mut store, "late", volume("300Gi", "manual"));
        assert_eq!(bound(&store, "c").as_deref(), Some("late"), "it has waited");
    }

    #[test]
    fn a_volume_goes_to_the_claim_that_it_names_or_that_names_it() {
        let mut store = store();
        let id = |name: &str| NamespacedName::new("shop", name.to_owned());
        let kept = PersistentVolumeSpec { claim: Some(id("mine")), ..volume("10Gi", "") };
        put_volume(&mut store, "kept", kept);
        put_volume(&mut store, "free", volume("20Gi", "manual"));
        put_volume(&mut store, "asked", volume("50Gi", "manual"));
        put_claim(&mut store, "other", "5Gi", |one| one.volume_name = Some("asked".into()));
        put_claim(&mut store, "mine", "5Gi", |_| ());
        put_claim(&mut store, "lost", "5Gi", |one| one.volume_name = Some("kept".into()));
        assert_eq!(bound(&store, "other").as_deref(), Some("asked"), "the smaller one is free");
        assert_eq!(bound(&store, "mine").as_deref(), Some("kept"), "of whatever class");
        assert_eq!(bound(&store, "lost"), None);
    }

    #[test]
    fn a_released_volume_is_for_nobody_and_a_recycled_one_for_the_next() {
        let mut store = store();
        put_volume(&mut store, "v", volume("10Gi", "manual"));
        put_claim(&mut store, "a", "5Gi", |_| ());
        let remove = |store: &mut Store, name: &str| {
            let claim: ObjectReference =
                format!("PersistentVolumeClaim/shop/{name}").parse().expect("a name");
            let id = store.object_named(claim.kind, &claim.id).expect("it is there");
            act(store, Action::Delete(id));
        };
        remove(&mut store, "a");
        put_claim(&mut store, "b", "5Gi", |_| ());
        assert_eq!(bound(&store, "b"), None);
        let phase = |store: &Store| store.persistent_volumes().values().next().unwrap().phase();
        assert_eq!(phase(&store), "Released");
        put_volume(
            &mut store,
            "w",
            PersistentVolumeSpec { is_recycled: true, ..volume("10Gi", "manual") },
        );
        assert_eq!(bound(&store, "b").as_deref(), Some("w"));
        remove(&mut store, "b");
        put_claim(&mut store, "c", "5Gi", |_| ());
        assert_eq!(bound(&store, "c").as_deref(), Some("w"));
    }

    #[test]
    fn a_class_that_waits_gives_no_volume_before_there_is_a_node_and_one_without_a_provisioner_makes_none()
     {
        let mut store = store();
        let local =
            StorageClassSpec { provisioner: NO_PROVISIONER.into(), ..StorageClassSpec::default() };
        act(&mut store, Action::apply(ObjectMeta::new("", "manual"), local));
        put_volume(&mut store, "v", volume("10Gi", "manual"));
        put_claim(&mut store, "a", "5Gi", |_| ());
        assert_eq!(bound(&store, "a"), None);
        let claim = store.claim(&NamespacedName::new("shop", "a")).expect("it is there");
        assert!(store.waits_for_consumer(claim) && !store.is_provisioned(claim));
        put_claim(&mut store, "b", "5Gi", |one| one.storage_class = Some(Name::default()));
        let claim = store.claim(&NamespacedName::new("shop", "b")).expect("it is there");
        assert!(!store.waits_for_consumer(claim) && !store.is_provisioned(claim));
        put_claim(&mut store, "c", "5Gi", |one| one.storage_class = Some("gp3".into()));
        let claim = store.claim(&NamespacedName::new("shop", "c")).expect("it is there");
        assert!(store.waits_for_consumer(claim) && store.is_provisioned(claim));
    }
}
