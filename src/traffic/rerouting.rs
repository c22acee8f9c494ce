//! Routed requests when Ingresses, HTTPRoutes or Services change: new routes, shares or timeouts, or no route at all.
//!
//! Arrivals already looked up are re-evaluated, so the requests themselves are unchanged: a change only affects where
//! they go.

use std::ops::Range;

use super::arrivals::{BranchId, BufferedArrivals};
use super::network::{Edge, MeshEdge, Route};
use super::path::{ServiceId, Traffic};
use super::recording::FailureCause;
use super::route_policy::{RoutePolicy, RouteTraffic};
use engine::{SimTime, Streams};

/// Requests without a destination, which a gateway answers itself.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    arrivals: BufferedArrivals,
    /// The service to which they are attributed.
    service: u32,
    cause: FailureCause,
}

impl Traffic {
    /// From `now` on requests whose drawn numbers, from 0 to 1, are in one of these ranges take this route.
    pub fn reroute(&mut self, now: SimTime, branch: BranchId, ranges: &[Range<f64>]) {
        self.advance(now);
        let of_services = self.services.iter_mut().map(|service| &mut service.arrivals);
        let of_routes = self.network.routes.iter_mut().map(|route| &mut route.arrivals);
        let refused = self.refused.iter_mut().map(|refused| &mut refused.arrivals);
        for arrivals in of_services.chain(of_routes).chain(refused) {
            arrivals.reroute(branch, now, ranges);
        }
    }

    /// Adds a route to a service that shares the requests of the route `beside`; it gets no requests yet. The arrivals of
    /// `route` are ignored.
    pub fn add_route(
        &mut self,
        now: SimTime,
        service: ServiceId,
        (beside, branch): (BranchId, BranchId),
        route: RouteTraffic,
    ) {
        self.advance(now);
        let Some(arrivals) = self.split_branch(now, beside, branch) else { return };
        let edges = &mut self.network.edges;
        let route = Route::new(route, service.0, &self.network.names, edges, self.streams);
        let main = route.main.as_ref().map(|(main, _)| *main);
        self.network.routes.push(Route { arrivals, ..route });
        // Routed requests need events.
        for service in std::iter::once(service.0).chain(main) {
            self.services[service as usize].is_networked = true;
            self.spread_network(now, ServiceId(service));
        }
    }

    /// Adds a route without a destination for such requests: they fail with `cause`, and are attributed to this
    /// service.
    pub fn add_refusal(
        &mut self,
        now: SimTime,
        service: ServiceId,
        (beside, branch): (BranchId, BranchId),
        cause: FailureCause,
    ) {
        self.advance(now);
        if let Some(arrivals) = self.split_branch(now, beside, branch) {
            self.refused.push(Refused { arrivals, service: service.0, cause });
        }
    }

    /// Applies this policy to requests of a route from `now` on. Requests that are limited only by the clients' timeout
    /// are unaffected.
    pub fn set_route_policy(&mut self, now: SimTime, branch: BranchId, policy: &RoutePolicy) {
        self.advance(now);
        let Self { network, streams, .. } = self;
        let position = network.routes.iter().position(|route| route.arrivals.has_branch(branch));
        let Some(route) = position.and_then(|position| network.routes.get_mut(position)) else {
            return;
        };
        let number = u64::try_from(route.edges.len()).unwrap_or(u64::MAX);
        let to = Target { name: &route.name, names: &network.names, streams: *streams };
        let has_port = route.edges.last().is_none_or(|(_, edge)| {
            network.edges.get(*edge as usize).is_none_or(|edge| edge.has_port)
        });
        let edge = to.edge(RETRIES, route.service, number, (policy, has_port), &mut network.edges);
        network.edges[edge as usize].mesh = mirroring(&route.mirrors);
        route.edges.push((now, edge));
        if let Some((main, edges)) = &mut route.main {
            let policy = (policy, has_port);
            let edge = to.edge(CANARY_RETRIES, *main, number, policy, &mut network.edges);
            network.edges[edge as usize].mesh = mirroring(&route.mirrors);
            edges.push((now, edge));
        }
    }

    fn split_branch(
        &self,
        now: SimTime,
        beside: BranchId,
        branch: BranchId,
    ) -> Option<BufferedArrivals> {
        let of_services = self.services.iter().map(|service| &service.arrivals);
        let of_routes = self.network.routes.iter().map(|route| &route.arrivals);
        let refused = self.refused.iter().map(|refused| &refused.arrivals);
        let mut all = of_services.chain(of_routes).chain(refused);
        all.find_map(|arrivals| arrivals.split_branch(beside, branch, now))
    }

    /// Answers requests without a destination.
    pub(super) fn refuse(&mut self, until: SimTime) {
        let Self { refused, records, .. } = self;
        for Refused { arrivals, service, cause } in refused {
            let record = &mut records.services[*service as usize];
            while let Some(arrival) = arrivals.take(until) {
                record.arrived(arrival.at);
                record.failed(arrival.at, *cause);
            }
        }
    }
}

/// Random streams for retries of routed requests, and of those that a canary leaves.
const RETRIES: &str = "retries of route";
const CANARY_RETRIES: &str = "retries of the canary of route";
/// Random streams of mirrored requests.
const MIRRORED: &str = "mirrored requests of route";

/// The mirroring of a route's requests, if there is any.
fn mirroring(mirrors: &[(u32, f64)]) -> Option<Box<MeshEdge>> {
    let mirrors = mirrors.to_vec();
    (!mirrors.is_empty()).then(|| Box::new(MeshEdge { mirrors, ..MeshEdge::default() }))
}

/// The common properties of a route's edges.
struct Target<'a> {
    name: &'a str,
    names: &'a [String],
    streams: Streams,
}

impl Target<'_> {
    /// Adds the edge to a service for the policy of this number.
    fn edge(
        &self,
        purpose: &str,
        service: u32,
        number: u64,
        (policy, has_port): (&RoutePolicy, bool),
        edges: &mut Vec<Edge>,
    ) -> u32 {
        let position = u32::try_from(edges.len()).expect("fewer than 2^32");
        let name = format!("{purpose} {} to {}", self.name, self.names[service as usize]);
        let stream = self.streams.stream(&name, number);
        let mut edge = Edge::of_route(service, policy, stream);
        edge.has_port = has_port;
        edges.push(edge);
        position
    }
}

impl Route {
    /// A route to a service, with an edge for each of its policies.
    pub(super) fn new(
        route: RouteTraffic,
        service: u32,
        names: &[String],
        edges: &mut Vec<Edge>,
        streams: Streams,
    ) -> Self {
        let RouteTraffic { name, arrivals, mut policies, has_port, canary_of, mirrors } = route;
        if policies.is_empty() {
            policies.push((SimTime::ZERO, RoutePolicy::default()));
        }
        let to = Target { name: &name, names, streams };
        let position = |main: &String| (0..).zip(names).find(|(_, name)| *name == main);
        let mirrors = mirrors.iter().filter_map(|(service, share)| {
            let (service, _) = position(service)?;
            let plain = (&RoutePolicy::default(), true);
            Some((to.edge(MIRRORED, service, 0, plain, edges), *share))
        });
        let mirrors: Vec<(u32, f64)> = mirrors.collect();
        let mut edges_to = |purpose: &str, service: u32| -> Vec<(SimTime, u32)> {
            let numbered = (0..).zip(&policies).map(|(number, (since, policy))| {
                let edge = to.edge(purpose, service, number, (policy, has_port), edges);
                edges[edge as usize].mesh = mirroring(&mirrors);
                (*since, edge)
            });
            numbered.collect()
        };
        let own = edges_to(RETRIES, service);
        let main = canary_of.as_ref().and_then(position);
        let main = main.map(|(main, _)| (main, edges_to(CANARY_RETRIES, main)));
        Self {
            arrivals: BufferedArrivals::new(arrivals),
            service,
            edges: own,
            main,
            is_entered: false,
            mirrors,
            name,
        }
    }
}
