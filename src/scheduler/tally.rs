//! Number of pods of each class in each domain of a topology key, updated pod by pod so that no scan of all nodes is
//! needed. Only for keys used by the affinity or spreading of some pod.

use super::node_info::{ClassId, NodeInfo};
use super::topology::{Domain, TopologyKey};

/// The pods of one class in one domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Total number of pods.
    pub pods: u32,
    /// Number of terminating ones.
    pub terminating: u32,
}

impl Tally {
    /// Pods that are not terminating.
    pub const fn staying(self) -> i64 {
        (self.pods - self.terminating) as i64
    }
}

/// The pods of all classes, by domain.
#[derive(Clone, Debug, Default)]
pub struct Tallies {
    /// By topology key: whether it is counted.
    is_counted: Vec<bool>,
    /// By class, key and domain.
    counts: Vec<Vec<Vec<Tally>>>,
}

impl Tallies {
    /// Whether pods are counted by this key.
    pub fn is_counted(&self, key: TopologyKey) -> bool {
        self.is_counted.get(key.index()).copied().unwrap_or(false)
    }

    /// Counts pods by this key from now on; existing nodes must be [`Self::enter`]ed for it.
    pub fn count(&mut self, key: TopologyKey) {
        if self.is_counted.len() <= key.index() {
            self.is_counted.resize(key.index() + 1, false);
        }
        self.is_counted[key.index()] = true;
    }

    /// The pods of a class by domain; domains beyond the end have none.
    pub fn of(&self, class: ClassId, key: TopologyKey) -> &[Tally] {
        let counts = self.counts.get(class.index()).and_then(|keys| keys.get(key.index()));
        counts.map_or(&[], Vec::as_slice)
    }

    /// Counts the pods of a node in, by one key.
    pub fn enter(&mut self, node: &NodeInfo, key: TopologyKey) {
        let Some(domain) = node.domain(key) else { return };
        for count in &node.classes {
            let tally = self.at(count.class, key, domain);
            tally.pods += count.pods;
            tally.terminating += count.terminating;
        }
    }

    /// Counts the pods of a node in, by all keys.
    pub(crate) fn enter_all(&mut self, node: &NodeInfo) {
        for index in 0..self.is_counted.len() {
            if self.is_counted[index] {
                self.enter(node, TopologyKey::of_index(index));
            }
        }
    }

    /// Counts the pods of a node out, by all keys.
    pub(crate) fn leave_all(&mut self, node: &NodeInfo) {
        for count in &node.classes {
            self.change(node, count.class, |tally| {
                tally.pods -= count.pods;
                tally.terminating -= count.terminating;
            });
        }
    }

    /// Changes the counts of a class in all domains of a node.
    pub fn change(&mut self, node: &NodeInfo, class: ClassId, change: impl Fn(&mut Tally)) {
        for index in 0..self.is_counted.len() {
            if !self.is_counted[index] {
                continue;
            }
            let key = TopologyKey::of_index(index);
            if let Some(domain) = node.domain(key) {
                change(self.at(class, key, domain));
            }
        }
    }

    fn at(&mut self, class: ClassId, key: TopologyKey, domain: Domain) -> &mut Tally {
        if self.counts.len() <= class.index() {
            self.counts.resize_with(class.index() + 1, Vec::new);
        }
        let keys = &mut self.counts[class.index()];
        if keys.len() <= key.index() {
            keys.resize_with(key.index() + 1, Vec::new);
        }
        let domains = &mut keys[key.index()];
        if domains.len() <= domain.index() {
            domains.resize(domain.index() + 1, Tally::default());
        }
        &mut domains[domain.index()]
    }
}
