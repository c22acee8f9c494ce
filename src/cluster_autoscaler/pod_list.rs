//! Which pods need help (`cluster-autoscaler/core/podlistprocessor`, `filterOutYoungPods`, `allPodsAreNew`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::gpu::requests_gpu;
use super::hinting::HintingSimulator;
use super::options::Options;
use super::pods::PodInfo;
use super::snapshot::Snapshot;
use cluster::{ClusterView, Name};
use engine::parse_duration;
use engine::{SimDuration, SimTime};

/// Pods for which nothing is done are those of which none is older (`unschedulablePodTimeBuffer`).
const POD_BUFFER: SimDuration = SimDuration::from_secs(2);
/// The same of pods that ask for GPUs: many of them come together.
const GPU_POD_BUFFER: SimDuration = SimDuration::from_secs(30);
/// How old a pod must be before it is helped.
const SCALE_UP_DELAY: &str = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay";

/// The pods that fit nowhere, nor on nodes that are coming: of those that wait, and of those on nodes that are being
/// drained. Those that fit take their places in the snapshot.
pub(crate) fn process(
    pending: &[Arc<PodInfo>],
    draining: &BTreeSet<Name>,
    snapshot: &mut Snapshot,
    hints: &mut HintingSimulator,
    view: ClusterView<'_>,
    options: &Options,
) -> Vec<Arc<PodInfo>> {
    let cutoff = options.expendable_pods_priority_cutoff;
    let mut pods: Vec<Arc<PodInfo>> =
        pending.iter().filter(|pod| !pod.is_expendable(cutoff)).cloned().collect();
    for slot in draining.iter().filter_map(|name| snapshot.slot(name)) {
        let leaving = snapshot.node(slot).pods.iter();
        let leaving = leaving.filter(|pod| pod.deletion.is_none() && pod.is_recreatable());
        pods.extend(leaving.cloned());
    }
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.priority().unwrap_or(0)));
    let found = hints.try_schedule(snapshot, view, &pods, false, &|_| true);
    hints.drop_old();
    let left =
        pods.into_iter().zip(found).filter(|(pod, found)| !found && !pod.is_daemon_set_pod());
    left.map(|(pod, _)| pod).collect()
}

/// Without those that are too young to be helped: they must be older than the delay.
pub(crate) fn without_young(
    pods: &[Arc<PodInfo>],
    options: &Options,
    now: SimTime,
) -> Vec<Arc<PodInfo>> {
    let is_old = |pod: &&Arc<PodInfo>| {
        let own = pod.annotations.get(SCALE_UP_DELAY).and_then(|text| parse_duration(text).ok());
        let delay = own
            .map_or(options.new_pod_scale_up_delay, |own| own.max(options.new_pod_scale_up_delay));
        now - pod.created > delay
    };
    pods.iter().filter(is_old).cloned().collect()
}

/// Whether all pods, or all that ask for GPUs, are so new that more are to be expected.
pub(crate) fn are_all_new(pods: &[Arc<PodInfo>], now: SimTime) -> bool {
    let is_new = |oldest: Option<SimTime>, buffer: SimDuration| {
        oldest.is_some_and(|oldest| oldest.min(now) + buffer > now)
    };
    let with_gpu = pods.iter().filter(|pod| requests_gpu(&pod.facts.requests));
    is_new(pods.iter().map(|pod| pod.created).min(), POD_BUFFER)
        || is_new(with_gpu.map(|pod| pod.created).min(), GPU_POD_BUFFER)
}
