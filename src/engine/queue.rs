//! The event calendar: a total order of events, regardless of their meaning.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::ladder::Ladder;
use super::time::SimTime;

/// Order of events at the same instant: smaller lanes come first.
pub type Lane = u8;

/// A calendar of future events, taken in the order (time, lane, insertion number).
///
/// The order is total, so a run never depends on how entries are sorted.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    /// Entries that arrived in the order in which they are due, such as those of periodic loops: taken from the front
    /// without a search.
    runs: [VecDeque<Entry<E>>; RUNS],
    /// The first key of each run; for an empty run the maximum key.
    fronts: [Key; RUNS],
    /// The last key of each run; for an empty run the minimum key.
    backs: [Key; RUNS],
    /// All other entries.
    others: Ladder<E>,
    /// The key of the next event, cached because it is read far more often than it changes; the maximum key without
    /// events.
    next: Key,
    inserted: u64,
}

/// Small, since every run is checked for every event.
const RUNS: usize = 4;

/// Order of entries: by time, then by rank.
type Key = (SimTime, u64);

const FIRST: Key = (SimTime::from_nanos(i64::MIN), 0);
const LAST: Key = (SimTime::from_nanos(i64::MAX), u64::MAX);

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<E> {
    pub(super) time: SimTime,
    /// Lane in the top eight bits, insertion number below: one comparison decides both.
    rank: u64,
    event: E,
}

const LANE_SHIFT: u32 = 56;

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self {
            runs: Default::default(),
            fronts: [LAST; RUNS],
            backs: [FIRST; RUNS],
            others: Ladder::default(),
            next: LAST,
            inserted: 0,
        }
    }
}

impl<E> EventQueue<E> {
    /// Adds `event` at `time`; events with equal time and lane are first in, first out.
    pub fn push(&mut self, time: SimTime, lane: Lane, event: E) {
        assert!(self.inserted < 1 << LANE_SHIFT, "an event number stays below 2^56");
        let rank = u64::from(lane) << LANE_SHIFT | self.inserted;
        self.inserted += 1;
        let entry = Entry { time, rank, event };
        let key = entry.key();
        self.next = self.next.min(key);
        // Of the runs that it can be appended to, choose the one that ends last, leaving the others to earlier
        // entries.
        let (mut chosen, mut end) = (None, FIRST);
        for (run, back) in self.backs.iter().enumerate() {
            if *back <= key && *back >= end {
                (chosen, end) = (Some(run), *back);
            }
        }
        let Some(run) = chosen else { return self.others.push(entry) };
        if self.runs[run].is_empty() {
            self.fronts[run] = key;
        }
        self.backs[run] = key;
        self.runs[run].push_back(entry);
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        let run = self.fronts.iter().position(|front| *front == self.next);
        let entry = if let Some(run) = run {
            let entries = &mut self.runs[run];
            let entry = entries.pop_front();
            self.fronts[run] = entries.front().map_or(LAST, Entry::key);
            if entries.is_empty() {
                self.backs[run] = FIRST;
            }
            entry
        } else {
            self.others.pop()
        };
        let other = self.others.peek().map_or(LAST, Entry::key);
        self.next = self.fronts.iter().fold(other, |next, front| next.min(*front));
        entry.map(|entry| (entry.time, entry.event))
    }

    /// The time of the next event.
    pub const fn peek_time(&self) -> Option<SimTime> {
        if self.is_empty() { None } else { Some(self.next.0) }
    }

    /// Number of pending events.
    pub fn len(&self) -> usize {
        self.runs.iter().map(VecDeque::len).sum::<usize>() + self.others.len()
    }

    /// Whether no event is waiting.
    pub const fn is_empty(&self) -> bool {
        // No event has the rank of the maximum key.
        self.next.1 == LAST.1
    }
}

impl<E> Entry<E> {
    const fn key(&self) -> Key {
        (self.time, self.rank)
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
        other.key().cmp(&self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimDuration;

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

    #[test]
    fn events_come_in_their_order_however_they_were_entered() {
        let mut queue = EventQueue::default();
        let mut waiting = Vec::new();
        let mut last = SimTime::ZERO;
        let mut draw = 1_u64;
        let mut drawn = |below: u64| {
            draw = draw
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (draw >> 33) % below
        };
        for number in 0..20_000 {
            // Loops with periods of 60 s and 15 s, and irregular events.
            let after = [60, 60, 15, i64::try_from(drawn(100)).unwrap()];
            let time = last + SimDuration::from_secs(after[usize::try_from(drawn(4)).unwrap()]);
            let lane = u8::try_from(drawn(3)).unwrap();
            queue.push(time, lane, number);
            waiting.push((time, lane, number));
            if drawn(5) > 0 || queue.len() > 300 {
                let next = *waiting.iter().min().unwrap();
                waiting.retain(|one| *one != next);
                assert_eq!(queue.peek_time(), Some(next.0));
                assert_eq!(queue.pop(), Some((next.0, next.2)));
                last = next.0;
            }
            assert_eq!((queue.len(), queue.is_empty()), (waiting.len(), waiting.is_empty()));
        }
    }

    #[test]
    fn very_many_events_come_in_their_order() {
        let mut draw = 7_u64;
        let mut drawn = |below: u64| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(11);
            (draw >> 33) % below
        };
        // Delays of nanoseconds up to hours, and bursts at one instant.
        let mut delay = move || match drawn(4) {
            0 => drawn(50),
            1 => drawn(1_000_000_000),
            2 => drawn(3_600) * 1_000_000_000,
            _ => 5_000_000_000,
        };
        let mut queue = EventQueue::default();
        let mut expected = std::collections::BTreeSet::new();
        let mut now = SimTime::ZERO;
        for number in 0..60_000_u64 {
            let time = now + SimDuration::from_nanos(delay().cast_signed());
            let lane = u8::try_from(number % 3).unwrap();
            queue.push(time, lane, number);
            expected.insert((time, lane, number));
            // The queue grows to 20,000 events, is emptied, and grows again.
            let takes = match number % 30_000 {
                0..20_000 => 0,
                20_000..25_000 => 1,
                _ => 5,
            };
            for _ in 0..takes {
                let Some((time, _, number)) = expected.pop_first() else { break };
                assert_eq!(queue.pop(), Some((time, number)));
                now = time;
            }
            assert_eq!(queue.peek_time(), expected.first().map(|(time, ..)| *time));
            assert_eq!(queue.len(), expected.len());
        }
    }
}
