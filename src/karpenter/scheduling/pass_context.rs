//! Data shared by all passes over one snapshot: the pools that can create nodes, and the nodes as targets for pods.
//! Disruption simulates thousands of passes on the same cluster.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::existing::{Daemon, NodeCapacity};
use super::queue::queue_order;
use super::template::Template;
use super::topology::domains_of;
use super::topology_group::DomainTaints;
use crate::node_pool::{NodePool, order_by_weight};
use crate::pod::Pod;
use crate::provisioner::pending_pods;
use crate::state::{Snapshot, StateNode};
use cluster::Name;

/// A snapshot, prepared for passes.
#[derive(Debug)]
pub struct PassContext<'a> {
    /// The cluster.
    pub snapshot: &'a Snapshot,
    /// The pools that can create nodes, in the order in which they are tried.
    pub(super) pools: Vec<Arc<NodePool>>,
    pub(super) templates: Vec<Template>,
    /// The domains that new nodes can be in, by label; worked out for the first pod that is bound to any.
    known: OnceCell<BTreeMap<Name, DomainTaints>>,
    /// The nodes that are not about to go, in the order in which they are tried: those that are ready first, each by
    /// name.
    pub(super) places: Vec<NodeCapacity<'a>>,
    /// The nodes with pods that have a required anti-affinity.
    pub(super) repelling: Vec<&'a StateNode>,
    /// The pending pods.
    pub pending: Vec<Arc<Pod>>,
    /// Their positions in the order of the queue.
    in_order: OnceCell<Vec<usize>>,
    /// The pods of nodes to be removed that have to be rescheduled.
    pub of_going: Vec<Arc<Pod>>,
    /// Nodes to be removed. Only ever looked up, never iterated.
    going: FxHashSet<&'a Name>,
}

impl<'a> PassContext<'a> {
    /// Prepares a snapshot.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let ready = snapshot.pools.iter().filter(|pool| pool.is_ready);
        let mut pools: Vec<Arc<NodePool>> = ready.cloned().collect();
        order_by_weight(&mut pools);
        let daemons: Vec<Daemon<'_>> = snapshot.daemons.iter().map(Daemon::new).collect();
        let staying = snapshot.nodes.iter().filter(|state| !state.is_going());
        let mut places: Vec<NodeCapacity<'_>> =
            staying.map(|state| NodeCapacity::new(state, &daemons)).collect();
        places.sort_by(|one, other| {
            let key = |place: &NodeCapacity<'_>| !place.is_initialized;
            key(one).cmp(&key(other)).then_with(|| one.state.name().cmp(other.state.name()))
        });
        Self {
            known: OnceCell::new(),
            templates: pools.iter().filter_map(|pool| Template::new(pool, snapshot)).collect(),
            pools,
            places,
            repelling: snapshot
                .nodes
                .iter()
                .filter(|state| state.node.is_some() && state.pods.repels())
                .collect(),
            pending: pending_pods(snapshot).0,
            in_order: OnceCell::new(),
            going: snapshot
                .nodes
                .iter()
                .filter(|one| one.is_going())
                .map(StateNode::name)
                .collect(),
            of_going: snapshot.pods_of_going_nodes(),
            snapshot,
        }
    }

    /// The domains that new nodes can be in, by label.
    pub(super) fn known(&self) -> &BTreeMap<Name, DomainTaints> {
        self.known.get_or_init(|| domains_of(self.snapshot, &self.pools))
    }

    /// Positions of the pending pods in the order of the queue.
    pub(super) fn in_order(&self) -> &[usize] {
        self.in_order.get_or_init(|| {
            let pods = &self.pending;
            let mut order: Vec<usize> = (0..pods.len()).collect();
            order.sort_by(|one, other| queue_order(&pods[*one], &pods[*other]));
            order
        })
    }

    /// Whether some pool wants several values of a key.
    pub fn wants_values(&self) -> bool {
        self.templates.iter().any(|one| one.requirements.has_min_values())
    }

    /// True if a node is to be removed.
    pub fn is_going(&self, name: &Name) -> bool {
        self.going.contains(name)
    }
}
