//! ConfigMaps and Secrets (core/v1), limited to the parts for which pods wait.

use std::collections::BTreeSet;

use super::kind::Kind;
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::object::plain_object;
use super::pod::Pod;
use super::pod_template::Reference;
use super::store::Store;

/// A ConfigMap.
#[derive(Clone, Debug)]
pub struct ConfigMap {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its keys.
    pub spec: ConfigMapSpec,
}

/// The simulated fields of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMapSpec {
    /// The keys of `data` and `binaryData`.
    pub keys: BTreeSet<Name>,
}

/// A Secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its keys and type.
    pub spec: SecretSpec,
}

/// The simulated fields of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretSpec {
    /// The keys of `data` and `stringData`.
    pub keys: BTreeSet<Name>,
    /// `type`, such as `Opaque`.
    pub secret_type: Name,
}

plain_object!(ConfigMap, ConfigMapSpec);
plain_object!(Secret, SecretSpec);

impl Store {
    /// The first object referenced by the pod that is missing or lacks the requested key; volumes are checked first.
    pub fn missing_reference<'a>(&'a self, pod: &Pod) -> Option<&'a Reference> {
        let missing = self.template_of(pod).spec.references.iter().filter(|reference| {
            let id = NamespacedName::new(pod.id.namespace.clone(), reference.name.clone());
            let keys = match reference.kind {
                Kind::ConfigMap => self.find::<ConfigMap>(&id).map(|one| &one.spec.keys),
                Kind::Secret => self.find::<Secret>(&id).map(|one| &one.spec.keys),
                other => return self.object_named(other, &id).is_none(),
            };
            let lacks = |keys: &BTreeSet<Name>, key| !keys.contains(key);
            keys.is_none_or(|keys| reference.key.as_ref().is_some_and(|key| lacks(keys, key)))
        });
        missing.min_by_key(|reference| reference.volume.is_none())
    }
}
