//! The book of who pays for which node: what `explain cost` and OpenCost's form are made of. Not part of the JSON report.

use std::collections::BTreeMap;

use capacity::cost::{ByResource, NodeCost};
use cluster::{Name, ObjectReference};
use engine::SimDuration;
use units::{Money, ResourceTime, Resources};

/// Every node and every share of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Length of the run.
    pub span: SimDuration,
    /// The calendar instant at which it starts, seconds since 1970.
    pub start_seconds: i64,
    /// The nodes; a pod that is billed by itself stands there as a node of its own.
    pub nodes: Vec<LedgerNode>,
    /// The workloads.
    pub workloads: Vec<LedgerWorkload>,
    /// What each workload held on each node, and what it pays for that.
    pub shares: Vec<LedgerShare>,
    /// What the invoice has beside the nodes.
    pub beside: Money,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerNode {
    /// Its name.
    pub name: Name,
    /// Its pool.
    pub pool: Name,
    /// What it has.
    pub capacity: Resources,
    /// Time for which it was paid.
    pub paid: SimDuration,
    /// Its cost after discounts, by resource, and what that is shared out among.
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

/// What a workload held on a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LedgerShare {
    /// Position of the workload.
    pub workload: usize,
    /// Position of the node.
    pub node: usize,
    /// Requests, over the time for which its pods were there.
    pub requested: ResourceTime,
    /// Usage.
    pub used: ResourceTime,
    /// The larger of both, interval by interval: what is paid for.
    pub charged: ResourceTime,
    /// Time for which its pods were there, summed over them.
    pub bound: SimDuration,
    /// What it pays.
    pub paid: ByResource,
}

impl LedgerWorkload {
    /// Whether a name stands for it: `web`, `shop/web`, `Deployment/shop/web` or `Deployment shop/web`.
    pub fn is_called(&self, name: &str) -> bool {
        let id = &self.object.id;
        let is_named = |other: ObjectReference| {
            // Without a namespace it is the one of that name, wherever it is.
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
    /// What the nodes cost, by resource.
    pub fn nodes_cost(&self) -> ByResource {
        sum(self.nodes.iter().map(|node| node.cost.parts))
    }

    /// What workloads pay, by resource.
    pub fn workloads_cost(&self) -> ByResource {
        sum(self.shares.iter().map(|share| share.paid))
    }

    /// What nobody pays for, by resource.
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
