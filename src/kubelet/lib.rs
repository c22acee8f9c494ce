//! A pod's life on its node: image pull, init containers and sidecars, probes, restarts with back-off,
//! termination. Requests are out of scope: the caller is notified of the application's state changes
//! by [`AppEffect`]s.

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
mod references;
pub mod settings;
mod status;
pub mod timing;
mod unit;
mod work;
mod worker;

use std::collections::BTreeSet;

use cluster::claim::ClaimId;
use cluster::node::NodeId;
use cluster::pod::{Pod, PodId};
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

/// The timer version that marks a timer of the node's work instead of a worker's.
const WORK: u32 = 0;

/// Sets the timer for the next job to finish if it has changed.
fn report_next(work: &mut Work, out: &mut Effects) {
    out.timers.extend(work.take_next().map(|(at, pod)| (at, pod, WORK)));
}

/// The kubelets of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Kubelet {
    settings: KubeletSettings,
    timing: KubeletTiming,
    /// Container setup and teardown work, when all nodes share the same cores.
    shared_work: Work,
    /// Indexed by the pod's slot.
    workers: Vec<Option<Worker>>,
    /// Indexed by the node's slot.
    nodes: Vec<NodeAgent>,
    /// Counts the times at which a node may have become reachable or unreachable.
    reach_revision: u64,
    /// Nodes with a pod whose resize is unfinished.
    resizing: BTreeSet<NodeId>,
}

/// The output of a kubelet step.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// Requests to the API server.
    pub actions: Vec<Action>,
    /// State changes of applications.
    pub apps: Vec<AppEffect>,
    /// When to call [`Kubelet::wake`], with the worker's pod and version.
    pub timers: Vec<(SimTime, PodId, u32)>,
    /// Steps performed on the node, for observers.
    pub steps: Vec<(PodId, PodStep)>,
}

/// A step in a pod's life as the logs of its container runtime and application would show it.
/// Containers are identified by position, init containers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodStep {
    /// The kubelet requests the sandbox.
    SandboxCalled,
    /// The sandbox is ready.
    SandboxReturned,
    /// The kubelet requests the start of a container.
    StartCalled(usize),
    /// A container is running.
    Started(usize),
    /// An image is requested from its registry.
    PullCalled(usize),
    /// A container is sent SIGTERM.
    Sigterm(usize),
    /// A container's process has ended.
    Exited(usize),
}

/// A state change of a pod's application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEffect {
    /// Its container is running, but does not listen yet.
    Started(PodId),
    /// It answers requests.
    Answers(PodId),
    /// It accepts requests but answers none.
    Hangs(PodId),
    /// A probe waits for a worker; the caller must call [`Kubelet::probe_answered`] with the answer.
    Probed(PodId, ProbeKind),
    /// It stops listening and finishes requests in flight; the caller must call [`Kubelet::drained`]
    /// when they are done, but not before the given time.
    Drains(PodId, SimTime),
    /// Its node is unreachable.
    Lost(PodId),
    /// Its node is reachable again, with the application unchanged; true if it listens.
    Found(PodId, bool),
    /// Its container has ended, losing the requests in flight.
    Stopped(PodId, Stop),
}

/// The reason a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The pod was deleted or terminated by its kubelet.
    Terminated,
    /// The application exited on its own.
    Crashed,
    /// The kernel's OOM killer ended it.
    OutOfMemory,
    /// A liveness or startup probe failed.
    KilledByProbe,
    /// It restarts to apply resized resources.
    Resized,
    /// The node is dead or was restarted.
    NodeLost,
}

/// A way to end a container from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKill {
    /// Its process exits with this code.
    Exit(i32),
    /// The kernel's OOM killer ends it.
    OutOfMemory,
    /// Its process has done its work, and exits as its profile says.
    Completed,
}

impl Kubelet {
    /// Kubelets with these settings on all nodes.
    pub fn new(settings: KubeletSettings, timing: KubeletTiming) -> Self {
        Self { settings, timing, ..Self::default() }
    }

    /// A pod was bound to a node; its kubelet takes over.
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

    /// Deletion of a pod was requested.
    pub fn pod_deleting(&mut self, view: ClusterView<'_>, pod: PodId, out: &mut Effects) {
        self.with(view, pod, out, Worker::terminate);
    }

    /// A claim's volume may have been attached to a node.
    pub fn volume_attached(&mut self, view: ClusterView<'_>, claim: ClaimId, out: &mut Effects) {
        let Some(one) = view.store().claims().get(claim) else { return };
        for node in one.attachments.iter().map(|attachment| attachment.node) {
            let uses = |pod: &Pod| view.store().claims_of(pod).any(|(id, _)| id == claim);
            let pods = view.pods_on(node).filter(|(_, pod)| one.is_attached(node) && uses(pod));
            for pod in pods.map(|(pod, _)| pod).collect::<Vec<_>>() {
                self.with(view, pod, out, Worker::volume_attached);
            }
        }
    }

    /// A worker's timer is due; timers with an outdated version are ignored.
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

    /// Work for a pod may have finished.
    fn work_due(&mut self, view: ClusterView<'_>, pod: PodId, out: &mut Effects) {
        let slot = self.workers.get_mut(pod.index()).and_then(Option::as_mut);
        let Some(worker) = slot.filter(|worker| worker.pod == pod) else { return };
        let agent = agent_of(&mut self.nodes, worker.node);
        let is_shared = self.timing.shared_cores.is_some();
        let work = if is_shared { &mut self.shared_work } else { &mut agent.work };
        while let Some(task) = work.take_done(view.now, pod) {
            worker.work_done(view.now, task);
        }
        report_next(work, out);
        self.with(view, pod, out, Worker::settle);
    }

    /// If all nodes share the cores of one machine: factor by which the current setup and teardown of pods slows down a
    /// process on that machine.
    pub fn machine_slowdown(&self) -> Option<f64> {
        let cores = self.timing.shared_cores?;
        Some((self.shared_work.jobs() as f64 / f64::from(cores)).max(1.0))
    }

    /// A probe waiting for a worker will be answered after `delay`; absent = never.
    pub fn probe_answered(
        &mut self,
        view: ClusterView<'_>,
        (pod, kind): (PodId, ProbeKind),
        delay: Option<SimDuration>,
        out: &mut Effects,
    ) {
        self.with(view, pod, out, |worker, ctx| worker.probe_answered(kind, delay, ctx));
    }

    /// A draining application has no requests left in flight.
    pub fn drained(&mut self, view: ClusterView<'_>, pod: PodId, out: &mut Effects) {
        self.with(view, pod, out, Worker::drained);
    }

    /// A pod object was removed; drops its worker.
    pub fn pod_removed(&mut self, now: SimTime, pod: PodId, out: &mut Effects) {
        let Some(slot) = self.workers.get_mut(pod.index()) else { return };
        let Some(worker) = slot.take_if(|worker| worker.pod == pod) else { return };
        let agent = agent_of(&mut self.nodes, worker.node);
        for work in [&mut agent.work, &mut self.shared_work] {
            work.cancel(now, pod);
            report_next(work, out);
        }
    }

    /// Ends the application's container from outside; it is restarted according to the pod's restart
    /// policy.
    pub fn kill_container(
        &mut self,
        view: ClusterView<'_>,
        pod: PodId,
        kill: ContainerKill,
        out: &mut Effects,
    ) {
        self.with(view, pod, out, |worker, ctx| {
            let exit = |code| Exit { code, reason: None, stop: Stop::Crashed };
            let exit = match kill {
                ContainerKill::Exit(code) => exit(code),
                ContainerKill::Completed => exit(worker.app_exit_code(ctx)),
                ContainerKill::OutOfMemory => Exit::OUT_OF_MEMORY,
            };
            worker.kill_container(worker.app, exit, ctx);
        });
    }

    /// Evicts a pod from a node under resource pressure; the pod object stays as Failed.
    pub fn evict(&mut self, view: ClusterView<'_>, pod: PodId, message: &str, out: &mut Effects) {
        // A hard eviction leaves one second (`immediateEvictionGracePeriodSeconds`).
        let grace = SimDuration::from_secs(1);
        self.with(view, pod, out, |worker, ctx| worker.fail((EVICTED, message), grace, ctx));
    }

    /// Makes the application's readiness probes fail until the given time.
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

    /// Makes the application answer neither probes nor requests until the given time.
    pub fn hang(&mut self, view: ClusterView<'_>, pod: PodId, until: SimTime, out: &mut Effects) {
        self.with(view, pod, out, |worker, ctx| {
            worker.set_trouble(ctx, |trouble| trouble.hangs_until = until);
            if worker.app_answers() {
                ctx.out.apps.push(AppEffect::Hangs(pod));
            }
        });
    }

    /// The node's machine fails: its kubelet is inactive until [`Self::node_up`].
    pub fn node_down(&mut self, view: ClusterView<'_>, node: NodeId, out: &mut Effects) {
        agent_of(&mut self.nodes, node).reach = Reach::Down;
        self.reach_revision += 1;
        for (pod, _) in view.pods_on(node) {
            if self.worker(pod).is_some_and(Worker::is_running) {
                out.apps.push(AppEffect::Stopped(pod, Stop::NodeLost));
            }
        }
    }

    /// The network to a node fails: its containers keep running, but are out of contact until
    /// [`Self::node_up`].
    pub fn node_unreachable(&mut self, view: ClusterView<'_>, node: NodeId, out: &mut Effects) {
        let agent = agent_of(&mut self.nodes, node);
        if agent.reach == Reach::Down {
            return;
        }
        agent.reach = Reach::Unreachable;
        self.reach_revision += 1;
        for (pod, _) in view.pods_on(node) {
            if self.worker(pod).is_some_and(Worker::is_running) {
                out.apps.push(AppEffect::Lost(pod));
            }
        }
    }

    /// A node's kubelet stops until [`Self::node_up`]; its containers keep running.
    pub fn stop_agent(&mut self, node: NodeId) {
        let agent = agent_of(&mut self.nodes, node);
        if agent.reach == Reach::Up {
            agent.reach = Reach::Stopped;
        }
    }

    /// A node's kubelet is working again. After a machine failure its containers are recreated; after
    /// any other failure they are unchanged. Requests that arrived meanwhile are processed.
    pub fn node_up(&mut self, view: ClusterView<'_>, node: NodeId, out: &mut Effects) {
        let agent = agent_of(&mut self.nodes, node);
        let before = std::mem::replace(&mut agent.reach, Reach::Up);
        self.reach_revision += 1;
        let pods: Vec<PodId> = view.pods_on(node).map(|(pod, _)| pod).collect();
        for pod in pods {
            self.with(view, pod, out, |worker, ctx| match before {
                Reach::Down => worker.node_restarted(ctx),
                Reach::Unreachable | Reach::Stopped | Reach::Up => worker.resume(before, ctx),
            });
        }
    }

    /// Graceful node shutdown (`pkg/kubelet/nodeshutdown`): the node's pods have `grace` to terminate
    /// and stay as Failed.
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

    /// Whether the node's machine is down or unreachable.
    pub fn is_down(&self, node: NodeId) -> bool {
        self.nodes.get(node.index()).is_some_and(NodeAgent::is_down)
    }

    /// Grows whenever [`Self::is_down`] may have changed for any node.
    pub const fn reach_revision(&self) -> u64 {
        self.reach_revision
    }

    /// Whether any node is down or unreachable, including nodes whose object has been removed.
    pub fn is_any_down(&self) -> bool {
        self.nodes.iter().any(NodeAgent::is_down)
    }

    /// Whether a node's kubelet is running and reachable.
    pub fn works(&self, node: NodeId) -> bool {
        self.nodes.get(node.index()).is_none_or(|agent| agent.reach == Reach::Up)
    }

    /// A node object was added in a slot; state of the slot's previous node is discarded.
    pub fn node_added(&mut self, node: NodeId, uid: u64, images: impl Iterator<Item = Name>) {
        let phase = open_unit(&mut Streams::new(uid).stream("pleg", 0));
        *agent_of(&mut self.nodes, node) = NodeAgent { phase, ..NodeAgent::new(images) };
        self.reach_revision += 1;
    }

    fn worker(&self, pod: PodId) -> Option<&Worker> {
        self.workers.get(pod.index())?.as_ref().filter(|worker| worker.pod == pod)
    }

    /// Runs a step of a pod's worker if its kubelet is running.
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
            let requested_before = out.actions.len();
            let mut ctx = Context {
                view,
                pod: object,
                spec,
                agent,
                settings,
                timing,
                shared_work,
                out,
                requested_before,
            };
            step(worker, &mut ctx);
            ctx.schedule_next_work();
        }
    }
}

#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod interruption_tests;
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
