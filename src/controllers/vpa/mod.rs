//! The vertical-pod-autoscaler's recommender and updater. Requests of new pods are set by admission (`cluster::vpa`).

mod aggregate;
mod histogram;
mod model;
mod recommender;
mod rounds;
mod settings;
mod update;
mod updater;

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{Actions, Controller, Explain, Key, Requeue, Watches};
use cluster::container_status::{Termination, TerminationReason};
use cluster::meta::Name;
use cluster::pod::{Pod, PodId, PodPhase};
use cluster::pod_template::PodSpec;
use cluster::scale::ScaleTarget;
use cluster::vpa::{Amounts, ContainerRecommendation, VpaId, VpaObject};
use cluster::{Action, Change, ClusterView, NamespacedName, ObjectId, Refused};
use engine::SimTime;
use units::{Bytes, MilliCpu, Quantity};

pub use aggregate::{AggregateState, Checkpoint, ContainerWindow};
pub use histogram::{Buckets, DecayingHistogram, HistogramCheckpoint};
pub use model::Model;
pub use recommender::recommend;
pub use rounds::{Round, UpdaterApi, UpdaterMemory};
pub use settings::VpaSettings;
pub use updater::{Group, ResizeState, UpdatePriority, UpdaterPod, priority};

/// Recommender and updater.
#[derive(Clone, Debug, Default)]
pub struct VpaController {
    settings: VpaSettings,
    known: BTreeMap<VpaId, VpaState>,
}

/// State kept for one VPA.
#[derive(Clone, Debug, Default)]
struct VpaState {
    model: Model<PodId>,
    updater: UpdaterMemory<PodId>,
    /// Last observed `restartCount` of each container: later restarts have not been processed yet.
    restarts: BTreeMap<(PodId, Name), u32>,
    /// Kills for lack of memory that were taken in, by container.
    kills: BTreeMap<Name, u32>,
    next_recommendation: Option<SimTime>,
    next_update: Option<SimTime>,
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

    fn wakes_on(&mut self, _: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
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
                let states = known.model.by_container(settings, view.now);
                let annotations = vpa.meta.annotations.iter();
                let annotations: Vec<(&str, &str)> =
                    annotations.map(|(key, value)| (&**key, &**value)).collect();
                let recommendation = recommend(&states, &vpa.spec, &annotations, settings);
                known.explanation = explain(vpa, &recommendation, &states, &known.kills, view.now);
                known.model.collect_garbage(settings, view.now);
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
        // Refused by a budget: the next round retries.
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

impl VpaState {
    /// Records the samples of the metrics API, each once, and then the OOM kills.
    fn take_samples(&mut self, view: ClusterView<'_>, target: ScaleTarget, settings: &VpaSettings) {
        let store = view.store();
        // Pods that wait are not listed.
        let listed = |pod: &Pod| pod.phase != PodPhase::Pending;
        let pods: Vec<(PodId, &Pod)> =
            store.pods_scaled_by(target).filter(|(_, pod)| listed(pod)).collect();
        let is_there = |id: &PodId| store.pods().get(*id).is_some_and(listed);
        self.model.retain_pods(is_there);
        self.restarts.retain(|(pod, _), _| store.pods().contains(*pod));
        for (id, pod) in &pods {
            let names = store.template_of(pod).spec.containers.iter().map(|one| &one.name);
            self.model.load_pod(*id, store.labels_of(pod), names, settings, view.now);
        }
        for (id, pod) in &pods {
            let Some(sample) = store.pod_metrics().get(*id) else { continue };
            for container in &store.template_of(pod).spec.containers {
                let other = sample.others.iter().find(|one| one.container == container.name);
                let (cpu_nano, memory) = other
                    .map_or((sample.cpu_nano, sample.memory), |one| (one.cpu_nano, one.memory));
                let usage = (MilliCpu(super::hpa::cpu_milli(cpu_nano)), memory);
                let known_at = (settings, view.now);
                self.model.add_sample(*id, &container.name, usage, sample.timestamp, known_at);
            }
        }
        for (id, pod) in &pods {
            self.take_kills(&store.template_of(pod).spec, *id, pod, (settings, view.now));
        }
    }

    /// Takes in the kills for lack of memory that were not seen yet.
    fn take_kills(
        &mut self,
        spec: &PodSpec,
        id: PodId,
        pod: &Pod,
        known_at: (&VpaSettings, SimTime),
    ) {
        let (_, statuses) = pod.containers.split(spec);
        for (container, status) in spec.containers.iter().zip(statuses) {
            let key = (id, container.name.clone());
            let seen = self.restarts.insert(key, status.restarts).unwrap_or(0);
            let killed = status.last_termination.filter(|last| {
                status.restarts > seen && last.reason == TerminationReason::OomKilled
            });
            let Some(Termination { finished, .. }) = killed else { continue };
            let request = Bytes(container.requests.get("memory").map_or(0, Quantity::value));
            self.model.add_oom(id, &container.name, request, finished, known_at);
            *self.kills.entry(container.name.clone()).or_default() += 1;
        }
    }
}

fn explain(
    vpa: &VpaObject,
    recommendation: &[ContainerRecommendation],
    states: &BTreeMap<Name, AggregateState>,
    kills: &BTreeMap<Name, u32>,
    now: SimTime,
) -> String {
    let mut text = format!("at {now}: updateMode {:?}\n", vpa.spec.mode);
    if recommendation.is_empty() {
        text.push_str("no recommendation yet: there are no pods\n");
    }
    for one in recommendation {
        let samples = states.get(&one.container).map_or(0, AggregateState::samples);
        let kills = match kills.get(&one.container) {
            None => String::new(),
            Some(1) => ", OOM-killed once".to_owned(),
            Some(kills) => format!(", OOM-killed {kills} times"),
        };
        let _ = write!(
            text,
            "container {}, {samples} CPU samples{kills}\n  target {} (uncapped {})\n  \
             lower bound {}\n  upper bound {}\n",
            one.container,
            AmountText(one.target, "cpu "),
            AmountText(one.uncapped_target, ""),
            AmountText(one.lower_bound, "cpu "),
            AmountText(one.upper_bound, "cpu "),
        );
    }
    text
}

/// Amounts as people read them, the first after a word.
struct AmountText(Amounts, &'static str);

impl fmt::Display for AmountText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Amounts { cpu, memory }, word) = self;
        let has_both = cpu.is_some() && memory.is_some();
        if let Some(cpu) = cpu {
            write!(f, "{word}{}", MilliCpu(cpu.milli_value()))?;
        }
        f.write_str(if has_both { ", " } else { "" })?;
        if let Some(memory) = memory {
            let mebibytes = memory.value() as f64 / f64::from(1 << 20);
            let word = if word.is_empty() { "" } else { "memory " };
            write!(f, "{word}{mebibytes:.1} MiB")?;
        }
        Ok(())
    }
}
