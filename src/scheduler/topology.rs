//! Topology domains as small numbers: every label key that some pod's affinity or spread names gets
//! a number, and every value of it a domain, so that counting pods per domain is indexing.

use rustc_hash::FxHashMap;

use cluster::{Labels, Name};

/// A registered topology key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopologyKey(u16);

impl TopologyKey {
    /// The key of a position in [`Domains`].
    pub(super) fn of_index(index: usize) -> Self {
        Self(u16::try_from(index).expect("manifests name fewer than 2^16 keys"))
    }

    /// The key's position in [`Domains`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One value of a topology key: a zone, a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(u32);

impl Domain {
    /// Dense per key; reused after the last node of a domain is removed.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The domains of a node, by [`TopologyKey`]; `None` where it lacks the label.
pub type Domains = Vec<Option<Domain>>;

/// All registered keys with their domains.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    keys: Vec<KeyDomains>,
}

#[derive(Clone, Debug, Default)]
struct KeyDomains {
    key: Name,
    /// Lookups only, never iterated.
    by_value: FxHashMap<Name, Domain>,
    /// Number of nodes in each domain.
    nodes: Vec<u32>,
    /// By the node's slot.
    by_slot: Vec<Option<Domain>>,
    /// Number of nodes with the key.
    members: usize,
    /// Domains without nodes.
    free: Vec<Domain>,
}

impl Topology {
    /// The number of a key, and whether it is new: then every node needs [`Self::enter`] for it.
    pub fn register(&mut self, key: &Name) -> (TopologyKey, bool) {
        if let Some(known) = self.find(key) {
            return (known, false);
        }
        let number = u16::try_from(self.keys.len()).expect("manifests name fewer than 2^16 keys");
        self.keys.push(KeyDomains { key: key.clone(), ..KeyDomains::default() });
        (TopologyKey(number), true)
    }

    /// The number of a key, if it is registered.
    pub fn find(&self, key: &str) -> Option<TopologyKey> {
        let found = self.keys.iter().position(|known| known.key.as_ref() == key)?;
        u16::try_from(found).ok().map(TopologyKey)
    }

    /// The domain of a value of a key, if any node has it.
    pub(crate) fn domain_of(&self, key: TopologyKey, value: &str) -> Option<Domain> {
        self.keys[key.index()].by_value.get(value).copied()
    }

    /// Largest number of domains that a key has had: the length of an array indexed by [`Domain`].
    pub fn size(&self, key: TopologyKey) -> usize {
        self.keys[key.index()].nodes.len()
    }

    /// Number of nodes in each domain of a key.
    pub(crate) fn nodes_by_domain(&self, key: TopologyKey) -> &[u32] {
        &self.keys[key.index()].nodes
    }

    /// Number of nodes with a key.
    pub(crate) fn nodes_with(&self, key: TopologyKey) -> usize {
        self.keys[key.index()].members
    }

    /// The domains of all nodes by their slots; nodes beyond the end have none.
    pub(crate) fn by_slot(&self, key: TopologyKey) -> &[Option<Domain>] {
        &self.keys[key.index()].by_slot
    }

    /// The domain of the node in a slot.
    pub(crate) fn domain_at(&self, key: TopologyKey, slot: usize) -> Option<Domain> {
        self.by_slot(key).get(slot).copied().flatten()
    }

    /// Counts the node of a slot in, with these labels, for the keys that its `domains` do not cover yet.
    pub fn enter(&mut self, slot: usize, labels: &Labels, domains: &mut Domains) {
        for key in &mut self.keys[domains.len()..] {
            let domain = labels.get(&key.key).map(|value| key.enter(value));
            domains.push(domain);
            if key.by_slot.len() <= slot {
                key.by_slot.resize(slot + 1, None);
            }
            key.by_slot[slot] = domain;
        }
    }

    /// Counts the node of a slot out.
    pub fn leave(&mut self, slot: usize, labels: &Labels, domains: &Domains) {
        for (key, domain) in self.keys.iter_mut().zip(domains) {
            if let Some(of_slot) = key.by_slot.get_mut(slot) {
                *of_slot = None;
            }
            if let Some(domain) = *domain {
                key.members -= 1;
                key.nodes[domain.index()] -= 1;
                if key.nodes[domain.index()] == 0 {
                    key.free.push(domain);
                    if let Some(value) = labels.get(&key.key) {
                        key.by_value.remove(value);
                    }
                }
            }
        }
    }
}

impl KeyDomains {
    fn enter(&mut self, value: &Name) -> Domain {
        let domain = *self.by_value.entry(value.clone()).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                let next = u32::try_from(self.nodes.len()).expect("fewer domains than nodes");
                self.nodes.push(0);
                Domain(next)
            })
        });
        self.members += 1;
        self.nodes[domain.index()] += 1;
        domain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_used_again_after_its_last_node_left() {
        let mut topology = Topology::default();
        let (zone, is_new) = topology.register(&"zone".into());
        assert!(is_new);
        let labels = |value: &'static str| [("zone", value)].into_iter().collect::<Labels>();
        let mut first = Domains::new();
        topology.enter(0, &labels("a"), &mut first);
        let mut second = Domains::new();
        topology.enter(1, &labels("b"), &mut second);
        assert_ne!(first[zone.index()], second[zone.index()]);
        topology.leave(0, &labels("a"), &first);
        let mut third = Domains::new();
        topology.enter(0, &labels("c"), &mut third);
        assert_eq!(first[zone.index()], third[zone.index()]);
        assert_eq!(topology.by_slot(zone), [third[zone.index()], second[zone.index()]]);
        assert_eq!(topology.size(zone), 2);
        let mut none = Domains::new();
        topology.enter(2, &Labels::default(), &mut none);
        assert_eq!(none, [None]);
    }
}
