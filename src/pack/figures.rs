//! Utilization of a cluster, and fragmentation of its free resources.

use std::collections::BTreeMap;

use cluster::Name;
use scheduler::cache::Cache;
use scheduler::gpu::WHOLE_GPU_MILLI;
use scheduler::node_info::NodeInfo;
use scheduler::plugins::gpu_fragmentation::Fragmentation;
use scheduler::plugins::node_affinity::meets_required_affinity;
use scheduler::plugins::resources_fit::insufficient_resources;
use scheduler::plugins::taint_toleration::has_untolerated_taint;
use scheduler::pod_class::PodClass;

/// Name of shared GPU capacity, in thousandths.
pub const SHARED_GPU: &str = "GPU share (milli)";

/// One resource over all nodes. Amounts are in the scheduler's units: CPU in thousandths of a core, memory in bytes,
/// shared GPUs in thousandths, others in whole units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceUse {
    /// Allocatable on all nodes.
    pub allocatable: i64,
    /// Requests of the placed pods.
    pub requested: i64,
    /// Free resources unusable for the typical pods: over all kinds of pods, the share of the kind times the free
    /// resources on nodes where no such pod fits. For shared GPUs this includes devices with too little left for the
    /// pod (Weng et al., USENIX ATC 2023).
    pub fragmented: f64,
}

impl ResourceUse {
    /// Requested, in percent of allocatable.
    pub fn utilization_percent(&self) -> f64 {
        percent(self.requested as f64, self.allocatable as f64)
    }

    /// Fragmented, in percent of free resources.
    pub(crate) fn fragmented_percent_of_free(&self) -> f64 {
        percent(self.fragmented, (self.allocatable - self.requested) as f64)
    }

    /// Fragmented, in percent of allocatable.
    pub(crate) fn fragmented_percent(&self) -> f64 {
        percent(self.fragmented, self.allocatable as f64)
    }
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

/// A kind of pod and its share of all pods.
#[derive(Clone, Debug)]
pub struct WeightedClass {
    /// The kind.
    pub class: PodClass,
    /// Its share, 0 to 1.
    pub share: f64,
}

/// All resources of the nodes that any of them has, by name.
pub(crate) fn resource_use(
    cache: &Cache,
    kinds: &[WeightedClass],
    fragmentation: &Fragmentation,
) -> BTreeMap<Name, ResourceUse> {
    let mut found: BTreeMap<Name, ResourceUse> = BTreeMap::new();
    for node in cache.nodes() {
        let unusable: f64 =
            kinds.iter().filter(|kind| !fits(node, &kind.class)).map(|kind| kind.share).sum();
        let mut add = |name: Name, allocatable: i64, requested: i64| {
            if allocatable > 0 || requested > 0 {
                let one = found.entry(name).or_default();
                one.allocatable += allocatable;
                one.requested += requested;
                one.fragmented += unusable * (allocatable - requested) as f64;
            }
        };
        let (has, used) = (&node.allocatable, &node.requested);
        add("cpu".into(), has.milli_cpu, used.milli_cpu);
        add("memory".into(), has.memory, used.memory);
        if used.ephemeral_storage > 0 {
            add("ephemeral-storage".into(), has.ephemeral_storage, used.ephemeral_storage);
        }
        for (name, amount) in &has.scalars {
            add(name.clone(), *amount, used.scalar(name));
        }
        if let Some(gpus) = &node.gpus {
            let all = i64::try_from(gpus.free.len()).unwrap_or(i64::MAX) * WHOLE_GPU_MILLI;
            let one = found.entry(SHARED_GPU.into()).or_default();
            one.allocatable += all;
            one.requested += all - gpus.free_milli();
            one.fragmented += fragmentation.of_node(node);
        }
    }
    // The device count is not a resource of its own.
    found.remove(scheduler::gpu::GPU_COUNT);
    found
}

/// Whether one more pod of a class has room on a node that it may go to.
fn fits(node: &NodeInfo, class: &PodClass) -> bool {
    let gpu_fits = class.gpu.as_ref().is_none_or(|request| {
        node.gpus.as_ref().is_some_and(|gpus| request.accepts(&gpus.model) && gpus.fits(request))
    });
    gpu_fits
        && insufficient_resources(&class.requests, node, |_| false).is_empty()
        && meets_required_affinity(class, node)
        && !has_untolerated_taint(&node.taints, &class.tolerations)
}
