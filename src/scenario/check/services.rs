//! How services are reached: whether they exist, and whether it is said in one place.

use super::Checker;
use crate::manifest::FieldPath;
use crate::traffic::Balancer;

impl Checker<'_> {
    /// The settings of services.
    pub(super) fn services(&mut self) {
        let root = FieldPath::ROOT;
        let list = root.field("services");
        let scenario = &self.text.scenario;
        for (index, spec) in scenario.services.iter().enumerate() {
            let path = list.item(index);
            let at = path.field("service");
            self.report(spec.problems(&path.to_string()));
            self.service_exists(&at, &spec.service.0);
            if scenario.services[..index].iter().any(|other| other.service == spec.service) {
                let message = format!("{} is described twice", spec.service);
                self.error(&at, message, "put both into one entry");
            }
            let has_clients = |balancer: Balancer| balancer != Balancer::default();
            let twice = scenario
                .traffic
                .iter()
                .any(|traffic| traffic.service == spec.service && has_clients(traffic.balancer));
            if twice && spec.balancer.is_some() {
                self.error(
                    &path.field("balancer"),
                    format!("the balancer of {} is chosen under `traffic` as well", spec.service),
                    "leave it out there",
                );
            }
            let is_reached = scenario.traffic.iter().any(|traffic| traffic.service == spec.service)
                || scenario.calls().any(|call| call.service == spec.service);
            if !is_reached {
                self.warn(
                    &at,
                    format!("nobody sends requests to {}", spec.service),
                    "name it under `traffic`, or in the `calls` of a workload",
                );
            }
        }
    }
}
