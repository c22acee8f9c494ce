//! Node pools for workloads if no nodes are given: large enough for all their requests
//! at their autoscalers' maximum replicas. A first guess, for a person to improve.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::llm::{Served, gpu_of, hinted_gpu};
use crate::inventory::{Inventory, PodShape};
use capacity::catalog::{self, Filter};
use capacity::node_type::NodeType;
use capacity::reserved::Provider;
use cluster::node::Taint;
use cluster::pod_template::{ResourceList, TaintEffect, TolerationOperator};
use cluster::{Name, ObjectReference};
use traffic::llm::catalog::Gpu;
use units::{Bytes, MilliCpu};

/// General-purpose types, from small to large.
const GENERAL: [&str; 8] = [
    "aws/m5.large",
    "aws/m5.xlarge",
    "aws/m5.2xlarge",
    "aws/m5.4xlarge",
    "aws/m5.8xlarge",
    "aws/m5.12xlarge",
    "aws/m5.16xlarge",
    "aws/m5.24xlarge",
];
/// Number of nodes above which a larger type is chosen.
const MANY_NODES: i64 = 12;
/// Capacity as a multiple of the requests, for system pods and rolling updates: numerator, denominator.
const SLACK: (i128, i128) = (5, 4);
#[cfg(test)]
const GPU: &str = "nvidia.com/gpu";
/// Guessed time to pull an image [s].
const IMAGE_PULL_SECONDS: i64 = 10;
/// Half of a scenario's duration.
const WARM_UP_MINUTES_MAX: i64 = 30;
/// Label with which pods select an instance type.
const INSTANCE_TYPE_LABEL: &str = "node.kubernetes.io/instance-type";

/// A pool for some workloads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) node_type: NodeType,
    /// Number of nodes, the maximum if an autoscaler chooses it.
    pub(super) count: i64,
    /// Minimum and maximum number of nodes, if an autoscaler chooses it.
    pub(super) bounds: Option<(u32, u32)>,
    /// Node labels that its pods select.
    pub(super) labels: BTreeMap<String, String>,
    /// Taints that all of its pods tolerate.
    pub(super) taints: Vec<Taint>,
    /// The workloads that it was sized for.
    pub(super) workloads: Vec<ObjectReference>,
    /// Its GPU model, if it is in the catalog.
    pub(super) gpu: Option<&'static Gpu>,
}

/// Pods that can share nodes.
#[derive(Default)]
struct Group<'a> {
    workloads: Vec<ObjectReference>,
    /// Requests of one pod, and number of such pods.
    pods: Vec<(ResourceList, i64)>,
    /// The language models among them.
    served: Vec<Served<'a>>,
    /// Union of their node selectors.
    selector: BTreeMap<String, String>,
    /// Maximum number of pods of which no two may share a node.
    apart: i64,
}

/// A pool for each set of node labels that pods select; pods with devices get pools of their own.
pub(super) fn pools(inventory: &Inventory) -> Vec<Pool> {
    let mut groups: BTreeMap<(Option<Name>, BTreeMap<String, String>), Group> = BTreeMap::new();
    let devices = devices();
    for (workload, shape) in &inventory.workloads {
        let device = devices.iter().find(|device| shape.requests.get(device).is_some());
        let labels = asked_labels(shape);
        let group = groups.entry((device.cloned(), labels)).or_default();
        group.workloads.push(workload.clone());
        let most = most_replicas(inventory, workload, shape);
        group.pods.push((shape.requests.clone(), most));
        if shape.takes_node_port {
            group.apart += most;
        } else if shape.keeps_apart {
            group.apart = group.apart.max(most);
        }
        group.served.extend(shape.server.as_ref().map(Served::of));
        group.selector.extend(shape.node_selector.clone());
    }
    let mut pools: Vec<Pool> = Vec::new();
    for ((device, labels), mut group) in groups {
        let least = group.apart;
        let of_device = device.as_ref().and_then(|device| {
            let known = |name: &Name| !name.contains('/') || name == device;
            let pods = group.pods.iter().map(|(requests, count)| (only(requests, known), *count));
            group.pods = pods.collect();
            device_type(&group, device)
        });
        let is_gpu = of_device.is_some();
        let sized = of_device.or_else(|| general_type(&group.pods, least.max(2)));
        let Some((node_type, count)) = sized else { continue };
        let count = count.max(least);
        let kind = if is_gpu { "gpu" } else { "general" };
        let number = 1 + pools.iter().filter(|pool| pool.name.starts_with(kind)).count();
        let name = if number == 1 { kind.to_owned() } else { format!("{kind}-{number}") };
        let gpu = gpu_of(&node_type);
        let is_special = device.is_some() || !labels.is_empty();
        let taints = if is_special { taints(inventory, &group.workloads) } else { Vec::new() };
        pools.push(Pool {
            name,
            node_type,
            count,
            bounds: None,
            labels,
            taints,
            workloads: group.workloads,
            gpu,
        });
    }
    pools
}

/// Taints against pods of other workloads: those that all of these tolerate by name.
fn taints(inventory: &Inventory, workloads: &[ObjectReference]) -> Vec<Taint> {
    let shapes: Vec<&PodShape> =
        workloads.iter().filter_map(|workload| inventory.workloads.get(workload)).collect();
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

/// A generous estimate of the minutes until all pods are up: a node pulls images one after another, and nodes get
/// unequal numbers of pods.
pub(super) fn warm_up_minutes(inventory: &Inventory, pools: &[Pool], least: i64) -> i64 {
    let pods: i128 = inventory.workloads.values().map(|one| i128::from(one.replicas.max(0))).sum();
    let of_pools: i64 = pools.iter().map(|pool| pool.count).sum();
    let nodes = of_pools.max(i64::try_from(inventory.nodes.len()).unwrap_or(i64::MAX)).max(1);
    let images = i64::try_from(pods).unwrap_or(i64::MAX) / nodes;
    (images.saturating_mul(IMAGE_PULL_SECONDS * 3 / 2) / 60 + 2).clamp(least, WARM_UP_MINUTES_MAX)
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

/// The requests for some resources.
fn only(requests: &ResourceList, takes: impl Fn(&Name) -> bool) -> ResourceList {
    let taken = requests.iter().filter(|(name, _)| takes(name));
    taken.map(|(name, amount)| (name.clone(), amount)).collect()
}

/// Selected node labels that a pool must define; clouds set the others.
fn asked_labels(shape: &PodShape) -> BTreeMap<String, String> {
    let is_own = |key: &str| {
        !key.starts_with("kubernetes.io/")
            && !key.starts_with("beta.kubernetes.io/")
            && !key.starts_with("topology.kubernetes.io/")
            && !key.starts_with("node.kubernetes.io/")
    };
    shape
        .node_selector
        .iter()
        .filter(|(key, _)| is_own(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn most_replicas(inventory: &Inventory, workload: &ObjectReference, shape: &PodShape) -> i64 {
    let most = inventory.max_replicas.get(workload).copied().unwrap_or(shape.replicas);
    // A manifest may contain an absurd number; validation reports it elsewhere.
    most.clamp(0, 1_000_000)
}

/// The first type of which no more than [`MANY_NODES`] are needed, else the last that fits the pods; with the number of
/// nodes.
fn counted(
    candidates: &[NodeType],
    pods: &[(ResourceList, i64)],
    least: i64,
) -> Option<(NodeType, i64)> {
    let mut last = None;
    for node_type in candidates {
        let Some(count) = count_of(&node_type.allocatable(), pods) else { continue };
        let count = count.max(least);
        last = Some((node_type.clone(), count));
        if count <= MANY_NODES {
            break;
        }
    }
    last
}

/// The general-purpose type for these pods, and the number of nodes. Resources that no machine has (a device added to
/// nodes by hand) and pods too large for any type are ignored: such pods stay pending, and the run reports the reason.
fn general_type(pods: &[(ResourceList, i64)], least: i64) -> Option<(NodeType, i64)> {
    let types = general_types();
    if let Some(found) = counted(&types, pods, least) {
        return Some(found);
    }
    let largest = types.last()?.allocatable();
    let fits = |requests: &ResourceList| {
        requests.iter().all(|(name, amount)| {
            largest.get(name).is_none_or(|most| amount.nanos() <= most.nanos())
        })
    };
    let rest: Vec<(ResourceList, i64)> = pods
        .iter()
        .filter(|(requests, _)| fits(requests))
        .map(|(requests, count)| (only(requests, |name| largest.get(name).is_some()), *count))
        .collect();
    counted(&types, &rest, least)
}

fn general_types() -> Vec<NodeType> {
    GENERAL.iter().filter_map(|name| catalog::find(name).ok()).collect()
}

/// The cheapest type with the devices that the pods select by label; else with GPUs into which their language
/// models fit; else with enough of any. Preferably of the cloud that their labels name, or of AWS.
fn device_type(group: &Group<'_>, device: &str) -> Option<(NodeType, i64)> {
    if let Some(name) = group.selector.get(INSTANCE_TYPE_LABEL)
        && let Ok(named) = catalog::find(name)
        && let Some(found) = counted(&[named], &group.pods, 1)
    {
        return Some(found);
    }
    let hint = hinted_gpu(&group.selector);
    let is_hinted = |one: &NodeType| hint.is_none_or(|hint| gpu_of(one) == Some(hint));
    let fits = |one: &NodeType| {
        let gpu = gpu_of(one);
        group.served.iter().all(|served| gpu.is_some_and(|gpu| served.fits(gpu)))
    };
    let cloud = cloud_of(&group.selector);
    let [of_cloud, of_any] =
        [Some(cloud), None].map(|cloud| types_with(device, cloud, &group.pods));
    let stages: [Stage<'_>; 6] = [
        (&of_cloud, &|one| is_hinted(one) && fits(one)),
        (&of_any, &|one| is_hinted(one) && fits(one)),
        (&of_cloud, &|one| hint.is_some() && is_hinted(one)),
        (&of_any, &|one| hint.is_some() && is_hinted(one)),
        (&of_cloud, &|one| group.served.is_empty() || gpu_of(one).is_some()),
        (&of_cloud, &|_| true),
    ];
    stages.iter().find_map(|(types, takes)| {
        let types: Vec<NodeType> = types.iter().filter(|one| takes(one)).cloned().collect();
        counted(&types, &group.pods, 1)
    })
}

/// Candidate types and the condition on them.
type Stage<'a> = (&'a [NodeType], &'a dyn Fn(&NodeType) -> bool);

/// The cloud whose labels are selected.
fn cloud_of(selector: &BTreeMap<String, String>) -> Provider {
    let has = |part: &str| selector.keys().any(|key| key.contains(part));
    match () {
        () if has("cloud.google.com/") => Provider::Gcp,
        () if has("kubernetes.azure.com/") => Provider::Azure,
        () => Provider::Aws,
    }
}

/// Types with enough of a device for the largest pod, cheapest first.
fn types_with(
    device: &str,
    provider: Option<Provider>,
    pods: &[(ResourceList, i64)],
) -> Vec<NodeType> {
    let most = pods.iter().filter_map(|(requests, _)| requests.get(device)).max();
    let filter = Filter { provider, ..Filter::default() };
    let has_enough = |node_type: &&NodeType| {
        let has = node_type.capacity().get(device);
        has.is_some_and(|has| most.is_none_or(|most| most <= has))
    };
    let accepted = catalog::node_types().iter().filter(|node_type| filter.accepts(node_type));
    let mut types: Vec<NodeType> = accepted.filter(has_enough).cloned().collect();
    types.sort_by_key(|node_type| (node_type.on_demand, Reverse(node_type.machine.cpu)));
    types
}

/// Number of nodes that hold all pods, by the scarcest resource; `None` if a pod fits on none.
fn count_of(allocatable: &ResourceList, pods: &[(ResourceList, i64)]) -> Option<i64> {
    let mut total: BTreeMap<&str, i128> = BTreeMap::new();
    for (requests, count) in pods {
        *total.entry("pods").or_default() += i128::from(*count) * 1_000_000_000;
        for (resource, amount) in requests.iter() {
            if amount.nanos() > allocatable.get(resource)?.nanos() {
                return None;
            }
            *total.entry(resource).or_default() += amount.nanos() * i128::from(*count);
        }
    }
    // A node holds one or two large pods, and the rest of it stays unused.
    let large: i128 =
        pods.iter().filter_map(|(requests, count)| large(allocatable, requests, *count)).sum();
    let counts = total.into_iter().map(|(resource, amount)| {
        let per_node = allocatable.get(resource).map_or(1, |amount| amount.nanos().max(1));
        let (wanted, given) = (amount * SLACK.0, per_node * SLACK.1);
        (wanted + given - 1) / given
    });
    i64::try_from(counts.max().unwrap_or(1).max(large)).ok()
}

/// Number of nodes for these pods, if a node holds no more than two of them.
fn large(allocatable: &ResourceList, requests: &ResourceList, count: i64) -> Option<i128> {
    let most = requests
        .iter()
        .filter(|(_, amount)| amount.nanos() > 0)
        .filter_map(|(name, amount)| Some(allocatable.get(name)?.nanos() / amount.nanos()));
    let per_node = most.min().filter(|most| (1..=2).contains(most))?;
    Some((i128::from(count) + per_node - 1) / per_node)
}

impl Pool {
    /// Three zones of the region whose prices are known.
    pub(super) fn zones(&self) -> [String; 3] {
        let region = self.node_type.region();
        let ends = match self.node_type.machine.provider {
            Provider::Aws => ["a", "b", "c"],
            Provider::Azure => ["-1", "-2", "-3"],
            Provider::Gcp => ["-a", "-b", "-c"],
        };
        ends.map(|end| format!("{region}{end}"))
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

    fn list(amounts: &[(&'static str, &str)]) -> ResourceList {
        amounts.iter().map(|(name, text)| (*name, text.parse().expect("a quantity"))).collect()
    }

    #[test]
    fn nodes_are_counted_by_the_scarcest_resource_with_room_to_spare() {
        let node = list(&[("cpu", "2"), ("memory", "8Gi"), ("pods", "29")]);
        // 10 CPU plus a quarter: 12.5 CPU on nodes of 2.
        assert_eq!(count_of(&node, &[(list(&[("cpu", "1"), ("memory", "1Gi")]), 10)]), Some(7));
        assert_eq!(count_of(&node, &[(list(&[("cpu", "1m")]), 100)]), Some(5));
        // No two fit on a node: almost half of each node stays free.
        assert_eq!(count_of(&node, &[(list(&[("cpu", "1.1")]), 4)]), Some(4));
        assert_eq!(count_of(&node, &[(list(&[("cpu", "700m")]), 20)]), Some(10), "two of each");
        assert_eq!(count_of(&node, &[(list(&[("cpu", "3")]), 1)]), None);
        assert_eq!(count_of(&node, &[(list(&[(GPU, "1")]), 1)]), None);
    }

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
            let workloads: Vec<_> = workloads.iter().map(|name| id(name)).collect();
            taints(&inventory, &workloads).iter().map(|taint| taint.key.to_string()).collect()
        };
        assert_eq!(keys(&["Deployment/a"]), [GPU, "team"]);
        assert_eq!(keys(&["Deployment/a", "Deployment/b"]), [GPU]);
        assert!(keys(&[]).is_empty());
    }

    #[test]
    fn the_warm_up_is_as_long_as_nodes_pull_images() {
        let workload = |replicas| PodShape { replicas, ..PodShape::default() };
        let minutes = |replicas: i64| {
            let id: ObjectReference = "Deployment/web".parse().expect("a reference");
            let workloads = BTreeMap::from([(id, workload(replicas))]);
            warm_up_minutes(&Inventory { workloads, ..Inventory::default() }, &[], 5)
        };
        // On one node: 24 images of 10 s take 4 minutes, half as long again 6.
        assert_eq!([1, 24, 10_000].map(minutes), [5, 8, 30]);
    }

    #[test]
    fn larger_nodes_are_taken_where_there_would_be_many_small_ones() {
        let of = |count| {
            counted(&general_types(), &[(list(&[("cpu", "500m"), ("memory", "1Gi")]), count)], 2)
        };
        let (small, count) = of(3).expect("it fits");
        assert_eq!((small.to_string().as_str(), count), ("aws/m5.large", 2));
        let (large, count) = of(200).expect("it fits");
        assert_eq!((large.to_string().as_str(), count), ("aws/m5.4xlarge", 8));
    }

    #[test]
    fn a_device_that_no_machine_has_does_not_keep_a_pod_from_a_node() {
        let pods = vec![
            (list(&[("cpu", "1"), ("example.com/dongle", "2")]), 1),
            (list(&[("cpu", "500")]), 1),
        ];
        assert_eq!(general_type(&pods, 2).map(|(_, count)| count), Some(2));
        assert!(devices().contains("aws.amazon.com/neuron"));
    }

    #[test]
    fn pods_with_gpus_get_machines_with_gpus() {
        let pods = vec![(list(&[("cpu", "4"), (GPU, "4")]), 2)];
        let (node_type, count) =
            device_type(&Group { pods, ..Group::default() }, GPU).expect("it fits");
        assert!(node_type.gpus.is_some_and(|gpus| gpus.count >= 4));
        assert!(count >= 2);
    }
}
