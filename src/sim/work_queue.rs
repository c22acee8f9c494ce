//! The controllers' work queues, as in client-go: de-duplicated keys, requeues, and exponential back-off for
//! failing keys. Independent of the keys' meaning.

use std::collections::hash_map;

use rustc_hash::FxHashMap;

use controllers::{Backoff, Key};
use engine::{EventQueue, SimTime};

/// A key for one of the controllers to reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct WorkItem {
    /// Position of the controller in the control plane's list.
    pub(super) controller: u8,
    /// The key.
    pub(super) key: Key,
}

/// All pending work, in the order (due, requeues first, entered).
#[derive(Clone, Debug, Default)]
pub(super) struct WorkQueue {
    due: EventQueue<Entry>,
    /// When the pending watch delivery of an item is due. Looked up only, never iterated.
    delivered: FxHashMap<WorkItem, SimTime>,
    /// When the pending requeue of an item is due. Looked up only, never iterated.
    requeued: FxHashMap<WorkItem, SimTime>,
    /// Consecutive failures. Looked up only, never iterated.
    failures: FxHashMap<WorkItem, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    item: WorkItem,
    is_requeue: bool,
}

/// Of items due at one instant, requeues go before watch deliveries, even if they were added later: the phase of a
/// periodic loop must not depend on other reconciles of its key.
const REQUEUES: u8 = 0;
const DELIVERIES: u8 = 1;

impl WorkQueue {
    /// Adds an item that a watch delivers at `at`; several at one instant are merged.
    pub(super) fn deliver(&mut self, at: SimTime, item: WorkItem) {
        if self.delivered.insert(item, at) != Some(at) {
            self.due.push(at, DELIVERIES, Entry { item, is_requeue: false });
        }
    }

    /// Requeues the item at `at`; of several requeues the earliest stays (`AddAfter` of client-go's delaying
    /// queue).
    pub(super) fn requeue(&mut self, at: SimTime, item: WorkItem) {
        match self.requeued.entry(item) {
            hash_map::Entry::Occupied(earlier) if *earlier.get() <= at => return,
            earlier => earlier.insert_entry(at),
        };
        self.due.push(at, REQUEUES, Entry { item, is_requeue: true });
    }

    /// Requeues the item at `at` instead of when it was to be.
    pub(super) fn requeue_only(&mut self, at: SimTime, item: WorkItem) {
        if self.requeued.insert(item, at) != Some(at) {
            self.due.push(at, REQUEUES, Entry { item, is_requeue: true });
        }
    }

    /// Requeues the item after its back-off, which grows with each call (`AddRateLimited`).
    pub(super) fn back_off(&mut self, now: SimTime, item: WorkItem, backoff: Backoff) {
        let failures = self.failures.entry(item).or_default();
        let delay = backoff.delay_after(*failures);
        *failures += 1;
        self.requeue(now + delay, item);
    }

    /// Resets the item's back-off.
    pub(super) fn forget(&mut self, item: WorkItem) {
        if !self.failures.is_empty() {
            self.failures.remove(&item);
        }
    }

    /// The next item due at or before `now`.
    pub(super) fn pop_due(&mut self, now: SimTime) -> Option<WorkItem> {
        while self.due.peek_time().is_some_and(|due| due <= now) {
            let (at, entry) = self.due.pop()?;
            let pending = if entry.is_requeue { &mut self.requeued } else { &mut self.delivered };
            let is_current = match pending.entry(entry.item) {
                hash_map::Entry::Occupied(latest) if *latest.get() == at => {
                    latest.remove();
                    true
                }
                _ => false,
            };
            // A requeue that was replaced by another is void; a delivery followed by a later one is not.
            if is_current || !entry.is_requeue {
                return Some(entry.item);
            }
        }
        None
    }

    /// Time of the next entry; it may turn out to be void.
    pub(super) fn next_due(&self) -> Option<SimTime> {
        self.due.peek_time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::SimDuration;

    const ITEM: WorkItem = WorkItem { controller: 0, key: Key::Pass(0) };
    const OTHER: WorkItem = WorkItem { controller: 0, key: Key::Pass(1) };
    const BACKOFF: Backoff =
        Backoff { initial: SimDuration::from_millis(5), max: SimDuration::from_millis(12) };

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    #[test]
    fn changes_of_one_key_at_one_instant_are_looked_at_once() {
        let mut queue = WorkQueue::default();
        queue.deliver(at(1), ITEM);
        queue.deliver(at(1), OTHER);
        queue.deliver(at(1), ITEM);
        queue.deliver(at(2), ITEM);
        assert_eq!(queue.pop_due(at(0)), None);
        assert_eq!(queue.pop_due(at(2)), Some(ITEM));
        assert_eq!(queue.pop_due(at(2)), Some(OTHER));
        assert_eq!(queue.pop_due(at(2)), Some(ITEM));
        assert_eq!(queue.pop_due(at(9)), None);
    }

    #[test]
    fn the_earliest_requeue_replaces_the_later_ones() {
        let mut queue = WorkQueue::default();
        queue.requeue(at(5), ITEM);
        queue.requeue(at(3), ITEM);
        queue.requeue(at(4), ITEM);
        assert_eq!(queue.pop_due(at(9)), Some(ITEM));
        assert_eq!(queue.pop_due(at(9)), None);
    }

    #[test]
    fn a_loop_that_begins_anew_gives_up_its_earlier_requeues() {
        let mut queue = WorkQueue::default();
        queue.requeue_only(at(5), ITEM);
        queue.requeue_only(at(8), ITEM);
        assert_eq!(queue.pop_due(at(7)), None);
        queue.requeue_only(at(8), ITEM);
        assert_eq!(queue.pop_due(at(8)), Some(ITEM));
        assert_eq!(queue.pop_due(at(99)), None);
    }

    #[test]
    fn back_off_doubles_up_to_its_limit_until_forgotten() {
        let mut queue = WorkQueue::default();
        let mut delays = Vec::new();
        for _ in 0..3 {
            queue.back_off(at(0), ITEM, BACKOFF);
            delays.push(queue.next_due().map(SimTime::as_nanos));
            queue.pop_due(at(1));
        }
        assert_eq!(delays, [Some(5_000_000), Some(10_000_000), Some(12_000_000)]);
        queue.forget(ITEM);
        queue.back_off(at(0), ITEM, BACKOFF);
        assert_eq!(queue.next_due(), Some(SimTime::from_nanos(5_000_000)));
    }
}
