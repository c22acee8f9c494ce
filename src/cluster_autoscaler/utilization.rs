//! Utilization of a node by requests (`cluster-autoscaler/simulator/utilization`).

use std::sync::Arc;

use super::gpu::{gpu_resource, has_gpu};
use super::pods::PodInfo;
use cluster::Name;
use cluster::node::Node;
use engine::SimTime;
use units::Quantity;

/// Requested fractions of a node's resources.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilization {
    /// CPU; 0 on a node with GPUs, for which only these count.
    pub cpu: f64,
    /// Memory; 0 on a node with GPUs.
    pub memory: f64,
    /// GPUs; 0 on a node without any.
    pub gpu: f64,
    /// The resource with the highest fraction, or the GPU resource.
    pub resource: Name,
    /// Its fraction, which is compared with the threshold.
    pub share: f64,
}

/// Pods that are excluded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExcludedPods {
    pub(crate) daemon_sets: bool,
    pub(crate) mirrors: bool,
}

/// The utilization of a node; absent if its CPU or memory is unknown.
pub(crate) fn utilization(
    node: &Node,
    pods: &[Arc<PodInfo>],
    gpu_label: &str,
    left_out: ExcludedPods,
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

/// Requested fraction of one resource (`CalculateUtilizationOfResource`). Excluded pods are subtracted from both
/// numerator and denominator.
fn share_of(
    node: &Node,
    pods: &[Arc<PodInfo>],
    resource: &str,
    left_out: ExcludedPods,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::{controller, pod};

    const NOTHING: ExcludedPods = ExcludedPods { daemon_sets: false, mirrors: false };

    fn of(pods: &[PodInfo], left_out: ExcludedPods) -> Utilization {
        let node = crate::nodes::tests::node("a");
        let pods: Vec<Arc<PodInfo>> = pods.iter().cloned().map(Arc::new).collect();
        utilization(&node, &pods, "gpu-type", left_out, SimTime::ZERO).unwrap()
    }

    #[test]
    fn the_larger_share_decides_and_memory_where_both_are_equal() {
        let two = of(&[pod("a"), pod("b")], NOTHING);
        assert_eq!((two.cpu, two.memory, two.share, &*two.resource), (0.5, 0.125, 0.5, "cpu"));
        assert_eq!(&*of(&[], NOTHING).resource, "memory");
    }

    #[test]
    fn pods_of_daemon_sets_leave_what_is_requested_and_what_there_is() {
        let mut daemon = pod("d");
        daemon.controller = Some(controller("DaemonSet", "agent"));
        let left_out = ExcludedPods { daemon_sets: true, mirrors: false };
        let share = of(&[pod("a"), daemon.clone()], left_out).share;
        assert!((share - 1.0 / 3.0).abs() < 1e-12);
        assert!((of(&[pod("a"), daemon], NOTHING).share - 0.5).abs() < 1e-12);
    }

    #[test]
    fn of_a_node_with_gpus_these_alone_count_and_missing_ones_are_unused() {
        let mut node = crate::nodes::tests::node("a");
        node.meta.labels = node.meta.labels.with("gpu-type", "a100");
        let pods = [Arc::new(pod("a"))];
        let found = utilization(&node, &pods, "gpu-type", NOTHING, SimTime::ZERO).unwrap();
        assert_eq!((found.share, found.cpu, &*found.resource), (0.0, 0.0, "nvidia.com/gpu"));
    }
}
