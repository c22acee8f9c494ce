//! The requests that Ingresses and HTTPRoutes bring to Services.

use super::Blueprint;
use crate::cluster::{NamespacedName, ServiceReference};
use crate::engine::Streams;
use crate::manifest::{Diagnostic, Diagnostics, Place};
use crate::traffic::{ServiceTraffic, Way};

impl Blueprint<'_> {
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
            for (service, ranges) in self.ways(&entrance.host, &entrance.path) {
                let spec = entrance.as_traffic(&ServiceReference(service.clone()));
                let stream = streams.stream(&format!("arrivals at {url}"), 0);
                let path = format!("ingress[{position}]");
                match spec.arrivals_with(&path, &traces, stream) {
                    Err(mistakes) => return self.report(mistakes, problems),
                    Ok(arrivals) => {
                        let way = arrivals.routed(ranges, ways.clone());
                        self.add_arrivals(traffic, &service, way, &spec);
                    }
                }
            }
        }
    }

    /// The services that requests to a host and path go to at some time, in the order in which they
    /// first do, and which part of the requests goes to each. Where no rule is left, the requests go
    /// where they went last: whoever answers for that is the Service.
    fn ways(&self, host: &str, path: &str) -> Vec<(NamespacedName, Vec<Way>)> {
        let mut ways: Vec<(NamespacedName, Vec<Way>)> = Vec::new();
        for (since, routing) in &self.routings {
            // That there is no rule at the start is reported by the scenario's own check.
            let Some(rule) = routing.find(host, path) else { continue };
            let all: u64 = rule.backends.iter().map(|(_, weight)| weight).sum();
            for (_, ranges) in &mut ways {
                ranges.push(Way { since: *since, from: 0.0, to: 0.0 });
            }
            let mut passed = 0;
            for (service, weight) in rule.backends.iter().filter(|(_, weight)| *weight > 0) {
                let [from, to] = [passed, passed + weight].map(|part| part as f64 / all as f64);
                let way = Way { since: *since, from, to };
                match ways.iter_mut().find(|(known, _)| known == service) {
                    Some((_, ranges)) => ranges.push(way),
                    None => ways.push((service.clone(), vec![way])),
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
