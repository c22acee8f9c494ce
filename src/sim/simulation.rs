//! The simulation: one loop, one order of events, and what follows from each.

use std::collections::VecDeque;
use std::sync::Arc;

use super::apps::Apps;
use super::control_plane::{ControlPlane, ControlPlaneSettings, Journal, LogEntry, Logged};
use super::event::Event;
use super::world::World;
use crate::cluster::pod::PodId;
use crate::cluster::service::ServiceId as ClusterServiceId;
use crate::cluster::{Action, ClusterView, NamespacedName, ObjectReference, Store};
use crate::controllers::{self, Key};
use crate::engine::{Digest, EventQueue, SimTime, Streams};
use crate::kubelet::{Effects, Kubelet};
use crate::metrics::MetricsServer;
use crate::record::{LogLine, Recorder};
use crate::scheduler::Scheduler;
use crate::scheduler::schedule_one::ACTOR;
use crate::traffic::{ServiceId, Traffic};

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
    pub(super) traffic: Traffic,
    pub(super) apps: Apps,
    pub(super) recorder: Recorder,
    pub(super) queue: EventQueue<Event>,
    /// Endpoint lists on their way to the nodes, in the order of their events.
    pub(super) propagating: VecDeque<(ClusterServiceId, Vec<PodId>)>,
    /// By position in the world's traffic: the Service, once it exists.
    pub(super) services: Vec<Option<ClusterServiceId>>,
    journal: Journal,
    digest: Digest,
    handled: u64,
}

impl Simulation {
    /// A simulation at its very start.
    pub fn new(world: World) -> Self {
        let streams = Streams::new(world.seed);
        let now = SimTime::ZERO;
        let plane = ControlPlane::new(
            Store::new(streams),
            controllers::all(&world.controllers),
            ControlPlaneSettings { watch_latency: world.delays.watch },
            now,
        );
        let mut simulation = Self {
            now,
            plane,
            scheduler: world.scheduler.clone(),
            kubelet: Kubelet::default(),
            metrics: MetricsServer::default(),
            traffic: world.new_traffic(streams),
            apps: Apps::default(),
            recorder: Recorder::default(),
            queue: EventQueue::default(),
            propagating: VecDeque::new(),
            services: vec![None; world.traffic.len()],
            journal: Journal::default(),
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
        for object in &world.objects {
            self.act("user", object.clone());
        }
        for (entry, (at, _)) in (0u32..).zip(&world.timeline) {
            self.enter(*at, Event::Timeline { entry });
        }
        self.enter(SimTime::ZERO + world.metrics.first_scrape, Event::Scrape);
        self.enter(SimTime::ZERO + world.interval, Event::IntervalEnd);
        self.enter(SimTime::ZERO + world.delays.cpu_sharing_period, Event::ShareCpu);
        self.follow();
    }

    /// Now.
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// The cluster as it is now.
    pub const fn view(&self) -> ClusterView<'_> {
        self.plane.view(self.now)
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
        let deployments = view.deployments().values();
        let behind: Vec<_> = deployments
            .filter(|one| one.meta.namespace() == service.meta.namespace())
            .filter(|one| selector.matches(&one.spec.template.labels))
            .map(|one| one.meta.id.clone())
            .collect();
        let workloads = self.recorder.workloads.iter().enumerate();
        let selected = workloads.filter(|(_, track)| {
            *track.workload.kind == *"Deployment" && behind.contains(&track.workload.id)
        });
        selected.map(|(position, _)| position).collect()
    }

    /// The last decision of a controller about an object in words, if there was one.
    pub fn explain(&self, object: &ObjectReference) -> Option<String> {
        match object.kind.as_ref() {
            "HorizontalPodAutoscaler" => {
                let hpa = self.plane.store().hpa_named(&object.id)?;
                self.plane.explain(Key::Hpa(hpa))
            }
            _ => None,
        }
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
        let next =
            [self.plane.next_due(), self.scheduler.wake_time(self.now), self.queue.peek_time()];
        next.into_iter().flatten().min().map(|at| at.max(self.now))
    }

    /// Runs everything up to and including `until`.
    pub fn run_until(&mut self, until: SimTime) {
        while self.next_time().is_some_and(|at| at <= until) {
            self.step();
        }
        self.traffic.advance(until);
        self.now = self.now.max(until);
    }

    /// Takes the next event with all that follows from it at once. False if there is none.
    pub fn step(&mut self) -> bool {
        let Some(at) = self.next_time() else { return false };
        self.traffic.advance(at);
        self.now = at;
        self.handled += 1;
        self.digest.word(at.as_nanos().unsigned_abs());
        if self.plane.next_due().is_some_and(|due| due <= at) {
            self.plane.run_due(at, &mut self.journal);
        } else if self.scheduler.wake_time(self.now).is_some_and(|due| due <= at) {
            self.schedule();
        } else if let Some((_, event)) = self.queue.pop() {
            event.digest(&mut self.digest);
            self.handle(event);
        }
        self.follow();
        true
    }

    /// Settles all books at the end.
    pub fn finish(&mut self) {
        self.book_usage();
        self.recorder.finish(self.now);
    }

    fn schedule(&mut self) {
        let mut actions = Vec::new();
        self.scheduler.next(self.plane.view(self.now), &mut actions);
        for action in actions {
            self.act(ACTOR, action);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Timeline { entry } => self.timeline(entry),
            Event::Kubelet { pod, version } => {
                self.kubelet(|kubelet, view, out| kubelet.wake(view, pod, version, out));
            }
            Event::Drain { pod } => self.drain(pod),
            Event::Propagate { .. } => self.propagate(),
            Event::ShareCpu => self.share_cpu(),
            Event::Scrape => self.scrape(),
            Event::IntervalEnd => self.end_interval(),
        }
    }

    /// One action of somebody outside of the controllers. A refusal is in the log.
    pub(super) fn act(&mut self, actor: &'static str, action: Action) {
        // What is refused stands in the log, and whoever asked sees in the cluster that it is not so.
        let _ = self.plane.act(self.now, actor, action, &mut self.journal);
    }

    pub(super) fn enter(&mut self, at: SimTime, event: Event) {
        self.queue.push(at.max(self.now), event.lane(), event);
    }

    /// Lets the kubelet take a step, and does what it asks for.
    pub(super) fn kubelet(
        &mut self,
        step: impl FnOnce(&mut Kubelet, ClusterView<'_>, &mut Effects),
    ) {
        let mut out = Effects::default();
        step(&mut self.kubelet, self.plane.view(self.now), &mut out);
        for effect in out.apps {
            self.app_effect(effect);
        }
        for action in out.actions {
            self.act("kubelet", action);
        }
        for (at, pod, version) in out.timers {
            self.enter(at, Event::Kubelet { pod, version });
        }
    }

    /// Tells everyone what changed, until nothing more follows from it.
    fn follow(&mut self) {
        while !self.journal.changes.is_empty() || !self.journal.log.is_empty() {
            let journal = std::mem::take(&mut self.journal);
            for entry in journal.log {
                self.note(entry);
            }
            for change in journal.changes {
                let view = self.plane.view(self.now);
                self.recorder.on_change(view, change);
                self.scheduler.on_change(view, change);
                self.react(change);
            }
        }
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
