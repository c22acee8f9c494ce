//! The gateway: routes external requests by the Ingresses, HTTPRoutes and Services that the store currently holds.

use std::ops::Range;

use super::endpoints::traffic_id;
use super::environment::Environment;
use cluster::{Change, Kind, NamespacedName, ObjectId, ObjectReference, Store};
use scenario::Routing;
use scenario::routing::Destination;
use traffic::{
    Arrivals, BranchId, FailureCause, IngressRouteSpec, RoutePolicy, RouteTraffic, ServiceId,
    Traffic,
};

/// Client requests to one host and path, and their destinations.
#[derive(Clone, Debug)]
pub struct IngressRoute {
    spec: IngressRouteSpec,
    branches: Vec<(BranchId, BranchTarget)>,
    /// The current destinations, with their weights.
    parts: Vec<(Destination, u64)>,
    /// True if a rule matches the requests.
    has_rule: bool,
    policy: RoutePolicy,
    /// Services that get a share of the requests a second time, as the rule has it at the start.
    mirrors: Vec<(String, f64)>,
}

/// The target of a branch.
#[derive(Clone, Debug, PartialEq)]
enum BranchTarget {
    /// A Service; with a policy if the branch keeps the same one throughout the run.
    Service(Destination, Option<Box<RoutePolicy>>),
    /// An error of the gateway itself.
    Error(FailureCause),
}

/// All ingress routes, and the objects that determine their destinations.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    ingress: Vec<IngressRoute>,
    /// Ingresses, IngressClasses, HTTPRoutes and Services, in the order in which they were created.
    objects: Vec<ObjectId>,
    /// True if one of them has changed since the last [`Self::follow`].
    is_stale: bool,
    next_branch: u32,
}

/// The destinations of requests to a host and path, with their weights; `None` if no rule matches.
pub(super) fn parts_of(
    routing: &Routing,
    ingress_route: &IngressRouteSpec,
) -> Option<Vec<(Destination, u64)>> {
    let rule = routing.find(&ingress_route.host, &ingress_route.path)?;
    let parts = routing.destinations(rule).into_iter();
    Some(parts.filter(|(_, weight)| *weight > 0).collect())
}

/// The interval of each destination when the weights are scaled to add up to 1.
fn ranges(parts: &[(Destination, u64)]) -> impl Iterator<Item = (&Destination, Range<f64>)> {
    let all: u64 = parts.iter().map(|(_, weight)| weight).sum();
    parts.iter().scan(0, move |passed, (destination, weight)| {
        let from = *passed;
        *passed += weight;
        Some((destination, from as f64 / all as f64..*passed as f64 / all as f64))
    })
}

impl IngressRoute {
    /// An ingress route with these initial destinations, and no branches yet.
    pub(super) fn new(
        spec: IngressRouteSpec,
        parts: Vec<(Destination, u64)>,
        policy: RoutePolicy,
    ) -> Self {
        Self { spec, branches: Vec::new(), parts, has_rule: true, policy, mirrors: Vec::new() }
    }

    /// The same with requests mirrored to these Services.
    pub(super) fn mirrored(self, mirrors: Vec<(String, f64)>) -> Self {
        Self { mirrors, ..self }
    }

    /// Adds a branch to a Service; `fixed` is the policy if the branch keeps the same one throughout the run.
    pub(super) fn add_branch(
        &mut self,
        id: BranchId,
        destination: Destination,
        fixed: Option<RoutePolicy>,
    ) {
        self.branches.push((id, BranchTarget::Service(destination, fixed.map(Box::new))));
    }

    /// The intervals of a destination.
    pub(super) fn ranges_of(&self, destination: &Destination) -> Vec<Range<f64>> {
        let own = ranges(&self.parts).filter(|(one, _)| *one == destination);
        own.map(|(_, range)| range).collect()
    }

    /// Reroutes the requests if this routing changes their destinations or policy.
    fn follow(
        &mut self,
        env: &mut Environment,
        traffic: &mut Traffic,
        routing: &Routing,
        next_branch: &mut u32,
    ) {
        let rule = routing.find(&self.spec.host, &self.spec.path);
        let parts = parts_of(routing, &self.spec).unwrap_or_default();
        let policy = rule
            .map_or_else(|| self.policy.clone(), |rule| routing.limits(rule).policy(&self.spec));
        let is_same =
            (&parts, rule.is_some(), &policy) == (&self.parts, self.has_rule, &self.policy);
        if is_same || self.branches.is_empty() {
            return;
        }
        if policy != self.policy {
            for (branch, _) in &self.branches {
                traffic.set_route_policy(env.now, *branch, &policy);
            }
        }
        self.policy = policy;
        let mut taken: Vec<(BranchId, Range<f64>)> = Vec::new();
        for (destination, range) in ranges(&parts) {
            taken.push((self.branch_to(env, traffic, destination, next_branch), range));
        }
        if parts.is_empty() {
            let cause = match rule {
                Some(_) => FailureCause::NoEndpoint,
                None => FailureCause::NoRoute,
            };
            taken.push((self.error(env, traffic, cause, next_branch), 0.0..1.0));
        }
        for (branch, _) in &self.branches {
            let own = taken.iter().filter(|(taken, _)| taken == branch);
            let own: Vec<Range<f64>> = own.map(|(_, range)| range.clone()).collect();
            traffic.reroute(env.now, *branch, &own);
        }
        if rule.is_none() {
            let url = self.spec.url();
            let message = format!("no Ingress or HTTPRoute has a rule for {url}: requests get 404");
            env.warn("scenario", &self.service(), "NoRoute", message);
        }
        (self.parts, self.has_rule) = (parts, rule.is_some());
    }

    /// The Service that errors of the gateway are attributed to: the first possible destination.
    fn service(&self) -> ObjectReference {
        let first = self.branches.iter().find_map(|(_, to)| match to {
            BranchTarget::Service(destination, _) => Some(destination.service.clone()),
            BranchTarget::Error(_) => None,
        });
        let NamespacedName { namespace, name } =
            first.unwrap_or_else(|| NamespacedName::new("", ""));
        ObjectReference::new(Kind::Service, namespace, name)
    }

    /// The branch to a Service, created if needed. A Service that had no traffic when the run started cannot be
    /// reached.
    fn branch_to(
        &mut self,
        env: &mut Environment,
        traffic: &mut Traffic,
        destination: &Destination,
        next_branch: &mut u32,
    ) -> BranchId {
        let is_it = |(_, to): &&(BranchId, BranchTarget)| match to {
            BranchTarget::Service(own, fixed) => {
                own == destination && fixed.as_ref().is_none_or(|fixed| **fixed == self.policy)
            }
            BranchTarget::Error(_) => false,
        };
        if let Some((branch, _)) = self.branches.iter().find(is_it) {
            return *branch;
        }
        let Some(service) = position(env, &destination.service) else {
            let (url, service) = (self.spec.url(), &destination.service);
            let message = format!(
                "requests to {url} cannot reach Service {service}, to which no traffic, call or route of the \
                 scenario's files leads; they fail as if it had no endpoint"
            );
            env.warn("scenario", &self.service(), "NoWay", message);
            return self.error(env, traffic, FailureCause::NoEndpoint, next_branch);
        };
        let branches =
            self.new_branch(next_branch, BranchTarget::Service(destination.clone(), None));
        let route = RouteTraffic {
            name: self.spec.url(),
            arrivals: Arrivals::none(),
            policies: vec![(env.now, self.policy.clone())],
            has_port: destination.has_port,
            canary_of: destination.canary_of.as_ref().map(ToString::to_string),
            mirrors: self.mirrors.clone(),
        };
        traffic.add_route(env.now, service, branches, route);
        branches.1
    }

    /// The branch to an error of the gateway.
    fn error(
        &mut self,
        env: &Environment,
        traffic: &mut Traffic,
        cause: FailureCause,
        next_branch: &mut u32,
    ) -> BranchId {
        if let Some((branch, _)) =
            self.branches.iter().find(|(_, to)| *to == BranchTarget::Error(cause))
        {
            return *branch;
        }
        let branches = self.new_branch(next_branch, BranchTarget::Error(cause));
        if let Some(service) = position(env, &self.service().id) {
            traffic.add_refusal(env.now, service, branches, cause);
        }
        branches.1
    }

    /// An existing branch, and a new sibling of it.
    fn new_branch(&mut self, next_branch: &mut u32, to: BranchTarget) -> (BranchId, BranchId) {
        let new = BranchId(*next_branch);
        *next_branch += 1;
        let beside = self.branches.first().map_or(new, |(branch, _)| *branch);
        self.branches.push((new, to));
        (beside, new)
    }
}

/// The traffic's id of a Service.
fn position(env: &Environment, service: &NamespacedName) -> Option<ServiceId> {
    env.world.traffic_position(service).map(traffic_id)
}

impl Routes {
    pub(super) fn new(ingress_routes: &[IngressRoute]) -> Self {
        let branches = ingress_routes.iter().flat_map(|ingress_route| &ingress_route.branches);
        Self {
            next_branch: branches.map(|(branch, _)| branch.0 + 1).max().unwrap_or(0),
            ingress: ingress_routes.to_vec(),
            objects: Vec::new(),
            is_stale: false,
        }
    }

    /// Notes a change of an object that can affect the routing.
    pub(super) fn on_change(&mut self, change: &Change) {
        let (Change::Spec(object, _) | Change::Removed { object, .. }) = change else { return };
        let has_say = matches!(
            object,
            ObjectId::Ingress(_)
                | ObjectId::IngressClass(_)
                | ObjectId::HTTPRoute(_)
                | ObjectId::Service(_)
        );
        if !has_say || self.ingress.is_empty() {
            return;
        }
        self.is_stale = true;
        match change {
            Change::Removed { .. } => self.objects.retain(|one| one != object),
            _ if self.objects.contains(object) => {}
            _ => self.objects.push(*object),
        }
    }

    /// Reroutes requests if the objects have changed.
    pub(super) fn follow(&mut self, env: &mut Environment, traffic: &mut Traffic) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        let routing = self.routing(env.store());
        for ingress_route in &mut self.ingress {
            ingress_route.follow(env, traffic, &routing, &mut self.next_branch);
        }
    }

    fn routing(&self, store: &Store) -> Routing {
        let mut routing = Routing::default();
        for object in &self.objects {
            let Some(meta) = store.meta_of(*object) else { continue };
            let Some(document) = &meta.document else { continue };
            let reference = ObjectReference { kind: object.kind(), id: meta.id.clone() };
            routing.add(&reference, &document.object);
        }
        routing
    }
}
