//! Requests sent to a node that does not answer: they hang until their clients time out.

use std::collections::VecDeque;

use super::backend::{Backend, BackendId};
use super::recording::{Client, FailureCause, NO_ATTEMPT, Records};
use engine::{SimTime, Table};

/// The hanging requests of one service. All its clients have the same timeout, so the earliest
/// arrivals time out first.
#[derive(Clone, Debug)]
pub(super) struct Hanging {
    service: u32,
    requests: VecDeque<(SimTime, BackendId)>,
}

impl Hanging {
    pub const fn new(service: u32) -> Self {
        Self { service, requests: VecDeque::new() }
    }

    /// Adds a request that arrived at `arrived`.
    pub fn push(&mut self, arrived: SimTime, backend: BackendId) {
        let later = self.requests.iter().rev().take_while(|(other, _)| *other > arrived).count();
        self.requests.insert(self.requests.len() - later, (arrived, backend));
    }

    /// Counts those whose clients have timed out by `now`.
    #[inline]
    pub fn expire(&mut self, now: SimTime, backends: &mut Table<Backend>, records: &mut Records) {
        while let Some((arrived, backend)) = self.requests.front().copied() {
            let client = Client { service: self.service, attempt: NO_ATTEMPT, arrived };
            if records.is_waiting(client, now) {
                break;
            }
            self.requests.pop_front();
            records.fail(client, FailureCause::Unreachable);
            if let Some(backend) = backends.get_mut(backend) {
                backend.hanging -= 1;
            }
        }
    }

    /// The clients of the requests still hanging, earliest first.
    pub fn clients(&self) -> impl Iterator<Item = Client> + '_ {
        let service = self.service;
        self.requests.iter().map(move |(arrived, _)| Client {
            service,
            attempt: NO_ATTEMPT,
            arrived: *arrived,
        })
    }
}
