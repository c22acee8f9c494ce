//! Open-Gpu-Share: checks for room on the node's GPUs, and assigns devices to the pod (Filter and Reserve of the
//! plugin of that name in open-simulator).

use serde::Deserialize;

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, PreFilter, Refusal, ReservePlugin, Scope,
};
use super::super::gpu::{DeviceSet, GpuRequest};
use super::super::node_info::NodeInfo;
use super::gpu_fragmentation::Fragmentation;
use super::gpu_scores::drawn_below;

/// Name of the plugin.
pub const NAME: &str = "Open-Gpu-Share";

/// The plugin with its arguments.
#[derive(Clone, Debug, Default)]
pub struct GpuShare {
    /// Choice among the devices with room for a pod that shares one.
    pub selection: DeviceSelection,
    /// The typical pods, for [`DeviceSelection::Fragmentation`].
    pub fragmentation: Fragmentation,
}

/// `gpuSelMethod`: which device a pod gets that shares one. Pods that take whole GPUs get the first
/// idle ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum DeviceSelection {
    /// The one with the least left.
    #[default]
    #[serde(rename = "best")]
    Tightest,
    /// The one with the most left.
    #[serde(rename = "worst")]
    Loosest,
    /// A drawn one.
    #[serde(rename = "random")]
    Random,
    /// The one after which the node is fragmented least.
    #[serde(rename = "FGDScore")]
    Fragmentation,
}

impl FilterPlugin for GpuShare {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        match &cycle.pod.class.gpu {
            Some(request) => PreFilter::check(|node: &NodeInfo| has_room(request, node)),
            None => PreFilter::Skip,
        }
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        let Some(request) = &cycle.pod.class.gpu else { return false };
        match event {
            ClusterEvent::NodeAdded(node) | ClusterEvent::NodeUpdated { after: node, .. } => {
                node.gpus.as_ref().is_some_and(|gpus| request.accepts(&gpus.model))
            }
            ClusterEvent::PodGone(gone) => gone.gpu.is_some(),
            _ => false,
        }
    }
}

/// Whether the GPUs of a node have room for a request.
fn has_room(request: &GpuRequest, node: &NodeInfo) -> Result<(), Refusal> {
    let Some(gpus) = &node.gpus else {
        return Err(Refusal::unresolvable("node(s) had no GPU to share"));
    };
    if !request.accepts(&gpus.model) || gpus.free.len() < request.count {
        return Err(Refusal::unresolvable("node(s) didn't have the GPUs that the pod asks for"));
    }
    if !gpus.fits(request) {
        return Err(Refusal::unschedulable("node(s) didn't have enough left on their GPUs"));
    }
    Ok(())
}

impl ReservePlugin for GpuShare {
    fn reserve(&self, cycle: &CycleContext<'_>, node: &NodeInfo) -> DeviceSet {
        let (Some(request), Some(gpus)) = (&cycle.pod.class.gpu, &node.gpus) else {
            return DeviceSet::NONE;
        };
        if !request.is_shared() {
            return gpus.tightest(request);
        }
        match self.selection {
            DeviceSelection::Tightest => gpus.tightest(request),
            DeviceSelection::Loosest => {
                let by_free =
                    |a: &usize, b: &usize| gpus.free[*a].cmp(&gpus.free[*b]).then(b.cmp(a));
                DeviceSet::of(gpus.fitting(request).max_by(by_free))
            }
            DeviceSelection::Random => {
                let fitting: Vec<usize> = gpus.fitting(request).collect();
                DeviceSet::of(drawn_below(cycle, 1, fitting.len()).map(|drawn| fitting[drawn]))
            }
            DeviceSelection::Fragmentation => {
                let best = self.fragmentation.best_device(cycle.pod.class, request, node, gpus);
                DeviceSet::of(best.map(|(device, _)| device))
            }
        }
    }
}
