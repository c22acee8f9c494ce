//! When something is due in each pod: a tournament among the pods. A pod has one entry, which moves, so
//! that nothing is entered that is not due any more. Knows nothing of what happens then.

use std::hint::select_unpredictable;

use crate::engine::SimTime;

/// The next event of each pod, by the position of the pod in its table.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    /// A complete binary tree: node 1 is the root, node `n` has the children `2n` and `2n + 1`, and each
    /// holds the first of them. The second half are the leaves, one for each position.
    nodes: Vec<Entry>,
}

/// When something is due, and in which pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Nanoseconds.
    at: i64,
    position: u32,
}

impl Calendar {
    /// The first instant at which something is due, and the pod in which it is; [`SimTime::MAX`] if
    /// nothing is. Of two pods at one instant the first in the table is first.
    #[inline]
    pub fn first(&self) -> (SimTime, u32) {
        let root = self.nodes.get(1);
        root.map_or((SimTime::MAX, 0), |root| (SimTime::from_nanos(root.at), root.position))
    }

    /// Something is due in this pod at `at` and at no other time; [`SimTime::MAX`] = nothing is.
    #[inline]
    pub fn set(&mut self, position: u32, at: SimTime) {
        let at = at.as_nanos();
        let mut node = self.nodes.len() / 2 + position as usize;
        if node >= self.nodes.len() {
            self.grow(position);
            node = self.nodes.len() / 2 + position as usize;
        }
        let nodes = self.nodes.as_mut_slice();
        if nodes[node].at == at {
            return;
        }
        let mut first = Entry { at, position };
        nodes[node] = first;
        while node > 1 {
            first = first_of(first, nodes[node ^ 1], node);
            node /= 2;
            if nodes[node] == first {
                // Nothing changes from here to the root.
                break;
            }
            nodes[node] = first;
        }
    }

    #[cold]
    fn grow(&mut self, position: u32) {
        let known = self.nodes.split_off(self.nodes.len() / 2);
        let leaves = (position as usize + 1).next_power_of_two().max(2);
        let leaf = |position| Entry { at: SimTime::MAX.as_nanos(), position };
        self.nodes.clear();
        self.nodes.resize(leaves, leaf(0));
        self.nodes.extend((0..).map(leaf).take(leaves));
        self.nodes[leaves..].iter_mut().zip(known).for_each(|(leaf, known)| *leaf = known);
        for node in (1..leaves).rev() {
            self.nodes[node] = first_of(self.nodes[2 * node], self.nodes[2 * node + 1], 2 * node);
        }
    }
}

/// The first of the entry of a node and that of its sibling. Of equals it is the left one, whose number
/// is even. Which one it is cannot be foretold, so that a jump would cost more than to look at both.
#[inline]
fn first_of(entry: Entry, sibling: Entry, node: usize) -> Entry {
    let is_right = i64::from(node % 2 == 1);
    let is_sibling = sibling.at - is_right < entry.at;
    Entry {
        at: select_unpredictable(is_sibling, sibling.at, entry.at),
        position: select_unpredictable(is_sibling, sibling.position, entry.position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_due_at_first() {
        assert_eq!(Calendar::default().first().0, SimTime::MAX);
    }

    proptest! {
        #[test]
        fn the_earliest_is_first_and_of_equals_the_first_pod(
            moves in prop::collection::vec((0u32..40, 0i64..20), 1..200),
        ) {
            let mut calendar = Calendar::default();
            let mut expected = [SimTime::MAX; 40];
            for (position, at) in moves {
                // 19 stands for never.
                let at = if at == 19 { SimTime::MAX } else { SimTime::from_secs(at) };
                calendar.set(position, at);
                expected[position as usize] = at;
                let first = expected.iter().zip(0u32..).min().map(|(at, position)| (*at, position));
                let found = calendar.first();
                prop_assert_eq!(Some(found.0), first.map(|(at, _)| at));
                prop_assert!(found.0 == SimTime::MAX || Some(found) == first);
            }
        }
    }
}
