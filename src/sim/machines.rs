//! Planned changes of machines: spot reclaims, maintenance, kubelet restarts; and their steps that are still to
//! come.

use std::collections::{BTreeMap, BTreeSet};

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

/// Interval at which maintenance checks whether the node that it drains is empty.
const DRAIN_LOOK: SimDuration = SimDuration::from_secs(5);

/// Machines of one type and zone are reclaimed within this time of each other.
const SPOT_CLUSTER: SimDuration = SimDuration::from_secs(180);

/// State of the planned changes of machines.
#[derive(Clone, Debug, Default)]
pub(super) struct Machines {
    /// Pending steps, by number; `None` once taken out.
    deferred: Vec<Option<DeferredStep>>,
    /// Number of nodes that joined each pool since the start.
    nodes_added: BTreeMap<Name, u32>,
    /// Nodes whose machines the cloud reclaims.
    taken_back: BTreeSet<NodeId>,
    /// Nodes of Karpenter with a new reclaim notice, which Karpenter drains itself.
    pub(super) noticed: Vec<Name>,
}

/// A step that is carried out later.
#[derive(Clone, Debug)]
enum DeferredStep {
    /// A node, or its kubelet, recovers.
    Recover(Name),
    /// The cloud takes a spot machine; a replacement follows after a while.
    EndSpot {
        /// Name of its node.
        node: Name,
        /// Delay from the loss of the machine to its replacement; absent = no replacement.
        replaced_after: Option<SimDuration>,
    },
    /// The cloud gives notice of a further machine in a correlated reclaim.
    NoticeSpot {
        /// Name of its node.
        node: Name,
        /// The reclaim of spot machines that it belongs to.
        reclaim: SpotReclaim,
    },
    /// A node joins.
    Join(Box<Node>),
    /// Maintenance checks the node that it drains.
    Maintain(Rounds),
    /// The maintenance of a node is over.
    Serve(Rounds),
}

/// Maintenance of a pool, node by node.
#[derive(Clone, Debug)]
struct Rounds {
    /// The remaining nodes; the current one is last.
    nodes: Vec<Name>,
    takes: SimDuration,
}

impl Machines {
    /// Carries out a deferred step.
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
                env.emit_event(
                    "scenario",
                    &reference,
                    "NodeJoined",
                    "a new node is Ready".to_owned(),
                );
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

    /// Lets a node recover after a while, if it still exists then.
    pub(super) fn recover_after(&mut self, env: &mut Environment, node: Name, after: SimDuration) {
        self.defer(env, after, DeferredStep::Recover(node));
    }

    /// The kubelet of a node is down for a while; its pods keep running.
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

    /// The cloud reclaims randomly chosen machines of a pool.
    pub(super) fn reclaim_spot(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        reclaim: &SpotReclaim,
        identity: Identity,
    ) {
        let mut nodes = nodes_of(env.store(), Some(&reclaim.pool));
        nodes.retain(|node| !self.taken_back.contains(node));
        let mut stream = stream_of(env, "reclaimed nodes", identity);
        for _ in 0..(reclaim.count as usize).min(nodes.len()) {
            let node = nodes.swap_remove(random::index_below(&mut stream, nodes.len()));
            self.notice_spot(env, data_plane, node, reclaim);
        }
    }

    /// The cloud gives notice that it will reclaim a machine.
    pub(super) fn notice_spot(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        node: NodeId,
        reclaim: &SpotReclaim,
    ) {
        let Some(name) = name_of(env.store(), node) else { return };
        // A machine is reclaimed once, at the time set by the first notice.
        if !self.taken_back.insert(node) {
            return;
        }
        let message = format!("the cloud reclaims the machine in {}", reclaim.notice);
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

    /// The cloud reclaims a machine at random, together with others of its type and zone.
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
            // Machines defined inline have the type of their pool.
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

    /// Removes a machine together with its Node object.
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
        // The cloud keeps its groups at their target size.
        if !cloud.lost(env, name)
            && let Some(after) = replaced_after
        {
            let fresh = self.fresh_node(&env.world, &node);
            self.defer(env, after, DeferredStep::Join(Box::new(fresh)));
        }
    }

    /// A replacement node of the same pool and zone, with the next name.
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

    /// Begins the maintenance of a pool.
    pub(super) fn begin_maintenance(&mut self, env: &mut Environment, maintenance: &Maintenance) {
        let nodes = nodes_of(env.store(), Some(&maintenance.pool)).into_iter();
        let mut nodes: Vec<Name> = nodes.filter_map(|node| name_of(env.store(), node)).collect();
        nodes.reverse();
        self.begin_round(env, Rounds { nodes, takes: maintenance.takes });
    }

    /// Begins to drain the next node.
    fn begin_round(&mut self, env: &mut Environment, mut rounds: Rounds) {
        while let Some(name) = rounds.nodes.last().cloned() {
            if let Some(node) = env.store().node_named(&name) {
                let reference = node_reference(&name);
                env.emit_event(
                    "user",
                    &reference,
                    "Maintenance",
                    "drained for maintenance".to_owned(),
                );
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
