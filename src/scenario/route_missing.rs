//! Backends of Ingresses and HTTPRoutes whose Service is not there.

use std::collections::BTreeSet;

use super::routing::Routing;
use cluster::{NamespacedName, ObjectReference};
use manifest::{Diagnostic, Manifest};

/// A backend that names a Service which is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingService {
    /// The Ingress or HTTPRoute.
    pub object: ObjectReference,
    /// The field that names the Service.
    pub field: String,
    /// The Service.
    pub service: NamespacedName,
    /// What becomes of the requests, as in `so that requests find no endpoint`.
    pub consequence: &'static str,
}

impl MissingService {
    /// What is wrong.
    pub fn message(&self) -> String {
        format!("the Service {} is not here, {}", self.service, self.consequence)
    }

    /// A warning at the field of the Ingress or HTTPRoute, which is this manifest.
    pub fn diagnostic(self, manifest: &Manifest) -> Diagnostic {
        let problem = Diagnostic::warning("missing-reference", self.message())
            .at(manifest.origin.place_of(&self.field))
            .of(manifest.label())
            .help("add the Service, or name one that is there");
        Diagnostic { field: self.field, ..problem }
    }
}

/// The backends whose Service is not there, each once, by object and field.
pub fn missing_services(
    routing: &Routing,
    is_there: impl Fn(&NamespacedName) -> bool,
) -> BTreeSet<MissingService> {
    let backends = routing.rules.iter().flat_map(|rule| {
        let consequence = routing.without_endpoint(rule);
        rule.backends.iter().map(move |backend| (rule, backend, consequence))
    });
    let missing = backends.filter(|(_, backend, _)| !is_there(&backend.service));
    missing
        .map(|(rule, backend, consequence)| {
            // The port stands beside the name.
            let holder = backend.field.rsplit_once(".port").map_or("", |(holder, _)| holder);
            MissingService {
                object: rule.object.clone(),
                field: format!("{holder}.name").trim_start_matches('.').to_owned(),
                service: backend.service.clone(),
                consequence,
            }
        })
        .collect()
}
