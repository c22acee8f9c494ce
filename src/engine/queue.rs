//! The event calendar: one total order. Knows nothing of what the events mean.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::time::SimTime;

/// What goes first among events of one instant: a smaller lane before a larger one.
pub type Lane = u8;

/// A calendar of future events, taken in the order (time, lane, insertion number).
///
/// The order is total, so a run never depends on how the heap breaks ties.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Entry<E>>,
    inserted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    time: SimTime,
    /// Lane in the top eight bits, insertion number below: one comparison decides both.
    rank: u64,
    event: E,
}

const LANE_SHIFT: u32 = 56;

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), inserted: 0 }
    }
}

impl<E> EventQueue<E> {
    /// Enters `event` at `time`; among equal times and lanes, first in is first out.
    pub fn push(&mut self, time: SimTime, lane: Lane, event: E) {
        assert!(self.inserted < 1 << LANE_SHIFT, "an event number stays below 2^56");
        let rank = u64::from(lane) << LANE_SHIFT | self.inserted;
        self.inserted += 1;
        self.heap.push(Entry { time, rank, event });
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        self.heap.pop().map(|entry| (entry.time, entry.event))
    }

    /// The time of the next event.
    pub fn peek_time(&self) -> Option<SimTime> {
        self.heap.peek().map(|entry| entry.time)
    }

    /// How many events are waiting.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no event is waiting.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// How many events were ever entered.
    pub const fn inserted(&self) -> u64 {
        self.inserted
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// Reversed: `BinaryHeap` keeps its greatest entry on top, and the next event is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.rank).cmp(&(self.time, self.rank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_lane_then_insertion() {
        let mut queue = EventQueue::default();
        let at = SimTime::from_secs;
        queue.push(at(2), 0, 'd');
        queue.push(at(1), 1, 'b');
        queue.push(at(1), 1, 'c');
        queue.push(at(1), 0, 'a');
        queue.push(at(-1), 9, '_');
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "_abcd");
    }
}
