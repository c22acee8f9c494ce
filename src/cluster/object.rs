//! Behavior common to all objects in the store: metadata, a spec written by clients, a status written by one
//! controller, and the effects of creation, update and deletion (the registry strategies of the API server). One row
//! in `objects` adds a kind to the store.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::action::Refused;
use super::change::{Change, Write};
use super::kind::Kind;
use super::meta::{NamespacedName, ObjectMeta};
use super::objects::ObjectId;
use super::store::Store;
use engine::{Id, SimTime, Table};

/// An object written through the generic verbs.
pub trait Object: Clone + fmt::Debug + Sized + 'static {
    /// Kind of these objects.
    const KIND: Kind;
    /// The part that clients write, defaulted and validated.
    type Spec: Clone + fmt::Debug;
    /// The part that its controller writes; `()` for kinds without.
    type Status: Clone + fmt::Debug;

    /// True for configuration without a controller of its own. Such objects have separate creation numbers, so that
    /// adding one changes no UID, and thus no tie-break between equal pods.
    const IS_CONFIGURATION: bool = false;

    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;
    /// Its metadata, to change them.
    fn meta_mut(&mut self) -> &mut ObjectMeta;

    /// The object at its creation (`PrepareForCreate`).
    fn new(store: &mut Store, meta: ObjectMeta, spec: Self::Spec) -> Self;

    /// Updates spec and metadata (`ValidateUpdate`, `PrepareForUpdate`); returns whether anything changed.
    fn update(
        store: &mut Store,
        id: Id<Self>,
        meta: ObjectMeta,
        spec: Self::Spec,
    ) -> Result<bool, Refused>;

    /// Updates the status; returns whether anything changed.
    fn set_status(&mut self, status: Self::Status) -> bool {
        let _ = status;
        false
    }

    /// The spec with which a client would write the object in its current state.
    fn written(&self, store: &Store) -> Self::Spec;

    /// The object that owns it as its controller (`metadata.ownerReferences`).
    fn owner(&self) -> Option<ObjectId> {
        None
    }

    /// Updates the indexes after a creation or update.
    fn index(store: &mut Store, id: Id<Self>) {
        let _ = (store, id);
    }

    /// True if a finalizer delays its removal.
    fn is_held(&self, store: &Store) -> bool {
        let _ = store;
        false
    }

    /// Cleans up after its removal from the table: indexes, and dependents (background cascade).
    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: Id<Self>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let _ = (store, now, id, changes);
        Ok(())
    }
}

/// Access to the table of a kind in the store. Implemented by `objects!`.
pub trait Stored: Object {
    /// The objects of the kind.
    fn collection(store: &Store) -> &Collection<Self>;
    /// The objects of the kind, to change them.
    fn collection_mut(store: &mut Store) -> &mut Collection<Self>;
    /// Converts a typed id into an [`ObjectId`].
    fn object_id(id: Id<Self>) -> ObjectId;
}

/// The objects of a kind, by key and by name.
#[derive(Clone, Debug)]
pub struct Collection<T> {
    pub(super) table: Table<T>,
    /// Lookups only, never iterated, so its order cannot affect results.
    by_name: FxHashMap<NamespacedName, Id<T>>,
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self { table: Table::default(), by_name: FxHashMap::default() }
    }
}

impl<T> Collection<T> {
    /// The object of a name.
    pub fn named(&self, id: &NamespacedName) -> Option<Id<T>> {
        self.by_name.get(id).copied()
    }
}

pub(super) fn create<T: Stored>(
    store: &mut Store,
    now: SimTime,
    meta: ObjectMeta,
    spec: T::Spec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.named::<T>(&meta.id).is_some() {
        return Err(Refused::AlreadyExists(meta.id));
    }
    let sequence =
        if T::IS_CONFIGURATION { store.next_configuration() } else { store.next_sequence() };
    let meta = store.stamp(now, sequence, meta);
    let name = meta.id.clone();
    let object = T::new(store, meta, spec);
    let collection = T::collection_mut(store);
    let id = collection.table.insert(object);
    collection.by_name.insert(name, id);
    T::index(store, id);
    changes.push(Change::Spec(T::object_id(id), Write::Create));
    Ok(())
}

pub(super) fn update<T: Stored>(
    store: &mut Store,
    id: Id<T>,
    meta: ObjectMeta,
    spec: T::Spec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if T::update(store, id, meta, spec)? {
        T::index(store, id);
        changes.push(Change::Spec(T::object_id(id), Write::Update));
    }
    Ok(())
}

pub(super) fn set_status<T: Stored>(
    store: &mut Store,
    id: Id<T>,
    status: T::Status,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let object = T::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
    if object.set_status(status) {
        changes.push(Change::Status(T::object_id(id)));
    }
    Ok(())
}

/// Removes an object, or marks it for removal if a finalizer holds it.
pub(super) fn delete<T: Stored>(
    store: &mut Store,
    now: SimTime,
    id: Id<T>,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let object = T::collection(store).table.get(id).ok_or(Refused::NotFound)?;
    if object.is_held(store) {
        let meta = T::collection_mut(store).table[id].meta_mut();
        if meta.deletion.replace(now.floor_to_second()).is_none() {
            T::index(store, id);
            changes.push(Change::Spec(T::object_id(id), Write::Update));
        }
        return Ok(());
    }
    let collection = T::collection_mut(store);
    let object = collection.table.remove(id).ok_or(Refused::NotFound)?;
    collection.by_name.remove(&object.meta().id);
    let (name, owner) = (Box::new(object.meta().id.clone()), object.owner());
    changes.push(Change::Removed { object: T::object_id(id), name, owner });
    object.removed(store, now, id, changes)
}

/// True if a write changes spec fields that are not simulated. Controllers write no document and so change none.
fn is_other_spec(meta: &ObjectMeta, written: &ObjectMeta) -> bool {
    match (&meta.document, &written.document) {
        (Some(one), Some(other)) => !Arc::ptr_eq(one, other) && !one.has_same_spec(other),
        _ => false,
    }
}

/// Replaces labels, annotations and spec; `generation` counts spec changes. Returns whether anything changed.
pub(super) fn replace<S: PartialEq>(
    (meta, spec): (&mut ObjectMeta, &mut S),
    written: ObjectMeta,
    new_spec: S,
) -> bool {
    let is_same = *spec == new_spec;
    replace_if((meta, spec), written, new_spec, is_same)
}

/// Like [`replace`], for a spec that keeps something of the metadata, which does not count: `is_same` compares the rest.
pub(super) fn replace_if<S>(
    (meta, spec): (&mut ObjectMeta, &mut S),
    written: ObjectMeta,
    new_spec: S,
    is_same: bool,
) -> bool {
    let is_new_spec = !is_same || is_other_spec(meta, &written);
    let is_new =
        is_new_spec || meta.labels != written.labels || meta.annotations != written.annotations;
    meta.document = written.document;
    meta.labels = written.labels;
    meta.annotations = written.annotations;
    meta.generation += i64::from(is_new_spec);
    *spec = new_spec;
    is_new
}

/// The accessors of [`Object`] for a row with a field `meta`, with a field `spec` that clients write as it is,
/// and with a field `status` if its type is given.
macro_rules! accessors {
    (meta) => {
        fn meta(&self) -> &$crate::ObjectMeta {
            &self.meta
        }

        fn meta_mut(&mut self) -> &mut $crate::ObjectMeta {
            &mut self.meta
        }
    };
    () => {
        $crate::object::accessors!(meta);

        fn written(&self, _: &$crate::Store) -> Self::Spec {
            self.spec.clone()
        }
    };
    (meta, $status:ty) => {
        $crate::object::accessors!(meta);

        fn set_status(&mut self, status: $status) -> bool {
            let is_new = self.status != status;
            self.status = status;
            is_new
        }
    };
    ($status:ty) => {
        $crate::object::accessors!(meta, $status);

        fn written(&self, _: &$crate::Store) -> Self::Spec {
            self.spec.clone()
        }
    };
}
pub(super) use accessors;

/// Implements [`Object`] for a kind whose fields are `meta` and `spec`, which any write may replace.
macro_rules! plain_object {
    ($row:ident, $spec:ty) => {
        impl $crate::object::Object for $row {
            const KIND: $crate::Kind = $crate::Kind::$row;
            const IS_CONFIGURATION: bool = true;
            type Spec = $spec;
            type Status = ();

            $crate::object::accessors!();

            fn new(_: &mut $crate::Store, meta: $crate::ObjectMeta, spec: Self::Spec) -> Self {
                Self { meta, spec }
            }

            fn update(
                store: &mut $crate::Store,
                id: engine::Id<Self>,
                meta: $crate::ObjectMeta,
                spec: Self::Spec,
            ) -> Result<bool, $crate::Refused> {
                use $crate::object::Stored;
                let table = &mut Self::collection_mut(store).table;
                let object = table.get_mut(id).ok_or($crate::Refused::NotFound)?;
                Ok($crate::object::replace((&mut object.meta, &mut object.spec), meta, spec))
            }
        }
    };
}
pub(super) use plain_object;

/// A kind whose fields are all in its document.
macro_rules! written_object {
    ($kind:ident, $spec:ident) => {
        #[doc = concat!("An ", stringify!($kind), ".")]
        #[derive(Clone, Debug)]
        pub struct $kind {
            /// Its metadata, with its document.
            pub meta: ObjectMeta,
            /// Empty: all fields are in the document.
            pub spec: $spec,
        }

        /// Placeholder for the kind's fields, which are in the document.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $spec;

        $crate::object::plain_object!($kind, $spec);
    };
}
pub(super) use written_object;
