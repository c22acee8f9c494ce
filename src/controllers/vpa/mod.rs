//! The vertical-pod-autoscaler: its recommender and its updater. What new pods get is the business of
//! admission (`cluster::vpa`).

mod histogram;
mod recommender;
mod settings;
mod update;
mod updater;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::{Actions, Controller, Explain, Key, Requeue, Watches};
use cluster::container_status::{Termination, TerminationReason};
use cluster::meta::Name;
use cluster::pod::{Pod, PodId};
use cluster::pod_template::{Container, PodSpec};
use cluster::scale::ScaleTarget;
use cluster::vpa::{Amounts, ContainerRecommendation, VpaId, VpaObject};
use cluster::{Action, Change, ClusterView, NamespacedName, ObjectId, Refused};
use engine::SimTime;
use units::{Bytes, MilliCpu, Quantity};

pub use histogram::{Buckets, DecayingHistogram};
pub use recommender::{ContainerState, MemoryPeak};
pub use settings::VpaSettings;
pub use updater::{Compared, UpdatePriority, evictable, is_admitted, is_to_be_updated, priority};

/// Recommender and updater.
#[derive(Clone, Debug, Default)]
pub struct VpaController {
    settings: VpaSettings,
    known: BTreeMap<VpaId, Known>,
}

/// What is remembered of one VPA.
#[derive(Clone, Debug, Default)]
struct Known {
    containers: BTreeMap<Name, ContainerState>,
    peaks: BTreeMap<(PodId, Name), Option<MemoryPeak>>,
    /// `restartCount` of each container as it was last seen: what is beyond it has not been looked at.
    restarts: BTreeMap<(PodId, Name), u32>,
    /// The end of the last sample of each pod, so that none counts twice.
    sampled: BTreeMap<PodId, SimTime>,
    /// Kills for lack of memory that were taken in, by container.
    kills: BTreeMap<Name, u32>,
    next_recommendation: Option<SimTime>,
    next_update: Option<SimTime>,
    /// When each pod was last resized where it runs.
    resized: BTreeMap<PodId, SimTime>,
    explanation: String,
}

impl VpaController {
    /// Components with these flags.
    pub const fn new(settings: VpaSettings) -> Self {
        Self { settings, known: BTreeMap::new() }
    }
}

impl Controller for VpaController {
    fn name(&self) -> &'static str {
        "vertical-pod-autoscaler"
    }

    fn watches(&self) -> Watches {
        Watches::VPAS
    }

    fn wakes_on(&self, _: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        if let Change::Spec(ObjectId::VerticalPodAutoscaler(id), _) = *change {
            wake.push(Key::Vpa(id));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Vpa(id) = key else { return Requeue::No };
        let Some(vpa) = view.vpas().get(id) else {
            self.known.remove(&id);
            return Requeue::No;
        };
        let Self { settings, known } = self;
        let known = known.entry(id).or_default();
        let reference = &vpa.spec.target;
        let named = NamespacedName::new(vpa.meta.namespace().clone(), reference.name.clone());
        let target = view.scale_target(&reference.kind, &named);
        if known.next_recommendation.is_none_or(|at| at <= view.now) {
            known.next_recommendation = Some(view.now + settings.recommender_interval);
            if let Some(target) = target {
                known.take_samples(view, target, settings);
                let recommendation = known.recommend(vpa, settings);
                known.explanation = explain(vpa, &recommendation, known, view.now);
                if recommendation != vpa.recommendation {
                    actions.push(Action::status(id, recommendation));
                }
            }
        }
        let first_update = view.now + settings.updater_interval;
        let update_at = *known.next_update.get_or_insert(first_update);
        if update_at <= view.now {
            known.next_update = Some(first_update);
            if let Some(target) = target {
                known.update(view, vpa, target, settings, actions);
            }
        }
        let next = [known.next_recommendation, known.next_update];
        next.into_iter().flatten().min().map_or(Requeue::No, Requeue::At)
    }

    fn refused(&mut self, _: ClusterView<'_>, key: Key, _: &[Refused], _: &mut Actions) -> Requeue {
        // A budget stood in the way: the next round asks again.
        let Key::Vpa(id) = key else { return Requeue::No };
        let known = self.known.get(&id);
        let next = known.and_then(|known| known.next_recommendation.min(known.next_update));
        next.map_or(Requeue::No, Requeue::At)
    }

    fn explanations(&self) -> Option<&dyn Explain> {
        Some(self)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Explain for VpaController {
    fn explain(&self, key: Key, _: SimTime) -> Option<String> {
        let Key::Vpa(id) = key else { return None };
        self.known.get(&id).map(|known| known.explanation.clone()).filter(|text| !text.is_empty())
    }
}

impl Known {
    /// Takes in the samples of the metrics API that are new.
    fn take_samples(&mut self, view: ClusterView<'_>, target: ScaleTarget, settings: &VpaSettings) {
        let store = view.store();
        let (mut sampled, mut live) = (BTreeMap::new(), BTreeSet::new());
        for (id, pod) in store.pods_scaled_by(target) {
            live.insert(id);
            self.take_kills(&store.template_of(pod).spec, id, pod, settings);
            let Some(sample) = store.pod_metrics().get(id) else { continue };
            sampled.insert(id, sample.timestamp);
            if self.sampled.get(&id) == Some(&sample.timestamp) {
                continue;
            }
            for container in &store.template_of(pod).spec.containers {
                let other = sample.others.iter().find(|one| one.container == container.name);
                let (cpu_nano, memory) = other
                    .map_or((sample.cpu_nano, sample.memory), |one| (one.cpu_nano, one.memory));
                let state = self
                    .containers
                    .entry(container.name.clone())
                    .or_insert_with(|| ContainerState::new(settings, sample.timestamp));
                let usage = MilliCpu(super::hpa::cpu_milli(cpu_nano));
                state.add_cpu(usage, requested(container).cpu, sample.timestamp);
                let peak = self.peaks.entry((id, container.name.clone())).or_default();
                let interval = settings.memory_aggregation_interval;
                state.add_memory(peak, memory.0, sample.timestamp, interval);
            }
        }
        self.peaks.retain(|(pod, _), _| live.contains(pod));
        self.restarts.retain(|(pod, _), _| live.contains(pod));
        self.sampled = sampled;
    }

    /// Takes in the kills for lack of memory that were not seen yet.
    fn take_kills(&mut self, spec: &PodSpec, id: PodId, pod: &Pod, settings: &VpaSettings) {
        let (_, statuses) = pod.containers.split(spec);
        for (container, status) in spec.containers.iter().zip(statuses) {
            let key = (id, container.name.clone());
            let seen = self.restarts.insert(key.clone(), status.restarts).unwrap_or(0);
            let killed = status.last_termination.filter(|last| {
                status.restarts > seen && last.reason == TerminationReason::OomKilled
            });
            let Some(Termination { finished, .. }) = killed else { continue };
            let fresh = || ContainerState::new(settings, finished);
            let state = self.containers.entry(container.name.clone()).or_insert_with(fresh);
            let peak = self.peaks.entry(key).or_default();
            state.add_oom(peak, requested(container).memory, finished, settings);
            *self.kills.entry(container.name.clone()).or_default() += 1;
        }
    }

    fn recommend(&self, vpa: &VpaObject, settings: &VpaSettings) -> Vec<ContainerRecommendation> {
        let count = self.containers.len();
        let recommend = |(name, state): (&Name, &ContainerState)| {
            state.recommend(name, count, vpa.spec.policy_of(name), settings)
        };
        self.containers.iter().filter_map(recommend).collect()
    }
}

/// What a container requests.
fn requested(container: &Container) -> Amounts {
    let cpu = container.requests.get("cpu").map_or(0, Quantity::milli_value);
    let memory = container.requests.get("memory").map_or(0, Quantity::value);
    Amounts { cpu: MilliCpu(cpu), memory: Bytes(memory) }
}

/// Whether a container that the VPA looks after ran out of memory soon after its start, in its last run.
fn has_quick_oom(vpa: &VpaObject, spec: &PodSpec, pod: &Pod, settings: &VpaSettings) -> bool {
    let (_, statuses) = pod.containers.split(spec);
    let is_off = |name: &Name| vpa.spec.policy_of(name).is_some_and(|policy| policy.is_off);
    let meant = spec.containers.iter().zip(statuses).filter(|(one, _)| !is_off(&one.name));
    let mut ends = meant.filter_map(|(_, status)| status.last_termination);
    ends.any(|last| {
        last.reason == TerminationReason::OomKilled
            && last.finished - last.started < settings.evict_after_oom_threshold
    })
}

fn explain(
    vpa: &VpaObject,
    recommendation: &[ContainerRecommendation],
    known: &Known,
    now: SimTime,
) -> String {
    let mut text = format!("at {now}: updateMode {:?}\n", vpa.spec.mode);
    if recommendation.is_empty() {
        text.push_str("no recommendation yet: there are no samples\n");
    }
    for one in recommendation {
        let Amounts { cpu, memory } = one.target;
        let (lower, upper) = (one.lower_bound, one.upper_bound);
        let samples = known.containers.get(&one.container).map_or(0, ContainerState::samples);
        let uncapped = one.uncapped_target;
        let kills = match known.kills.get(&one.container) {
            None => String::new(),
            Some(1) => ", killed once for its memory".to_owned(),
            Some(kills) => format!(", killed {kills} times for its memory"),
        };
        let _ = write!(
            text,
            "container {}, {samples} CPU samples{kills}\n  \
             target cpu {cpu}, memory {} (uncapped {}, {})\n  \
             lower bound cpu {}, memory {}\n  upper bound cpu {}, memory {}\n",
            one.container,
            Mebibytes(memory),
            uncapped.cpu,
            Mebibytes(uncapped.memory),
            lower.cpu,
            Mebibytes(lower.memory),
            upper.cpu,
            Mebibytes(upper.memory),
        );
    }
    text
}

/// Memory as people read it.
struct Mebibytes(Bytes);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0.0 as f64 / f64::from(1 << 20))
    }
}
