//! Pods in the network: their events, and the outcomes of their requests when they stop or their nodes stop
//! answering.

use super::calls::{Attempt, AttemptState};
use crate::backend::{Backend, BackendId};
use crate::path::Traffic;
use crate::recording::{Client, DepartedAttempt, FailureCause};
use engine::{Id, SimTime};

impl Traffic {
    /// A request leaves the CPU or the pod at this position now.
    pub(super) fn pod_is_due(&mut self, now: SimTime, position: usize) {
        let Some(id) = self.backends.id_at(position) else {
            return self.network.pods.set(position, SimTime::MAX);
        };
        let Some(pod) = self.backends.get_mut(id) else { return };
        pod.advance(now, &mut self.records);
        self.handle_departed(now);
        self.enter_pod(now, id);
    }

    /// Schedules the pod's next event, and updates its CPU demand on its node.
    #[inline]
    pub(crate) fn enter_pod(&mut self, now: SimTime, id: BackendId) {
        let Some(pod) = self.backends.get(id) else { return };
        if pod.is_networked {
            self.network.pods.set(id.index(), pod.next_event());
            if pod.node_cpu.is_some() {
                self.cpu_wanted(now, id);
            }
        }
    }

    /// An attempt left its pod's slots, or has finished everything but its calls there.
    pub(super) fn left_pod(&mut self, now: SimTime, left: DepartedAttempt) {
        let Some((id, attempt)) = self.network.attempts.at_mut(left.attempt) else { return };
        let AttemptState::Pod(pod) = attempt.place else { return };
        if !left.is_done {
            return self.end_attempt(now, id, Err(FailureCause::Shed));
        }
        if self.backends.get(pod).is_some_and(Backend::holds) {
            attempt.place = AttemptState::Calling(pod);
            self.next_calls(now, id);
        } else {
            self.answer(now, id);
        }
    }

    /// An attempt has done all its work: the application answers it, some with an error.
    pub(super) fn answer(&mut self, now: SimTime, id: Id<Attempt>) {
        let attempt = self.network.attempts.get(id);
        let model = attempt.map_or(0, |attempt| attempt.model);
        let pod = attempt.and_then(|attempt| match attempt.place {
            AttemptState::Pod(pod) | AttemptState::Calling(pod) => Some(pod),
            _ => None,
        });
        let errs = self.network.errs(model);
        if let Some(row) = pod.filter(|_| errs).and_then(|pod| self.backends.get_mut(pod)) {
            row.errors += 1;
        }
        let outcome = if errs { Err(FailureCause::ApplicationError) } else { Ok(()) };
        self.end_attempt(now, id, outcome);
    }

    /// A request releases the slot that it held in a pod.
    pub(super) fn release(&mut self, now: SimTime, id: BackendId) {
        let Some(pod) = self.backends.get_mut(id) else { return };
        if pod.release(now, &mut self.records) {
            self.enter_pod(now, id);
        }
    }

    /// The container was stopped. `clients` are those whose work was dropped.
    pub(crate) fn pod_stopped(
        &mut self,
        now: SimTime,
        pod: BackendId,
        clients: &[Client],
        cause: FailureCause,
    ) {
        for id in self.attempts_in(pod, clients) {
            let Some(attempt) = self.network.attempts.get_mut(id) else { continue };
            attempt.place = AttemptState::Queue;
            let (service, is_wanted) = (attempt.service, attempt.call.is_some());
            if is_wanted && self.network.takes_back(service) {
                self.put_back_in_work_queue(now, service, id);
            } else {
                self.end_attempt(now, id, Err(cause));
            }
        }
        self.handle_departed(now);
    }

    /// The pod's node stops answering: its requests hang until their callers time out.
    pub(crate) fn pod_unreachable(&mut self, now: SimTime, pod: BackendId, clients: &[Client]) {
        for id in self.attempts_in(pod, clients) {
            let Some(attempt) = self.network.attempts.get_mut(id) else { continue };
            attempt.place = AttemptState::Hanging(pod);
            let is_wanted = attempt.call.is_some();
            if let Some(pod) = self.backends.get_mut(pod) {
                pod.hanging += 1;
            }
            if !is_wanted {
                self.end_attempt(now, id, Err(FailureCause::Unreachable));
            }
        }
        self.handle_departed(now);
    }

    /// The attempts of the clients whose work a pod dropped, and those making calls from it.
    fn attempts_in(&self, pod: BackendId, clients: &[Client]) -> Vec<Id<Attempt>> {
        let attempts = &self.network.attempts;
        let dropped = clients.iter().filter_map(|client| attempts.id_at(client.attempt as usize));
        let calling = attempts
            .iter()
            .filter(|(_, attempt)| attempt.place == AttemptState::Calling(pod))
            .map(|(id, _)| id);
        dropped.chain(calling).collect()
    }
}
