//! Client timeouts: vLLM's API server detects closed connections and aborts their requests
//! (`AsyncLLM.abort`); between two iterations the engine drops them, waiting or running, and frees their
//! blocks (`EngineCore.abort_requests`, `Scheduler.finish_requests`).

use super::engine::LlmEngine;
use super::iteration_cost::{Ticks, to_nanos};
use super::sequence::{Departure, Request};
use crate::recording::NO_ATTEMPT;
use engine::SimTime;

/// The next time to check for clients that gave up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// No client gives up before this time.
    next: Ticks,
    /// Whether a waiting request may time out before one in front of it.
    is_mixed: bool,
}

impl Patience {
    /// No client gives up before this time.
    pub const fn next(&self) -> Ticks {
        self.next
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self { next: Ticks::MAX, is_mixed: false }
    }
}

impl LlmEngine {
    /// Appends a request to the waiting queue.
    pub(super) fn push_back(&mut self, request: Request) {
        self.patience.next = self.patience.next.min(request.abandons_at());
        let last = self.waiting.back();
        self.patience.is_mixed |= last.is_some_and(|last| last.deadline > request.deadline);
        self.waiting.push_back(request);
    }

    /// Prepends a preempted request to the waiting queue.
    pub(super) fn push_front(&mut self, request: Request) {
        let first = self.waiting.front();
        self.patience.is_mixed |= first.is_some_and(|first| first.deadline < request.deadline);
        self.waiting.push_front(Request { of_session: 0, ..request });
    }

    /// The caller of this attempt gives up at `now`.
    pub fn abort(&mut self, now: SimTime, attempt: u32) {
        if attempt == NO_ATTEMPT {
            return;
        }
        let running = self.decoding.iter_mut().map(|decoding| &mut decoding.request);
        let partial = self.partial.iter_mut().map(|partial| &mut partial.request);
        let mut all = running.chain(&mut self.joining).chain(partial).chain(&mut self.waiting);
        let Some(request) = all.find(|request| request.client.attempt == attempt) else { return };
        request.deadline = now;
        self.patience =
            Patience { next: self.patience.next.min(request.abandons_at()), is_mixed: true };
    }

    /// Drops the requests whose clients gave up before `start`, at which an iteration begins.
    #[inline]
    pub(super) fn drop_abandoned(&mut self, start: Ticks, left: &mut impl FnMut(Departure)) {
        if self.patience.next < start {
            self.drop_some(start, left);
        }
    }

    fn drop_some(&mut self, start: Ticks, left: &mut impl FnMut(Departure)) {
        let at = SimTime::from_nanos(to_nanos(start));
        let mut aborted = |request: &Request| {
            left(Departure::Aborted { client: request.client, at });
        };
        let mut position = 0;
        while position < self.decoding.len() {
            let decoding = self.decoding[position];
            if decoding.request.has_abandoned(start) {
                self.decoding.remove(position);
                self.leave(&decoding);
                self.release(&decoding.request, decoding.computed(self.step));
                aborted(&decoding.request);
            } else {
                position += 1;
            }
        }
        let ends = self.decoding.iter().map(|decoding| decoding.finish_step);
        self.next_finish = ends.min().unwrap_or(u64::MAX);
        if let Some(partial) = self.partial.take_if(|one| one.request.has_abandoned(start)) {
            self.release(&partial.request, partial.computed.into());
            aborted(&partial.request);
        }
        let waiting = &mut self.waiting;
        if self.patience.is_mixed {
            waiting.retain(|request| {
                let stays = !request.has_abandoned(start);
                if !stays {
                    aborted(request);
                }
                stays
            });
            self.patience.is_mixed = !waiting.iter().is_sorted_by_key(|request| request.deadline);
        } else {
            while let Some(request) = waiting.pop_front_if(|one| one.has_abandoned(start)) {
                aborted(&request);
            }
        }
        self.look_again();
    }

    /// Computes the next client timeout.
    fn look_again(&mut self) {
        let running = self.decoding.iter().map(|decoding| &decoding.request);
        let partial = self.partial.iter().map(|partial| &partial.request);
        // If the waiting requests time out in order, the first one suffices.
        let of_waiting = if self.patience.is_mixed { self.waiting.len() } else { 1 };
        let waiting = self.waiting.iter().take(of_waiting);
        let all = running.chain(&self.joining).chain(partial).chain(waiting);
        self.patience.next = all.map(Request::abandons_at).min().unwrap_or(Ticks::MAX);
    }
}
