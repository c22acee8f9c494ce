//! Which Services the requests to a host and path go to, as Ingresses and HTTPRoutes say.
//!
//! Ingress: `networking.k8s.io/v1` with the precedence of its documentation (exact hosts before
//! wildcards before none, exact paths before the longest prefix, the default backend last). HTTPRoute:
//! `gateway.networking.k8s.io/v1`, hosts and paths with the same precedence, weights of `backendRefs`.
//! Rules that ask for methods, headers or query parameters match nothing here, as no request has any.
//! How long requests may take is read by `route_limits`, what canaries of ingress-nginx take by `canary`,
//! whether Services have the ports that rules ask them for by `backend_port`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::backend_port::{BackendPort, ServicePorts};
use super::canary::CanaryWeight;
use super::route_limits::{NGINX_CLASS, NGINX_CONTROLLER, NGINX_PREFIX, RouteLimits};
use cluster::{NamespacedName, ObjectReference};

/// The rules of all Ingresses and HTTPRoutes, in the order of the manifests, and what they need to know of
/// Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    pub(super) rules: Vec<Rule>,
    /// The ports of the Services that have any of their own.
    pub(super) ports: BTreeMap<NamespacedName, ServicePorts>,
    /// Whether the controller of an IngressClass is ingress-nginx.
    classes: BTreeMap<String, bool>,
    /// The same of the class that Ingresses have by default, if one is marked so.
    default_class: Option<bool>,
}

/// Where requests to certain hosts and paths go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The object that has the rule.
    pub object: ObjectReference,
    /// A request goes to one of them.
    pub backends: Vec<Backend>,
    /// Host, or `*.` and its end; absent = any.
    pub(super) host: Option<String>,
    path: Path,
    /// `pathType` of an Ingress, as it is written.
    path_type: String,
    /// The field that has the rule.
    pub(super) field: String,
    /// The share that its Ingress is to take of another one's requests, if ingress-nginx is its controller.
    pub(super) canary: Option<CanaryWeight>,
    /// What its Ingress is to ingress-nginx, if that is its controller; or what its HTTPRoute says.
    limits: RouteLimits,
    class: Class,
}

/// A Service to which a rule sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The Service.
    pub service: NamespacedName,
    /// Its part of the requests is this, by the sum over all backends of the rule.
    pub weight: u64,
    /// The port that it is asked for, if the rule says.
    pub port: Option<BackendPort>,
    /// The field that says so.
    pub field: String,
}

/// Where a part of the requests to a host and path goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The Service.
    pub service: NamespacedName,
    /// Whether the Service has the port that it is asked for: otherwise nobody answers.
    pub has_port: bool,
    /// The Service that gets these requests as well while `service`, its canary, has no endpoint.
    pub canary_of: Option<NamespacedName>,
}

/// Who carries out a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Class {
    /// A gateway of Gateway API.
    Gateway,
    /// The controller of the IngressClass of this name.
    Named(String),
    /// That of the default class; or ingress-nginx, if none is marked so and there are annotations for it.
    Default { is_for_nginx: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Path {
    Exact(String),
    Prefix(String),
    /// An Ingress' default backend.
    Default,
}

impl Routing {
    /// Adds what an object says of routes, if it is an Ingress, an IngressClass or an HTTPRoute.
    pub fn add(&mut self, object: &ObjectReference, value: &Value) {
        match &*object.kind {
            "Ingress" => self.add_ingress(object, value),
            "IngressClass" => self.add_class(object, value),
            "HTTPRoute" => self.add_http_route(object, value),
            "Service" => self.add_service(object, value),
            _ => {}
        }
    }

    /// The rule for requests to a host and path, which is no canary.
    pub fn find(&self, host: &str, path: &str) -> Option<&Rule> {
        let rules = self.rules.iter().rev().filter(|rule| !self.is_canary(rule));
        let matching = rules.filter_map(|rule| Some((rule.rank(host, path)?, rule)));
        // Of equals the first in the manifests, so the last here.
        matching.max_by_key(|(rank, _)| *rank).map(|(_, rule)| rule)
    }

    /// Where the requests of a rule go, with the weight of each part.
    pub fn destinations(&self, rule: &Rule) -> Vec<(Destination, u64)> {
        let destination = |of: &Rule, backend: &Backend| Destination {
            service: backend.service.clone(),
            has_port: self.has_port(of, backend),
            canary_of: None,
        };
        let parts = rule.backends.iter().map(|one| (destination(rule, one), one.weight));
        let parts: Vec<(Destination, u64)> = parts.collect();
        // Of these an Ingress has one for each rule. Whom nobody answers has no canary either.
        let main = parts.first().filter(|(main, _)| main.has_port);
        let canary = main.and_then(|(main, _)| Some((self.canary_beside(rule)?, &main.service)));
        let Some(((canary, weight), main)) = canary else { return parts };
        let taken = canary.backends.iter().map(|one| {
            let canary_of = Some(main.clone());
            (Destination { canary_of, ..destination(canary, one) }, weight.taken())
        });
        let taken: Vec<_> = taken.filter(|(one, _)| one.has_port).collect();
        if taken.is_empty() {
            return parts;
        }
        parts.into_iter().map(|(main, _)| (main, weight.left())).chain(taken).collect()
    }

    /// The rules of which each may at some time be that for requests to a host and path, where several
    /// versions of an object are in the manifests; and those of their canaries.
    pub fn candidates(&self, host: &str, path: &str) -> Vec<&Rule> {
        let mains = || self.rules.iter().filter(|rule| !self.is_canary(rule));
        let ranked = || mains().filter_map(|rule| Some((rule.rank(host, path)?, rule)));
        let best = ranked().map(|(rank, _)| rank).max();
        let mains = ranked().filter(|(rank, _)| Some(*rank) == best).map(|(_, rule)| rule);
        mains.flat_map(|rule| std::iter::once(rule).chain(self.canaries_of(rule))).collect()
    }

    /// How long requests to a host and path may take, and which are tried again, by their rule.
    pub fn limits(&self, rule: &Rule) -> RouteLimits {
        if rule.class == Class::Gateway || self.is_of_nginx(rule) {
            rule.limits
        } else {
            RouteLimits::default()
        }
    }

    /// Whether ingress-nginx carries out the rule.
    pub(super) fn is_of_nginx(&self, rule: &Rule) -> bool {
        match &rule.class {
            Class::Gateway => false,
            Class::Named(class) => self.classes.get(class).copied().unwrap_or(class == NGINX_CLASS),
            Class::Default { is_for_nginx } => self.default_class.unwrap_or(*is_for_nginx),
        }
    }

    /// A host and a path whose requests a rule brings to Services, for each rule that gets any; a name is
    /// made up for what may be any.
    pub fn entrances(&self) -> impl Iterator<Item = (String, &str, &Rule)> {
        self.rules.iter().filter_map(|rule| {
            let host = match rule.host.as_deref() {
                Some(host) => host.replacen('*', "www", 1),
                None => "any.example".to_owned(),
            };
            let path = match &rule.path {
                Path::Exact(path) | Path::Prefix(path) => path.as_str(),
                Path::Default => "/",
            };
            // Another rule may fit better.
            self.find(&host, path).filter(|found| std::ptr::eq(*found, rule))?;
            Some((host, path, rule))
        })
    }

    /// Hosts and paths that have rules, for messages.
    pub fn known(&self) -> impl Iterator<Item = String> + '_ {
        self.rules.iter().filter(|rule| !self.is_canary(rule)).map(Rule::place)
    }

    fn add_service(&mut self, object: &ObjectReference, value: &Value) {
        match ServicePorts::of(value) {
            Some(ports) => drop(self.ports.insert(object.id.clone(), ports)),
            None => drop(self.ports.remove(&object.id)),
        }
    }

    fn add_class(&mut self, object: &ObjectReference, value: &Value) {
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        let is_nginx = text("/spec/controller") == Some(NGINX_CONTROLLER);
        self.classes.insert(object.id.name.to_string(), is_nginx);
        let mark = "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class";
        if text(mark) == Some("true") {
            self.default_class = Some(is_nginx);
        }
    }

    fn add_ingress(&mut self, object: &ObjectReference, value: &Value) {
        let backend = |value: &Value, field: String| {
            let name = value.pointer("/service/name")?.as_str()?;
            let (port, port_field) = BackendPort::of_ingress(value).unzip();
            let field = format!("{field}.service.{}", port_field.unwrap_or("port"));
            let service = NamespacedName::new(&*object.id.namespace, name);
            Some(vec![Backend { service, weight: 1, port, field }])
        };
        let rule_of = |backends: Vec<Backend>, host: Option<&str>, path: Path| Rule {
            object: object.clone(),
            backends,
            host: host.map(ToOwned::to_owned),
            path,
            path_type: String::new(),
            field: String::new(),
            canary: CanaryWeight::of(value),
            limits: RouteLimits::of_nginx(value),
            class: ingress_class(value),
        };
        for (number, rule) in items(value.pointer("/spec/rules")).enumerate() {
            let host = rule.get("host").and_then(Value::as_str).filter(|host| !host.is_empty());
            for (place, path) in items(rule.pointer("/http/paths")).enumerate() {
                let field = format!("spec.rules[{number}].http.paths[{place}]");
                let backends =
                    path.get("backend").and_then(|one| backend(one, format!("{field}.backend")));
                let Some(backends) = backends else { continue };
                let text = path.get("path").and_then(Value::as_str).unwrap_or("/").to_owned();
                let path_type = path.get("pathType").and_then(Value::as_str).unwrap_or_default();
                let path =
                    if path_type == "Exact" { Path::Exact(text) } else { Path::Prefix(text) };
                let path_type = path_type.to_owned();
                self.rules.push(Rule { path_type, field, ..rule_of(backends, host, path) });
            }
        }
        let field = "spec.defaultBackend";
        let default = value.pointer("/spec/defaultBackend");
        if let Some(backends) = default.and_then(|one| backend(one, field.to_owned())) {
            let field = field.to_owned();
            self.rules.push(Rule { field, ..rule_of(backends, None, Path::Default) });
        }
    }

    fn add_http_route(&mut self, object: &ObjectReference, value: &Value) {
        let hosts: Vec<Option<String>> = items(value.pointer("/spec/hostnames"))
            .filter_map(|host| Some(Some(host.as_str()?.to_owned())))
            .collect();
        let hosts = if hosts.is_empty() { vec![None] } else { hosts };
        for (number, rule) in items(value.pointer("/spec/rules")).enumerate() {
            let field = format!("spec.rules[{number}]");
            let backends: Vec<Backend> = (0..)
                .zip(items(rule.get("backendRefs")))
                .filter_map(|(place, backend): (usize, _)| {
                    let text = |field| backend.get(field).and_then(Value::as_str);
                    let namespace = text("namespace").unwrap_or(&object.id.namespace);
                    Some(Backend {
                        service: NamespacedName::new(namespace, text("name")?),
                        weight: backend.get("weight").and_then(Value::as_u64).unwrap_or(1),
                        port: backend.get("port").and_then(Value::as_i64).map(BackendPort::Number),
                        field: format!("{field}.backendRefs[{place}].port"),
                    })
                })
                .collect();
            let limits = RouteLimits::of_http_rule(rule);
            let has_matches = rule.get("matches").is_some();
            let mut paths: Vec<Path> = items(rule.get("matches")).filter_map(http_path).collect();
            if !has_matches {
                paths.push(Path::Prefix("/".into()));
            }
            for path in paths {
                for host in &hosts {
                    self.rules.push(Rule {
                        object: object.clone(),
                        backends: backends.clone(),
                        host: host.clone(),
                        path: path.clone(),
                        path_type: String::new(),
                        field: field.clone(),
                        canary: None,
                        limits,
                        class: Class::Gateway,
                    });
                }
            }
        }
    }
}

impl Rule {
    /// Host and path, for messages.
    pub(super) fn place(&self) -> String {
        let host = self.host.as_deref().unwrap_or("*");
        match &self.path {
            Path::Exact(path) | Path::Prefix(path) => format!("{host}{path}"),
            Path::Default => host.to_owned(),
        }
    }

    /// Whether another rule is for the very same host and path.
    pub(super) fn is_for_place_of(&self, other: &Self) -> bool {
        (&self.host, &self.path) == (&other.host, &other.path)
    }

    /// Whether that is so, with the same `pathType`.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.is_for_place_of(other) && self.path_type == other.path_type
    }

    /// Whether both have the class that Ingresses have by default.
    pub(super) const fn has_default_class_like(&self, other: &Self) -> bool {
        matches!((&self.class, &other.class), (Class::Default { .. }, Class::Default { .. }))
    }

    /// How well the rule fits; absent if it does not.
    fn rank(&self, host: &str, path: &str) -> Option<(usize, usize, usize)> {
        let host_rank = match &self.host {
            None => 0,
            Some(own) => match own.strip_prefix('*') {
                Some(end) if self.is_wild(host.strip_suffix(end)?) => end.len(),
                None if own == host => usize::MAX,
                _ => return None,
            },
        };
        let path_rank = match &self.path {
            Path::Default => (0, 0),
            Path::Prefix(prefix) => {
                let prefix = prefix.trim_end_matches('/');
                let rest = path.strip_prefix(prefix)?;
                if !(rest.is_empty() || rest.starts_with('/')) {
                    return None;
                }
                (1, prefix.len())
            }
            Path::Exact(own) => (own == path).then_some((2, own.len()))?,
        };
        Some((host_rank, path_rank.0, path_rank.1))
    }

    /// Whether a wildcard may stand for this: one label with an Ingress, any number with an HTTPRoute.
    fn is_wild(&self, labels: &str) -> bool {
        !labels.is_empty() && (*self.object.kind == *"HTTPRoute" || !labels.contains('.'))
    }
}

/// Whose an Ingress is: by `ingressClassName`, or by the annotation that came before it.
fn ingress_class(ingress: &Value) -> Class {
    let text = |pointer| ingress.pointer(pointer).and_then(Value::as_str);
    let class = text("/spec/ingressClassName")
        .or_else(|| text("/metadata/annotations/kubernetes.io~1ingress.class"));
    if let Some(class) = class {
        return Class::Named(class.to_owned());
    }
    let annotations = ingress.pointer("/metadata/annotations").and_then(Value::as_object);
    let mut names = annotations.into_iter().flatten().map(|(name, _)| name);
    Class::Default { is_for_nginx: names.any(|name| name.starts_with(NGINX_PREFIX)) }
}

/// The path of a match that asks for nothing but a path.
fn http_path(value: &Value) -> Option<Path> {
    let asks = |field: &str| value.get(field).is_some();
    if asks("headers") || asks("queryParams") || asks("method") {
        return None;
    }
    let text = value.pointer("/path/value").and_then(Value::as_str).unwrap_or("/").to_owned();
    match value.pointer("/path/type").and_then(Value::as_str) {
        None | Some("PathPrefix") => Some(Path::Prefix(text)),
        Some("Exact") => Some(Path::Exact(text)),
        Some(_) => None,
    }
}

fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn routing() -> Routing {
        let path = |path: &str, kind: &str, service: &str| json!({"path": path, "pathType": kind, "backend": {"service": {"name": service}}});
        let ingress = json!({"spec": {
            "defaultBackend": {"service": {"name": "fallback"}},
            "rules": [
                {"host": "shop.example", "http": {"paths": [
                    path("/", "Prefix", "web"),
                    path("/cart", "Prefix", "cart"),
                    path("/cart/checkout", "Exact", "checkout"),
                ]}},
                {"host": "*.example", "http": {"paths": [path("/", "Prefix", "others")]}},
            ],
        }});
        let route = json!({"spec": {
            "hostnames": ["api.shop.test"],
            "rules": [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}],
                 "backendRefs": [{"name": "old", "weight": 90}, {"name": "new", "weight": 10}]},
                {"matches": [{"path": {"value": "/v1"}, "method": "POST"}],
                 "backendRefs": [{"name": "writer"}]},
            ],
        }});
        let mut routing = Routing::default();
        let named = |text: &str| text.parse::<ObjectReference>().expect("a reference");
        routing.add(&named("Ingress/shop/front"), &ingress);
        routing.add(&named("HTTPRoute/shop/api"), &route);
        routing
    }

    fn first(host: &str, path: &str) -> Option<String> {
        let routing = routing();
        routing.find(host, path).map(|rule| rule.backends[0].service.name.to_string())
    }

    #[test]
    fn the_most_exact_rule_wins() {
        for (host, path, service) in [
            ("shop.example", "/", "web"),
            ("shop.example", "/cartoons", "web"),
            ("shop.example", "/cart", "cart"),
            ("shop.example", "/cart/items", "cart"),
            ("shop.example", "/cart/checkout", "checkout"),
            ("blog.example", "/cart", "others"),
            ("example", "/", "fallback"),
            ("api.shop.test", "/v1/items", "old"),
            ("api.shop.test", "/v2", "fallback"),
        ] {
            assert_eq!(first(host, path).as_deref(), Some(service), "{host}{path}");
        }
    }

    #[test]
    fn limits_of_nginx_are_those_of_ingresses_that_are_its_own() {
        let routing = |class: Value, annotations: Value, classes: &[Value]| {
            let ingress = json!({
                "metadata": {"annotations": annotations},
                "spec": {"ingressClassName": class, "defaultBackend": {"service": {"name": "web"}}},
            });
            let mut routing = Routing::default();
            routing.add(&"Ingress/shop/front".parse().expect("a reference"), &ingress);
            for (number, class) in classes.iter().enumerate() {
                let name = format!("IngressClass/c{number}");
                routing.add(&name.parse().expect("a reference"), class);
            }
            let rule = routing.find("a", "/").expect("a rule");
            routing.limits(rule) != RouteLimits::default()
        };
        let read = json!({"nginx.ingress.kubernetes.io/proxy-read-timeout": "5"});
        let of = |controller: &str| {
            let default = json!({"ingressclass.kubernetes.io/is-default-class": "true"});
            json!({"metadata": {"annotations": default}, "spec": {"controller": controller}})
        };
        let nginx = of("k8s.io/ingress-nginx");
        let other = of("haproxy.org/ingress-controller");
        assert!(routing(json!("nginx"), json!({}), &[]));
        assert!(!routing(json!("haproxy"), read.clone(), &[]));
        assert!(routing(json!("c0"), json!({}), std::slice::from_ref(&nginx)));
        assert!(!routing(json!("c0"), read.clone(), std::slice::from_ref(&other)));
        assert!(!routing(json!(null), json!({}), &[]));
        assert!(routing(json!(null), read.clone(), &[]));
        assert!(!routing(json!(null), read, &[other]));
        assert!(routing(json!(null), json!({}), &[nginx]));
    }

    #[test]
    fn weights_are_those_of_the_route() {
        let routing = routing();
        let rule = routing.find("api.shop.test", "/v1").expect("a rule");
        let weights: Vec<u64> = rule.backends.iter().map(|one| one.weight).collect();
        assert_eq!(weights, [90, 10]);
        assert_eq!(rule.object.to_string(), "HTTPRoute/shop/api");
    }
}
