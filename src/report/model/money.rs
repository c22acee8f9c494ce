//! The cost of a run, as plain data.

use serde::Serialize;

use super::RunInfo;
use crate::ledger::Ledger;
use capacity::cost;
use engine::SimDuration;
use units::{HourlyPrice, Money};

impl RunInfo {
    /// A cost over the run, extrapolated to a month of 730 hours; zero for a run without length.
    pub fn per_month(&self, usd: Money) -> Money {
        let nanos = i64::try_from(self.duration_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        cost::per_month(usd, SimDuration::from_nanos(nanos)).unwrap_or_default()
    }
}

/// Money over the run, to the last digit: `total = nodes + unused commitments + charges + discounts of charges`,
/// `nodes = pools = workloads + idle`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CostReport {
    /// Total, US dollars.
    pub total_usd: Money,
    /// Extrapolated to a month of 730 hours.
    pub month_usd: Money,
    /// Per million answered requests of clients; absent if none was answered.
    pub million_requests_usd: Option<Money>,
    /// The nodes alone, after discounts: `nodes = list + discounts of nodes`.
    pub nodes_usd: Money,
    /// The nodes at list price.
    pub nodes_list_usd: Money,
    /// Discounts, as negative amounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<DiscountLine>,
    /// Unused parts of commitments, which are paid for all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unused_commitments: Vec<DiscountLine>,
    /// Per pool.
    pub pools: Vec<PoolCost>,
    /// Per instance type and capacity type.
    pub machines: Vec<MachineCost>,
    /// Invoice items other than nodes.
    pub charges: Vec<ChargeLine>,
    /// Items missing from all sums, with the reasons.
    pub not_counted: Vec<String>,
    /// Per workload, by max(request, usage) as in the OpenCost specification.
    pub workloads: Vec<WorkloadCost>,
    /// Cost of idle capacity, which no workload requested or used.
    pub idle_usd: Money,
    /// Cost of each workload on each node, for the outputs in full detail.
    #[serde(skip)]
    pub ledger: Ledger,
    /// Pools without a price, which are left out of all sums.
    pub unpriced: Vec<String>,
}

/// A discount, or an unused commitment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiscountLine {
    /// Text of the line: `reservation of 2 m5.large`.
    pub what: String,
    /// The part of the invoice that it applies to.
    pub of: DiscountOf,
    /// Amount over the run, negative for a discount.
    pub usd: Money,
    /// Scaled to a month of 730 hours.
    pub month_usd: Money,
}

/// The part of the invoice that a discount applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscountOf {
    /// The nodes.
    Nodes,
    /// Invoice items other than nodes.
    Charges,
}

/// An invoice item other than nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChargeLine {
    /// The item, as `wavetank catalog --prices` lists it.
    pub item: String,
    /// Description of the billed quantity.
    pub what: String,
    /// Source of the amount.
    pub known: Provenance,
    /// Amount over the run, in `unit`.
    pub amount: f64,
    /// Unit that the price is for.
    pub unit: &'static str,
    /// Unit price; the mean over the amount if the price depends on the monthly amount.
    pub unit_usd: Money,
    /// Cost over the run.
    pub usd: Money,
    /// Extrapolated to a month of 730 hours.
    pub month_usd: Money,
    /// Source of the price.
    pub source: String,
    /// Date of the source; empty if the scenario gives the price.
    pub date: String,
}

/// Source of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Follows from the events of the run.
    Measured,
    /// Stated in the scenario.
    Stated,
    /// A usual value, stated nowhere.
    Assumed,
}

/// Cost of one pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolCost {
    /// Name of the node pool.
    pub pool: String,
    /// Price of one node; the mean over the paid hours if prices differ.
    pub node_usd_per_hour: HourlyPrice,
    /// Total hours for which its machines were billed.
    pub node_hours: f64,
    /// Cost over the run, US dollars.
    pub usd: Money,
}

/// Cost of all machines of an instance type and capacity type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineCost {
    /// Its type, such as `aws/m5.large`; empty for machines described in place.
    pub instance_type: String,
    /// `on-demand` or `spot`.
    pub capacity_type: &'static str,
    /// Total hours for which they were billed.
    pub node_hours: f64,
    /// Their cost.
    pub usd: Money,
}

/// Cost of one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadCost {
    /// `Deployment ai-agents/ai-agent`.
    pub workload: String,
    /// Cost over the run, US dollars.
    pub usd: Money,
}
