//! The scheduler's cache of the cluster: nodes with their pods, pod classes, image counts. Kept up to date by its
//! owner; includes assumed pods that the API server does not know of yet.

mod update;

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::class_index::ClassIndex;
use super::node_info::{ClassId, NodeInfo};
use super::node_order::NodeOrder;
use super::pod_class::{NodeDemand, PodClass};
use super::tally::{Tallies, Tally};
use super::topology::{Topology, TopologyKey};
use cluster::node::{HOSTNAME_LABEL, NodeId};
use cluster::pod::Pod;
use cluster::pod_template::{PodTemplate, TemplateId};
use cluster::selector::Selector;
use cluster::{ClusterView, Labels, Name};
use units::Bytes;

/// Nodes with their pods.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// By slot of the node's id.
    nodes: Vec<Option<NodeInfo>>,
    zones: NodeOrder,
    /// The order in which nodes are examined, computed on demand after nodes were added or removed.
    order: OnceLock<Order>,
    topology: Topology,
    classes: Vec<PodClass>,
    /// By class: the first class that every node treats identically.
    alike: Vec<ClassId>,
    /// Lookups only, never iterated.
    by_demand: FxHashMap<NodeDemand, ClassId>,
    /// Number of pods of each class on nodes.
    placed: Vec<u32>,
    /// Number of pods of each priority on nodes.
    on_nodes_of_priority: BTreeMap<i32, u32>,
    /// The classes with any term of pod affinity or anti-affinity.
    with_affinity: Vec<ClassId>,
    /// Pods by class and domain.
    tallies: Tallies,
    /// Classes by label, and their pods by node.
    index: ClassIndex,
    /// Number of nodes with a taint that repels pods.
    hard_tainted: usize,
    /// Lookups only, never iterated.
    class_of: FxHashMap<ClassKey, ClassId>,
    /// By slot of the template: the classes of its pods that have its labels, by namespace.
    plain_classes: Vec<Vec<(TemplateId, Name, ClassId)>>,
    /// Images held by nodes. Lookups only, never iterated.
    images: FxHashMap<Name, ImageState>,
    /// Counts changes of nodes and of the pods on them.
    generation: u64,
    /// The slots of the last changes, the newest last.
    changes: VecDeque<u32>,
    /// Counts changes of the order of nodes.
    order_version: u64,
    /// Number of nodes.
    count: usize,
    /// By slot: the rank of its node's name among all names, computed on first use.
    name_ranks: OnceLock<Vec<u32>>,
    /// Number of nodes with a `PreferNoSchedule` taint.
    softly_tainted: usize,
}

/// The order in which nodes are examined.
#[derive(Clone, Debug, Default)]
struct Order {
    /// The slots, in that order.
    slots: Vec<usize>,
    /// By slot: its position.
    positions: Vec<u32>,
}

/// Pods with equal keys belong to the same class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClassKey {
    template: TemplateId,
    namespace: Name,
    /// The pod's own labels if they differ from the template's.
    labels: Option<Labels>,
}

/// An image on the nodes of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageState {
    /// Size reported by the first node that had it.
    pub size: Bytes,
    /// Number of nodes that have it.
    pub nodes: u32,
}

impl Cache {
    /// An empty cache with the topology keys named in plugin arguments.
    pub fn new(topology_keys: impl IntoIterator<Item = Name>) -> Self {
        let mut cache = Self::default();
        for key in topology_keys {
            let number = cache.register_topology(&key);
            // Pods by host are counted in the index, for classes that have any.
            if *key != *HOSTNAME_LABEL {
                cache.count_by(number);
            }
        }
        cache
    }

    /// The slots of all nodes, in the order in which they are examined.
    pub fn order(&self) -> &[usize] {
        &self.ordered().slots
    }

    fn ordered(&self) -> &Order {
        self.order.get_or_init(|| {
            let slots = self.zones.list();
            let mut positions = vec![0; self.nodes.len()];
            for (position, slot) in (0..).zip(&slots) {
                positions[*slot] = position;
            }
            Order { slots, positions }
        })
    }

    /// Grows with every change of that order.
    pub(crate) const fn order_version(&self) -> u64 {
        self.order_version
    }

    /// A node's position in that order.
    pub fn position(&self, slot: usize) -> usize {
        self.ordered().positions[slot] as usize
    }

    /// The place of a node's name among the names of all nodes.
    pub(crate) fn name_rank(&self, slot: usize) -> u32 {
        let ranks = self.name_ranks.get_or_init(|| {
            let mut by_name = self.order().to_vec();
            by_name.sort_unstable_by_key(|slot| &self.node(*slot).name);
            let mut ranks = vec![0; self.nodes.len()];
            for (rank, slot) in (0..).zip(by_name) {
                ranks[slot] = rank;
            }
            ranks
        });
        ranks[slot]
    }

    /// Grows with every change of a node or of the pods on it.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The slots of existing nodes that changed after a generation, each once.
    pub(crate) fn changed_since(&self, generation: u64) -> impl Iterator<Item = usize> {
        let known = self.generation - self.changes.len() as u64;
        // If the change log no longer reaches back far enough, each node's own generation is checked.
        let all = if generation < known { self.order() } else { &[] };
        let changed = move |slot: &usize| self.node(*slot).generation > generation;
        let skipped = usize::try_from(generation.saturating_sub(known)).unwrap_or(usize::MAX);
        let logged = if generation < known { self.changes.len() } else { skipped };
        let recent = self.changes.range(logged.min(self.changes.len())..).enumerate();
        let first = generation + 1;
        let last_change = move |(number, slot): (usize, &u32)| {
            let node = self.nodes.get(*slot as usize)?.as_ref()?;
            (node.generation == first + number as u64).then_some(*slot as usize)
        };
        all.iter().copied().filter(changed).chain(recent.filter_map(last_change))
    }

    /// Whether any node has a taint that repels pods.
    pub(crate) const fn has_hard_taints(&self) -> bool {
        self.hard_tainted > 0
    }

    /// Pods by class and domain, for the topology keys used by affinity and spreading.
    pub const fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// The classes with pods on nodes.
    pub(crate) fn placed_classes(&self) -> impl Iterator<Item = ClassId> {
        let placed = (0u32..).zip(&self.placed).filter(|(_, pods)| **pods > 0);
        placed.map(|(class, _)| ClassId(class))
    }

    /// Whether any node has a `PreferNoSchedule` taint.
    pub(crate) const fn has_soft_taints(&self) -> bool {
        self.softly_tainted > 0
    }

    /// The node in a slot that [`Self::order`] gave.
    pub fn node(&self, slot: usize) -> &NodeInfo {
        self.nodes[slot].as_ref().expect("a slot that was given out holds a node")
    }

    /// The node of an id.
    pub fn get(&self, id: NodeId) -> Option<&NodeInfo> {
        self.nodes.get(id.index())?.as_ref().filter(|node| node.id == id)
    }

    /// All nodes, in the order in which they are examined.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.order().iter().map(|slot| self.node(*slot))
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.count
    }

    /// One more than the largest slot.
    pub fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// Topology keys and domains.
    pub const fn topology(&self) -> &Topology {
        &self.topology
    }

    /// A pod class.
    pub fn class(&self, id: ClassId) -> &PodClass {
        &self.classes[id.index()]
    }

    /// The first class that node-scoped plugins cannot distinguish from this one.
    pub fn alike(&self, id: ClassId) -> ClassId {
        self.alike[id.index()]
    }

    /// Number of pod classes: the length of a side table indexed by [`ClassId`].
    pub(crate) fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// The classes of pods on nodes that have any term of pod affinity or anti-affinity.
    pub(crate) fn placed_with_affinity(&self) -> impl Iterator<Item = ClassId> {
        self.with_affinity.iter().copied().filter(|class| self.placed[class.index()] > 0)
    }

    /// Whether there is any class of pods that keeps others away (required anti-affinity), on nodes or not.
    pub fn has_anti_affinity_classes(&self) -> bool {
        self.with_affinity.iter().any(|class| !self.class(*class).affinity.required_anti.is_empty())
    }

    /// The least priority of a pod on a node.
    pub(crate) fn least_priority(&self) -> Option<i32> {
        self.on_nodes_of_priority.first_key_value().map(|(priority, _)| *priority)
    }

    /// The classes of a namespace that a selector matches and of which pods are on nodes.
    pub(crate) fn placed_matching(
        &self,
        namespace: &Name,
        selector: &Selector,
    ) -> impl Iterator<Item = ClassId> {
        let candidates = self.index.candidates(namespace, selector).iter().copied();
        candidates.filter(|class| {
            self.placed[class.index()] > 0 && selector.matches(&self.class(*class).labels)
        })
    }

    /// The pods of a class by the slot of their node, ascending; `None` if they are not counted by node.
    pub fn pods_by_node(
        &self,
        class: ClassId,
    ) -> Option<impl Iterator<Item = (usize, Tally)> + use<'_>> {
        self.index.counts_by_node().then(|| self.index.on_nodes(class))
    }

    /// Whether pods are counted by node.
    pub(crate) const fn counts_by_node(&self) -> bool {
        self.index.counts_by_node()
    }

    /// Starts counting pods by node, as needed by [`Self::pods_by_node`].
    pub(crate) fn count_by_node(&mut self) {
        if !self.index.counts_by_node() {
            self.index.count_by_node(self.nodes.iter().flatten());
        }
    }

    /// An image, if any node has it.
    pub fn image(&self, name: &Name) -> Option<ImageState> {
        self.images.get(name).copied()
    }

    /// The class of a pod of the store.
    pub fn class_of(&mut self, view: ClusterView<'_>, pod: &Pod) -> ClassId {
        // During a resize, the reserved (maximum) amounts count.
        let id = pod.reserved();
        let template = &view.templates()[id];
        let namespace = &pod.id.namespace;
        if let Some(overrides) = &pod.overrides {
            return self.intern(id, template, namespace, Some(overrides.labels.clone()));
        }
        let slot = id.index();
        let known = self.plain_classes.get(slot).into_iter().flatten();
        let mut known = known.filter(|(one, known, _)| *one == id && known == namespace);
        if let Some((.., class)) = known.next() {
            return *class;
        }
        let class = self.intern(id, template, namespace, None);
        if self.plain_classes.len() <= slot {
            self.plain_classes.resize_with(slot + 1, Vec::new);
        }
        self.plain_classes[slot].push((id, namespace.clone(), class));
        class
    }

    /// The class of the pods of a template in a namespace, optionally with other labels.
    pub fn intern(
        &mut self,
        id: TemplateId,
        template: &PodTemplate,
        namespace: &Name,
        labels: Option<Labels>,
    ) -> ClassId {
        let key = ClassKey { template: id, namespace: namespace.clone(), labels };
        if let Some(known) = self.class_of.get(&key) {
            return *known;
        }
        let labels = key.labels.as_ref().unwrap_or(&template.labels).clone();
        let mut register = |topology: &Name| self.register_topology(topology);
        let class = PodClass::new(namespace.clone(), labels, template, &mut register);
        let number = u32::try_from(self.classes.len()).expect("fewer than 2^32 kinds of pod");
        if !class.affinity.is_empty() {
            self.with_affinity.push(ClassId(number));
        }
        for key in class.topology_keys().collect::<Vec<_>>() {
            self.count_by(key);
        }
        self.alike.push(*self.by_demand.entry(class.node_demand()).or_insert(ClassId(number)));
        self.index.add(ClassId(number), &class);
        self.classes.push(class);
        self.placed.push(0);
        self.class_of.insert(key, ClassId(number));
        ClassId(number)
    }

    fn count_by(&mut self, key: TopologyKey) {
        if !self.tallies.is_counted(key) {
            self.tallies.count(key);
            for node in self.nodes.iter().flatten() {
                self.tallies.enter(node, key);
            }
        }
    }

    /// Registers a topology key, which all nodes resolve from then on.
    fn register_topology(&mut self, key: &Name) -> TopologyKey {
        let (number, is_new) = self.topology.register(key);
        if is_new {
            for node in self.nodes.iter_mut().flatten() {
                self.topology.enter(node.id.index(), &node.labels, &mut node.domains);
            }
        }
        number
    }
}
