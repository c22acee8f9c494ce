//! The order in which nodes are examined: round-robin over the zones (`backend/cache/node_tree.go`).

use cluster::node::{REGION_LABEL, ZONE_LABEL};
use cluster::{Labels, Name};

/// The nodes (slots) by zone, zones and nodes in the order of their appearance.
#[derive(Clone, Debug, Default)]
pub struct NodeOrder {
    zones: Vec<(Zone, Vec<usize>)>,
}

/// The zone label before 1.17, used if the current one is missing.
const OLD_ZONE_LABEL: &str = "failure-domain.beta.kubernetes.io/zone";
/// The label that stood for the region before 1.17.
const OLD_REGION_LABEL: &str = "failure-domain.beta.kubernetes.io/region";

/// Region and zone of a node (`GetZoneKey`); none is as good as an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Zone {
    region: Option<Name>,
    zone: Option<Name>,
}

impl Zone {
    fn of(labels: &Labels) -> Self {
        let value = |label: &str, old: &str| {
            let value = labels.get(label).or_else(|| labels.get(old));
            value.filter(|value| !value.is_empty()).cloned()
        };
        Self {
            region: value(REGION_LABEL, OLD_REGION_LABEL),
            zone: value(ZONE_LABEL, OLD_ZONE_LABEL),
        }
    }
}

impl NodeOrder {
    /// Adds a node at the end of its zone.
    pub fn add(&mut self, node: usize, labels: &Labels) {
        let zone = Zone::of(labels);
        match self.zones.iter_mut().find(|(known, _)| *known == zone) {
            Some((_, nodes)) => nodes.push(node),
            None => self.zones.push((zone, vec![node])),
        }
    }

    /// Takes a node out.
    pub fn remove(&mut self, node: usize, labels: &Labels) {
        let zone = Zone::of(labels);
        let Some(at) = self.zones.iter().position(|(known, _)| *known == zone) else { return };
        self.zones[at].1.retain(|one| *one != node);
        if self.zones[at].1.is_empty() {
            self.zones.remove(at);
        }
    }

    /// Whether labels that changed move a node to another zone.
    pub fn moves(before: &Labels, after: &Labels) -> bool {
        Zone::of(before) != Zone::of(after)
    }

    /// All nodes: the first of each zone, then the second of each, and so on.
    pub fn list(&self) -> Vec<usize> {
        let longest = self.zones.iter().map(|(_, nodes)| nodes.len()).max().unwrap_or(0);
        let rounds = 0..longest;
        let round = |number| self.zones.iter().filter_map(move |(_, nodes)| nodes.get(number));
        rounds.flat_map(round).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_take_turns() {
        let mut order = NodeOrder::default();
        let zone = |name: &'static str| [(ZONE_LABEL, name)].into_iter().collect::<Labels>();
        for (node, name) in [(0, "a"), (1, "a"), (2, "b"), (3, "a")] {
            order.add(node, &zone(name));
        }
        assert_eq!(order.list(), [0, 2, 1, 3]);
        order.remove(0, &zone("a"));
        assert_eq!(order.list(), [1, 2, 3]);
        assert!(NodeOrder::moves(&zone("a"), &zone("b")));
    }

    #[test]
    fn the_old_label_of_a_zone_counts_where_the_new_one_is_missing() {
        let labels =
            |pairs: &[(&'static str, &'static str)]| -> Labels { pairs.iter().copied().collect() };
        let new = labels(&[(ZONE_LABEL, "a"), (OLD_ZONE_LABEL, "b")]);
        assert!(!NodeOrder::moves(&new, &labels(&[(OLD_ZONE_LABEL, "a")])));
        assert!(NodeOrder::moves(&new, &labels(&[(OLD_ZONE_LABEL, "b")])));
        assert!(!NodeOrder::moves(&labels(&[(ZONE_LABEL, "")]), &Labels::default()));
    }
}
