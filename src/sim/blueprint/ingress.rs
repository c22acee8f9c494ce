//! Requests that Ingresses and HTTPRoutes route to Services.

use super::Blueprint;
use crate::routes::{IngressRoute, parts_of};
use cluster::{Kind, NamespacedName, ObjectReference, ServiceReference};
use engine::{SimDuration, SimTime, Streams};
use manifest::{Diagnostic, Diagnostics, Location, Severity};
use scenario::routing::Destination;
use scenario::{route_problems, target_problems};
use traffic::{
    Arrivals, Balancer, BranchId, IngressRouteSpec, RoutePolicy, RouteTraffic, ServicePolicy,
    ServiceTraffic, Via,
};

impl Blueprint<'_> {
    /// Records the routing from `since` on as the timeline plans it. Problems are errors at the start; later ones
    /// are only warnings, since they may be the point of the run.
    pub(super) fn add_routing(&mut self, since: SimTime, problems: &mut Diagnostics) {
        let routing = self.documents.routing();
        if self.routings.last().is_some_and(|(_, before)| *before == routing) {
            return;
        }
        let ingress_routes = &self.resolved.scenario().ingress;
        if !ingress_routes.is_empty() {
            let reported =
                target_problems(&routing, ingress_routes, |object| self.documents.get(object));
            for problem in reported {
                let later = Diagnostic { severity: Severity::Warning, ..problem.clone() };
                let is_known = problems.iter().any(|known| *known == problem || *known == later);
                if !is_known {
                    problems.push(if since == SimTime::ZERO { problem } else { later });
                }
            }
        }
        // Of several changes at one instant the last one wins.
        self.routings.retain(|(earlier, _)| *earlier < since || since == SimTime::ZERO);
        self.routings.push((since, routing));
    }

    /// Reports the errors for which the API server would reject a patched route.
    pub(super) fn patched_route(&self, object: &ObjectReference, problems: &mut Diagnostics) {
        if self.resolved.scenario().ingress.is_empty() {
            return;
        }
        let reported = self.documents.get(object).into_iter().flat_map(route_problems);
        let errors = reported.filter(|problem| problem.severity == Severity::Error);
        errors.for_each(|problem| problems.push(problem));
    }

    /// Reports hosts and paths that have no rule any more because of settings on the command line.
    pub(super) fn check_ingress_routes(&self, problems: &mut Diagnostics) {
        if problems.has_errors() {
            return;
        }
        let routing = &self.routings[0].1;
        for ingress_route in &self.resolved.scenario().ingress {
            if routing.find(&ingress_route.host, &ingress_route.path).is_none() {
                let message = format!(
                    "after these settings no Ingress or HTTPRoute has a rule for {}",
                    ingress_route.url()
                );
                problems.push(
                    Diagnostic::error("invalid-route", message)
                        .at(Location::whole(&"--set".into())),
                );
            }
        }
    }

    /// Adds the requests that Ingresses and HTTPRoutes route to services. Every Service that is a destination at
    /// any time of the timeline is known from the start, so that the report has it.
    pub(super) fn add_ingress_routes(
        &self,
        traffic: &mut Vec<(NamespacedName, ServiceTraffic)>,
        streams: Streams,
        problems: &mut Diagnostics,
    ) -> Vec<IngressRoute> {
        let mut ingress_routes = Vec::new();
        let mut ids = (0..).map(BranchId);
        for (position, spec) in self.resolved.scenario().ingress.iter().enumerate() {
            let url = spec.url();
            let drawn = streams.stream(&format!("ways of {url}"), 0);
            let traces = |path: &str| self.resolved.files.trace(path);
            let policies = self.route_policies(spec);
            let parts = self.parts(spec);
            let via = self.via(spec);
            let mirrors = self.mirrors(spec);
            for service in mirrors.iter().map(|(service, _)| service) {
                self.position_in(traffic, service, None, via);
            }
            let mirrors: Vec<(String, f64)> =
                mirrors.iter().map(|(name, share)| (name.to_string(), *share)).collect();
            let Some(first) = policies.first().cloned() else { continue };
            let ingress_route = IngressRoute::new(spec.clone(), parts, first.clone());
            let mut ingress_route = ingress_route.mirrored(mirrors.clone());
            for destination in self.destinations(spec) {
                let service = ServiceReference(destination.service.clone());
                let as_traffic = spec.as_traffic(&service);
                let stream = streams.stream(&format!("arrivals at {url}"), 0);
                let path = format!("ingress[{position}]");
                match as_traffic.arrivals_with(&path, &traces, stream) {
                    Err(mistakes) => {
                        self.report(mistakes, problems);
                        return ingress_routes;
                    }
                    Ok(arrivals) => {
                        let id = ids.next().expect("numbers do not end");
                        let ranges = ingress_route.ranges_of(&destination);
                        let branch =
                            arrivals.routed(id, ranges, drawn.clone()).with_path(&spec.path);
                        let patience = self.add_branch(
                            traffic,
                            (&destination, &mirrors),
                            &url,
                            branch,
                            (&policies, via),
                        );
                        ingress_route.add_branch(id, destination, patience.map(|_| first.clone()));
                    }
                }
            }
            let destinations = self.destinations(spec).into_iter().map(|one| one.service);
            for service in self.beside_in_rollouts(&destinations.collect::<Vec<_>>()) {
                self.position_in(traffic, &service, None, via);
            }
            ingress_routes.push(ingress_route);
        }
        ingress_routes
    }

    /// Adds the requests of a route to a service, which may have other traffic already. Returns the clients'
    /// patience if that is the only limit on these requests throughout the run.
    fn add_branch(
        &self,
        traffic: &mut Vec<(NamespacedName, ServiceTraffic)>,
        (destination, mirrors): (&Destination, &[(String, f64)]),
        url: &str,
        arrivals: Arrivals,
        (policies, via): (&[RoutePolicy], Via),
    ) -> Option<SimDuration> {
        let Destination { service, has_port, canary_of } = destination;
        // With the clients' patience as the only limit, the requests can be treated like those without a route.
        let patience = match policies {
            [only] if *has_port && canary_of.is_none() && mirrors.is_empty() => only.patience(),
            _ => None,
        };
        let (position, is_new) = self.position_in(traffic, service, patience, via);
        if let Some(main) = canary_of {
            self.position_in(traffic, main, None, via);
        }
        let row = &mut traffic[position].1;
        match patience {
            Some(_) if is_new => row.arrivals = arrivals,
            Some(patience) if row.timeout == patience && row.retries.is_none() => {
                let own = std::mem::replace(&mut row.arrivals, Arrivals::none());
                row.arrivals = Arrivals::merged([own, arrivals]);
            }
            _ => {
                row.routes.push(RouteTraffic {
                    name: url.to_owned(),
                    arrivals,
                    policies: policies
                        .first()
                        .map(|first| (SimTime::ZERO, first.clone()))
                        .into_iter()
                        .collect(),
                    has_port: *has_port,
                    canary_of: canary_of.as_ref().map(ToString::to_string),
                    mirrors: mirrors.to_vec(),
                });
                return None;
            }
        }
        patience
    }

    /// The position of a service, and whether it was added by this call.
    pub(super) fn position_in(
        &self,
        traffic: &mut Vec<(NamespacedName, ServiceTraffic)>,
        service: &NamespacedName,
        patience: Option<SimDuration>,
        via: Via,
    ) -> (usize, bool) {
        if let Some(known) = traffic.iter().position(|(known, _)| known == service) {
            return (known, false);
        }
        let reported = self.policy(service, Balancer::default());
        let balancer = if reported.is_stated { reported.balancer } else { via.usual() };
        let row = ServiceTraffic {
            policy: ServicePolicy { via, balancer, ..reported },
            timeout: patience.unwrap_or(SimDuration::MAX),
            ..ServiceTraffic::without_clients(service.to_string())
        };
        traffic.push((service.clone(), row));
        (traffic.len() - 1, true)
    }

    /// The policies of an ingress route at the start and after each change of the timeline.
    fn route_policies(&self, ingress_route: &IngressRouteSpec) -> Vec<RoutePolicy> {
        let rules = self.routings.iter().filter_map(|(_, routing)| {
            let rule = routing.find(&ingress_route.host, &ingress_route.path)?;
            Some(routing.limits(rule).policy(ingress_route))
        });
        let mut policies: Vec<RoutePolicy> = rules.collect();
        policies.dedup();
        policies
    }

    /// The Services to which an ingress route's requests are mirrored, by its rule at the start.
    fn mirrors(&self, ingress_route: &IngressRouteSpec) -> Vec<(NamespacedName, f64)> {
        let rule = self.routings[0].1.find(&ingress_route.host, &ingress_route.path);
        rule.map(|rule| rule.mirrors().to_vec()).unwrap_or_default()
    }

    /// The kind of proxy that serves an ingress route, by its rule at the start.
    fn via(&self, ingress_route: &IngressRouteSpec) -> Via {
        let rule = self.routings[0].1.find(&ingress_route.host, &ingress_route.path);
        match rule.map(|rule| rule.object.kind) {
            Some(Kind::HTTPRoute) => Via::Gateway,
            _ => Via::IngressController,
        }
    }

    /// The destinations of an ingress route at the start, with their weights.
    fn parts(&self, ingress_route: &IngressRouteSpec) -> Vec<(Destination, u64)> {
        let routing = &self.routings[0].1;
        parts_of(routing, ingress_route).unwrap_or_default()
    }

    /// All destinations of an ingress route over the timeline, in order of first appearance.
    fn destinations(&self, ingress_route: &IngressRouteSpec) -> Vec<Destination> {
        let mut all: Vec<Destination> = Vec::new();
        let parts =
            self.routings.iter().filter_map(|(_, routing)| parts_of(routing, ingress_route));
        for (destination, _) in parts.flatten() {
            if !all.contains(&destination) {
                all.push(destination);
            }
        }
        all
    }
}
