//! Requests sent to a node that does not answer: they hang until their clients time out, or, if they wait for a new
//! kept connection, until another one is free.

use std::collections::VecDeque;

use super::backend::{Backend, BackendId};
use super::recording::{Client, FailureCause, NO_ATTEMPT, Records};
use super::request_model::RequestSize;
use engine::{SimTime, Table};

/// The hanging requests of one service. All its clients have the same timeout, so the earliest
/// arrivals time out first.
#[derive(Clone, Debug)]
pub(super) struct Hanging {
    service: u32,
    requests: VecDeque<Request>,
    /// Number of those that wait for a connection.
    waiting: usize,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    arrived: SimTime,
    backend: BackendId,
    /// Its size, if it has not been sent yet but waits for its connection to be opened.
    unsent: Option<RequestSize>,
}

impl Hanging {
    pub const fn new(service: u32) -> Self {
        Self { service, requests: VecDeque::new(), waiting: 0 }
    }

    /// Adds a request that arrived at `arrived`; `unsent` is its size if it waits for its connection to be opened.
    pub fn push(&mut self, arrived: SimTime, backend: BackendId, unsent: Option<RequestSize>) {
        let later = self.requests.iter().rev().take_while(|one| one.arrived > arrived).count();
        let request = Request { arrived, backend, unsent };
        self.requests.insert(self.requests.len() - later, request);
        self.waiting += usize::from(unsent.is_some());
    }

    /// Takes the requests that wait for a connection, earliest first, as one is free: a client that keeps connections
    /// uses whichever is ready first (`queueForIdleConn` of Go's `http.Transport`, and other pools likewise).
    pub(crate) fn take_waiting(
        &mut self,
        backends: &mut Table<Backend>,
    ) -> Vec<(SimTime, RequestSize)> {
        let mut taken = Vec::new();
        if std::mem::take(&mut self.waiting) > 0 {
            self.requests.retain(|one| {
                let Some(size) = one.unsent else { return true };
                if let Some(backend) = backends.get_mut(one.backend) {
                    backend.hanging -= 1;
                }
                taken.push((one.arrived, size));
                false
            });
        }
        taken
    }

    /// Counts those whose clients have timed out by `now`.
    #[inline]
    pub fn expire(&mut self, now: SimTime, backends: &mut Table<Backend>, records: &mut Records) {
        while let Some(Request { arrived, backend, unsent }) = self.requests.front().copied() {
            let client = Client { service: self.service, attempt: NO_ATTEMPT, arrived };
            if records.is_waiting(client, now) {
                break;
            }
            self.requests.pop_front();
            self.waiting -= usize::from(unsent.is_some());
            records.fail(client, FailureCause::Unreachable);
            if let Some(backend) = backends.get_mut(backend) {
                backend.hanging -= 1;
            }
        }
    }

    /// The clients of the requests still hanging, earliest first.
    pub fn clients(&self) -> impl Iterator<Item = Client> + '_ {
        let service = self.service;
        self.requests.iter().map(move |one| Client {
            service,
            attempt: NO_ATTEMPT,
            arrived: one.arrived,
        })
    }
}
