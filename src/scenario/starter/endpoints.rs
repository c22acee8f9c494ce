//! The Services of a starter scenario with the workloads whose pods are their endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::Starter;
use super::backing::is_operational;
use super::sizing::Pool;
use super::yaml::joined;
use crate::inventory::Inventory;
use cluster::{NamespacedName, ObjectReference};

/// A Service with the workloads whose pods answer its requests.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ServiceEndpoints<'a> {
    pub(super) service: &'a NamespacedName,
    /// Each with its share of the requests, 0 to 1.
    pub(super) shares: Vec<(&'a ObjectReference, f64)>,
}

impl<'a> ServiceEndpoints<'a> {
    pub(super) fn workloads(&self) -> impl Iterator<Item = &'a ObjectReference> {
        self.shares.iter().map(|(workload, _)| *workload)
    }
}

/// The workloads whose pods answer the requests to a Service, with their shares: kube-proxy gives each pod the same. Pods of
/// Jobs answer none; they are described as batch workloads.
pub(super) fn shares<'a>(
    inventory: &'a Inventory,
    service: &NamespacedName,
) -> Vec<(&'a ObjectReference, f64)> {
    let behind = inventory.workloads_behind(service).filter(|one| !one.kind.is_batch());
    let replicas = |workload: &ObjectReference| {
        inventory.workloads.get(workload).map_or(0, |shape| shape.replicas.max(0)) as f64
    };
    let pods: Vec<_> = behind.map(|workload| (workload, replicas(workload))).collect();
    let total = pods.iter().map(|(_, pods)| pods).sum::<f64>();
    let count = pods.len() as f64;
    let share = |pods: f64| if total > 0.0 { pods / total } else { 1.0 / count };
    pods.into_iter().map(|(workload, pods)| (workload, share(pods))).collect()
}

impl<'a> Starter<'a> {
    /// Services with endpoints, and those that get no traffic. Of several Services of the same workloads only
    /// one is listed, preferably one that a route leads to: traffic to each would be several times the guess.
    pub(super) fn services(
        &self,
        unplaced: &BTreeSet<ObjectReference>,
    ) -> (Vec<ServiceEndpoints<'a>>, Unvisited<'a>) {
        let inventory = self.inventory;
        let routing = &inventory.routing;
        let routed: BTreeSet<&NamespacedName> = routing
            .ingress_routes()
            .flat_map(|(host, path, _)| routing.candidates(&host, path))
            .flat_map(|rule| &rule.backends)
            .filter(|backend| backend.weight > 0)
            .map(|backend| &backend.service)
            .collect();
        let mut names: Vec<&NamespacedName> = inventory.services.keys().collect();
        names.sort_by_key(|service| !routed.contains(service));
        let mut served = BTreeSet::new();
        let (mut services, mut unvisited) = (Vec::new(), Unvisited::default());
        for service in names {
            let shares = shares(inventory, service);
            let may_run = |workload: &ObjectReference| {
                let replicas = inventory.workloads.get(workload).map_or(0, |shape| shape.replicas);
                let scaled = inventory.max_replicas.get(workload).copied().unwrap_or(0);
                replicas.max(scaled) > 0 && !unplaced.contains(workload)
            };
            if shares.is_empty() {
                continue;
            }
            let is_picker = inventory.pools.values().flatten().any(|picker| picker == service);
            let mut shapes = shares.iter().filter_map(|(one, _)| inventory.workloads.get(*one));
            if is_picker || shapes.all(is_operational) {
                unvisited.operational.push(service);
                continue;
            }
            if !shares.iter().any(|(workload, _)| may_run(workload)) {
                unvisited.idle.push(service);
                continue;
            }
            let before = served.len();
            served.extend(shares.iter().map(|(workload, _)| *workload));
            if served.len() > before {
                services.push(ServiceEndpoints { service, shares });
            }
        }
        services.sort_unstable_by_key(|one| one.service);
        unvisited.idle.sort_unstable();
        unvisited.operational.sort_unstable();
        (services, unvisited)
    }

    /// The workloads whose pods no node of these pools has room for.
    pub(super) fn unplaced(&self, sized: &[Pool]) -> BTreeSet<ObjectReference> {
        let sized = if self.has_pools() { sized } else { &[] };
        sized.iter().flat_map(|pool| pool.unplaced.iter().cloned()).collect()
    }
}

/// Services that get no traffic of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unvisited<'a> {
    /// Those whose workloads have no pods.
    idle: Vec<&'a NamespacedName>,
    /// Metrics exporters, operators and endpoint pickers.
    operational: Vec<&'a NamespacedName>,
}

impl Unvisited<'_> {
    /// Lists them in comments.
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let none = "No traffic for these Services: their workloads have 0 replicas, or pods that fit no machine.";
        let own =
            "No traffic for metrics exporters, operators and endpoint pickers: they have no users.";
        for (why, services) in [(none, &self.idle), (own, &self.operational)] {
            if !services.is_empty() {
                writeln!(out, "\n# {why}")?;
            }
            for some in services.chunks(4) {
                writeln!(out, "#   {}", joined(some, ", "))?;
            }
        }
        Ok(())
    }
}

/// Writes the rule by which endpoint pickers of InferencePools are taken to choose pods.
pub(super) fn write_pools(out: &mut String, inventory: &Inventory) -> fmt::Result {
    let picked = inventory.pools.iter().filter(|(_, picker)| picker.is_some());
    let picked: Vec<&NamespacedName> = picked.map(|(service, _)| service).collect();
    if picked.is_empty() {
        return Ok(());
    }
    out.write_str(
        "
# GUESS: the endpoint pickers of InferencePools prefer the pod with the most free KV cache; they add no latency.
services:
",
    )?;
    for service in picked {
        writeln!(out, "  - {{service: {service}, balancer: leastKvCache}}")?;
    }
    Ok(())
}

/// Adds up shares by workload.
pub(super) fn by_workload<'a>(
    shares: impl IntoIterator<Item = (&'a ObjectReference, f64)>,
) -> BTreeMap<&'a ObjectReference, f64> {
    let mut sums = BTreeMap::new();
    for (workload, share) in shares {
        *sums.entry(workload).or_insert(0.0) += share;
    }
    sums
}
