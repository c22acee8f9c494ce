//! Connections blocked by network policies: their packets are dropped, so the caller waits until it times out.

use super::backend::BackendId;
use super::network::{Call, Caller, Place};
use super::path::{ServiceId, Traffic};
use engine::SimTime;

/// A group of pods that all policies treat alike; party 0 is everything outside of pods: clients and gateways.
pub type PartyId = u32;

/// Dropped packets by service and by the parties of caller and endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barriers {
    parties: usize,
    /// By service: whether packets are dropped, with one row per party of callers and one column per party of
    /// endpoints; empty = none are.
    dropped: Vec<Vec<bool>>,
}

impl Barriers {
    /// Drops nothing between this many parties and services.
    pub fn none(services: usize, parties: usize) -> Self {
        Self { parties, dropped: vec![Vec::new(); services] }
    }

    /// Drops everything from this party of callers to this party of a service's endpoints.
    pub fn drop_all(&mut self, service: ServiceId, caller: PartyId, endpoint: PartyId) {
        let parties = self.parties;
        let dropped = &mut self.dropped[service.0 as usize];
        dropped.resize(parties * parties, false);
        dropped[caller as usize * parties + endpoint as usize] = true;
    }

    /// Whether packets are dropped.
    pub fn drops(&self, service: ServiceId, caller: PartyId, endpoint: PartyId) -> bool {
        let dropped = self.dropped.get(service.0 as usize).map_or(&[][..], Vec::as_slice);
        let position = caller as usize * self.parties + endpoint as usize;
        dropped.get(position).copied().unwrap_or(false)
    }

    /// Whether any packets from clients to a service are dropped.
    fn drops_clients(&self, service: usize) -> bool {
        let dropped = self.dropped.get(service).into_iter().flatten();
        dropped.take(self.parties).any(|dropped| *dropped)
    }
}

impl Traffic {
    /// Sets a backend's party.
    pub fn set_party(&mut self, backend: BackendId, party: PartyId) {
        if let Some(row) = self.backends.get_mut(backend) {
            row.party = party;
        }
    }

    /// Applies these barriers to new connections from now on. Flows (`arrivals: fluid`) are never blocked.
    pub fn set_barriers(&mut self, now: SimTime, barriers: Barriers) {
        self.advance(now);
        for service in 0..self.services.len() {
            let index = u32::try_from(service).expect("a world has fewer than 2^32 services");
            self.touched.push(index);
            if barriers.drops_clients(service) && !self.fluid.has(index) {
                self.join_network(now, ServiceId(index));
            }
        }
        self.barriers = barriers;
    }

    /// Requests to the service, and to all services of its island, need events from now on.
    fn join_network(&mut self, now: SimTime, service: ServiceId) {
        let row = &mut self.services[service.0 as usize];
        if std::mem::replace(&mut row.is_networked, true) {
            return;
        }
        self.spread_network(now, service);
        let island = self.services[service.0 as usize].island as usize;
        let members = self.islands[island].iter();
        let endpoints = members.flat_map(|one| self.services[*one as usize].endpoints.clone());
        for backend in endpoints.collect::<Vec<_>>() {
            if let Some(row) = self.backends.get_mut(backend) {
                row.advance(now, &mut self.records);
            }
            self.enter_pod(now, backend);
        }
    }

    /// Whether packets from a call's caller to an endpoint of a service are dropped.
    #[inline]
    pub(super) fn is_blocked(&self, service: u32, call: &Call, endpoint: BackendId) -> bool {
        if self.barriers.dropped.get(service as usize).is_none_or(Vec::is_empty) {
            return false;
        }
        let party = |pod: BackendId| self.backends.get(pod).map_or(0, |pod| pod.party);
        let caller = match call.caller {
            Caller::Request(parent) => self.network.caller_of(parent).map_or(0, party),
            Caller::Client | Caller::User(_) => 0,
        };
        self.barriers.drops(ServiceId(service), caller, party(endpoint))
    }

    /// An attempt waits for a blocked connection to an endpoint: its place, and the endpoint's model.
    pub(super) fn block(&mut self, endpoint: BackendId) -> (Place, u32) {
        let Some(backend) = self.backends.get_mut(endpoint) else {
            return (Place::Blocked(endpoint), 0);
        };
        backend.hanging += 1;
        (Place::Blocked(endpoint), backend.model.0)
    }

    /// Whether network policies block clients of a service from all of its endpoints.
    pub fn is_closed(&self, service: ServiceId) -> bool {
        let endpoints = &self.services[service.0 as usize].endpoints;
        let is_dropped = |endpoint: &BackendId| {
            let row = self.backends.get(*endpoint);
            row.is_some_and(|row| self.barriers.drops(service, 0, row.party))
        };
        !endpoints.is_empty() && endpoints.iter().all(is_dropped)
    }
}
