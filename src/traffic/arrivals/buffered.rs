//! A look-ahead buffer of arrivals: gaps are drawn in batches.

use std::ops::Range;

use super::{Arrival, Arrivals, BranchId, Users};
use engine::SimTime;

/// Number of arrivals looked up at a time.
const AHEAD: usize = 64;

/// Arrivals with a look-ahead buffer, which does not change the sequence.
#[derive(Clone, Debug)]
pub(crate) struct BufferedArrivals {
    arrivals: Arrivals,
    known: Vec<Arrival>,
    /// Position of the next arrival in `known`.
    next: usize,
}

impl BufferedArrivals {
    pub const fn new(arrivals: Arrivals) -> Self {
        Self { arrivals, known: Vec::new(), next: 0 }
    }

    /// See [`Arrivals::take_users`].
    pub(crate) fn take_users(&mut self) -> Vec<Users> {
        self.arrivals.take_users()
    }

    /// Time of the next request, if it can be known by `until`; it may be later.
    #[inline]
    pub(crate) fn next_known(&mut self, until: SimTime) -> Option<SimTime> {
        self.first(until).map(|arrival| arrival.at)
    }

    /// Takes the next request if it arrives by `until`.
    #[inline]
    pub fn take(&mut self, until: SimTime) -> Option<Arrival> {
        let first = self.first(until).filter(|arrival| arrival.at <= until)?;
        self.next += 1;
        Some(first)
    }

    /// Takes the buffered requests that arrive by `until`; empty if no further one arrives by then.
    pub fn take_some(&mut self, until: SimTime) -> &[Arrival] {
        if self.next == self.known.len() {
            self.look_ahead(until);
        }
        let coming = self.known[self.next..].iter();
        let count = coming.take_while(|arrival| arrival.at <= until).count();
        self.next += count;
        &self.known[self.next - count..self.next]
    }

    /// See [`Arrivals::reroute`]. All requests until `now` must have been taken. An event due for a
    /// request that no longer arrives finds none.
    pub fn reroute(&mut self, branch: BranchId, now: SimTime, ranges: &[Range<f64>]) -> bool {
        let is_it = self.arrivals.reroute(branch, now, ranges);
        if is_it && self.arrivals.is_routed() {
            self.known.truncate(self.next);
        }
        is_it
    }

    /// Whether part of the arrivals take this route.
    pub(crate) fn has_branch(&self, branch: BranchId) -> bool {
        self.arrivals.has_branch(branch)
    }

    /// See [`Arrivals::split_branch`].
    pub(crate) fn split_branch(
        &self,
        beside: BranchId,
        branch: BranchId,
        now: SimTime,
    ) -> Option<Self> {
        self.arrivals.split_branch(beside, branch, now).map(Self::new)
    }

    #[inline]
    fn first(&mut self, until: SimTime) -> Option<Arrival> {
        self.known.get(self.next).copied().or_else(|| self.look_ahead(until))
    }

    fn look_ahead(&mut self, until: SimTime) -> Option<Arrival> {
        self.known.clear();
        self.next = 0;
        self.arrivals.know_by(until, AHEAD, &mut self.known);
        self.known.first().copied()
    }
}
