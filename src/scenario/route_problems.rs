//! What is wrong, or plays no part, in Ingresses and HTTPRoutes that bring requests to Services. The API server
//! refuses the former (`pkg/apis/networking/validation` of Kubernetes 1.36; the schema of Gateway API 1.2). Not
//! responsible for where requests go ([`super::Routing`]).

use serde_json::Value;

use crate::manifest::{Diagnostic, FieldPath, Manifest};

/// `HTTPBackendRef.weight` is at most this.
const WEIGHT_MAX: u64 = 1_000_000;

/// All that is wrong or left aside in an Ingress or an HTTPRoute; nothing for other kinds.
pub fn route_problems(manifest: &Manifest) -> Vec<Diagnostic> {
    let mut found = Found { manifest, list: Vec::new() };
    let spec = FieldPath::ROOT.field("spec");
    match &*manifest.reference.kind {
        "Ingress" => found.ingress(&spec),
        "HTTPRoute" => found.http_route(&spec),
        _ => {}
    }
    found.list
}

struct Found<'a> {
    manifest: &'a Manifest,
    list: Vec<Diagnostic>,
}

impl Found<'_> {
    fn ingress(&mut self, spec: &FieldPath<'_>) {
        let manifest = self.manifest;
        let value = &manifest.value["spec"];
        if let Some(backend) = value.get("defaultBackend") {
            self.ingress_backend(&spec.field("defaultBackend"), backend);
        }
        let rules = spec.field("rules");
        for (rule, path) in items(value.get("rules"), &rules) {
            let http = path.field("http");
            let paths = http.field("paths");
            for (one, path) in items(rule.pointer("/http/paths"), &paths) {
                let kind = one.get("pathType").and_then(Value::as_str);
                match kind {
                    Some("Exact" | "Prefix" | "ImplementationSpecific") => {}
                    Some(other) => self.unsupported(
                        &path.field("pathType"),
                        other,
                        "Exact, Prefix, ImplementationSpecific",
                    ),
                    None => self.error(
                        &path.field("pathType"),
                        "Required value: pathType must be specified",
                    ),
                }
                let is_absolute = one
                    .get("path")
                    .and_then(Value::as_str)
                    .is_none_or(|text| text.starts_with('/'));
                if !is_absolute && matches!(kind, Some("Exact" | "Prefix")) {
                    let message =
                        format!("Invalid value: {}: must be an absolute path", one["path"]);
                    self.error(&path.field("path"), &message);
                }
                self.ingress_backend(&path.field("backend"), &one["backend"]);
            }
        }
    }

    fn ingress_backend(&mut self, path: &FieldPath<'_>, backend: &Value) {
        if backend.get("resource").is_some() {
            let message = "a backend that is no Service gets no requests here";
            return self.warn(&path.field("resource"), message);
        }
        if backend.pointer("/service/name").and_then(Value::as_str).is_none_or(str::is_empty) {
            let service = path.field("service");
            self.error(&service.field("name"), "Required value");
        }
    }

    fn http_route(&mut self, spec: &FieldPath<'_>) {
        let manifest = self.manifest;
        let rules = spec.field("rules");
        for (rule, path) in items(manifest.value.pointer("/spec/rules"), &rules) {
            let [matches, backends] = ["matches", "backendRefs"].map(|field| path.field(field));
            for (one, path) in items(rule.get("matches"), &matches) {
                self.http_match(one, &path);
            }
            for (backend, path) in items(rule.get("backendRefs"), &backends) {
                self.http_backend(backend, &path);
            }
            for (field, instead) in [
                ("filters", "requests go on as they came"),
                ("timeouts", "clients wait 60s"),
                ("retry", "requests are not tried again on their way"),
                ("sessionPersistence", "`sessionAffinity` of the Service counts"),
            ] {
                if rule.get(field).is_some() {
                    self.warn(&path.field(field), &format!("this is ignored: {instead}"));
                }
            }
        }
    }

    fn http_match(&mut self, one: &Value, path: &FieldPath<'_>) {
        for field in ["headers", "queryParams", "method"] {
            if one.get(field).is_some() {
                let message = "requests have a host and a path here and nothing else, so this matches none of them";
                self.warn(&path.field(field), message);
            }
        }
        let at = path.field("path");
        let at = at.field("type");
        match one.pointer("/path/type").and_then(Value::as_str) {
            None | Some("Exact" | "PathPrefix") => {}
            Some("RegularExpression") => {
                self.warn(&at, "regular expressions are not evaluated, so this matches no request");
            }
            Some(other) => self.unsupported(&at, other, "Exact, PathPrefix, RegularExpression"),
        }
    }

    fn http_backend(&mut self, backend: &Value, path: &FieldPath<'_>) {
        let is_right = |weight: &Value| weight.as_u64().is_some_and(|weight| weight <= WEIGHT_MAX);
        if let Some(weight) = backend.get("weight").filter(|weight| !is_right(weight)) {
            let message =
                format!("Invalid value: {weight}: must be a whole number from 0 to {WEIGHT_MAX}");
            self.error(&path.field("weight"), &message);
        }
        if backend.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
            self.error(&path.field("name"), "Required value");
        }
        if backend.get("kind").and_then(Value::as_str).is_some_and(|kind| kind != "Service") {
            self.warn(&path.field("kind"), "a backend that is no Service gets no requests here");
        }
        if backend.get("filters").is_some() {
            self.warn(&path.field("filters"), "this is ignored: requests go on as they came");
        }
    }

    fn unsupported(&mut self, path: &FieldPath<'_>, value: &str, supported: &str) {
        self.error(path, &format!("Unsupported value: {value:?}: supported values: {supported}"));
    }

    fn error(&mut self, path: &FieldPath<'_>, message: &str) {
        self.push(Diagnostic::error("invalid-route", message), path);
    }

    fn warn(&mut self, path: &FieldPath<'_>, message: &str) {
        self.push(Diagnostic::warning("doubtful-route", message), path);
    }

    fn push(&mut self, problem: Diagnostic, path: &FieldPath<'_>) {
        let place = self.manifest.origin.place_of(&path.to_string());
        self.list.push(problem.at(place).of(self.manifest.label()).field(path));
    }
}

/// The items of a list with their paths.
fn items<'v>(
    list: Option<&'v Value>,
    path: &'v FieldPath<'v>,
) -> impl Iterator<Item = (&'v Value, FieldPath<'v>)> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.enumerate().map(|(index, item)| (item, path.item(index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Diagnostics, Source, read_manifests};

    fn said(text: &str) -> Vec<String> {
        let mut unread = Diagnostics::default();
        let manifests = read_manifests(&[Source::new("routes.yaml", text.to_owned())], &mut unread);
        assert!(unread.is_empty(), "{unread}");
        manifests.iter().flat_map(route_problems).map(|one| one.to_string()).collect()
    }

    #[test]
    fn what_the_api_server_refuses_in_a_route_is_an_error_at_its_line() {
        let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec:
  rules:
  - matches: [{path: {type: Glob, value: /}}]
    backendRefs:
    - {name: old, weight: -1}
    - {name: new, weight: 0.5}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front}
spec:
  rules:
  - http:
      paths:
      - {path: cart, pathType: Prefix, backend: {service: {name: cart}}}
      - {path: /, pathType: Glob, backend: {service: {}}}
";
        let at = "spec.rules[0].backendRefs";
        assert_eq!(
            said(text),
            [
                "error: routes.yaml:6: HTTPRoute default/api: spec.rules[0].matches[0].path.type: \
                 Unsupported value: \"Glob\": supported values: Exact, PathPrefix, RegularExpression"
                    .to_owned(),
                format!(
                    "error: routes.yaml:8: HTTPRoute default/api: {at}[0].weight: Invalid value: -1: must \
                     be a whole number from 0 to 1000000"
                ),
                format!(
                    "error: routes.yaml:9: HTTPRoute default/api: {at}[1].weight: Invalid value: 0.5: must \
                     be a whole number from 0 to 1000000"
                ),
                "error: routes.yaml:18: Ingress default/front: spec.rules[0].http.paths[0].path: Invalid \
                 value: \"cart\": must be an absolute path"
                    .to_owned(),
                "error: routes.yaml:19: Ingress default/front: spec.rules[0].http.paths[1].pathType: \
                 Unsupported value: \"Glob\": supported values: Exact, Prefix, ImplementationSpecific"
                    .to_owned(),
                "error: routes.yaml:19: Ingress default/front: \
                 spec.rules[0].http.paths[1].backend.service.name: Required value"
                    .to_owned(),
            ]
        );
    }

    #[test]
    fn what_plays_no_part_in_a_route_is_told() {
        let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec:
  rules:
  - matches: [{method: POST}, {path: {type: RegularExpression, value: /v.*}}]
    timeouts: {request: 1s}
    backendRefs: [{name: web}]
";
        let said = said(text);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said.iter().all(|one| one.starts_with("warning: routes.yaml:")), "{said:?}");
        assert!(
            said[0].contains("spec.rules[0].matches[0].method: requests have a host and a path")
        );
        assert!(said[2].contains("spec.rules[0].timeouts: this is ignored: clients wait 60s"));
    }
}
