//! Checks requests to hosts and paths: a rule in the manifests must route them to a Service that answers.

use std::collections::BTreeSet;

use super::{Checker, listed};
use crate::missing_services;
use crate::resolved::ScenarioFiles;
use crate::routing::Rule;
use cluster::{NamespacedName, ObjectReference, ServiceReference};
use manifest::FieldPath;
use traffic::{ArrivalProcess, DEFAULT_CLIENTS, IngressRouteSpec};

impl Checker<'_> {
    /// Checks `ingress`.
    pub(super) fn ingress(&mut self, files: &ScenarioFiles) {
        let list = FieldPath::ROOT.field("ingress");
        for (index, ingress_route) in self.text.scenario.ingress.iter().enumerate() {
            let path = list.item(index);
            let rule =
                self.at_start.routing.find(&ingress_route.host, &ingress_route.path).cloned();
            let Some(rule) = rule else {
                let known = listed("hosts and paths", self.at_start.routing.known());
                let message =
                    format!("no Ingress or HTTPRoute has a rule for {}", ingress_route.url());
                self.error(&path.field("host"), message, known);
                continue;
            };
            let nobody = ServiceReference(NamespacedName::new("", ""));
            let spec = ingress_route.as_traffic(&nobody);
            self.settings(&path, &spec, files);
            self.report(ingress_route.problems(&path.to_string()));
            if ingress_route.load.has_users() {
                let message = "closed-loop users need a single Service";
                self.error(&path.field("load"), message, "put them under `traffic`");
            }
            self.client_addresses(&path, ingress_route, &rule);
            if rule.backends.iter().all(|backend| backend.weight == 0) {
                let message = format!("{} sends {} nowhere", rule.object, ingress_route.url());
                self.error(&path.field("host"), message, "give a backend a weight above 0");
            }
            let later = self.ever.routing.candidates(&ingress_route.host, &ingress_route.path);
            let backends = later.into_iter().chain([&rule]).flat_map(|rule| &rule.backends);
            let services: BTreeSet<NamespacedName> =
                backends.map(|backend| backend.service.clone()).collect();
            for service in &services {
                self.service_exists(&path.field("host"), service);
                self.check_accepts_requests(&path.field("host"), service);
                self.does_not_flow(&path.field("host"), service);
            }
        }
    }

    /// Limits per client address need the number of addresses, and nothing else does.
    fn client_addresses(
        &mut self,
        path: &FieldPath<'_>,
        ingress_route: &IngressRouteSpec,
        rule: &Rule,
    ) {
        let path = path.field("clients");
        match (ingress_route.clients, self.at_start.routing.limits_clients(rule)) {
            (None, true) => self.note(
                &path,
                format!(
                    "{} limits the requests of each client address, and {DEFAULT_CLIENTS} addresses are assumed",
                    rule.object
                ),
                "set `clients` to the number of addresses that ingress-nginx sees",
            ),
            (Some(_), false) => self.warn(
                &path,
                "the rule limits no clients, so their number changes nothing",
                "remove `clients`",
            ),
            _ => {}
        }
    }

    /// Checks backends whose Service no manifest defines. If requests use such a rule, that is already an
    /// error.
    pub(super) fn backends(&mut self) {
        if !self.is_complete {
            return;
        }
        let routing = &self.ever.routing;
        let rules = self.text.scenario.ingress.iter();
        let rules = rules.filter_map(|one| routing.find(&one.host, &one.path));
        let reached = rules.flat_map(|rule| &rule.backends).map(|backend| &backend.service);
        let known: BTreeSet<_> = reached.chain(self.ever.services.keys()).collect();
        let manifest =
            |object: &ObjectReference| self.manifests.iter().find(|one| one.reference == *object);
        let missing = missing_services(routing, |service| known.contains(service), manifest);
        for problem in missing {
            self.problems.push(problem);
        }
    }

    /// Checks that the pods of a service that gets individual requests do not also get fluid traffic.
    fn does_not_flow(&mut self, path: &FieldPath, service: &NamespacedName) {
        let behind: Vec<_> = self.ever.workloads_behind(service).collect();
        let flow = self.text.scenario.traffic.iter().find(|flow| {
            flow.arrivals == Some(ArrivalProcess::Fluid)
                && self.ever.workloads_behind(&flow.service.0).any(|one| behind.contains(&one))
        });
        if let Some(flow) = flow {
            let message =
                format!("{service} shares pods with `arrivals: fluid` of {}", flow.service);
            self.error(path, message, "remove `arrivals` there");
        }
    }
}
