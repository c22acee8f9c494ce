//! kube-proxy on all nodes: where the traffic of each Service goes, one propagation delay after its endpoints
//! changed, and which Services nobody can answer for.

use std::collections::{BTreeSet, VecDeque};

use super::apps::Apps;
use super::environment::Environment;
use super::event::Event;
use cluster::ClusterView;
use cluster::pod::{Pod, PodId};
use cluster::selection::Selecting;
use cluster::service::{Endpoint, Service, ServiceId, TrafficDistribution};
use engine::SimDuration;
use kubelet::Kubelet;
use traffic::{BackendId, ServiceId as TrafficId, Traffic};

/// How long `sessionAffinity: ClientIP` remembers a client: `sessionAffinityConfig.clientIP
/// .timeoutSeconds`, 10800 by default.
const CLIENT_AFFINITY: SimDuration = SimDuration::from_secs(10_800);

/// The endpoints of the Services with traffic, as the nodes know them.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    /// Endpoint lists on their way to the nodes, in the order of their events.
    propagating: VecDeque<(ServiceId, Vec<PodId>)>,
    /// By position in the world's traffic: the Service, once it exists.
    services: Vec<Option<ServiceId>>,
    /// Positions of the Services that nobody can answer for.
    down: BTreeSet<usize>,
}

impl Endpoints {
    /// Those of so many Services, none of which exists yet.
    pub(super) fn new(services: usize) -> Self {
        Self {
            propagating: VecDeque::new(),
            services: vec![None; services],
            down: (0..services).collect(),
        }
    }

    /// The Service at this position of the world's traffic, once it exists.
    pub(super) fn service(&self, position: usize) -> Option<ServiceId> {
        self.services.get(position).copied().flatten()
    }

    /// A Service appeared, changed or went.
    pub(super) fn service_changed(
        &mut self,
        env: &mut Environment,
        traffic: &mut Traffic,
        id: ServiceId,
    ) {
        let Some(service) = env.store().services().get(id) else {
            return self.service_removed(env, id);
        };
        if let Some(position) = env.world.traffic_position(&service.meta.id) {
            self.services[position] = Some(id);
            balance(traffic, traffic_id(position), service);
        }
    }

    /// The nodes learn that there is nowhere to send the traffic of a Service.
    fn service_removed(&mut self, env: &mut Environment, id: ServiceId) {
        if self.services.contains(&Some(id)) {
            self.propagating.push_back((id, Vec::new()));
            let at = env.now + env.world.timing.endpoint_propagation;
            env.enter(at, Event::Propagate { service: id });
        }
    }

    /// A Service has other endpoints.
    pub(super) fn changed(&mut self, env: &mut Environment, id: ServiceId) {
        let Some(service) = env.store().services().get(id) else { return };
        if self.services.contains(&Some(id)) {
            // That terminating endpoints are better than none is a rule of kube-proxy.
            let falls_back = env.world.falls_back_to_terminating && !service.spec.is_headless;
            let timing = &env.world.timing;
            let delay = if service.spec.is_headless {
                timing.dns_cache
            } else {
                timing.endpoint_propagation
            };
            self.propagating.push_back((id, routable(&service.endpoints, falls_back)));
            env.enter(env.now + delay, Event::Propagate { service: id });
        }
    }

    /// The nodes send the traffic of a Service where its endpoints were one propagation delay ago. False if it
    /// has none.
    pub(super) fn propagate(
        &mut self,
        env: &Environment,
        apps: &Apps,
        traffic: &mut Traffic,
        service: ServiceId,
    ) -> bool {
        let first = self.propagating.iter().position(|(one, _)| *one == service);
        let Some((_, pods)) = first.and_then(|first| self.propagating.remove(first)) else {
            return false;
        };
        let Some(position) = self.services.iter().position(|one| *one == Some(service)) else {
            return false;
        };
        let backend = |pod: &PodId| apps.get(*pod).and_then(|app| app.backend);
        let backends: Vec<BackendId> = pods.iter().filter_map(backend).collect();
        traffic.set_endpoints(env.now, traffic_id(position), &backends);
        true
    }

    /// Records the Services that nobody can answer for, from now on.
    pub(super) fn check_reachability(
        &mut self,
        env: &mut Environment,
        kubelet: &Kubelet,
        traffic: &mut Traffic,
    ) {
        let touched = traffic.take_touched();
        if touched.is_empty() && self.down.is_empty() {
            return;
        }
        // Why a Service is down can turn to something else with any pod.
        let mut positions = self.down.clone();
        positions.extend(touched.into_iter().map(|service| service.0 as usize));
        for position in positions {
            let down = if traffic.can_answer(traffic_id(position)) {
                self.down.remove(&position);
                None
            } else {
                self.down.insert(position);
                Some(why_down(env.view(), self.service(position), kubelet))
            };
            env.observers.recorder.set_down(env.now, position, down);
        }
    }
}

/// The number by which the traffic knows the Service at this position of the world's.
pub(super) fn traffic_id(position: usize) -> TrafficId {
    TrafficId(u32::try_from(position).expect("a world has fewer than 2^32 services"))
}

/// Has the traffic go by the fields of a Service. A headless one has no virtual IP: clients look its pods up in
/// the DNS.
fn balance(traffic: &mut Traffic, id: TrafficId, service: &Service) {
    if service.spec.is_headless {
        return;
    }
    if service.spec.has_client_affinity {
        traffic.set_client_affinity(id, CLIENT_AFFINITY);
    }
    match service.spec.traffic_distribution {
        Some(TrafficDistribution::PreferSameZone) => traffic.prefer_same_zone(id),
        Some(TrafficDistribution::PreferSameNode) => traffic.prefer_same_node(id),
        None => {}
    }
}

/// Why nobody can answer for a Service.
fn why_down(view: ClusterView<'_>, service: Option<ServiceId>, kubelet: &Kubelet) -> &'static str {
    let existing = |id: &ServiceId| {
        view.services().get(*id).is_some_and(|service| service.spec.selector.is_some())
    };
    let Some(service) = service.filter(existing) else {
        return "the Service does not exist";
    };
    let selected = view.store().selected_by(Selecting::Service(service));
    let pods: Vec<&Pod> = selected.map(|(_, pod)| pod).collect();
    if pods.is_empty() {
        return "no pod exists";
    }
    let on_lost_node = |pod: &&Pod| pod.node.is_some_and(|node| kubelet.is_down(node));
    if pods.iter().all(|pod| pod.node.is_none()) {
        "all pods wait for a node"
    } else if pods.iter().any(on_lost_node) {
        "a node is lost"
    } else if pods.iter().all(|pod| pod.is_terminating() || !pod.is_ready()) {
        "no pod is ready"
    } else {
        "the endpoints are not known to the nodes yet"
    }
}

/// Where kube-proxy sends traffic: to ready endpoints, or, if there are none, to those that still
/// serve while they terminate (`pkg/proxy/topology.go`, 1.36).
fn routable(endpoints: &[Endpoint], falls_back: bool) -> Vec<PodId> {
    let ready: Vec<PodId> = endpoints.iter().filter(|one| one.ready).map(|one| one.pod).collect();
    if !ready.is_empty() || !falls_back {
        return ready;
    }
    endpoints.iter().filter(|one| one.serving && one.terminating).map(|one| one.pod).collect()
}
