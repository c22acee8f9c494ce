//! The next event of each pod: an 8-ary tournament tree over the pods. Each pod has one entry, which moves, so there
//! are no stale entries. Independent of the meaning of the events.

use engine::SimTime;

/// Children per node: more make the tree shallower, but each level more expensive.
const WIDTH: usize = 8;

/// The next event of each pod, by the position of the pod in its table.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    /// A complete tree. Node 0 is the root, node `n` has the children `8n + 1` to `8n + 8`; each node of the last level
    /// covers eight pods.
    nodes: Vec<Node>,
    /// The first node of the last level.
    last_level: usize,
    /// Time of the next event of each pod.
    due: Vec<SimTime>,
    /// The pod with the earliest event.
    first_pod: u32,
}

/// The earliest event below each of eight children: time and pod.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    keys: [Key; WIDTH],
    pods: [u32; WIDTH],
}

/// A time combined with the index of a child, so that the minimum of eight keys gives both without a branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Calendar {
    /// Time of the earliest event; [`SimTime::MAX`] if there is none.
    #[inline]
    pub fn first(&self) -> SimTime {
        self.due.get(self.first_pod()).copied().unwrap_or(SimTime::MAX)
    }

    /// The pod with that event; ties go to the first in the table.
    #[inline]
    pub(crate) const fn first_pod(&self) -> usize {
        self.first_pod as usize
    }

    /// Sets the time of this pod's only event to `at`; [`SimTime::MAX`] = none.
    #[inline]
    pub fn set(&mut self, position: usize, at: SimTime) {
        if position >= self.due.len() {
            self.grow(position);
        }
        if self.due[position] != at {
            self.due[position] = at;
            self.play(position, at);
        }
    }

    /// Propagates a pod's key towards the root, as far as it changes anything.
    #[inline]
    fn play(&mut self, position: usize, at: SimTime) {
        let (mut instant, mut pod) = (Key::instant_of(at), u32::try_from(position).unwrap_or(0));
        let (mut node, mut child) = (self.last_level + position / WIDTH, position % WIDTH);
        while let Some(row) = self.nodes.get_mut(node) {
            let key = Key::new(instant, child);
            if row.keys[child] == key && row.pods[child] == pod {
                return;
            }
            row.keys[child] = key;
            row.pods[child] = pod;
            (instant, pod) = row.first();
            if node == 0 {
                self.first_pod = pod;
                return;
            }
            (node, child) = ((node - 1) / WIDTH, (node - 1) % WIDTH);
        }
    }

    #[cold]
    fn grow(&mut self, position: usize) {
        let known = std::mem::take(self);
        let mut wide = 1;
        while WIDTH * wide <= position {
            self.last_level += wide;
            wide *= WIDTH;
        }
        self.nodes.resize(self.last_level + wide, Node::default());
        self.due = known.due;
        self.due.resize(WIDTH * wide, SimTime::MAX);
        for pod in 0..self.due.len() {
            self.play(pod, self.due[pod]);
        }
    }
}

impl Node {
    /// The earliest time, and its pod.
    #[inline]
    fn first(&self) -> (u64, u32) {
        let [one, two, three, four, five, six, seven, eight] = self.keys;
        let (low, high) = (one.min(two).min(three.min(four)), five.min(six).min(seven.min(eight)));
        let first = low.min(high);
        (first.instant(), self.pods[first.child()])
    }
}

impl Key {
    /// Times below this are exact. Later ones (36 years of simulated time) are truncated to 8 ns, to leave room for the
    /// child.
    const EXACT: u64 = 1 << 60;

    /// The time part of a key for `at`.
    #[inline]
    fn instant_of(at: SimTime) -> u64 {
        let nanos = at.as_nanos().max(0).unsigned_abs();
        if nanos < Self::EXACT { nanos } else { Self::EXACT + (nanos - Self::EXACT) / 8 }
    }

    #[inline]
    const fn new(instant: u64, child: usize) -> Self {
        Self(instant * WIDTH as u64 + child as u64)
    }

    #[inline]
    const fn instant(self) -> u64 {
        self.0 / WIDTH as u64
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a child's number is below eight")]
    const fn child(self) -> usize {
        self.0 as usize % WIDTH
    }
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
                // 19 means no event.
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
