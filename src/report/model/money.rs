//! What a run costs, as plain data.

use serde::Serialize;

use crate::ledger::Ledger;
use units::{HourlyPrice, Money};

/// Money over the run, to the last digit: `total = nodes + unused commitments + charges + discounts of charges`,
/// `nodes = pools = workloads + idle`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CostReport {
    /// In all, US dollars.
    pub total_usd: Money,
    /// Scaled to a month of 730 hours.
    pub month_usd: Money,
    /// Per million answered requests of clients; absent if none was answered.
    pub million_requests_usd: Option<Money>,
    /// The nodes alone, discounts taken off: `nodes = list + discounts of nodes`.
    pub nodes_usd: Money,
    /// The nodes at list price.
    pub nodes_list_usd: Money,
    /// What is taken off, below zero.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<DiscountLine>,
    /// What was committed, paid for, and covered nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unused_commitments: Vec<DiscountLine>,
    /// Per pool.
    pub pools: Vec<PoolCost>,
    /// Per type of machine and way of buying it.
    pub machines: Vec<MachineCost>,
    /// What the invoice has beside the nodes.
    pub charges: Vec<ChargeLine>,
    /// What is not in any sum, and why.
    pub not_counted: Vec<String>,
    /// Per workload, by max(request, usage) as the OpenCost specification has it.
    pub workloads: Vec<WorkloadCost>,
    /// Price of capacity that no workload asked for.
    pub idle_usd: Money,
    /// Who pays for which node, for the forms that tell all of it.
    #[serde(skip)]
    pub ledger: Ledger,
    /// Pools without a price, which are left out of all sums.
    pub unpriced: Vec<String>,
}

/// A discount, or a commitment that was not used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiscountLine {
    /// What it is, in words.
    pub what: String,
    /// What it is taken off.
    pub of: DiscountOf,
    /// What it changes over the run; below zero for what is taken off.
    pub usd: Money,
    /// Scaled to a month of 730 hours.
    pub month_usd: Money,
}

/// What a discount is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscountOf {
    /// The nodes.
    Nodes,
    /// What the invoice has beside them.
    Charges,
}

/// A line of the invoice beside the nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChargeLine {
    /// The item, as `wavetank catalog --prices` lists it.
    pub item: String,
    /// What came up, in words.
    pub what: String,
    /// How the amount is known.
    pub known: Provenance,
    /// How much over the run, in `unit`.
    pub amount: f64,
    /// What the price is for one of.
    pub unit: &'static str,
    /// The price, or the first of several that depend on the amount in a month.
    pub unit_usd: Money,
    /// Cost over the run.
    pub usd: Money,
    /// Scaled to a month of 730 hours.
    pub month_usd: Money,
    /// Where the price is from.
    pub source: String,
    /// Date of the source; empty if the scenario gives the price.
    pub date: String,
}

/// How a figure is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// It follows from what happened in the run.
    Measured,
    /// The scenario says so.
    Stated,
    /// Nobody says so: it is what is usual.
    Assumed,
}

/// Cost of one pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolCost {
    /// Name of the node pool.
    pub pool: String,
    /// Price of one node; where they differ, the mean over the hours paid.
    pub node_usd_per_hour: HourlyPrice,
    /// Sum of the hours for which its machines were paid.
    pub node_hours: f64,
    /// Its cost.
    pub usd: Money,
}

/// Cost of all machines of a type that were bought in one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineCost {
    /// Its type, such as `aws/m5.large`; empty for machines described in place.
    pub instance_type: String,
    /// `on-demand` or `spot`.
    pub capacity_type: &'static str,
    /// Sum of the hours for which they were paid.
    pub node_hours: f64,
    /// Their cost.
    pub usd: Money,
}

/// Cost of one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadCost {
    /// `Deployment ai-agents/ai-agent`.
    pub workload: String,
    /// Its cost.
    pub usd: Money,
}
