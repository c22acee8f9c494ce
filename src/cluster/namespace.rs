//! Namespaces (core/v1).

use super::action::Refused;
use super::change::Change;
use super::kind::Kind;
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::object::{self, Object, Stored};
use super::objects::delete_any;
use super::store::Store;
use engine::{Id, SimTime};

/// A Namespace: only metadata, including the label `kubernetes.io/metadata.name`.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// Its metadata.
    pub meta: ObjectMeta,
}

/// `spec` of a Namespace; none of it is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamespaceSpec;

/// The label holding a Namespace's name, set by the API server.
pub(super) const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn with_name_label(meta: ObjectMeta) -> ObjectMeta {
    let labels = meta.labels.with(NAME_LABEL, meta.name().clone());
    ObjectMeta { labels, ..meta }
}

impl Store {
    /// Looks up a Namespace by name.
    pub fn namespace(&self, name: &Name) -> Option<&Namespace> {
        self.find(&NamespacedName { namespace: Name::default(), name: name.clone() })
    }
}

impl Object for Namespace {
    const KIND: Kind = Kind::Namespace;
    const IS_CONFIGURATION: bool = true;
    type Spec = NamespaceSpec;
    type Status = ();

    object::accessors!(meta);

    fn written(&self, _: &Store) -> NamespaceSpec {
        NamespaceSpec
    }

    fn new(_: &mut Store, meta: ObjectMeta, NamespaceSpec: NamespaceSpec) -> Self {
        Self { meta: with_name_label(meta) }
    }

    fn update(
        store: &mut Store,
        id: Id<Self>,
        meta: ObjectMeta,
        mut spec: NamespaceSpec,
    ) -> Result<bool, Refused> {
        let namespace = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        let meta = with_name_label(meta);
        Ok(object::replace((&mut namespace.meta, &mut spec), meta, NamespaceSpec))
    }

    /// Deletes everything in it (the namespace controller, without its delay).
    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        _: Id<Self>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let within = store.objects_in(self.meta.name());
        for object in within {
            match delete_any(store, now, object, changes) {
                // Already deleted with another object.
                Ok(()) | Err(Refused::NotFound) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }
}
