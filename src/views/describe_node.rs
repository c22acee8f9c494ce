//! `kubectl describe node`.

use super::derived;
use super::describe::labels;
use super::get::{Snapshot, taint_text};
use super::page::{Page, line};
use super::rows::node_roles;
use cluster::assigned::node_ip;
use cluster::node::{ConditionStatus, NODE_CONDITIONS, Node, NodeId};
use cluster::pod::Pod;
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{PodSpec, ResourceList};
use cluster::{Kind, NamespacedName};
use engine::SimTime;
use units::Quantity;

pub(super) fn node(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let key = snapshot.view.node_named(&id.name)?;
    let node = snapshot.view.store().nodes().get(key)?;
    line!(page, 0, "Name:\t{}", node.meta.name());
    line!(page, 0, "Roles:\t{}", node_roles(node));
    labels(&node.meta, page);
    line!(page, 0, "CreationTimestamp:\t{}", snapshot.date(node.meta.created));
    // Ordered by effect, NoExecute first (`printNodeTaintsMultiline`).
    let mut taints: Vec<String> = node.taints.iter().map(taint_text).collect();
    taints.sort_by_key(|taint| {
        let (key, effect) = taint.rsplit_once(':').unwrap_or_default();
        (effect.to_owned(), key.to_owned())
    });
    page.list("Taints", taints);
    line!(page, 0, "Unschedulable:\t{}", node.unschedulable);
    line!(page, 0, "Lease:");
    line!(page, 1, "HolderIdentity:\t{}", node.meta.name());
    line!(page, 1, "AcquireTime:\t<unset>");
    let renewed = node.health.lease.renew_time(snapshot.view.now);
    let renewed = renewed.map_or_else(|| "<unset>".to_owned(), |at| snapshot.date(at));
    line!(page, 1, "RenewTime:\t{renewed}");
    conditions(snapshot, node, page);
    line!(page, 0, "Addresses:");
    line!(page, 1, "InternalIP:\t{}", node_ip(node));
    line!(page, 1, "Hostname:\t{}", node.meta.name());
    for (title, amounts) in [("Capacity", &node.capacity), ("Allocatable", &node.allocatable)] {
        line!(page, 0, "{title}:");
        for (name, amount) in amounts.iter() {
            line!(page, 1, "{name}:\t{amount}");
        }
    }
    let info = &snapshot.written(Kind::Node, &node.meta.id)["status"]["nodeInfo"];
    line!(page, 0, "System Info:");
    for (title, field, otherwise) in [
        ("Machine ID", "machineID", ""),
        ("System UUID", "systemUUID", ""),
        ("Boot ID", "bootID", ""),
        ("Kernel Version", "kernelVersion", ""),
        ("OS Image", "osImage", ""),
        ("Operating System", "operatingSystem", ""),
        ("Architecture", "architecture", ""),
        ("Container Runtime Version", "containerRuntimeVersion", ""),
        ("Kubelet Version", "kubeletVersion", derived::KUBELET_VERSION),
    ] {
        line!(page, 1, "{title}:\t{}", info[field].as_str().unwrap_or(otherwise));
    }
    pods(snapshot, key, node, page);
    Some(())
}

/// The conditions reported by the kubelet, or set by the node controller on its behalf.
fn conditions(snapshot: Snapshot<'_>, node: &Node, page: &mut Page) {
    line!(page, 0, "Conditions:");
    line!(page, 1, "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    line!(page, 1, "----\t------\t-----------------\t------------------\t------\t-------");
    let posted_at =
        node.health.posted.map_or(SimTime::ZERO, |posted| posted.max(node.meta.created));
    let is_silent = node.ready.status == ConditionStatus::Unknown;
    let silent = ("NodeStatusUnknown", "Kubelet stopped posting node status.");
    let mut row = |kind: &str, status: ConditionStatus, since, (reason, message): (&str, &str)| {
        let (posted_at, since, status) =
            (snapshot.date(posted_at), snapshot.date(since), status.as_str());
        line!(page, 1, "{kind} \t{status} \t{posted_at} \t{since} \t{reason} \t{message}");
    };
    // NetworkUnavailable is up to the cloud provider, which does not set it during network setup.
    let own = NODE_CONDITIONS.iter().zip(node.health.conditions).take(3);
    for (((kind, _), status), changed) in own.zip(node.health.conditions_since) {
        let words = match (*kind, status) {
            _ if is_silent => silent,
            ("MemoryPressure", ConditionStatus::True) => {
                ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
            }
            ("MemoryPressure", _) => {
                ("KubeletHasSufficientMemory", "kubelet has sufficient memory available")
            }
            ("DiskPressure", ConditionStatus::True) => {
                ("KubeletHasDiskPressure", "kubelet has disk pressure")
            }
            ("DiskPressure", _) => ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            (_, ConditionStatus::True) => {
                ("KubeletHasInsufficientPID", "kubelet has insufficient PID available")
            }
            _ => ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        };
        let status = if is_silent { ConditionStatus::Unknown } else { status };
        let since = if is_silent { node.ready.since } else { changed.unwrap_or(node.meta.created) };
        row(kind, status, since, words);
    }
    let words = match node.ready.status {
        ConditionStatus::True => ("KubeletReady", "kubelet is posting ready status"),
        ConditionStatus::False => ("KubeletNotReady", "container runtime is down"),
        ConditionStatus::Unknown => silent,
    };
    row("Ready", node.ready.status, node.ready.since, words);
}

/// `describeNodeResource`.
fn pods(snapshot: Snapshot<'_>, key: NodeId, node: &Node, page: &mut Page) {
    let store = snapshot.view.store();
    let mut pods: Vec<&Pod> = store.pods_on(key).map(|(_, pod)| pod).collect();
    pods.retain(|pod| !pod.phase.is_terminal());
    pods.sort_by(|one, other| one.id.cmp(&other.id));
    line!(page, 0, "Non-terminated Pods:\t({} in total)", pods.len());
    let titles = "CPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge";
    line!(page, 1, "Namespace\tName\t\t{titles}");
    let dashes = "------------\t----------\t---------------\t-------------\t---";
    line!(page, 1, "---------\t----\t\t{dashes}");
    let allocatable = &node.allocatable;
    let (mut requests, mut limits) = (ResourceList::default(), ResourceList::default());
    for pod in pods {
        let spec = &store.template_of(pod).spec;
        let (requested, limited) = (pod_requests(spec), pod_limits(spec));
        let cell = |amounts: &ResourceList, name: &str| share(amounts, allocatable, name);
        line!(
            page,
            1,
            "{}\t{}\t\t{}\t{}\t{}\t{}\t{}",
            pod.id.namespace,
            pod.id.name,
            cell(&requested, "cpu"),
            cell(&limited, "cpu"),
            cell(&requested, "memory"),
            cell(&limited, "memory"),
            snapshot.age(pod.created)
        );
        requests.add_all(&requested);
        limits.add_all(&limited);
    }
    line!(page, 0, "Allocated resources:");
    line!(page, 1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    line!(page, 1, "Resource\tRequests\tLimits");
    line!(page, 1, "--------\t--------\t------");
    let is_standard = |name: &str| matches!(name, "cpu" | "memory" | "ephemeral-storage");
    let names = || allocatable.iter().map(|(name, _)| &**name);
    let huge_pages = names().filter(|name| name.starts_with("hugepages-"));
    for name in ["cpu", "memory", "ephemeral-storage"].into_iter().chain(huge_pages) {
        let (requested, limited) =
            (share(&requests, allocatable, name), share(&limits, allocatable, name));
        line!(page, 1, "{name}\t{requested}\t{limited}");
    }
    let others = names()
        .filter(|name| !is_standard(name) && *name != "pods" && !name.starts_with("hugepages-"));
    for name in others {
        let amount = |amounts: &ResourceList| amounts.get(name).unwrap_or(Quantity::from_units(0));
        line!(page, 1, "{name}\t{}\t{}", amount(&requests), amount(&limits));
    }
}

/// `50m (2%)`.
fn share(amounts: &ResourceList, allocatable: &ResourceList, name: &str) -> String {
    let amount = amounts.get(name).unwrap_or(Quantity::from_units(0));
    let whole = allocatable.get(name).map_or(0, Quantity::nanos);
    let percent = if whole > 0 { amount.nanos() * 100 / whole } else { 0 };
    format!("{amount} ({percent}%)")
}

/// Total limits of a pod's containers; containers without a limit do not count (`PodLimits`).
fn pod_limits(spec: &PodSpec) -> ResourceList {
    let mut limits = ResourceList::default();
    spec.running().for_each(|container| limits.add_all(&container.limits));
    spec.init_containers.iter().for_each(|container| limits.raise_to(&container.limits));
    limits.set_all(&spec.pod_limits);
    limits
}
