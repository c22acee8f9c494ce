//! Sets of pods with frequent insertions that are only read as a whole.

use cluster::pod::PodId;

/// A bit set of pod slots: insertions in any order, iteration in the order in which the pods' data lie in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct PodSlots(Vec<u64>);

impl PodSlots {
    /// Adds the slot of a pod.
    pub(super) fn insert(&mut self, pod: PodId) {
        let word = pod.index() / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (pod.index() % 64);
    }

    /// Empties the set, slot by slot in ascending order.
    pub(super) fn take(&mut self, mut each: impl FnMut(usize)) {
        for (position, word) in self.0.iter_mut().enumerate() {
            let mut bits = std::mem::take(word);
            while bits != 0 {
                each(position * 64 + bits.trailing_zeros() as usize);
                // Clears the lowest set bit.
                bits &= bits - 1;
            }
        }
    }
}
