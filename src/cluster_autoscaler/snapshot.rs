//! A snapshot of the cluster on which removals and new nodes can be simulated and reverted
//! (`cluster-autoscaler/simulator/clustersnapshot`). The scheduler's filters decide whether a pod fits a node.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::natural_cmp;
use super::nodes::LoopNode;
use super::pods::{PodInfo, TemplateCache};
use cluster::node::{Node, NodeId};
use cluster::pod::{Pod, PodId};
use cluster::{ClusterView, Name};
use scheduler::SchedulerConfiguration;
use scheduler::cache::Cache;
use scheduler::cycle::{Prepared, check, prepare};
use scheduler::framework::{CycleContext, PodToPlace};
use scheduler::gpu::DeviceSet;
use scheduler::node_info::{NodeInfo, PlacedPod};
use scheduler::nominations::Nominations;
use scheduler::pod_class::PodClass;
use scheduler::profile::Profile;

/// First id of pods that exist only in this module.
const MADE_UP: u64 = (u32::MAX as u64) << 32;

/// Index of a node in the snapshot.
pub(crate) type Slot = usize;

/// A node with its pods.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotNode {
    pub(crate) node: Arc<Node>,
    /// The pods by creation time, followed by those that were moved here.
    pub(crate) pods: Vec<Arc<PodInfo>>,
    /// Position of its group.
    pub(crate) group: Option<usize>,
}

/// Why a pod does not fit a node (`FailingPredicateReasons`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) reasons: Vec<String>,
}

/// How to revert a change.
#[derive(Clone, Debug)]
enum Undo {
    RemovePod(Slot),
    InsertPod(Slot, usize, Arc<PodInfo>),
    RemoveNode(Slot),
    AddNode(Slot, SnapshotNode),
}

/// The snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    cache: Cache,
    profile: Arc<Profile>,
    nodes: Vec<Option<SnapshotNode>>,
    /// Ordered by name, with numbers compared as numbers.
    order: Vec<Slot>,
    /// Only ever looked up, never iterated.
    by_name: FxHashMap<Name, Slot>,
    /// Where the last search for a node ended (`lastIndexOrderMapping`).
    last_match: usize,
    undo: Vec<Undo>,
    /// Length of `undo` at each fork.
    forks: Vec<usize>,
    templates: TemplateCache,
    /// The pods as of the last sync. Only ever looked up, never iterated.
    pods: FxHashMap<PodId, Arc<PodInfo>>,
    /// Version of the pods on each node as of the last sync. Only ever looked up, never iterated.
    versions: FxHashMap<NodeId, PodsVersion>,
    made_up: u64,
}

impl Snapshot {
    /// An empty snapshot, with the scheduler's default profile.
    pub(crate) fn new() -> Self {
        let configuration = SchedulerConfiguration::default();
        let profiles = configuration.resolve().expect("the default configuration is sound");
        let profile = profiles.into_iter().next().expect("the default configuration has a profile");
        Self {
            cache: Cache::new(profile.topology_keys()),
            profile: Arc::new(profile),
            nodes: Vec::new(),
            order: Vec::new(),
            by_name: FxHashMap::default(),
            last_match: 0,
            undo: Vec::new(),
            forks: Vec::new(),
            templates: TemplateCache::default(),
            pods: FxHashMap::default(),
            versions: FxHashMap::default(),
            made_up: MADE_UP,
        }
    }

    /// The facts of a pod in the store.
    pub(crate) fn pod(&mut self, view: ClusterView<'_>, id: PodId) -> Option<Arc<PodInfo>> {
        let pod = view.pods().get(id)?;
        Some(self.pod_info(view, id, pod))
    }

    fn pod_info(&mut self, view: ClusterView<'_>, id: PodId, pod: &Pod) -> Arc<PodInfo> {
        let class = self.cache.class_of(view, pod);
        if let Some(known) = self.pods.get(&id)
            && known.class == class
            && known.phase == pod.phase
            && known.deletion == pod.deletion.map(|deletion| deletion.deadline)
            && known.resource_version == pod.resource_version
        {
            return Arc::clone(known);
        }
        let info = Arc::new(self.templates.pod(view, id, pod, class));
        self.pods.insert(id, Arc::clone(&info));
        info
    }

    /// An id for a pod that is not in the store.
    pub(crate) fn synthetic_pod(&mut self) -> PodId {
        self.made_up += 1;
        PodId::from_bits(self.made_up)
    }

    /// The cache, to assign classes to pods that are not in the store.
    pub(crate) fn cache_mut(&mut self) -> &mut Cache {
        &mut self.cache
    }

    /// Replaces the snapshot by the current cluster: these nodes with their pods, except for expendable ones
    /// (`SetClusterState`).
    pub(crate) fn sync(&mut self, view: ClusterView<'_>, nodes: &[LoopNode], cutoff: i64) {
        debug_assert!(self.forks.is_empty(), "what was played through is taken back");
        self.undo.clear();
        let mut seen = vec![false; self.nodes.len()];
        let mut versions = FxHashMap::default();
        for one in nodes {
            let version = version_of_pods(view, one.id);
            versions.insert(one.id, version);
            let known = self.by_name.get(one.name()).copied();
            if let Some(slot) = known.filter(|_| self.versions.get(&one.id) == Some(&version)) {
                seen[slot] = true;
                self.update_node(slot, one);
                continue;
            }
            let pods = self.pods_on(view, one, cutoff);
            match known {
                Some(slot) => {
                    seen[slot] = true;
                    self.update(slot, one, pods);
                }
                None => {
                    self.insert(SnapshotNode {
                        node: Arc::clone(&one.node),
                        pods,
                        group: one.group,
                    });
                }
            }
        }
        self.versions = versions;
        for (slot, seen) in seen.into_iter().enumerate() {
            if !seen && self.nodes[slot].is_some() {
                self.take(slot);
            }
        }
        while self.nodes.last().is_some_and(Option::is_none) {
            self.nodes.pop();
        }
        if self.pods.len() > 2 * view.pods().len() + 1000 {
            self.pods.retain(|id, _| view.pods().contains(*id));
        }
    }

    /// The pods of a node by creation time and name, except for expendable and finished ones.
    fn pods_on(
        &mut self,
        view: ClusterView<'_>,
        node: &LoopNode,
        cutoff: i64,
    ) -> Vec<Arc<PodInfo>> {
        let mut pods = Vec::new();
        for (id, pod) in view.store().pods_on(node.id) {
            if !pod.phase.is_terminal() {
                let info = self.pod_info(view, id, pod);
                if !info.is_expendable(cutoff) {
                    pods.push(info);
                }
            }
        }
        pods.sort_by(|one, other| by_age(one, other));
        pods
    }

    fn update_node(&mut self, slot: Slot, one: &LoopNode) {
        let Some(own) = &mut self.nodes[slot] else { return };
        if !Arc::ptr_eq(&own.node, &one.node) {
            self.cache.update_node(node_id(slot), &one.node);
            own.node = Arc::clone(&one.node);
        }
        own.group = one.group;
    }

    fn update(&mut self, slot: Slot, one: &LoopNode, pods: Vec<Arc<PodInfo>>) {
        self.update_node(slot, one);
        let Some(own) = &mut self.nodes[slot] else { return };
        let same = |(one, other): (&Arc<PodInfo>, &Arc<PodInfo>)| Arc::ptr_eq(one, other);
        if own.pods.len() == pods.len() && own.pods.iter().zip(&pods).all(same) {
            return;
        }
        for pod in &own.pods {
            self.cache.remove_pod(node_id(slot), pod.id, pod.class);
        }
        for pod in &pods {
            self.cache.add_pod(node_id(slot), placed(pod));
        }
        own.pods = pods;
    }

    /// Begins changes that can be reverted.
    pub(crate) fn fork(&mut self) {
        self.forks.push(self.undo.len());
    }

    /// Reverts the changes since the last fork.
    pub(crate) fn revert(&mut self) {
        let length = self.forks.pop().unwrap_or(0);
        while self.undo.len() > length {
            match self.undo.pop() {
                Some(Undo::RemovePod(slot)) => {
                    if let Some(pod) = self.nodes[slot].as_mut().and_then(|node| node.pods.pop()) {
                        self.cache.remove_pod(node_id(slot), pod.id, pod.class);
                    }
                }
                Some(Undo::InsertPod(slot, position, pod)) => {
                    self.cache.add_pod(node_id(slot), placed(&pod));
                    if let Some(node) = &mut self.nodes[slot] {
                        node.pods.insert(position, pod);
                    }
                }
                Some(Undo::RemoveNode(slot)) => {
                    self.take(slot);
                }
                Some(Undo::AddNode(slot, node)) => self.put(slot, node),
                None => {}
            }
        }
        while self.nodes.last().is_some_and(Option::is_none) && self.forks.is_empty() {
            self.nodes.pop();
        }
    }

    /// Makes the changes since the last fork part of the fork before it.
    pub(crate) fn commit(&mut self) {
        self.forks.pop();
    }

    /// The slot of the node with this name.
    pub(crate) fn slot(&self, name: &str) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    /// A node, by a slot returned from [`Self::slot`] or [`Self::slots`].
    pub(crate) fn node(&self, slot: Slot) -> &SnapshotNode {
        self.nodes[slot].as_ref().expect("a slot that was given out holds a node")
    }

    /// The nodes, ordered by name.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.order
    }

    /// One more than the largest slot.
    pub(crate) fn capacity(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a node with its pods.
    pub(crate) fn add_node(&mut self, node: SnapshotNode) -> Slot {
        let slot = self.insert(node);
        self.undo.push(Undo::RemoveNode(slot));
        slot
    }

    /// Removes a node with its pods.
    pub(crate) fn remove_node(&mut self, slot: Slot) {
        if let Some(node) = self.take(slot) {
            self.undo.push(Undo::AddNode(slot, node));
        }
    }

    /// Puts a pod on a node without checking that it fits.
    pub(crate) fn add_pod(&mut self, slot: Slot, pod: Arc<PodInfo>) {
        self.cache.add_pod(node_id(slot), placed(&pod));
        if let Some(node) = &mut self.nodes[slot] {
            node.pods.push(pod);
            self.undo.push(Undo::RemovePod(slot));
        }
    }

    /// Removes a pod from a node.
    pub(crate) fn remove_pod(&mut self, slot: Slot, pod: PodId) {
        let Some(node) = &mut self.nodes[slot] else { return };
        let Some(position) = node.pods.iter().position(|one| one.id == pod) else { return };
        let pod = node.pods.remove(position);
        self.cache.remove_pod(node_id(slot), pod.id, pod.class);
        self.undo.push(Undo::InsertPod(slot, position, pod));
    }

    /// Whether a pod fits a node, and why not (`CheckPredicates`).
    pub(crate) fn check(
        &self,
        view: ClusterView<'_>,
        pod: &PodInfo,
        slot: Slot,
    ) -> Result<(), Rejection> {
        let cycle = self.cycle(view, pod);
        let prepared = prepare(&self.profile, &cycle);
        if let Some(refused) = &prepared.refusal {
            return Err(Rejection { reasons: refused.refusal.texts().collect() });
        }
        if !may_be(&prepared, slot) {
            return Err(Rejection::default());
        }
        let node = self.cache.node(slot);
        let verdict = check(&prepared.filters, &cycle, &Nominations::default(), node);
        verdict.map_err(|(_, refusal)| Rejection { reasons: refusal.texts().collect() })
    }

    /// Puts a pod on a node if it fits (`SchedulePod`).
    pub(crate) fn schedule(
        &mut self,
        view: ClusterView<'_>,
        pod: &Arc<PodInfo>,
        slot: Slot,
    ) -> Result<(), Rejection> {
        self.check(view, pod, slot)?;
        self.add_pod(slot, Arc::clone(pod));
        Ok(())
    }

    /// Puts a pod on the first acceptable node that it fits, searching from the one after the last match
    /// (`SchedulePodOnAnyNodeMatching`).
    pub(crate) fn schedule_anywhere(
        &mut self,
        view: ClusterView<'_>,
        pod: &Arc<PodInfo>,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Option<Slot> {
        let position = self.search(view, pod, is_acceptable)?;
        self.last_match = position;
        let slot = self.order[position];
        self.add_pod(slot, Arc::clone(pod));
        Some(slot)
    }

    fn search(
        &self,
        view: ClusterView<'_>,
        pod: &PodInfo,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Option<usize> {
        let cycle = self.cycle(view, pod);
        let prepared = prepare(&self.profile, &cycle);
        if prepared.refusal.is_some() {
            return None;
        }
        let count = self.order.len();
        let nominations = Nominations::default();
        (0..count).map(|step| (step + 1 + self.last_match) % count).find(|position| {
            let slot = self.order[*position];
            if !is_acceptable(slot) || !may_be(&prepared, slot) {
                return false;
            }
            let node = self.cache.node(slot);
            !node.unschedulable
                && !is_short(node, cycle.pod.class)
                && check(&prepared.filters, &cycle, &nominations, node).is_ok()
        })
    }

    fn cycle<'a>(&'a self, view: ClusterView<'a>, pod: &'a PodInfo) -> CycleContext<'a> {
        let class = self.cache.class(pod.class);
        let owner = pod.controller.as_ref().and_then(|controller| controller.owner);
        let pod = PodToPlace { id: Some(pod.id), class, owner, nominated_node: None };
        CycleContext { cache: &self.cache, view, pod }
    }

    fn insert(&mut self, node: SnapshotNode) -> Slot {
        let slot = self.nodes.len();
        self.nodes.push(None);
        self.put(slot, node);
        slot
    }

    fn put(&mut self, slot: Slot, node: SnapshotNode) {
        let name = node.node.meta.name().clone();
        let place = self
            .order
            .binary_search_by(|other| natural_cmp(self.node(*other).node.meta.name(), &name));
        self.order.insert(place.unwrap_or_else(|place| place), slot);
        self.cache.add_node(node_id(slot), &node.node);
        for pod in &node.pods {
            self.cache.add_pod(node_id(slot), placed(pod));
        }
        self.by_name.insert(name, slot);
        self.nodes[slot] = Some(node);
    }

    fn take(&mut self, slot: Slot) -> Option<SnapshotNode> {
        let node = self.nodes[slot].take()?;
        self.by_name.remove(node.node.meta.name());
        self.cache.remove_node(node_id(slot));
        self.order.retain(|other| *other != slot);
        Some(node)
    }
}

/// Number of pods on a node, and the highest version of any of them: a new or changed pod has a higher version than
/// all others before, and a removal lowers the number.
type PodsVersion = (usize, u64);

fn version_of_pods(view: ClusterView<'_>, node: NodeId) -> PodsVersion {
    let pods = view.store().pods_on(node);
    pods.fold((0, 0), |(count, last), (_, pod)| (count + 1, last.max(pod.resource_version)))
}

/// Older pods first, then by name.
pub(crate) fn by_age(one: &PodInfo, other: &PodInfo) -> std::cmp::Ordering {
    let key = |pod: &PodInfo| pod.created;
    key(one).cmp(&key(other)).then_with(|| one.name.name.cmp(&other.name.name))
}

/// True if PreFilter has not excluded the node.
fn may_be(prepared: &Prepared<'_>, slot: Slot) -> bool {
    prepared.only.as_ref().is_none_or(|(slots, _)| slots.contains(&slot))
}

/// True if NodeResourcesFit rejects the node, without the reasons: a cheap test, as most nodes are full.
fn is_short(node: &NodeInfo, pod: &PodClass) -> bool {
    let (free, asked) = (&node.allocatable, &pod.requests);
    let lacks = |asked: i64, free: i64, used: i64| asked > 0 && asked > free.saturating_sub(used);
    node.pods.len() + 1 > node.allowed_pods
        || lacks(asked.milli_cpu, free.milli_cpu, node.requested.milli_cpu)
        || lacks(asked.memory, free.memory, node.requested.memory)
}

fn placed(pod: &PodInfo) -> PlacedPod {
    let is_terminating = pod.deletion.is_some();
    PlacedPod { id: Some(pod.id), class: pod.class, is_terminating, devices: DeviceSet::NONE }
}

/// The cache's id of the node in a slot.
fn node_id(slot: Slot) -> NodeId {
    NodeId::from_bits(slot as u64)
}
