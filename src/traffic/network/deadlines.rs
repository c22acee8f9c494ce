//! When those who wait give up. All on one edge have the same patience, so those who began first give
//! up first, and a queue is enough.

use std::collections::VecDeque;

use engine::{Id, SimDuration, SimTime, Table};

const LOOK_AT_LEAST: usize = 64;

/// Deadlines of the calls or attempts on one edge.
#[derive(Clone, Debug)]
pub(super) struct Deadlines<T> {
    patience: Option<SimDuration>,
    waiting: VecDeque<(SimTime, Id<T>)>,
    /// Length of `waiting` that calls for a look at those who need not wait any more.
    look_at: usize,
    /// An event is entered for the first.
    is_entered: bool,
}

impl<T> Deadlines<T> {
    /// No patience means that nobody gives up.
    pub const fn new(patience: Option<SimDuration>) -> Self {
        Self { patience, waiting: VecDeque::new(), look_at: LOOK_AT_LEAST, is_entered: false }
    }

    /// Somebody begins to wait. Returns when to look at the deadlines, if no event is entered yet.
    #[inline]
    pub fn push(&mut self, now: SimTime, one: Id<T>, all: &Table<T>) -> Option<SimTime> {
        let deadline = now + self.patience?;
        if self.waiting.len() >= self.look_at {
            self.drop_answered(all);
        }
        self.waiting.push_back((deadline, one));
        (!std::mem::replace(&mut self.is_entered, true)).then_some(deadline)
    }

    /// Takes those who need not wait any more from the front, many at a time, so that few are kept and few
    /// are looked at twice.
    fn drop_answered(&mut self, all: &Table<T>) {
        let answered = self.waiting.iter().take_while(|(_, one)| !all.contains(*one)).count();
        self.waiting.drain(..answered);
        self.look_at = LOOK_AT_LEAST.max(2 * self.waiting.len());
    }

    /// The next one who gives up at `now`.
    pub fn pop_due(&mut self, now: SimTime, all: &Table<T>) -> Option<Id<T>> {
        while let Some((deadline, one)) = self.waiting.front().copied() {
            if !all.contains(one) {
                self.waiting.pop_front();
            } else if deadline <= now {
                self.waiting.pop_front();
                return Some(one);
            } else {
                break;
            }
        }
        None
    }

    /// When to look again, after all who are due were taken.
    pub fn next(&mut self) -> Option<SimTime> {
        let next = self.waiting.front().map(|(deadline, _)| *deadline);
        self.is_entered = next.is_some();
        next
    }
}
