//! The service mesh of a scenario: the messages about its labels and objects, and what its proxies do with calls.

use std::collections::{BTreeMap, BTreeSet};

use super::{Blueprint, says_no_part};
use crate::world::ServiceSubset;
use cluster::injection::{Mesh, NamespaceMarks};
use cluster::{Action, AnySpec, Kind, Labels, NamespacedName, ObjectReference};
use engine::SimDuration;
use manifest::{Diagnostic, Diagnostics, NO_MESH, read_manifests};
use scenario::mesh::InstalledMesh;
use scenario::mesh_routes::{MeshRouting, Target, default_retries};
use scenario::resolved::ResolvedScenario;
use traffic::{
    Balancer, MeshDestination, MeshRoute, RequestModelSpec, ServicePolicy, ServiceTraffic, Via,
};

/// Kinds that configure the proxies of Istio.
const KINDS: [Kind; 2] = [Kind::VirtualService, Kind::DestinationRule];
/// `connectTimeout` of Istio's `MeshConfig`.
const CONNECT_TIMEOUT: SimDuration = SimDuration::from_secs(10);

/// The mesh that the scenario or the manifests of the start install.
pub(super) fn mesh_of(resolved: &ResolvedScenario) -> Option<InstalledMesh> {
    let settings = &resolved.scenario().mesh;
    let may_be_evident = || {
        let sources = resolved.files.manifests.iter();
        sources.map(|source| source.text.as_str()).any(InstalledMesh::may_be_named_in)
    };
    if settings.kind.is_none() && !may_be_evident() {
        return None;
    }
    // Unreadable manifests are reported elsewhere.
    let manifests = read_manifests(&resolved.files.manifests, &mut Diagnostics::default());
    settings.installed(&manifests)
}

/// Whether a message says that a mark or an object of the installed mesh has no effect.
pub(super) fn says_of_mesh(problem: &Diagnostic, mesh: &InstalledMesh) -> bool {
    let is_of = |name: &str| problem.message.contains(name);
    let is_of_istio = is_of("`istio") || is_of("`sidecar.istio");
    let is_of_mesh = match mesh.injector.mesh {
        Mesh::Istio => is_of_istio,
        Mesh::Linkerd => !is_of_istio,
    };
    let is_of_kinds = mesh.injector.mesh == Mesh::Istio && says_no_part(problem, &KINDS);
    let is_mark = problem.code == "ignored-field" && problem.message.contains(NO_MESH);
    is_of_kinds || is_mark && is_of_mesh
}

impl Blueprint<'_> {
    /// Reads the VirtualServices and DestinationRules, if Istio is installed.
    pub(super) fn add_mesh_routing(&mut self, problems: &mut Diagnostics) {
        if self.mesh.as_ref().is_none_or(|mesh| mesh.injector.mesh != Mesh::Istio) {
            return;
        }
        let (routing, said) = MeshRouting::of(self.documents.beside(&[]));
        for problem in said {
            problems.push(problem);
        }
        self.mesh_routing = routing;
    }

    /// Whether the pods of a workload get a proxy at the start.
    pub(super) fn has_proxy(&self, workload: &ObjectReference) -> bool {
        let Some(mesh) = &self.mesh else { return false };
        let none = Labels::default();
        let namespace = self.objects.iter().find_map(|action| match action {
            Action::Apply(meta, AnySpec::Namespace(_)) if *meta.name() == workload.id.namespace => {
                Some(meta)
            }
            _ => None,
        });
        let marks = NamespaceMarks {
            name: &workload.id.namespace,
            labels: namespace.map_or(&none, |meta| &meta.labels),
            annotations: namespace.map_or(&none, |meta| &meta.annotations),
        };
        self.objects.iter().any(|action| {
            let Action::Apply(meta, spec) = action else { return false };
            let is_it = meta.id == workload.id && spec.kind() == workload.kind;
            is_it
                && spec
                    .clone()
                    .pod_template_mut()
                    .is_some_and(|template| mesh.injector.injects(&marks, template))
        })
    }

    /// Settings of the mesh's objects for calls to the Services of the traffic, as text.
    pub(super) fn mesh_rules(
        &self,
        traffic: &[(NamespacedName, ServiceTraffic)],
    ) -> BTreeMap<NamespacedName, Vec<String>> {
        let rules =
            traffic.iter().map(|(name, _)| (name.clone(), self.mesh_routing.rules_of(name)));
        rules.filter(|(_, rules)| !rules.is_empty()).collect()
    }

    /// Lets the proxies of callers route the calls between pods: they balance, retry and divide them as the mesh is set
    /// up. Adds the subsets of Services to the traffic, as its last rows.
    pub(super) fn route_in_mesh(
        &self,
        traffic: &mut Vec<(NamespacedName, ServiceTraffic)>,
    ) -> Vec<ServiceSubset> {
        let Some(mesh) = &self.mesh else { return Vec::new() };
        // By Service, whether all of its callers have proxies; and those with any that has one.
        let mut callers: BTreeMap<NamespacedName, bool> = BTreeMap::new();
        let mut routed: BTreeSet<NamespacedName> = BTreeSet::new();
        for workload in &self.resolved.scenario().workloads {
            let has_proxy = self.has_proxy(&workload.workload);
            for call in workload.models().flat_map(RequestModelSpec::all_calls) {
                let all = callers.entry(call.service.0.clone()).or_insert(true);
                *all &= has_proxy;
                if has_proxy {
                    routed.insert(call.service.0.clone());
                }
            }
        }
        callers.retain(|service, _| routed.contains(service));
        let routes = callers.keys().filter_map(|service| self.mesh_routing.route(service));
        let targets = routes.flat_map(|route| route.destinations.iter().chain(&route.mirror));
        for service in targets.map(|(target, _)| &target.service) {
            if !traffic.iter().any(|(known, _)| known == service) {
                let mut row = ServiceTraffic::without_clients(service.to_string());
                row.policy = self.policy(service, Balancer::default());
                let own = Target { service: service.clone(), subset: None };
                take_policy(&mut row.policy, self.mesh_routing.policy(&own));
                traffic.push((service.clone(), row));
            }
        }
        let mut subsets = Subsets { blueprint: self, traffic, rows: Vec::new() };
        for (service, all_have_proxies) in callers {
            let target = Target { service: service.clone(), subset: None };
            let route = match mesh.injector.mesh {
                Mesh::Istio => subsets.route(&target),
                Mesh::Linkerd => MeshRoute::default(),
            };
            let own = self.mesh_routing.policy(&target);
            let Some((_, row)) = subsets.traffic.iter_mut().find(|(name, _)| *name == service)
            else {
                continue;
            };
            if all_have_proxies && !row.has_clients() && row.policy.via == Via::KubeProxy {
                take_policy(&mut row.policy, own);
            } else if !row.policy.work_queue && row.policy.activator.is_none() {
                // It limits the callers with a proxy alone.
                row.policy.pool = own.pool;
            }
            if !route.is_plain() {
                row.policy.mesh = Some(Box::new(route));
            }
        }
        subsets.rows
    }
}

/// Balancing and outlier detection by proxies, where the scenario does not set them.
fn take_policy(policy: &mut ServicePolicy, own: scenario::mesh_routes::Policy) {
    if policy.work_queue || policy.activator.is_some() {
        return;
    }
    policy.via = Via::Mesh;
    policy.pool = own.pool;
    if !policy.is_stated {
        policy.balancer = own.balancer.unwrap_or(Via::Mesh.usual());
        policy.is_stated = own.balancer.is_some();
    }
    policy.outlier_detection = policy.outlier_detection.or(own.outlier_detection);
}

/// The subsets of Services as rows of the traffic.
struct Subsets<'b, 't> {
    blueprint: &'b Blueprint<'b>,
    traffic: &'t mut Vec<(NamespacedName, ServiceTraffic)>,
    rows: Vec<ServiceSubset>,
}

impl Subsets<'_, '_> {
    /// Effect of proxies on the calls to a Service.
    fn route(&mut self, target: &Target) -> MeshRoute {
        let routing = &self.blueprint.mesh_routing;
        let connect_timeout = routing.policy(target).connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        let written = routing.route(&target.service);
        let retries = written.and_then(|route| route.retries).unwrap_or_else(default_retries);
        let mut route = MeshRoute {
            connect_timeout: Some(connect_timeout),
            retries: retries.retries,
            try_timeout: retries.try_timeout,
            ..MeshRoute::default()
        };
        let Some(written) = written else { return route };
        route.timeout = written.timeout;
        route.delay = written.delay;
        route.abort_share = written.abort_share;
        let is_itself = |one: &Target| one == target;
        if !written.destinations.iter().all(|(one, _)| is_itself(one)) {
            let all = written.destinations.iter();
            route.destinations = all.map(|(one, weight)| self.destination(one, *weight)).collect();
        }
        let mirror = written.mirror.as_ref();
        route.mirror = mirror.map(|(one, share)| self.destination(one, *share));
        route
    }

    /// A destination, with a row of the traffic for its subset.
    fn destination(&mut self, target: &Target, weight: f64) -> MeshDestination {
        let service = &target.service;
        let routing = &self.blueprint.mesh_routing;
        if target.subset.is_none() {
            let name = service.to_string();
            return MeshDestination { pods: name.clone(), service: name, weight };
        }
        let subset = target.subset.as_deref().unwrap_or_default();
        let name = NamespacedName::new(
            service.namespace.clone(),
            format!("{} subset {subset}", service.name),
        );
        let known = self.traffic.iter().any(|(known, _)| *known == name);
        if !known {
            // Of a subset that no DestinationRule has, Envoy knows no pod.
            let none: Labels = [("", "no such subset")].into_iter().collect();
            let labels = routing.labels(target).cloned().unwrap_or(none);
            let mut row = ServiceTraffic::without_clients(name.to_string());
            take_policy(&mut row.policy, routing.policy(target));
            self.rows.push(ServiceSubset {
                position: self.traffic.len(),
                service: service.clone(),
                labels,
            });
            self.traffic.push((name.clone(), row));
        }
        MeshDestination { pods: name.to_string(), service: service.to_string(), weight }
    }
}
