//! When something is due in each pod: a tournament among the pods, eight at a time. A pod has one entry, which moves, so
//! that nothing is entered that is not due any more. Knows nothing of what happens then.

use crate::engine::SimTime;

/// Children of a node: more make the way to the root shorter, and each step of it longer.
const WIDTH: usize = 8;

type Node = [SimTime; WIDTH];

/// The next event of each pod, by the position of the pod in its table.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    /// A complete tree whose nodes have eight children each: the instants of the eight, the earliest of
    /// which stands in the node's parent. Node 0 is the root, node `n` has the children `8n + 1` to
    /// `8n + 8`; those of the last level are of eight pods each.
    nodes: Vec<Node>,
    /// The first node of the last level.
    last_level: usize,
}

impl Calendar {
    /// The first instant at which something is due; [`SimTime::MAX`] if nothing is.
    #[inline]
    pub fn first(&self) -> SimTime {
        self.nodes.first().map_or(SimTime::MAX, earliest)
    }

    /// The pod in which it is due then; of several the first in the table.
    #[inline]
    pub fn first_pod(&self) -> usize {
        let (first, mut node) = (self.first(), 0);
        while let Some(instants) = self.nodes.get(node) {
            // All are looked at, as which of the eight it is cannot be foretold.
            let mut found = 0u32;
            for (child, at) in instants.iter().enumerate() {
                found |= u32::from(*at == first) << child;
            }
            let child = found.trailing_zeros() as usize % WIDTH;
            if node >= self.last_level {
                return WIDTH * (node - self.last_level) + child;
            }
            node = WIDTH * node + 1 + child;
        }
        0
    }

    /// Something is due in this pod at `at` and at no other time; [`SimTime::MAX`] = nothing is.
    #[inline]
    pub fn set(&mut self, position: usize, at: SimTime) {
        if self.last_level + position / WIDTH >= self.nodes.len() {
            self.grow(position);
        }
        let (mut node, mut child) = (self.last_level + position / WIDTH, position % WIDTH);
        let mut first = at;
        // Up to the root, or to where nothing changes.
        while let Some(instants) = self.nodes.get_mut(node) {
            let known = &mut instants[child % WIDTH];
            if *known == first {
                break;
            }
            *known = first;
            if node == 0 {
                break;
            }
            first = earliest(instants);
            (node, child) = ((node - 1) / WIDTH, (node - 1) % WIDTH);
        }
    }

    #[cold]
    fn grow(&mut self, position: usize) {
        let known = self.nodes.split_off(self.last_level.min(self.nodes.len()));
        let mut wide = 1;
        self.last_level = 0;
        while WIDTH * wide <= position {
            self.last_level += wide;
            wide *= WIDTH;
        }
        self.nodes.clear();
        self.nodes.resize(self.last_level + wide, [SimTime::MAX; WIDTH]);
        for (node, known) in self.nodes[self.last_level..].iter_mut().zip(known) {
            *node = known;
        }
        for node in (1..self.nodes.len()).rev() {
            self.nodes[(node - 1) / WIDTH][(node - 1) % WIDTH] = earliest(&self.nodes[node]);
        }
    }
}

#[inline]
fn earliest(instants: &Node) -> SimTime {
    let [one, two, three, four, five, six, seven, eight] = *instants;
    let (low, high) = (one.min(two).min(three.min(four)), five.min(six).min(seven.min(eight)));
    low.min(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_due_at_first() {
        assert_eq!(Calendar::default().first(), SimTime::MAX);
    }

    proptest! {
        #[test]
        fn the_earliest_is_first_and_of_equals_the_first_pod(
            moves in prop::collection::vec((0usize..100, 0i64..20), 1..300),
        ) {
            let mut calendar = Calendar::default();
            let mut expected = [SimTime::MAX; 100];
            for (position, at) in moves {
                // 19 stands for never.
                let at = if at == 19 { SimTime::MAX } else { SimTime::from_secs(at) };
                calendar.set(position, at);
                expected[position] = at;
                let first = expected.iter().zip(0..).min().map(|(at, position)| (*at, position));
                let found = (calendar.first(), calendar.first_pod());
                prop_assert_eq!(Some(found.0), first.map(|(at, _)| at));
                prop_assert!(found.0 == SimTime::MAX || Some(found) == first);
            }
        }
    }
}
