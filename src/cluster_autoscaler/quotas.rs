//! Cluster-wide resource limits: cores, memory, GPUs by type (`cluster-autoscaler/resourcequotas`).

use std::collections::BTreeMap;

use super::gpu::{allocatable_gpus, gpu_capacity};
use super::options::Options;
use super::provider::{CloudProvider, NodeGroup};
use super::snapshot::Snapshot;
use cluster::Name;
use cluster::node::Node;
use units::Quantity;

/// Name of these limits in messages.
const CLUSTER_WIDE: &str = "cluster-wide";
const GIB: i64 = 1 << 30;

/// Amounts of resources: `cpu` (cores), `memory` (bytes), GPUs under their type.
type Amounts = BTreeMap<Name, i64>;

/// The remaining amounts.
#[derive(Clone, Debug)]
pub(crate) struct Quotas {
    left: Amounts,
    /// Resources of a node of each group: the first one that was checked represents all.
    by_group: BTreeMap<Name, Amounts>,
}

/// A minimum or a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// New nodes must not exceed the maximum.
    Max,
    /// Removed nodes must leave the minimum.
    Min,
}

/// How many nodes the limits allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) nodes: i64,
    /// The exhausted resources.
    pub(crate) exceeded: Vec<Name>,
}

impl Quotas {
    /// The limits minus the resources of all nodes in the snapshot, including upcoming ones.
    pub(crate) fn new(
        snapshot: &Snapshot,
        cloud: &dyn CloudProvider,
        options: &Options,
        bound: Bound,
    ) -> Self {
        let groups = cloud.node_groups();
        let mut by_group = BTreeMap::new();
        // Nodes of a group count alike.
        let mut counts: Vec<i64> = vec![0; groups.len()];
        let mut used = Amounts::new();
        let mut use_up = |amounts: Amounts, nodes: i64| {
            for (resource, amount) in amounts {
                let sum: &mut i64 = used.entry(resource).or_default();
                *sum = sum.saturating_add(amount.saturating_mul(nodes));
            }
        };
        for slot in snapshot.slots() {
            let node = snapshot.node(*slot);
            let place = node.group.filter(|group| *group < groups.len());
            let group = place.map(|group| &groups[group]);
            match place {
                Some(place) if counts[place] > 0 => counts[place] += 1,
                Some(place) => {
                    amounts_of(&node.node, group, cloud, &mut by_group);
                    counts[place] = 1;
                }
                None => use_up(amounts_of(&node.node, None, cloud, &mut by_group), 1),
            }
        }
        for (group, nodes) in groups.iter().zip(counts) {
            use_up(by_group.get(&group.id).cloned().unwrap_or_default(), nodes);
        }
        let mut limits = vec![
            (Name::from("cpu"), options.cores_total.min, options.cores_total.max),
            (
                Name::from("memory"),
                options.memory_total.min.saturating_mul(GIB),
                options.memory_total.max.saturating_mul(GIB),
            ),
        ];
        limits.extend(options.gpu_total.iter().cloned());
        let left = limits.into_iter().map(|(resource, min, max)| {
            let used = used.get(&resource).copied().unwrap_or(0);
            let left = match bound {
                Bound::Max => max.saturating_sub(used),
                Bound::Min => used.saturating_sub(min),
            };
            (resource, left.max(0))
        });
        Self { left: left.collect(), by_group }
    }

    /// How many of `nodes` nodes like this one are allowed (`CheckDelta`).
    pub(crate) fn check(
        &mut self,
        node: &Node,
        group: Option<&NodeGroup>,
        nodes: i64,
        cloud: &dyn CloudProvider,
    ) -> Allowance {
        let amounts = amounts_of(node, group, cloud, &mut self.by_group);
        let mut allowance = Allowance { nodes, exceeded: Vec::new() };
        for (resource, amount) in amounts.into_iter().filter(|(_, amount)| *amount > 0) {
            let Some(left) = self.left.get(&resource) else { continue };
            if *left < amount.saturating_mul(nodes) {
                allowance.nodes = allowance.nodes.min(left / amount);
                allowance.exceeded.push(resource);
            }
        }
        allowance
    }

    /// Consumes `nodes` nodes like this one, if that many are allowed (`ConsumeQuota`).
    pub(crate) fn take(
        &mut self,
        node: &Node,
        group: Option<&NodeGroup>,
        nodes: i64,
        cloud: &dyn CloudProvider,
    ) -> Allowance {
        let allowance = self.check(node, group, nodes, cloud);
        if allowance.nodes == nodes {
            for (resource, amount) in amounts_of(node, group, cloud, &mut self.by_group) {
                if let Some(left) = self.left.get_mut(&resource) {
                    *left = left.saturating_sub(amount.saturating_mul(nodes)).max(0);
                }
            }
        }
        allowance
    }
}

impl Allowance {
    /// True if the full number is allowed.
    pub(crate) fn is_full(&self) -> bool {
        self.exceeded.is_empty()
    }

    /// The message why a group may not grow.
    pub(crate) fn reason(&self) -> String {
        let resources: Vec<&str> = self.exceeded.iter().map(|resource| &**resource).collect();
        format!("exceeded quota: {CLUSTER_WIDE:?}, resources: {}", resources.join(", "))
    }
}

/// Amounts of a node, by its capacity.
fn amounts_of(
    node: &Node,
    group: Option<&NodeGroup>,
    cloud: &dyn CloudProvider,
    by_group: &mut BTreeMap<Name, Amounts>,
) -> Amounts {
    if let Some(known) = group.and_then(|group| by_group.get(&group.id)) {
        return known.clone();
    }
    let capacity = |resource| node.capacity.get(resource).map_or(0, Quantity::value).max(0);
    let mut amounts = Amounts::new();
    amounts.insert("cpu".into(), capacity("cpu"));
    amounts.insert("memory".into(), capacity("memory"));
    if let Some(kind) = node.meta.labels.get(cloud.gpu_label()) {
        let of_template = || group.and_then(|group| gpu_capacity(&group.template));
        let gpus = allocatable_gpus(node).or_else(of_template).unwrap_or(0);
        if gpus > 0 {
            amounts.insert(kind.clone(), gpus);
        }
    }
    if let Some(group) = group {
        by_group.insert(group.id.clone(), amounts.clone());
    }
    amounts
}
