//! Dense tables with typed ids that go stale when their row is removed.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// The key of a row in a [`Table`]: an index and the generation of the slot.
///
/// A key whose row was removed never finds the row that took the slot later.
pub struct Id<T> {
    index: u32,
    generation: u32,
    row: PhantomData<fn() -> T>,
}

/// A growing table of rows with stable ids; the slots of removed rows are reused.
///
/// Iteration is in slot order, which depends only on the history of insertions and removals.
#[derive(Clone, Debug)]
pub struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    generation: u32,
    row: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Table<T> {
    /// Adds a row and returns its id.
    #[inline]
    pub fn insert(&mut self, row: T) -> Id<T> {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.row = Some(row);
            return Id { index, generation: slot.generation, row: PhantomData };
        }
        let index = u32::try_from(self.slots.len()).expect("a table holds fewer than 2^32 rows");
        self.slots.push(Slot { generation: 0, row: Some(row) });
        Id { index, generation: 0, row: PhantomData }
    }

    /// The id that the next row to be added gets.
    #[inline]
    pub fn next_id(&self) -> Id<T> {
        let index = self.free.last().copied();
        let index = index.unwrap_or_else(|| u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        Id { index, generation, row: PhantomData }
    }

    /// Removes a row; its id no longer resolves.
    #[inline]
    pub fn remove(&mut self, id: Id<T>) -> Option<T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let row = slot.row.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        self.len -= 1;
        Some(row)
    }

    /// The row with this id, if it still exists.
    #[inline]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation == id.generation { slot.row.as_ref() } else { None }
    }

    /// Mutable access to the row with this id, if it still exists.
    #[inline]
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation == id.generation { slot.row.as_mut() } else { None }
    }

    /// The id of the row in a slot, if occupied.
    #[inline]
    pub fn id_at(&self, index: usize) -> Option<Id<T>> {
        let slot = self.slots.get(index)?;
        slot.row.as_ref()?;
        let index = u32::try_from(index).ok()?;
        Some(Id { index, generation: slot.generation, row: PhantomData })
    }

    /// Mutable access to the row in a slot, with its id, if occupied.
    #[inline]
    pub fn at_mut(&mut self, index: u32) -> Option<(Id<T>, &mut T)> {
        let slot = self.slots.get_mut(index as usize)?;
        let id = Id { index, generation: slot.generation, row: PhantomData };
        slot.row.as_mut().map(|row| (id, row))
    }

    /// True if the row with this id still exists.
    #[inline]
    pub fn contains(&self, id: Id<T>) -> bool {
        self.get(id).is_some()
    }

    /// All rows with their ids, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        self.slots.iter().zip(0u32..).filter_map(|(slot, index)| {
            let row = slot.row.as_ref()?;
            Some((Id { index, generation: slot.generation, row: PhantomData }, row))
        })
    }

    /// All rows, in slot order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.row.as_ref())
    }

    /// Mutable access to all rows, in slot order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| slot.row.as_mut())
    }

    /// Number of rows.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One more than the largest index in use: the length of a side table indexed by [`Id::index`].
    pub const fn capacity(&self) -> usize {
        self.slots.len()
    }
}

impl<T> std::ops::Index<Id<T>> for Table<T> {
    type Output = T;
    fn index(&self, id: Id<T>) -> &T {
        self.get(id).expect("an id that is held refers to a row that exists")
    }
}

impl<T> std::ops::IndexMut<Id<T>> for Table<T> {
    fn index_mut(&mut self, id: Id<T>) -> &mut T {
        self.get_mut(id).expect("an id that is held refers to a row that exists")
    }
}

impl<T> Id<T> {
    /// The slot's index: dense, reused after a removal.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// [`Self::index`] in its stored width.
    pub const fn position(self) -> u32 {
        self.index
    }

    /// Index and generation in one word, for digests and for order.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The id of [`Self::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "each half is taken on purpose")]
        Self { index: bits as u32, generation: (bits >> 32) as u32, row: PhantomData }
    }
}

// Implemented manually because a derive would require `T: Clone`.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_does_not_find_the_next_tenant_of_its_slot() {
        let mut table = Table::default();
        let first = table.insert("first");
        assert_eq!(table.remove(first), Some("first"));
        let second = table.insert("second");
        assert_eq!(first.index(), second.index());
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table[second], "second");
        assert_eq!(table.len(), 1);
    }
}
