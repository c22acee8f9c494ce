//! A snapshot of the cluster on which removals and new nodes can be simulated and reverted
//! (`cluster-autoscaler/simulator/clustersnapshot`). The scheduler's filters decide whether a pod fits a node.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::natural_cmp;
use super::nodes::LoopNode;
use super::outlook::Outlook;
use super::pods::{PodInfo, TemplateCache};
pub(crate) use super::snapshot_node::SnapshotNode;
use cluster::node::NodeId;
use cluster::pod::{Pod, PodId};
use cluster::{ClusterView, Name};
use scheduler::SchedulerConfiguration;
use scheduler::cache::Cache;
use scheduler::cycle::{Prepared, check, prepare};
use scheduler::framework::{CycleContext, PodToPlace};
use scheduler::gpu::DeviceSet;
use scheduler::node_info::{ClassId, PlacedPod};
use scheduler::nominations::Nominations;
use scheduler::profile::Profile;

/// First id of pods that exist only in this module.
const MADE_UP: u64 = (u32::MAX as u64) << 32;

/// Index of a node in the snapshot.
pub(crate) type Slot = usize;

/// Why a pod does not fit a node (`FailingPredicateReasons`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) reasons: Vec<String>,
}

/// How to revert a change.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    RemovePod(Slot),
    InsertPod(Slot, usize, Arc<PodInfo>),
    RemoveNode(Slot),
    AddNode(Slot, SnapshotNode),
}

/// The snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(super) cache: Cache,
    pub(super) profile: Arc<Profile>,
    pub(super) nodes: Vec<Option<SnapshotNode>>,
    /// Ordered by name, with numbers compared as numbers.
    pub(super) order: Vec<Slot>,
    /// Only ever looked up, never iterated.
    by_name: FxHashMap<Name, Slot>,
    /// Where the last search for a node ended (`lastIndexOrderMapping`).
    pub(super) last_match: usize,
    pub(super) undo: Vec<Undo>,
    /// Length of `undo` at each fork.
    forks: Vec<usize>,
    templates: TemplateCache,
    /// The pods as of the last sync, with their `resourceVersion`. Only ever looked up, never iterated.
    pods: FxHashMap<PodId, (u64, Arc<PodInfo>)>,
    /// The slot of each node in the store as of the last sync, with the revision of the pods on it. Only ever looked
    /// up, never iterated.
    by_id: FxHashMap<NodeId, (Slot, u64)>,
    made_up: u64,
    pub(super) outlook: Outlook,
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
            outlook: Outlook::default(),
        }
    }

    /// The facts of a pod in the store.
    pub(crate) fn pod(&mut self, view: ClusterView<'_>, id: PodId) -> Option<Arc<PodInfo>> {
        let pod = view.pods().get(id)?;
        Some(self.pod_info(view, id, pod))
    }

    fn pod_info(&mut self, view: ClusterView<'_>, id: PodId, pod: &Pod) -> Arc<PodInfo> {
        let known = self.pods.get(&id);
        if let Some((version, known)) = known
            && *version == pod.resource_version
            && known.phase == pod.phase
            && known.deletion == pod.deletion.map(|deletion| deletion.deadline)
        {
            return Arc::clone(known);
        }
        let class = self.cache.class_of(view, pod);
        let info = self.templates.pod(view, id, pod, class);
        let known = known.map(|(_, known)| known).filter(|known| known.is_as(&info));
        let info = known.map_or_else(|| Arc::new(info), Arc::clone);
        self.pods.insert(id, (pod.resource_version, Arc::clone(&info)));
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

    /// The first class that every node judges like that of the pod.
    pub(crate) fn demand_of(&self, pod: &PodInfo) -> ClassId {
        self.cache.alike(pod.class)
    }

    /// Replaces the snapshot by the current cluster: these nodes with their pods, except for expendable ones
    /// (`SetClusterState`).
    pub(crate) fn sync(&mut self, view: ClusterView<'_>, nodes: &[LoopNode], cutoff: i64) {
        debug_assert!(self.forks.is_empty(), "what was played through is taken back");
        self.undo.clear();
        self.remove_all_but(nodes);
        for one in nodes {
            let revision = view.store().revision_of_pods_on(one.id);
            let known = self.by_id.get(&one.id).copied();
            let slot = if let Some((slot, seen)) = known {
                let is_same = self.is_same(slot, one);
                if seen != revision || !is_same {
                    let moved = self.take_moved(slot);
                    self.update_node(slot, one);
                    if seen != revision {
                        let pods = self.pods_on(view, one, cutoff);
                        self.update_pods(slot, pods);
                    }
                    self.move_back(view, slot, moved);
                }
                slot
            } else {
                let pods = self.pods_on(view, one, cutoff);
                self.insert(SnapshotNode::new(Arc::clone(&one.node), pods, one.group))
            };
            if known != Some((slot, revision)) {
                self.by_id.insert(one.id, (slot, revision));
            }
        }
        while self.nodes.last().is_some_and(Option::is_none) {
            self.nodes.pop();
        }
        if self.pods.len() > 2 * view.pods().len() + 1000 {
            self.pods.retain(|id, _| view.pods().contains(*id));
        }
    }

    /// Removes the nodes that are not among these.
    fn remove_all_but(&mut self, nodes: &[LoopNode]) {
        let mut stays = vec![false; self.nodes.len()];
        let mut gone = self.by_id.len();
        for (slot, _) in nodes.iter().filter_map(|one| self.by_id.get(&one.id)) {
            stays[*slot] = true;
            gone -= 1;
        }
        if gone == 0 {
            return;
        }
        let mut slots = Vec::with_capacity(gone);
        self.by_id.retain(|_, (slot, _)| {
            if !stays[*slot] {
                slots.push(*slot);
            }
            stays[*slot]
        });
        slots.sort_unstable();
        for slot in slots {
            self.displace(slot);
            self.take(slot);
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

    /// True if a node is as it was in the last loop, its pods aside.
    fn is_same(&self, slot: Slot, one: &LoopNode) -> bool {
        let own = self.nodes[slot].as_ref();
        own.is_some_and(|own| Arc::ptr_eq(&own.node, &one.node) && own.group == one.group)
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
        own.set_pods(pods);
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

    /// The slot of a node in the store, as of the last sync.
    pub(crate) fn slot_of(&self, id: NodeId) -> Option<Slot> {
        let (slot, _) = self.by_id.get(&id)?;
        Some(*slot).filter(|slot| self.nodes[*slot].is_some())
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

    pub(super) fn cycle<'a>(&'a self, view: ClusterView<'a>, pod: &'a PodInfo) -> CycleContext<'a> {
        let class = self.cache.class(pod.class);
        let owner = pod.controller.as_ref().and_then(|controller| controller.owner);
        let pod = PodToPlace { id: Some(pod.id), class, owner, nominated_node: None };
        CycleContext { cache: &self.cache, view, pod }
    }

    pub(super) fn insert(&mut self, node: SnapshotNode) -> Slot {
        let slot = self.nodes.len();
        self.nodes.push(None);
        self.put(slot, node);
        slot
    }

    /// The position of a name in the order, or where it would be.
    pub(super) fn place_of(&self, name: &str) -> Result<usize, usize> {
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

    pub(super) fn take(&mut self, slot: Slot) -> Option<SnapshotNode> {
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
pub(super) fn may_be(prepared: &Prepared<'_>, slot: Slot) -> bool {
    prepared.only.as_ref().is_none_or(|(slots, _)| slots.contains(&slot))
}

pub(super) fn placed(pod: &PodInfo) -> PlacedPod {
    let is_terminating = pod.deletion.is_some();
    PlacedPod { id: Some(pod.id), class: pod.class, is_terminating, devices: DeviceSet::NONE }
}

/// The cache's id of the node in a slot.
pub(super) fn node_id(slot: Slot) -> NodeId {
    NodeId::from_bits(slot as u64)
}
