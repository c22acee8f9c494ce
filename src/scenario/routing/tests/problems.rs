//! Mistakes in Ingresses and HTTPRoutes, each with its place.

use serde_json::json;

use crate::{Routing, route_problems, target_problems};
use cluster::ObjectReference;
use manifest::{Diagnostic, Diagnostics, Manifest, Source, read_manifests};
use traffic::IngressRouteSpec;

fn manifests(text: &str) -> Vec<Manifest> {
    let mut unread = Diagnostics::default();
    let manifests = read_manifests(&[Source::new("routes.yaml", text)], &mut unread);
    assert!(unread.is_empty(), "{unread}");
    manifests
}

/// The problems of each object by itself, in the order of lines.
fn said(text: &str) -> Vec<String> {
    let mut said: Vec<Diagnostic> = manifests(text).iter().flat_map(route_problems).collect();
    said.sort_by_key(|one| one.place.as_ref().map(|place| place.line));
    said.iter().map(ToString::to_string).collect()
}

/// The problems between the objects, with requests to these hosts.
fn said_together(text: &str, hosts: &[&str]) -> Vec<String> {
    let manifests = manifests(text);
    let routing = Routing::of(manifests.iter().map(|one| (&one.reference, &one.value)));
    let ingress_route = |host: &&str| {
        let spec = json!({"host": host, "load": {"pattern": "constant", "rps": 1}});
        serde_json::from_value(spec).expect("settings")
    };
    let ingress_routes: Vec<IngressRouteSpec> = hosts.iter().map(ingress_route).collect();
    let by_name = |name: &ObjectReference| manifests.iter().find(|one| one.reference == *name);
    target_problems(&routing, &ingress_routes, by_name).iter().map(ToString::to_string).collect()
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
                     be a whole number"
                ),
                "error: routes.yaml:18: Ingress default/front: spec.rules[0].http.paths[0].path: Invalid \
                 value: \"cart\": must be an absolute path"
                    .to_owned(),
                "error: routes.yaml:19: Ingress default/front: \
                 spec.rules[0].http.paths[1].backend.service.name: Required value\n  help: name is the referenced service"
                    .to_owned(),
                "error: routes.yaml:19: Ingress default/front: spec.rules[0].http.paths[1].pathType: \
                 Unsupported value: \"Glob\": supported values: Exact, Prefix, ImplementationSpecific"
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
    assert!(said[0].contains(
        "spec.rules[0].matches[0].method: simulated requests have only a host and a path"
    ));
    assert!(said[2].contains("spec.rules[0].sessionPersistence: ignored: `sessionAff"));
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
    assert!(at(9, "1].retry.attempts: a negative number"), "{said:?}");
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
    told(&said(marked), &[(7, "simulated requests have no headers, so the canary gets none: add")]);
    let weighed = format!("{marked}    canary-weight: '20'\n    canary-weight-total: '1000'\n");
    told(
        &said(&weighed),
        &[(7, "simulated requests have no headers, so 20 of 1000 go to the canary")],
    );
    told(&said("    canary: 'true'\n    canary-weight: '20'\n"), &[]);
    told(
        &said("    canary: maybe\n    canary-weight: '20'\n"),
        &[
            (6, "must be \"true\" or \"false\""),
            (7, "ignored: without canary: \"true\" the Ingress is not a canary"),
        ],
    );
    told(
        &said("    canary: 'true'\n    canary-weight: 20%\n    canary-weight-total: '10'\n"),
        &[(7, "\"20%\" must be a whole number"), (8, "a total below 100 counts as 100")],
    );
    told(
        &said("    canary: 'true'\n    canary-weight: '101'\n    canary-by-header-value: x\n"),
        &[(7, "all requests go to the canary"), (8, "ignored without canary-by-header")],
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
    nginx.ingress.kubernetes.io/limit-rps: 5r/s
    nginx.ingress.kubernetes.io/proxy-next-upstream-tries: 2
    nginx.ingress.kubernetes.io/rewrite-target: /
spec: {defaultBackend: {service: {name: web}}}
";
    let said = said(text);
    assert_eq!(said.len(), 4, "{said:?}");
    for (one, (line, rest)) in said.iter().zip([
        ("warning: routes.yaml:6: ", "\"30s\" must be a whole number of at least 1"),
        ("warning: routes.yaml:8: ", "is not a list of nginx conditions; `error timeout` applies"),
        ("warning: routes.yaml:9: ", "\"5r/s\" must be a whole number of at least 0"),
        ("error: routes.yaml:10: ", "upstream-tries]: Invalid value: 2: must be text"),
    ]) {
        assert!(one.starts_with(line) && one.contains(rest), "{one}");
    }
}

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 81}]}
";

fn ingress(name: &str, class: &str, annotations: &str, rule: &str, backend: &str) -> String {
    let (host, path) = rule.split_at(rule.find('/').expect("a path"));
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  \
             annotations: {{{annotations}}}\nspec:\n  ingressClassName: {class}\n  rules:\n  - host: {host}\n    \
             http:\n      paths:\n      - path: {path}\n        pathType: Prefix\n        backend:\n          \
             service:\n            name: {backend}\n"
    )
}

#[test]
fn a_port_that_the_service_lacks_is_an_error_where_requests_come_by_it() {
    let nginx = ingress("front", "nginx", "", "a/", "web\n            port: {number: 9}");
    let route = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec:
  hostnames: [b, c]
  rules:
  - backendRefs:
    - {name: web, port: 80}
    - {name: web, port: 8080}
";
    let help = "\n  help: the Service has ports 80 (http), 81 (admin)";
    let text = format!("{SERVICE}{nginx}{route}");
    let expected = [
        format!(
            "routes.yaml:22: Ingress default/front: spec.rules[0].http.paths[0].backend.service.port.\
                 number: the Service default/web has no port 9, so ingress-nginx answers 503{help}"
        ),
        format!(
            "routes.yaml:32: HTTPRoute default/api: spec.rules[0].backendRefs[1].port: the Service \
                 default/web has no port 8080, so the gateway answers 500{help}"
        ),
    ];
    for (hosts, [first, second]) in [
        (&[][..], ["warning", "warning"]),
        (&["a"], ["error", "warning"]),
        (&["c", "a"], ["error", "error"]),
    ] {
        let expected = [format!("{first}: {}", expected[0]), format!("{second}: {}", expected[1])];
        assert_eq!(said_together(&text, hosts), expected);
    }
}

#[test]
fn rules_that_others_hide_and_canaries_that_do_not_take_what_they_seem_to_are_told() {
    let canary = "nginx.ingress.kubernetes.io/canary: 'true', nginx.ingress.kubernetes.io/canary-weight: '5'";
    let text = [
        SERVICE.to_owned(),
        ingress("one", "nginx", "", "a/", "web"),
        ingress("two", "nginx", "", "a/", "other"),
        ingress("other", "nginx", "", "b/", "web"),
        ingress("canary", "nginx", canary, "a/", "new"),
        ingress("late", "nginx", canary, "b/", "newer"),
        ingress("alone", "nginx", canary, "a/none", "newest"),
    ]
    .concat();
    let said = said_together(&text, &["a"]);
    let expected = [
        "Ingress default/two: spec.rules[0].http.paths[0]: Ingress/default/one also has a rule for a/ and \
             comes first",
        "Ingress default/canary: spec.rules[0].http.paths[0]: this canary also gets its share of b/, which",
        "Ingress default/late: spec.rules[0].http.paths[0]: the canary Ingress/default/canary comes first",
        "Ingress default/alone: spec.rules[0].http.paths[0]: no other Ingress of ingress-nginx has a rule \
             for a/none, so",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with("warning: routes.yaml:") && said.contains(expected), "{said}");
    }
}
