//! GPUs (`cluster-autoscaler/utils/gpu`).

use cluster::node::Node;
use cluster::pod_template::ResourceList;
use units::Quantity;

/// Resource names of GPUs, by vendor.
const GPU_RESOURCES: [&str; 5] = [
    "nvidia.com/gpu",
    "habana.ai/gaudi",
    "gpu.intel.com/xe",
    "amd.com/gpu",
    "microsoft.com/directx",
];

/// Allocatable GPUs of a node; absent if it has none.
pub(crate) fn allocatable_gpus(node: &Node) -> Option<i64> {
    let amounts = GPU_RESOURCES.iter().filter_map(|name| node.allocatable.get(name));
    amounts.map(Quantity::value).find(|amount| *amount != 0)
}

/// GPU capacity of a node; absent if it lists none.
pub(crate) fn gpu_capacity(node: &Node) -> Option<i64> {
    GPU_RESOURCES.iter().find_map(|name| node.capacity.get(name)).map(Quantity::value)
}

/// True if a node has GPUs, or will have them (`NodeHasGpu`).
pub(crate) fn has_gpu(node: &Node, gpu_label: &str) -> bool {
    node.meta.labels.contains_key(gpu_label) || allocatable_gpus(node).is_some()
}

/// The resource name of a node's GPUs (`DetectNodeGPUResourceName`).
pub(crate) fn gpu_resource(node: &Node) -> &'static str {
    let is_there =
        |name: &&&str| node.allocatable.get(name).is_some_and(|amount| amount.nanos() != 0);
    GPU_RESOURCES.iter().find(is_there).copied().unwrap_or(GPU_RESOURCES[0])
}

/// True if the requests include GPUs (`PodRequestsGpu`).
pub(crate) fn requests_gpu(requests: &ResourceList) -> bool {
    GPU_RESOURCES.iter().any(|name| requests.get(name).is_some())
}
