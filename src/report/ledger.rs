//! The allocation of every node's cost to workloads, the source of `explain cost` and of the OpenCost output. Not part of
//! the JSON report.

use std::collections::BTreeMap;

use capacity::cost::{ByResource, NodeCost};
use cluster::{Name, ObjectReference};
use engine::SimDuration;
use units::{Money, ResourceTime, Resources};

/// Every node and every workload's share of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Length of the run.
    pub span: SimDuration,
    /// The calendar instant at which it starts, seconds since 1970.
    pub start_seconds: i64,
    /// The nodes; a serverless pod counts as a node of its own.
    pub nodes: Vec<LedgerNode>,
    /// The workloads.
    pub workloads: Vec<LedgerWorkload>,
    /// Requests, usage and cost of each workload on each node.
    pub shares: Vec<LedgerShare>,
    /// Invoice items other than nodes.
    pub beside: Money,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerNode {
    /// Node name.
    pub name: Name,
    /// Node pool.
    pub pool: Name,
    /// `status.capacity`; for a serverless pod its billed size.
    pub capacity: Resources,
    /// Billed time.
    pub paid: SimDuration,
    /// Its cost after discounts, and the amounts among which that is divided.
    pub cost: NodeCost,
}

/// A workload.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerWorkload {
    /// Kind, namespace and name.
    pub object: ObjectReference,
    /// The labels of its pods.
    pub labels: BTreeMap<Name, Name>,
}

/// Requests, usage and cost of a workload on a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LedgerShare {
    /// Position of the workload.
    pub workload: usize,
    /// Position of the node.
    pub node: usize,
    /// Requests times the time for which its pods were bound to the node.
    pub requested: ResourceTime,
    /// Usage over the same time.
    pub used: ResourceTime,
    /// The larger of both in each interval: the billed amount.
    pub charged: ResourceTime,
    /// Time for which its pods were bound to the node, summed over them.
    pub bound: SimDuration,
    /// Cost by resource.
    pub paid: ByResource,
}

impl LedgerWorkload {
    /// Whether a name refers to it: `web`, `shop/web`, `Deployment/shop/web` or `Deployment shop/web`.
    pub fn is_called(&self, name: &str) -> bool {
        let id = &self.object.id;
        let is_named = |other: ObjectReference| {
            // A name without a namespace matches in every namespace.
            let is_there = other.id.namespace == id.namespace || name.split('/').count() == 2;
            other.kind == self.object.kind && other.id.name == id.name && is_there
        };
        name == id.to_string()
            || name == &*id.name
            || name == format!("{} {id}", self.object.kind)
            || name.parse().is_ok_and(is_named)
    }
}

impl Ledger {
    /// Cost of all nodes by resource.
    pub fn nodes_cost(&self) -> ByResource {
        sum(self.nodes.iter().map(|node| node.cost.parts))
    }

    /// Cost of all workloads by resource.
    pub fn workloads_cost(&self) -> ByResource {
        sum(self.shares.iter().map(|share| share.paid))
    }

    /// Cost of idle capacity by resource.
    pub fn idle(&self) -> ByResource {
        let (all, paid) = (self.nodes_cost(), self.workloads_cost());
        ByResource {
            cpu: all.cpu - paid.cpu,
            memory: all.memory - paid.memory,
            gpus: all.gpus - paid.gpus,
        }
    }
}

/// The sum of amounts.
pub(crate) fn sum(amounts: impl Iterator<Item = ByResource>) -> ByResource {
    amounts.fold(ByResource::default(), |mut sum, one| {
        sum += one;
        sum
    })
}
