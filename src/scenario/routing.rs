//! Which Services the requests to a host and path go to, as Ingresses and HTTPRoutes say.
//!
//! Ingress: `networking.k8s.io/v1` with the precedence of its documentation (exact hosts before
//! wildcards before none, exact paths before the longest prefix, the default backend last). HTTPRoute:
//! `gateway.networking.k8s.io/v1`, hosts and paths with the same precedence, weights of `backendRefs`.
//! Rules that ask for methods, headers or query parameters match nothing here, as no request has any.
//! `ingress` and `http_route` read the objects and say what is wrong in each by itself, `nginx` the annotations of
//! ingress-nginx, `targets` says where rules do not lead where they seem to.

mod canary;
mod http_route;
mod ingress;
mod limits;
mod nginx;
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
use limits::RouteLimits;
use manifest::{Diagnostic, FieldPath, Manifest, decode, decode_silently};
pub use targets::{missing_services, target_problems};

/// The rules of all Ingresses and HTTPRoutes, in the order of the objects, and what they need to know of Services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    rules: Vec<Rule>,
    /// The ports of the Services that have any of their own.
    ports: BTreeMap<NamespacedName, Vec<core::ServicePort>>,
    /// Whether the controller of an IngressClass is ingress-nginx.
    classes: BTreeMap<String, bool>,
    /// The same of the class that Ingresses have by default, if one is marked so.
    default_class: Option<bool>,
}

/// Where requests to certain hosts and paths go.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The object that has the rule.
    pub object: ObjectReference,
    /// A request goes to one of them.
    pub backends: Vec<Backend>,
    /// Host, or `*.` and its end; absent = any.
    host: Option<String>,
    path: Path,
    /// `pathType` of an Ingress, as it is written.
    path_type: String,
    /// The field that has the rule.
    field: String,
    /// The share that its Ingress is to take of another one's requests, if ingress-nginx is its controller.
    canary: Option<CanaryWeight>,
    /// What its Ingress is to ingress-nginx, if that is its controller; or what its HTTPRoute says.
    limits: RouteLimits,
    class: Class,
}

/// A Service to which a rule sends requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The Service.
    pub service: NamespacedName,
    /// Its part of the requests is this, by the sum over all backends of the rule.
    pub weight: u64,
    /// The port that it is asked for, if the rule says.
    port: Option<IntOrString>,
    /// The field that has the Service's `name` and its port.
    holder: String,
    /// The field in that which says the port.
    port_field: &'static str,
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
    /// Where requests go by these objects, which are a cluster's at some instant; those of other kinds are passed over.
    /// Of two versions of a Service the last counts, of rules for the same requests the first.
    pub fn of<'o>(objects: impl IntoIterator<Item = (&'o ObjectReference, &'o Value)>) -> Self {
        let mut routing = Self::default();
        objects.into_iter().for_each(|(object, value)| routing.add(object, value));
        routing
    }

    /// Adds what an object says of routes, if it is an Ingress, an IngressClass, an HTTPRoute or a Service.
    pub fn add(&mut self, object: &ObjectReference, value: &Value) {
        let nobody = &mut Said::default();
        match object.kind {
            Kind::Ingress => {
                self.rules.extend(ingress::rules(object, decode_silently(value), nobody));
            }
            Kind::HTTPRoute => {
                self.rules.extend(http_route::rules(object, decode_silently(value), nobody));
            }
            Kind::IngressClass => self.add_class(object, decode_silently(value)),
            Kind::Service => self.add_service(object, decode_silently(value)),
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

    /// An `ExternalName` stands for whatever port it is asked for.
    fn add_service(&mut self, object: &ObjectReference, service: core::Service) {
        let spec = service.spec.unwrap_or_default();
        self.ports.remove(&object.id);
        if spec.type_.as_deref() != Some("ExternalName") {
            self.ports.insert(object.id.clone(), spec.ports.unwrap_or_default());
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
        let mains = self.rules.iter().filter(|rule| !self.is_canary(rule));
        let ranked = mains.filter_map(|rule| Some((rule.rank(host, path)?, rule)));
        let ranked: Vec<_> = ranked.collect();
        let best = ranked.iter().map(|(rank, _)| *rank).max();
        let mains = ranked.into_iter().filter(|(rank, _)| Some(*rank) == best);
        mains.flat_map(|(_, rule)| std::iter::once(rule).chain(self.canaries_of(rule))).collect()
    }

    /// How long requests to a host and path may take, and which are tried again, by their rule.
    pub fn limits(&self, rule: &Rule) -> RouteLimits {
        let counts = rule.class == Class::Gateway || self.is_of_nginx(rule);
        if counts { rule.limits } else { RouteLimits::default() }
    }

    /// A host and a path whose requests a rule brings to Services, for each rule that gets any; a name is
    /// made up for what may be any.
    pub fn entrances(&self) -> impl Iterator<Item = (String, &str, &Rule)> {
        self.rules.iter().filter_map(|rule| {
            let host = rule.host.as_deref().unwrap_or("any.example").replacen('*', "www", 1);
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

    /// Whether ingress-nginx carries out the rule.
    fn is_of_nginx(&self, rule: &Rule) -> bool {
        match &rule.class {
            Class::Gateway => false,
            Class::Named(class) => {
                self.classes.get(class).copied().unwrap_or(class == nginx::CLASS)
            }
            Class::Default { is_for_nginx } => self.default_class.unwrap_or(*is_for_nginx),
        }
    }

    /// Whether a backend of a rule has the port that the rule asks it for, as far as is known. For one that it lacks
    /// ingress-nginx has no endpoints and answers 503 (`serviceEndpoints` in
    /// `internal/ingress/controller/controller.go`), and a gateway answers that backend's share with 500
    /// (`ResolvedRefs` of Gateway API).
    fn has_port(&self, rule: &Rule, backend: &Backend) -> bool {
        let (Some(asked), Some(known)) = (&backend.port, self.ports.get(&backend.service)) else {
            return true;
        };
        // It takes the port of the pods for that of the Service too.
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

/// `targetPort` as it is written; the port itself if it is not.
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
    /// Host and path, for messages.
    fn place(&self) -> String {
        let host = self.host.as_deref().unwrap_or("*");
        match &self.path {
            Path::Exact(path) | Path::Prefix(path) => format!("{host}{path}"),
            Path::Default => host.to_owned(),
        }
    }

    /// Whether another rule is for the very same host and path.
    fn is_for_place_of(&self, other: &Self) -> bool {
        (&self.host, &self.path) == (&other.host, &other.path)
    }

    /// Whether that is so, with the same `pathType`.
    fn is_beside(&self, other: &Self) -> bool {
        self.is_for_place_of(other) && self.path_type == other.path_type
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

    /// Whether a wildcard may stand for this: one label with an Ingress, any number with an HTTPRoute.
    fn is_wild(&self, labels: &str) -> bool {
        !labels.is_empty() && (self.class == Class::Gateway || !labels.contains('.'))
    }
}

/// All that is wrong or left aside in an Ingress or an HTTPRoute by itself; nothing for other kinds. The API server
/// refuses what is an error (`pkg/apis/networking/validation` of Kubernetes 1.36; the schema of Gateway API 1.2).
pub fn route_problems(manifest: &Manifest) -> Vec<Diagnostic> {
    let Manifest { reference, value, origin, .. } = manifest;
    let mut said = Said::default();
    let mut problems = match reference.kind {
        Kind::Ingress => {
            let (ingress, mistakes) = decode(value);
            ingress::rules(reference, ingress, &mut said);
            mistakes
        }
        Kind::HTTPRoute => {
            let (route, mistakes) = decode(value);
            http_route::rules(reference, route, &mut said);
            mistakes
        }
        _ => return Vec::new(),
    };
    // What is missing because of a mistake is not said again.
    said.0.retain(|one| !problems.iter().any(|mistake| one.field.starts_with(&mistake.field)));
    problems.append(&mut said.0);
    let placed = problems.into_iter().map(|problem| {
        let place = origin.place_of(&problem.field);
        problem.at(place).of(manifest.label())
    });
    placed.collect()
}

/// What is said of an object while it is read, each with its field.
#[derive(Default)]
struct Said(Vec<Diagnostic>);

impl Said {
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
