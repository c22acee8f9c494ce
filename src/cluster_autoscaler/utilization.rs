//! How much of a node is requested (`cluster-autoscaler/simulator/utilization`).

use std::sync::Arc;

use super::gpu::{gpu_resource, has_gpu};
use super::pods::PodInfo;
use cluster::Name;
use cluster::node::Node;
use engine::SimTime;
use units::Quantity;

/// Requested shares of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilization {
    /// Of its CPU; 0 on a node with GPUs, of which nothing else counts.
    pub cpu: f64,
    /// Of its memory; likewise.
    pub memory: f64,
    /// Of its GPUs, if it has any.
    pub gpu: f64,
    /// The resource that decides.
    pub resource: Name,
    /// Its share.
    pub share: f64,
}

/// What does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeftOut {
    pub(crate) daemon_sets: bool,
    pub(crate) mirrors: bool,
}

/// The requested shares of a node; absent if it says nothing of its CPU or memory.
pub(crate) fn utilization(
    node: &Node,
    pods: &[Arc<PodInfo>],
    gpu_label: &str,
    left_out: LeftOut,
    now: SimTime,
) -> Option<Utilization> {
    let share = |resource: &str| share_of(node, pods, resource, left_out, now);
    if has_gpu(node, gpu_label) {
        let resource = gpu_resource(node);
        let gpu = share(resource).unwrap_or(0.0);
        let resource = resource.into();
        return Some(Utilization { cpu: 0.0, memory: 0.0, gpu, resource, share: gpu });
    }
    let (cpu, memory) = (share("cpu")?, share("memory")?);
    let (resource, share) = if cpu > memory { ("cpu", cpu) } else { ("memory", memory) };
    Some(Utilization { cpu, memory, gpu: 0.0, resource: resource.into(), share })
}

/// The requested share of one resource (`CalculateUtilizationOfResource`). Pods that are left out leave both the
/// numerator and the denominator.
fn share_of(
    node: &Node,
    pods: &[Arc<PodInfo>],
    resource: &str,
    left_out: LeftOut,
    now: SimTime,
) -> Option<f64> {
    let allocatable = node.allocatable.get(resource).filter(|amount| amount.milli_value() != 0)?;
    let (mut requested, mut ignored) = (Quantity::from_units(0), Quantity::from_units(0));
    for pod in pods {
        let Some(amount) = pod.facts.requests.get(resource) else { continue };
        if left_out.daemon_sets && pod.is_daemon_set_pod() || left_out.mirrors && pod.is_mirror() {
            ignored = ignored + amount;
        } else if !pod.is_long_terminating(now) {
            requested = requested + amount;
        }
    }
    let available = allocatable.milli_value().saturating_sub(ignored.milli_value());
    Some(requested.milli_value() as f64 / available as f64)
}
