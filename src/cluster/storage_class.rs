//! StorageClasses (storage.k8s.io/v1): the default class, and where and when volumes are provisioned.

use super::action::Refused;
use super::kind::Kind;
use super::meta::{Labels, Name, ObjectMeta};
use super::node::ZONE_LABEL;
use super::object::{self, Object, Stored};
use super::store::Store;
use engine::Id;

/// Annotation marking the default class.
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// A StorageClass.
#[derive(Clone, Debug)]
pub struct StorageClass {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its fields, which the API keeps at the top level, next to `metadata`.
    pub spec: StorageClassSpec,
}

/// The fields of a StorageClass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageClassSpec {
    /// `provisioner`.
    pub provisioner: Name,
    /// `volumeBindingMode: Immediate`: a volume is provisioned as soon as its claim exists, rather than once the
    /// claim's first pod has a node.
    pub is_immediate: bool,
    /// `allowedTopologies`: where volumes may be; a node must meet all requirements of one term. Empty = anywhere.
    pub allowed_topologies: Vec<Vec<TopologyRequirement>>,
}

/// A label that nodes which can reach a volume must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopologyRequirement {
    /// The label's key.
    pub key: Name,
    /// The values that it may have.
    pub values: Vec<Name>,
}

/// Labels used by CSI drivers for a node's zone in place of the well-known one.
const ZONES_OF_DRIVERS: [&str; 5] = [
    "topology.ebs.csi.aws.com/zone",
    "topology.gke.io/zone",
    "topology.disk.csi.azure.com/zone",
    "topology.cinder.csi.openstack.org/zone",
    "failure-domain.beta.kubernetes.io/zone",
];

impl StorageClassSpec {
    /// Whether volumes may be where a node with these labels is (`MatchTopologySelectorTerms`).
    pub fn allows(&self, node: &Labels) -> bool {
        let value = |key: &Name| {
            let is_zone = ZONES_OF_DRIVERS.contains(&&**key);
            node.get(key).or_else(|| node.get(ZONE_LABEL).filter(|_| is_zone))
        };
        let holds = |one: &TopologyRequirement| {
            value(&one.key).is_some_and(|value| one.values.contains(value))
        };
        let terms = &self.allowed_topologies;
        terms.is_empty() || terms.iter().any(|term| !term.is_empty() && term.iter().all(holds))
    }
}

impl Object for StorageClass {
    const KIND: Kind = Kind::StorageClass;
    const IS_CONFIGURATION: bool = true;
    type Spec = StorageClassSpec;
    type Status = ();

    object::accessors!();

    fn new(_: &mut Store, meta: ObjectMeta, spec: StorageClassSpec) -> Self {
        Self { meta, spec }
    }

    fn update(
        store: &mut Store,
        id: Id<Self>,
        meta: ObjectMeta,
        spec: StorageClassSpec,
    ) -> Result<bool, Refused> {
        let class = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        Ok(object::replace((&mut class.meta, &mut class.spec), meta, spec))
    }

    /// Claims that have waited for it get their volumes.
    fn index(store: &mut Store, id: Id<Self>) {
        let name = store.storage_classes()[id].meta.name().clone();
        store.provision_of(&name);
    }
}

impl Store {
    /// The class for claims without one: the newest of those marked as default, then the first by name
    /// (`GetDefaultClass` of `pkg/volume/util`, 1.36, used by the admission plugin DefaultStorageClass).
    pub(crate) fn default_storage_class(&self) -> Option<&StorageClass> {
        let is_default = |one: &&StorageClass| {
            one.meta.annotations.get(IS_DEFAULT).is_some_and(|mark| **mark == *"true")
        };
        let mut marked: Vec<_> = self.storage_classes().values().filter(is_default).collect();
        marked.sort_by(|one, other| {
            let newest = other.meta.created.cmp(&one.meta.created);
            newest.then_with(|| one.meta.id.cmp(&other.meta.id))
        });
        marked.into_iter().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::{ClaimContent, ClaimSpec};
    use crate::{Action, NamespacedName, apply};
    use engine::{SimTime, Streams};

    #[test]
    fn a_claim_without_a_class_gets_the_newest_default_and_an_empty_one_gets_none() {
        let mut store = Store::new(Streams::new(1));
        let mut act = |seconds, action| {
            apply(&mut store, SimTime::from_secs(seconds), action, &mut Vec::new()).unwrap();
        };
        let class = |name: &str, mark: &str| {
            let mut meta = ObjectMeta::new("", name);
            meta.annotations = [(IS_DEFAULT, mark)].into_iter().collect();
            Action::apply(meta, StorageClassSpec::default())
        };
        let claim = |name: &str, class: Option<&str>| {
            let spec = ClaimSpec { storage_class: class.map(Name::from), ..ClaimSpec::default() };
            Action::apply(ObjectMeta::new("shop", name), ClaimContent::from(spec))
        };
        act(0, claim("before", None));
        act(1, class("slow", "true"));
        act(2, class("fast", "true"));
        act(3, class("other", "false"));
        act(4, claim("plain", None));
        act(4, claim("static", Some("")));
        act(4, claim("slow", Some("slow")));
        // Another write leaves it unchanged.
        act(5, claim("plain", None));
        let class_of = |name: &str| {
            let claim = store.claim(&NamespacedName::new("shop", name.to_owned())).unwrap();
            claim.spec.storage_class.as_deref().map(str::to_owned)
        };
        assert_eq!(class_of("before"), None);
        assert_eq!(class_of("plain").as_deref(), Some("fast"));
        assert_eq!(class_of("static").as_deref(), Some(""));
        assert_eq!(class_of("slow").as_deref(), Some("slow"));
    }
}
