//! The simulation: one loop, one order of events, and the part that handles each.

use std::sync::Arc;

use super::cloud::Cloud;
use super::control_plane::LogEntry;
use super::data_plane::DataPlane;
use super::draining::evict;
use super::environment::Environment;
use super::event::Event;
use super::karpenter::Karpenter;
use super::machines::Machines;
use super::metrics_pipeline::MetricsPipeline;
use super::node_autoscaler::NodeAutoscaler;
use super::random_faults::RandomFaults;
use super::scheduler_client::SchedulerClient;
use super::watch::{Watch, Watched};
use super::world::World;
use cluster::pod::PodId;
use cluster::{Action, AnySpec, Change};
use controllers::Controller;
use engine::{SimDuration, SimTime, Streams};
use faults::TimelineAction;
use scheduler::Scheduler;
use scheduler::decision::Verdict;
use scheduler::explanation::Explanation;
use scheduler::schedule_one::ACTOR;
use traffic::Traffic;

/// A run of one [`World`]: synchronous, never blocking; a clone is a snapshot.
///
/// Each step is one of, in this order at one instant: due work of the controllers, a scheduling cycle, an
/// [`Event`]. Requests are processed in between.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub(super) env: Environment,
    pub(super) scheduler: Scheduler,
    scheduler_client: SchedulerClient,
    pub(super) data_plane: DataPlane,
    pub(super) metrics: MetricsPipeline,
    pub(super) machines: Machines,
    pub(super) cloud: Cloud,
    pub(super) node_autoscaler: Option<NodeAutoscaler>,
    pub(super) karpenter: Option<Karpenter>,
    random_faults: RandomFaults,
    /// Interactive actions of the user at this instant.
    pub(super) interventions: Vec<(SimTime, TimelineAction)>,
    /// Empty; kept for their allocation.
    heard: (Vec<Change>, Vec<LogEntry>),
    handled: u64,
}

/// Participants in the order in which they act at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Controllers,
    SchedulerClient,
    Scheduler,
    Event,
}

impl Simulation {
    /// A simulation at time zero, before its first event.
    pub fn new(world: World) -> Self {
        Self::with_controllers(world, Vec::new())
    }

    /// A simulation at time zero with these controllers in addition to those of kube-controller-manager; they are
    /// notified of each change after those. There can be 16.
    pub fn with_controllers(world: World, further: Vec<Box<dyn Controller>>) -> Self {
        let world = Arc::new(world);
        let mut simulation = Self {
            scheduler: world.scheduler.clone(),
            scheduler_client: SchedulerClient::new(world.timing.scheduler_client),
            data_plane: DataPlane::new(&world),
            metrics: MetricsPipeline::default(),
            machines: Machines::default(),
            cloud: Cloud::new(&world.cloud, world.seed),
            node_autoscaler: world
                .autoscaler
                .as_ref()
                .map(|plan| NodeAutoscaler::new(plan, world.begin, world.seed)),
            karpenter: world
                .karpenter
                .as_ref()
                .map(|plan| Karpenter::new(plan, world.begin, world.seed)),
            random_faults: RandomFaults::new(&world),
            interventions: Vec::new(),
            heard: (Vec::new(), Vec::new()),
            handled: 0,
            env: Environment::new(world, further),
        };
        simulation.start();
        simulation
    }

    /// Creates nodes and objects, and starts the clocks.
    fn start(&mut self) {
        let Self { env, data_plane, metrics, cloud, node_autoscaler, .. } = self;
        let world = Arc::clone(&env.world);
        for node in &world.nodes {
            env.act("scenario", Action::add_node(node.clone()));
        }
        for node in cloud.nodes() {
            env.act("scenario", Action::add_node(node));
        }
        if let Some(autoscaler) = node_autoscaler {
            autoscaler.wait(env);
        }
        let hpa = &world.controllers.hpa;
        let streams = Streams::new(world.seed);
        let hpas_after = hpa.sync_phase.offset("the HPA controller", hpa.sync_period, streams);
        for (after, hpas) in [(SimDuration::ZERO, false), (hpas_after, true)] {
            let at = SimTime::ZERO + after;
            if at <= env.now {
                apply_objects(env, hpas);
            } else {
                env.enter(at, Event::Apply { hpas });
            }
        }
        for (entry, (at, _)) in (0u32..).zip(&world.timeline) {
            env.enter(*at, Event::Timeline { entry });
        }
        for (process, _) in (0u32..).zip(&world.faults) {
            env.enter(SimTime::ZERO, Event::RandomFault { process, strikes: false });
        }
        metrics.start(env, data_plane);
        env.enter(SimTime::ZERO + world.interval, Event::IntervalEnd);
        for (step, row) in (0u32..).zip(&world.cpu_loads) {
            env.enter(row.at, Event::CpuLoad { step });
        }
        // Applications without requests can run out of memory too.
        if !(world.traffic.is_empty() && world.apps.is_empty()) {
            data_plane.check_clock.start(env);
        }
        self.follow();
        // A Service without events would otherwise never be checked for reachable endpoints.
        self.data_plane.check_reachability(&mut self.env);
    }

    /// The current simulated time.
    pub const fn now(&self) -> SimTime {
        self.env.now
    }

    /// Starts recording the changes that a `kubectl get --watch` of pods, nodes and workloads would show.
    pub fn watch(&mut self) {
        self.env.observers.journal.watch = Some(Watch::new(self.env.view()));
    }

    /// The changes recorded since [`Self::watch`] or the last call.
    pub fn take_watched(&mut self) -> Vec<Watched> {
        self.env.observers.journal.watch.as_mut().map(Watch::take).unwrap_or_default()
    }

    /// The traffic, for queries: these do not affect the run.
    pub const fn traffic_mut(&mut self) -> &mut Traffic {
        &mut self.data_plane.traffic
    }

    /// The fingerprint of the run so far, requests included.
    pub fn digest(&mut self) -> u64 {
        let mut digest = self.env.observers.digest;
        self.data_plane.traffic.digest(self.env.now, &mut digest);
        digest.value()
    }

    /// Number of events handled so far, requests not included.
    pub const fn handled(&self) -> u64 {
        self.handled
    }

    /// The time of the next event; `None` if nothing is left before the end.
    pub fn next_time(&self) -> Option<SimTime> {
        self.next_step().map(|(at, _)| at)
    }

    /// The next participant to act, and when.
    fn next_step(&self) -> Option<(SimTime, Turn)> {
        let env = &self.env;
        let turns = [
            (env.plane.next_due(), Turn::Controllers),
            (self.scheduler_client.next_due(), Turn::SchedulerClient),
            (self.scheduler.wake_time(env.now), Turn::Scheduler),
            (env.queue.peek_time(), Turn::Event),
        ];
        let turns = turns.into_iter().filter_map(|(at, turn)| Some((at?.max(env.now), turn)));
        turns.min_by_key(|(at, _)| *at)
    }

    /// Runs everything up to and including `until`.
    pub fn run_until(&mut self, until: SimTime) {
        loop {
            match self.next_step().filter(|(at, _)| *at <= until) {
                Some((at, turn)) => self.take(at, turn),
                None if self.requests_reach(until) => break,
                None => {}
            }
        }
        self.env.now = self.env.now.max(until);
    }

    /// Performs the next step with all its immediate consequences. False if there is none.
    pub fn step(&mut self) -> bool {
        let next = self.next_step();
        if let Some((at, turn)) = next {
            self.take(at, turn);
        }
        next.is_some()
    }

    fn take(&mut self, at: SimTime, turn: Turn) {
        if !self.requests_reach(at) {
            return;
        }
        self.env.now = at;
        self.handled += 1;
        if let Some(slowdown) = self.data_plane.kubelet.machine_slowdown() {
            self.env.plane.slow_down(slowdown);
        }
        let mut is_look_past = false;
        match turn {
            // Reconciles without effect are not part of the digest, so that skipping them does not change it.
            Turn::Controllers => self.env.plane.run_due(at, &mut self.env.observers.journal),
            Turn::SchedulerClient => self.send_requests_of_scheduler(),
            Turn::Scheduler => self.schedule(),
            Turn::Event => {
                if let Some((_, event)) = self.env.queue.pop() {
                    self.env.observers.note_event(at, event);
                    is_look_past = event.lane() >= Event::ShareCpu.lane();
                    self.handle(event);
                }
            }
        }
        self.notice_reclaims();
        self.follow();
        self.data_plane.wake_check_clock(&mut self.env, is_look_past);
        self.metrics.wake_housekeeping(&mut self.env, &self.data_plane, is_look_past);
    }

    /// Processes the requests up to and including `until`. Returns false if one of them arrived at a revision without
    /// pods, or was the last one of a worker: then the autoscaler or the kubelet is notified, and the clock stops at
    /// that request.
    fn requests_reach(&mut self, until: SimTime) -> bool {
        let (reached, notices) = self.data_plane.traffic.advance_to_notice(until);
        if notices.is_empty() {
            return true;
        }
        let Self { env, data_plane, .. } = self;
        env.now = reached;
        if !notices.activated.is_empty() {
            data_plane.revisions.activate(env, &notices.activated);
        }
        for backend in notices.done {
            data_plane.worker_done(env, backend);
        }
        self.follow();
        false
    }

    /// Settles all accounts at the end of the run.
    pub fn finish(&mut self) {
        self.record_pending_reasons();
        self.data_plane.book_usage(&mut self.env);
        self.cloud.finish(&mut self.env);
        self.env.observers.recorder.finish(self.env.now);
    }

    /// Records, for each workload with pending pods, the scheduler's current message about the first of them, and
    /// Karpenter's reason to add no node for it.
    fn record_pending_reasons(&mut self) {
        let (recorder, view) = self.env.recorder_and_view();
        for (workload, pod) in recorder.first_waiting(view, self.scheduler.queue().found_no_node())
        {
            let verdict = self.scheduler.examine(view, pod).map(|decision| decision.verdict);
            let Some(Verdict::Waits { mut message, .. }) = verdict else { continue };
            let id = view.pods().get(pod).map(|pod| &pod.id);
            let karpenter = self.karpenter.as_ref().zip(id);
            if let Some(refusal) = karpenter.and_then(|(karpenter, id)| karpenter.refusal(id)) {
                message = format!("{message}; Karpenter: {refusal}");
            }
            recorder.workloads[workload].waits_because = Some(message);
        }
        let profiles = self.scheduler.profile_names();
        let pending = view.pods().iter().filter(|(_, pod)| pod.is_active() && pod.node.is_none());
        let unexamined: Vec<(PodId, String)> = pending
            .filter_map(|(id, pod)| {
                Some((id, Explanation::unexamined(view, pod, &profiles)?.message?))
            })
            .collect();
        for (id, message) in unexamined {
            for (workload, _) in recorder.first_waiting(view, std::iter::once(id)) {
                recorder.workloads[workload].waits_because.get_or_insert_with(|| message.clone());
            }
        }
    }

    fn schedule(&mut self) {
        let mut actions = Vec::new();
        let pod = self.scheduler.place_next(self.env.view(), &mut actions);
        for action in actions {
            self.scheduler_client.send(self.env.now, action);
        }
        self.send_requests_of_scheduler();
        if let (Some(autoscaler), Some(pod)) = (&mut self.node_autoscaler, pod)
            && self.scheduler.queue().failures_of(pod) == 1
        {
            autoscaler.pod_unschedulable(&mut self.env);
        }
        if let (Some(karpenter), Some(pod)) = (&mut self.karpenter, pod)
            && self.scheduler.queue().failures_of(pod) > 0
        {
            karpenter.pod_unschedulable(&mut self.env, pod);
        }
    }

    /// Sends the scheduler's requests that its rate limit lets through.
    fn send_requests_of_scheduler(&mut self) {
        let Self { env, scheduler, scheduler_client, .. } = self;
        while let Some(action) = scheduler_client.pop_due(env.now) {
            let bound = match action {
                Action::BindPod(pod, _) => Some(pod),
                _ => None,
            };
            if let (Err(_), Some(pod)) = (env.try_act(ACTOR, action), bound) {
                scheduler.binding_failed(env.view(), pod);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let Self { env, data_plane, metrics, machines, cloud, random_faults, .. } = self;
        match event {
            Event::Apply { hpas } => apply_objects(env, hpas),
            Event::Timeline { entry } => self.timeline(entry),
            Event::Kubelet { pod, version } => {
                data_plane.step(env, |kubelet, view, out| kubelet.wake(view, pod, version, out));
            }
            Event::Evict { pod } => evict(env, pod),
            Event::Drain { pod } => data_plane.drain(env, pod),
            Event::Idle { pod } => data_plane.check_idle(env, pod),
            Event::Propagate { service } => data_plane.propagate(env, service),
            Event::WriteRules { via } => data_plane.write_rules(env, via),
            Event::SandboxStopped { pod } => data_plane.sandbox_stopped(env, pod),
            Event::DeferredStep { step } => {
                machines.run_deferred(env, data_plane, cloud, step);
            }
            Event::Machine { machine } => {
                cloud.step(env, data_plane, machine);
                if let Some(karpenter) = &mut self.karpenter {
                    karpenter.machine_stepped(env, cloud, machine);
                }
            }
            Event::Karpenter => {
                if let Some(karpenter) = &mut self.karpenter {
                    karpenter.wake(env, cloud, &self.scheduler);
                }
            }
            Event::NodeAutoscaler => {
                if let Some(autoscaler) = &mut self.node_autoscaler {
                    autoscaler.wake(env, cloud, &self.scheduler);
                }
            }
            Event::RandomFault { process, strikes } => {
                random_faults.run(env, data_plane, machines, (process, strikes));
            }
            Event::CpuLoad { step } => {
                if let Some(step) = env.world.cpu_loads.get(step as usize) {
                    data_plane.apps.set_load(env.now, step);
                }
            }
            Event::ShareCpu => data_plane.share_nodes(env),
            Event::Housekeeping => metrics.run_housekeeping(env, data_plane),
            Event::Scrape => metrics.scrape(env, data_plane),
            Event::Publish => metrics.publish(env),
            Event::PrometheusScrape => metrics.scrape_applications(env, data_plane),
            Event::RevisionReports => {
                let DataPlane { revisions, traffic, .. } = data_plane;
                revisions.report(env, traffic);
            }
            Event::IntervalEnd => end_interval(env, data_plane),
        }
    }

    /// The parts on which random faults act.
    pub(super) const fn struck_parts(
        &mut self,
    ) -> (&mut Environment, &mut DataPlane, &mut Machines) {
        (&mut self.env, &mut self.data_plane, &mut self.machines)
    }

    /// Passes on the changes that a fault has made between two events.
    pub(super) fn follow_strike(&mut self) {
        self.notice_reclaims();
        self.follow();
        self.data_plane.wake_check_clock(&mut self.env, false);
        self.metrics.wake_housekeeping(&mut self.env, &self.data_plane, false);
    }

    /// Lets Karpenter drain the nodes that the cloud is about to reclaim.
    fn notice_reclaims(&mut self) {
        let noticed = std::mem::take(&mut self.machines.noticed);
        let Some(karpenter) = &mut self.karpenter else { return };
        for name in noticed {
            karpenter.interrupted(&mut self.env, &mut self.cloud, &name);
            self.cloud.enter_steps(&mut self.env);
        }
    }

    /// Passes changes to all parts until there are no more.
    pub(super) fn follow(&mut self) {
        let Self { env, scheduler, data_plane, karpenter, heard, .. } = self;
        if !env.observers.has_unprocessed_entries() {
            return;
        }
        env.observers.note_time(env.now);
        let (changes, log) = heard;
        while env.observers.has_unprocessed_entries() {
            env.observers.journal.take_into(changes, log);
            for entry in log.drain(..) {
                env.observers.note(entry);
            }
            for change in changes.drain(..) {
                let (recorder, view) = env.recorder_and_view();
                recorder.on_change(view, &change);
                scheduler.on_change(view, &change);
                data_plane.react(env, &change);
                if let Some(karpenter) = karpenter {
                    karpenter.on_change(env, &change);
                }
            }
            data_plane.follow_routes(env);
            data_plane.follow_policies(env);
        }
    }
}

/// The user applies the initial objects: HorizontalPodAutoscalers, or all others.
fn apply_objects(env: &mut Environment, hpas: bool) {
    let world = Arc::clone(&env.world);
    let (queues, others): (Vec<&Action>, Vec<&Action>) = world
        .objects
        .iter()
        .partition(|object| matches!(object, Action::Apply(_, AnySpec::ClusterQueue(_))));
    // Kueue is there before the Jobs that its webhook suspends.
    for object in queues.into_iter().chain(others) {
        let is_hpa = matches!(object, Action::Apply(_, AnySpec::HorizontalPodAutoscaler(_)));
        if is_hpa == hpas {
            env.apply_object(object.clone());
        }
    }
}

/// Ends an interval of the report.
fn end_interval(env: &mut Environment, data_plane: &mut DataPlane) {
    data_plane.book_usage(env);
    let (recorder, view) = env.recorder_and_view();
    recorder.end_interval(view);
    data_plane.check_reachability(env);
    env.enter(env.now + env.world.interval, Event::IntervalEnd);
}
