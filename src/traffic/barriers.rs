//! What a policy of the network keeps apart: connections that never come about, because their packets are dropped on
//! the way. Whoever makes one waits until it gives up.

use super::backend::BackendId;
use super::network::{Call, Caller, Place};
use super::path::{ServiceId, Traffic};
use engine::SimTime;

/// Pods that all policies treat alike; party 0 is whoever is no pod: clients and gateways.
pub type PartyId = u32;

/// Which parties' packets do not get to which others, by service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barriers {
    parties: usize,
    /// By service: whether packets are dropped, for each party of callers one row with each party of endpoints; empty =
    /// none are.
    dropped: Vec<Vec<bool>>,
}

impl Barriers {
    /// Nothing is dropped between so many parties, on the way to so many services.
    pub fn none(services: usize, parties: usize) -> Self {
        Self { parties, dropped: vec![Vec::new(); services] }
    }

    /// Whatever this party of callers sends to this party of a service's endpoints is dropped.
    pub fn drop_all(&mut self, service: ServiceId, caller: PartyId, endpoint: PartyId) {
        let parties = self.parties;
        let dropped = &mut self.dropped[service.0 as usize];
        dropped.resize(parties * parties, false);
        dropped[caller as usize * parties + endpoint as usize] = true;
    }

    /// Whether it is.
    pub fn drops(&self, service: ServiceId, caller: PartyId, endpoint: PartyId) -> bool {
        let dropped = self.dropped.get(service.0 as usize).map_or(&[][..], Vec::as_slice);
        let position = caller as usize * self.parties + endpoint as usize;
        dropped.get(position).copied().unwrap_or(false)
    }

    /// Whether anything is dropped that clients send to a service.
    fn drops_clients(&self, service: usize) -> bool {
        let dropped = self.dropped.get(service).into_iter().flatten();
        dropped.take(self.parties).any(|dropped| *dropped)
    }
}

impl Traffic {
    /// A backend is one of this party.
    pub fn set_party(&mut self, backend: BackendId, party: PartyId) {
        if let Some(row) = self.backends.get_mut(backend) {
            row.party = party;
        }
    }

    /// From now on new connections come about or not as these say. Those of flows (`arrivals: fluid`) all do.
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

    /// The requests to a service need events from now on, and so do those of its island.
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

    /// Whether the packets of a call's caller to an endpoint of a service are dropped.
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

    /// An attempt waits for a connection to an endpoint that does not come about: where it is, and the endpoint's model.
    pub(super) fn block(&mut self, endpoint: BackendId) -> (Place, u32) {
        let Some(backend) = self.backends.get_mut(endpoint) else {
            return (Place::Blocked(endpoint), 0);
        };
        backend.hanging += 1;
        (Place::Blocked(endpoint), backend.model.0)
    }

    /// Whether clients of a service get to none of its endpoints, by the policies of the network.
    pub fn is_closed(&self, service: ServiceId) -> bool {
        let endpoints = &self.services[service.0 as usize].endpoints;
        let is_dropped = |endpoint: &BackendId| {
            let row = self.backends.get(*endpoint);
            row.is_some_and(|row| self.barriers.drops(service, 0, row.party))
        };
        !endpoints.is_empty() && endpoints.iter().all(is_dropped)
    }
}
