//! Result of a packing, as plain data with the unit in every field's name.

use serde::Serialize;

use super::run::{Outcome, Plan};
use units::HourlyPrice;

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// All policies side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackReport {
    /// Version of this form.
    pub schema_version: u32,
    /// Name of the packing.
    pub name: String,
    /// Seed of all that was drawn.
    pub seed: u64,
    /// Pods to be placed.
    pub pods: usize,
    /// Nodes that were there.
    pub nodes: usize,
    /// Price of all those nodes, US dollars an hour.
    pub nodes_usd_per_hour: f64,
    /// The resource shown in the curves, in thousandths for shared GPUs and CPU.
    pub scarce_resource: String,
    /// Allocatable amount of it on all nodes.
    pub scarce_capacity: i64,
    /// The policies, in the order of the file.
    pub policies: Vec<PolicyReport>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyReport {
    /// Name of the policy.
    pub policy: String,
    /// Pods that have a node in the end.
    pub placed: usize,
    /// Pods that have none.
    pub refused: usize,
    /// Preemptions of pods by more important ones.
    pub preemptions: usize,
    /// Nodes with at least one pod.
    pub nodes_used: usize,
    /// Price of those nodes, US dollars an hour.
    pub nodes_used_usd_per_hour: f64,
    /// Shared GPUs with any allocation.
    pub gpus_touched: usize,
    /// Nodes of the growing pool needed to place all pods; absent if not requested, or if no number
    /// suffices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_needed: Option<u32>,
    /// Price of all nodes with that many, US dollars an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_needed_usd_per_hour: Option<f64>,
    /// The resources, by name.
    pub resources: Vec<ResourceReport>,
    /// Requested so far and placed so far of the scarce resource, at some of the arrivals.
    pub curve: Vec<[i64; 2]>,
}

/// One resource under one policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResourceReport {
    /// Resource name.
    pub resource: String,
    /// All of it: CPU and shares of GPUs in thousandths, memory in bytes, others in whole ones.
    pub allocatable: i64,
    /// Requests of the placed pods.
    pub requested: i64,
    /// Requested in percent of all.
    pub utilization_percent: f64,
    /// Free resources unusable for the typical pods, in percent of allocatable.
    pub fragmented_percent: f64,
    /// The same in percent of the free resources.
    pub fragmented_percent_of_free: f64,
}

impl PackReport {
    /// The report of some outcomes.
    pub fn new(name: &str, plan: &Plan, outcomes: &[Outcome]) -> Self {
        let (scarce_resource, _) = plan.scarce_resource();
        let capacity = outcomes.first().and_then(|one| one.resources.get(&scarce_resource));
        let price = |pool| plan.prices.get(pool).copied().unwrap_or_default();
        let all = plan.nodes.iter().map(|node| price(&node.pool));
        Self {
            schema_version: SCHEMA_VERSION,
            name: name.to_owned(),
            seed: plan.seed,
            pods: plan.pods.pods.len(),
            nodes: plan.nodes.len(),
            nodes_usd_per_hour: all.fold(HourlyPrice::default(), |sum, one| sum + one).as_usd(),
            scarce_resource: scarce_resource.to_string(),
            scarce_capacity: capacity.map_or(0, |one| one.allocatable),
            policies: outcomes.iter().map(PolicyReport::new).collect(),
        }
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        report::json::render(self)
    }
}

impl PolicyReport {
    fn new(outcome: &Outcome) -> Self {
        let placed = outcome.placed();
        let resources = outcome.resources.iter();
        Self {
            policy: outcome.policy.clone(),
            placed,
            refused: outcome.places.len() - placed,
            preemptions: outcome.preemptions,
            nodes_used: outcome.nodes_used,
            nodes_used_usd_per_hour: outcome.price_of_used.as_usd(),
            gpus_touched: outcome.gpus_touched,
            nodes_needed: None,
            nodes_needed_usd_per_hour: None,
            resources: resources
                .map(|(name, one)| ResourceReport {
                    resource: name.to_string(),
                    allocatable: one.allocatable,
                    requested: one.requested,
                    utilization_percent: one.utilization_percent(),
                    fragmented_percent: one.fragmented_percent(),
                    fragmented_percent_of_free: one.fragmented_percent_of_free(),
                })
                .collect(),
            curve: outcome.curve.iter().map(|point| [point.arrived, point.placed]).collect(),
        }
    }
}
