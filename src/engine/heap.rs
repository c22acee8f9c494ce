//! A binary heap with its first entry on top. Optimized for a handful of entries that come and go constantly, for
//! which the standard library's heap sifts all the way to the bottom and back.

use super::time::SimTime;

/// Entries with an order among them.
pub trait HeapOrder: Copy {
    /// Whether this one leaves a heap before another.
    fn is_before(&self, other: &Self) -> bool;
}

/// A heap in which the order of equal entries depends only on the history of pushes and pops.
#[derive(Clone, Debug)]
pub struct Heap<T> {
    /// Entry `n` is not after `2n + 1` and `2n + 2`.
    entries: Vec<T>,
}

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Heap<T> {
    /// No entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The entry that leaves first.
    #[inline]
    pub fn first(&self) -> Option<&T> {
        self.entries.first()
    }

    /// Number of entries.
    #[inline]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries, in unspecified order.
    pub fn entries(&self) -> &[T] {
        &self.entries
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

impl<T: HeapOrder> Heap<T> {
    /// Adds an entry.
    #[inline]
    pub fn push(&mut self, entry: T) {
        let mut hole = self.entries.len();
        self.entries.push(entry);
        while hole > 0 {
            let parent = (hole - 1) / 2;
            if !entry.is_before(&self.entries[parent]) {
                break;
            }
            self.entries[hole] = self.entries[parent];
            hole = parent;
        }
        self.entries[hole] = entry;
    }

    /// Takes the first entry.
    #[expect(clippy::inline_always, reason = "on the path of every request")]
    #[inline(always)]
    pub fn pop(&mut self) -> Option<T> {
        let last = self.entries.pop()?;
        let Some(first) = self.entries.first().copied() else { return Some(last) };
        self.replace_first(last);
        Some(first)
    }

    /// Replaces the first entry; does nothing on an empty heap.
    #[inline]
    pub fn replace_first(&mut self, entry: T) {
        let entries = self.entries.as_mut_slice();
        let mut hole = 0;
        loop {
            let mut child = 2 * hole + 1;
            let Some(mut next) = entries.get(child) else { break };
            if let Some(right) = entries.get(child + 1)
                && right.is_before(next)
            {
                (next, child) = (right, child + 1);
            }
            if !next.is_before(&entry) {
                break;
            }
            entries[hole] = *next;
            hole = child;
        }
        if let Some(place) = entries.get_mut(hole) {
            *place = entry;
        }
    }

    /// Takes all entries, in order.
    pub fn take_sorted(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

impl HeapOrder for SimTime {
    #[inline]
    fn is_before(&self, other: &Self) -> bool {
        self < other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl HeapOrder for u8 {
        fn is_before(&self, other: &Self) -> bool {
            self < other
        }
    }

    proptest! {
        #[test]
        fn entries_leave_in_order_however_they_came(
            // `None` stands for a pop.
            steps in prop::collection::vec(prop::option::of(0u8..20), 0..200),
        ) {
            let mut heap = Heap::new();
            let mut expected = Vec::new();
            for step in steps {
                if let Some(entry) = step {
                    heap.push(entry);
                    expected.push(entry);
                    expected.sort_unstable();
                } else if expected.is_empty() {
                    prop_assert_eq!(heap.pop(), None);
                } else {
                    prop_assert_eq!(heap.pop(), Some(expected.remove(0)));
                }
                prop_assert_eq!((heap.first(), heap.len()), (expected.first(), expected.len()));
            }
            if let Some(first) = expected.first_mut() {
                *first = 7;
                heap.replace_first(7);
                expected.sort_unstable();
            }
            prop_assert_eq!(heap.take_sorted(), expected);
            prop_assert!(heap.is_empty());
        }
    }
}
