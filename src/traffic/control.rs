//! What the cluster does to the traffic: pods come, go, get more or less CPU, die; endpoints change.
//!
//! Every change happens at an instant `now` that is not before the last one; all requests until then
//! are dealt with first.

use super::backend::{Backend, BackendId, BackendState};
use super::path::{ServiceId, Traffic};
use super::recording::FailureCause;
use super::request_model::RequestModelId;
use crate::engine::SimTime;

impl Traffic {
    /// A pod's application starts to serve, at a CPU rate of `cores`.
    pub fn add_backend(&mut self, now: SimTime, model: RequestModelId, cores: f64) -> BackendId {
        self.advance(now);
        let backend =
            Backend::new(now, model, &self.models[model.0 as usize], at_least_none(cores));
        self.backends.insert(backend)
    }

    /// The backend reacts otherwise to requests from now on.
    pub fn set_state(&mut self, now: SimTime, backend: BackendId, state: BackendState) {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return };
        row.state = state;
        if state == BackendState::Unreachable {
            let clients = row.drop_all(now, &mut self.records);
            row.hanging += u32::try_from(clients.len()).unwrap_or(u32::MAX);
            for client in clients {
                self.hanging[client.service as usize].push(client.arrived, backend);
            }
        }
    }

    /// The backend gets `cores` of CPU from now on: its limit, or what its node leaves it.
    pub fn set_cpu(&mut self, now: SimTime, backend: BackendId, cores: f64) {
        self.advance(now);
        if let Some(row) = self.backends.get_mut(backend) {
            row.set_cores(now, at_least_none(cores), &mut self.records);
        }
    }

    /// The container is stopped: what is in flight fails for the cause, and nothing listens until
    /// [`Traffic::set_state`] says that it serves again.
    pub fn stop_backend(&mut self, now: SimTime, backend: BackendId, cause: FailureCause) {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return };
        row.state = BackendState::Refusing;
        for client in row.drop_all(now, &mut self.records) {
            self.records.fail(client, cause);
        }
    }

    /// The pod is gone; its id finds nothing from now on. What is in flight fails as by
    /// [`Traffic::stop_backend`]; an endpoint that still names it refuses.
    pub fn remove_backend(&mut self, now: SimTime, backend: BackendId, cause: FailureCause) {
        self.stop_backend(now, backend, cause);
        self.backends.remove(backend);
    }

    /// Requests to the service go to these backends from now on.
    pub fn set_endpoints(&mut self, now: SimTime, service: ServiceId, endpoints: &[BackendId]) {
        self.advance(now);
        let row = &mut self.services[service.0 as usize];
        row.endpoints.clear();
        row.endpoints.extend_from_slice(endpoints);
        for backend in endpoints {
            let island = self.services[service.0 as usize].island;
            let Some(row) = self.backends.get_mut(*backend) else { continue };
            match row.island {
                Some(other) if other != island => self.merge_islands(island, other),
                _ => row.island = Some(island),
            }
        }
        self.watch_loads(now, service);
    }

    /// Joins two islands for good: requests of both may be in flight in one backend from now on.
    fn merge_islands(&mut self, one: u32, other: u32) {
        let (kept, gone) = (one.min(other), one.max(other));
        let moved = std::mem::take(&mut self.islands[gone as usize]);
        for service in &moved {
            self.services[*service as usize].island = kept;
        }
        self.islands[kept as usize].extend(moved);
        self.islands[kept as usize].sort_unstable();
        for backend in self.backends.values_mut().filter(|row| row.island == Some(gone)) {
            backend.island = Some(kept);
        }
    }

    /// Where a balancer looks at the load, the backends count what is in flight.
    fn watch_loads(&mut self, now: SimTime, service: ServiceId) {
        let Self { services, backends, records, .. } = self;
        let row = &services[service.0 as usize];
        if !row.chooser.looks_at_load() {
            return;
        }
        for backend in &row.endpoints {
            if let Some(backend) = backends.get_mut(*backend) {
                backend.watch(now, records);
            }
        }
    }
}

/// A CPU rate that is a number and not negative.
const fn at_least_none(cores: f64) -> f64 {
    if cores > 0.0 { cores } else { 0.0 }
}
