//! The objects that a Rollout names, as they are in the cluster.

use super::sync::Sync;
use cluster::analysis::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, TemplateReference,
};
use cluster::rollout_references::{Beside, InvalidField};
use cluster::routes::Ingress;
use cluster::service::ServiceSpec;
use cluster::{Name, NamespacedName, ObjectMeta, Store};

/// The objects of a namespace.
pub(super) struct InNamespace<'a> {
    store: &'a Store,
    namespace: &'a Name,
}

impl InNamespace<'_> {
    fn id(&self, name: &Name) -> NamespacedName {
        NamespacedName::new(self.namespace.clone(), name.clone())
    }
}

impl<'a> Beside<'a> for InNamespace<'a> {
    fn service(&self, name: &Name) -> Option<(&'a ObjectMeta, &'a ServiceSpec)> {
        let service = self.store.find::<cluster::service::Service>(&self.id(name))?;
        Some((&service.meta, &service.spec))
    }

    fn template(&self, reference: &TemplateReference) -> Option<&'a AnalysisTemplateSpec> {
        if reference.is_cluster_scoped {
            let id = NamespacedName::new("", reference.name.clone());
            return Some(&self.store.find::<ClusterAnalysisTemplate>(&id)?.spec.0);
        }
        Some(&self.store.find::<AnalysisTemplate>(&self.id(&reference.name))?.spec)
    }

    fn ingress(&self, name: &Name) -> Option<&'a ObjectMeta> {
        Some(&self.store.find::<Ingress>(&self.id(name))?.meta)
    }
}

impl<'a> Sync<'a> {
    pub(super) fn beside(&self) -> InNamespace<'a> {
        InNamespace { store: self.view.store(), namespace: self.rollout.meta.namespace() }
    }

    /// The first field that names an object which does not exist or does not fit.
    pub(super) fn invalid_reference(&self) -> Option<InvalidField> {
        let rollout = self.rollout;
        rollout.spec.invalid_references(rollout.meta.name(), &self.beside()).into_iter().next()
    }
}
