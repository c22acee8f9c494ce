//! Machines that go and come by a plan: spot machines, maintenance, kubelets that are restarted; and the steps
//! of these that are still to come.

use std::collections::BTreeMap;

use super::cloud::Cloud;
use super::data_plane::DataPlane;
use super::draining::{drain_node, pods_to_drain};
use super::environment::{Environment, node_reference};
use super::event::Event;
use super::outages::{recover_node, warn_of_node};
use super::targets::{Identity, nodes_of, stream_of};
use super::world::World;
use cluster::node::{ConditionStatus, HOSTNAME_LABEL, Node, NodeId, ZONE_LABEL};
use cluster::{Action, Name, ObjectId, ObjectMeta, Store};
use engine::{SimDuration, Stream, random};
use faults::{Maintenance, SpotReclaim};
use karpenter::labels::NODE_POOL;

/// From look to look whether a node that is drained is empty.
const DRAIN_LOOK: SimDuration = SimDuration::from_secs(5);

/// Machines of one type and zone are taken back within so long of each other.
const SPOT_CLUSTER: SimDuration = SimDuration::from_secs(180);

/// Planned changes of the machines, as far as they have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Machines {
    /// Steps that were begun and go on later; taken out when their time comes.
    deferred: Vec<Option<DeferredStep>>,
    /// How many nodes joined each pool since the start.
    nodes_added: BTreeMap<Name, u32>,
    /// Nodes of Karpenter that the cloud has just given notice of, which it drains itself.
    pub(super) noticed: Vec<Name>,
}

/// Something that was begun and goes on later.
#[derive(Clone, Debug)]
enum DeferredStep {
    /// A node, or its kubelet, works again.
    Recover(Name),
    /// The cloud takes a machine; another node comes after a while.
    EndSpot {
        /// Its name.
        node: Name,
        /// From its end to the other node.
        replaced_after: Option<SimDuration>,
    },
    /// The cloud gives notice of another machine that goes with one that it takes back.
    NoticeSpot {
        /// Its node.
        node: Name,
        /// How it is taken back.
        reclaim: SpotReclaim,
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
struct Rounds {
    /// The node that it is at, and those to come.
    nodes: Vec<Name>,
    takes: SimDuration,
}

impl Machines {
    /// Something that was begun goes on.
    pub(super) fn run_deferred(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        cloud: &mut Cloud,
        step: u32,
    ) {
        let slot = self.deferred.get_mut(step as usize).and_then(Option::take);
        match slot {
            Some(DeferredStep::Recover(name)) => {
                if let Some(node) = env.store().node_named(&name) {
                    recover_node(env, data_plane, node);
                }
            }
            Some(DeferredStep::EndSpot { node, replaced_after }) => {
                self.end_spot(env, (data_plane, cloud), &node, replaced_after);
            }
            Some(DeferredStep::NoticeSpot { node, reclaim }) => {
                if let Some(node) = env.store().node_named(&node) {
                    self.notice_spot(env, data_plane, node, &reclaim);
                }
            }
            Some(DeferredStep::Join(node)) => {
                let reference = node_reference(node.meta.name());
                env.act("scenario", Action::add_node(*node));
                env.say("scenario", &reference, "NodeJoined", "a new node is Ready".to_owned());
            }
            Some(DeferredStep::Maintain(rounds)) => self.maintain(env, rounds),
            Some(DeferredStep::Serve(rounds)) => self.serve_again(env, rounds),
            None => {}
        }
    }

    fn defer(&mut self, env: &mut Environment, after: SimDuration, step: DeferredStep) {
        let number = u32::try_from(self.deferred.len()).unwrap_or(u32::MAX);
        self.deferred.push(Some(step));
        env.enter(env.now + after, Event::DeferredStep { step: number });
    }

    /// A node works again after a while, if it still exists then.
    pub(super) fn recover_after(&mut self, env: &mut Environment, node: Name, after: SimDuration) {
        self.defer(env, after, DeferredStep::Recover(node));
    }

    /// The kubelet of a node is down for a while; its pods run on.
    pub(super) fn stop_kubelet(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        node: NodeId,
        down_for: SimDuration,
    ) {
        let Some(name) = name_of(env.store(), node) else { return };
        let message = format!("the kubelet is down for {down_for}");
        warn_of_node(env, node, "KubeletStopped", message);
        env.act("scenario", Action::SetNodeSilent(node, true));
        data_plane.step(env, |kubelet, _, _| kubelet.stop_agent(node));
        self.recover_after(env, name, down_for);
    }

    /// The cloud takes drawn machines of a pool back.
    pub(super) fn reclaim_spot(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        reclaim: &SpotReclaim,
        identity: Identity,
    ) {
        let mut nodes = nodes_of(env.store(), Some(&reclaim.pool));
        let mut stream = stream_of(env, "reclaimed nodes", identity);
        for _ in 0..(reclaim.count as usize).min(nodes.len()) {
            let node = nodes.swap_remove(random::index_below(&mut stream, nodes.len()));
            self.notice_spot(env, data_plane, node, reclaim);
        }
    }

    /// The cloud gives notice that it takes a machine back.
    pub(super) fn notice_spot(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        node: NodeId,
        reclaim: &SpotReclaim,
    ) {
        let Some(name) = name_of(env.store(), node) else { return };
        let message = format!("the cloud takes the machine back in {}", reclaim.notice);
        warn_of_node(env, node, "SpotInterruption", message);
        let grace = env.world.kubelet.shutdown_grace_period;
        if env.store().nodes()[node].meta.labels.get(NODE_POOL).is_some() {
            self.noticed.push(name.clone());
        } else if reclaim.drain {
            drain_node(env, node);
        } else if grace > SimDuration::ZERO {
            env.act("kubelet", Action::SetNodeReady(node, ConditionStatus::False));
            let grace = grace.min(reclaim.notice);
            data_plane.step(env, |kubelet, view, out| kubelet.shut_down(view, node, grace, out));
        }
        let replaced_after = reclaim.replaced_after;
        let end = DeferredStep::EndSpot { node: name, replaced_after };
        self.defer(env, reclaim.notice, end);
    }

    /// The cloud takes a machine back by chance, and others of its type and zone with it.
    pub(super) fn reclaim_together(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        (node, reclaim): (NodeId, &SpotReclaim),
        (together, stream): (f64, &mut Stream),
    ) {
        self.notice_spot(env, data_plane, node, reclaim);
        let nodes = env.store().nodes();
        let alike = |other: &Node| {
            let one = &nodes[node];
            // Machines that are described in place are of the type of their pool.
            let kind = |node: &Node| match &*node.machine.instance_type {
                "" => node.pool.clone(),
                _ => node.machine.instance_type.clone(),
            };
            let zone = |node: &Node| node.meta.labels.get(ZONE_LABEL).cloned();
            let bought = |node: &Node| node.machine.capacity_type;
            bought(one) == bought(other) && kind(one) == kind(other) && zone(one) == zone(other)
        };
        let others = nodes.iter().filter(|(id, other)| *id != node && alike(other));
        let others: Vec<Name> = others.map(|(_, other)| other.meta.name().clone()).collect();
        for node in others {
            let after = SPOT_CLUSTER.as_secs_f64() * random::open_unit(stream);
            if random::happens(stream, together) {
                let step = DeferredStep::NoticeSpot { node, reclaim: reclaim.clone() };
                self.defer(env, SimDuration::from_secs_f64(after), step);
            }
        }
    }

    /// A machine is gone, and its Node object with it.
    fn end_spot(
        &mut self,
        env: &mut Environment,
        (data_plane, cloud): (&mut DataPlane, &mut Cloud),
        name: &str,
        replaced_after: Option<SimDuration>,
    ) {
        let Some(id) = env.store().node_named(name) else { return };
        let node = env.store().nodes()[id].clone();
        warn_of_node(env, id, "SpotReclaimed", "the machine is gone".to_owned());
        data_plane.node_down(env, id);
        env.act("scenario", Action::Delete(ObjectId::Node(id)));
        // The cloud keeps its groups at the size that was asked for.
        if !cloud.lost(env, name)
            && let Some(after) = replaced_after
        {
            let fresh = self.fresh_node(&env.world, &node);
            self.defer(env, after, DeferredStep::Join(Box::new(fresh)));
        }
    }

    /// Another node of the same pool and zone, under the next name.
    fn fresh_node(&mut self, world: &World, gone: &Node) -> Node {
        let zone = |node: &Node| node.meta.labels.get(ZONE_LABEL).cloned();
        let of_pool = || world.nodes.iter().filter(|node| node.pool == gone.pool);
        let alike = of_pool().find(|node| zone(node) == zone(gone)).unwrap_or(gone);
        let at_start = u32::try_from(of_pool().count()).unwrap_or(u32::MAX);
        let added = self.nodes_added.entry(gone.pool.clone()).or_default();
        *added += 1;
        let name = format!("{}-{}", gone.pool, at_start + *added);
        let labels = alike.meta.labels.with(HOSTNAME_LABEL, name.as_str());
        Node { meta: ObjectMeta { labels, ..ObjectMeta::new("", name) }, ..alike.clone() }
    }

    /// Maintenance of a pool begins.
    pub(super) fn begin_maintenance(&mut self, env: &mut Environment, maintenance: &Maintenance) {
        let nodes = nodes_of(env.store(), Some(&maintenance.pool)).into_iter();
        let mut nodes: Vec<Name> = nodes.filter_map(|node| name_of(env.store(), node)).collect();
        nodes.reverse();
        self.begin_round(env, Rounds { nodes, takes: maintenance.takes });
    }

    /// The next node is drained.
    fn begin_round(&mut self, env: &mut Environment, mut rounds: Rounds) {
        while let Some(name) = rounds.nodes.last().cloned() {
            if let Some(node) = env.store().node_named(&name) {
                let reference = node_reference(&name);
                env.say("user", &reference, "Maintenance", "drained for maintenance".to_owned());
                drain_node(env, node);
                return self.maintain(env, rounds);
            }
            rounds.nodes.pop();
        }
    }

    fn maintain(&mut self, env: &mut Environment, rounds: Rounds) {
        let node = rounds.nodes.last().and_then(|name| env.store().node_named(name));
        let is_empty = node.is_none_or(|node| pods_to_drain(env.store(), node).next().is_none());
        let wait = if is_empty { rounds.takes } else { DRAIN_LOOK };
        let next =
            if is_empty { DeferredStep::Serve(rounds) } else { DeferredStep::Maintain(rounds) };
        self.defer(env, wait, next);
    }

    fn serve_again(&mut self, env: &mut Environment, mut rounds: Rounds) {
        if let Some(name) = rounds.nodes.pop()
            && let Some(node) = env.store().node_named(&name)
        {
            env.act("user", Action::SetNodeUnschedulable(node, false));
        }
        self.begin_round(env, rounds);
    }
}

fn name_of(store: &Store, node: NodeId) -> Option<Name> {
    store.nodes().get(node).map(|node| node.meta.name().clone())
}
