//! Services and their endpoints (core/v1, discovery/v1).

use std::collections::BTreeMap;

use super::action::Refused;
use super::change::Change;
use super::kind::Kind;
use super::meta::{Name, ObjectMeta};
use super::object::{self, Object, Stored};
use super::pod::PodId;
use super::pod_template::PodSpec;
use super::selection::Selecting;
use super::selector::Selector;
use super::store::Store;
use engine::{Id, SimDuration, SimTime};

/// Key of a [`Service`] in the store.
pub type ServiceId = Id<Service>;

/// A Service with its endpoints.
#[derive(Clone, Debug)]
pub struct Service {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// Selector, ports and the way in which clients reach it.
    pub spec: ServiceSpec,
    /// The EndpointSlices' content.
    pub endpoints: Endpoints,
}

/// `spec` of a Service, defaulted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Selects its pods; absent = the endpoints controller adds none.
    pub selector: Option<Selector>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// `clusterIP: None`: clients see the pods themselves.
    pub is_headless: bool,
    /// Ports that it takes on every node.
    pub node_ports: usize,
    /// `type: LoadBalancer`.
    pub is_load_balancer: bool,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready_addresses: bool,
    /// `sessionAffinity: ClientIP`: time for which a client keeps its endpoint after its last request
    /// (`sessionAffinityConfig.clientIP.timeoutSeconds`).
    pub client_affinity: Option<SimDuration>,
    /// `internalTrafficPolicy: Local`: requests of pods stay on their node, or fail.
    pub is_internal_local: bool,
    /// `externalTrafficPolicy: Local` of an externally reachable Service: requests arrive only at nodes with an
    /// endpoint, and stay there.
    pub is_external_local: bool,
    /// `spec.trafficDistribution`; absent = no preference.
    pub traffic_distribution: Option<TrafficDistribution>,
}

impl Object for Service {
    const KIND: Kind = Kind::Service;
    type Spec = ServiceSpec;
    type Status = ();

    object::accessors!();

    fn new(_: &mut Store, meta: ObjectMeta, spec: ServiceSpec) -> Self {
        Self { meta, spec, endpoints: Endpoints::default() }
    }

    /// Its endpoints stay until the endpoints controller reconciles it.
    fn update(
        store: &mut Store,
        id: ServiceId,
        meta: ObjectMeta,
        spec: ServiceSpec,
    ) -> Result<bool, Refused> {
        let service = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        Ok(object::replace((&mut service.meta, &mut service.spec), meta, spec))
    }

    fn index(store: &mut Store, id: ServiceId) {
        store.reindex(Selecting::Service(id));
    }

    /// Its EndpointSlices are deleted with it.
    fn removed(
        self,
        store: &mut Store,
        _: SimTime,
        id: ServiceId,
        _: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        store.reindex(Selecting::Service(id));
        Ok(())
    }
}

/// `trafficDistribution` of a Service: the endpoints preferred if there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficDistribution {
    /// In the zone from which they come; `PreferClose` is its old name.
    PreferSameZone,
    /// On the node from which they come, else in its zone.
    PreferSameNode,
}

impl ServiceSpec {
    /// Whether any of its ports leads to a port of such pods: a number always does, a name if a container or sidecar has
    /// a port of that name.
    pub fn leads_to(&self, pods: &PodSpec) -> bool {
        let has = |name: &Name| {
            let mut ports = pods.running().flat_map(|container| &container.ports);
            ports.any(|port| port.name == *name)
        };
        let leads =
            |port: &ServicePort| port.target_port.parse::<u16>().is_ok() || has(&port.target_port);
        self.ports.is_empty() || self.ports.iter().any(leads)
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, empty if it is the only one.
    pub name: Name,
    /// Port of the Service.
    pub port: u16,
    /// Port of the pods: a number or the name of a container port.
    pub target_port: Name,
}

/// One endpoint with its conditions (EndpointSlice semantics of 1.36: `ready` is false while
/// terminating, `serving` is the pod's readiness).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The pod behind it.
    pub pod: PodId,
    /// New traffic may be routed to it.
    pub ready: bool,
    /// The pod would answer requests, whether or not it is terminating.
    pub serving: bool,
    /// The pod is terminating.
    pub terminating: bool,
}

/// The endpoints of a Service, one for each pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints(BTreeMap<PodId, Endpoint>);

/// A new endpoint of a pod, or that it has none anymore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointUpdate {
    /// The pod.
    pub pod: PodId,
    /// Its endpoint.
    pub endpoint: Option<Endpoint>,
}

impl FromIterator<Endpoint> for Endpoints {
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        Self(endpoints.into_iter().map(|endpoint| (endpoint.pod, endpoint)).collect())
    }
}

impl Endpoints {
    /// All endpoints, in the order of their pods.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> + Clone {
        self.0.values()
    }

    /// The endpoint of a pod.
    pub fn get(&self, pod: PodId) -> Option<Endpoint> {
        self.0.get(&pod).copied()
    }

    /// Makes an update; returns whether it changed anything.
    pub(super) fn update(&mut self, EndpointUpdate { pod, endpoint }: EndpointUpdate) -> bool {
        let before = match endpoint {
            Some(endpoint) => self.0.insert(pod, endpoint),
            None => self.0.remove(&pod),
        };
        before != endpoint
    }
}
