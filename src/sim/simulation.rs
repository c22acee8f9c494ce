//! The simulation: one loop, one order of events, and what follows from each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::adapter::{Adapter, ScrapeFaults};
use super::apps::Apps;
use super::changing::template_of;
use super::control_plane::{ControlPlane, ControlPlaneSettings, Journal, LogEntry, Logged};
use super::event::Event;
use super::faulting::DeferredStep;
use super::memory::MemoryPressure;
use super::watch::{Watch, Watched};
use super::world::{AppPlan, World};
use cluster::node::NodeId;
use cluster::pod::{Owner, PodId};
use cluster::service::ServiceId as ClusterServiceId;
use cluster::{Action, Change, ClusterView, Name, NamespacedName, ObjectReference, Refused, Store};
use controllers::{self, Controller, Key, Row};
use engine::{Digest, EventQueue, SimDuration, SimTime, Stream, Streams};
use kubelet::{Effects, Kubelet};
use metrics::MetricsServer;
use record::{LogLine, Recorder};
use scheduler::Scheduler;
use scheduler::explanation::Explanation;
use scheduler::schedule_one::ACTOR;
use traffic::{ServiceId, Traffic};

/// A run of one [`World`]: synchronous, never blocking; a clone is a snapshot.
///
/// Everything that happens is one of: controllers' work that is due, a scheduling cycle, an
/// [`Event`]; in this order at one instant. Requests flow between them.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub(super) world: Arc<World>,
    pub(super) now: SimTime,
    pub(super) plane: ControlPlane,
    pub(super) scheduler: Scheduler,
    pub(super) kubelet: Kubelet,
    pub(super) metrics: MetricsServer,
    pub(super) adapter: Adapter,
    pub(super) scrapes: ScrapeFaults,
    pub(super) traffic: Traffic,
    pub(super) apps: Apps,
    pub(super) recorder: Recorder,
    pub(super) queue: EventQueue<Event>,
    /// Endpoint lists on their way to the nodes, in the order of their events.
    pub(super) propagating: VecDeque<(ClusterServiceId, Vec<PodId>)>,
    /// By position in the world's traffic: the Service, once it exists.
    pub(super) services: Vec<Option<ClusterServiceId>>,
    /// Positions of the Services that nobody can answer for.
    pub(super) down: BTreeSet<usize>,
    /// What was begun and goes on later; taken out when its time comes.
    pub(super) deferred: Vec<Option<DeferredStep>>,
    /// How many nodes joined each pool since the start.
    pub(super) nodes_added: BTreeMap<Name, u32>,
    /// The streams of the world's random faults.
    pub(super) fault_streams: Vec<Stream>,
    pub(super) memory_pressure: MemoryPressure,
    /// What the scenario says of the pods of each owner that had any. Only ever looked up, never iterated.
    pub(super) plans: FxHashMap<Owner, Option<Arc<AppPlan>>>,
    /// Pods that name a node which is not there.
    pub(super) nowhere: Vec<PodId>,
    /// How often somebody at a terminal stepped in.
    pub(super) interventions: u32,
    journal: Journal,
    /// Empty; kept for their allocation.
    heard: (Vec<Change>, Vec<LogEntry>),
    /// The same.
    effects: Effects,
    digest: Digest,
    handled: u64,
}

/// Who acts, in the order in which they do at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Controllers,
    Scheduler,
    Event,
}

impl Simulation {
    /// A simulation at its very start.
    pub fn new(world: World) -> Self {
        Self::with_controllers(world, Vec::new())
    }

    /// A simulation at its very start in which these controllers run beside those of kube-controller-manager;
    /// they hear of each change after those. There can be 16.
    pub fn with_controllers(world: World, further: Vec<Box<dyn Controller>>) -> Self {
        let mut controllers = controllers::all(&world.controllers);
        controllers.extend(further);
        let streams = Streams::new(world.seed);
        let now = world.begin;
        let plane = ControlPlane::new(
            Store::new(streams).starting_at(world.controllers.start),
            controllers,
            ControlPlaneSettings { watch_latency: world.delays.watch },
            now,
        );
        let mut simulation = Self {
            now,
            plane,
            scheduler: world.scheduler.clone(),
            kubelet: Kubelet::new(world.kubelet),
            metrics: MetricsServer::default(),
            adapter: Adapter::default(),
            scrapes: ScrapeFaults::default(),
            traffic: world.new_traffic(streams),
            apps: Apps::default(),
            recorder: Recorder::default(),
            queue: EventQueue::default(),
            propagating: VecDeque::new(),
            services: vec![None; world.traffic.len()],
            down: (0..world.traffic.len()).collect(),
            deferred: Vec::new(),
            nodes_added: BTreeMap::new(),
            fault_streams: super::chance::streams(world.seed, &world.faults),
            memory_pressure: MemoryPressure::default(),
            plans: FxHashMap::default(),
            nowhere: Vec::new(),
            interventions: 0,
            journal: Journal::default(),
            heard: (Vec::new(), Vec::new()),
            effects: Effects::default(),
            digest: Digest::default(),
            handled: 0,
            world: Arc::new(world),
        };
        simulation.start();
        simulation
    }

    /// Nodes and objects appear, and the clocks start.
    fn start(&mut self) {
        let world = Arc::clone(&self.world);
        for node in &world.nodes {
            self.act("scenario", Action::AddNode(Box::new(node.clone())));
        }
        let streams = Streams::new(world.seed);
        let hpa = &world.controllers.hpa;
        let hpas_after = hpa.sync_phase.offset("the HPA controller", hpa.sync_period, streams);
        for (after, hpas) in [(SimDuration::ZERO, false), (hpas_after, true)] {
            let at = SimTime::ZERO + after;
            if at <= self.now {
                self.apply_objects(hpas);
            } else {
                self.enter(at, Event::Apply { hpas });
            }
        }
        for (entry, (at, _)) in (0u32..).zip(&world.timeline) {
            self.enter(*at, Event::Timeline { entry });
        }
        for (process, _) in (0u32..).zip(&world.faults) {
            self.enter(SimTime::ZERO, Event::RandomFault { process, strikes: false });
        }
        let metrics = &world.metrics;
        let first = metrics.first_scrape.offset("metrics-server", metrics.resolution, streams);
        self.enter(SimTime::ZERO + first, Event::Scrape);
        self.start_adapter();
        self.enter(SimTime::ZERO + world.interval, Event::IntervalEnd);
        for (step, row) in (0u32..).zip(&world.cpu_loads) {
            self.enter(row.at, Event::CpuLoad { step });
        }
        // Applications without requests can run out of memory too.
        if !(world.traffic.is_empty() && world.apps.is_empty()) {
            self.enter(SimTime::ZERO + world.delays.cpu_sharing_period, Event::ShareCpu);
        }
        self.follow();
        // A Service that nothing ever happens to has nobody who answers from the start.
        self.check_reachability();
    }

    /// The user applies the objects of the start: HorizontalPodAutoscalers, or all others.
    fn apply_objects(&mut self, hpas: bool) {
        let world = Arc::clone(&self.world);
        for object in &world.objects {
            if matches!(object, Action::CreateHpa(_)) == hpas {
                self.apply_object(object.clone());
            }
        }
    }

    /// Whether the kubelet of a node works and is heard.
    pub fn node_works(&self, node: NodeId) -> bool {
        self.kubelet.works(node)
    }

    /// Now.
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// The cluster as it is now.
    pub const fn view(&self) -> ClusterView<'_> {
        self.plane.view(self.now)
    }

    /// From now on keeps what a `kubectl get --watch` of pods, nodes and workloads would show.
    pub fn watch(&mut self) {
        self.journal.watch = Some(Watch::new(self.plane.view(self.now)));
    }

    /// What was seen since [`Self::watch`] or since this was last asked.
    pub fn take_watched(&mut self) -> Vec<Watched> {
        self.journal.watch.as_mut().map(Watch::take).unwrap_or_default()
    }

    /// What was recorded so far.
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The requests so far, to ask for figures: asking changes nothing in what follows.
    pub const fn traffic_mut(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    /// The Services with traffic, by their position in it.
    pub fn traffic_services(&self) -> impl Iterator<Item = &NamespacedName> {
        self.world.traffic.iter().map(|(name, _)| name)
    }

    /// Requests that came so far, warm-up included.
    pub fn requests(&self) -> u64 {
        let services = 0..u32::try_from(self.world.traffic.len()).unwrap_or(u32::MAX);
        services.map(|service| self.traffic.arrived(ServiceId(service))).sum()
    }

    /// Positions of the recorded workloads whose pods a Service with traffic selects.
    pub fn workloads_behind(&self, service: usize) -> Vec<usize> {
        let view = self.view();
        let service = self.services.get(service).copied().flatten();
        let Some(service) = service.and_then(|id| view.services().get(id)) else {
            return Vec::new();
        };
        let Some(selector) = &service.selector else { return Vec::new() };
        let is_behind = |workload: &ObjectReference| {
            workload.id.namespace == *service.meta.namespace()
                && template_of(view.store(), workload)
                    .is_some_and(|template| selector.matches(&template.labels))
        };
        let workloads = self.recorder.workloads.iter().enumerate();
        let selected = workloads.filter(|(_, track)| is_behind(&track.workload));
        selected.map(|(position, _)| position).collect()
    }

    /// The last decision of a controller about an object in words, if there was one.
    pub fn explain(&self, object: &ObjectReference) -> Option<String> {
        self.plane.explain(self.autoscaler(object)?, self.now)
    }

    /// The same with every number under its name; of KEDA and VPA, whose decisions have no such form,
    /// their words.
    pub fn explain_as_json(&self, object: &ObjectReference) -> Option<serde_json::Value> {
        let key = self.autoscaler(object)?;
        let words =
            || Some(serde_json::json!({ "explanation": self.plane.explain(key, self.now)? }));
        self.plane.explain_as_json(key, self.now).or_else(words)
    }

    /// The same as a row of a table; only HPAs have that form.
    pub fn explain_in_a_row(&self, object: &ObjectReference) -> Option<Row> {
        self.plane.explain_in_a_row(self.autoscaler(object)?, self.now)
    }

    /// The autoscalers of a kind that exist now.
    pub fn autoscalers(&self, kind: &str) -> Vec<ObjectReference> {
        let store = self.plane.store();
        let ids: Vec<&NamespacedName> = match kind {
            "HorizontalPodAutoscaler" => store.hpas().values().map(|one| &one.meta.id).collect(),
            "VerticalPodAutoscaler" => store.vpas().values().map(|one| &one.meta.id).collect(),
            "ScaledObject" => store.scaled_objects().values().map(|one| &one.meta.id).collect(),
            _ => Vec::new(),
        };
        let named = |id: &NamespacedName| ObjectReference { kind: kind.into(), id: id.clone() };
        ids.into_iter().map(named).collect()
    }

    fn autoscaler(&self, object: &ObjectReference) -> Option<Key> {
        let store = self.plane.store();
        match object.kind.as_ref() {
            "HorizontalPodAutoscaler" => store.hpa_named(&object.id).map(Key::Hpa),
            "VerticalPodAutoscaler" => store.vpa_named(&object.id).map(Key::Vpa),
            "ScaledObject" => {
                let mut objects = store.scaled_objects().iter();
                let found = objects.find(|(_, one)| one.meta.id == object.id);
                found.map(|(id, _)| Key::ScaledObject(id))
            }
            _ => None,
        }
    }

    /// The node of a pod by its name, if it has one.
    pub fn node_of(&self, pod: &NamespacedName) -> Option<NodeId> {
        self.plane.store().pods().get(self.plane.store().pod_named(pod)?)?.node
    }

    /// What the scheduler would decide about a pod now, with all that leads to it; `None` if it does not
    /// know of the pod.
    pub fn examine(&self, pod: &NamespacedName) -> Option<Explanation> {
        let (view, id) = (self.view(), self.plane.store().pod_named(pod)?);
        let unexamined = Explanation::unexamined(view, view.pods().get(id)?);
        unexamined.or_else(|| {
            let decision = self.scheduler.examine(view, id)?;
            Some(Explanation::new(pod.to_string(), &decision, self.scheduler.cache(), view))
        })
    }

    /// The fingerprint of the run so far, requests included.
    pub fn digest(&mut self) -> u64 {
        let mut digest = self.digest;
        self.traffic.digest(self.now, &mut digest);
        digest.value()
    }

    /// How many events were handled so far, requests not included.
    pub const fn handled(&self) -> u64 {
        self.handled
    }

    /// The time of the next event, if there is one before the end.
    pub fn next_time(&self) -> Option<SimTime> {
        self.next_step().map(|(at, _)| at)
    }

    /// Whose turn it is next, and when.
    fn next_step(&self) -> Option<(SimTime, Turn)> {
        let turns = [
            (self.plane.next_due(), Turn::Controllers),
            (self.scheduler.wake_time(self.now), Turn::Scheduler),
            (self.queue.peek_time(), Turn::Event),
        ];
        let turns = turns.into_iter().filter_map(|(at, turn)| Some((at?.max(self.now), turn)));
        turns.min_by_key(|(at, _)| *at)
    }

    /// Runs everything up to and including `until`.
    pub fn run_until(&mut self, until: SimTime) {
        while let Some((at, turn)) = self.next_step().filter(|(at, _)| *at <= until) {
            self.take(at, turn);
        }
        self.traffic.advance(until);
        self.now = self.now.max(until);
    }

    /// Takes the next event with all that follows from it at once. False if there is none.
    pub fn step(&mut self) -> bool {
        let next = self.next_step();
        if let Some((at, turn)) = next {
            self.take(at, turn);
        }
        next.is_some()
    }

    fn take(&mut self, at: SimTime, turn: Turn) {
        self.traffic.advance(at);
        self.now = at;
        self.handled += 1;
        match turn {
            // What controllers look at in vain is no part of what happens: they may as well not look.
            Turn::Controllers => self.plane.run_due(at, &mut self.journal),
            Turn::Scheduler => self.schedule(),
            Turn::Event => {
                if let Some((_, event)) = self.queue.pop() {
                    self.digest.word(at.as_nanos().unsigned_abs());
                    event.digest(&mut self.digest);
                    self.handle(event);
                }
            }
        }
        self.follow();
    }

    /// Settles all books at the end.
    pub fn finish(&mut self) {
        self.book_usage();
        self.recorder.finish(self.now);
    }

    fn schedule(&mut self) {
        let mut actions = Vec::new();
        self.scheduler.place_next(self.plane.view(self.now), &mut actions);
        for action in actions {
            self.act(ACTOR, action);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Apply { hpas } => self.apply_objects(hpas),
            Event::Timeline { entry } => self.timeline(entry),
            Event::Kubelet { pod, version } => {
                self.kubelet(|kubelet, view, out| kubelet.wake(view, pod, version, out));
            }
            Event::Evict { pod } => self.evict(pod),
            Event::Drain { pod } => self.drain(pod),
            Event::Propagate { service } => self.propagate(service),
            Event::DeferredStep { step } => self.run_deferred(step),
            Event::RandomFault { process, strikes } => self.random_fault(process, strikes),
            Event::CpuLoad { step } => {
                if let Some(step) = self.world.cpu_loads.get(step as usize) {
                    self.apps.loads.set_demand(self.now, step.load, step.demand_nano);
                }
            }
            Event::ShareCpu => self.share_cpu(),
            Event::Scrape => self.scrape(),
            Event::PrometheusScrape => self.scrape_applications(),
            Event::IntervalEnd => self.end_interval(),
        }
    }

    /// One action of somebody outside of the controllers. A refusal is in the log.
    pub(super) fn act(&mut self, actor: &'static str, action: Action) {
        // What is refused stands in the log, and whoever asked sees in the cluster that it is not so.
        let _ = self.ask(actor, action);
    }

    /// One action of somebody outside of the controllers, who hears what the API server says.
    pub(super) fn ask(&mut self, actor: &'static str, action: Action) -> Result<(), Refused> {
        self.plane.act(self.now, actor, action, &mut self.journal)
    }

    pub(super) fn enter(&mut self, at: SimTime, event: Event) {
        self.queue.push(at.max(self.now), event.lane(), event);
    }

    /// Lets the kubelet take a step, and does what it asks for.
    pub(super) fn kubelet(
        &mut self,
        step: impl FnOnce(&mut Kubelet, ClusterView<'_>, &mut Effects),
    ) {
        // A step within a step finds new lists.
        let mut out = std::mem::take(&mut self.effects);
        step(&mut self.kubelet, self.plane.view(self.now), &mut out);
        for effect in out.apps.drain(..) {
            self.app_effect(effect);
        }
        for action in out.actions.drain(..) {
            self.act("kubelet", action);
        }
        for (at, pod, version) in out.timers.drain(..) {
            self.enter(at, Event::Kubelet { pod, version });
        }
        self.effects = out;
    }

    /// Tells everyone what changed, until nothing more follows from it.
    pub(super) fn follow(&mut self) {
        if self.journal.changes.is_empty() && self.journal.log.is_empty() {
            return;
        }
        self.digest.word(self.now.as_nanos().unsigned_abs());
        let (mut changes, mut log) = std::mem::take(&mut self.heard);
        while !self.journal.changes.is_empty() || !self.journal.log.is_empty() {
            self.journal.take_into(&mut changes, &mut log);
            for entry in log.drain(..) {
                self.note(entry);
            }
            for change in changes.drain(..) {
                let view = self.plane.view(self.now);
                self.recorder.on_change(view, change);
                self.scheduler.on_change(view, change);
                self.react(change);
            }
        }
        self.heard = (changes, log);
    }

    fn note(&mut self, entry: LogEntry) {
        let Logged::Event(event) = entry.what else { return };
        self.digest.bytes(event.message.as_bytes());
        self.recorder.note(LogLine {
            at: entry.at,
            actor: entry.actor,
            kind: event.kind,
            object: event.object,
            reason: event.reason,
            message: event.message,
            is_warning: event.is_warning,
        });
    }
}
