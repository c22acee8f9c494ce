//! What goes wrong with applications and machines: crashes, outages, nodes that come and go, spot
//! machines, maintenance. What is left to chance is in `chance`.

use super::event::Event;
use super::simulation::Simulation;
use super::timeline::node_reference;
use cluster::action::PodDeletion;
use cluster::node::{ConditionStatus, HOSTNAME_LABEL, Node, NodeId, ZONE_LABEL};
use cluster::pod::{Owner, Pod, PodId};
use cluster::{Action, Name, ObjectMeta, ObjectReference};
use engine::{SimDuration, SimTime, Stream, Streams, random};
use faults::{ContainerCrash, KubeletRestart, Maintenance, Outage, SpotReclaim};
use kubelet::ContainerKill;
use record::workload_of;

/// How often somebody looks whether a node that is drained is empty.
const DRAIN_LOOK: SimDuration = SimDuration::from_secs(5);

/// Something that was begun and goes on later.
#[derive(Clone, Debug)]
pub(super) enum DeferredStep {
    /// A node, or its kubelet, works again.
    Recover(Name),
    /// The cloud takes a machine; another node comes after a while.
    EndSpot {
        /// Its name.
        node: Name,
        /// From its end to the other node.
        replaced_after: Option<SimDuration>,
    },
    /// A node joins.
    Join(Box<Node>),
    /// Maintenance looks at the node that it drains.
    Maintain(Rounds),
    /// A node's maintenance is over.
    Serve(Rounds),
}

/// Maintenance that goes from node to node.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    /// The node that it is at, and those to come.
    nodes: Vec<Name>,
    takes: SimDuration,
}

impl Simulation {
    /// Something that was begun goes on.
    pub(super) fn run_deferred(&mut self, step: u32) {
        let slot = self.deferred.get_mut(step as usize).and_then(Option::take);
        match slot {
            Some(DeferredStep::Recover(name)) => self.if_there(&name, Self::recover),
            Some(DeferredStep::EndSpot { node, replaced_after }) => {
                self.end_spot(&node, replaced_after)
            }
            Some(DeferredStep::Join(node)) => {
                let reference = node_reference(node.meta.name());
                self.act("scenario", Action::AddNode(node));
                self.say("scenario", &reference, "NodeJoined", "a new node is Ready".to_owned());
            }
            Some(DeferredStep::Maintain(rounds)) => self.maintain(rounds),
            Some(DeferredStep::Serve(rounds)) => self.serve_again(rounds),
            None => {}
        }
    }

    pub(super) fn later(&mut self, at: SimTime, step: DeferredStep) {
        let number = u32::try_from(self.deferred.len()).unwrap_or(u32::MAX);
        self.deferred.push(Some(step));
        self.enter(at, Event::DeferredStep { step: number });
    }

    fn if_there(&mut self, name: &str, act: impl FnOnce(&mut Self, NodeId)) {
        if let Some(node) = self.plane.store().node_named(name) {
            act(self, node);
        }
    }

    /// The pods of a workload that run and are not on their way out.
    pub(super) fn running_pods(&self, workload: &ObjectReference) -> Vec<PodId> {
        let view = self.plane.view(self.now);
        let pods = view.pods().iter().filter(|(_, pod)| pod.is_active() && pod.node.is_some());
        let is_it = |pod: &Pod| *workload.kind == *"Pod" && pod.id == workload.id;
        let own = pods.filter(|(_, pod)| is_it(pod) || workload_of(view, pod) == *workload);
        own.map(|(id, _)| id).collect()
    }

    /// As many of a workload's pods, drawn.
    pub(super) fn drawn_pods(
        &mut self,
        workload: &ObjectReference,
        count: Option<u32>,
        mut stream: Stream,
    ) -> Vec<PodId> {
        let mut pods = self.running_pods(workload);
        if pods.is_empty() {
            self.not_found(workload);
        }
        let count = count.map_or(usize::MAX, |count| count as usize).min(pods.len());
        let mut drawn = Vec::new();
        for _ in 0..count {
            drawn.push(pods.swap_remove(random::index_below(&mut stream, pods.len())));
        }
        drawn
    }

    fn stream(&self, purpose: &str, entry: u32) -> Stream {
        Streams::new(self.world.seed).stream(purpose, entry.into())
    }

    pub(super) fn crash_containers(&mut self, crash: &ContainerCrash, entry: u32) {
        let stream = self.stream("crashed containers", entry);
        for pod in self.drawn_pods(&crash.workload, Some(crash.count), stream) {
            self.crash(pod, crash.exit_code);
        }
    }

    pub(super) fn crash(&mut self, pod: PodId, exit_code: i32) {
        self.tell_pod(pod, "ContainerCrashed", format!("the application exits with {exit_code}"));
        let kill = ContainerKill::Exit(exit_code);
        self.kubelet(|kubelet, view, out| kubelet.kill_container(view, pod, kill, out));
    }

    pub(super) fn kill_pod(&mut self, pod: PodId) {
        let at_once = PodDeletion { grace_period: Some(SimDuration::ZERO), ..Default::default() };
        self.act("user", Action::DeletePod(pod, at_once));
    }

    pub(super) fn hang_pods(&mut self, outage: &Outage, entry: u32) {
        let stream = self.stream("hanging pods", entry);
        for pod in self.drawn_pods(&outage.workload, outage.count, stream) {
            self.hang(pod, outage.duration);
        }
    }

    pub(super) fn hang(&mut self, pod: PodId, duration: SimDuration) {
        let until = self.now + duration;
        self.tell_pod(pod, "Hangs", format!("the application answers nothing for {duration}"));
        self.kubelet(|kubelet, view, out| kubelet.hang(view, pod, until, out));
    }

    pub(super) fn make_unready(&mut self, outage: &Outage, entry: u32) {
        let stream = self.stream("unready pods", entry);
        for pod in self.drawn_pods(&outage.workload, outage.count, stream) {
            self.fail_readiness(pod, outage.duration);
        }
    }

    pub(super) fn fail_readiness(&mut self, pod: PodId, duration: SimDuration) {
        let until = self.now + duration;
        self.tell_pod(pod, "ReadinessFails", format!("readiness probes fail for {duration}"));
        self.kubelet(|kubelet, view, out| kubelet.fail_readiness(view, pod, until, out));
    }

    fn tell_pod(&mut self, pod: PodId, reason: &'static str, message: String) {
        let Some(id) = self.plane.store().pods().get(pod).map(|pod| pod.id.clone()) else { return };
        let reference = ObjectReference { kind: "Pod".into(), id };
        self.warn("scenario", &reference, reason, message);
    }

    fn tell_node(&mut self, node: NodeId, reason: &'static str, message: String) {
        let Some(node) = self.plane.store().nodes().get(node) else { return };
        let reference = node_reference(node.meta.name());
        self.warn("scenario", &reference, reason, message);
    }

    pub(super) fn disconnect(&mut self, node: NodeId) {
        self.tell_node(node, "NodeDisconnected", "the network to the node fails".to_owned());
        self.act("scenario", Action::SetNodeSilent(node, true));
        self.kubelet(|kubelet, view, out| kubelet.node_unreachable(view, node, out));
    }

    /// The kubelet lives, and says that it is not ready.
    pub(super) fn make_not_ready(&mut self, node: NodeId) {
        self.tell_node(node, "NodeNotReady", "the kubelet reports Ready=False".to_owned());
        self.act("kubelet", Action::SetNodeReady(node, ConditionStatus::False));
    }

    pub(super) fn restart_kubelet(&mut self, restart: &KubeletRestart) {
        let down_for = restart.down_for;
        self.for_node(&restart.node, |this, node| this.stop_kubelet(node, down_for));
    }

    pub(super) fn stop_kubelet(&mut self, node: NodeId, down_for: SimDuration) {
        let Some(name) = self.name_of(node) else { return };
        self.tell_node(node, "KubeletStopped", format!("the kubelet is down for {down_for}"));
        self.act("scenario", Action::SetNodeSilent(node, true));
        self.kubelet(|kubelet, _, _| kubelet.stop_agent(node));
        self.later(self.now + down_for, DeferredStep::Recover(name));
    }

    fn name_of(&self, node: NodeId) -> Option<Name> {
        self.plane.store().nodes().get(node).map(|node| node.meta.name().clone())
    }

    /// The nodes of a pool; of all pools where none is named.
    pub(super) fn nodes_of(&self, pool: Option<&Name>) -> Vec<NodeId> {
        let nodes = self.plane.store().nodes().iter();
        let own = nodes.filter(|(_, node)| pool.is_none_or(|pool| node.pool == *pool));
        own.map(|(id, _)| id).collect()
    }

    pub(super) fn reclaim_spot(&mut self, reclaim: &SpotReclaim, entry: u32) {
        let mut nodes = self.nodes_of(Some(&reclaim.pool));
        let mut stream = self.stream("reclaimed nodes", entry);
        for _ in 0..(reclaim.count as usize).min(nodes.len()) {
            let node = nodes.swap_remove(random::index_below(&mut stream, nodes.len()));
            self.notice_spot(node, reclaim);
        }
    }

    /// The cloud gives notice that it takes a machine back.
    pub(super) fn notice_spot(&mut self, node: NodeId, reclaim: &SpotReclaim) {
        let Some(name) = self.name_of(node) else { return };
        let message = format!("the cloud takes the machine back in {}", reclaim.notice);
        self.tell_node(node, "SpotInterruption", message);
        let grace = self.world.kubelet.shutdown_grace_period;
        if reclaim.drain {
            self.drain_node(node);
        } else if grace > SimDuration::ZERO {
            self.act("kubelet", Action::SetNodeReady(node, ConditionStatus::False));
            let grace = grace.min(reclaim.notice);
            self.kubelet(|kubelet, view, out| kubelet.shut_down(view, node, grace, out));
        }
        let replaced_after = reclaim.replaced_after;
        self.later(self.now + reclaim.notice, DeferredStep::EndSpot { node: name, replaced_after });
    }

    /// A machine is gone, and its Node object with it.
    fn end_spot(&mut self, name: &str, replaced_after: Option<SimDuration>) {
        let Some(id) = self.plane.store().node_named(name) else { return };
        let node = self.plane.store().nodes()[id].clone();
        self.tell_node(id, "SpotReclaimed", "the machine is gone".to_owned());
        self.node_down(id);
        self.act("scenario", Action::RemoveNode(id));
        if let Some(after) = replaced_after {
            let fresh = self.fresh_node(&node);
            self.later(self.now + after, DeferredStep::Join(Box::new(fresh)));
        }
    }

    /// Another node of the same pool and zone, under the next name.
    fn fresh_node(&mut self, gone: &Node) -> Node {
        let zone = |node: &Node| node.meta.labels.get(ZONE_LABEL).cloned();
        let of_pool = || self.world.nodes.iter().filter(|node| node.pool == gone.pool);
        let alike = of_pool().find(|node| zone(node) == zone(gone)).unwrap_or(gone);
        let at_start = u32::try_from(of_pool().count()).unwrap_or(u32::MAX);
        let added = self.nodes_added.entry(gone.pool.clone()).or_default();
        *added += 1;
        let name = format!("{}-{}", gone.pool, at_start + *added);
        let labels = alike.meta.labels.with(HOSTNAME_LABEL, name.as_str());
        Node { meta: ObjectMeta { labels, ..ObjectMeta::new("", name) }, ..alike.clone() }
    }

    /// Maintenance of a pool begins.
    pub(super) fn begin_maintenance(&mut self, maintenance: &Maintenance) {
        let nodes = self.nodes_of(Some(&maintenance.pool));
        let mut nodes: Vec<Name> =
            nodes.into_iter().filter_map(|node| self.name_of(node)).collect();
        nodes.reverse();
        self.begin_round(Rounds { nodes, takes: maintenance.takes });
    }

    /// The next node is drained.
    fn begin_round(&mut self, mut rounds: Rounds) {
        while let Some(name) = rounds.nodes.last().cloned() {
            if let Some(node) = self.plane.store().node_named(&name) {
                let reference = node_reference(&name);
                self.say("user", &reference, "Maintenance", "drained for maintenance".to_owned());
                self.drain_node(node);
                return self.maintain(rounds);
            }
            rounds.nodes.pop();
        }
    }

    fn maintain(&mut self, rounds: Rounds) {
        let node = rounds.nodes.last().and_then(|name| self.plane.store().node_named(name));
        let is_empty = node.is_none_or(|node| self.pods_to_drain(node).is_empty());
        let wait = if is_empty { rounds.takes } else { DRAIN_LOOK };
        let next =
            if is_empty { DeferredStep::Serve(rounds) } else { DeferredStep::Maintain(rounds) };
        self.later(self.now + wait, next);
    }

    fn serve_again(&mut self, mut rounds: Rounds) {
        if let Some(name) = rounds.nodes.pop() {
            self.if_there(&name, |this, node| {
                this.act("user", Action::SetNodeUnschedulable(node, false));
            });
        }
        self.begin_round(rounds);
    }

    /// The pods that a drain of a node is to move: those of DaemonSets would only come back.
    pub(super) fn pods_to_drain(&self, node: NodeId) -> Vec<PodId> {
        let view = self.plane.view(self.now);
        let is_daemon = |pod: &Pod| matches!(pod.owner, Some(Owner::DaemonSet(_)));
        let pods = view.pods_on(node).filter(|(_, pod)| !pod.phase.is_terminal());
        pods.filter(|(_, pod)| !is_daemon(pod)).map(|(id, _)| id).collect()
    }
}
