//! The kubelet's admission of pods that were not placed by the scheduler (`pkg/kubelet/lifecycle/predicate.go`
//! with the scheduler's `AdmissionCheck`, 1.36). Pods that the scheduler bound have already passed the same
//! checks.

use cluster::ClusterView;
use cluster::node::{Node, NodeId};
use cluster::pod::{Pod, PodId};
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{ContainerPort, PodSpec, ResourceList, TaintEffect};
use engine::SimDuration;
use units::Quantity;

/// Delay from the admission check until the pod's owner can observe the rejection. It covers the kubelet's
/// status manager and the owner's controller together; without it an owner would replace rejected pods
/// endlessly within one instant.
pub(super) const TOLD_AFTER: SimDuration = SimDuration::from_secs(1);

/// The reason for which a kubelet rejects a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    /// `status.reason` of the failed pod, and the reason of the event.
    pub(super) reason: &'static str,
    /// The event's message.
    pub(super) message: String,
}

/// Checks whether a pod fits on a node next to the unfinished pods that its kubelet has already admitted.
pub(super) fn admit(
    view: ClusterView<'_>,
    (id, pod): (PodId, &Pod),
    node: NodeId,
) -> Result<(), Rejection> {
    let Some(object) = view.nodes().get(node) else { return Ok(()) };
    let spec = &view.template_of(pod).spec;
    let taken = |(other, one): &(PodId, &Pod)| {
        *other != id && one.start_time.is_some() && !one.phase.is_terminal()
    };
    let beside: Vec<&PodSpec> = view
        .pods_on(node)
        .filter(taken)
        .map(|(_, one)| &view.templates()[one.allocated()].spec)
        .collect();
    has_room(spec, &beside, object)?;
    if !spec.admits_node(&object.meta.labels, object.meta.name()) {
        let why = "node(s) didn't match Pod's node affinity/selector";
        return Err(predicate("NodeAffinity", why));
    }
    let taken: Vec<&ContainerPort> = beside.iter().flat_map(|one| host_ports(one)).collect();
    if host_ports(spec).any(|port| taken.iter().any(|other| conflict(port, other))) {
        return Err(predicate(
            "NodePorts",
            "node(s) didn't have free ports for the requested pod ports",
        ));
    }
    let repels = object.taints.iter().filter(|taint| taint.effect == TaintEffect::NoExecute);
    let tolerates = |taint| spec.tolerations.iter().any(|one| one.tolerates(taint));
    if !repels.into_iter().all(tolerates) {
        return Err(predicate(
            "TaintToleration",
            "node(s) had taints that the pod didn't tolerate",
        ));
    }
    Ok(())
}

/// `fitsRequest`: checks the number of pods, CPU, memory, then the other resources. Extended resources that
/// the node does not have at all are skipped.
fn has_room(spec: &PodSpec, beside: &[&PodSpec], node: &Node) -> Result<(), Rejection> {
    let mut used = ResourceList::default();
    for one in beside {
        used.add_all(&pod_requests(one));
    }
    let pods = node.allocatable.get("pods").map(Quantity::value);
    let count = i64::try_from(beside.len()).unwrap_or(i64::MAX);
    if let Some(pods) = pods.filter(|pods| count >= *pods) {
        return Err(out_of("pods", 1, count, pods));
    }
    let asked = pod_requests(spec);
    let mut names: Vec<&str> = asked.iter().map(|(name, _)| &**name).collect();
    names.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.cmp(other)));
    for name in names {
        let value = if name == "cpu" { Quantity::milli_value } else { Quantity::value };
        let amount = |list: &ResourceList| list.get(name).map(value);
        let (Some(asked), Some(capacity)) = (amount(&asked), amount(&node.allocatable)) else {
            continue;
        };
        let used = amount(&used).unwrap_or(0);
        if asked > 0 && asked > capacity.saturating_sub(used) {
            return Err(out_of(name, asked, used, capacity));
        }
    }
    Ok(())
}

fn rank(resource: &str) -> usize {
    let first = ["cpu", "memory", "ephemeral-storage"];
    first.iter().position(|name| *name == resource).unwrap_or(first.len())
}

/// `InsufficientResourceError`: CPU in thousandths of a core, memory in bytes.
fn out_of(resource: &str, requested: i64, used: i64, capacity: i64) -> Rejection {
    let reason = match resource {
        "cpu" => "OutOfcpu",
        "memory" => "OutOfmemory",
        "pods" => "OutOfpods",
        "ephemeral-storage" => "OutOfephemeral-storage",
        "nvidia.com/gpu" => "OutOfnvidia.com/gpu",
        "amd.com/gpu" => "OutOfamd.com/gpu",
        // A real cluster has the resource's name in the reason; here only the message names it.
        _ => "OutOfResource",
    };
    let message = format!(
        "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: \
         {capacity}"
    );
    Rejection { reason, message }
}

/// `PredicateFailureError`.
fn predicate(reason: &'static str, why: &str) -> Rejection {
    Rejection { reason, message: format!("Predicate {reason} failed: {why}") }
}

fn host_ports(spec: &PodSpec) -> impl Iterator<Item = &ContainerPort> {
    let sidecars = spec.init_containers.iter().filter(|container| container.is_sidecar);
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
    ports.filter(|port| port.host_port > 0)
}

/// `HostPortInfo.CheckConflict`.
fn conflict(one: &ContainerPort, other: &ContainerPort) -> bool {
    let is_any = |port: &ContainerPort| matches!(&*port.host_ip, "" | "0.0.0.0");
    one.host_port == other.host_port
        && one.protocol == other.protocol
        && (one.host_ip == other.host_ip || is_any(one) || is_any(other))
}
