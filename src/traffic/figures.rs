//! What can be asked of the traffic at an instant: results per service, work and CPU per backend.
//!
//! Asking changes nothing in what follows, except that time has passed.

use super::backend::{BackendId, BackendState};
use super::path::{ServiceId, Traffic};
use super::recording::{IntervalFigures, Latencies, Outcomes};
use crate::engine::{Digest, SimDuration, SimTime};

/// What became of the requests to a service that came since the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceFigures {
    /// Counts; `arrived` is `answered`, failed and `in_flight` together.
    pub outcomes: Outcomes,
    /// Requests whose clients still wait.
    pub in_flight: u64,
    /// Of those answered; absent if there were none.
    pub latencies: Option<Latencies>,
}

impl Traffic {
    /// What became of the requests to a service until `now`.
    pub fn figures(&mut self, now: SimTime, service: ServiceId) -> ServiceFigures {
        self.advance(now);
        self.sweep(now);
        let record = &self.records.0[service.0 as usize];
        let in_pods =
            self.backends.values().flat_map(|row| row.waiting_clients(now, &self.records));
        let hanging = self.hanging[service.0 as usize].clients();
        let counted = in_pods
            .filter(|client| client.service == service.0)
            .chain(hanging)
            .filter(|client| record.counts(client.arrived));
        ServiceFigures {
            outcomes: record.total.outcomes,
            in_flight: counted.count() as u64,
            latencies: record.total.latencies(),
        }
    }

    /// Requests to a service that came so far, those before the warm-up's end included.
    pub fn arrived(&self, service: ServiceId) -> u64 {
        self.records.0[service.0 as usize].arrived_in_all()
    }

    /// The intervals of a service that have ended, in order of time.
    pub fn intervals(&self, service: ServiceId) -> &[IntervalFigures] {
        &self.records.0[service.0 as usize].intervals
    }

    /// Requests in the backend whose clients still wait.
    pub fn in_flight(&mut self, now: SimTime, backend: BackendId) -> usize {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return 0 };
        row.sweep(now, &mut self.records);
        row.waiting_clients(now, &self.records).count() + row.hanging as usize
    }

    /// When the backend is done with all that is in flight, if nothing else comes;
    /// [`SimTime::MAX`] if it has no CPU for it.
    pub fn drained_at(&mut self, now: SimTime, backend: BackendId) -> SimTime {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return now };
        row.sweep(now, &mut self.records);
        row.drained_at(now)
    }

    /// CPU time that the backend has used until `now`, the beginnings of requests included.
    pub fn cpu_time_used(&mut self, now: SimTime, backend: BackendId) -> SimDuration {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return SimDuration::ZERO };
        row.sweep(now, &mut self.records);
        row.cpu_used(now)
    }

    /// Cores that the backend could use at `now` if it had them: the requests that burn CPU.
    pub fn cpu_demand(&mut self, now: SimTime, backend: BackendId) -> f64 {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return 0.0 };
        row.sweep(now, &mut self.records);
        row.running(now) as f64
    }

    /// Whether a request to the service would find an endpoint that works on it now.
    pub fn can_answer(&self, service: ServiceId) -> bool {
        let endpoints = &self.services[service.0 as usize].endpoints;
        endpoints.iter().any(|one| {
            self.backends.get(*one).is_some_and(|one| one.state == BackendState::Serving)
        })
    }

    /// Adds the results so far to a run's fingerprint.
    pub fn digest(&mut self, now: SimTime, digest: &mut Digest) {
        self.advance(now);
        self.sweep(now);
        self.records.0.iter().for_each(|record| record.digest(digest));
    }
}
