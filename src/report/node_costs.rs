//! Machine costs by pool and by type; each node may have its own price.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{ReportInput, end, pool_of};
use super::model::{MachineCost, PoolCost};
use capacity::cost::CostAllocation;
use cluster::Name;
use cluster::node::CapacityType;
use engine::SimDuration;
use record::NodeTrack;
use units::{HourlyPrice, Money};

/// The pools that have a price.
pub(super) fn by_pool(facts: ReportInput<'_>, allocation: &CostAllocation) -> Vec<PoolCost> {
    let mut prices: BTreeMap<&Name, BTreeSet<HourlyPrice>> = BTreeMap::new();
    for node in &facts.recorder.nodes {
        prices.entry(pool_of(node)).or_default().extend(node.machine.price);
    }
    let mut costs = Vec::new();
    for (pool, bill) in &allocation.pools {
        let Some(prices) = prices.get(pool) else { continue };
        let node_hours = bill.node_time.as_secs_f64() / 3600.0;
        let price = match (prices.first(), prices.len()) {
            (Some(price), 1) if *price > HourlyPrice::default() || bill.total == Money::ZERO => {
                *price
            }
            (Some(_), _) if node_hours > 0.0 => {
                HourlyPrice::from_usd(bill.total.as_usd() / node_hours)
            }
            (Some(price), _) => *price,
            (None, _) => continue,
        };
        let pool = pool.to_string();
        costs.push(PoolCost { pool, node_usd_per_hour: price, node_hours, usd: bill.total });
    }
    costs
}

/// All priced machines, by instance type and capacity type.
pub(super) fn by_machine(facts: ReportInput<'_>) -> Vec<MachineCost> {
    let mut sums: BTreeMap<(&Name, CapacityType), (SimDuration, Money)> = BTreeMap::new();
    for node in &facts.recorder.nodes {
        let Some(price) = node.machine.price else { continue };
        if node.machine.serverless.is_some() {
            continue;
        }
        let key = (&node.machine.instance_type, node.machine.capacity_type);
        let (paid, cost) = sums.entry(key).or_default();
        let time = node.paid(end(facts));
        *paid += time;
        *cost += price.over(time);
    }
    sums.into_iter()
        .map(|((instance_type, capacity_type), (paid, usd))| MachineCost {
            instance_type: instance_type.to_string(),
            capacity_type: capacity_type.as_str(),
            node_hours: paid.as_secs_f64() / 3600.0,
            usd,
        })
        .collect()
}

/// The pools with nodes of unknown price.
pub(super) fn unpriced(facts: ReportInput<'_>) -> Vec<String> {
    let without = facts.recorder.nodes.iter().filter(|node| node.machine.price.is_none());
    let pools: BTreeSet<&Name> = without.map(pool_of).collect();
    pools.into_iter().map(ToString::to_string).collect()
}

/// The instance types of a pool's machines, separated by commas; empty if described in place.
pub(super) fn types_of(facts: ReportInput<'_>, pool: &Name) -> String {
    let of_pool = |node: &&NodeTrack| pool_of(node) == pool;
    let types: BTreeSet<&str> = facts
        .recorder
        .nodes
        .iter()
        .filter(of_pool)
        .map(|node| &*node.machine.instance_type)
        .filter(|one| !one.is_empty())
        .collect();
    types.into_iter().collect::<Vec<_>>().join(", ")
}
