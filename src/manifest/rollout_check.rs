//! Checks that the objects that a Rollout names exist and fit: otherwise its controller calls it invalid and does nothing.

use super::cross_check::warning;
use super::diagnostic::Diagnostics;
use super::load::Object;
use super::relations::Relations;
use cluster::analysis::{AnalysisTemplateSpec, TemplateReference};
use cluster::rollout::RolloutSpec;
use cluster::rollout_references::{Beside, InvalidField};
use cluster::service::ServiceSpec;
use cluster::{AnySpec, Kind, Name, NamespacedName, ObjectMeta};

/// The manifests of a namespace.
struct InManifests<'a, 'r> {
    relations: &'r Relations<'a>,
    namespace: &'r Name,
}

impl<'a> InManifests<'a, '_> {
    fn find(&self, kind: Kind, name: &Name) -> Option<&'a Object> {
        self.relations.find(kind, &NamespacedName::new(self.namespace.clone(), name.clone()))
    }
}

impl<'a> Beside<'a> for InManifests<'a, '_> {
    fn service(&self, name: &Name) -> Option<(&'a ObjectMeta, &'a ServiceSpec)> {
        let object = self.find(Kind::Service, name)?;
        match &object.spec {
            AnySpec::Service(spec) => Some((&object.meta, spec)),
            _ => None,
        }
    }

    fn template(&self, reference: &TemplateReference) -> Option<&'a AnalysisTemplateSpec> {
        let kind = reference.kind();
        let object = if reference.is_cluster_scoped {
            self.relations.find(kind, &NamespacedName::new("", reference.name.clone()))
        } else {
            self.find(kind, &reference.name)
        };
        match &object?.spec {
            AnySpec::AnalysisTemplate(spec) => Some(spec),
            AnySpec::ClusterAnalysisTemplate(spec) => Some(&spec.0),
            _ => None,
        }
    }

    fn ingress(&self, name: &Name) -> Option<&'a ObjectMeta> {
        Some(&self.find(Kind::Ingress, name)?.meta)
    }
}

pub(super) fn check<'a>(
    object: &'a Object,
    spec: &'a RolloutSpec,
    relations: &Relations<'a>,
) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let beside = InManifests { relations, namespace: object.meta.namespace() };
    for invalid in spec.invalid_references(object.meta.name(), &beside) {
        let InvalidField { field, problem, .. } = invalid;
        let message =
            format!("{problem}: the controller calls the Rollout invalid and creates no pods");
        let help = "add the object, or correct it or the reference";
        problems.push(warning("invalid-rollout", message, object, field).help(help));
    }
    problems
}
