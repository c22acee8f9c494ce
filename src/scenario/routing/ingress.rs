//! Ingresses (`networking.k8s.io/v1`) to rules.

use k8s_openapi::api::networking::v1::{Ingress, IngressBackend};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::nginx::{Annotations, PREFIX};
use super::{Backend, Class, Path, RouteFindings, Rule};
use cluster::{NamespacedName, ObjectReference};
use manifest::FieldPath;

/// The rules of an Ingress, the default backend last.
pub(super) fn rules(
    object: &ObjectReference,
    ingress: Ingress,
    findings: &mut RouteFindings,
) -> Vec<Rule> {
    let annotations = ingress.metadata.annotations.unwrap_or_default();
    let spec = ingress.spec.unwrap_or_default();
    let nginx = Annotations::read(object, &annotations, findings);
    // By `ingressClassName`, or by the annotation that came before it.
    let class = spec.ingress_class_name.as_ref();
    let class = class.or_else(|| annotations.get("kubernetes.io/ingress.class"));
    let class = class.map_or_else(
        || Class::Default { is_for_nginx: annotations.keys().any(|name| name.starts_with(PREFIX)) },
        |class| Class::Named(class.clone()),
    );
    let rule =
        |backend, host: Option<&String>, path, path_type: &str, field: &FieldPath<'_>| Rule {
            object: object.clone(),
            backends: vec![backend],
            host: host.cloned(),
            path,
            path_type: path_type.to_owned(),
            field: field.to_string(),
            canary: nginx.canary,
            limits: nginx.limits.clone(),
            mirrors: nginx.mirrors.clone(),
            class: class.clone(),
        };
    let mut rules = Vec::new();
    let root = FieldPath::ROOT;
    let at_spec = root.field("spec");
    let list = at_spec.field("rules");
    for (number, of_host) in spec.rules.iter().flatten().enumerate() {
        let (at, host) = (list.item(number), of_host.host.as_ref().filter(|one| !one.is_empty()));
        let at = at.field("http");
        let list = at.field("paths");
        let paths = of_host.http.iter().flat_map(|http| &http.paths);
        for (number, one) in paths.enumerate() {
            let at = list.item(number);
            let text = one.path.as_deref().unwrap_or("/");
            let path = path(text, &one.path_type, &at, findings);
            let Some(backend) = backend(object, &one.backend, &at.field("backend"), findings)
            else {
                continue;
            };
            rules.push(rule(backend, host, path, &one.path_type, &at));
        }
    }
    let at = at_spec.field("defaultBackend");
    let default = spec.default_backend.and_then(|given| backend(object, &given, &at, findings));
    rules.extend(default.map(|backend| rule(backend, None, Path::Default, "", &at)));
    rules
}

fn path(text: &str, path_type: &str, at: &FieldPath<'_>, findings: &mut RouteFindings) -> Path {
    let types = [("Exact", true), ("Prefix", true), ("ImplementationSpecific", false)];
    let at_type = at.field("pathType");
    if path_type.is_empty() {
        findings.error(&at_type, "Required value: pathType must be specified");
    } else if findings.choose(path_type, &types, &at_type) == Some(true) && !text.starts_with('/') {
        let message = format!("Invalid value: {text:?}: must be an absolute path");
        findings.error(&at.field("path"), message);
    }
    if path_type == "Exact" { Path::Exact(text.to_owned()) } else { Path::Prefix(text.to_owned()) }
}

fn backend(
    object: &ObjectReference,
    given: &IngressBackend,
    at: &FieldPath<'_>,
    findings: &mut RouteFindings,
) -> Option<Backend> {
    if given.resource.is_some() {
        findings.warn(
            &at.field("resource"),
            "backends other than Services are not simulated and get no requests",
        );
        return None;
    }
    let at = at.field("service");
    let service = given.service.as_ref().filter(|service| !service.name.is_empty());
    if service.is_none() {
        findings.error(&at.field("name"), "Required value");
    }
    let service = service?;
    let number = service.port.as_ref().and_then(|port| port.number).filter(|number| *number != 0);
    let name = || service.port.as_ref()?.name.clone();
    let port = number.map(IntOrString::Int).or_else(|| name().map(IntOrString::String));
    Some(Backend {
        service: NamespacedName::new(&*object.id.namespace, &*service.name),
        foreign_kind: None,
        weight: 1,
        holder: at.to_string(),
        port_field: if number.is_some() { "port.number" } else { "port.name" },
        port,
    })
}
