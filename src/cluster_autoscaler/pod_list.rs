//! Which pods can trigger a scale-up (`cluster-autoscaler/core/podlistprocessor`, `filterOutYoungPods`,
//! `allPodsAreNew`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::gpu::requests_gpu;
use super::hinting::HintingSimulator;
use super::options::Options;
use super::pods::PodInfo;
use super::snapshot::{Slot, Snapshot};
use cluster::{ClusterView, Name};
use engine::parse_duration;
use engine::{SimDuration, SimTime};

/// If no pod is older than this, more are expected to follow and the loop waits (`unschedulablePodTimeBuffer`).
const POD_BUFFER: SimDuration = SimDuration::from_secs(2);
/// The same for pods that request GPUs, which often come in large numbers.
const GPU_POD_BUFFER: SimDuration = SimDuration::from_secs(30);
/// Annotation with the minimum age of a pod to trigger a scale-up.
const SCALE_UP_DELAY: &str = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay";

/// The unschedulable pods, taking upcoming nodes into account: of the pending pods and of those on nodes being
/// drained. Pods that fit are added to the snapshot.
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
    // Pods of a node being drained are on two nodes at a time.
    let may_stay = draining.is_empty();
    let anew = cfg!(debug_assertions).then(|| placed_anew(&pods, snapshot, hints, view));
    let kept = snapshot.keep_placed(if may_stay { &pods } else { &[] }, hints);
    let found = hints.try_schedule(snapshot, view, &pods[kept..], false, &|_| true);
    if let Some(anew) = anew {
        let places: Vec<Option<Slot>> =
            snapshot.kept().map(Some).chain(found.iter().copied()).collect();
        debug_assert_eq!(places, anew, "pods keep the nodes that they would get anew");
    }
    let pods = &pods[kept..];
    snapshot.keep(pods, &found, may_stay);
    hints.drop_old();
    let left = pods.iter().zip(found);
    let left = left.filter(|(pod, found)| found.is_none() && !pod.is_daemon_set_pod());
    left.map(|(pod, _)| Arc::clone(pod)).collect()
}

/// The nodes of pods if all of them are tried, as the real autoscaler does.
fn placed_anew(
    pods: &[Arc<PodInfo>],
    snapshot: &Snapshot,
    hints: &HintingSimulator,
    view: ClusterView<'_>,
) -> Vec<Option<Slot>> {
    let (mut snapshot, mut hints) = (snapshot.clone(), hints.clone());
    snapshot.keep_placed(&[], &mut hints);
    hints.try_schedule(&mut snapshot, view, pods, false, &|_| true)
}

/// The pods that are old enough to trigger a scale-up, i.e. older than the delay.
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

/// True if all pods, or all that request GPUs, are so new that more are expected.
pub(crate) fn are_all_new(pods: &[Arc<PodInfo>], now: SimTime) -> bool {
    let is_new = |oldest: Option<SimTime>, buffer: SimDuration| {
        oldest.is_some_and(|oldest| oldest.min(now) + buffer > now)
    };
    let with_gpu = pods.iter().filter(|pod| requests_gpu(&pod.facts.requests));
    is_new(pods.iter().map(|pod| pod.created).min(), POD_BUFFER)
        || is_new(with_gpu.map(|pod| pod.created).min(), GPU_POD_BUFFER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::{annotated, of_template, pod};
    use cluster::pod_template::{Container, PodTemplate};
    use units::Quantity;

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    #[test]
    fn a_pod_is_helped_when_it_is_older_than_the_delay_of_the_flag_and_its_own() {
        let mut options = Options::default();
        let helped = |pod: &PodInfo, options: &Options, now| {
            !without_young(&[Arc::new(pod.clone())], options, at(now)).is_empty()
        };
        assert!(!helped(&pod("a"), &options, 0));
        assert!(helped(&pod("a"), &options, 1));
        options.new_pod_scale_up_delay = SimDuration::from_secs(30);
        let patient = annotated(pod("a"), SCALE_UP_DELAY, "70s");
        assert!(!helped(&patient, &options, 70) && helped(&patient, &options, 71));
        let hasty = annotated(pod("a"), SCALE_UP_DELAY, "1s");
        assert!(!helped(&hasty, &options, 30) && helped(&hasty, &options, 31));
        let wrong = annotated(pod("a"), SCALE_UP_DELAY, "soon");
        assert!(helped(&wrong, &options, 31));
    }

    #[test]
    fn the_oldest_pod_must_be_two_seconds_old_and_the_oldest_with_a_gpu_thirty() {
        let mut template = PodTemplate::default();
        let requests = [("nvidia.com/gpu", Quantity::from_units(1))].into_iter().collect();
        template.spec.containers = vec![Container { requests, ..Container::default() }];
        let mut gpu = of_template("g", template);
        gpu.created = at(10);
        let old = Arc::new(pod("a"));
        assert!(are_all_new(&[Arc::clone(&old)], at(1)));
        assert!(!are_all_new(&[Arc::clone(&old)], at(2)));
        let both = [old, Arc::new(gpu)];
        assert!(are_all_new(&both, at(39)));
        assert!(!are_all_new(&both, at(40)));
    }
}
