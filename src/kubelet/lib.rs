//! A pod's life on its node: image pull, init containers and sidecars, probes, restarts with back-off,
//! termination. Not responsible for requests: what the application does is told to the caller as
//! [`AppEffect`]s.

mod admission;
pub mod allocation;
pub mod backoff;
mod context;
mod ending;
mod images;
mod making;
pub mod memory;
mod node_agent;
mod preparing;
pub mod probes;
pub mod profile;
pub mod settings;
mod status;
pub mod timing;
mod unit;
mod work;
mod worker;

use std::collections::BTreeSet;

use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::{Action, ClusterView, Name};
use engine::random::open_unit;
use engine::{SimDuration, SimTime, Streams};

pub use profile::{AppProfile, OnSigterm, PodProfile};
pub use settings::KubeletSettings;

use context::Context;
use ending::{EVICTED, NODE_SHUTDOWN};
use node_agent::{NodeAgent, Reach, agent_of};
use probes::ProbeKind;
use timing::KubeletTiming;
use work::Work;
use worker::{Exit, KILLED, Worker};

/// In place of a worker's version: a timer of the node's work.
const WORK: u32 = 0;

/// Sets the timer for the end of the work that is done next, if that is another than before.
fn tell_next(work: &mut Work, out: &mut Effects) {
    out.timers.extend(work.take_next().map(|(at, pod)| (at, pod, WORK)));
}

/// The kubelets of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Kubelet {
    settings: KubeletSettings,
    timing: KubeletTiming,
    /// The making and ending of pods on cores that all nodes share.
    shared_work: Work,
    /// By the pod's slot.
    workers: Vec<Option<Worker>>,
    /// By the node's slot.
    nodes: Vec<NodeAgent>,
    /// Nodes of which a pod's resize is not through.
    resizing: BTreeSet<NodeId>,
}

/// What a step of the kubelet leads to.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Requests to the API server.
    pub actions: Vec<Action>,
    /// What became of the application.
    pub apps: Vec<AppEffect>,
    /// When to call [`Kubelet::wake`] with which worker and version.
    pub timers: Vec<(SimTime, PodId, u32)>,
    /// What was done on the node, for those who watch.
    pub steps: Vec<(PodId, PodStep)>,
}

/// A step of a pod on its node, as the log of its container runtime and its application would show it.
/// Containers by their position, init containers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodStep {
    /// The sandbox is asked for.
    SandboxCalled,
    /// The sandbox is there.
    SandboxReturned,
    /// A container is asked to start.
    StartCalled(usize),
    /// A container runs.
    Started(usize),
    /// An image is asked for at its registry.
    PullCalled(usize),
    /// A container is sent SIGTERM.
    Sigterm(usize),
    /// A container's process has ended.
    Exited(usize),
}

/// What became of a pod's application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEffect {
    /// Its container runs, but nothing listens yet.
    Started(PodId),
    /// It answers requests.
    Answers(PodId),
    /// It takes requests and answers none.
    Hangs(PodId),
    /// A probe waits for a worker; [`Kubelet::probe_answered`] is to be called with its answer.
    Probed(PodId, ProbeKind),
    /// It listens no more and finishes what is in flight; [`Kubelet::drained`] is to be called when
    /// that is done, but not before the instant given.
    Drains(PodId, SimTime),
    /// Its node cannot be reached.
    Lost(PodId),
    /// Its node can be reached again, and it runs as before; whether it listens.
    Found(PodId, bool),
    /// Its container is gone, and what was in flight with it.
    Stopped(PodId, Stop),
}

/// Why a container is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The pod was deleted, or ended by its kubelet.
    Terminated,
    /// The application ended by itself.
    Crashed,
    /// The kernel killed it for its memory.
    OutOfMemory,
    /// A liveness or startup probe had it killed.
    KilledByProbe,
    /// It is restarted to get other resources.
    Resized,
    /// The node is dead or was restarted.
    NodeLost,
}

/// How a container is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKill {
    /// Its process exits with this code.
    Exit(i32),
    /// The kernel kills it for its memory.
    OutOfMemory,
}

impl Kubelet {
    /// Kubelets with these settings on all nodes.
    pub fn new(settings: KubeletSettings, timing: KubeletTiming) -> Self {
        Self { settings, timing, ..Self::default() }
    }

    /// A pod was bound to a node: its kubelet takes it.
    pub fn pod_bound(
        &mut self,
        view: ClusterView<'_>,
        pod: PodId,
        profile: &PodProfile,
        out: &mut Effects,
    ) {
        let Some(bound) = view.pods().get(pod) else { return };
        let Some(node) = bound.node else { return };
        if self.workers.len() <= pod.index() {
            self.workers.resize_with(pod.index() + 1, || None);
        }
        let spec = &view.template_of(bound).spec;
        let worker = Worker::new(pod, node, spec, profile, (&self.settings, &self.timing));
        self.workers[pod.index()] = Some(worker);
        self.with(view, pod, out, Worker::admit);
    }

    /// A pod's deletion was asked for.
    pub fn pod_deleting(&mut self, view: ClusterView<'_>, pod: PodId, out: &mut Effects) {
        self.with(view, pod, out, Worker::terminate);
    }

    /// A timer of a worker is due; a version that is not the worker's any more is ignored.
    pub fn wake(&mut self, view: ClusterView<'_>, pod: PodId, version: u32, out: &mut Effects) {
        if version == WORK {
            return self.work_due(view, pod, out);
        }
        self.with(view, pod, out, |worker, ctx| {
            if worker.version() == version {
                worker.settle(ctx);
            }
        });
    }

    /// Work for a pod may be done.
    fn work_due(&mut self, view: ClusterView<'_>, pod: PodId, out: &mut Effects) {
        let slot = self.workers.get_mut(pod.index()).and_then(Option::as_mut);
        let Some(worker) = slot.filter(|worker| worker.pod == pod) else { return };
        let agent = agent_of(&mut self.nodes, worker.node);
        let is_shared = self.timing.shared_cores.is_some();
        let work = if is_shared { &mut self.shared_work } else { &mut agent.work };
        while let Some(task) = work.take_done(view.now, pod) {
            worker.work_done(view.now, task);
        }
        tell_next(work, out);
        self.with(view, pod, out, Worker::settle);
    }

    /// The answer to a probe that waits for a worker will come after `delay`; absent = never.
    pub fn probe_answered(
        &mut self,
        view: ClusterView<'_>,
        (pod, kind): (PodId, ProbeKind),
        delay: Option<SimDuration>,
        out: &mut Effects,
    ) {
        self.with(view, pod, out, |worker, ctx| worker.probe_answered(kind, delay, ctx));
    }

    /// A draining application has nothing in flight any more.
    pub fn drained(&mut self, view: ClusterView<'_>, pod: PodId, out: &mut Effects) {
        self.with(view, pod, out, Worker::drained);
    }

    /// A pod object is gone: nothing of it is left to do.
    pub fn pod_removed(&mut self, now: SimTime, pod: PodId, out: &mut Effects) {
        let Some(slot) = self.workers.get_mut(pod.index()) else { return };
        let Some(worker) = slot.take_if(|worker| worker.pod == pod) else { return };
        let agent = agent_of(&mut self.nodes, worker.node);
        for work in [&mut agent.work, &mut self.shared_work] {
            work.cancel(now, pod);
            tell_next(work, out);
        }
    }

    /// The application's container is ended from outside, and restarted as the pod's policy has it.
    pub fn kill_container(
        &mut self,
        view: ClusterView<'_>,
        pod: PodId,
        kill: ContainerKill,
        out: &mut Effects,
    ) {
        let exit = match kill {
            ContainerKill::Exit(code) => Exit { code, reason: None, stop: Stop::Crashed },
            ContainerKill::OutOfMemory => Exit::OUT_OF_MEMORY,
        };
        self.with(view, pod, out, |worker, ctx| worker.kill_container(worker.app, exit, ctx));
    }

    /// The kubelet evicts a pod, which stays as Failed: its node is short of something.
    pub fn evict(&mut self, view: ClusterView<'_>, pod: PodId, message: &str, out: &mut Effects) {
        // A hard eviction leaves one second (`immediateEvictionGracePeriodSeconds`).
        let grace = SimDuration::from_secs(1);
        self.with(view, pod, out, |worker, ctx| worker.fail((EVICTED, message), grace, ctx));
    }

    /// Readiness probes of the application fail until an instant.
    pub fn fail_readiness(
        &mut self,
        view: ClusterView<'_>,
        pod: PodId,
        until: SimTime,
        out: &mut Effects,
    ) {
        self.with(view, pod, out, |worker, ctx| {
            worker.set_trouble(ctx, |trouble| trouble.unready_until = until);
        });
    }

    /// The application answers neither probes nor requests until an instant.
    pub fn hang(&mut self, view: ClusterView<'_>, pod: PodId, until: SimTime, out: &mut Effects) {
        self.with(view, pod, out, |worker, ctx| {
            worker.set_trouble(ctx, |trouble| trouble.hangs_until = until);
            if worker.app_answers() {
                ctx.out.apps.push(AppEffect::Hangs(pod));
            }
        });
    }

    /// The node's machine fails: its kubelet does nothing until [`Self::node_up`].
    pub fn node_down(&mut self, view: ClusterView<'_>, node: NodeId, out: &mut Effects) {
        agent_of(&mut self.nodes, node).reach = Reach::Down;
        for (pod, _) in view.pods_on(node) {
            if self.worker(pod).is_some_and(Worker::is_running) {
                out.apps.push(AppEffect::Stopped(pod, Stop::NodeLost));
            }
        }
    }

    /// The network to a node fails: its containers go on, but nobody hears of them until
    /// [`Self::node_up`].
    pub fn node_unreachable(&mut self, view: ClusterView<'_>, node: NodeId, out: &mut Effects) {
        let agent = agent_of(&mut self.nodes, node);
        if agent.reach == Reach::Down {
            return;
        }
        agent.reach = Reach::Unreachable;
        for (pod, _) in view.pods_on(node) {
            if self.worker(pod).is_some_and(Worker::is_running) {
                out.apps.push(AppEffect::Lost(pod));
            }
        }
    }

    /// A node's kubelet stops, while its containers go on, until [`Self::node_up`].
    pub fn stop_agent(&mut self, node: NodeId) {
        let agent = agent_of(&mut self.nodes, node);
        if agent.reach == Reach::Up {
            agent.reach = Reach::Stopped;
        }
    }

    /// The kubelet of a node works again. After a machine's failure its containers are made anew;
    /// after any other they are as they were. What was asked for meanwhile is done.
    pub fn node_up(&mut self, view: ClusterView<'_>, node: NodeId, out: &mut Effects) {
        let agent = agent_of(&mut self.nodes, node);
        let before = std::mem::replace(&mut agent.reach, Reach::Up);
        let pods: Vec<PodId> = view.pods_on(node).map(|(pod, _)| pod).collect();
        for pod in pods {
            self.with(view, pod, out, |worker, ctx| match before {
                Reach::Down => worker.node_restarted(ctx),
                Reach::Unreachable | Reach::Stopped | Reach::Up => worker.resume(before, ctx),
            });
        }
    }

    /// A node shuts down in order: its pods have `grace` to end, and stay as Failed (graceful node
    /// shutdown, `pkg/kubelet/nodeshutdown`).
    pub fn shut_down(
        &mut self,
        view: ClusterView<'_>,
        node: NodeId,
        grace: SimDuration,
        out: &mut Effects,
    ) {
        let message = "Pod was terminated in response to imminent node shutdown.";
        let pods: Vec<PodId> = view.pods_on(node).map(|(pod, _)| pod).collect();
        for pod in pods {
            self.with(view, pod, out, |worker, ctx| {
                let grace = ctx.spec.termination_grace_period.min(grace);
                worker.fail((NODE_SHUTDOWN, message), grace, ctx);
            });
        }
    }

    /// Whether the node's machine is down, or cannot be reached.
    pub fn is_down(&self, node: NodeId) -> bool {
        self.nodes.get(node.index()).is_some_and(NodeAgent::is_down)
    }

    /// The same of any node, such as one whose object is gone.
    pub fn is_any_down(&self) -> bool {
        self.nodes.iter().any(NodeAgent::is_down)
    }

    /// Whether the kubelet of a node works and is heard.
    pub fn works(&self, node: NodeId) -> bool {
        self.nodes.get(node.index()).is_none_or(|agent| agent.reach == Reach::Up)
    }

    /// A node object appeared in a slot: nothing is known of the node that held it before.
    pub fn node_added(&mut self, node: NodeId, uid: u64, images: impl Iterator<Item = Name>) {
        let phase = open_unit(&mut Streams::new(uid).stream("pleg", 0));
        *agent_of(&mut self.nodes, node) = NodeAgent { phase, ..NodeAgent::new(images) };
    }

    fn worker(&self, pod: PodId) -> Option<&Worker> {
        self.workers.get(pod.index())?.as_ref().filter(|worker| worker.pod == pod)
    }

    /// Lets the worker of a pod take a step, if its kubelet works.
    fn with(
        &mut self,
        view: ClusterView<'_>,
        pod: PodId,
        out: &mut Effects,
        step: impl FnOnce(&mut Worker, &mut Context<'_>),
    ) {
        let slot = self.workers.get_mut(pod.index()).and_then(Option::as_mut);
        let Some(worker) = slot.filter(|worker| worker.pod == pod) else { return };
        let Some(object) = view.pods().get(pod) else { return };
        let agent = agent_of(&mut self.nodes, worker.node);
        if agent.reach == Reach::Up {
            let (spec, settings) = (&view.template_of(object).spec, &self.settings);
            let (timing, shared_work) = (&self.timing, &mut self.shared_work);
            let mut ctx =
                Context { view, pod: object, spec, agent, settings, timing, shared_work, out };
            step(worker, &mut ctx);
            ctx.tell_next_work();
        }
    }
}

#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing_tests;

impl Exit {
    const OUT_OF_MEMORY: Self = Self {
        code: KILLED,
        reason: Some(cluster::container_status::TerminationReason::OomKilled),
        stop: Stop::OutOfMemory,
    };
}
