//! The instance type for pods that share nodes, and the number of nodes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::llm::{Served, gpu_of, hinted_gpu};
use capacity::catalog::{self, Filter};
use capacity::node_type::NodeType;
use capacity::reserved::Provider;
use cluster::Name;
use cluster::pod_template::ResourceList;
use units::Quantity;

/// General-purpose types of each cloud, from small to large.
const AWS: [&str; 8] = [
    "aws/m5.large",
    "aws/m5.xlarge",
    "aws/m5.2xlarge",
    "aws/m5.4xlarge",
    "aws/m5.8xlarge",
    "aws/m5.12xlarge",
    "aws/m5.16xlarge",
    "aws/m5.24xlarge",
];
const AZURE: [&str; 8] = [
    "azure/Standard_D2s_v5",
    "azure/Standard_D4s_v5",
    "azure/Standard_D8s_v5",
    "azure/Standard_D16s_v5",
    "azure/Standard_D32s_v5",
    "azure/Standard_D48s_v5",
    "azure/Standard_D64s_v5",
    "azure/Standard_D96s_v5",
];
const GCP: [&str; 8] = [
    "gcp/e2-standard-2",
    "gcp/e2-standard-4",
    "gcp/e2-standard-8",
    "gcp/e2-standard-16",
    "gcp/e2-standard-32",
    "gcp/n2-standard-48",
    "gcp/n2-standard-80",
    "gcp/n2-standard-128",
];
/// Number of nodes above which a larger type is chosen.
const MANY_NODES: i64 = 12;
/// Capacity as a multiple of the requests, for system pods and rolling updates: numerator, denominator.
const SLACK: (i128, i128) = (5, 4);
/// Label with which pods select an instance type.
const INSTANCE_TYPE_LABEL: &str = "node.kubernetes.io/instance-type";
/// The resource of a node's disk.
const DISK: &str = "ephemeral-storage";
/// The disks of nodes are guessed in multiples of this size [GiB].
const DISK_STEP_GIB: i128 = 50;
const GIB_NANOS: i128 = (1 << 30) * 1_000_000_000;

/// Requests of one pod, and number of such pods.
pub(super) type Pods = [(ResourceList, i64)];

/// A type, the number of its nodes, and the room for pods that their disks must have if the usual disks are too small.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Machines {
    pub(super) node_type: NodeType,
    pub(super) count: i64,
    pub(super) disk_gib: Option<i64>,
}

/// Pods with a device, what they select, and the language models among them.
#[derive(Default)]
pub(super) struct DevicePods<'a> {
    pub(super) pods: Vec<(ResourceList, i64)>,
    pub(super) served: Vec<Served<'a>>,
    /// Union of their node selectors.
    pub(super) selector: BTreeMap<String, String>,
}

/// The requests for some resources.
pub(super) fn only(requests: &ResourceList, takes: impl Fn(&Name) -> bool) -> ResourceList {
    let taken = requests.iter().filter(|(name, _)| takes(name));
    taken.map(|(name, amount)| (name.clone(), amount)).collect()
}

/// The requests for which a node of this type has no room: `nvidia.com/gpu: 16`.
pub(super) fn lacking(machines: &Machines, requests: &ResourceList) -> Vec<String> {
    let offers = machines.node_type.allocatable();
    let lacks = |(name, amount): &(&Name, Quantity)| {
        let is_disk = ***name == *DISK && machines.disk_gib.is_some();
        amount.nanos() > 0
            && !is_disk
            && offers.get(name).is_none_or(|offered| offered.nanos() < amount.nanos())
    };
    let lacked = requests.iter().filter(lacks);
    lacked.map(|(name, amount)| format!("{name}: {amount}")).collect()
}

/// The general-purpose type of a cloud for these pods. Resources that no machine has (a device added to nodes by hand) and
/// pods too large for any type are ignored: such pods stay pending, and the run reports the reason.
pub(super) fn general_type(cloud: Provider, pods: &Pods, least: i64) -> Option<Machines> {
    let types = general_types(cloud);
    if let Some((node_type, count)) = counted(&types, pods, least) {
        return Some(Machines { node_type, count, disk_gib: None });
    }
    let largest = types.last()?.allocatable();
    let fits = |requests: &ResourceList| {
        requests.iter().all(|(name, amount)| {
            **name == *DISK || largest.get(name).is_none_or(|most| amount.nanos() <= most.nanos())
        })
    };
    let rest: Vec<(ResourceList, i64)> = pods
        .iter()
        .filter(|(requests, _)| fits(requests))
        .map(|(requests, count)| (only(requests, |name| largest.get(name).is_some()), *count))
        .collect();
    with_disks(&rest, |pods| counted(&types, pods, least))
}

/// The cheapest type with the devices that the pods select by label; else with GPUs into which their language
/// models fit; else with enough of any. Preferably of this cloud.
pub(super) fn device_type(
    group: &DevicePods<'_>,
    device: &str,
    cloud: Provider,
) -> Option<Machines> {
    with_disks(&group.pods, |pods| {
        if let Some(name) = group.selector.get(INSTANCE_TYPE_LABEL)
            && let Ok(named) = catalog::find(name)
            && let Some(found) = counted(&[named], pods, 1)
        {
            return Some(found);
        }
        let hint = hinted_gpu(&group.selector);
        let is_hinted = |one: &NodeType| hint.is_none_or(|hint| gpu_of(one) == Some(hint));
        let fits = |one: &NodeType| {
            let gpu = gpu_of(one);
            group.served.iter().all(|served| gpu.is_some_and(|gpu| served.fits(gpu)))
        };
        let [of_cloud, of_any] = [Some(cloud), None].map(|cloud| types_with(device, cloud, pods));
        let stages: [Stage<'_>; 7] = [
            (&of_cloud, &|one| is_hinted(one) && fits(one)),
            (&of_any, &|one| is_hinted(one) && fits(one)),
            (&of_cloud, &|one| hint.is_some() && is_hinted(one)),
            (&of_any, &|one| hint.is_some() && is_hinted(one)),
            (&of_cloud, &|one| group.served.is_empty() || gpu_of(one).is_some()),
            (&of_cloud, &|_| true),
            (&of_any, &|_| true),
        ];
        stages.iter().find_map(|(types, takes)| {
            let types: Vec<NodeType> = types.iter().filter(|one| takes(one)).cloned().collect();
            counted(&types, pods, 1)
        })
    })
}

/// Candidate types and the condition on them.
type Stage<'a> = (&'a [NodeType], &'a dyn Fn(&NodeType) -> bool);

/// Chooses a type regardless of its disk, whose size is chosen too. The disk is larger than usual if a pod needs that.
fn with_disks(pods: &Pods, choose: impl Fn(&Pods) -> Option<(NodeType, i64)>) -> Option<Machines> {
    let rest: Vec<(ResourceList, i64)> = pods
        .iter()
        .map(|(requests, count)| (only(requests, |name| **name != *DISK), *count))
        .collect();
    let (node_type, count) = choose(&rest)?;
    let asked = |requests: &ResourceList| requests.get(DISK).map_or(0, Quantity::nanos);
    let largest = pods.iter().map(|(requests, _)| asked(requests)).max().unwrap_or_default();
    let total: i128 = pods.iter().map(|(requests, each)| asked(requests) * i128::from(*each)).sum();
    let usual = node_type.allocatable().get(DISK).map_or(0, Quantity::nanos);
    let per_node = total * SLACK.0 / SLACK.1 / i128::from(count.max(1));
    let needed = largest.max(per_node);
    let steps = (needed + DISK_STEP_GIB * GIB_NANOS - 1) / (DISK_STEP_GIB * GIB_NANOS);
    let disk_gib = (needed > usual).then(|| i64::try_from(steps * DISK_STEP_GIB).ok()).flatten();
    Some(Machines { node_type, count, disk_gib })
}

/// The first type of which no more than [`MANY_NODES`] are needed, else the last that fits the pods; with the number of
/// nodes.
fn counted(candidates: &[NodeType], pods: &Pods, least: i64) -> Option<(NodeType, i64)> {
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

fn general_types(cloud: Provider) -> Vec<NodeType> {
    let names = match cloud {
        Provider::Aws => AWS,
        Provider::Azure => AZURE,
        Provider::Gcp => GCP,
    };
    names.iter().filter_map(|name| catalog::find(name).ok()).collect()
}

/// Types with enough of a device for the largest pod, cheapest first.
fn types_with(device: &str, provider: Option<Provider>, pods: &Pods) -> Vec<NodeType> {
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
fn count_of(allocatable: &ResourceList, pods: &Pods) -> Option<i64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: &str = "nvidia.com/gpu";

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
    fn larger_nodes_are_taken_where_there_would_be_many_small_ones() {
        let of = |count| {
            let types = general_types(Provider::Aws);
            counted(&types, &[(list(&[("cpu", "500m"), ("memory", "1Gi")]), count)], 2)
        };
        let (small, count) = of(3).expect("it fits");
        assert_eq!((small.to_string().as_str(), count), ("aws/m5.large", 2));
        let (large, count) = of(200).expect("it fits");
        assert_eq!((large.to_string().as_str(), count), ("aws/m5.4xlarge", 8));
    }

    #[test]
    fn every_cloud_has_general_types_of_growing_size() {
        for cloud in Provider::ALL {
            let cpu: Vec<i64> = general_types(cloud).iter().map(|one| one.machine.cpu.0).collect();
            assert!(cpu.len() == 8 && cpu.is_sorted(), "{cloud:?}: {cpu:?}");
        }
    }

    #[test]
    fn a_device_that_no_machine_has_does_not_keep_a_pod_from_a_node() {
        let dongle = list(&[("cpu", "1"), ("example.com/dongle", "2")]);
        let pods = vec![(dongle.clone(), 1), (list(&[("cpu", "500")]), 1)];
        let found = general_type(Provider::Aws, &pods, 2).expect("it fits");
        assert_eq!(found.count, 2);
        assert_eq!(lacking(&found, &dongle), ["example.com/dongle: 2"]);
    }

    #[test]
    fn pods_with_gpus_get_machines_with_gpus() {
        let pods = vec![(list(&[("cpu", "4"), (GPU, "4")]), 2)];
        let group = DevicePods { pods, ..DevicePods::default() };
        let found = device_type(&group, GPU, Provider::Aws).expect("it fits");
        assert!(found.node_type.gpus.is_some_and(|gpus| gpus.count >= 4));
        assert!(found.count >= 2);
    }

    #[test]
    fn a_pod_that_needs_much_disk_gets_a_larger_disk_and_the_machine_that_it_would_get_without() {
        let asks = |disk| vec![(list(&[("cpu", "4"), (GPU, "8"), (DISK, disk)]), 2)];
        let of = |disk: &'static str| {
            let group = DevicePods { pods: asks(disk), ..DevicePods::default() };
            device_type(&group, GPU, Provider::Aws).expect("it fits")
        };
        let (usual, large) = (of("1Gi"), of("801Gi"));
        assert_eq!((&usual.node_type, usual.disk_gib), (&large.node_type, None));
        // One pod on a node: 801 GiB and a quarter, in steps of 50.
        assert_eq!((large.count, large.disk_gib), (3, Some(850)));
        assert!(lacking(&large, &asks("801Gi")[0].0).is_empty());
        let general = general_type(Provider::Aws, &[(list(&[("cpu", "1"), (DISK, "40Gi")]), 1)], 2);
        assert_eq!(general.and_then(|one| one.disk_gib), Some(50));
    }
}
