//! How a request finds its pod among the endpoints of a service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backend::{Backend, BackendId};
use super::hash_ring::HashRing;
use super::pins::Pins;
use super::policy::ServicePolicy;
use super::recording::Records;
use crate::engine::random::index_below;
use crate::engine::{SimTime, Stream, Table};

/// The rule by which endpoints are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Balancer {
    /// Each request goes to any endpoint with equal chance, as in kube-proxy's iptables and nftables
    /// modes with a connection per request.
    #[default]
    Random,
    /// One endpoint after the other, as in kube-proxy's IPVS mode by default.
    RoundRobin,
    /// The endpoint with the fewest requests in flight; of equals the next in turn, as nginx does.
    LeastConnections,
    /// The one of two random endpoints that has fewer requests in flight, as Envoy does.
    LeastRequest,
    /// The endpoint that the hash of the client falls to on a ring, as with Envoy: a client keeps its
    /// endpoint, and a change of the endpoints moves few clients. `clients` of the service says how
    /// many there are.
    RingHash,
}

impl Balancer {
    /// Whether the choice depends on how many requests are in flight.
    pub const fn looks_at_load(self) -> bool {
        matches!(self, Self::LeastConnections | Self::LeastRequest)
    }
}

/// A balancer at work for one service.
#[derive(Clone, Debug)]
pub(super) struct Chooser {
    rule: Balancer,
    stream: Stream,
    /// Whose turn it is.
    turn: usize,
    /// Which endpoint connections and clients keep, if they do.
    pins: Option<Pins>,
    /// With `ringHash`.
    ring: HashRing,
    clients: usize,
}

impl Chooser {
    pub fn new(policy: &ServicePolicy, stream: Stream) -> Self {
        Self {
            rule: policy.balancer,
            stream,
            turn: 0,
            pins: Pins::new(policy),
            ring: HashRing::default(),
            clients: policy.clients as usize,
        }
    }

    /// From now on connections or clients keep their endpoints as the policy says.
    pub fn set_policy(&mut self, policy: &ServicePolicy) {
        self.pins = Pins::new(policy);
    }

    /// Whether the choice depends on how many requests are in flight.
    pub const fn looks_at_load(&self) -> bool {
        self.rule.looks_at_load()
    }

    /// The endpoints are others from now on.
    pub fn endpoints_changed(&mut self, endpoints: &[BackendId]) {
        if self.rule == Balancer::RingHash {
            self.ring = HashRing::new(endpoints);
        }
        if let Some(pins) = &mut self.pins {
            pins.endpoints_changed(endpoints);
        }
    }

    /// The endpoint for the next request, if there is any.
    #[inline]
    pub fn choose(
        &mut self,
        endpoints: &[BackendId],
        now: SimTime,
        backends: &mut Table<Backend>,
        records: &mut Records,
    ) -> Option<BackendId> {
        if self.pins.is_some() {
            return self.choose_pinned(endpoints, now, backends, records);
        }
        self.choose_anew(endpoints, now, backends, records)
    }

    /// The endpoint of a connection or client that was drawn: the one that it has, or a new one.
    fn choose_pinned(
        &mut self,
        endpoints: &[BackendId],
        now: SimTime,
        backends: &mut Table<Backend>,
        records: &mut Records,
    ) -> Option<BackendId> {
        let pins = self.pins.as_mut()?;
        let key = index_below(&mut self.stream, pins.len());
        if let Some(kept) = pins.kept(key, now, backends) {
            return Some(kept);
        }
        let chosen = self.choose_anew(endpoints, now, backends, records)?;
        if let Some(pins) = &mut self.pins {
            pins.pin(key, now, chosen);
        }
        Some(chosen)
    }

    #[inline]
    fn choose_anew(
        &mut self,
        endpoints: &[BackendId],
        now: SimTime,
        backends: &mut Table<Backend>,
        records: &mut Records,
    ) -> Option<BackendId> {
        let mut load = |endpoint: BackendId| {
            backends.get_mut(endpoint).map_or(0, |backend| backend.load(now, records))
        };
        if endpoints.is_empty() {
            return None;
        }
        let index = match self.rule {
            Balancer::Random => index_below(&mut self.stream, endpoints.len()),
            Balancer::RoundRobin => {
                let index = self.turn % endpoints.len();
                self.turn = index + 1;
                index
            }
            Balancer::LeastConnections => {
                let first = self.turn % endpoints.len();
                let in_turn = (first..endpoints.len()).chain(0..first);
                let index = in_turn.min_by_key(|index| load(endpoints[*index])).unwrap_or(first);
                self.turn = index + 1;
                index
            }
            Balancer::LeastRequest => {
                let [one, other] = [(); 2].map(|()| index_below(&mut self.stream, endpoints.len()));
                if load(endpoints[other]) < load(endpoints[one]) { other } else { one }
            }
            Balancer::RingHash => {
                let client = index_below(&mut self.stream, self.clients);
                return self.ring.endpoint_of(client as u64);
            }
        };
        Some(endpoints[index])
    }
}
