//! A snapshot of the cluster on which removals and new nodes can be simulated and reverted
//! (`cluster-autoscaler/simulator/clustersnapshot`). The scheduler's filters decide whether a pod fits a node.

use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;

use super::natural_cmp;
use super::nodes::LoopNode;
use super::pods::{PodInfo, TemplateCache};
use super::utilization::{ExcludedPods, Utilization, utilization};
use cluster::node::{Node, NodeId};
use cluster::pod::{Pod, PodId};
use cluster::{ClusterView, Name};
use engine::SimTime;
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
    /// Its utilization while neither it nor its pods change.
    utilization: OnceLock<Utilization>,
}

impl SnapshotNode {
    /// A node of a group with its pods.
    pub(crate) fn new(node: Arc<Node>, pods: Vec<Arc<PodInfo>>, group: Option<usize>) -> Self {
        Self { node, pods, group, utilization: OnceLock::new() }
    }

    fn pods_mut(&mut self) -> &mut Vec<Arc<PodInfo>> {
        self.forget();
        &mut self.pods
    }

    fn forget(&mut self) {
        self.utilization = OnceLock::new();
    }

    /// Its utilization, with the same arguments each time; absent if its CPU or memory is unknown.
    pub(crate) fn utilization(
        &self,
        gpu_label: &str,
        left_out: ExcludedPods,
        now: SimTime,
    ) -> Option<Utilization> {
        if let Some(known) = self.utilization.get() {
            return Some(known.clone());
        }
        let found = utilization(&self.node, &self.pods, gpu_label, left_out, now)?;
        // A pod that is terminating stops counting after a while.
        if self.pods.iter().all(|pod| pod.deletion.is_none()) {
            let _ = self.utilization.set(found.clone());
        }
        Some(found)
    }
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
    /// The slot of each node in the store as of the last sync, with the revision of the pods on it. Only ever looked
    /// up, never iterated.
    by_id: FxHashMap<NodeId, (Slot, u64)>,
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
            by_id: FxHashMap::default(),
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
        let before = std::mem::take(&mut self.by_id);
        let mut stays = vec![false; self.nodes.len()];
        for (slot, _) in nodes.iter().filter_map(|one| before.get(&one.id)) {
            stays[*slot] = true;
        }
        for (slot, stays) in stays.into_iter().enumerate() {
            if !stays {
                self.take(slot);
            }
        }
        for one in nodes {
            let revision = view.store().revision_of_pods_on(one.id);
            let known = before.get(&one.id).copied();
            let slot = if let Some((slot, seen)) = known {
                self.update_node(slot, one);
                if seen != revision {
                    let pods = self.pods_on(view, one, cutoff);
                    self.update_pods(slot, pods);
                }
                slot
            } else {
                let pods = self.pods_on(view, one, cutoff);
                self.insert(SnapshotNode::new(Arc::clone(&one.node), pods, one.group))
            };
            self.by_id.insert(one.id, (slot, revision));
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
            own.forget();
        }
        own.group = one.group;
    }

    /// Replaces the pods of a node; both lists are by age.
    fn update_pods(&mut self, slot: Slot, pods: Vec<Arc<PodInfo>>) {
        let Some(own) = &mut self.nodes[slot] else { return };
        let mut new = pods.iter().peekable();
        for old in &own.pods {
            while let Some(one) = new.next_if(|one| by_age(one, old).is_lt()) {
                self.cache.add_pod(node_id(slot), placed(one));
            }
            let same = new.next_if(|one| one.id == old.id);
            if same.is_some_and(|one| placed(one) == placed(old)) {
                continue;
            }
            self.cache.remove_pod(node_id(slot), old.id, old.class);
            if let Some(one) = same {
                self.cache.add_pod(node_id(slot), placed(one));
            }
        }
        for one in new {
            self.cache.add_pod(node_id(slot), placed(one));
        }
        own.pods = pods;
        own.forget();
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
                    let node = self.nodes[slot].as_mut();
                    if let Some(pod) = node.and_then(|node| node.pods_mut().pop()) {
                        self.cache.remove_pod(node_id(slot), pod.id, pod.class);
                    }
                }
                Some(Undo::InsertPod(slot, position, pod)) => {
                    self.cache.add_pod(node_id(slot), placed(&pod));
                    if let Some(node) = &mut self.nodes[slot] {
                        node.pods_mut().insert(position, pod);
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
            node.pods_mut().push(pod);
            self.undo.push(Undo::RemovePod(slot));
        }
    }

    /// Removes a pod from a node.
    pub(crate) fn remove_pod(&mut self, slot: Slot, pod: PodId) {
        let Some(node) = &mut self.nodes[slot] else { return };
        let Some(position) = node.pods.iter().position(|one| one.id == pod) else { return };
        let pod = node.pods_mut().remove(position);
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

    /// The position of a name in the order, or where it would be.
    fn place_of(&self, name: &str) -> Result<usize, usize> {
        self.order.binary_search_by(|other| natural_cmp(self.node(*other).node.meta.name(), name))
    }

    fn put(&mut self, slot: Slot, node: SnapshotNode) {
        let name = node.node.meta.name().clone();
        let place = self.place_of(&name);
        self.order.insert(place.unwrap_or_else(|place| place), slot);
        self.cache.add_node(node_id(slot), &node.node);
        for pod in &node.pods {
            self.cache.add_pod(node_id(slot), placed(pod));
        }
        self.by_name.insert(name, slot);
        self.nodes[slot] = Some(node);
    }

    fn take(&mut self, slot: Slot) -> Option<SnapshotNode> {
        let name = self.nodes.get(slot)?.as_ref()?.node.meta.name();
        if let Ok(place) = self.place_of(name) {
            self.order.remove(place);
        }
        let node = self.nodes[slot].take()?;
        self.by_name.remove(node.node.meta.name());
        self.cache.remove_node(node_id(slot));
        Some(node)
    }
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
