//! What is wrong, or plays no part, in Ingresses and HTTPRoutes that bring requests to Services. The API server
//! refuses the former (`pkg/apis/networking/validation` of Kubernetes 1.36; the schema of Gateway API 1.2). Not
//! responsible for where requests go ([`super::Routing`]).

use serde_json::Value;

use super::canary::{CanaryWeight, is_false, is_true};
use super::route_limits::{
    NGINX_PREFIX, gateway_duration, nginx_annotation, nginx_conditions, nginx_number,
};
use engine::SimDuration;
use manifest::{Diagnostic, FieldPath, Manifest};

/// `HTTPBackendRef.weight` is at most this.
const WEIGHT_MAX: u64 = 1_000_000;

/// Annotations of ingress-nginx that change which requests come where, or at all, and what holds instead.
const NGINX_IGNORED: [(&str, &str); 11] = [
    ("affinity", "`sessionAffinity` of the Service counts"),
    ("custom-http-errors", "answers go on as they came"),
    ("limit-connections", "clients may have any number"),
    ("limit-rpm", "clients may send any number"),
    ("limit-rps", "clients may send any number"),
    ("load-balance", "`balancer` of the service in the scenario counts"),
    ("permanent-redirect", "requests go to the Service"),
    ("proxy-send-timeout", "to send a request takes no time"),
    ("temporal-redirect", "requests go to the Service"),
    ("upstream-hash-by", "`balancer` of the service in the scenario counts"),
    ("use-regex", "paths are taken as prefixes"),
];

/// Annotations of ingress-nginx by which a canary gets requests.
const CANARY_RULES: [&str; 6] = [
    "canary-weight",
    "canary-weight-total",
    "canary-by-header",
    "canary-by-header-value",
    "canary-by-header-pattern",
    "canary-by-cookie",
];

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
        self.nginx();
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
            self.timeouts(rule.get("timeouts"), &path.field("timeouts"));
            self.retry(rule.get("retry"), &path.field("retry"));
            for (field, instead) in [
                ("filters", "requests go on as they came"),
                ("sessionPersistence", "`sessionAffinity` of the Service counts"),
            ] {
                if rule.get(field).is_some() {
                    self.warn(&path.field(field), &format!("this is ignored: {instead}"));
                }
            }
        }
    }

    fn timeouts(&mut self, timeouts: Option<&Value>, path: &FieldPath<'_>) {
        let Some(timeouts) = timeouts else { return };
        self.known_fields(timeouts, &["request", "backendRequest"], path);
        let [request, one_try] = ["request", "backendRequest"]
            .map(|field| self.gateway_duration(timeouts.get(field), &path.field(field)));
        if let (Some(request), Some(one_try)) = (request, one_try)
            && request > SimDuration::ZERO
            && one_try > request
        {
            let message =
                "Invalid value: backendRequest timeout cannot be longer than request timeout";
            self.error(&path.field("backendRequest"), message);
        }
    }

    fn retry(&mut self, retry: Option<&Value>, path: &FieldPath<'_>) {
        let Some(retry) = retry else { return };
        self.known_fields(retry, &["codes", "attempts", "backoff"], path);
        self.gateway_duration(retry.get("backoff"), &path.field("backoff"));
        let codes = path.field("codes");
        for (code, path) in items(retry.get("codes"), &codes) {
            if !code.as_u64().is_some_and(|code| (400..=599).contains(&code)) {
                self.error(
                    &path,
                    &format!("Invalid value: {code}: must be a status from 400 to 599"),
                );
            }
        }
        let attempts = retry.get("attempts");
        match attempts.map(|attempts| (attempts, attempts.as_i64())) {
            Some((attempts, None)) => {
                let message = format!("Invalid value: {attempts}: must be a whole number");
                self.error(&path.field("attempts"), &message);
            }
            Some((_, Some(..0))) => {
                self.warn(
                    &path.field("attempts"),
                    "this is below 0 and counts as 0: no further tries",
                );
            }
            _ => {}
        }
    }

    /// Reads a duration of Gateway API.
    fn gateway_duration(
        &mut self,
        value: Option<&Value>,
        path: &FieldPath<'_>,
    ) -> Option<SimDuration> {
        let value = value?;
        let duration = value.as_str().and_then(gateway_duration);
        if duration.is_none() {
            let message = format!(
                "Invalid value: {value}: must be up to four times digits and h, m, s or ms, such as 500ms or 1m30s"
            );
            self.error(path, &message);
        }
        duration
    }

    fn known_fields(&mut self, value: &Value, known: &[&str], path: &FieldPath<'_>) {
        let Some(fields) = value.as_object() else {
            return self.error(path, &format!("Invalid value: {value}: must be fields"));
        };
        for field in fields.keys().filter(|field| !known.contains(&field.as_str())) {
            let message = format!("unknown field; known here: {}", known.join(", "));
            self.error(&path.field(field), &message);
        }
    }

    /// Annotations for ingress-nginx: what it would not take, and what plays no part here.
    fn nginx(&mut self) {
        let manifest = self.manifest;
        let metadata = FieldPath::ROOT.field("metadata");
        let path = metadata.field("annotations");
        let annotations =
            manifest.value.pointer("/metadata/annotations").and_then(Value::as_object);
        for (name, value) in annotations.into_iter().flatten() {
            if name.starts_with(NGINX_PREFIX) && !value.is_string() {
                let message =
                    format!("Invalid value: {value}: must be a text; put it in quotation marks");
                self.error(&path.key(name), &message);
            }
        }
        for (name, least) in [
            ("proxy-connect-timeout", 1),
            ("proxy-read-timeout", 1),
            ("proxy-next-upstream-timeout", 0),
            ("proxy-next-upstream-tries", 0),
        ] {
            let Some(text) = nginx_annotation(&manifest.value, name) else { continue };
            if nginx_number(text, least).is_none() {
                let message = format!(
                    "{text:?} must be a whole number of at least {least}; the default counts"
                );
                self.warn(&path.key(&format!("{NGINX_PREFIX}{name}")), &message);
            }
        }
        if let Some(text) = nginx_annotation(&manifest.value, "proxy-next-upstream")
            && nginx_conditions(text).is_none()
        {
            let name = format!("{NGINX_PREFIX}proxy-next-upstream");
            let message = format!("{text:?} names no conditions of nginx; `error timeout` counts");
            self.warn(&path.key(&name), &message);
        }
        self.canary(&path);
        for (name, instead) in NGINX_IGNORED {
            if nginx_annotation(&manifest.value, name).is_some() {
                let name = format!("{NGINX_PREFIX}{name}");
                self.warn(&path.key(&name), &format!("this is ignored: {instead}"));
            }
        }
    }

    /// Annotations for canaries, as `internal/ingress/annotations/canary/main.go` reads them.
    fn canary(&mut self, annotations: &FieldPath<'_>) {
        let value = &self.manifest.value;
        let given: Vec<&str> = CANARY_RULES
            .into_iter()
            .filter(|name| nginx_annotation(value, name).is_some_and(|text| !text.is_empty()))
            .collect();
        let mark = nginx_annotation(value, "canary");
        let is_canary = mark.is_some_and(is_true);
        let weight = CanaryWeight::of(value).filter(|weight| weight.weight > 0);
        let instead = weight.map_or_else(
            || "none goes to the canary: give it a canary-weight".to_owned(),
            |weight| format!("{} of {} go to the canary", weight.taken(), weight.total),
        );
        let number = |name| nginx_annotation(value, name).and_then(|text| nginx_number(text, 0));
        let said = given.iter().filter_map(|name| {
            let has = |other: &str| given.contains(&other);
            let message = match *name {
                "canary-weight" | "canary-weight-total" if number(name).is_none() => {
                    let text = nginx_annotation(value, name).unwrap_or_default();
                    format!("{text:?} must be a whole number from 0 on; the default counts")
                }
                _ if !is_canary => {
                    "this is ignored: the Ingress is no canary without canary: \"true\"".to_owned()
                }
                "canary-weight-total" if number(name).is_some_and(|total| total < 100) => {
                    "a total below 100 counts as 100".to_owned()
                }
                "canary-weight" if weight.is_some_and(|it| it.weight > it.total) => {
                    "this is more than the total: all requests go to the canary".to_owned()
                }
                "canary-by-header" => format!("no request has a header here, so {instead}"),
                "canary-by-cookie" if has("canary-by-header") => return None,
                "canary-by-cookie" => format!("no request has a cookie here, so {instead}"),
                "canary-by-header-value" | "canary-by-header-pattern"
                    if !has("canary-by-header") =>
                {
                    "this is ignored without canary-by-header".to_owned()
                }
                _ => return None,
            };
            Some((*name, message))
        });
        let mut said: Vec<(&str, String)> = said.collect();
        if let Some(text) = mark.filter(|text| !is_true(text) && !is_false(text)) {
            said.push((
                "canary",
                format!("{text:?} must be \"true\" or \"false\"; the latter counts"),
            ));
        }
        for (name, message) in said {
            self.warn(&annotations.key(&format!("{NGINX_PREFIX}{name}")), &message);
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
    use manifest::{Diagnostics, Source, read_manifests};

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
    sessionPersistence: {type: Cookie}
    backendRefs: [{name: web}]
";
        let said = said(text);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said.iter().all(|one| one.starts_with("warning: routes.yaml:")), "{said:?}");
        assert!(
            said[0].contains("spec.rules[0].matches[0].method: requests have a host and a path")
        );
        assert!(said[2].contains("spec.rules[0].sessionPersistence: this is ignored: `sessionAff"));
    }

    #[test]
    fn times_and_retries_of_a_route_are_checked() {
        let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec:
  rules:
  - timeouts: {request: 1s, backendRequest: 2s}
    backendRefs: [{name: web}]
  - timeouts: {request: 1.5s, requst: 1s}
    retry: {codes: [503, 200], attempts: -1, backoff: 10}
    backendRefs: [{name: web}]
  - timeouts: {request: 0s, backendRequest: 2s}
    retry: {codes: [500, 502, 503, 504], attempts: 2, backoff: 100ms}
    backendRefs: [{name: web}]
";
        let said = said(text);
        let at = |line: u32, rest: &str| {
            let line = format!("routes.yaml:{line}: HTTPRoute default/api: spec.rules[");
            said.iter().any(|one| one.contains(&line) && one.contains(rest))
        };
        assert!(
            at(6, "0].timeouts.backendRequest: Invalid value: backendRequest timeout can"),
            "{said:?}"
        );
        assert!(at(8, "1].timeouts.request: Invalid value: \"1.5s\""), "{said:?}");
        assert!(at(8, "1].timeouts.requst: unknown field"), "{said:?}");
        assert!(at(9, "1].retry.codes[1]: Invalid value: 200"), "{said:?}");
        assert!(at(9, "1].retry.attempts: this is below 0"), "{said:?}");
        assert!(at(9, "1].retry.backoff: Invalid value: 10"), "{said:?}");
        assert_eq!(said.len(), 6, "{said:?}");
    }

    #[test]
    fn what_a_canary_goes_by_that_requests_do_not_have_is_told_with_what_counts_instead() {
        let said = |annotations: &str| {
            let text = format!(
                "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: front\n  annotations:\n\
                 {annotations}spec: {{defaultBackend: {{service: {{name: web}}}}}}\n"
            );
            said(&text.replace("    canary", "    nginx.ingress.kubernetes.io/canary"))
        };
        let told = |said: &[String], expected: &[(u32, &str)]| {
            assert_eq!(said.len(), expected.len(), "{said:?}");
            for (said, (line, expected)) in said.iter().zip(expected) {
                let at = format!("warning: routes.yaml:{line}: Ingress default/front: metadata.");
                assert!(said.starts_with(&at) && said.contains(expected), "{said}");
            }
        };
        let marked = "    canary: 'true'\n    canary-by-header: X-New\n    canary-by-cookie: new\n";
        told(
            &said(marked),
            &[(7, "no request has a header here, so none goes to the canary: give")],
        );
        let weighed = format!("{marked}    canary-weight: '20'\n    canary-weight-total: '1000'\n");
        told(
            &said(&weighed),
            &[(7, "no request has a header here, so 20 of 1000 go to the canary")],
        );
        told(&said("    canary: 'true'\n    canary-weight: '20'\n"), &[]);
        told(
            &said("    canary: maybe\n    canary-weight: '20'\n"),
            &[
                (7, "this is ignored: the Ingress is no canary"),
                (6, "must be \"true\" or \"false\""),
            ],
        );
        told(
            &said("    canary: 'true'\n    canary-weight: 20%\n    canary-weight-total: '10'\n"),
            &[(7, "\"20%\" must be a whole number"), (8, "a total below 100 counts as 100")],
        );
        told(
            &said("    canary: 'true'\n    canary-weight: '101'\n    canary-by-header-value: x\n"),
            &[
                (7, "all requests go to the canary"),
                (8, "this is ignored without canary-by-header"),
            ],
        );
    }

    #[test]
    fn annotations_of_nginx_that_it_would_not_take_or_that_play_no_part_are_told() {
        let text = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: front
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: 30s
    nginx.ingress.kubernetes.io/proxy-connect-timeout: \"3\"
    nginx.ingress.kubernetes.io/proxy-next-upstream: error, timeout
    nginx.ingress.kubernetes.io/limit-rps: \"5\"
    nginx.ingress.kubernetes.io/proxy-next-upstream-tries: 2
    nginx.ingress.kubernetes.io/rewrite-target: /
spec: {defaultBackend: {service: {name: web}}}
";
        let said = said(text);
        assert_eq!(said.len(), 4, "{said:?}");
        let number = "front: metadata.annotations[nginx.ingress.kubernetes.io/proxy-next-upstream-tries]: \
                      Invalid value: 2: must be a text";
        assert!(
            said[0].starts_with("error: routes.yaml:10: ") && said[0].contains(number),
            "{said:?}"
        );
        for (one, (line, rest)) in said[1..].iter().zip([
            (6, "\"30s\" must be a whole number of at least 1"),
            (8, "names no conditions of nginx; `error timeout` counts"),
            (9, "this is ignored: clients may send any number"),
        ]) {
            assert!(one.starts_with(&format!("warning: routes.yaml:{line}: ")), "{one}");
            assert!(one.contains(rest), "{one}");
        }
    }
}
