//! A pod's life on its node: image pull, init containers and sidecars, probes, restarts with back-off,
//! termination. Not responsible for requests: what the application does is told to the caller as
//! [`AppEffect`]s.

mod admission;
pub mod allocation;
pub mod backoff;
mod ending;
mod images;
pub mod memory;
mod node_agent;
pub mod probes;
pub mod profile;
pub mod settings;
mod status;
mod unit;
mod worker;

use std::collections::BTreeSet;

use cluster::node::NodeId;
use cluster::pod::PodId;
use cluster::{Action, ClusterView, Name};
use engine::{SimDuration, SimTime};

pub use profile::{AppProfile, OnSigterm, PodProfile};
pub use settings::KubeletSettings;

use ending::{EVICTED, NODE_SHUTDOWN};
use node_agent::{NodeAgent, Reach, agent_of};
use probes::ProbeKind;
use worker::{Context, Exit, KILLED, Worker};

/// The kubelets of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Kubelet {
    settings: KubeletSettings,
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
    pub fn new(settings: KubeletSettings) -> Self {
        Self { settings, ..Self::default() }
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
        let worker = Worker::new(pod, node, spec, profile, &self.settings);
        self.workers[pod.index()] = Some(worker);
        self.with(view, pod, out, Worker::admit);
    }

    /// A pod's deletion was asked for.
    pub fn pod_deleting(&mut self, view: ClusterView<'_>, pod: PodId, out: &mut Effects) {
        self.with(view, pod, out, Worker::terminate);
    }

    /// A timer of a worker is due; a version that is not the worker's any more is ignored.
    pub fn wake(&mut self, view: ClusterView<'_>, pod: PodId, version: u32, out: &mut Effects) {
        self.with(view, pod, out, |worker, ctx| {
            if worker.version() == version {
                worker.settle(ctx);
            }
        });
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
    pub fn pod_removed(&mut self, pod: PodId) {
        if let Some(slot) = self.workers.get_mut(pod.index()) {
            slot.take_if(|worker| worker.pod == pod);
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
    pub fn node_added(&mut self, node: NodeId, images: impl Iterator<Item = Name>) {
        *agent_of(&mut self.nodes, node) = NodeAgent::new(images);
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
            step(worker, &mut Context { view, pod: object, spec, agent, settings, out });
        }
    }
}

#[cfg(test)]
mod tests;

impl Exit {
    const OUT_OF_MEMORY: Self = Self {
        code: KILLED,
        reason: Some(cluster::container_status::TerminationReason::OomKilled),
        stop: Stop::OutOfMemory,
    };
}
