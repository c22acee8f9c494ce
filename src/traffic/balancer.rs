//! How a request finds its pod among the endpoints of a service.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backend::{Backend, BackendId, BackendState};
use super::hash_ring::HashRing;
use super::local::Local;
use super::pins::Pins;
use super::policy::ServicePolicy;
use super::prefix_routing::PrefixIndex;
use super::recording::Records;
use super::request_model::RequestSize;
use super::source_ports::SourcePorts;
use engine::random::index_below;
use engine::{SimTime, Stream, Table};

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
    /// The server of a language model with the smallest share of its KV cache in use, as AIBrix's
    /// least-kv-cache does; of equals the one with the fewest requests, then the next in turn.
    LeastKvCache,
    /// The server of a language model that had a request of the same session before, unless it has much
    /// more to do than the others, as AIBrix's prefix-cache does; else the one with the fewest requests.
    PrefixCache,
}

impl Balancer {
    /// Whether the choice depends on how many requests are in flight.
    pub const fn looks_at_load(self) -> bool {
        match self {
            Self::Random | Self::RoundRobin | Self::RingHash => false,
            Self::LeastConnections
            | Self::LeastRequest
            | Self::LeastKvCache
            | Self::PrefixCache => true,
        }
    }

    /// The rule in words, for reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Random => "any pod with equal chance",
            Self::RoundRobin => "one pod after the other",
            Self::LeastConnections => "the pod with the fewest requests",
            Self::LeastRequest => "the less busy of two pods",
            Self::RingHash => "by the hash of the client",
            Self::LeastKvCache => "the pod with the least of its KV cache in use",
            Self::PrefixCache => "the pod that had the session",
        }
    }

    /// Whether it makes sense for servers of language models alone.
    pub const fn is_for_language_models(self) -> bool {
        matches!(self, Self::LeastKvCache | Self::PrefixCache)
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
    /// With `prefixCache`.
    prefixes: PrefixIndex,
    loads: Vec<usize>,
    /// With `trafficDistribution`.
    close: Option<Close>,
    /// With a traffic policy `Local`.
    local: Option<Local>,
    /// Where connections go through kube-proxy, and connection tracking with it: the clients' source ports.
    ports: Option<SourcePorts>,
    /// Whether an endpoint does not answer, or connections may still be led to one that did not.
    ports_count: bool,
    /// Whether every endpoint may serve every caller.
    is_blind: bool,
}

/// Who sends a request, as far as that matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub size: &'a RequestSize,
    /// The zone that it calls from, if it is a pod in one.
    pub zone: Option<u16>,
    /// The node that it calls from, if it is a pod on one.
    pub node: Option<u32>,
    /// Whether it is a pod.
    pub is_inside: bool,
}

impl<'a> Caller<'a> {
    /// A client from outside of the cluster.
    pub const fn outside(size: &'a RequestSize) -> Self {
        Self { size, zone: None, node: None, is_inside: false }
    }
}

/// The endpoints by zone and by node, as the hints of EndpointSlices tell kube-proxy
/// (`topologyModeFromHints`, `pkg/proxy/topology.go`, 1.36): a caller's node goes before its zone, if it
/// counts; a node or zone without an endpoint counts for nothing, and none does if that of any endpoint
/// is not known.
#[derive(Clone, Debug, Default)]
struct Close {
    by_zone: Vec<Near>,
    /// Of the nodes that have endpoints, if nodes count.
    by_node: Option<BTreeMap<u32, Near>>,
}

/// Endpoints in one place, with whose turn it is: the nodes of each place count for themselves.
type Near = (usize, Vec<BackendId>);

/// A place that endpoints are near to.
#[derive(Clone, Copy, Debug)]
enum Place {
    Zone(usize),
    Node(u32),
}

impl Close {
    fn endpoints_changed(
        &mut self,
        endpoints: &[BackendId],
        backends: &Table<Backend>,
        zones: u16,
    ) {
        self.by_zone = vec![(0, Vec::new()); usize::from(zones)];
        let of = |one: &BackendId| backends.get(*one);
        let places = |place: fn(&Backend) -> Option<u32>| -> Option<Vec<u32>> {
            endpoints.iter().map(|one| place(of(one)?)).collect()
        };
        for (endpoint, zone) in
            endpoints.iter().zip(places(|one| one.zone.map(u32::from)).unwrap_or_default())
        {
            self.by_zone[zone as usize].1.push(*endpoint);
        }
        let Some(by_node) = &mut self.by_node else { return };
        by_node.clear();
        for (endpoint, node) in endpoints.iter().zip(places(|one| one.node).unwrap_or_default()) {
            by_node.entry(node).or_default().1.push(*endpoint);
        }
    }

    fn near(&mut self, place: Place) -> Option<&mut Near> {
        match place {
            Place::Zone(zone) => self.by_zone.get_mut(zone),
            Place::Node(node) => self.by_node.as_mut()?.get_mut(&node),
        }
    }
}

impl Chooser {
    pub fn new(policy: &ServicePolicy, stream: Stream) -> Self {
        let mut chooser = Self {
            rule: policy.balancer,
            stream,
            turn: 0,
            pins: Pins::new(policy),
            ring: HashRing::default(),
            clients: policy.clients as usize,
            prefixes: PrefixIndex::default(),
            loads: Vec::new(),
            close: None,
            local: None,
            ports: None,
            ports_count: false,
            is_blind: false,
        };
        chooser.look_at_itself();
        chooser
    }

    fn look_at_itself(&mut self) {
        self.is_blind = matches!(self.rule, Balancer::Random)
            && self.pins.is_none()
            && self.close.is_none()
            && self.local.is_none()
            && !self.ports_count;
    }

    /// New connections are led by their source ports while an old entry of connection tracking is there.
    pub fn track_connections(&mut self, clients: u32, stream: Stream) {
        if self.ports.is_none() {
            self.ports = SourcePorts::new(clients, stream);
        }
    }

    /// An endpoint does not answer any more.
    pub fn endpoint_lost(&mut self) {
        self.ports_count = self.ports.is_some();
        self.look_at_itself();
    }

    /// From now on connections or clients keep their endpoints as the policy says.
    pub fn set_policy(&mut self, policy: &ServicePolicy) {
        self.pins = Pins::new(policy);
        self.look_at_itself();
    }

    /// Requests stay in their zone from now on, and on their node if that counts, before any endpoint is
    /// known.
    pub fn prefer_close(&mut self, nodes_count: bool) {
        self.close = Some(Close { by_node: nodes_count.then(BTreeMap::new), ..Close::default() });
        self.look_at_itself();
    }

    /// Requests stay on the node to which they come, before any endpoint is known: those of pods, those from outside.
    pub fn stay_local(&mut self, inside: bool, outside: bool) {
        self.local = Some(Local { inside, outside, by_node: Vec::new() });
        self.look_at_itself();
    }

    /// Whether the choice depends on how many requests are in flight.
    pub const fn looks_at_load(&self) -> bool {
        self.rule.looks_at_load()
    }

    /// Whether the choice depends on where a request comes from.
    pub const fn looks_at_caller(&self) -> bool {
        self.close.is_some() || self.local.is_some()
    }

    /// The endpoints are others from now on.
    pub fn endpoints_changed(
        &mut self,
        endpoints: &[BackendId],
        backends: &Table<Backend>,
        zones: u16,
    ) {
        if let Some(close) = &mut self.close {
            close.endpoints_changed(endpoints, backends, zones);
        }
        if let Some(local) = &mut self.local {
            local.endpoints_changed(endpoints, backends);
        }
        if self.rule == Balancer::RingHash {
            self.ring = HashRing::new(endpoints);
        }
        self.prefixes.endpoints_changed(endpoints);
        if let Some(pins) = &mut self.pins {
            pins.endpoints_changed(endpoints);
        }
        if self.ports.is_some()
            && !self.ports_count
            && endpoints.iter().any(|one| !answers(*one, backends))
        {
            self.endpoint_lost();
        }
    }

    /// Chooses the endpoints for the next `count` requests if every endpoint may serve every caller; else for none of
    /// them.
    pub fn choose_blindly(
        &mut self,
        endpoints: &[BackendId],
        count: usize,
        chosen: &mut Vec<BackendId>,
    ) {
        let Some(any) = endpoints.first().filter(|_| self.is_blind) else { return chosen.clear() };
        chosen.resize(count, *any);
        let mut stream = self.stream.clone();
        for one in chosen {
            *one = endpoints[index_below(&mut stream, endpoints.len())];
        }
        self.stream = stream;
    }

    /// The endpoint for the next request, if there is any; `caller` says who sends it, if that matters.
    #[inline]
    pub fn choose<'a>(
        &mut self,
        endpoints: &[BackendId],
        now: SimTime,
        caller: impl FnOnce(&Table<Backend>) -> Caller<'a>,
        backends: &mut Table<Backend>,
        records: &mut Records,
    ) -> Option<BackendId> {
        if self.is_blind {
            // The usual case, without a call.
            let count = endpoints.len();
            return (count > 0).then(|| endpoints[index_below(&mut self.stream, count)]);
        }
        let caller = caller(backends);
        let mut scene = Scene { now, caller, backends, records };
        if self.pins.is_some() {
            self.choose_pinned(endpoints, &mut scene)
        } else if self.ports_count {
            self.choose_by_port(endpoints, &mut scene)
        } else {
            self.choose_near(endpoints, &mut scene)
        }
    }

    /// Where connection tracking leads a new connection: to the endpoint of an old one from its port, or a new one.
    fn choose_by_port(
        &mut self,
        endpoints: &[BackendId],
        scene: &mut Scene<'_>,
    ) -> Option<BackendId> {
        let mut ports = self.ports.take()?;
        let chosen = ports.connect(scene.now, || {
            let chosen = self.choose_near(endpoints, scene)?;
            Some((chosen, answers(chosen, scene.backends)))
        });
        let all_answer = || endpoints.iter().all(|one| answers(*one, scene.backends));
        if !ports.has_entries(scene.now) && all_answer() {
            self.ports_count = false;
            self.look_at_itself();
        }
        self.ports = Some(ports);
        chosen
    }

    /// Among the endpoints of the caller's node or zone, if that is asked for and there are any; else among
    /// all.
    fn choose_near(&mut self, endpoints: &[BackendId], scene: &mut Scene<'_>) -> Option<BackendId> {
        if let Some(local) = self.local.take() {
            let among = local.of(&scene.caller, &mut self.stream).unwrap_or(endpoints);
            let chosen = self.choose_anew(among, scene);
            self.local = Some(local);
            return chosen;
        }
        let Some(close) = &mut self.close else { return self.choose_anew(endpoints, scene) };
        let caller = scene.caller;
        let node = caller.node.map(Place::Node).filter(|node| close.near(*node).is_some());
        let place = node.or_else(|| match caller.zone {
            None if !caller.is_inside && !close.by_zone.is_empty() => {
                Some(Place::Zone(index_below(&mut self.stream, close.by_zone.len())))
            }
            zone => zone.map(|zone| Place::Zone(usize::from(zone))),
        });
        let near = place.and_then(|place| close.near(place)).map(std::mem::take);
        let (Some(place), Some((turn, near))) = (place, near) else {
            return self.choose_anew(endpoints, scene);
        };
        let among = if near.is_empty() { endpoints } else { &near };
        let turn = std::mem::replace(&mut self.turn, turn);
        let chosen = self.choose_anew(among, scene);
        let turn = std::mem::replace(&mut self.turn, turn);
        if let Some(known) = self.close.as_mut().and_then(|close| close.near(place)) {
            *known = (turn, near);
        }
        chosen
    }

    /// The endpoint of a connection or client that was drawn: the one that it has, or a new one.
    fn choose_pinned(
        &mut self,
        endpoints: &[BackendId],
        scene: &mut Scene<'_>,
    ) -> Option<BackendId> {
        let pins = self.pins.as_mut()?;
        let key = index_below(&mut self.stream, pins.len());
        if let Some(kept) = pins.kept(key, scene.now, scene.backends) {
            return Some(kept);
        }
        let chosen = self.choose_near(endpoints, scene)?;
        if let Some(pins) = &mut self.pins {
            pins.pin(key, scene.now, chosen, scene.backends);
        }
        Some(chosen)
    }

    #[inline]
    fn choose_anew(&mut self, endpoints: &[BackendId], scene: &mut Scene<'_>) -> Option<BackendId> {
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
            Balancer::LeastConnections => self.least(endpoints, |endpoint| scene.load(endpoint)),
            Balancer::LeastRequest => {
                let [one, other] = [(); 2].map(|()| index_below(&mut self.stream, endpoints.len()));
                let mut load = |index: usize| scene.load(endpoints[index]);
                if load(other) < load(one) { other } else { one }
            }
            Balancer::RingHash => {
                let client = index_below(&mut self.stream, self.clients);
                return self.ring.endpoint_of(client as u64);
            }
            Balancer::LeastKvCache => self.least(endpoints, |endpoint| {
                let requests = scene.load(endpoint);
                // Time has passed to `now` by then.
                let usage = scene.backends.get(endpoint).map_or(0, Backend::kv_usage_ppm);
                (usage, requests)
            }),
            Balancer::PrefixCache => {
                let mut loads = std::mem::take(&mut self.loads);
                loads.clear();
                loads.extend(endpoints.iter().map(|one| scene.load(*one)));
                let pod = scene.backends.get(endpoints[0]);
                let session = pod.map_or(0, |pod| pod.llm_session(scene.caller.size));
                let index = self.prefixes.choose(session, endpoints, &loads, &mut self.stream);
                self.loads = loads;
                index
            }
        };
        Some(endpoints[index])
    }

    /// The position of the endpoint that has least; of equals the next in turn.
    fn least<K: Ord>(
        &mut self,
        endpoints: &[BackendId],
        mut has: impl FnMut(BackendId) -> K,
    ) -> usize {
        let first = self.turn % endpoints.len();
        let in_turn = (first..endpoints.len()).chain(0..first);
        let index = in_turn.min_by_key(|index| has(endpoints[*index])).unwrap_or(first);
        self.turn = index + 1;
        index
    }
}

/// Whether anybody is there to accept or refuse a connection.
fn answers(endpoint: BackendId, backends: &Table<Backend>) -> bool {
    let state = backends.get(endpoint).map(|backend| backend.state);
    matches!(state, Some(BackendState::Serving | BackendState::Refusing))
}

/// What a choice may look at.
struct Scene<'a> {
    now: SimTime,
    caller: Caller<'a>,
    backends: &'a mut Table<Backend>,
    records: &'a mut Records,
}

impl Scene<'_> {
    /// Requests in flight at an endpoint.
    #[inline]
    fn load(&mut self, endpoint: BackendId) -> usize {
        let backend = self.backends.get_mut(endpoint);
        backend.map_or(0, |backend| backend.load(self.now, self.records))
    }
}
