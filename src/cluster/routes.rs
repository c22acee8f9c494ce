//! Routing of external requests: Ingresses and IngressClasses (networking.k8s.io/v1), and HTTPRoutes of the Gateway
//! API. All their fields are in their documents, which `scenario::Routing` reads.

use super::action::Refused;
use super::kind::Kind;
use super::meta::ObjectMeta;
use super::object::{self, Object, Stored, written_object};
use super::objects::ObjectId;
use super::rollout::RolloutId;
use super::store::Store;
use engine::Id;

written_object!(IngressClass, IngressClassSpec);
written_object!(HTTPRoute, HTTPRouteSpec);

/// An Ingress.
#[derive(Clone, Debug)]
pub struct Ingress {
    /// Its metadata, with its document.
    pub meta: ObjectMeta,
    /// Facts that its document does not contain.
    pub spec: IngressSpec,
}

/// The fields of an Ingress are in its document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngressSpec {
    /// The Rollout whose canary gets requests by it, if any. It stays whatever clients write.
    pub owner: Option<RolloutId>,
}

impl Object for Ingress {
    const KIND: Kind = Kind::Ingress;
    const IS_CONFIGURATION: bool = true;
    type Spec = IngressSpec;
    type Status = ();

    object::accessors!();

    fn new(_: &mut Store, meta: ObjectMeta, spec: IngressSpec) -> Self {
        Self { meta, spec }
    }

    fn update(
        store: &mut Store,
        id: Id<Self>,
        meta: ObjectMeta,
        spec: IngressSpec,
    ) -> Result<bool, Refused> {
        let table = &mut Self::collection_mut(store).table;
        let ingress = table.get_mut(id).ok_or(Refused::NotFound)?;
        let owner = spec.owner.or(ingress.spec.owner);
        let written = (&mut ingress.meta, &mut ingress.spec);
        Ok(object::replace(written, meta, IngressSpec { owner }))
    }

    fn owner(&self) -> Option<ObjectId> {
        self.spec.owner.map(ObjectId::Rollout)
    }
}
