//! The cloud's remaining supply: stock-outs of machine types in a zone, and the customer's quota.

use std::collections::BTreeMap;
use std::fmt;

use super::plan::CloudPlan;
use cluster::Name;
use cluster::node::{CapacityType, Node, ZONE_LABEL};
use cluster_autoscaler::InstanceError;
use engine::SimTime;
use faults::{StockOut, StockOutOf};
use units::Quantity;

/// Current shortages, and resources in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Supply {
    shortages: Vec<Shortage>,
    /// Resources of all machines in groups, in billionths.
    held: BTreeMap<Name, i128>,
}

/// Machines that are out of stock; an absent field matches any value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pool: Option<Name>,
    zone: Option<Name>,
    capacity_type: Option<CapacityType>,
    /// End of the shortage.
    until: SimTime,
}

impl fmt::Display for Shortage {
    /// `no spot machine of pool spot in zone us-east-1a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bought = self.capacity_type.map_or("", CapacityType::as_str);
        let space = if bought.is_empty() { "" } else { " " };
        write!(f, "no {bought}{space}machine")?;
        if let Some(pool) = &self.pool {
            write!(f, " of pool {pool}")?;
        }
        match &self.zone {
            Some(zone) => write!(f, " in zone {zone}"),
            None => Ok(()),
        }
    }
}

impl Shortage {
    pub(super) fn new(sold_out: &StockOut, now: SimTime) -> Self {
        Self {
            pool: sold_out.pool.clone(),
            zone: sold_out.zone.clone(),
            capacity_type: sold_out.capacity_type.map(|one| match one {
                StockOutOf::OnDemand => CapacityType::OnDemand,
                StockOutOf::Spot => CapacityType::Spot,
            }),
            until: now + sold_out.duration,
        }
    }

    fn concerns(&self, node: &Node) -> bool {
        let zone = node.meta.labels.get(ZONE_LABEL);
        self.pool.as_ref().is_none_or(|pool| *pool == node.pool)
            && self.zone.as_ref().is_none_or(|wanted| zone == Some(wanted))
            && self.capacity_type.is_none_or(|one| one == node.machine.capacity_type)
    }
}

impl Supply {
    pub(super) fn add(&mut self, shortage: Shortage) {
        self.shortages.push(shortage);
    }

    /// Drops shortages that are over.
    pub(super) fn pass(&mut self, now: SimTime) {
        self.shortages.retain(|one| one.until > now);
    }

    /// True if machines for such a node are out of stock.
    pub(super) fn is_short_of(&self, node: &Node) -> bool {
        self.shortages.iter().any(|one| one.concerns(node))
    }

    /// Why the cloud refuses a machine for such a node; `None` if it does not.
    pub(super) fn refusal(&self, node: &Node, plan: &CloudPlan) -> Option<(InstanceError, String)> {
        let error = |is_out_of_resources, code: &str| InstanceError {
            is_out_of_resources,
            code: code.into(),
        };
        if self.is_short_of(node) {
            let zone = node.meta.labels.get(ZONE_LABEL);
            let place = zone.map_or_else(String::new, |zone| format!(" in {zone}"));
            let what = match &*node.machine.instance_type {
                "" => node.pool.to_string(),
                name => name.to_owned(),
            };
            let bought = node.machine.capacity_type.as_str();
            let why = format!("there is no {bought} machine {what}{place}");
            return Some((error(true, plan.codes.no_capacity), why));
        }
        plan.quota.iter().find_map(|(resource, most)| {
            let own = node.capacity.get(resource).map_or(0, Quantity::nanos);
            let held = self.held.get(resource).copied().unwrap_or(0);
            (own > 0 && held + own > most.nanos()).then(|| {
                let why = format!("the quota of {most} {resource} is exhausted");
                (error(true, plan.codes.quota), why)
            })
        })
    }

    pub(super) fn take(&mut self, node: &Node) {
        for (resource, amount) in node.capacity.iter() {
            *self.held.entry(resource.clone()).or_default() += amount.nanos();
        }
    }

    pub(super) fn give_back(&mut self, node: &Node) {
        for (resource, amount) in node.capacity.iter() {
            *self.held.entry(resource.clone()).or_default() -= amount.nanos();
        }
    }
}
