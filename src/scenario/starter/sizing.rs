//! Node pools for workloads if no nodes are given: large enough for all their requests
//! at their autoscalers' maximum replicas. A first guess, for a person to improve.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::apart::{domains, is_apart_from_itself};
use super::llm::{Served, gpu_of};
use super::machines::{DevicePods, Machines, device_type, general_type, lacking, only};
use crate::inventory::{Inventory, PodShape};
use capacity::catalog;
use capacity::node_type::NodeType;
use capacity::reserved::Provider;
use cluster::node::{HOSTNAME_LABEL, REGION_LABEL, Taint, ZONE_LABEL};
use cluster::pod_template::{ResourceList, TaintEffect, TolerationOperator};
use cluster::{Name, ObjectReference};
use traffic::llm::catalog::Gpu;
use units::{Bytes, MilliCpu};

/// Maximum number of pools for domains that pods have exclusively.
const DOMAINS_MAX: i64 = 32;

/// A pool for some workloads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) node_type: NodeType,
    /// Number of nodes, the maximum if an autoscaler chooses it.
    pub(super) count: i64,
    /// Minimum and maximum number of nodes, if an autoscaler chooses it.
    pub(super) bounds: Option<(u32, u32)>,
    /// Room for pods on each node's disk, if the cloud's usual disks are too small.
    pub(super) disk_gib: Option<i64>,
    /// Node labels that its pods select.
    pub(super) labels: BTreeMap<String, String>,
    /// Labels of Kueue's ResourceFlavors.
    pub(super) flavor_labels: BTreeMap<String, String>,
    /// The label of the domain that the pool is, if its pods may have one exclusively.
    pub(super) domain_label: Option<Name>,
    /// Number of zones that its pods need.
    pub(super) least_zones: usize,
    /// Taints that all of its pods tolerate.
    pub(super) taints: Vec<Taint>,
    /// The workloads that it was sized for.
    pub(super) workloads: Vec<ObjectReference>,
    /// Workloads that will stay pending, with the reason.
    pub(super) unfit: Vec<String>,
    /// The workloads whose pods its nodes have no room for.
    pub(super) unplaced: Vec<ObjectReference>,
    /// Its GPU model, if it is in the catalog.
    pub(super) gpu: Option<&'static Gpu>,
}

/// A workload with the maximum number of its pods.
pub(super) struct Member<'a> {
    pub(super) workload: &'a ObjectReference,
    pub(super) shape: &'a PodShape,
    pub(super) most: i64,
}

/// Pods that can share nodes: those with the same device, the same selected labels, and the same label of a domain that
/// they may have exclusively.
type Group = (Option<Name>, BTreeMap<String, String>, Option<Name>);

/// The pools, all of one cloud if one has what the pods need: the one that most objects name, or AWS if none is named; else the
/// one that has the devices.
pub(super) fn pools(inventory: &Inventory) -> Vec<Pool> {
    let votes = inventory.clouds.iter();
    let named = votes.max_by_key(|(cloud, count)| (**count, Reverse(**cloud)));
    let cloud = named.map_or(Provider::Aws, |(cloud, _)| *cloud);
    let is_of = |pool: &Pool, cloud| pool.node_type.machine.provider == cloud;
    let mut pools = pools_of(inventory, cloud);
    if let Some(other) = pools.iter().find(|pool| !is_of(pool, cloud)) {
        let other = other.node_type.machine.provider;
        let of_other = pools_of(inventory, other);
        if of_other.iter().all(|pool| is_of(pool, other)) {
            pools = of_other;
        }
    }
    add_flavor_labels(inventory, &mut pools);
    pools
}

/// Adds the node labels of Kueue's ResourceFlavors, which Kueue adds to the node selectors of the pods that it admits. A
/// flavor of which no pool can have all labels is told.
fn add_flavor_labels(inventory: &Inventory, pools: &mut [Pool]) {
    for (flavor, labels) in &inventory.flavor_labels {
        let mut is_met = pools.is_empty();
        for pool in &mut *pools {
            let has = |key: &String, value: &String| {
                pool.labels.get(key).or(pool.flavor_labels.get(key)).is_none_or(|own| own == value)
            };
            if !labels.iter().all(|(key, value)| !is_own_label(key) || has(key, value)) {
                continue;
            }
            is_met = true;
            let own = labels
                .iter()
                .filter(|(key, _)| is_own_label(key) && !pool.labels.contains_key(*key));
            pool.flavor_labels.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        }
        if let (false, Some(first)) = (is_met, pools.first_mut()) {
            let labels: Vec<String> =
                labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            first.unfit.push(format!(
                "no pool has the labels of ResourceFlavor {flavor} ({}): pods admitted with it stay pending",
                labels.join(", ")
            ));
        }
    }
}

/// A pool for each set of node labels that pods select; pods with devices get pools of their own, and so do pods that
/// have a domain exclusively.
fn pools_of(inventory: &Inventory, cloud: Provider) -> Vec<Pool> {
    let mut groups: BTreeMap<Group, Vec<Member<'_>>> = BTreeMap::new();
    let devices = devices();
    // Domains of the cloud's own labels are there without pools of their own.
    let is_own = |key: &&Name| ![HOSTNAME_LABEL, ZONE_LABEL, REGION_LABEL].contains(&&***key);
    let shapes = inventory.workloads.values();
    let own_domains: BTreeSet<&Name> =
        shapes.flat_map(|shape| &shape.domain_labels).filter(is_own).collect();
    for (workload, shape) in &inventory.workloads {
        let device = devices.iter().find(|device| shape.requests.get(device).is_some());
        let of_anti = shape.anti_affinity.iter().map(|term| &term.topology_key);
        let domain =
            shape.domain_labels.iter().chain(of_anti).find(|key| own_domains.contains(key));
        let most = most_replicas(inventory, workload, shape);
        let group = (device.cloned(), asked_labels(shape), domain.cloned());
        groups.entry(group).or_default().push(Member { workload, shape, most });
    }
    let mut pools: Vec<Pool> = Vec::new();
    for (group, members) in groups {
        add_pools(group, &members, cloud, &mut pools);
    }
    pools
}

/// Adds the pool for pods that can share nodes, or one for each domain that they have exclusively.
fn add_pools(
    (device, labels, domain): Group,
    members: &[Member<'_>],
    cloud: Provider,
    pools: &mut Vec<Pool>,
) {
    let ports = members.iter().filter(|one| one.shape.takes_node_port).map(|one| one.most).sum();
    let apart = domains(members, HOSTNAME_LABEL).max(ports);
    let all: Vec<_> = members.iter().map(|one| (one.shape.requests.clone(), one.most)).collect();
    // Pods that share a pool of usual machines shall survive the loss of one.
    let least_general = if domain.is_some() { 1 } else { 2 };
    let size =
        |pods: &[_], least| sized(device.as_ref(), members, pods, cloud, (least, least_general));
    let mut needed = 1;
    let mut least_zones = 1;
    let found = if let Some(key) = &domain {
        needed = domains(members, key);
        // A domain has its share of the pods that exclude each other from a node.
        size(&of_one_domain(members, key), (apart + needed - 1) / needed)
    } else {
        size(&all, apart)
    };
    let Some((mut machines, is_gpu)) = found else { return };
    let zones = domains(members, ZONE_LABEL);
    if domain.is_none() && zones > 1 && members.iter().any(is_bound_to_zone) {
        let of_zone = size(&of_one_domain(members, ZONE_LABEL), 1);
        // The nodes are spread over at least three zones.
        least_zones = zones.max(3);
        let per_zone = of_zone.map_or(1, |(one, _)| one.count);
        machines.count = machines.count.max(per_zone.saturating_mul(least_zones));
    }
    let is_special = device.is_some() || !labels.is_empty();
    let taints = if is_special { taints(members) } else { Vec::new() };
    let (unplaced, mut unfit): (Vec<_>, Vec<_>) = unfit(&machines, members).into_iter().unzip();
    let count = needed.min(DOMAINS_MAX);
    if count < needed {
        unfit.push(format!("pods need {needed} domains of their own, but here are {count}"));
    }
    for _ in 0..count {
        let kind = if is_gpu { "gpu" } else { "general" };
        let number = 1 + pools.iter().filter(|pool| pool.name.starts_with(kind)).count();
        let name = if number == 1 { kind.to_owned() } else { format!("{kind}-{number}") };
        let mut labels = labels.clone();
        labels.extend(domain.iter().map(|key| (key.to_string(), name.clone())));
        pools.push(Pool {
            name,
            node_type: machines.node_type.clone(),
            count: machines.count,
            bounds: None,
            disk_gib: machines.disk_gib,
            labels,
            flavor_labels: BTreeMap::new(),
            domain_label: domain.clone(),
            least_zones: usize::try_from(least_zones).unwrap_or(1),
            taints: taints.clone(),
            workloads: members.iter().map(|one| one.workload.clone()).collect(),
            unfit: std::mem::take(&mut unfit),
            unplaced: unplaced.clone(),
            gpu: gpu_of(&machines.node_type),
        });
    }
}

/// True if the pods' affinity keeps them in one zone.
fn is_bound_to_zone(member: &Member<'_>) -> bool {
    member.shape.domain_labels.contains(ZONE_LABEL)
}

/// The machines for pods with this device, and whether they have it.
fn sized(
    device: Option<&Name>,
    members: &[Member<'_>],
    pods: &[(ResourceList, i64)],
    cloud: Provider,
    (least, least_general): (i64, i64),
) -> Option<(Machines, bool)> {
    let general = |pods: &[(ResourceList, i64)]| {
        Some((general_type(cloud, pods, least.max(least_general))?, false))
    };
    let Some(device) = device else {
        return general(pods);
    };
    // Other devices are ignored, such as network interfaces of the same machine.
    let known = |name: &Name| !name.contains('/') || name == device;
    let pods: Vec<_> =
        pods.iter().map(|(requests, count)| (only(requests, known), *count)).collect();
    let mut group = DevicePods { pods, ..DevicePods::default() };
    for one in members {
        group.served.extend(one.shape.server.as_ref().map(Served::of));
        group.selector.extend(one.shape.node_selector.clone());
    }
    match device_type(&group, device, cloud) {
        Some(found) => Some((Machines { count: found.count.max(least), ..found }, true)),
        None => general(&group.pods),
    }
}

/// The pods in one of several domains: one of a workload whose pods each have a domain of their own, and the largest of the
/// other workloads.
fn of_one_domain(members: &[Member<'_>], key: &str) -> Vec<(ResourceList, i64)> {
    let (single, rest): (Vec<&Member<'_>>, Vec<&Member<'_>>) =
        members.iter().partition(|one| is_apart_from_itself(one, key));
    let cpu = |one: &&&Member<'_>| {
        let each = one.shape.requests.get("cpu").map_or(1, |amount| amount.nanos().max(1));
        each.saturating_mul(i128::from(one.most))
    };
    let largest_single = single.iter().max_by_key(cpu);
    let largest = rest.iter().max_by_key(cpu);
    let of_single = largest_single.map(|one| (one.shape.requests.clone(), 1));
    of_single.into_iter().chain(largest.map(|one| (one.shape.requests.clone(), one.most))).collect()
}

/// The workloads whose pods such nodes have no room for, with the reason.
fn unfit(machines: &Machines, members: &[Member<'_>]) -> Vec<(ObjectReference, String)> {
    let of = |one: &Member<'_>| {
        let lacks = lacking(machines, &one.shape.requests);
        let has_pods = !lacks.is_empty() && one.most > 0;
        has_pods.then(|| {
            let (workload, lacks) = (one.workload, lacks.join(", "));
            let why = format!(
                "no instance type of the catalog has room for the pods of {workload} ({lacks}): they stay pending"
            );
            (workload.clone(), why)
        })
    };
    members.iter().filter_map(of).collect()
}

/// Taints against pods of other workloads: those that all of these tolerate by name.
fn taints(members: &[Member<'_>]) -> Vec<Taint> {
    let shapes: Vec<&PodShape> = members.iter().map(|one| one.shape).collect();
    let mut taints: Vec<Taint> = Vec::new();
    for toleration in shapes.first().into_iter().flat_map(|first| &first.tolerations) {
        let key = toleration.key.clone();
        let is_condition = key.is_empty() || key.starts_with("node.kubernetes.io/");
        let value = match toleration.operator {
            TolerationOperator::Equal => toleration.value.clone(),
            TolerationOperator::Exists => Name::default(),
        };
        let taint = Taint { key, value, effect: TaintEffect::NoSchedule, time_added: None };
        let tolerate = |shape: &PodShape| shape.tolerations.iter().any(|one| one.tolerates(&taint));
        let is_known = taints.iter().any(|known| known.key == taint.key);
        if !is_condition && !is_known && shapes.iter().all(|shape| tolerate(shape)) {
            taints.push(taint);
        }
    }
    taints
}

/// The device resources that machines of the catalog offer.
fn devices() -> BTreeSet<Name> {
    let of_type = |node_type: &NodeType| {
        let capacity = node_type.capacity();
        let names: Vec<Name> = capacity.iter().map(|(name, _)| name.clone()).collect();
        names.into_iter().filter(|name| name.contains('/'))
    };
    catalog::node_types().iter().flat_map(of_type).collect()
}

/// True for node labels that clouds do not set.
fn is_own_label(key: &str) -> bool {
    !key.starts_with("kubernetes.io/")
        && !key.starts_with("beta.kubernetes.io/")
        && !key.starts_with("topology.kubernetes.io/")
        && !key.starts_with("node.kubernetes.io/")
}

/// Selected node labels that a pool must define; clouds set the others.
fn asked_labels(shape: &PodShape) -> BTreeMap<String, String> {
    shape
        .node_selector
        .iter()
        .filter(|(key, _)| is_own_label(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn most_replicas(inventory: &Inventory, workload: &ObjectReference, shape: &PodShape) -> i64 {
    let most = inventory.max_replicas.get(workload).copied().unwrap_or(shape.replicas);
    // A manifest may contain an absurd number; validation reports it elsewhere.
    most.clamp(0, 1_000_000)
}

impl Pool {
    /// Zones of the region whose prices are known: three, or more if pods need more and the region has them.
    pub(super) fn zones(&self) -> Vec<String> {
        let region = self.node_type.region();
        let ends: &[&str] = match self.node_type.machine.provider {
            Provider::Aws => &["a", "b", "c", "d", "e", "f"],
            Provider::Azure => &["-1", "-2", "-3"],
            Provider::Gcp => &["-a", "-b", "-c", "-f"],
        };
        let count = self.least_zones.clamp(3, ends.len());
        ends[..count].iter().map(|end| format!("{region}{end}")).collect()
    }

    /// Description of its machine: `2 CPU, 8 GiB, 0.0960 USD an hour`.
    pub(super) fn machine(&self) -> String {
        let (MilliCpu(cpu), Bytes(memory)) =
            (self.node_type.machine.cpu, self.node_type.machine.memory);
        let gpus = self.node_type.gpus.as_ref().map_or(String::new(), |gpus| format!("{gpus}, "));
        let price = self.node_type.on_demand.as_usd();
        format!("{gpus}{} CPU, {} GiB, {price:.4} USD an hour", cpu / 1000, memory >> 30)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::pod_template::Toleration;

    const GPU: &str = "nvidia.com/gpu";

    #[test]
    fn a_pool_is_tainted_if_all_of_its_pods_tolerate_it() {
        let id = |name: &str| -> ObjectReference { name.parse().expect("a reference") };
        let tolerating = |keys: &[&'static str]| PodShape {
            tolerations: keys
                .iter()
                .map(|key| Toleration {
                    key: (*key).into(),
                    operator: TolerationOperator::Exists,
                    value: Name::default(),
                    effect: None,
                    toleration_seconds: None,
                })
                .collect(),
            ..PodShape::default()
        };
        let both = tolerating(&["node.kubernetes.io/not-ready", "", GPU, "team"]);
        let inventory = Inventory {
            workloads: BTreeMap::from([
                (id("Deployment/a"), both),
                (id("Deployment/b"), tolerating(&[GPU])),
            ]),
            ..Inventory::default()
        };
        let keys = |workloads: &[&str]| -> Vec<String> {
            let is_asked =
                |workload: &ObjectReference| workloads.iter().any(|name| id(name) == *workload);
            let all = inventory.workloads.iter().filter(|(workload, _)| is_asked(workload));
            let members: Vec<Member<'_>> =
                all.map(|(workload, shape)| Member { workload, shape, most: 1 }).collect();
            taints(&members).iter().map(|taint| taint.key.to_string()).collect()
        };
        assert_eq!(keys(&["Deployment/a"]), [GPU, "team"]);
        assert_eq!(keys(&["Deployment/a", "Deployment/b"]), [GPU]);
        assert!(keys(&[]).is_empty());
    }
}
