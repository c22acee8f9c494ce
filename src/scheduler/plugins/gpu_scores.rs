//! The GPU-sharing policies to which Fragmentation Gradient Descent is compared, as the simulator of
//! Weng et al. (USENIX ATC 2023) has them: best fit, dot product, packing, clustering, random.

use super::super::framework::{
    CycleContext, MAX_NODE_SCORE, NodeScore, PreScore, Scope, ScorePlugin, score_by,
};
use super::super::gpu::{GpuRequest, WHOLE_GPU_MILLI};
use super::super::node_info::NodeInfo;
use super::super::pod_class::PodClass;

/// CPU of the largest machine, in thousandths of a core, by which amounts are normalized.
const LARGEST_MILLI_CPU: f64 = 128_000.0;
/// GPU of the largest machine, in thousandths.
const LARGEST_MILLI_GPU: i64 = 8 * WHOLE_GPU_MILLI;

/// The policies that need no arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuPolicy {
    /// `BestFitScore`: the least CPU and GPU left over.
    BestFit,
    /// `DotProductScore`: the smallest dot product of free capacity and request (Tetris).
    DotProduct,
    /// `GpuPackingScore`: shared devices before idle ones before idle nodes.
    Packing,
    /// `GpuClusteringScore`: next to pods of the same kind (Gandiva).
    Clustering,
    /// `RandomScore`: a drawn node.
    Random,
}

impl ScorePlugin for GpuPolicy {
    fn scope(&self) -> Scope {
        match self {
            Self::DotProduct | Self::Packing | Self::Clustering => Scope::Node,
            Self::BestFit | Self::Random => Scope::Cluster,
        }
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, feasible: &[usize]) -> PreScore<'c> {
        let class = cycle.pod.class;
        match self {
            Self::BestFit => Some(Box::new(BestFit { class })),
            Self::DotProduct => score_by(move |node| dot_product(class, node)),
            Self::Packing => {
                let request = class.gpu.as_ref()?;
                score_by(move |node| packing(request, node))
            }
            Self::Clustering => {
                let request = class.gpu.as_ref()?;
                score_by(move |node| clustering(request, node))
            }
            Self::Random => {
                let drawn = feasible[drawn_below(cycle, 0, feasible.len())?];
                score_by(move |node| if node.id.index() == drawn { MAX_NODE_SCORE } else { 0 })
            }
        }
    }
}

/// A number below `length` that follows from the pod's UID, and so from the seed; another one for each
/// `purpose`. `None` if `length` is 0.
pub(super) fn drawn_below(cycle: &CycleContext<'_>, purpose: u64, length: usize) -> Option<usize> {
    let pod = cycle.pod.id.and_then(|id| cycle.view.pods().get(id));
    let uid = pod.map_or(0, |pod| pod.uid);
    let wide = u128::from(engine::mix(uid ^ (purpose << 56))) * length as u128;
    (length > 0).then(|| usize::try_from(wide >> 64).unwrap_or(0))
}

/// Free CPU (milli) and free GPU (milli) of a node.
fn free(node: &NodeInfo) -> (f64, f64) {
    let cpu = node.allocatable.milli_cpu - node.requested.milli_cpu;
    (cpu as f64, node.gpus.as_ref().map_or(0, |gpus| gpus.free_milli()) as f64)
}

/// CPU (milli) and GPU (milli) requested by a pod.
fn asked(class: &PodClass) -> (f64, f64) {
    let gpu = class.gpu.as_ref().map_or(0, GpuRequest::total_milli);
    (class.requests.milli_cpu as f64, gpu as f64)
}

struct BestFit<'c> {
    class: &'c PodClass,
}

impl NodeScore for BestFit<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "cut to an integer, as the plugin does")]
    fn score(&self, node: &NodeInfo) -> i64 {
        let ((free_cpu, free_gpu), (cpu, gpu)) = (free(node), asked(self.class));
        let left = (free_cpu - cpu) / LARGEST_MILLI_CPU * 0.5
            + (free_gpu - gpu) / LARGEST_MILLI_GPU as f64 * 0.5;
        ((1.0 - left) * MAX_NODE_SCORE as f64) as i64
    }

    /// Stretches the scores from the smallest to the largest over the whole range.
    fn normalize(&self, scores: &mut [i64]) {
        let largest = scores.iter().copied().max().unwrap_or(0);
        let smallest = scores.iter().copied().min().unwrap_or(0);
        for score in scores {
            let range = largest - smallest;
            *score = if range == 0 { 0 } else { (*score - smallest) * MAX_NODE_SCORE / range };
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "cut to an integer, as the plugin does")]
fn dot_product(class: &PodClass, node: &NodeInfo) -> i64 {
    let ((free_cpu, free_gpu), (cpu, gpu)) = (free(node), asked(class));
    let largest_gpu = LARGEST_MILLI_GPU as f64;
    let product = free_cpu / LARGEST_MILLI_CPU * (cpu / LARGEST_MILLI_CPU)
        + free_gpu / largest_gpu * (gpu / largest_gpu);
    (MAX_NODE_SCORE as f64 * (1.0 - product / 2.0)) as i64
}

fn packing(request: &GpuRequest, node: &NodeInfo) -> i64 {
    let Some(gpus) = &node.gpus else { return 0 };
    let idle = gpus.idle();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    if idle == gpus.free.len() {
        return (MAX_NODE_SCORE / 3 - count(idle)).max(count(idle));
    }
    let taken: Vec<i64> = gpus.tightest(request).iter().map(|device| gpus.free[device]).collect();
    let opened = taken.iter().filter(|free| **free == WHOLE_GPU_MILLI).count();
    if opened > 0 {
        return (MAX_NODE_SCORE / 2 - count(opened)).max(MAX_NODE_SCORE / 3);
    }
    let percents = taken.iter().map(|free| free * 100 / WHOLE_GPU_MILLI);
    (MAX_NODE_SCORE - percents.sum::<i64>() / 10).max(MAX_NODE_SCORE / 2)
}

fn clustering(request: &GpuRequest, node: &NodeInfo) -> i64 {
    let Some(gpus) = &node.gpus else { return 0 };
    let band = match gpus.kinds_with(request.kind()) {
        (1, true) => 3,
        (_, true) => 2,
        (0, false) => 1,
        (_, false) => 0,
    };
    let used = LARGEST_MILLI_GPU - gpus.free_milli();
    MAX_NODE_SCORE / 4 * used / LARGEST_MILLI_GPU + band * (MAX_NODE_SCORE / 4)
}
