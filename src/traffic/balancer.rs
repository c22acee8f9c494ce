//! Selection of a pod for a request among the endpoints of a service.

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

/// Load-balancing policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Balancer {
    /// A uniformly random endpoint per request, as in kube-proxy's iptables and nftables modes with a connection per
    /// request.
    #[default]
    Random,
    /// One endpoint after the other, as in kube-proxy's IPVS mode by default.
    RoundRobin,
    /// The endpoint with the fewest requests in flight; ties in round-robin order, as in nginx.
    LeastConnections,
    /// The one of two random endpoints with fewer requests in flight, as in Envoy.
    LeastRequest,
    /// The endpoint to which the client's hash maps on a ring, as in Envoy: a client keeps its endpoint, and changes
    /// of the endpoints move few clients. The service's `clients` sets their number.
    RingHash,
    /// The LLM server with the lowest KV cache usage, as AIBrix's least-kv-cache does; ties by the fewest requests,
    /// then in round-robin order.
    LeastKvCache,
    /// The LLM server that has had a request of the same session, unless it is much more loaded than the others, as
    /// AIBrix's prefix-cache does; otherwise the one with the fewest requests.
    PrefixCache,
}

impl Balancer {
    /// Whether the choice depends on the number of requests in flight.
    pub(crate) const fn depends_on_load(self) -> bool {
        match self {
            Self::Random | Self::RoundRobin | Self::RingHash => false,
            Self::LeastConnections
            | Self::LeastRequest
            | Self::LeastKvCache
            | Self::PrefixCache => true,
        }
    }

    /// Description of the policy, for reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Random => "any pod with equal probability",
            Self::RoundRobin => "round robin over the pods",
            Self::LeastConnections => "the pod with the fewest requests",
            Self::LeastRequest => "the less busy of two random pods",
            Self::RingHash => "by a hash of the client",
            Self::LeastKvCache => "the pod with the lowest KV cache usage",
            Self::PrefixCache => "the pod of the session",
        }
    }
}

/// The balancer of one service.
#[derive(Clone, Debug)]
pub(super) struct ServiceBalancer {
    rule: Balancer,
    stream: Stream,
    /// Position of the next endpoint in round-robin order.
    turn: usize,
    /// The endpoints pinned to connections and clients, if any are.
    pins: Option<Pins>,
    /// The connection of the last choice.
    connection: Connection,
    /// With `ringHash`.
    ring: HashRing,
    clients: usize,
    /// With `prefixCache`.
    prefixes: PrefixIndex,
    loads: Vec<usize>,
    /// With `trafficDistribution`.
    close: Option<TopologyHints>,
    /// With a traffic policy `Local`.
    local: Option<Local>,
    /// Source ports of the clients, where connections pass kube-proxy and its connection tracking.
    ports: Option<SourcePorts>,
    /// Whether an endpoint does not answer, or connections may still be directed to one that did not.
    ports_count: bool,
    /// Whether every endpoint may serve every caller.
    is_blind: bool,
}

/// The connection on which a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// One of its own.
    Single,
    /// A kept one that was open before.
    Kept,
    /// One that will be kept, opened for this request.
    Opened,
}

/// Properties of a request's sender that affect the choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub size: &'a RequestSize,
    /// Zone of the caller, if it is a pod in one.
    pub zone: Option<u16>,
    /// Node of the caller, if it is a pod on one.
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

/// The endpoints by zone and by node, following the hints of EndpointSlices in kube-proxy (`topologyModeFromHints`,
/// `pkg/proxy/topology.go`, 1.36): the caller's node takes precedence over its zone, if nodes count; a node or zone
/// without an endpoint is ignored, and all are if that of any endpoint is unknown.
#[derive(Clone, Debug, Default)]
struct TopologyHints {
    by_zone: Vec<NearEndpoints>,
    /// By node, if nodes count.
    by_node: Option<BTreeMap<u32, NearEndpoints>>,
}

/// Endpoints in one place, with the round-robin position, which each place keeps for itself.
type NearEndpoints = (usize, Vec<BackendId>);

/// A topological place of endpoints.
#[derive(Clone, Copy, Debug)]
enum Locality {
    Zone(usize),
    Node(u32),
}

impl TopologyHints {
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

    fn near(&mut self, place: Locality) -> Option<&mut NearEndpoints> {
        match place {
            Locality::Zone(zone) => self.by_zone.get_mut(zone),
            Locality::Node(node) => self.by_node.as_mut()?.get_mut(&node),
        }
    }
}

impl ServiceBalancer {
    pub fn new(policy: &ServicePolicy, stream: Stream) -> Self {
        let mut balancer = Self {
            rule: policy.balancer,
            stream,
            turn: 0,
            pins: Pins::new(policy),
            connection: Connection::Single,
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
        balancer.look_at_itself();
        balancer
    }

    fn look_at_itself(&mut self) {
        self.is_blind = matches!(self.rule, Balancer::Random)
            && self.pins.is_none()
            && self.close.is_none()
            && self.local.is_none()
            && !self.ports_count;
    }

    /// Directs new connections by their source ports while an old connection tracking entry exists.
    pub fn track_connections(&mut self, clients: u32, stream: Stream) {
        if self.ports.is_none() {
            self.ports = SourcePorts::new(clients, stream);
        }
    }

    /// An endpoint has stopped answering.
    pub(crate) fn endpoint_lost(&mut self) {
        self.ports_count = self.ports.is_some();
        self.look_at_itself();
    }

    /// Pins connections or clients to endpoints from now on, as the policy says.
    pub(crate) fn set_policy(&mut self, policy: &ServicePolicy) {
        self.pins = Pins::new(policy);
        self.look_at_itself();
    }

    /// Keeps requests in their zone from now on, and on their node if nodes count. Must precede any endpoint.
    pub(crate) fn prefer_close(&mut self, nodes_count: bool) {
        self.close = Some(TopologyHints {
            by_node: nodes_count.then(BTreeMap::new),
            ..TopologyHints::default()
        });
        self.look_at_itself();
    }

    /// Keeps requests on the node at which they arrive: those of pods, those from outside. Must precede any endpoint.
    pub fn stay_local(&mut self, inside: bool, outside: bool) {
        self.local = Some(Local { inside, outside, by_node: Vec::new() });
        self.look_at_itself();
    }

    /// Whether the choice depends on the number of requests in flight.
    pub(crate) const fn depends_on_load(&self) -> bool {
        self.rule.depends_on_load()
    }

    /// The connection to the endpoint that was chosen last.
    #[inline]
    pub const fn connection(&self) -> Connection {
        self.connection
    }

    /// Whether the choice depends on the location of the caller.
    pub(crate) const fn depends_on_caller(&self) -> bool {
        self.close.is_some() || self.local.is_some()
    }

    /// Sets the endpoints from now on.
    pub(crate) fn endpoints_changed(
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

    /// Chooses the endpoints for the next `count` requests if every endpoint may serve every caller; otherwise for
    /// none of them.
    pub(crate) fn choose_unaware(
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

    /// The endpoint for the next request, if there is any; `caller` gives its sender where that matters.
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
            // The common case, inlined.
            let count = endpoints.len();
            return (count > 0).then(|| endpoints[index_below(&mut self.stream, count)]);
        }
        let caller = caller(backends);
        let mut scene = ChoiceInputs { now, caller, backends, records };
        if self.pins.is_some() {
            self.choose_pinned(endpoints, &mut scene)
        } else if self.ports_count {
            self.choose_by_port(endpoints, &mut scene)
        } else {
            self.choose_near(endpoints, &mut scene)
        }
    }

    /// Connection tracking: a new connection goes to the endpoint of an old one from the same port, or to a new one.
    fn choose_by_port(
        &mut self,
        endpoints: &[BackendId],
        scene: &mut ChoiceInputs<'_>,
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

    /// Chooses among the endpoints of the caller's node or zone, if configured and non-empty; otherwise among all.
    fn choose_near(
        &mut self,
        endpoints: &[BackendId],
        scene: &mut ChoiceInputs<'_>,
    ) -> Option<BackendId> {
        if let Some(local) = self.local.take() {
            let among = local.of(&scene.caller, &mut self.stream).unwrap_or(endpoints);
            let chosen = self.choose_anew(among, scene);
            self.local = Some(local);
            return chosen;
        }
        let Some(close) = &mut self.close else { return self.choose_anew(endpoints, scene) };
        let caller = scene.caller;
        let node = caller.node.map(Locality::Node).filter(|node| close.near(*node).is_some());
        let place = node.or_else(|| match caller.zone {
            None if !caller.is_inside && !close.by_zone.is_empty() => {
                Some(Locality::Zone(index_below(&mut self.stream, close.by_zone.len())))
            }
            zone => zone.map(|zone| Locality::Zone(usize::from(zone))),
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

    /// The endpoint of a randomly drawn connection or client: its pinned one, or a new one.
    fn choose_pinned(
        &mut self,
        endpoints: &[BackendId],
        scene: &mut ChoiceInputs<'_>,
    ) -> Option<BackendId> {
        let pins = self.pins.as_mut()?;
        let keeps_connections = pins.keeps_connections();
        let connection = |kind| if keeps_connections { kind } else { Connection::Single };
        let key = index_below(&mut self.stream, pins.len());
        if let Some(kept) = pins.kept(key, scene.now, scene.backends) {
            self.connection = connection(Connection::Kept);
            return Some(kept);
        }
        self.connection = connection(Connection::Opened);
        let chosen = self.choose_near(endpoints, scene)?;
        if let Some(pins) = &mut self.pins {
            pins.pin(key, scene.now, chosen, scene.backends);
        }
        Some(chosen)
    }

    #[inline]
    fn choose_anew(
        &mut self,
        endpoints: &[BackendId],
        scene: &mut ChoiceInputs<'_>,
    ) -> Option<BackendId> {
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
                // The backend is at `now` by then.
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

    /// Position of the endpoint with the smallest key; ties in round-robin order.
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

/// Whether the endpoint accepts or refuses connections, rather than letting them hang.
fn answers(endpoint: BackendId, backends: &Table<Backend>) -> bool {
    let state = backends.get(endpoint).map(|backend| backend.state);
    matches!(state, Some(BackendState::Serving | BackendState::Refusing))
}

/// The inputs of a choice.
struct ChoiceInputs<'a> {
    now: SimTime,
    caller: Caller<'a>,
    backends: &'a mut Table<Backend>,
    records: &'a mut Records,
}

impl ChoiceInputs<'_> {
    /// Requests in flight at an endpoint.
    #[inline]
    fn load(&mut self, endpoint: BackendId) -> usize {
        let backend = self.backends.get_mut(endpoint);
        backend.map_or(0, |backend| backend.load(self.now, self.records))
    }
}
