//! The Cluster Autoscaler at work: when its loops are, what it asks the cloud and the API server for, and what it
//! says of it.

mod events;
mod history;
mod story;

use self::events::Teller;
use self::history::History;
pub use self::story::NodeStory;
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

/// Who acts.
pub(super) const ACTOR: &str = "cluster-autoscaler";
/// From a loop to one that follows at once.
const AT_ONCE: SimDuration = SimDuration::from_millis(100);
/// How often it may have something to do at one instant, against a loop without end.
const MAX_ROUNDS: usize = 10_000;

/// The autoscaler of a world.
#[derive(Clone, Debug)]
pub struct AutoscalerPlan {
    /// Its flags.
    pub options: Options,
    /// When its first loop is.
    pub first_loop: LoopPhase,
}

/// The autoscaler of a run.
#[derive(Clone, Debug)]
pub(super) struct NodeAutoscaler {
    autoscaler: ClusterAutoscaler,
    first: SimTime,
    /// When the last loop was.
    last: Option<SimTime>,
    /// When a pod became unschedulable after that, if one did.
    news: Option<SimTime>,
    /// The event that it waits for.
    wakes: Option<SimTime>,
    history: History,
    teller: Teller,
}

impl NodeAutoscaler {
    /// An autoscaler that starts with the run.
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
            teller: Teller::default(),
        }
    }

    /// The scheduler found no node for a pod that it had not found one for before.
    pub(super) fn pod_unschedulable(&mut self, env: &mut Environment) {
        let at = env.now + env.world.delays.watch;
        if self.news.is_none() && starts_loop(at, at, self.autoscaler.options()) {
            self.news = Some(at);
            self.wait(env);
        }
    }

    /// When the next loop is.
    fn due(&self) -> SimTime {
        let Some(last) = self.last else { return self.first };
        let (scale_up, delete, _) = self.autoscaler.last_times();
        let timer = next_loop(last, scale_up, delete, self.autoscaler.options());
        let at_once = last + AT_ONCE;
        let next = timer.map_or(at_once, |timer| self.news.map_or(timer, |news| news.min(timer)));
        // A loop takes some time, however short the scan interval is.
        next.max(at_once)
    }

    /// Enters the next event at which it has something to do.
    pub(super) fn wait(&mut self, env: &mut Environment) {
        let acts = self.autoscaler.next_act(env.now);
        let at = acts.map_or(self.due(), |acts| acts.min(self.due())).max(env.now);
        if self.wakes.is_none_or(|wakes| at < wakes) {
            self.wakes = Some(at);
            env.enter(at, Event::NodeAutoscaler);
        }
    }

    /// It is time for something.
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

    /// What is due between loops.
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
                    // The node may have gone since.
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
        match env.ask(ACTOR, Action::EvictPod(pod, Some(grace))) {
            Ok(()) => {
                let message = "deleting pod for node scale down".to_owned();
                env.say(ACTOR, &reference, "ScaleDown", message);
            }
            Err(why) => {
                env.warn(ACTOR, &reference, "EvictionRefused", why.to_string());
                self.autoscaler.eviction_refused(pod, env.now);
            }
        }
    }

    fn note(&mut self, env: &mut Environment, cloud: &Cloud, machines: usize, report: &LoopReport) {
        self.history.note(env, cloud, machines, report, &self.autoscaler);
        self.teller.tell(env, report);
    }
}
