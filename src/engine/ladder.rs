//! A priority queue for very many entries, taken in order of time: a ladder of ever finer time slots (after Tang, Goh
//! and Thng, "Ladder queue", ACM TOMACS 2005). The cost of an entry hardly depends on how many others there are.

use std::collections::BinaryHeap;

use super::queue::Entry;
use super::time::SimTime;

/// A slot with more entries than this is divided before its entries are sorted.
const DIVIDE_ABOVE: usize = 48;
/// Average number of entries of a slot.
const PER_SLOT: usize = 8;
/// The sorted entries are divided again when they are more than this, and have doubled since they were taken.
const SPILL_ABOVE: usize = 192;
/// Marks the end of a list, and of the free cells.
const NONE: u32 = u32::MAX;

/// The queue.
#[derive(Clone, Debug)]
pub(super) struct Ladder<E> {
    /// Sorted: all entries up to `near_end`. Empty only if there are no entries.
    near: BinaryHeap<Entry<E>>,
    near_end: SimTime,
    /// Number of sorted entries when they were last taken from a slot.
    taken: usize,
    /// Time slots after `near_end`; each rung divides the slot before the next one of the rung before it.
    rungs: Vec<Rung>,
    /// The entries after all rungs, unsorted, with the range of their times.
    far: List,
    far_range: (SimTime, SimTime),
    /// The entries that are not sorted, in lists.
    cells: Vec<Cell<E>>,
    free: u32,
    len: usize,
}

/// Time slots of equal length.
#[derive(Clone, Debug)]
struct Rung {
    start: SimTime,
    /// The last instant of the last slot, which may be shorter than the others.
    last: SimTime,
    /// The length of a slot is 2 to the power of this, in nanoseconds.
    shift: u32,
    slots: Vec<List>,
    /// All slots before this one are empty.
    next: usize,
}

/// A list of cells.
#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    len: u32,
}

/// An entry of a list; a free cell has none.
#[derive(Clone, Debug)]
struct Cell<E> {
    entry: Option<Entry<E>>,
    next: u32,
}

impl List {
    const EMPTY: Self = Self { head: NONE, len: 0 };
}

impl Rung {
    /// Slots for this many entries in a range of times.
    fn new(start: SimTime, last: SimTime, entries: usize) -> Self {
        let span = nanos_between(start, last);
        let slots = (entries / PER_SLOT).max(2).next_power_of_two();
        let bits = u64::BITS - span.leading_zeros();
        let shift = bits.saturating_sub(slots.trailing_zeros());
        let used = usize::try_from(span >> shift).map_or(slots, |last| last + 1);
        Self { start, last, shift, slots: vec![List::EMPTY; used], next: 0 }
    }

    /// The position of the slot for a time not before the start; beyond the slots if it is later than all.
    fn place(&self, time: SimTime) -> usize {
        if time > self.last {
            return usize::MAX;
        }
        usize::try_from(nanos_between(self.start, time) >> self.shift).unwrap_or(usize::MAX)
    }

    /// The first and the last instant of a slot.
    fn bounds(&self, slot: usize) -> (SimTime, SimTime) {
        let begin = (slot as u64) << self.shift;
        let end = begin + ((1_u64 << self.shift) - 1);
        let at = |nanos: u64| {
            let nanos = i128::from(self.start.as_nanos()) + i128::from(nanos);
            SimTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
        };
        (at(begin), at(end).min(self.last))
    }
}

/// Nanoseconds from one time to a later one.
const fn nanos_between(from: SimTime, to: SimTime) -> u64 {
    to.as_nanos().wrapping_sub(from.as_nanos()).cast_unsigned()
}

impl<E> Default for Ladder<E> {
    fn default() -> Self {
        Self {
            near: BinaryHeap::new(),
            near_end: SimTime::from_nanos(i64::MIN),
            taken: 0,
            rungs: Vec::new(),
            far: List::EMPTY,
            far_range: (SimTime::ZERO, SimTime::ZERO),
            cells: Vec::new(),
            free: NONE,
            len: 0,
        }
    }
}

impl<E> Ladder<E> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The next entry.
    pub(super) fn peek(&self) -> Option<&Entry<E>> {
        self.near.peek()
    }

    pub(super) fn push(&mut self, entry: Entry<E>) {
        self.len += 1;
        let time = entry.time;
        if self.len == 1 {
            self.rungs.clear();
            self.near_end = time;
        }
        let is_small = self.len <= DIVIDE_ABOVE && self.rungs.is_empty() && self.far.len == 0;
        if time <= self.near_end || is_small {
            self.near_end = self.near_end.max(time);
            self.near.push(entry);
            if self.near.len() > SPILL_ABOVE.max(2 * self.taken) {
                self.spill();
            }
            return;
        }
        let cell = self.store(entry);
        for rung in self.rungs.iter_mut().rev() {
            let place = rung.place(time);
            if let Some(slot) = rung.slots.get_mut(place) {
                return link(&mut self.cells, slot, cell);
            }
        }
        let (first, last) = self.far_range;
        let is_first = self.far.len == 0;
        self.far_range = if is_first { (time, time) } else { (first.min(time), last.max(time)) };
        link(&mut self.cells, &mut self.far, cell);
    }

    pub(super) fn pop(&mut self) -> Option<Entry<E>> {
        let entry = self.near.pop()?;
        self.len -= 1;
        if self.near.is_empty() && self.len > 0 {
            self.refill();
        }
        Some(entry)
    }

    /// Sorts the entries of the next slot that has any.
    fn refill(&mut self) {
        loop {
            let Some(rung) = self.rungs.last_mut() else {
                let (first, last) = self.far_range;
                let far = std::mem::replace(&mut self.far, List::EMPTY);
                self.divide(far, first, last);
                continue;
            };
            let rest = &rung.slots[rung.next..];
            let Some(skipped) = rest.iter().position(|slot| slot.len > 0) else {
                self.rungs.pop();
                continue;
            };
            let place = rung.next + skipped;
            rung.next = place + 1;
            let list = std::mem::replace(&mut rung.slots[place], List::EMPTY);
            let (begin, end) = rung.bounds(place);
            if list.len as usize > DIVIDE_ABOVE && rung.shift > 0 {
                self.divide(list, begin, end);
                continue;
            }
            let mut sorted = std::mem::take(&mut self.near).into_vec();
            self.unlink(list, |entry| sorted.push(entry));
            self.near = sorted.into();
            self.taken = self.near.len();
            self.near_end = end;
            return;
        }
    }

    /// Puts the entries of a list, all between two times, into the slots of a new rung.
    fn divide(&mut self, list: List, first: SimTime, last: SimTime) {
        let mut rung = Rung::new(first, last, list.len as usize);
        let mut next = list.head;
        while next != NONE {
            let cell = next;
            let Cell { entry, next: following } = &self.cells[cell as usize];
            next = *following;
            let place = entry.as_ref().map_or(0, |entry| rung.place(entry.time));
            link(&mut self.cells, &mut rung.slots[place], cell);
        }
        self.rungs.push(rung);
        self.near_end = SimTime::from_nanos(first.as_nanos().saturating_sub(1));
    }

    /// Divides the sorted entries, of which there are too many.
    fn spill(&mut self) {
        let entries = std::mem::take(&mut self.near).into_vec();
        let times = entries.iter().map(|entry| entry.time);
        let first = times.min().unwrap_or(self.near_end);
        let mut list = List::EMPTY;
        for entry in entries {
            let cell = self.store(entry);
            link(&mut self.cells, &mut list, cell);
        }
        let end = self.near_end;
        self.divide(list, first, end);
        self.refill();
    }

    /// Puts an entry into a free cell.
    fn store(&mut self, entry: Entry<E>) -> u32 {
        if self.free == NONE {
            let number = u32::try_from(self.cells.len()).ok().filter(|number| *number != NONE);
            self.cells.push(Cell { entry: Some(entry), next: NONE });
            return number.expect("fewer than 2^32 events wait");
        }
        let number = self.free;
        let cell = &mut self.cells[number as usize];
        self.free = cell.next;
        *cell = Cell { entry: Some(entry), next: NONE };
        number
    }

    /// Takes all entries out of a list.
    fn unlink(&mut self, list: List, mut take: impl FnMut(Entry<E>)) {
        let mut number = list.head;
        while number != NONE {
            let cell = &mut self.cells[number as usize];
            if let Some(entry) = cell.entry.take() {
                take(entry);
            }
            let next = std::mem::replace(&mut cell.next, self.free);
            self.free = number;
            number = next;
        }
    }
}

fn link<E>(cells: &mut [Cell<E>], list: &mut List, cell: u32) {
    cells[cell as usize].next = list.head;
    *list = List { head: cell, len: list.len + 1 };
}
