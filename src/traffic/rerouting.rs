//! Requests that come by routes, when Ingresses, HTTPRoutes or Services change: other ways, other parts of the requests,
//! other time-outs, or no way at all.
//!
//! What was looked up ahead of time is looked at again, so that the requests are those that would have come anyway: a
//! change says where they go, and nothing else.

use std::ops::Range;

use super::arrivals::{Coming, WayId};
use super::network::{Edge, Route};
use super::path::{ServiceId, Traffic};
use super::recording::FailureCause;
use super::route_policy::{RoutePolicy, RouteTraffic};
use engine::{SimTime, Streams};

/// Requests that a gateway answers itself, as there is nowhere to send them.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    arrivals: Coming,
    /// The service at which they count.
    service: u32,
    cause: FailureCause,
}

impl Traffic {
    /// From `now` on those requests go a way whose drawn numbers, from 0 to 1, are in one of these ranges.
    pub fn reroute(&mut self, now: SimTime, way: WayId, ranges: &[Range<f64>]) {
        self.advance(now);
        let of_services = self.services.iter_mut().map(|service| &mut service.arrivals);
        let of_routes = self.network.routes.iter_mut().map(|route| &mut route.arrivals);
        let refused = self.refused.iter_mut().map(|refused| &mut refused.arrivals);
        for arrivals in of_services.chain(of_routes).chain(refused) {
            arrivals.reroute(way, now, ranges);
        }
    }

    /// A further way to a service for the requests of which a part goes the way `beside`; none goes it yet. The
    /// arrivals of `route` do not count.
    pub fn add_route(
        &mut self,
        now: SimTime,
        service: ServiceId,
        (beside, way): (WayId, WayId),
        route: RouteTraffic,
    ) {
        self.advance(now);
        let Some(arrivals) = self.way_beside(now, beside, way) else { return };
        let edges = &mut self.network.edges;
        let route = Route::new(route, service.0, &self.network.names, edges, self.streams);
        let main = route.main.as_ref().map(|(main, _)| *main);
        self.network.routes.push(Route { arrivals, ..route });
        // The requests of a route need events.
        for service in std::iter::once(service.0).chain(main) {
            self.services[service as usize].is_networked = true;
            self.spread_network(now, ServiceId(service));
        }
    }

    /// A further way for such requests that leads nowhere: they fail for `cause`, and count at this service.
    pub fn add_refusal(
        &mut self,
        now: SimTime,
        service: ServiceId,
        (beside, way): (WayId, WayId),
        cause: FailureCause,
    ) {
        self.advance(now);
        if let Some(arrivals) = self.way_beside(now, beside, way) {
            self.refused.push(Refused { arrivals, service: service.0, cause });
        }
    }

    /// The requests that go a way from `now` on are treated by this policy. Nothing changes for those that clients'
    /// patience alone ends.
    pub fn set_route_policy(&mut self, now: SimTime, way: WayId, policy: &RoutePolicy) {
        self.advance(now);
        let Self { network, streams, .. } = self;
        let position = network.routes.iter().position(|route| route.arrivals.has_way(way));
        let Some(route) = position.and_then(|position| network.routes.get_mut(position)) else {
            return;
        };
        let number = u64::try_from(route.edges.len()).unwrap_or(u64::MAX);
        let to = Target { name: &route.name, names: &network.names, streams: *streams };
        let has_port = route.edges.last().is_none_or(|(_, edge)| {
            network.edges.get(*edge as usize).is_none_or(|edge| edge.has_port)
        });
        let edge = to.edge(RETRIES, route.service, number, (policy, has_port), &mut network.edges);
        route.edges.push((now, edge));
        if let Some((main, edges)) = &mut route.main {
            let policy = (policy, has_port);
            edges.push((now, to.edge(CANARY_RETRIES, *main, number, policy, &mut network.edges)));
        }
    }

    fn way_beside(&self, now: SimTime, beside: WayId, way: WayId) -> Option<Coming> {
        let of_services = self.services.iter().map(|service| &service.arrivals);
        let of_routes = self.network.routes.iter().map(|route| &route.arrivals);
        let refused = self.refused.iter().map(|refused| &refused.arrivals);
        let mut all = of_services.chain(of_routes).chain(refused);
        all.find_map(|arrivals| arrivals.way_beside(beside, way, now))
    }

    /// Answers the requests that go nowhere.
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

/// Streams of the further tries at requests that come by a route, and at those that a canary leaves.
const RETRIES: &str = "retries of route";
const CANARY_RETRIES: &str = "retries of the canary of route";

/// What the edges of a route have in common.
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
        let RouteTraffic { name, arrivals, mut policies, has_port, canary_of } = route;
        if policies.is_empty() {
            policies.push((SimTime::ZERO, RoutePolicy::default()));
        }
        let to = Target { name: &name, names, streams };
        let mut edges_to = |purpose: &str, service: u32| -> Vec<(SimTime, u32)> {
            let numbered = (0..).zip(&policies).map(|(number, (since, policy))| {
                (*since, to.edge(purpose, service, number, (policy, has_port), edges))
            });
            numbered.collect()
        };
        let own = edges_to(RETRIES, service);
        let position = |main: String| (0..).zip(names).find(|(_, name)| **name == main);
        let main = canary_of.and_then(position);
        let main = main.map(|(main, _)| (main, edges_to(CANARY_RETRIES, main)));
        Self { arrivals: Coming::new(arrivals), service, edges: own, main, is_entered: false, name }
    }
}
