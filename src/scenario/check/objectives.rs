//! Objectives: whether they can be met or missed at all.

use super::Checker;
use crate::engine::SimDuration;
use crate::manifest::FieldPath;
use crate::scenario::objectives::{CostObjective, Objective, ServiceObjective};

impl Checker<'_> {
    /// What must hold.
    pub(super) fn objectives(&mut self) {
        let root = FieldPath::ROOT;
        let list = root.field("objectives");
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
        let latency = path.field("latency");
        for (figure, limit) in objective.latency.limits() {
            if limit == SimDuration::ZERO {
                self.error(
                    &latency.field(figure),
                    "no answer takes 0s",
                    "allow it some time, such as 300ms",
                );
            }
        }
        for (field, percent) in [
            ("availability", objective.availability),
            ("availabilityByTime", objective.availability_by_time),
        ] {
            if percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
                self.error(
                    &path.field(field),
                    "this is not between 0 and 100",
                    "write percent, such as 99.9",
                );
            }
        }
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
            pools.iter().any(|pool| pool.instance_type.is_some() || pool.price_per_hour.is_some());
        if !has_price {
            self.warn(
                path,
                "no node has a price, so this always holds",
                "give the pools an `instanceType` or a `pricePerHour`",
            );
        }
    }
}
