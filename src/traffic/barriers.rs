//! Connections blocked by network policies: their packets are dropped, so the caller waits until it times out.

use super::backend::BackendId;
use super::network::{AttemptState, Call, Caller};
use super::path::{ServiceId, Traffic};
use engine::SimTime;

/// A group of pods that all policies treat alike; peer group 0 is everything outside of pods: clients and gateways.
pub type PeerGroupId = u32;

/// Dropped packets by service and by the peer groups of caller and endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barriers {
    peer_groups: usize,
    /// By service: whether packets are dropped, with one row per peer group of callers and one column per peer group of
    /// endpoints; empty = none are.
    dropped: Vec<Vec<bool>>,
}

impl Barriers {
    /// Drops nothing between this many peer groups and services.
    pub fn none(services: usize, peer_groups: usize) -> Self {
        Self { peer_groups, dropped: vec![Vec::new(); services] }
    }

    /// Drops everything from this peer group of callers to this peer group of a service's endpoints.
    pub fn drop_all(&mut self, service: ServiceId, caller: PeerGroupId, endpoint: PeerGroupId) {
        let peer_groups = self.peer_groups;
        let dropped = &mut self.dropped[service.0 as usize];
        dropped.resize(peer_groups * peer_groups, false);
        dropped[caller as usize * peer_groups + endpoint as usize] = true;
    }

    /// Whether packets are dropped.
    pub fn drops(&self, service: ServiceId, caller: PeerGroupId, endpoint: PeerGroupId) -> bool {
        let dropped = self.dropped.get(service.0 as usize).map_or(&[][..], Vec::as_slice);
        let position = caller as usize * self.peer_groups + endpoint as usize;
        dropped.get(position).copied().unwrap_or(false)
    }

    /// Whether any packets from clients to a service are dropped.
    fn drops_clients(&self, service: usize) -> bool {
        let dropped = self.dropped.get(service).into_iter().flatten();
        dropped.take(self.peer_groups).any(|dropped| *dropped)
    }
}

impl Traffic {
    /// Sets a backend's peer group.
    pub fn set_peer_group(&mut self, backend: BackendId, peer_group: PeerGroupId) {
        if let Some(row) = self.backends.get_mut(backend) {
            row.peer_group = peer_group;
            self.touched.extend_from_slice(&row.endpoint_of);
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
        let peer_group = |pod: BackendId| self.backends.get(pod).map_or(0, |pod| pod.peer_group);
        let caller = match call.caller {
            Caller::Request(parent) => self.network.caller_of(parent).map_or(0, peer_group),
            Caller::Client | Caller::User(..) | Caller::Mirror => 0,
        };
        self.barriers.drops(ServiceId(service), caller, peer_group(endpoint))
    }

    /// An attempt waits for a blocked connection to an endpoint: its place, and the endpoint's model.
    pub(super) fn block(&mut self, endpoint: BackendId) -> (AttemptState, u32) {
        let Some(backend) = self.backends.get_mut(endpoint) else {
            return (AttemptState::Blocked(endpoint), 0);
        };
        backend.hanging += 1;
        (AttemptState::Blocked(endpoint), backend.model.0)
    }

    /// Whether network policies block clients of a service from all of its endpoints.
    pub fn is_closed(&self, service: ServiceId) -> bool {
        let endpoints = &self.services[service.0 as usize].endpoints;
        let is_dropped = |endpoint: &BackendId| {
            let row = self.backends.get(*endpoint);
            row.is_some_and(|row| self.barriers.drops(service, 0, row.peer_group))
        };
        !endpoints.is_empty() && endpoints.iter().all(is_dropped)
    }
}
