//! Routing of requests to hosts and paths to Services, as Ingresses and HTTPRoutes define it.
//!
//! Ingress: `networking.k8s.io/v1` with the precedence of its documentation (exact hosts before wildcards before none,
//! exact paths before the longest prefix, the default backend last). HTTPRoute: `gateway.networking.k8s.io/v1`, hosts
//! and paths with the same precedence, weights of `backendRefs`. Rules that match on methods, headers or query
//! parameters match nothing here, as simulated requests have none. `ingress` and `http_route` read the objects and
//! validate each on its own, `nginx` reads the annotations of ingress-nginx, and `targets` finds rules that do not
//! route requests as they appear to.

mod canary;
mod http_route;
mod ingress;
mod limits;
mod nginx;
mod nginx_annotations;
mod targets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use canary::CanaryWeight;
use cluster::{Kind, NamespacedName, ObjectReference};
pub(crate) use http_route::status;
use limits::RouteLimits;
use manifest::{Diagnostic, FieldPath, Manifest, decode, decode_without_diagnostics};
pub use targets::{missing_ports, missing_services, target_problems};

/// The rules of all Ingresses and HTTPRoutes, in the order of the objects, and the Service data they need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    rules: Vec<Rule>,
    /// Ports of the Services that declare any.
    ports: BTreeMap<NamespacedName, Vec<core::ServicePort>>,
    /// By IngressClass: true if its controller is ingress-nginx.
    classes: BTreeMap<String, bool>,
    /// The same for the default IngressClass, if one is marked as such.
    default_class: Option<bool>,
}

/// The routing of requests to certain hosts and paths.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The object that contains the rule.
    pub object: ObjectReference,
    /// Alternative targets; each request goes to one.
    pub backends: Vec<Backend>,
    /// Host, or `*.` and a suffix; absent means any host.
    host: Option<String>,
    path: Path,
    /// `pathType` of an Ingress, as written.
    path_type: String,
    /// Path of the rule's field.
    field: String,
    /// The canary share of its Ingress, if its controller is ingress-nginx.
    canary: Option<CanaryWeight>,
    /// Time limits and retries, from the annotations of ingress-nginx if it is the controller, or from the HTTPRoute.
    limits: RouteLimits,
    /// Services that get a share of the requests, 0 to 1, a second time.
    mirrors: Vec<(NamespacedName, f64)>,
    class: Class,
}

/// A Service to which a rule sends requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The Service.
    pub service: NamespacedName,
    /// The kind of an object that is not simulated, in place of the Service.
    foreign_kind: Option<String>,
    /// Its share of the requests, relative to the sum over all backends of the rule.
    pub weight: u64,
    /// The requested port, if the rule names one.
    port: Option<IntOrString>,
    /// The field that contains the Service's `name` and its port.
    holder: String,
    /// The field in it that gives the port.
    port_field: &'static str,
}

/// A destination of the requests to a host and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The Service.
    pub service: NamespacedName,
    /// True if the Service has the requested port; otherwise the requests fail.
    pub has_port: bool,
    /// The Service that also gets these requests while `service`, its canary, has no endpoint.
    pub canary_of: Option<NamespacedName>,
}

/// The implementation that serves a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Class {
    /// A gateway of Gateway API.
    Gateway,
    /// The controller of the IngressClass of this name.
    Named(String),
    /// The controller of the default class, or ingress-nginx if no class is marked as default and there are annotations
    /// for it.
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
    /// The routing defined by these objects, which are a cluster's at some instant; other kinds are ignored. Of two
    /// versions of a Service the last one counts, of rules for the same requests the first.
    pub fn of<'o>(objects: impl IntoIterator<Item = (&'o ObjectReference, &'o Value)>) -> Self {
        let mut routing = Self::default();
        objects.into_iter().for_each(|(object, value)| routing.add(object, value));
        routing
    }

    /// Adds an object's contribution to the routing if it is an Ingress, an IngressClass, an HTTPRoute or a Service.
    pub fn add(&mut self, object: &ObjectReference, value: &Value) {
        let ignored_findings = &mut RouteFindings::default();
        match object.kind {
            Kind::Ingress => {
                self.rules.extend(ingress::rules(
                    object,
                    decode_without_diagnostics(value),
                    ignored_findings,
                ));
            }
            Kind::HTTPRoute => {
                self.rules.extend(http_route::rules(
                    object,
                    decode_without_diagnostics(value),
                    ignored_findings,
                ));
            }
            Kind::IngressClass => self.add_class(object, decode_without_diagnostics(value)),
            Kind::Service => self.add_service(object, decode_without_diagnostics(value)),
            _ => {}
        }
    }

    fn add_class(&mut self, object: &ObjectReference, class: networking::IngressClass) {
        let controller = class.spec.and_then(|spec| spec.controller);
        let is_nginx = controller.as_deref() == Some(nginx::CONTROLLER);
        self.classes.insert(object.id.name.to_string(), is_nginx);
        let annotations = class.metadata.annotations.unwrap_or_default();
        let mark = annotations.get("ingressclass.kubernetes.io/is-default-class");
        if mark.is_some_and(|mark| mark == "true") {
            self.default_class = Some(is_nginx);
        }
    }

    /// An `ExternalName` Service accepts any port.
    fn add_service(&mut self, object: &ObjectReference, service: core::Service) {
        let spec = service.spec.unwrap_or_default();
        self.ports.remove(&object.id);
        if spec.type_.as_deref() != Some("ExternalName") {
            self.ports.insert(object.id.clone(), spec.ports.unwrap_or_default());
        }
    }

    /// The rule for requests to a host and path, canaries excluded.
    pub fn find(&self, host: &str, path: &str) -> Option<&Rule> {
        let rules = self.rules.iter().rev().filter(|rule| !self.is_canary(rule));
        let matching = rules.filter_map(|rule| Some((rule.rank(host, path)?, rule)));
        // Of equal rules the first in the manifests wins, which is the last here.
        matching.max_by_key(|(rank, _)| *rank).map(|(_, rule)| rule)
    }

    /// The destinations of a rule's requests, with their weights.
    pub fn destinations(&self, rule: &Rule) -> Vec<(Destination, u64)> {
        let destination = |of: &Rule, backend: &Backend| Destination {
            service: backend.service.clone(),
            has_port: self.has_port(of, backend),
            canary_of: None,
        };
        let parts = rule.backends.iter().map(|one| (destination(rule, one), one.weight));
        let parts: Vec<(Destination, u64)> = parts.collect();
        // An Ingress rule has exactly one. Without endpoints for it, its canary gets no requests either.
        let main = parts.first().filter(|(main, _)| main.has_port);
        let canary = main.and_then(|(main, _)| Some((self.canary_for(rule)?, &main.service)));
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

    /// All rules that may at some time apply to requests to a host and path if the manifests contain several versions
    /// of an object, and their canaries.
    pub fn candidates(&self, host: &str, path: &str) -> Vec<&Rule> {
        let mains = self.rules.iter().filter(|rule| !self.is_canary(rule));
        let ranked = mains.filter_map(|rule| Some((rule.rank(host, path)?, rule)));
        let ranked: Vec<_> = ranked.collect();
        let best = ranked.iter().map(|(rank, _)| *rank).max();
        let mains = ranked.into_iter().filter(|(rank, _)| Some(*rank) == best);
        mains.flat_map(|(_, rule)| std::iter::once(rule).chain(self.canaries_of(rule))).collect()
    }

    /// Time limits, retries and limits per client of the requests of a rule.
    pub fn limits(&self, rule: &Rule) -> RouteLimits {
        let counts = rule.class == Class::Gateway || self.is_of_nginx(rule);
        if counts { rule.limits.clone() } else { RouteLimits::default() }
    }

    /// Whether the requests of a rule are limited by client address.
    pub(crate) fn limits_clients(&self, rule: &Rule) -> bool {
        self.limits(rule).of_clients.is_some()
    }

    /// A host and a path for each rule that gets any requests; placeholders are used where any name matches.
    pub fn ingress_routes(&self) -> impl Iterator<Item = (String, &str, &Rule)> {
        self.rules.iter().filter_map(|rule| {
            let host = rule.host.as_deref().unwrap_or("any.example").replacen('*', "www", 1);
            let path = match &rule.path {
                Path::Exact(path) | Path::Prefix(path) => path.as_str(),
                Path::Default => "/",
            };
            // Another rule may match better.
            self.find(&host, path).filter(|found| std::ptr::eq(*found, rule))?;
            Some((host, path, rule))
        })
    }

    /// Hosts and paths that have rules, for messages.
    pub fn known(&self) -> impl Iterator<Item = String> + '_ {
        self.rules.iter().filter(|rule| !self.is_canary(rule)).map(Rule::place)
    }

    /// True if ingress-nginx serves the rule.
    fn is_of_nginx(&self, rule: &Rule) -> bool {
        match &rule.class {
            Class::Gateway => false,
            Class::Named(class) => {
                self.classes.get(class).copied().unwrap_or(class == nginx::CLASS)
            }
            Class::Default { is_for_nginx } => self.default_class.unwrap_or(*is_for_nginx),
        }
    }

    /// True if a backend of a rule has the requested port, as far as is known. For a missing port ingress-nginx has no
    /// endpoints and answers 503 (`serviceEndpoints` in `internal/ingress/controller/controller.go`), and a gateway
    /// answers that backend's share with 500 (`ResolvedRefs` of Gateway API).
    fn has_port(&self, rule: &Rule, backend: &Backend) -> bool {
        if backend.foreign_kind.is_some() {
            return false;
        }
        let (Some(asked), Some(known)) = (&backend.port, self.ports.get(&backend.service)) else {
            return true;
        };
        // ingress-nginx also accepts the target port.
        let takes_target = self.is_of_nginx(rule);
        known.iter().any(|port| {
            let is_it = match asked {
                IntOrString::Int(number) => *number == port.port,
                IntOrString::String(name) => *name == *port.name.as_deref().unwrap_or_default(),
            };
            is_it || (takes_target && shown(asked) == target(port))
        })
    }
}

/// `targetPort` as written; the port itself if absent.
fn target(port: &core::ServicePort) -> String {
    let is_given = |target: &&IntOrString| !["", "0"].contains(&&*shown(target));
    let target = port.target_port.as_ref().filter(is_given);
    target.map_or_else(|| port.port.to_string(), shown)
}

fn shown(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

impl Rule {
    /// Services that get a share of the requests, 0 to 1, a second time, with their answers ignored.
    pub fn mirrors(&self) -> &[(NamespacedName, f64)] {
        &self.mirrors
    }

    /// Host and path, for messages.
    fn place(&self) -> String {
        let host = self.host.as_deref().unwrap_or("*");
        match &self.path {
            Path::Exact(path) | Path::Prefix(path) => format!("{host}{path}"),
            Path::Default => host.to_owned(),
        }
    }

    /// True if another rule has the very same host and path.
    fn is_for_place_of(&self, other: &Self) -> bool {
        (&self.host, &self.path) == (&other.host, &other.path)
    }

    /// The same, with equal `pathType`.
    fn is_beside(&self, other: &Self) -> bool {
        self.is_for_place_of(other) && self.path_type == other.path_type
    }

    /// Specificity of the match; `None` if the rule does not match.
    fn rank(&self, host: &str, path: &str) -> Option<(usize, usize, usize)> {
        let host_rank = match &self.host {
            None => 0,
            Some(own) => match own.strip_prefix('*') {
                Some(end) if self.is_wild(host.strip_suffix(end)?) => end.len(),
                None if own == host => usize::MAX,
                _ => return None,
            },
        };
        let (path_rank, length) = match &self.path {
            Path::Default => (0, 0),
            Path::Prefix(prefix) => {
                let prefix = prefix.trim_end_matches('/');
                let rest = path.strip_prefix(prefix)?;
                (rest.is_empty() || rest.starts_with('/')).then_some((1, prefix.len()))?
            }
            Path::Exact(own) => (own == path).then_some((2, own.len()))?,
        };
        Some((host_rank, path_rank, length))
    }

    /// True if a wildcard matches these labels: exactly one with an Ingress, any number with an HTTPRoute.
    fn is_wild(&self, labels: &str) -> bool {
        !labels.is_empty() && (self.class == Class::Gateway || !labels.contains('.'))
    }
}

/// All errors and warnings about an Ingress or HTTPRoute on its own; none for other kinds. Errors are refused by the
/// API server (`pkg/apis/networking/validation` of Kubernetes 1.36; the schema of Gateway API 1.2).
pub fn route_problems(manifest: &Manifest) -> Vec<Diagnostic> {
    let Manifest { reference, value, origin, .. } = manifest;
    let mut findings = RouteFindings::default();
    let mut problems = match reference.kind {
        Kind::Ingress => {
            let (ingress, mistakes) = decode(value);
            ingress::rules(reference, ingress, &mut findings);
            mistakes
        }
        Kind::HTTPRoute => {
            let (route, mistakes) = decode(value);
            http_route::rules(reference, route, &mut findings);
            mistakes
        }
        _ => return Vec::new(),
    };
    // The consequences of a mistake are not reported along with it.
    findings.0.retain(|one| !problems.iter().any(|mistake| one.field.starts_with(&mistake.field)));
    problems.append(&mut findings.0);
    let placed = problems.into_iter().map(|problem| {
        let place = origin.place_of(&problem.field);
        problem.at(place).of(manifest.label())
    });
    placed.collect()
}

/// The findings about an object while it is read, each with its field.
#[derive(Default)]
struct RouteFindings(Vec<Diagnostic>);

impl RouteFindings {
    fn error(&mut self, path: &FieldPath<'_>, message: impl Into<String>) {
        self.0.push(Diagnostic::error("invalid-route", message).field(path));
    }

    fn warn(&mut self, path: &FieldPath<'_>, message: impl Into<String>) {
        self.0.push(Diagnostic::warning("doubtful-route", message).field(path));
    }

    /// The meaning of an enumerated text.
    fn choose<T: Copy>(
        &mut self,
        text: &str,
        choices: &[(&str, T)],
        path: &FieldPath<'_>,
    ) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            self.error(path, format!("Unsupported value: {text:?}: supported values: {names}"));
        }
        found
    }
}
