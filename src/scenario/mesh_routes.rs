//! Istio's VirtualServices and DestinationRules (`networking.istio.io`) as the proxies of callers apply them to calls
//! between pods: destinations by weight, timeouts, retries, mirrors and faults; balancing, outlier detection and subsets.
//!
//! Defaults are those of istiod (`pilot/pkg/networking/core/route/retry`, `pilot/pkg/networking/core/cluster_traffic_policy.go`,
//! 1.28) and of Envoy.

mod destination_rule;
mod ignored;
mod in_words;
mod virtual_service;

pub use virtual_service::default_retries;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use cluster::{Kind, Labels, NamespacedName, ObjectReference};
use engine::{SimDuration, parse_duration};
use manifest::{Diagnostic, FieldPath, Manifest};
use traffic::{Balancer, ConnectionPool, OutlierDetection, Retries};

/// The settings of the mesh for calls to Services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshRouting {
    routes: BTreeMap<NamespacedName, Route>,
    policies: BTreeMap<NamespacedName, Policies>,
}

/// A VirtualService's treatment of the calls to a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The VirtualService.
    pub object: ObjectReference,
    /// Position of the applied entry of `spec.http`; `None` if none applies to calls without headers and paths.
    pub entry: Option<usize>,
    /// Its destinations with their weights.
    pub destinations: Vec<(Target, f64)>,
    /// `timeout`; absent = none.
    pub timeout: Option<SimDuration>,
    /// `retries`; `None` = the mesh's default.
    pub retries: Option<RouteRetries>,
    /// Where a share of the calls is mirrored.
    pub mirror: Option<(Target, f64)>,
    /// The delay of a share of the calls.
    pub delay: Option<(SimDuration, f64)>,
    /// Share of the calls that fail at once.
    pub abort_share: f64,
}

/// `retries` of a VirtualService.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouteRetries {
    /// The retries; `None` with `attempts: 0`.
    pub retries: Option<Retries>,
    /// `perTryTimeout`.
    pub try_timeout: Option<SimDuration>,
}

/// A Service, or a subset of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The Service.
    pub service: NamespacedName,
    /// The subset of a DestinationRule.
    pub subset: Option<String>,
}

/// The DestinationRule of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    /// The DestinationRule.
    pub object: ObjectReference,
    /// `spec.trafficPolicy`.
    pub policy: Policy,
    /// `spec.subsets` by name: the labels of their pods, and their policy.
    pub subsets: BTreeMap<String, (Labels, Policy)>,
}

/// `trafficPolicy`, as far as it is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Policy {
    /// `loadBalancer.simple`.
    pub balancer: Option<Balancer>,
    /// `outlierDetection`.
    pub outlier_detection: Option<OutlierDetection>,
    /// `connectionPool.tcp.connectTimeout`.
    pub connect_timeout: Option<SimDuration>,
    /// The limits of `connectionPool`.
    pub pool: Option<ConnectionPool>,
}

impl Policy {
    /// The settings of a subset: its own, and else those of the Service.
    #[must_use]
    pub fn over(self, service: Self) -> Self {
        Self {
            balancer: self.balancer.or(service.balancer),
            outlier_detection: self.outlier_detection.or(service.outlier_detection),
            connect_timeout: self.connect_timeout.or(service.connect_timeout),
            pool: self.pool.or(service.pool),
        }
    }
}

impl Policies {
    /// Of HTTP/2 one connection to each pod carries all calls, so that only the number of calls is limited.
    fn share_connections(&mut self) {
        let subsets = self.subsets.values_mut().map(|(_, policy)| policy);
        for policy in subsets.chain([&mut self.policy]) {
            let requests = policy.pool.and_then(|pool| pool.max_requests);
            policy.pool = requests.map(|most| ConnectionPool {
                max_requests: Some(most),
                ..ConnectionPool::default()
            });
        }
    }
}

/// Whether all ports of a Service are of HTTP/2, by the rules of Istio's protocol selection.
fn speaks_http2(spec: &Value) -> bool {
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_http2 = |port: &Value| {
        let of_name = || port["name"].as_str().and_then(|name| name.split('-').next());
        let protocol = port["appProtocol"].as_str().or_else(of_name).unwrap_or_default();
        ["http2", "grpc", "kubernetes.io/h2c"].contains(&protocol)
    };
    !ports.is_empty() && ports.iter().all(is_http2)
}

impl MeshRouting {
    /// The settings in these manifests, and what they say in vain. Of several objects for one host the first counts.
    pub fn of<'m>(manifests: impl IntoIterator<Item = &'m Manifest>) -> (Self, Vec<Diagnostic>) {
        let mut routing = Self::default();
        let mut problems = Vec::new();
        let mut multiplexed = BTreeSet::new();
        for manifest in manifests {
            let mut findings = Findings::default();
            match manifest.reference.kind {
                Kind::Service if speaks_http2(&manifest.value["spec"]) => {
                    multiplexed.insert(manifest.reference.id.clone());
                    continue;
                }
                Kind::VirtualService => {
                    for (host, route) in virtual_service::read(manifest, &mut findings) {
                        routing.routes.entry(host).or_insert(route);
                    }
                }
                Kind::DestinationRule => {
                    if let Some((host, policies)) = destination_rule::read(manifest, &mut findings)
                    {
                        routing.policies.entry(host).or_insert(policies);
                    }
                }
                _ => continue,
            }
            problems.extend(findings.0.into_iter().map(|problem| {
                let place = manifest.origin.place_of(&problem.field);
                problem.at(place).of(manifest.label())
            }));
        }
        for (service, policies) in &mut routing.policies {
            if multiplexed.contains(service) {
                policies.share_connections();
            }
        }
        (routing, problems)
    }

    /// The VirtualService of a Service.
    pub fn route(&self, service: &NamespacedName) -> Option<&Route> {
        self.routes.get(service)
    }

    /// The DestinationRule of a Service.
    pub fn policies(&self, service: &NamespacedName) -> Option<&Policies> {
        self.policies.get(service)
    }

    /// The policy of a target, with that of its Service.
    pub fn policy(&self, target: &Target) -> Policy {
        let Some(policies) = self.policies.get(&target.service) else { return Policy::default() };
        let subset = target.subset.as_ref().and_then(|name| policies.subsets.get(name));
        subset.map_or(policies.policy, |(_, own)| own.over(policies.policy))
    }

    /// The labels of a target's pods; `None` for all pods of the Service, or if the subset does not exist.
    pub fn labels(&self, target: &Target) -> Option<&Labels> {
        let subsets = &self.policies.get(&target.service)?.subsets;
        subsets.get(target.subset.as_ref()?).map(|(labels, _)| labels)
    }
}

/// The findings about an object, each with its field.
#[derive(Default)]
struct Findings(Vec<Diagnostic>);

impl Findings {
    /// A field that is effective in a cluster and has no effect here.
    fn ignore(&mut self, path: &FieldPath<'_>, name: &str, consequence: &str) {
        let message = format!("`{name}` is ignored: {consequence}");
        self.0.push(Diagnostic::note("ignored-field", message).field(path));
    }

    fn warn(&mut self, path: &FieldPath<'_>, message: impl Into<String>) {
        self.0.push(Diagnostic::warning("doubtful-route", message).field(path));
    }
}

/// The Service of a host: a short name is in the namespace of the object.
fn service_of(host: &str, namespace: &str) -> Option<NamespacedName> {
    let mut parts = host.split('.');
    let name = parts.next().filter(|name| !name.is_empty() && *name != "*")?;
    let own = parts.next().unwrap_or(namespace);
    // An external host, such as api.example.com.
    parts.next().is_none_or(|third| third == "svc").then(|| NamespacedName::new(own, name))
}

/// A duration such as `1.5s` or `100ms`.
fn duration(value: &Value, path: &FieldPath<'_>, findings: &mut Findings) -> Option<SimDuration> {
    let text = value.as_str()?;
    let span = parse_duration(text).ok();
    if span.is_none() {
        findings.warn(path, format!("{text:?} is no duration such as 1s or 250ms: it is ignored"));
    }
    span
}

/// A share from `{percentage: {value: 12.5}}` or `{percent: 12}`; all if neither is given.
fn share(holder: &Value) -> f64 {
    let value = holder["percentage"]["value"].as_f64().or_else(|| holder["percent"].as_f64());
    value.map_or(1.0, |percent| (percent / 100.0).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
