//! Checks the settings of services: the services exist, and nothing is set in two places.

use super::Checker;
use crate::workloads::Workload;
use cluster::{NamespacedName, ObjectReference, ServiceReference};
use manifest::FieldPath;
use traffic::{Balancer, DEFAULT_CLIENTS, TRACKED_CLIENTS};

impl Checker<'_> {
    /// Checks `services`.
    pub(super) fn services(&mut self) {
        let list = FieldPath::ROOT.field("services");
        let scenario = &self.text.scenario;
        for (index, spec) in scenario.services.iter().enumerate() {
            let path = list.item(index);
            let at = path.field("service");
            self.report(spec.problems(&path.to_string()));
            self.service_exists(&at, &spec.service.0);
            if scenario.services[..index].iter().any(|other| other.service == spec.service) {
                let message = format!("{} has two entries", spec.service);
                self.error(&at, message, "merge the entries");
            }
            let has_clients = |balancer: Balancer| balancer != Balancer::default();
            let twice = scenario
                .traffic
                .iter()
                .any(|traffic| traffic.service == spec.service && has_clients(traffic.balancer));
            if twice && spec.balancer.is_some() {
                self.error(
                    &path.field("balancer"),
                    format!("the balancer of {} is also set under `traffic`", spec.service),
                    "remove it there",
                );
            }
            let balancer = spec.balancer.unwrap_or_else(|| {
                let clients = scenario.traffic.iter().find(|one| one.service == spec.service);
                clients.map_or_else(Balancer::default, |traffic| traffic.balancer)
            });
            // Overrides of manifests from the command line are not visible here.
            let tells_clients_apart = balancer == Balancer::RingHash
                || self.ever.client_affinity.contains(&spec.service.0)
                || spec.clients <= TRACKED_CLIENTS;
            if spec.clients != DEFAULT_CLIENTS && !tells_clients_apart {
                self.warn(
                    &path.field("clients"),
                    "clients are not distinguished, so their number changes nothing",
                    "add `balancer: ringHash`, or `sessionAffinity: ClientIP` to the Service",
                );
            }
            self.balancer_knows_pods(&path.field("balancer"), &spec.service.0, spec.balancer);
            if !self.is_reached(&spec.service) {
                self.warn(
                    &at,
                    format!("{} gets no requests from traffic or calls", spec.service),
                    "add it to `traffic`, or to the `calls` of a workload",
                );
            }
        }
    }

    /// Warns if a load-balancing rule for inference servers is used with pods that serve no
    /// language model.
    pub(super) fn balancer_knows_pods(
        &mut self,
        path: &FieldPath,
        service: &NamespacedName,
        balancer: Option<Balancer>,
    ) {
        let Some(Balancer::LeastKvCache | Balancer::PrefixCache) = balancer else { return };
        let behind: Vec<&ObjectReference> = self.ever.workloads_behind(service).collect();
        let described = self.text.scenario.workloads.iter();
        let mut behind = described.filter(|one| behind.contains(&&one.workload)).peekable();
        if behind.peek().is_some() && !behind.any(Workload::serves_language_model) {
            let message = format!(
                "the pods of {service} serve no language model, so this rule only considers requests in flight"
            );
            self.warn(
                path,
                message,
                "write leastConnections, or set `requests: {llm: ...}` of the pods",
            );
        }
    }

    /// True if the service gets requests from clients or from other services.
    pub(super) fn is_reached(&self, service: &ServiceReference) -> bool {
        let scenario = &self.text.scenario;
        scenario.traffic.iter().any(|traffic| traffic.service == *service)
            || scenario.calls().any(|call| call.service == *service)
            || self.is_entrance_to(&service.0)
    }

    /// True if requests under `ingress` reach the service at some time.
    fn is_entrance_to(&self, service: &NamespacedName) -> bool {
        self.text.scenario.ingress.iter().any(|ingress_route| {
            let rules = self.ever.routing.candidates(&ingress_route.host, &ingress_route.path);
            rules.iter().flat_map(|rule| &rule.backends).any(|one| one.service == *service)
        })
    }
}
