//! FGDScore: Fragmentation Gradient Descent. The fragmentation of a node is the free GPU capacity that typical pods
//! cannot use; the pod is placed where it grows least (Weng et al., "Beware of Fragmentation", USENIX ATC 2023).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::framework::{
    CycleContext, MAX_NODE_SCORE, PreScore, Scope, ScorePlugin, score_by,
};
use super::super::gpu::{GpuDevices, GpuRequest, WHOLE_GPU_MILLI};
use super::super::node_info::NodeInfo;
use super::super::pod_class::PodClass;
use cluster::Name;

/// The typical pods are the most frequent kinds that together make up this percentage of all pods.
pub const TYPICAL_PERCENT: u32 = 95;

/// A kind of pod for which GPU capacity should stay usable.
#[derive(Clone, Debug, PartialEq)]
pub struct TypicalPod {
    /// Its CPU request, in thousandths of a core.
    pub milli_cpu: i64,
    /// GPU request; absent = none.
    pub gpu: Option<GpuRequest>,
    /// Its share of all pods, 0 to 1; the shares add up to 1.
    pub share: f64,
}

/// The plugin with its typical workload. Without typical pods it scores all nodes equally.
#[derive(Clone, Debug, Default)]
pub struct Fragmentation {
    /// The most frequent first.
    pub typical: Arc<[TypicalPod]>,
}

/// Key of a kind of pod: CPU, thousandths of each GPU, GPUs, models.
type Kind = (i64, i64, usize, Name);

/// The typical pods of a workload, given as the CPU (milli) and GPU requests of all its pods: the most
/// frequent kinds up to `percent` of the pods (`GetTypicalPods`).
pub fn typical_pods(
    pods: impl IntoIterator<Item = (i64, Option<GpuRequest>)>,
    percent: u32,
) -> Vec<TypicalPod> {
    let mut counts: BTreeMap<Kind, u32> = BTreeMap::new();
    let mut total = 0.0;
    for (milli_cpu, gpu) in pods {
        let kind = match gpu {
            Some(gpu) => (milli_cpu, gpu.milli_each, gpu.count, gpu.models),
            None => (milli_cpu, 0, 0, Name::default()),
        };
        *counts.entry(kind).or_default() += 1;
        total += 1.0;
    }
    let mut kinds: Vec<(u32, Kind)> =
        counts.into_iter().map(|(kind, count)| (count, kind)).collect();
    kinds.sort_unstable_by(|a, b| b.cmp(a));
    let wanted = f64::from(percent) * total / 100.0;
    let mut sum = 0.0;
    let mut typical = Vec::new();
    for (count, (milli_cpu, milli_each, gpus, models)) in kinds {
        if sum >= wanted {
            break;
        }
        sum += f64::from(count);
        let gpu = (gpus > 0).then_some(GpuRequest { count: gpus, milli_each, models });
        typical.push(TypicalPod { milli_cpu, gpu, share: f64::from(count) / total });
    }
    for pod in &mut typical {
        pod.share /= sum / total;
    }
    typical
}

/// Free GPU capacity that a pod cannot use, by reason. Summed separately as in the original, since the sums would
/// otherwise differ in the last bit.
#[derive(Clone, Copy, Debug, Default)]
struct Wasted {
    lacks_both: f64,
    lacks_gpu: f64,
    lacks_cpu: f64,
    no_gpu_wanted: f64,
    no_gpu_wanted_lacks_cpu: f64,
    no_access: f64,
}

impl Wasted {
    fn sum(self) -> f64 {
        self.lacks_both
            + self.lacks_gpu
            + self.lacks_cpu
            + self.no_gpu_wanted
            + self.no_gpu_wanted_lacks_cpu
            + self.no_access
    }
}

impl Fragmentation {
    /// Fragmentation of a node, in thousandths of a GPU: unusable capacity averaged over the typical pods, weighted
    /// by their share. `free_cpu` is in thousandths of a core.
    pub fn of(&self, free_cpu: i64, model: &str, free: &[i64]) -> f64 {
        let left: i64 = free.iter().sum();
        let mut wasted = Wasted::default();
        for pod in self.typical.iter() {
            let has_cpu = free_cpu >= pod.milli_cpu;
            let all = pod.share * left as f64;
            let Some(gpu) = &pod.gpu else {
                let sum = if has_cpu {
                    &mut wasted.no_gpu_wanted
                } else {
                    &mut wasted.no_gpu_wanted_lacks_cpu
                };
                *sum += all;
                continue;
            };
            if !gpu.accepts(model) || free.is_empty() {
                wasted.no_access += all;
                continue;
            }
            let fitting = free.iter().filter(|free| **free >= gpu.milli_each).count();
            match (fitting >= gpu.count, has_cpu) {
                (true, true) => {
                    let crumbs = free.iter().filter(|free| **free < gpu.milli_each);
                    wasted.lacks_gpu += pod.share * crumbs.sum::<i64>() as f64;
                }
                (true, false) => wasted.lacks_cpu += all,
                (false, true) => wasted.lacks_gpu += all,
                (false, false) => wasted.lacks_both += all,
            }
        }
        wasted.sum()
    }

    /// Fragmentation of a node in its current state.
    pub fn of_node(&self, node: &NodeInfo) -> f64 {
        let free_cpu = node.allocatable.milli_cpu - node.requested.milli_cpu;
        node.gpus.as_ref().map_or(0.0, |gpus| self.of(free_cpu, &gpus.model, &gpus.free))
    }

    /// The device on which a pod that shares one fragments the node least, the first of equal ones, with
    /// the node's score then. `None` if none has room.
    pub(crate) fn best_device(
        &self,
        class: &PodClass,
        request: &GpuRequest,
        node: &NodeInfo,
        gpus: &GpuDevices,
    ) -> Option<(usize, i64)> {
        let free_cpu = node.allocatable.milli_cpu - node.requested.milli_cpu;
        let before = self.of(free_cpu, &gpus.model, &gpus.free);
        let mut free = gpus.free.clone();
        let mut best: Option<(usize, i64)> = None;
        for device in gpus.fitting(request) {
            free[device] -= request.milli_each;
            let after = self.of(free_cpu - class.requests.milli_cpu, &gpus.model, &free);
            free[device] += request.milli_each;
            let score = gradient_score(before, after);
            if best.is_none_or(|(_, known)| score > known) {
                best = Some((device, score));
            }
        }
        best
    }

    fn score(&self, class: &PodClass, node: &NodeInfo) -> i64 {
        let Some(gpus) = &node.gpus else { return gradient_score(0.0, 0.0) };
        if let Some(request) = class.gpu.as_ref().filter(|request| request.is_shared()) {
            return self.best_device(class, request, node, gpus).map_or(0, |(_, score)| score);
        }
        let free_cpu = node.allocatable.milli_cpu - node.requested.milli_cpu;
        let before = self.of(free_cpu, &gpus.model, &gpus.free);
        let mut free = gpus.free.clone();
        if let Some(request) = &class.gpu {
            for device in gpus.tightest(request).iter() {
                free[device] -= request.milli_each;
            }
        }
        let after = self.of(free_cpu - class.requests.milli_cpu, &gpus.model, &free);
        gradient_score(before, after)
    }
}

/// 50 if the fragmentation (thousandths of a GPU) stays, more if it falls, less if it grows.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cut to an integer from 0 to 100, as the plugin does"
)]
fn gradient_score(before: f64, after: f64) -> i64 {
    let fallen = (before - after) / WHOLE_GPU_MILLI as f64;
    (1.0 / (1.0 + libm::exp(-fallen)) * MAX_NODE_SCORE as f64) as i64
}

impl ScorePlugin for Fragmentation {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, _: &[usize]) -> PreScore<'c> {
        let class = cycle.pod.class;
        score_by(move |node| self.score(class, node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(count: usize, milli_each: i64) -> GpuRequest {
        GpuRequest { count, milli_each, models: Name::default() }
    }

    #[test]
    fn the_most_frequent_kinds_are_typical_and_their_shares_add_up() {
        let pods = [
            (1000, None),
            (1000, None),
            (1000, None),
            (2000, Some(gpu(1, 500))),
            (500, Some(gpu(1, 500))),
        ];
        let typical = typical_pods(pods, 80);
        let kinds: Vec<_> = typical.iter().map(|pod| (pod.milli_cpu, pod.gpu.is_some())).collect();
        assert_eq!(kinds, [(1000, false), (2000, true)]);
        assert!((typical[0].share - 0.75).abs() < 1e-12);
    }

    #[test]
    fn crumbs_and_what_cannot_be_reached_are_fragments() {
        let half = TypicalPod { milli_cpu: 1000, gpu: Some(gpu(1, 500)), share: 0.5 };
        let whole = TypicalPod { milli_cpu: 1000, gpu: Some(gpu(1, 1000)), share: 0.5 };
        let fragmentation = Fragmentation { typical: Arc::new([half, whole]) };
        // 300 is a crumb for both; 600 serves the half only, so that the whole wastes 900.
        let found = fragmentation.of(4000, "T4", &[300, 600]);
        assert!((found - (0.5 * 300.0 + 0.5 * 900.0)).abs() < 1e-9);
        // Without CPU nothing of it can be used.
        assert!((fragmentation.of(500, "T4", &[300, 600]) - 900.0).abs() < 1e-9);
        assert!(fragmentation.of(4000, "T4", &[1000]).abs() < 1e-9);
    }

    #[test]
    fn a_score_is_fifty_where_nothing_changes() {
        assert_eq!(gradient_score(100.0, 100.0), 50);
        assert_eq!(gradient_score(1000.0, 0.0), 73);
        assert_eq!(gradient_score(0.0, 1000.0), 26);
    }
}
