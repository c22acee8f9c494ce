//! Gathers the inputs of each sync from the cluster, and turns the decision into actions.

use std::collections::BTreeMap;

use super::ambiguous_selector::SelectorConflicts;
use super::idle::{Basis, IdleHpas, IdlePeriod};
use super::readings::{Reading, reading};
use super::reads::{Reads, Requests, requests_of};
use super::{
    Decision, HpaHistory, HpaInputs, HpaSettings, HpaView, MetricReading, ObservedPod,
    ObservedScale, PodMetric, ScaleSelector, class_holds_until, reconcile,
};
use crate::keda::health_changes;
use crate::{Actions, Controller, Explain, Key, Memoize, Requeue, Row, Watches};
use cluster::action::Event;
use cluster::hpa::{HpaSpec, MetricSource};
use cluster::hpa_object::{HpaId, HpaObject};
use cluster::pod::{PodId, PodState};
use cluster::pod_template::{PodSpec, TemplateId};
use cluster::scale::{Scale, ScaleTarget, resource_of};
use cluster::{Action, Change, ClusterView, Kind, Name, NamespacedName, ObjectId};
use engine::SimTime;

/// The horizontal-pod-autoscaler controller.
#[derive(Clone, Debug, Default)]
pub struct HpaController {
    settings: HpaSettings,
    /// By the HPA's slot.
    known: Vec<Option<HpaState>>,
    /// By the HPA's slot: those that have listed their pods. Until then, the pods they select are unknown.
    selecting: Vec<Option<HpaId>>,
    idle: IdleHpas,
    reads: Reads,
}

/// State kept for one HPA.
#[derive(Clone, Debug)]
struct HpaState {
    id: HpaId,
    history: HpaHistory,
    next_sync: SimTime,
    /// When the next sync has the tokens for its reads, if it waits for them.
    turn: Option<SimTime>,
    /// The reads of its syncs.
    requests: Requests,
    last: Option<LastSync>,
}

/// The last decision.
#[derive(Clone, Debug)]
struct LastSync {
    decision: Decision,
    /// Names of the pods that were not counted, by their place.
    names: BTreeMap<usize, Name>,
    /// Inputs of the last decision, if time alone may leave it unchanged.
    basis: Option<Basis>,
    /// The spec that it followed, once an idle period has begun.
    spec: Option<Box<HpaSpec>>,
}

impl HpaController {
    /// A controller with these flags.
    pub fn new(settings: HpaSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    fn last(&self, key: Key, now: SimTime) -> Option<LastSync> {
        let Key::Hpa(id) = key else { return None };
        let known = self.known.get(id.index())?.as_ref().filter(|known| known.id == id)?;
        let mut known = known.clone();
        if let Some(idle) = self.idle.get(id) {
            known.make_up(idle, now, &self.settings);
        }
        known.last
    }

    /// Wakes an HPA up, if it sleeps.
    fn wake_up(&mut self, id: HpaId, now: SimTime) {
        let known = self.known.get_mut(id.index()).and_then(Option::as_mut);
        if let Some(idle) = self.idle.remove(id)
            && let Some(known) = known.filter(|known| known.id == id)
        {
            known.make_up(idle, now, &self.settings);
        }
    }
}

impl Controller for HpaController {
    fn name(&self) -> &'static str {
        "horizontal-pod-autoscaler"
    }

    fn watches(&self) -> Watches {
        Watches::HPAS
    }

    fn memoized(&self) -> Option<&dyn Memoize> {
        Some(self)
    }

    fn wakes_on(&mut self, _: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        if let Change::Spec(ObjectId::HorizontalPodAutoscaler(id), _) = *change
            && !matches!(self.known.get(id.index()), Some(Some(known)) if known.id == id)
        {
            wake.push(Key::Hpa(id));
        }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Hpa(id) = key else { return Requeue::No };
        if let Some(idle) = self.idle.undisturbed(view, id) {
            return idle.requeue();
        }
        self.wake_up(id, view.now);
        if self.known.len() <= id.index() {
            self.known.resize_with(id.index() + 1, || None);
            self.selecting.resize(id.index() + 1, None);
        }
        let Self { settings, known, selecting, idle, reads } = self;
        let slot = &mut known[id.index()];
        let Some(hpa) = view.hpas().get(id) else {
            if let Some(gone) = slot.take_if(|known| known.id == id) {
                reads.replace(gone.requests, Requests::default());
            }
            return Requeue::No;
        };
        if slot.as_ref().is_none_or(|known| known.id != id) {
            let before = slot.as_ref().map_or(Requests::default(), |known| known.requests);
            reads.replace(before, Requests::default());
            // A new HPA waits for one period: the queue admits each key once per period.
            let next_sync = view.now + settings.sync_period;
            let requests = Requests::default();
            let history = HpaHistory::default();
            *slot = Some(HpaState { id, history, next_sync, turn: None, requests, last: None });
        }
        let Some(known) = slot else { return Requeue::No };
        if view.now >= known.next_sync {
            if let Some(turn) = known.waits_for(reads, hpa, settings, view.now) {
                return Requeue::At(turn);
            }
            if !settings.repeats_quiet_syncs || !known.repeat(view, hpa, settings) {
                let rivals = SelectorConflicts { id, selecting };
                let last = sync(view, rivals, hpa, settings, &mut known.history);
                if last.decision.listed_pods() {
                    selecting[id.index()] = Some(id);
                }
                translate(hpa, id, &last.decision, view, actions);
                for change in health_changes(view, hpa) {
                    actions.push(change);
                }
                known.last = Some(last);
            }
            known.next_sync = view.now + settings.sync_period;
            if !reads.exceed(settings.reads, settings.sync_period)
                && let Some(idle_period) = known.idle_period(hpa, settings)
            {
                idle.insert(idle_period);
                return idle_period.requeue();
            }
        }
        Requeue::At(known.next_sync)
    }

    fn explanations(&self) -> Option<&dyn Explain> {
        Some(self)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl Explain for HpaController {
    fn explain(&self, key: Key, now: SimTime) -> Option<String> {
        let LastSync { decision, names, .. } = self.last(key, now)?;
        Some(decision.explain(&|position| names.get(&position).cloned().unwrap_or_default()))
    }

    fn explain_as_json(&self, key: Key, now: SimTime) -> Option<serde_json::Value> {
        let LastSync { decision, names, .. } = self.last(key, now)?;
        let mut json = serde_json::to_value(decision).ok()?;
        let named = names.iter().map(|(place, name)| (place.to_string(), name.to_string().into()));
        let named: serde_json::Map<String, serde_json::Value> = named.collect();
        json.as_object_mut()?.insert("not_counted_pods".to_owned(), named.into());
        Some(json)
    }

    fn explain_as_row(&self, key: Key, now: SimTime) -> Option<Row> {
        self.last(key, now).map(|last| last.decision.row())
    }
}

impl Memoize for HpaController {
    fn invalidated_by(&self) -> Watches {
        // For all pods: those that it counts need not belong to its target.
        let pods = Watches::PODS.and(Watches::POD_SAMPLES);
        let workloads = Watches::DEPLOYMENTS.and(Watches::REPLICA_SETS).and(Watches::STATEFUL_SETS);
        Watches::HPAS.and(pods).and(workloads)
    }

    fn invalidates_on(&self, view: ClusterView<'_>, change: &Change, invalidated: &mut Vec<Key>) {
        match change {
            Change::Spec(ObjectId::HorizontalPodAutoscaler(_), _) | Change::MetricsApi => {
                invalidated.extend(self.idle.all().map(Key::Hpa));
            }
            _ if self.idle.is_empty() => {}
            _ => {
                let targets = view.store().scale_targets_of(change);
                invalidated.extend(targets.flat_map(|target| self.idle.of(target)).map(Key::Hpa));
            }
        }
    }
}

impl HpaState {
    /// When a sync that is due has the tokens for its reads; `None` if it has them.
    fn waits_for(
        &mut self,
        reads: &mut Reads,
        hpa: &HpaObject,
        settings: &HpaSettings,
        now: SimTime,
    ) -> Option<SimTime> {
        let turn = if let Some(turn) = self.turn {
            turn
        } else {
            let requests = requests_of(&hpa.spec);
            reads.replace(std::mem::replace(&mut self.requests, requests), requests);
            let is_first = self.last.is_none();
            if !is_first && !reads.exceed(settings.reads, settings.sync_period) {
                return None;
            }
            reads.take(settings.reads, requests, now)
        };
        self.turn = (turn > now).then_some(turn);
        self.turn
    }

    /// The last decision once more, if all that it rests on is the same and time changes nothing.
    fn repeat(&mut self, view: ClusterView<'_>, hpa: &HpaObject, settings: &HpaSettings) -> bool {
        let Some(LastSync { decision, basis: Some(basis), .. }) = &mut self.last else {
            return false;
        };
        basis.holds(view) && decision.repeat(&hpa.spec, settings, &mut self.history, view.now)
    }

    /// The idle period, if later syncs repeat the last one while its basis holds.
    fn idle_period(&mut self, hpa: &HpaObject, settings: &HpaSettings) -> Option<IdlePeriod> {
        let LastSync { decision, basis: Some(basis), spec, .. } = self.last.as_mut()? else {
            return None;
        };
        if !settings.repeats_quiet_syncs || !decision.lasts(&hpa.spec, &self.history) {
            return None;
        }
        spec.get_or_insert_with(|| Box::new(hpa.spec.clone()));
        let idle = IdlePeriod::new(self.id, *basis, self.next_sync, settings.sync_period);
        (idle.ends() != Some(self.next_sync)).then_some(idle)
    }

    /// Replays the effects of an idle period's syncs up to `now`.
    fn make_up(&mut self, idle: IdlePeriod, now: SimTime, settings: &HpaSettings) {
        let Some(LastSync { decision, spec: Some(spec), .. }) = &mut self.last else { return };
        let passed = idle.passed(now);
        for number in 0..passed {
            let at = idle.sync(number);
            if number + 1 < passed {
                // Only the effect of the last one is visible.
                decision.recommend_again(&mut self.history, at);
            } else {
                let has_repeated = decision.repeat(spec, settings, &mut self.history, at);
                debug_assert!(has_repeated, "syncs in an idle period lead to the same");
            }
        }
        self.next_sync = idle.sync(passed);
    }
}

fn hpa_view<'a>(hpa: &'a HpaObject, settings: &'a HpaSettings) -> HpaView<'a> {
    HpaView { namespace: hpa.meta.namespace(), spec: &hpa.spec, status: &hpa.status, settings }
}

/// One sync: reads everything that the controller would read from the API server, and decides.
fn sync(
    view: ClusterView<'_>,
    rivals: SelectorConflicts<'_>,
    hpa: &HpaObject,
    settings: &HpaSettings,
    history: &mut HpaHistory,
) -> LastSync {
    let target = target_of(view, hpa);
    let scale = target.and_then(|target| view.scale(target));
    let pods = Pods::of(view, target);
    let is_alone = rivals.are_none(view, hpa, &pods);
    let others =
        target.filter(|_| !is_alone).and_then(|target| rivals.ambiguity(view, target, &pods));
    let selector = others.as_ref().map_or(ScaleSelector::Unique, ScaleSelector::Ambiguous);
    let not_found = if scale.is_none() { not_found(hpa) } else { Name::default() };
    let observed = scale.map(|Scale { spec_replicas, status_replicas }| ObservedScale {
        spec_replicas,
        status_replicas,
        selector,
    });
    let metrics = hpa.spec.metrics.iter();
    let readings: Vec<Reading> =
        metrics.map(|metric| reading(view, hpa, &metric.source, &pods.ids)).collect();
    let answers: Vec<MetricReading<'_>> = readings.iter().map(Reading::as_input).collect();
    let inputs = HpaInputs {
        hpa: hpa_view(hpa, settings),
        scale: observed.ok_or(&not_found),
        scale_write: Ok(()),
        pods: &pods.observed,
        templates: &pods.templates,
        metrics: &answers,
        pod_name: &|position| pods.name(view, position),
    };
    let decision = reconcile(&inputs, history, view.now);
    let names = names_of(&decision, view, &pods);
    // Changes by other HPAs to its pods are not tracked.
    let lasts = is_alone && decision.is_quiet();
    let basis = target.zip(scale).filter(|_| lasts).and_then(|(target, scale)| {
        let readings = hpa.spec.metrics.iter().zip(&readings);
        let holds_until = readings
            .map(|(metric, reading)| {
                holds_until(&metric.source, reading, &pods, settings, view.now)
            })
            .try_fold(SimTime::MAX, |earliest, until| Some(earliest.min(until?)))?;
        let pods_revision = view.pods_revision(target);
        let autoscalers_revision = view.autoscalers_revision();
        Some(Basis { target, scale, pods_revision, autoscalers_revision, holds_until })
    });
    LastSync { decision, names, basis, spec: None }
}

/// Time until which the pods keep their classification for a metric if nothing but time changes; `None` for metrics
/// whose changes are not tracked.
fn holds_until(
    source: &MetricSource,
    reading: &Reading,
    pods: &Pods<'_>,
    settings: &HpaSettings,
    now: SimTime,
) -> Option<SimTime> {
    let MetricSource::Resource { resource, .. } = source else { return None };
    let Reading::PerPod(values) = reading else { return None };
    let is_cpu = &**resource == "cpu";
    let until = |(pod, metric): (&ObservedPod, &Option<PodMetric>)| {
        class_holds_until(pod, metric.as_ref(), is_cpu, settings, now)
    };
    Some(pods.observed.iter().zip(values).map(until).min().unwrap_or(SimTime::MAX))
}

fn names_of(decision: &Decision, view: ClusterView<'_>, pods: &Pods<'_>) -> BTreeMap<usize, Name> {
    let metrics = decision.metrics().into_iter().flat_map(|metrics| &metrics.metrics);
    let groups = metrics.filter_map(|metric| metric.pods());
    let places = groups.flat_map(|groups| &groups.not_counted).map(|(place, _)| *place as usize);
    places.map(|place| (place, pods.name(view, place))).collect()
}

fn not_found(hpa: &HpaObject) -> Name {
    let target = &hpa.spec.scale_target;
    format!("{} \"{}\" not found", resource_of(&target.kind), target.name).into()
}

/// The workload that the HPA scales, if it exists.
fn target_of(view: ClusterView<'_>, hpa: &HpaObject) -> Option<ScaleTarget> {
    let target = &hpa.spec.scale_target;
    let id = NamespacedName::new(hpa.meta.namespace().clone(), target.name.clone());
    view.scale_target(&target.kind, &id)
}

/// The pods of a scale as the HPA sees them: all that its selector matches.
pub(super) struct Pods<'a> {
    pub(super) ids: Vec<PodId>,
    observed: Vec<ObservedPod>,
    templates: Vec<&'a PodSpec>,
}

impl<'a> Pods<'a> {
    fn of(view: ClusterView<'a>, target: Option<ScaleTarget>) -> Self {
        let store = view.store();
        let (mut ids, mut observed) = (Vec::new(), Vec::new());
        let mut templates = TemplateIndex::default();
        for owner in target.into_iter().flat_map(|target| store.owners_scaled_by(target)) {
            let siblings = store.siblings(owner);
            ids.extend_from_slice(siblings.ids());
            observed.extend(siblings.states().iter().map(|pod| templates.observe(pod)));
        }
        for unowned in target.into_iter().flat_map(|target| store.unowned_pods_of(target)) {
            ids.push(unowned);
            observed.push(templates.observe(&store.pods()[unowned].state()));
        }
        let templates = templates.known.iter().map(|known| &store.templates()[*known].spec);
        Self { ids, observed, templates: templates.collect() }
    }

    fn name(&self, view: ClusterView<'_>, position: usize) -> Name {
        view.pods()[self.ids[position]].name().clone()
    }
}

/// The templates of pods, each with its place among them. Pods of one template often follow each other.
#[derive(Debug, Default)]
struct TemplateIndex {
    known: Vec<TemplateId>,
    last: usize,
}

impl TemplateIndex {
    #[inline]
    fn observe(&mut self, pod: &PodState) -> ObservedPod {
        if self.known.get(self.last) != Some(&pod.template) {
            let place = self.known.iter().position(|template| *template == pod.template);
            self.last = place.unwrap_or_else(|| {
                self.known.push(pod.template);
                self.known.len() - 1
            });
        }
        ObservedPod {
            count: 1,
            template: u32::try_from(self.last).unwrap_or(u32::MAX),
            phase: pod.phase,
            is_terminating: pod.is_terminating,
            ready: pod.ready,
            start_time: pod.start_time,
        }
    }
}

/// The decision as requests to the API server.
fn translate(
    hpa: &HpaObject,
    id: HpaId,
    decision: &Decision,
    view: ClusterView<'_>,
    actions: &mut Actions,
) {
    if let Some(write) = &decision.scale_write
        && let Some(target) = target_of(view, hpa)
    {
        actions.push(Action::Scale(target, write.replicas));
    }
    for event in &decision.events {
        actions.push(Action::Event(Box::new(Event {
            kind: Kind::HorizontalPodAutoscaler,
            object: hpa.meta.id.clone(),
            is_warning: event.is_warning,
            reason: event.reason,
            message: event.message.clone(),
        })));
    }
    if decision.is_status_changed {
        actions.push(Action::status(id, decision.status.clone()));
    }
}
