//! A service's queue from which its pods pull requests when they have a free slot.

use std::collections::VecDeque;

use super::activator::Activator;
use super::calls::{Attempt, AttemptState};
use crate::backend::{Backend, BackendId, BackendState};
use crate::path::{ServiceId, Traffic};
use engine::{Id, SimTime};

/// The queued requests in order. Those whose callers gave up remain until their turn.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkQueue {
    waiting: VecDeque<Id<Attempt>>,
    /// Round-robin position for checking pods for a free slot.
    turn: usize,
}

impl Traffic {
    /// Requests in the work queue of a service that no pod has taken yet.
    pub fn work_queue_length(&self, service: ServiceId) -> usize {
        let Some(queue) = &self.network.services[service.0 as usize].work_queue else { return 0 };
        let is_there = |id: &&Id<Attempt>| self.network.attempts.contains(**id);
        queue.waiting.iter().filter(is_there).count()
    }

    /// Appends a request to the queue.
    pub(super) fn put_in_work_queue(&mut self, now: SimTime, service: u32, id: Id<Attempt>) {
        if let Some(queue) = &mut self.network.services[service as usize].work_queue {
            queue.waiting.push_back(id);
        }
        self.serve_work_queue(now, service);
    }

    /// Returns a request to the head of the queue because its pod died. It starts over.
    pub(super) fn put_back_in_work_queue(&mut self, now: SimTime, service: u32, id: Id<Attempt>) {
        let network = &mut self.network;
        let Some(attempt) = network.attempts.remove(id) else { return };
        let call = attempt.call;
        let anew = Attempt { place: AttemptState::Queue, pending: 0, next: 0, ..attempt };
        let id = network.attempts.insert(anew);
        if let Some(call) = call.and_then(|call| network.calls.get_mut(call)) {
            call.attempt = Some(id);
        }
        if let Some(queue) = &mut network.services[service as usize].work_queue {
            queue.waiting.push_front(id);
        }
        self.serve_work_queue(now, service);
    }

    /// Lets all pods with free slots take requests, in round-robin order.
    pub(crate) fn serve_work_queue(&mut self, now: SimTime, service: u32) {
        loop {
            let Some(queue) = &self.network.services[service as usize].work_queue else { return };
            if queue.waiting.is_empty() {
                return;
            }
            let turn = queue.turn;
            let pods = &self.services[service as usize].available;
            let activator = self.network.services[service as usize].activator.as_ref();
            let turn = if activator.is_some_and(Activator::fills_up) { 0 } else { turn };
            let free = (0..pods.len()).map(|step| (turn + step) % pods.len()).find(|position| {
                let pod = self.backends.get(pods[*position]);
                pod.is_some_and(|pod| {
                    pod.state == BackendState::Serving && has_room(now, pod, activator)
                })
            });
            let Some(position) = free else { return };
            if let Some(queue) = &mut self.network.services[service as usize].work_queue {
                queue.turn = position + 1;
            }
            let pod = pods[position];
            self.give_next(now, service, pod);
        }
    }

    /// Lets a pod take requests while it has free slots.
    pub(super) fn take_from_work_queue(&mut self, now: SimTime, service: u32, pod: BackendId) {
        let has_work = |traffic: &Self| {
            let queue = &traffic.network.services[service as usize].work_queue;
            queue.as_ref().is_some_and(|queue| !queue.waiting.is_empty())
        };
        if !has_work(self) || !self.services[service as usize].available.contains(&pod) {
            return;
        }
        while has_work(self) {
            let Some(row) = self.backends.get_mut(pod) else { return };
            row.advance(now, &mut self.records);
            let activator = self.network.services[service as usize].activator.as_ref();
            if row.state != BackendState::Serving || !has_room(now, row, activator) {
                return;
            }
            self.give_next(now, service, pod);
        }
    }

    /// A request from a work queue has left the pod: if that was its last one, the pod is idle from now on, and may be
    /// done.
    pub(super) fn note_idle(&mut self, now: SimTime, id: BackendId) {
        let Some(pod) = self.backends.get_mut(id) else { return };
        if pod.contents(now).0 == 0 {
            pod.idle_since = now;
            if pod.is_done() {
                self.network.done.push(id);
            }
        }
    }

    /// The backend takes this many more requests from work queues, and is then done: [`Self::advance_to_notice`] says
    /// when. `now` is also when its idle time begins.
    pub fn limit_requests(&mut self, now: SimTime, backend: BackendId, most: Option<u32>) {
        self.advance(now);
        let Some(pod) = self.backends.get_mut(backend) else { return };
        pod.idle_since = now;
        pod.done_at = most.map(|most| pod.taken + u64::from(most));
        self.network.has_limited_pods |= most.is_some();
    }

    /// Since when the backend has had no request; `None` while it has one.
    pub fn idle_since(&mut self, now: SimTime, backend: BackendId) -> Option<SimTime> {
        self.advance(now);
        let pod = self.backends.get(backend)?;
        (pod.contents(now).0 == 0).then_some(pod.idle_since)
    }

    /// Gives the first queued request to a pod with a free slot.
    fn give_next(&mut self, now: SimTime, service: u32, pod: BackendId) {
        let queue = self.network.services[service as usize].work_queue.as_mut();
        let Some(id) = queue.and_then(|queue| queue.waiting.pop_front()) else { return };
        let network = &self.network;
        let waiting =
            network.attempts.get(id).filter(|attempt| attempt.place == AttemptState::Queue);
        // A queued request that exists still has a waiting caller.
        let call = waiting.and_then(|attempt| network.calls.get(attempt.call?));
        let Some(size) = call.map(|call| call.size) else { return };
        let made = call.map_or(now, |call| call.made);
        if self.records.services[service as usize].counts(made)
            && let Some(activator) = &mut self.network.services[service as usize].activator
        {
            activator.released(now - made);
        }
        match self.send(now, id, service, &size, pod) {
            Ok((place, model)) => {
                if let Some(attempt) = self.network.attempts.get_mut(id) {
                    (attempt.place, attempt.model) = (place, model);
                }
            }
            // The pod serves and has a free slot, so a request that it rejects now would always be rejected.
            Err(cause) => self.end_attempt(now, id, Err(cause)),
        }
    }
}

/// Whether a pod takes one more request from the queue: one with an activator while it is below the limit, any other
/// with a free slot.
fn has_room(now: SimTime, pod: &Backend, activator: Option<&Activator>) -> bool {
    match activator {
        Some(activator) => activator.limit().is_none_or(|limit| pod.contents(now).0 < limit),
        None => !pod.is_done() && pod.has_free_slot(),
    }
}
