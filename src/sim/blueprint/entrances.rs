//! The requests that Ingresses and HTTPRoutes bring to Services.

use super::Blueprint;
use cluster::{NamespacedName, ObjectReference, ServiceReference};
use engine::{SimDuration, SimTime, Streams};
use manifest::{Diagnostic, Diagnostics, Place, Severity};
use scenario::routing::Destination;
use scenario::{route_problems, target_problems};
use traffic::{Arrivals, Balancer, EntranceSpec, RoutePolicy, RouteTraffic, ServiceTraffic, Way};

impl Blueprint<'_> {
    /// Where requests go from now on. What is wrong with that is an error at the start; later it is what the
    /// run is about, and only told.
    pub(super) fn add_routing(&mut self, since: SimTime, problems: &mut Diagnostics) {
        let routing = self.documents.routing();
        if self.routings.last().is_some_and(|(_, before)| *before == routing) {
            return;
        }
        let entrances = &self.resolved.scenario().ingress;
        if !entrances.is_empty() {
            let said = target_problems(&routing, entrances, |object| self.documents.get(object));
            for problem in said {
                let later = Diagnostic { severity: Severity::Warning, ..problem.clone() };
                let is_known = problems.iter().any(|known| *known == problem || *known == later);
                if !is_known {
                    problems.push(if since == SimTime::ZERO { problem } else { later });
                }
            }
        }
        // Of several at one instant the last counts.
        self.routings.retain(|(earlier, _)| *earlier < since || since == SimTime::ZERO);
        self.routings.push((since, routing));
    }

    /// What the API server would refuse in a route after a patch.
    pub(super) fn patched_route(&self, object: &ObjectReference, problems: &mut Diagnostics) {
        if self.resolved.scenario().ingress.is_empty() {
            return;
        }
        let said = self.documents.get(object).into_iter().flat_map(route_problems);
        let errors = said.filter(|problem| problem.severity == Severity::Error);
        errors.for_each(|problem| problems.push(problem));
    }

    /// Settings of the command line may take away the rule that the manifests have for a host and path.
    pub(super) fn entrances_lead_on(&self, problems: &mut Diagnostics) {
        if problems.has_errors() {
            return;
        }
        let routing = &self.routings[0].1;
        for entrance in &self.resolved.scenario().ingress {
            if routing.find(&entrance.host, &entrance.path).is_none() {
                let message = format!(
                    "with these settings no Ingress or HTTPRoute has a rule for {}",
                    entrance.url()
                );
                problems.push(
                    Diagnostic::error("invalid-route", message).at(Place::whole(&"--set".into())),
                );
            }
        }
    }

    /// Adds the requests that Ingresses and HTTPRoutes bring to services.
    pub(super) fn add_entrances(
        &self,
        traffic: &mut Vec<(NamespacedName, ServiceTraffic)>,
        streams: Streams,
        problems: &mut Diagnostics,
    ) {
        for (position, entrance) in self.resolved.scenario().ingress.iter().enumerate() {
            let url = entrance.url();
            let ways = streams.stream(&format!("ways of {url}"), 0);
            let traces = |path: &str| self.resolved.files.trace(path);
            let policies = self.route_policies(entrance);
            for (destination, ranges) in self.ways(&entrance.host, &entrance.path) {
                let service = ServiceReference(destination.service.clone());
                let spec = entrance.as_traffic(&service);
                let stream = streams.stream(&format!("arrivals at {url}"), 0);
                let path = format!("ingress[{position}]");
                match spec.arrivals_with(&path, &traces, stream) {
                    Err(mistakes) => return self.report(mistakes, problems),
                    Ok(arrivals) => {
                        let way = arrivals.routed(ranges, ways.clone());
                        self.add_way(traffic, &destination, &url, way, &policies);
                    }
                }
            }
        }
    }

    /// Adds requests that a route brings to a service, which may have some already.
    fn add_way(
        &self,
        traffic: &mut Vec<(NamespacedName, ServiceTraffic)>,
        destination: &Destination,
        url: &str,
        arrivals: Arrivals,
        policies: &[(SimTime, RoutePolicy)],
    ) {
        let Destination { service, has_port, canary_of } = destination;
        // Where clients' patience is all there is to say, requests need no more than those without a route.
        let patience = match policies {
            [(_, only)] if *has_port && canary_of.is_none() => only.patience(),
            _ => None,
        };
        let (position, is_new) = self.position_in(traffic, service, patience);
        if let Some(main) = canary_of {
            self.position_in(traffic, main, None);
        }
        let row = &mut traffic[position].1;
        match patience {
            Some(_) if is_new => row.arrivals = arrivals,
            Some(patience) if row.timeout == patience && row.retries.is_none() => {
                let own = std::mem::replace(&mut row.arrivals, Arrivals::none());
                row.arrivals = Arrivals::merged([own, arrivals]);
            }
            _ => row.routes.push(RouteTraffic {
                name: url.to_owned(),
                arrivals,
                policies: policies.to_vec(),
                has_port: *has_port,
                canary_of: canary_of.as_ref().map(ToString::to_string),
            }),
        }
    }

    /// The position of a service, which is added if it is new, and whether it is.
    fn position_in(
        &self,
        traffic: &mut Vec<(NamespacedName, ServiceTraffic)>,
        service: &NamespacedName,
        patience: Option<SimDuration>,
    ) -> (usize, bool) {
        if let Some(known) = traffic.iter().position(|(known, _)| known == service) {
            return (known, false);
        }
        let row = ServiceTraffic {
            policy: self.policy(service, Balancer::default()),
            timeout: patience.unwrap_or(SimDuration::MAX),
            ..ServiceTraffic::without_clients(service.to_string())
        };
        traffic.push((service.clone(), row));
        (traffic.len() - 1, true)
    }

    /// How the requests of an entrance are treated, from certain times on.
    fn route_policies(&self, entrance: &EntranceSpec) -> Vec<(SimTime, RoutePolicy)> {
        let rules = self.routings.iter().filter_map(|(since, routing)| {
            let rule = routing.find(&entrance.host, &entrance.path)?;
            Some((*since, routing.limits(rule).policy(entrance)))
        });
        let mut policies: Vec<(SimTime, RoutePolicy)> = rules.collect();
        policies.dedup_by(|(_, later), (_, earlier)| later == earlier);
        policies
    }

    /// Where requests to a host and path go at some time, in the order in which they first do, and which
    /// part of the requests goes to each. Where no rule is left, the requests go where they went last:
    /// whoever answers for that is the Service.
    fn ways(&self, host: &str, path: &str) -> Vec<(Destination, Vec<Way>)> {
        let mut ways: Vec<(Destination, Vec<Way>)> = Vec::new();
        for (since, routing) in &self.routings {
            // That there is no rule at the start is reported by the scenario's own check.
            let Some(rule) = routing.find(host, path) else { continue };
            let parts = routing.destinations(rule);
            let all: u64 = parts.iter().map(|(_, weight)| weight).sum();
            for (_, ranges) in &mut ways {
                ranges.push(Way { since: *since, from: 0.0, to: 0.0 });
            }
            let mut passed = 0;
            for (destination, weight) in parts.into_iter().filter(|(_, weight)| *weight > 0) {
                let [from, to] = [passed, passed + weight].map(|part| part as f64 / all as f64);
                let way = Way { since: *since, from, to };
                match ways.iter_mut().find(|(known, _)| *known == destination) {
                    Some((_, ranges)) => ranges.push(way),
                    None => ways.push((destination, vec![way])),
                }
                passed += weight;
            }
        }
        ways
    }
}

/// Whether it says that Ingresses or HTTPRoutes play no part, which is wrong where requests come by them.
pub(super) fn is_of_routes(problem: &Diagnostic) -> bool {
    let is_said_of = |kind: &str| problem.message.contains(&format!("of kind {kind}:"));
    problem.code == "not-simulated" && (is_said_of("Ingress") || is_said_of("HTTPRoute"))
}
