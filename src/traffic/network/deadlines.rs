//! Timeouts of waiting callers. All on one edge have the same timeout, so they expire in order and a queue
//! suffices.

use std::collections::VecDeque;

use engine::{Id, SimDuration, SimTime, Table};

const LOOK_AT_LEAST: usize = 64;

/// Deadlines of the calls or attempts on one edge.
#[derive(Clone, Debug)]
pub(super) struct Deadlines<T> {
    patience: Option<SimDuration>,
    waiting: VecDeque<(SimTime, Id<T>)>,
    /// Length of `waiting` that triggers a cleanup of answered ones.
    look_at: usize,
    /// Whether an event is scheduled for the first.
    is_entered: bool,
}

impl<T> Deadlines<T> {
    /// Shortens the timeout to this, if it is shorter.
    pub fn limit(&mut self, patience: Option<SimDuration>) {
        self.patience = [self.patience, patience].into_iter().flatten().min();
    }

    /// Without a timeout nothing ever expires.
    pub const fn new(patience: Option<SimDuration>) -> Self {
        Self { patience, waiting: VecDeque::new(), look_at: LOOK_AT_LEAST, is_entered: false }
    }

    /// Adds a waiting call or attempt. Returns the time of an event to schedule, if none is.
    #[inline]
    pub fn push(&mut self, now: SimTime, one: Id<T>, all: &Table<T>) -> Option<SimTime> {
        let deadline = now + self.patience?;
        if self.waiting.len() >= self.look_at {
            self.drop_answered(all);
        }
        self.waiting.push_back((deadline, one));
        (!std::mem::replace(&mut self.is_entered, true)).then_some(deadline)
    }

    /// Removes answered ones from the front, in batches, so that few are kept and few are checked twice.
    fn drop_answered(&mut self, all: &Table<T>) {
        let answered = self.waiting.iter().take_while(|(_, one)| !all.contains(*one)).count();
        self.waiting.drain(..answered);
        self.look_at = LOOK_AT_LEAST.max(2 * self.waiting.len());
    }

    /// Takes the next one that expires at `now`.
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

    /// Time of the next event, after all due ones were taken.
    pub fn next(&mut self) -> Option<SimTime> {
        let next = self.waiting.front().map(|(deadline, _)| *deadline);
        self.is_entered = next.is_some();
        next
    }
}
