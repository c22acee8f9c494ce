//! Requests issued by a control loop in one reconcile.

use super::Key;
use cluster::Action;
use engine::SimTime;

/// The requests of one reconcile, in order, in one or more batches.
#[derive(Debug, Default)]
pub struct Actions {
    requests: Vec<Action>,
    /// Ends of the batches, ascending.
    ends: Vec<usize>,
    /// Keys to reconcile again later.
    requeues: Vec<(Key, SimTime)>,
}

impl Actions {
    /// Adds a request.
    pub fn push(&mut self, action: Action) {
        self.requests.push(action);
    }

    /// Adds a request, if there is one.
    pub fn extend_with(&mut self, action: Option<Action>) {
        self.requests.extend(action);
    }

    /// Ends a batch: requests after it are only sent if none up to here was refused.
    pub fn end_batch(&mut self) {
        self.ends.push(self.requests.len());
    }

    /// Requeues another key for a given time; if called several times for a key, the earliest time wins.
    pub fn requeue(&mut self, key: Key, at: SimTime) {
        self.requeues.push((key, at));
    }

    /// Takes the requeued keys, leaving the list empty.
    pub fn take_requeues(&mut self) -> Vec<(Key, SimTime)> {
        std::mem::take(&mut self.requeues)
    }

    /// The requests in order, each with whether it begins a batch.
    pub fn into_requests(self) -> impl Iterator<Item = (Action, bool)> {
        let mut ends = self.ends.into_iter().peekable();
        self.requests.into_iter().enumerate().map(move |(position, action)| {
            let mut begins = false;
            while ends.next_if(|end| *end <= position).is_some() {
                begins = true;
            }
            (action, begins)
        })
    }

    /// True if nothing was requested.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}
