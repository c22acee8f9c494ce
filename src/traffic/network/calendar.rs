//! When something is due in each pod: a tournament among the pods, four at a time. A pod has one entry, which moves, so
//! that nothing is entered that is not due any more. Knows nothing of what happens then.

use crate::engine::SimTime;

/// The next event of each pod, by the position of the pod in its table.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    /// A complete tree whose nodes have four children each: the instants of the four, the earliest of
    /// which stands in the node's parent. Node 0 is the root, node `n` has the children `4n + 1` to
    /// `4n + 4`; those of the last level are of four pods each.
    nodes: Vec<[SimTime; 4]>,
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
        while let Some([one, two, three, _]) = self.nodes.get(node) {
            // Counted, as which of the four it is cannot be foretold.
            let later = |at: &SimTime| usize::from(*at != first);
            let child = later(one) * (1 + later(two) * (1 + later(three)));
            if node >= self.last_level {
                return 4 * (node - self.last_level) + child;
            }
            node = 4 * node + 1 + child;
        }
        0
    }

    /// Something is due in this pod at `at` and at no other time; [`SimTime::MAX`] = nothing is.
    #[inline]
    pub fn set(&mut self, position: usize, at: SimTime) {
        let (mut node, mut child) = (self.last_level + position / 4, position % 4);
        if node >= self.nodes.len() {
            self.grow(position);
            node = self.last_level + position / 4;
        }
        let mut first = at;
        // Up to the root, or to where nothing changes.
        while self.nodes[node][child] != first {
            self.nodes[node][child] = first;
            if node == 0 {
                break;
            }
            first = earliest(&self.nodes[node]);
            node -= 1;
            child = node % 4;
            node /= 4;
        }
    }

    #[cold]
    fn grow(&mut self, position: usize) {
        let known = self.nodes.split_off(self.last_level.min(self.nodes.len()));
        let mut wide = 1;
        self.last_level = 0;
        while 4 * wide <= position {
            self.last_level += wide;
            wide *= 4;
        }
        self.nodes.clear();
        self.nodes.resize(self.last_level + wide, [SimTime::MAX; 4]);
        for (node, known) in self.nodes[self.last_level..].iter_mut().zip(known) {
            *node = known;
        }
        for node in (1..self.nodes.len()).rev() {
            self.nodes[(node - 1) / 4][(node - 1) % 4] = earliest(&self.nodes[node]);
        }
    }
}

#[inline]
fn earliest([one, two, three, four]: &[SimTime; 4]) -> SimTime {
    (*one).min(*two).min((*three).min(*four))
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
            moves in prop::collection::vec((0usize..40, 0i64..20), 1..200),
        ) {
            let mut calendar = Calendar::default();
            let mut expected = [SimTime::MAX; 40];
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
