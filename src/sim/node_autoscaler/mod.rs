//! Runs the Cluster Autoscaler in the simulation: schedules its loops, carries out its requests to the cloud and
//! the API server, and writes its Events.

mod events;
mod history;
mod node_history;

use self::events::EventReporter;
use self::history::History;
pub use self::node_history::NodeHistory;
use super::cloud::Cloud;
use super::environment::Environment;
use super::event::Event;
use cluster::pod::PodId;
use cluster::{Action, Kind, ObjectReference};
use cluster_autoscaler::expander::TieBreaker;
use cluster_autoscaler::trigger::{next_loop, starts_loop};
use cluster_autoscaler::{ClusterAutoscaler, LoopReport, Options, Request};
use engine::{SimDuration, SimTime, Streams};
use scheduler::Scheduler;
use units::LoopPhase;

/// Actor in the log.
pub(super) const ACTOR: &str = "cluster-autoscaler";
/// Delay of a loop that follows the previous one at once.
const AT_ONCE: SimDuration = SimDuration::from_millis(100);
/// Most rounds at one instant, as a guard against an infinite loop.
const MAX_ROUNDS: usize = 10_000;

/// The autoscaler's configuration in a world.
#[derive(Clone, Debug)]
pub struct AutoscalerPlan {
    /// Its flags.
    pub options: Options,
    /// Time of its first loop.
    pub first_loop: LoopPhase,
}

/// The autoscaler during a run.
#[derive(Clone, Debug)]
pub(super) struct NodeAutoscaler {
    autoscaler: ClusterAutoscaler,
    first: SimTime,
    /// Time of the last loop.
    last: Option<SimTime>,
    /// Time at which a pod became unschedulable after that, if one did.
    news: Option<SimTime>,
    /// Time of the event that is scheduled for it.
    wakes: Option<SimTime>,
    history: History,
    event_reporter: EventReporter,
}

impl NodeAutoscaler {
    /// The autoscaler as it starts with the run.
    pub(super) fn new(plan: &AutoscalerPlan, begin: SimTime, seed: u64) -> Self {
        let streams = Streams::new(seed);
        let period = plan.options.scan_interval;
        let first = begin + plan.first_loop.offset("the Cluster Autoscaler", period, streams);
        let ties = TieBreaker::Drawn(streams.stream("Cluster Autoscaler ties", 0));
        Self {
            autoscaler: ClusterAutoscaler::new(plan.options.clone(), ties, begin),
            first,
            last: None,
            news: None,
            wakes: None,
            history: History::default(),
            event_reporter: EventReporter::default(),
        }
    }

    /// Called when the scheduler first finds no node for a pod.
    pub(super) fn pod_unschedulable(&mut self, env: &mut Environment) {
        let at = env.now + env.world.timing.watch;
        if self.news.is_none() && starts_loop(at, at, self.autoscaler.options()) {
            self.news = Some(at);
            self.wait(env);
        }
    }

    /// Time of the next loop.
    fn due(&self) -> SimTime {
        let Some(last) = self.last else { return self.first };
        let (scale_up, delete, _) = self.autoscaler.last_times();
        let timer = next_loop(last, scale_up, delete, self.autoscaler.options());
        let at_once = last + AT_ONCE;
        let next = timer.map_or(at_once, |timer| self.news.map_or(timer, |news| news.min(timer)));
        // A loop takes some time, however short the scan interval is.
        next.max(at_once)
    }

    /// Schedules an event for the next time that it has work.
    pub(super) fn wait(&mut self, env: &mut Environment) {
        let acts = self.autoscaler.next_act(env.now);
        let at = acts.map_or(self.due(), |acts| acts.min(self.due())).max(env.now);
        if self.wakes.is_none_or(|wakes| at < wakes) {
            self.wakes = Some(at);
            env.enter(at, Event::NodeAutoscaler);
        }
    }

    /// Handles the scheduled event.
    pub(super) fn wake(&mut self, env: &mut Environment, cloud: &mut Cloud, scheduler: &Scheduler) {
        if self.wakes != Some(env.now) {
            return;
        }
        self.wakes = None;
        self.act(env, cloud);
        if self.due() <= env.now {
            self.run_loop(env, cloud, scheduler);
        }
        self.wait(env);
    }

    fn run_loop(&mut self, env: &mut Environment, cloud: &mut Cloud, scheduler: &Scheduler) {
        let pending: Vec<PodId> = scheduler.queue().found_no_node().collect();
        let machines = cloud.count();
        let (requests, report) = self.autoscaler.run_once(env.view(), &pending, cloud);
        self.last = Some(env.now);
        self.news = None;
        self.note(env, cloud, machines, &report);
        cloud.enter_steps(env);
        self.carry_out(env, requests);
        self.act(env, cloud);
    }

    /// Carries out the actions due between loops.
    fn act(&mut self, env: &mut Environment, cloud: &mut Cloud) {
        for _ in 0..MAX_ROUNDS {
            if self.autoscaler.next_act(env.now).is_none_or(|at| at > env.now) {
                break;
            }
            let requests = self.autoscaler.act(env.view(), cloud);
            cloud.enter_steps(env);
            self.carry_out(env, requests);
        }
    }

    fn carry_out(&mut self, env: &mut Environment, requests: Vec<Request>) {
        for request in requests {
            match request {
                Request::SetTaints(node, taints) => {
                    // The node may have been removed in the meantime.
                    if env.store().nodes().contains(node) {
                        env.act(ACTOR, Action::SetNodeTaints(node, taints));
                    }
                }
                Request::SetUnschedulable(node, is_cordoned) => {
                    if env.store().nodes().contains(node) {
                        env.act(ACTOR, Action::SetNodeUnschedulable(node, is_cordoned));
                    }
                }
                Request::Evict(pod, grace) => self.evict(env, pod, grace),
            }
        }
    }

    fn evict(&mut self, env: &mut Environment, pod: PodId, grace: SimDuration) {
        let Some(id) = env.store().pods().get(pod).map(|pod| pod.id.clone()) else { return };
        let reference = ObjectReference { kind: Kind::Pod, id };
        match env.try_act(ACTOR, Action::EvictPod(pod, Some(grace))) {
            Ok(()) => {
                let message = "deleting pod for node scale down".to_owned();
                env.emit_event(ACTOR, &reference, "ScaleDown", message);
            }
            Err(why) => {
                env.warn(ACTOR, &reference, "EvictionRefused", why.to_string());
                self.autoscaler.eviction_refused(pod, env.now);
            }
        }
    }

    fn note(&mut self, env: &mut Environment, cloud: &Cloud, machines: usize, report: &LoopReport) {
        self.history.note(env, cloud, machines, report, &self.autoscaler);
        self.event_reporter.report_events(env, report);
    }
}
