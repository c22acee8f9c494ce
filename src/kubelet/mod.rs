//! A pod's life on its node: image pull, start, probes, restarts with back-off, termination. Not
//! responsible for requests: what the application does is told to the caller as [`AppEffect`]s.

pub mod backoff;
pub mod probes;
pub mod profile;
mod worker;

use std::collections::BTreeSet;

use crate::cluster::node::NodeId;
use crate::cluster::pod::PodId;
use crate::cluster::{Action, ClusterView, Name};
use crate::engine::{SimDuration, SimTime};

pub use profile::{AppProfile, OnSigterm};
use worker::Worker;

/// The kubelets of all nodes.
#[derive(Clone, Debug, Default)]
pub struct Kubelet {
    /// By the pod's slot.
    workers: Vec<Option<Worker>>,
    /// By the node's slot.
    nodes: Vec<NodeAgent>,
}

/// One node's kubelet.
#[derive(Clone, Debug, Default)]
struct NodeAgent {
    is_down: bool,
    images: BTreeSet<Name>,
    /// Images are pulled one at a time (`serializeImagePulls: true`, the default).
    pulling_until: SimTime,
}

/// What a step of the kubelet leads to.
#[derive(Debug, Default)]
pub struct Effects {
    /// Requests to the API server.
    pub actions: Vec<Action>,
    /// What became of the application.
    pub apps: Vec<AppEffect>,
    /// When to call [`Kubelet::wake`] with which worker and version.
    pub timers: Vec<(SimTime, PodId, u32)>,
}

/// What became of a pod's application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEffect {
    /// Its container runs, but nothing listens yet.
    Started(PodId),
    /// It answers requests.
    Answers(PodId),
    /// It listens no more and finishes what is in flight; [`Kubelet::drained`] is to be called when
    /// that is done, but not before the instant given.
    Drains(PodId, SimTime),
    /// Its container is gone, and what was in flight with it.
    Stopped(PodId, Stop),
}

/// Why a container is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The pod was deleted.
    Terminated,
    /// The application crashed.
    Crashed,
    /// A liveness or startup probe had it killed.
    KilledByProbe,
    /// The node is dead or was restarted.
    NodeLost,
}

impl Kubelet {
    /// A pod was bound to a node: its kubelet takes it.
    pub fn pod_bound(
        &mut self,
        view: ClusterView<'_>,
        pod: PodId,
        profile: AppProfile,
        out: &mut Effects,
    ) {
        let Some(node) = view.pods().get(pod).and_then(|pod| pod.node) else { return };
        if self.workers.len() <= pod.index() {
            self.workers.resize_with(pod.index() + 1, || None);
        }
        let agent = agent_of(&mut self.nodes, node);
        let mut worker = Worker::new(pod, node, profile);
        if !agent.is_down {
            worker.admit(view, agent, out);
        }
        self.workers[pod.index()] = Some(worker);
    }

    /// A pod's deletion was asked for.
    pub fn pod_deleting(&mut self, view: ClusterView<'_>, pod: PodId, out: &mut Effects) {
        if let Some((worker, agent)) = self.worker(pod)
            && !agent.is_down
        {
            worker.terminate(view, out);
        }
    }

    /// A timer of a worker is due; a version that is not the worker's any more is ignored.
    pub fn wake(&mut self, view: ClusterView<'_>, pod: PodId, version: u32, out: &mut Effects) {
        if let Some((worker, agent)) = self.worker(pod)
            && worker.version() == version
            && !agent.is_down
        {
            worker.wake(view, agent, out);
        }
    }

    /// A draining application has nothing in flight any more.
    pub fn drained(&mut self, pod: PodId, out: &mut Effects) {
        if let Some((worker, agent)) = self.worker(pod)
            && !agent.is_down
        {
            worker.drained(out);
        }
    }

    /// A pod object is gone: nothing of it is left to do. True if its container still ran.
    pub fn pod_removed(&mut self, pod: PodId) -> bool {
        let slot = self.workers.get_mut(pod.index());
        let worker = slot.and_then(|slot| slot.take_if(|worker| worker.pod() == pod));
        worker.is_some_and(|worker| worker.is_running())
    }

    /// The node's machine fails: its kubelet does nothing until [`Self::node_up`].
    pub fn node_down(&mut self, view: ClusterView<'_>, node: NodeId, out: &mut Effects) {
        agent_of(&mut self.nodes, node).is_down = true;
        for (pod, _) in view.pods_on(node) {
            if let Some((worker, _)) = self.worker(pod)
                && worker.is_running()
            {
                out.apps.push(AppEffect::Stopped(pod, Stop::NodeLost));
            }
        }
    }

    /// The node's machine is back; its containers are started afresh, and what was asked for
    /// meanwhile is done.
    pub fn node_up(&mut self, view: ClusterView<'_>, node: NodeId, out: &mut Effects) {
        agent_of(&mut self.nodes, node).is_down = false;
        let pods: Vec<PodId> = view.pods_on(node).map(|(pod, _)| pod).collect();
        for pod in pods {
            if let Some((worker, agent)) = self.worker(pod) {
                worker.node_restarted(view, agent, out);
            }
        }
    }

    /// Whether the node's machine is down.
    pub fn is_down(&self, node: NodeId) -> bool {
        self.nodes.get(node.index()).is_some_and(|agent| agent.is_down)
    }

    /// A node object appeared in a slot: nothing is known of the node that held it before.
    pub fn node_added(&mut self, node: NodeId, images: impl Iterator<Item = Name>) {
        *agent_of(&mut self.nodes, node) =
            NodeAgent { images: images.collect(), ..NodeAgent::default() };
    }

    fn worker(&mut self, pod: PodId) -> Option<(&mut Worker, &mut NodeAgent)> {
        let worker = self.workers.get_mut(pod.index())?.as_mut()?;
        if worker.pod() != pod {
            return None;
        }
        let node = worker.node();
        Some((worker, agent_of(&mut self.nodes, node)))
    }
}

fn agent_of(nodes: &mut Vec<NodeAgent>, node: NodeId) -> &mut NodeAgent {
    if nodes.len() <= node.index() {
        nodes.resize_with(node.index() + 1, NodeAgent::default);
    }
    &mut nodes[node.index()]
}

impl NodeAgent {
    /// When an image will be on the node if its pull is asked for now; images are pulled in turn.
    fn pull(&mut self, now: SimTime, image: &Name, takes: SimDuration) -> SimTime {
        if self.images.contains(image) {
            return now;
        }
        let done = self.pulling_until.max(now) + takes;
        self.pulling_until = done;
        self.images.insert(image.clone());
        done
    }
}
