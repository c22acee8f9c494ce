//! The HorizontalPodAutoscaler object in the store.

use super::action::Refused;
use super::change::Change;
use super::hpa::HpaSpec;
use super::hpa_status::HpaStatus;
use super::kind::Kind;
use super::meta::{Name, ObjectMeta};
use super::object::{self, Object, Stored};
use super::store::Store;
use engine::{Id, SimTime};

/// Key of an [`HpaObject`] in the store.
pub type HpaId = Id<HpaObject>;

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug)]
pub struct HpaObject {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Target, limits, metrics and behavior.
    pub spec: HpaSpec,
    /// The status last written by the HPA controller.
    pub status: HpaStatus,
}

impl HpaObject {
    /// Namespace, kind and name of its scale target.
    fn target(&self) -> (Name, Name, Name) {
        let target = &self.spec.scale_target;
        (self.meta.namespace().clone(), target.kind.clone(), target.name.clone())
    }
}

impl Object for HpaObject {
    const KIND: Kind = Kind::HorizontalPodAutoscaler;
    type Spec = HpaSpec;
    type Status = HpaStatus;

    object::accessors!(HpaStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: HpaSpec) -> Self {
        Self { meta, spec, status: HpaStatus::default() }
    }

    fn update(
        store: &mut Store,
        id: HpaId,
        meta: ObjectMeta,
        spec: HpaSpec,
    ) -> Result<bool, Refused> {
        let earlier = store.hpas().get(id).ok_or(Refused::NotFound)?.target();
        forget_target(store, &earlier, id);
        let hpa = &mut Self::collection_mut(store).table[id];
        let is_new = object::replace((&mut hpa.meta, &mut hpa.spec), meta, spec);
        Self::index(store, id);
        Ok(is_new)
    }

    fn index(store: &mut Store, id: HpaId) {
        let target = store.hpas()[id].target();
        store.index.hpas_by_target.entry(target).or_default().insert(id);
    }

    fn removed(
        self,
        store: &mut Store,
        _: SimTime,
        id: HpaId,
        _: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        forget_target(store, &self.target(), id);
        Ok(())
    }
}

fn forget_target(store: &mut Store, target: &(Name, Name, Name), id: HpaId) {
    if let Some(hpas) = store.index.hpas_by_target.get_mut(target) {
        hpas.remove(&id);
        if hpas.is_empty() {
            store.index.hpas_by_target.remove(target);
        }
    }
}
