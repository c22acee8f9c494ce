//! Indexes the pod classes that a selector may match, and the nodes holding pods of a class. Updated pod by pod, so
//! that queries need not scan all classes or nodes.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::node_info::{ClassId, NodeInfo};
use super::pod_class::PodClass;
use super::tally::Tally;
use cluster::Name;
use cluster::selector::{Operator, Selector};

/// Indexes of pod classes.
#[derive(Clone, Debug, Default)]
pub struct ClassIndex {
    /// By namespace, ascending. Lookups only, never iterated.
    by_namespace: FxHashMap<Name, Vec<ClassId>>,
    /// By namespace, key and value of a label, ascending. Lookups only, never iterated.
    by_label: FxHashMap<(Name, Name, Name), Vec<ClassId>>,
    /// Whether pods are counted by node; enabled by the first query that needs it.
    counts_by_node: bool,
    /// By class: its pods by the node's slot, if they are counted.
    on_nodes: Vec<BTreeMap<u32, Tally>>,
}

impl ClassIndex {
    /// Adds the next class.
    pub fn add(&mut self, id: ClassId, class: &PodClass) {
        self.by_namespace.entry(class.namespace.clone()).or_default().push(id);
        for (key, value) in class.labels.iter() {
            let label = (class.namespace.clone(), key.clone(), value.clone());
            self.by_label.entry(label).or_default().push(id);
        }
        self.on_nodes.resize_with(id.index() + 1, BTreeMap::new);
    }

    /// A superset of the namespace's classes that a selector matches, ascending: those with the rarest of the labels
    /// it requires.
    pub fn candidates(&self, namespace: &Name, selector: &Selector) -> &[ClassId] {
        let mut fewest = self.by_namespace.get(namespace).map_or(&[][..], Vec::as_slice);
        for requirement in &selector.requirements {
            if let (Operator::In, [value]) = (requirement.operator, requirement.values.as_slice()) {
                let label = (namespace.clone(), requirement.key.clone(), value.clone());
                let classes = self.by_label.get(&label).map_or(&[][..], Vec::as_slice);
                if classes.len() < fewest.len() {
                    fewest = classes;
                }
            }
        }
        fewest
    }

    /// Whether pods are counted by node.
    pub(crate) const fn counts_by_node(&self) -> bool {
        self.counts_by_node
    }

    /// Starts counting pods by node, including those on the given nodes.
    pub(crate) fn count_by_node<'a>(&mut self, nodes: impl Iterator<Item = &'a NodeInfo>) {
        self.counts_by_node = true;
        for node in nodes {
            for count in &node.classes {
                let tally = Tally { pods: count.pods, terminating: count.terminating };
                self.change(node, count.class, |entered| *entered = tally);
            }
        }
    }

    /// The pods of a class by the node's slot; empty if they are not counted by node.
    pub fn on_nodes(&self, class: ClassId) -> impl Iterator<Item = (usize, Tally)> {
        self.on_nodes[class.index()].iter().map(|(slot, tally)| (*slot as usize, *tally))
    }

    /// Changes the count of a class on a node.
    pub fn change(&mut self, node: &NodeInfo, class: ClassId, change: impl FnOnce(&mut Tally)) {
        if !self.counts_by_node {
            return;
        }
        let slot = u32::try_from(node.id.index()).unwrap_or(u32::MAX);
        let nodes = &mut self.on_nodes[class.index()];
        let tally = nodes.entry(slot).or_default();
        change(tally);
        if tally.pods == 0 {
            nodes.remove(&slot);
        }
    }

    /// Removes the pods of a node.
    pub fn leave(&mut self, node: &NodeInfo) {
        for count in &node.classes {
            self.change(node, count.class, |tally| *tally = Tally::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cache::Cache;
    use super::super::gpu::DeviceSet;
    use super::super::node_info::PlacedPod;
    use super::*;
    use cluster::node::{HOSTNAME_LABEL, Node, NodeId, ZONE_LABEL};
    use cluster::pod::PodId;
    use cluster::pod_template::{PodTemplate, ResourceList, TemplateId};
    use cluster::{Labels, ObjectMeta};

    fn node(number: usize, zone: usize) -> Node {
        let name = format!("node-{number}");
        let mut labels = vec![(Name::from(HOSTNAME_LABEL), Name::from(name.as_str()))];
        if zone > 0 {
            labels.push((ZONE_LABEL.into(), format!("zone-{zone}").into()));
        }
        let labels = labels.into_iter().collect();
        Node::new(ObjectMeta { labels, ..ObjectMeta::new("", name) }, ResourceList::default())
    }

    /// Six classes in two namespaces, with one or two labels.
    fn classes(cache: &mut Cache) -> Vec<ClassId> {
        (0..6u64)
            .map(|number| {
                let app = format!("app-{}", number % 3);
                let mut labels = vec![("app", app)];
                if number % 2 == 0 {
                    labels.push(("tier", "front".to_owned()));
                }
                let labels: Labels =
                    labels.into_iter().map(|(key, value)| (key, Name::from(value))).collect();
                let template = PodTemplate { labels, ..PodTemplate::default() };
                let namespace = Name::from(["one", "two"][usize::from(number >= 4)]);
                cache.intern(TemplateId::from_bits(number), &template, &namespace, None)
            })
            .collect()
    }

    fn check(cache: &Cache, classes: &[ClassId]) {
        let zone = cache.topology().find(ZONE_LABEL).expect("it was registered");
        for node in cache.nodes() {
            let slot = node.id.index();
            assert_eq!(cache.topology().domain_at(zone, slot), node.domain(zone));
        }
        for class in classes {
            let (mut by_slot, mut by_zone) = (BTreeMap::new(), BTreeMap::new());
            for node in cache.nodes() {
                for count in node.classes.iter().filter(|count| count.class == *class) {
                    let tally = Tally { pods: count.pods, terminating: count.terminating };
                    by_slot.insert(node.id.index(), tally);
                    if let Some(domain) = node.domain(zone) {
                        *by_zone.entry(domain.index()).or_insert(0) += count.staying();
                    }
                }
            }
            if let Some(pods) = cache.pods_by_node(*class) {
                assert_eq!(pods.collect::<BTreeMap<_, _>>(), by_slot);
            }
            let tallies = cache.tallies().of(*class, zone).iter().enumerate();
            for (domain, tally) in tallies {
                let expected = by_zone.get(&domain).copied().unwrap_or(0);
                assert_eq!(tally.staying(), expected, "domain {domain}");
            }
        }
        for (namespace, labels) in [
            ("one", vec![("app", "app-1")]),
            ("one", vec![("app", "app-0"), ("tier", "front")]),
            ("two", vec![("app", "app-2")]),
            ("two", Vec::new()),
            ("three", Vec::new()),
        ] {
            let selector = Selector::from_labels(&labels.into_iter().collect());
            let found: Vec<ClassId> = cache.placed_matching(&namespace.into(), &selector).collect();
            let plain = cache.placed_classes().filter(|class| {
                let class = cache.class(*class);
                class.namespace.as_ref() == namespace && selector.matches(&class.labels)
            });
            assert_eq!(found, plain.collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn the_index_says_what_a_look_at_all_nodes_says(
            steps in prop::collection::vec((0usize..6, 0usize..5, 0usize..6, 0usize..4), 1..60),
            counted_from in 0usize..60,
        ) {
            let mut cache = Cache::new([HOSTNAME_LABEL.into(), ZONE_LABEL.into()]);
            let classes = classes(&mut cache);
            let id = |slot: usize| NodeId::from_bits(slot as u64);
            let mut placed: Vec<(NodeId, PodId, ClassId)> = Vec::new();
            for slot in 0..5 {
                cache.add_node(id(slot), &node(slot, slot % 3));
            }
            for (number, (verb, slot, class, zone)) in steps.into_iter().enumerate() {
                let at = id(slot);
                let some_pod = placed.get(class * 7 % placed.len().max(1)).copied();
                match (verb, some_pod) {
                    (0, _) => cache.update_node(at, &node(slot, zone)),
                    (1, _) => {
                        cache.remove_node(at);
                        placed.retain(|(node, ..)| *node != at);
                        cache.add_node(at, &node(slot, zone));
                    }
                    (2, Some((node, pod, _))) => cache.set_terminating(node, pod),
                    (3, Some((node, pod, class))) => {
                        cache.remove_pod(node, pod, class);
                        placed.retain(|(_, other, _)| *other != pod);
                    }
                    _ => {
                        let pod = PodId::from_bits(1000 + number as u64);
                        let (class, devices) = (classes[class], DeviceSet::NONE);
                        let is_terminating = zone == 3;
                        let one = PlacedPod { id: Some(pod), class, is_terminating, devices };
                        cache.add_pod(at, one);
                        placed.push((at, pod, class));
                    }
                }
                if number >= counted_from {
                    cache.count_by_node();
                }
                check(&cache, &classes);
            }
        }
    }
}
