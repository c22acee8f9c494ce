//! Data shared by all passes over one snapshot: the pools that can create nodes, and the nodes as targets for pods.
//! Disruption simulates thousands of passes on the same cluster.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::existing::{Daemon, ExistingNode, NodeCapacity};
use super::kinds::{KindId, Kinds};
use super::pods::CommonPods;
use super::preferences::PodConstraints;
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
    /// The pods of nodes to be removed that have to be rescheduled.
    pub of_going: Vec<Arc<Pod>>,
    /// Nodes to be removed. Only ever looked up, never iterated.
    going: FxHashSet<&'a Name>,
    /// The kinds of pods in all passes.
    kinds: RefCell<Kinds>,
    /// The pods that every pass schedules.
    common: OnceCell<CommonPods>,
    /// Positions of the nodes by name. Only ever looked up, never iterated.
    by_name: OnceCell<FxHashMap<Name, usize>>,
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
            going: snapshot
                .nodes
                .iter()
                .filter(|one| one.is_going())
                .map(StateNode::name)
                .collect(),
            of_going: snapshot.pods_of_going_nodes(),
            kinds: RefCell::default(),
            common: OnceCell::new(),
            by_name: OnceCell::new(),
            snapshot,
        }
    }

    /// The domains that new nodes can be in, by label.
    pub(super) fn known(&self) -> &BTreeMap<Name, DomainTaints> {
        self.known.get_or_init(|| domains_of(self.snapshot, &self.pools))
    }

    /// The pods that every pass schedules.
    pub(super) fn common(&self) -> &CommonPods {
        self.common.get_or_init(|| CommonPods::new(self))
    }

    /// The constraints of pods; the first one has this position in the pass.
    pub(super) fn constraints_of<'p>(
        &self,
        pods: impl Iterator<Item = &'p Arc<Pod>>,
        first: usize,
    ) -> Vec<PodConstraints> {
        let policy = self.snapshot.options.preference_policy;
        let mut kinds = self.kinds.borrow_mut();
        pods.enumerate().map(|(at, pod)| kinds.constraints(first + at, pod, policy)).collect()
    }

    /// Positions of the existing nodes with room for pods of a kind before a pass.
    pub(super) fn with_room(&self, kind: KindId, constraints: &PodConstraints) -> Rc<[usize]> {
        self.kinds.borrow_mut().with_room(kind, || {
            let has_room =
                |place: &usize| ExistingNode::new(&self.places[*place]).has_room(constraints);
            (0..self.places.len()).filter(has_room).collect()
        })
    }

    /// The position of a node that is not about to go.
    pub(super) fn place_of(&self, name: &Name) -> Option<usize> {
        let by_name = self.by_name.get_or_init(|| {
            let named = self.places.iter().enumerate();
            named.map(|(at, place)| (place.state.name().clone(), at)).collect()
        });
        by_name.get(name).copied()
    }

    /// Whether some pool wants several values of a key.
    pub(crate) fn wants_values(&self) -> bool {
        self.templates.iter().any(|one| one.requirements.has_min_values())
    }

    /// True if a node is to be removed.
    pub(crate) fn is_going(&self, name: &Name) -> bool {
        self.going.contains(name)
    }
}
