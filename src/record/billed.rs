//! Objects that a cloud bills, load balancers and disks, and the time for which they existed.

use std::collections::BTreeMap;

use cluster::claim::ClaimId;
use cluster::persistent_volume::PersistentVolumeId;
use cluster::{Change, ClusterView, Name, NamespacedName, ObjectId};
use engine::{SimDuration, SimTime};
use serde_json::Value;
use units::Bytes;

/// A cloud resource provisioned for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Billed {
    /// Load balancer of a Service of type LoadBalancer.
    LoadBalancer,
    /// Load balancer of an Ingress, or of an HTTPRoute's Gateway.
    Ingress {
        /// Name of its class; empty if it names none.
        class: Name,
    },
    /// Disk of a bound claim.
    Disk {
        /// Name of its StorageClass; empty if it names none.
        class: Name,
        /// Disk type that the class requests from the cloud (`parameters.type`, `skuName`); empty if it names none.
        kind: Name,
        /// Size of the disk.
        size: Bytes,
    },
    /// Disk of a PersistentVolume of the manifests, which a cloud's CSI driver attaches.
    Volume {
        /// As of [`Billed::Disk`].
        class: Name,
        /// As of [`Billed::Disk`].
        kind: Name,
        /// Its capacity.
        size: Bytes,
    },
}

/// One billed resource over the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BilledTrack {
    /// The object it was provisioned for.
    pub object: NamespacedName,
    /// The billed resource.
    pub what: Billed,
    since: SimTime,
    until: Option<SimTime>,
}

impl BilledTrack {
    /// Time for which it existed, up to `now`.
    pub fn existed(&self, now: SimTime) -> SimDuration {
        self.until.unwrap_or(now) - self.since
    }
}

/// All billed resources of a run.
#[derive(Clone, Debug, Default)]
pub struct BilledObjects {
    /// In order of creation; a resource whose size or type changed has one entry for each.
    pub tracks: Vec<BilledTrack>,
    open: BTreeMap<ObjectId, usize>,
}

impl BilledObjects {
    /// Records a change. The view shows the cluster after it.
    pub(super) fn on_change(&mut self, view: ClusterView<'_>, change: &Change) {
        match *change {
            Change::Spec(object, _)
            | Change::Status(object @ ObjectId::PersistentVolumeClaim(_)) => {
                if matches!(
                    object,
                    ObjectId::Service(_)
                        | ObjectId::Ingress(_)
                        | ObjectId::HTTPRoute(_)
                        | ObjectId::PersistentVolumeClaim(_)
                        | ObjectId::PersistentVolume(_)
                ) {
                    self.is_now(view, object, billed(view, object));
                }
            }
            Change::Removed { object, .. } => self.ends(view.now, object),
            _ => {}
        }
    }

    fn is_now(&mut self, view: ClusterView<'_>, object: ObjectId, what: Option<Billed>) {
        let known = self.open.get(&object).map(|position| &self.tracks[*position].what);
        if known == what.as_ref() {
            return;
        }
        self.ends(view.now, object);
        if let Some(what) = what
            && let Some(id) = view.name_of(object)
        {
            self.open.insert(object, self.tracks.len());
            let track = BilledTrack { object: id.clone(), what, since: view.now, until: None };
            self.tracks.push(track);
        }
    }

    fn ends(&mut self, now: SimTime, object: ObjectId) {
        if let Some(position) = self.open.remove(&object) {
            self.tracks[position].until = Some(now);
        }
    }
}

fn billed(view: ClusterView<'_>, object: ObjectId) -> Option<Billed> {
    match object {
        ObjectId::Service(id) => {
            view.services().get(id)?.spec.is_load_balancer.then_some(Billed::LoadBalancer)
        }
        ObjectId::Ingress(id) => {
            let meta = &view.ingresses().get(id)?.meta;
            let written = meta.document.as_ref().map(|document| &document.object);
            let named = written.and_then(|object| text(object, "/spec/ingressClassName"));
            // The annotation that preceded the field.
            let before = || meta.annotations.get("kubernetes.io/ingress.class").cloned();
            Some(Billed::Ingress { class: named.or_else(before).unwrap_or_default() })
        }
        ObjectId::HTTPRoute(_) => Some(Billed::Ingress { class: Name::default() }),
        ObjectId::PersistentVolumeClaim(id) => disk(view, id),
        ObjectId::PersistentVolume(id) => volume(view, id),
        _ => None,
    }
}

fn disk(view: ClusterView<'_>, id: ClaimId) -> Option<Billed> {
    let claim = view.claims().get(id)?;
    // A volume of the manifests is billed separately.
    claim.volume.as_ref().filter(|volume| volume.name.is_none())?;
    let class = claim.spec.storage_class.clone().unwrap_or_default();
    let kind = kind_of(view, &class);
    let size = claim.spec.storage().map_or(Bytes(0), |size| Bytes(size.value()));
    Some(Billed::Disk { class, kind, size })
}

/// Drivers of the clouds' disks, and the names of the volume sources that they have replaced.
const CLOUD_DRIVERS: [&str; 3] = ["ebs.csi.aws.com", "pd.csi.storage.gke.io", "disk.csi.azure.com"];
const CLOUD_SOURCES: [&str; 3] = ["awsElasticBlockStore", "gcePersistentDisk", "azureDisk"];

/// The disk of a volume of the manifests; file shares and local disks are none.
fn volume(view: ClusterView<'_>, id: PersistentVolumeId) -> Option<Billed> {
    let volume = view.persistent_volumes().get(id)?;
    let written = &volume.meta.document.as_ref()?.object;
    let driver = text(written, "/spec/csi/driver");
    let is_disk = driver.is_some_and(|driver| CLOUD_DRIVERS.contains(&&*driver))
        || CLOUD_SOURCES.iter().any(|name| written.pointer(&format!("/spec/{name}")).is_some());
    let class = volume.spec.storage_class.clone();
    let size = volume.spec.capacity.as_ref().map_or(Bytes(0), |size| Bytes(size.value()));
    is_disk.then(|| Billed::Volume { kind: kind_of(view, &class), class, size })
}

/// The disk type that a StorageClass requests from the cloud; empty if it names none.
fn kind_of(view: ClusterView<'_>, class: &Name) -> Name {
    let known = view.storage_classes().values().find(|one| one.meta.name() == class);
    let parameters = known.and_then(|known| known.meta.document.as_ref());
    let kind = parameters.and_then(|document| {
        ["type", "skuName", "skuname", "storageaccounttype"]
            .iter()
            .find_map(|name| text(&document.object, &format!("/parameters/{name}")))
    });
    kind.unwrap_or_default()
}

fn text(object: &Value, pointer: &str) -> Option<Name> {
    object.pointer(pointer).and_then(Value::as_str).map(Name::from)
}
