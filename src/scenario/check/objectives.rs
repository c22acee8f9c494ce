//! Checks that objectives can be both met and missed.

use super::Checker;
use crate::objectives::{CostObjective, Objective, ServiceObjective};
use cluster::NamespacedName;
use engine::SimDuration;
use manifest::FieldPath;
use traffic::{ArrivalProcess, TrafficSpec};

impl Checker<'_> {
    /// Checks `objectives`.
    pub(super) fn objectives(&mut self) {
        let list = FieldPath::ROOT.field("objectives");
        for (index, objective) in self.text.scenario.objectives.iter().enumerate() {
            let path = list.item(index);
            match objective {
                Objective::Service(objective) => self.service_objective(&path, objective),
                Objective::Cost(objective) => self.cost_objective(&path, objective),
            }
        }
    }

    fn service_objective(&mut self, path: &FieldPath, objective: &ServiceObjective) {
        self.service_exists(&path.field("service"), &objective.service.0);
        if let Some(class) = &objective.class {
            self.class_exists(&path.field("class"), &objective.service.0, class);
            self.has_no_flow(&path.field("class"), &objective.service.0);
        }
        let latency = path.field("latency");
        let time_out = self.longest_time_out();
        for (figure, limit) in objective.latency.limits() {
            if let Some(time_out) =
                time_out.filter(|time_out| *time_out > SimDuration::ZERO && limit >= *time_out)
            {
                let message = format!(
                    "{} s is always met by answered requests, because clients give up after {} s",
                    limit.as_secs_f64(),
                    time_out.as_secs_f64()
                );
                self.warn(
                    &latency.field(figure),
                    message,
                    "a plain number is seconds; write 300ms",
                );
            }
            if limit == SimDuration::ZERO {
                self.error(
                    &latency.field(figure),
                    "a limit of 0s cannot be met",
                    "set a limit such as 300ms",
                );
            }
        }
        for (field, percent) in [
            ("availability", objective.availability),
            ("availabilityByTime", objective.availability_by_time),
            ("availabilityByUser", objective.availability_by_user),
            ("windowedByUser", objective.windowed_by_user.first().map(|one| one.availability)),
            ("goodMinutes", objective.good_minutes),
            ("downBelow", Some(objective.down_below)),
        ] {
            let Some(percent) = percent else { continue };
            let path = path.field(field);
            if !(0.0..=100.0).contains(&percent) {
                self.error(
                    &path,
                    "the value is not between 0 and 100",
                    "write percent, such as 99.9",
                );
            } else if percent > 0.0 && percent <= 1.0 {
                let message = format!("{percent} % is met by almost any system");
                let help = format!("write {} for the ratio {percent}", percent * 100.0);
                self.warn(&path, message, help);
            }
        }
    }

    /// Checks that the service gets no fluid traffic, which has no request classes.
    fn has_no_flow(&mut self, path: &FieldPath, service: &NamespacedName) {
        let mut traffic = self.text.scenario.traffic.iter();
        let is_flow = |one: &TrafficSpec| one.arrivals == Some(ArrivalProcess::Fluid);
        if traffic.any(|one| one.service.0 == *service && is_flow(one)) {
            self.error(
                path,
                "fluid requests (`arrivals: fluid`) have the mean cost of their classes and are not counted by class",
                "remove `class`, or `arrivals: fluid`",
            );
        }
    }

    /// The longest time after which a client gives up; `None` if unknown, as a route may allow more time.
    fn longest_time_out(&self) -> Option<SimDuration> {
        let scenario = &self.text.scenario;
        let of_entrances = scenario.ingress.iter().map(|ingress_route| ingress_route.timeout);
        let of_traffic = scenario.traffic.iter().map(|traffic| Some(traffic.timeout));
        let all: Option<Vec<SimDuration>> = of_entrances.chain(of_traffic).collect();
        all?.into_iter().max()
    }

    fn cost_objective(&mut self, path: &FieldPath, objective: &CostObjective) {
        for (field, limit) in [
            ("costPerMonth", objective.cost_per_month),
            ("costPerMillionRequests", objective.cost_per_million_requests),
        ] {
            if limit.is_some_and(|limit| !(limit.is_finite() && limit >= 0.0)) {
                self.error(
                    &path.field(field),
                    "a cost cannot be negative",
                    "write US dollars, such as 300",
                );
            }
        }
        let pools = &self.text.scenario.cluster.node_pools;
        let has_price =
            pools.iter().any(|pool| pool.instance_type.is_some() || pool.price_per_hour.is_some())
                || self.has_node_pools();
        if !has_price {
            self.warn(
                path,
                "no node has a price, so the objective is always met",
                "set `instanceType` or `pricePerHour` of the pools",
            );
        }
    }
}
