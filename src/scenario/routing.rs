//! Which Services the requests to a host and path go to, as Ingresses and HTTPRoutes say.
//!
//! Ingress: `networking.k8s.io/v1` with the precedence of its documentation (exact hosts before
//! wildcards before none, exact paths before the longest prefix, the default backend last). HTTPRoute:
//! `gateway.networking.k8s.io/v1`, hosts and paths with the same precedence, weights of `backendRefs`.
//! Rules that ask for methods, headers or query parameters match nothing here, as no request has any.
//! How long requests may take is read by `route_limits`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::route_limits::{NGINX_CLASS, NGINX_CONTROLLER, NGINX_PREFIX, RouteLimits};
use crate::cluster::{NamespacedName, ObjectReference};

/// The rules of all Ingresses and HTTPRoutes, in the order of the manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    rules: Vec<Rule>,
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
    /// Services with their weights, in order; a request goes to one of them.
    pub backends: Vec<(NamespacedName, u64)>,
    /// Host, or `*.` and its end; absent = any.
    host: Option<String>,
    path: Path,
    /// What its Ingress is to ingress-nginx, if that is its controller; or what its HTTPRoute says.
    limits: RouteLimits,
    class: Class,
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
            _ => {}
        }
    }

    /// The rule for requests to a host and path.
    pub fn find(&self, host: &str, path: &str) -> Option<&Rule> {
        let matching =
            self.rules.iter().rev().filter_map(|rule| Some((rule.rank(host, path)?, rule)));
        // Of equals the first in the manifests, so the last here.
        matching.max_by_key(|(rank, _)| *rank).map(|(_, rule)| rule)
    }

    /// The rules of which each may at some time be that for requests to a host and path, where several
    /// versions of an object are in the manifests.
    pub fn candidates(&self, host: &str, path: &str) -> Vec<&Rule> {
        let ranked = || self.rules.iter().filter_map(|rule| Some((rule.rank(host, path)?, rule)));
        let best = ranked().map(|(rank, _)| rank).max();
        ranked().filter(|(rank, _)| Some(*rank) == best).map(|(_, rule)| rule).collect()
    }

    /// How long requests to a host and path may take, and which are tried again, by their rule.
    pub fn limits(&self, rule: &Rule) -> RouteLimits {
        let is_carried_out = match &rule.class {
            Class::Gateway => true,
            Class::Named(class) => self.classes.get(class).copied().unwrap_or(class == NGINX_CLASS),
            Class::Default { is_for_nginx } => self.default_class.unwrap_or(*is_for_nginx),
        };
        if is_carried_out { rule.limits } else { RouteLimits::default() }
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
        self.rules.iter().map(|rule| {
            let host = rule.host.as_deref().unwrap_or("*");
            match &rule.path {
                Path::Exact(path) | Path::Prefix(path) => format!("{host}{path}"),
                Path::Default => host.to_owned(),
            }
        })
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
        let backend = |value: &Value| {
            let name = value.pointer("/service/name")?.as_str()?;
            Some(vec![(NamespacedName::new(&*object.id.namespace, name), 1)])
        };
        let limits = RouteLimits::of_nginx(value);
        let class = ingress_class(value);
        for rule in items(value.pointer("/spec/rules")) {
            let host = rule.get("host").and_then(Value::as_str).filter(|host| !host.is_empty());
            for path in items(rule.pointer("/http/paths")) {
                let Some(backends) = path.get("backend").and_then(backend) else { continue };
                let text = path.get("path").and_then(Value::as_str).unwrap_or("/").to_owned();
                let is_exact = path.get("pathType").and_then(Value::as_str) == Some("Exact");
                let path = if is_exact { Path::Exact(text) } else { Path::Prefix(text) };
                let host = host.map(ToOwned::to_owned);
                let (object, class) = (object.clone(), class.clone());
                self.rules.push(Rule { object, backends, host, path, limits, class });
            }
        }
        if let Some(backends) = value.pointer("/spec/defaultBackend").and_then(backend) {
            let path = Path::Default;
            let object = object.clone();
            self.rules.push(Rule { object, backends, host: None, path, limits, class });
        }
    }

    fn add_http_route(&mut self, object: &ObjectReference, value: &Value) {
        let hosts: Vec<Option<String>> = items(value.pointer("/spec/hostnames"))
            .filter_map(|host| Some(Some(host.as_str()?.to_owned())))
            .collect();
        let hosts = if hosts.is_empty() { vec![None] } else { hosts };
        for rule in items(value.pointer("/spec/rules")) {
            let backends: Vec<(NamespacedName, u64)> = items(rule.get("backendRefs"))
                .filter_map(|backend| {
                    let text = |field| backend.get(field).and_then(Value::as_str);
                    let namespace = text("namespace").unwrap_or(&object.id.namespace);
                    let weight = backend.get("weight").and_then(Value::as_u64).unwrap_or(1);
                    Some((NamespacedName::new(namespace, text("name")?), weight))
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
                        limits,
                        class: Class::Gateway,
                    });
                }
            }
        }
    }
}

impl Rule {
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
        routing.find(host, path).map(|rule| rule.backends[0].0.name.to_string())
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
        let weights: Vec<u64> = rule.backends.iter().map(|(_, weight)| *weight).collect();
        assert_eq!(weights, [90, 10]);
        assert_eq!(rule.object.to_string(), "HTTPRoute/shop/api");
    }
}
