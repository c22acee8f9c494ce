//! Ordered sets of ids.

use super::table::Id;

/// An ordered set of ids. Optimized for tens or hundreds of related rows, whose ids are thus contiguous in memory.
#[derive(Debug)]
pub struct IdSet<T> {
    ids: Vec<Id<T>>,
}

impl<T> IdSet<T> {
    /// Adds an id; no effect if it is present.
    pub fn insert(&mut self, id: Id<T>) {
        // New rows often have the largest id.
        if self.ids.last().is_none_or(|last| *last < id) {
            self.ids.push(id);
        } else if let Err(place) = self.ids.binary_search(&id) {
            self.ids.insert(place, id);
        }
    }

    /// Removes an id, if present.
    pub fn remove(&mut self, id: Id<T>) {
        if let Ok(place) = self.ids.binary_search(&id) {
            self.ids.remove(place);
        }
    }

    /// Removes all ids.
    pub fn clear(&mut self) {
        self.ids.clear();
    }

    /// All ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Id<T>> {
        self.ids.iter().copied()
    }
}

// Implemented manually because a derive would require `T: Clone`.
impl<T> Clone for IdSet<T> {
    fn clone(&self) -> Self {
        Self { ids: self.ids.clone() }
    }
}

impl<T> Default for IdSet<T> {
    fn default() -> Self {
        Self { ids: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_of_ids_has_what_a_tree_has_in_its_order(
            steps in prop::collection::vec((any::<bool>(), 0u64..40), 0..200),
        ) {
            let (mut set, mut tree) = (IdSet::<()>::default(), BTreeSet::new());
            for (adds, bits) in steps {
                let id = Id::from_bits(bits << 31);
                if adds {
                    set.insert(id);
                    tree.insert(id);
                } else {
                    set.remove(id);
                    tree.remove(&id);
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), tree.iter().copied().collect::<Vec<_>>());
            }
            set.clear();
            prop_assert_eq!(set.iter().count(), 0);
        }
    }
}
