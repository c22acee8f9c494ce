//! When something is due in each pod: a tournament among the pods, eight at a time. A pod has one entry, which moves, so
//! that nothing is entered that is not due any more. Knows nothing of what happens then.

use engine::SimTime;

/// Children of a node: more make the way to the root shorter, and each step of it longer.
const WIDTH: usize = 8;

/// The next event of each pod, by the position of the pod in its table.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    /// A complete tree. Node 0 is the root, node `n` has the children `8n + 1` to `8n + 8`; those of the last
    /// level are of eight pods each.
    nodes: Vec<Node>,
    /// The first node of the last level.
    last_level: usize,
    /// When something is due in each pod.
    due: Vec<SimTime>,
    /// The pod in which something is due first.
    first_pod: u32,
}

/// What is first below each of eight children: when, and in which pod.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    keys: [Key; WIDTH],
    pods: [u32; WIDTH],
}

/// An instant and which of eight children has it: the least of eight keys tells both, without a branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Calendar {
    /// The first instant at which something is due; [`SimTime::MAX`] if nothing is.
    #[inline]
    pub fn first(&self) -> SimTime {
        self.due.get(self.first_pod()).copied().unwrap_or(SimTime::MAX)
    }

    /// The pod in which it is due then; of several the first in the table.
    #[inline]
    pub const fn first_pod(&self) -> usize {
        self.first_pod as usize
    }

    /// Something is due in this pod at `at` and at no other time; [`SimTime::MAX`] = nothing is.
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

    /// The matches of a pod, up to the last or to one that changes nothing.
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
    /// The first instant, and the pod that has it.
    #[inline]
    fn first(&self) -> (u64, u32) {
        let [one, two, three, four, five, six, seven, eight] = self.keys;
        let (low, high) = (one.min(two).min(three.min(four)), five.min(six).min(seven.min(eight)));
        let first = low.min(high);
        (first.instant(), self.pods[first.child()])
    }
}

impl Key {
    /// Instants below are exact. Later ones (36 years of simulated time) are cut to 8 ns, so that there is room
    /// for the child.
    const EXACT: u64 = 1 << 60;

    /// The instant of a key for `at`.
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
