//! StorageClasses (storage.k8s.io/v1), as far as claims without a class get the default one.

use super::meta::{Name, ObjectMeta};
use super::object::plain_object;
use super::store::Store;

/// Annotation of the class that claims get which name none.
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// A StorageClass.
#[derive(Clone, Debug)]
pub struct StorageClass {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its fields, which the API keeps beside the metadata.
    pub spec: StorageClassSpec,
}

/// The fields of a StorageClass. Every volume is made when its first pod has a node, whatever they say of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageClassSpec {
    /// `provisioner`: who makes the volumes.
    pub provisioner: Name,
}

plain_object!(StorageClass, StorageClassSpec);

impl Store {
    /// The class of claims that name none: of several that are marked so the newest, then the first by name
    /// (`GetDefaultClass` of `pkg/volume/util`, 1.36, which the admission plugin DefaultStorageClass asks).
    pub fn default_storage_class(&self) -> Option<&StorageClass> {
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
        // Written again it stays as it is.
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
