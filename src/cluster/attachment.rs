//! Attachments of volumes to nodes, as the attach-detach controller and a CSI driver keep them (VolumeAttachments).

use super::action::Refused;
use super::change::Change;
use super::claim::{AccessMode, Claim, ClaimId};
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::node::NodeId;
use super::object::{Stored, plain_object};
use super::objects::ObjectId;
use super::store::Store;
use engine::SimTime;

/// The CSI drivers of the clouds' disks, each with the in-tree plugin that it replaced (`csi-translation-lib`, 1.36).
pub const DISK_DRIVERS: [(&str, &str); 3] = [
    ("ebs.csi.aws.com", "kubernetes.io/aws-ebs"),
    ("pd.csi.storage.gke.io", "kubernetes.io/gce-pd"),
    ("disk.csi.azure.com", "kubernetes.io/azure-disk"),
];

/// Drivers and provisioners whose volumes are mounted without being attached (`attachRequired: false`, and plugins that
/// are not attachable).
const UNATTACHED: [&str; 12] = [
    "rancher.io/local-path",
    "k8s.io/minikube-hostpath",
    "microk8s.io/hostpath",
    "docker.io/hostpath",
    "openebs.io/local",
    "topolvm.io",
    "efs.csi.aws.com",
    "file.csi.azure.com",
    "kubernetes.io/azure-file",
    "filestore.csi.storage.gke.io",
    "nfs.csi.k8s.io",
    "smb.csi.k8s.io",
];

/// The CSI drivers of a node, which has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSINode {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// `spec`.
    pub spec: CSINodeSpec,
}

/// `spec` of a CSINode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CSINodeSpec {
    /// `drivers`.
    pub drivers: Vec<DriverLimit>,
}

/// A driver on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverLimit {
    /// `name`.
    pub driver: Name,
    /// `allocatable.count`: the most volumes that it attaches; absent = any number.
    pub count: Option<u32>,
}

plain_object!(CSINode, CSINodeSpec);

/// The attachment of a volume to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The node, which may be gone.
    pub node: NodeId,
    /// How far it is.
    pub state: AttachState,
}

/// How far an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachState {
    /// The cloud attaches the volume until this instant.
    Attaching(SimTime),
    /// The node has it since this instant.
    Attached(SimTime),
    /// The cloud detaches it until this instant.
    Detaching(SimTime),
}

/// Against which limit of a node a volume counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver<'a> {
    /// That of the cloud's disks.
    Cloud,
    /// That of another CSI driver.
    Other(&'a str),
}

impl Claim {
    /// Whether only one node at a time may have its volume (`IsMultiAttachAllowed`).
    pub fn is_exclusive(&self) -> bool {
        let is_shared = |mode: &AccessMode| {
            matches!(mode, AccessMode::ReadWriteMany | AccessMode::ReadOnlyMany)
        };
        !self.spec.access_modes.iter().any(is_shared)
    }

    /// The attachment of its volume to a node.
    pub fn attachment(&self, node: NodeId) -> Option<&Attachment> {
        self.attachments.iter().find(|one| one.node == node)
    }

    /// Whether a node has its volume.
    pub fn is_attached(&self, node: NodeId) -> bool {
        self.attachment(node).is_some_and(|one| matches!(one.state, AttachState::Attached(_)))
    }
}

impl Store {
    /// The driver of a claim's volume: of the PersistentVolume that it has, or else of its class; `None` for volumes of
    /// the cluster's own class, of which no manifest names the driver.
    pub fn driver_of<'a>(&'a self, claim: &'a Claim) -> Option<&'a str> {
        let volume = claim.volume.as_ref().filter(|volume| volume.name.is_some());
        let name = match volume {
            Some(volume) => volume.driver.as_deref(),
            None => self.class_of(claim).map(|class| &*class.spec.provisioner),
        }?;
        let known = DISK_DRIVERS.iter().find(|(_, in_tree)| *in_tree == name);
        Some(known.map_or(name, |(driver, _)| driver))
    }

    /// Whether a claim's volume must be attached to a node before it can be mounted there. A file system that many
    /// nodes share is not.
    pub fn is_attachable(&self, claim: &Claim) -> bool {
        if claim.volume.as_ref().is_some_and(|volume| volume.name.is_some()) {
            return claim.volume.as_ref().is_some_and(|volume| !volume.is_never_attached);
        }
        let driver = self.driver_of(claim);
        (claim.is_exclusive() || claim.spec.is_block)
            && driver.map_or(self.attaches_unknown, |name| !UNATTACHED.contains(&name))
    }

    /// The same store for a cluster whose default class has directories of the node's disk, as kind's has: volumes of
    /// classes without a manifest are not attached.
    #[must_use]
    pub const fn with_local_disks(mut self, is_so: bool) -> Self {
        self.attaches_unknown = !is_so;
        self
    }

    /// The limit against which a claim's volume counts, bound or not (`getCSIDriverInfo`); `None` for a volume that
    /// needs no attachment.
    pub fn limited_by<'a>(&'a self, claim: &'a Claim) -> Option<Driver<'a>> {
        if !self.is_attachable(claim) {
            return None;
        }
        let is_cloud = |name: &str| DISK_DRIVERS.iter().any(|(driver, _)| *driver == name);
        Some(match self.driver_of(claim) {
            Some(name) if !is_cloud(name) => Driver::Other(name),
            _ => Driver::Cloud,
        })
    }

    /// The most volumes that a driver attaches to a node: as its CSINode says, or else the cloud's limit for its machine.
    pub fn attach_limit(&self, node: NodeId, driver: &Driver<'_>) -> Option<u32> {
        let node = self.nodes().get(node)?;
        let is_it = |one: &&DriverLimit| match driver {
            Driver::Cloud => DISK_DRIVERS.iter().any(|(name, _)| **name == *one.driver),
            Driver::Other(name) => **name == *one.driver,
        };
        let own = NamespacedName { namespace: Name::default(), name: node.meta.name().clone() };
        let own = self.find::<CSINode>(&own);
        match (own.and_then(|one| one.spec.drivers.iter().find(is_it)), driver) {
            (Some(one), _) => one.count,
            (None, Driver::Cloud) => node.machine.attach_limit,
            (None, Driver::Other(_)) => None,
        }
    }

    /// The claims whose volumes a node has, gets or still gives back.
    pub fn attached_to(&self, node: NodeId) -> impl Iterator<Item = ClaimId> + '_ {
        self.attached.get(&node).into_iter().flatten().copied()
    }

    /// Writes the attachments of a claim's volume.
    pub(super) fn set_attachments(
        &mut self,
        id: ClaimId,
        attachments: Vec<Attachment>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let claim = Claim::collection_mut(self).table.get_mut(id).ok_or(Refused::NotFound)?;
        if claim.attachments == attachments {
            return Ok(());
        }
        let before = std::mem::replace(&mut claim.attachments, attachments);
        self.forget_attachments(id, &before);
        let nodes: Vec<NodeId> = self.claims()[id].attachments.iter().map(|one| one.node).collect();
        for node in nodes {
            self.attached.entry(node).or_default().insert(id);
        }
        changes.push(Change::Status(ObjectId::PersistentVolumeClaim(id)));
        Ok(())
    }

    pub(super) fn forget_attachments(&mut self, id: ClaimId, attachments: &[Attachment]) {
        for one in attachments {
            if let Some(claims) = self.attached.get_mut(&one.node) {
                claims.remove(&id);
                if claims.is_empty() {
                    self.attached.remove(&one.node);
                }
            }
        }
    }
}
