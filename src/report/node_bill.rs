//! What each machine costs after discounts, and what is handed to the allocation.

use super::build::{Facts, end, pool_of};
use super::model::{DiscountLine, DiscountOf};
use capacity::catalog;
use capacity::cost::{self, Claim, CostAllocation, NodeBill};
use capacity::discounts::{self, Discounted, Discounts, Usage};
use capacity::machine_prices::without_cloud;
use capacity::price_list::Charge;
use cluster::node::CapacityType;
use engine::SimDuration;
use record::NodeTrack;
use units::{HourlyPrice, Money, ResourceTime};

const HOUR: SimDuration = SimDuration::from_secs(3_600);

/// The machines of a run with their list prices, and what they come to.
pub(super) struct NodeCosts {
    usages: Vec<Usage>,
    discounts: Discounts,
    bill: Discounted,
}

impl NodeCosts {
    pub(super) fn of(facts: Facts<'_>) -> Self {
        let nodes = &facts.recorder.nodes;
        let usages: Vec<Usage> = nodes.iter().map(|node| usage(facts, node)).collect();
        let discounts = facts.bill.settings.discounts(|kind| on_demand_price(facts, kind));
        let bill = discounts.bill(&usages, end(facts));
        Self { usages, discounts, bill }
    }

    /// What the machines would cost without any discount.
    pub(super) fn list_price(&self) -> Money {
        self.usages.iter().map(Usage::cost).sum()
    }

    /// Who pays for the machines.
    pub(super) fn allocate(&self, facts: Facts<'_>) -> CostAllocation {
        let nodes = facts.recorder.nodes.iter().zip(&self.bill.net);
        let nodes: Vec<NodeBill> = nodes
            .map(|(node, net)| NodeBill {
                pool: pool_of(node).clone(),
                cost: *net,
                capacity: node.capacity,
                existed: node.paid(end(facts)),
            })
            .collect();
        let workload = |position: usize| facts.recorder.workloads[position].workload.to_string();
        let claims: Vec<Claim> = facts
            .recorder
            .holdings
            .iter()
            .map(|((position, node), held)| Claim {
                workload: workload(*position).into(),
                node: *node,
                requested: held.charged,
                used: ResourceTime::default(),
            })
            .collect();
        cost::allocate(&nodes, &claims)
    }

    /// The lines of what is taken off nodes and `charges`, and of commitments that were not used.
    pub(super) fn lines(
        &self,
        facts: Facts<'_>,
        charges: Charge,
    ) -> (Vec<DiscountLine>, Vec<DiscountLine>) {
        let told = |line: &discounts::DiscountLine| DiscountLine {
            what: line.what.clone(),
            of: DiscountOf::Nodes,
            usd: line.usd,
            month_usd: cost::per_month(line.usd, facts.duration).unwrap_or_default(),
        };
        let mut taken_off: Vec<DiscountLine> = self.bill.taken_off.iter().map(told).collect();
        let off = |usd: Money| Money::ZERO - self.discounts.percent_off.of(usd);
        if off(charges.usd) != Money::ZERO {
            taken_off.push(DiscountLine {
                what: format!("{} % off what is beside the nodes", facts.bill.settings.percent_off),
                of: DiscountOf::Charges,
                usd: off(charges.usd),
                month_usd: off(charges.month_usd),
            });
        }
        (taken_off, self.bill.unused.iter().map(told).collect())
    }
}

fn usage(facts: Facts<'_>, node: &NodeTrack) -> Usage {
    let machine = &node.machine;
    let from = machine.launched.unwrap_or(node.added);
    Usage {
        kind: without_cloud(&machine.instance_type).into(),
        per_hour: machine.price.unwrap_or_default().over(HOUR),
        is_eligible: machine.capacity_type == CapacityType::OnDemand,
        from,
        until: from + node.paid(end(facts)),
    }
}

/// The on-demand price of a type: that of the machines of this run, else the catalog's.
fn on_demand_price(facts: Facts<'_>, kind: &str) -> Option<HourlyPrice> {
    let kind = without_cloud(kind);
    let on_demand = facts.recorder.nodes.iter().map(|node| &node.machine);
    let mut on_demand = on_demand.filter(|one| one.capacity_type == CapacityType::OnDemand);
    let of_run = on_demand.find(|one| without_cloud(&one.instance_type) == kind);
    let of_run = of_run.and_then(|machine| machine.price);
    of_run.or_else(|| catalog::find(kind).ok().map(|node_type| node_type.on_demand))
}
