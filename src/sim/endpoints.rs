//! The endpoints to which the traffic of each Service goes, with the delay after a change, and the Services that
//! cannot be reached. [`rule_writes`](super::rule_writes) decides when kube-proxy and other proxies pick up a
//! change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::apps::Apps;
use super::environment::Environment;
use super::event::Event;
use super::rule_sync::{Writer, rule_sync_of};
use super::world::World;
use cluster::ClusterView;
use cluster::pod::{Pod, PodId};
use cluster::pod_template::TemplateId;
use cluster::selection::Selecting;
use cluster::service::{Endpoint, Service, ServiceId, TrafficDistribution};
use cluster::standing::PodTally;
use engine::Streams;
use kubelet::Kubelet;
use rustc_hash::FxHashMap;
use traffic::{BackendId, ServiceId as TrafficId, Traffic, Via};

/// The endpoints of the Services with traffic, as their clients and proxies know them.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    /// The proxies that follow the endpoints, indexed by [`Via`].
    writers: [Follower; Via::ALL.len()],
    /// Endpoint lists of headless Services that clients do not know yet, in the order of their events.
    propagating: VecDeque<(ServiceId, Vec<PodId>)>,
    /// The Service at each position of the world's traffic, once it exists.
    services: Vec<Option<ServiceId>>,
    /// The position of each of these. Looked up only, never iterated.
    positions: FxHashMap<ServiceId, usize>,
    /// Positions of the Services that cannot be reached, each with the reason recorded last.
    down: BTreeMap<usize, &'static str>,
    /// Positions whose reason may have changed.
    changed: BTreeSet<usize>,
    /// Number of the positions that are Services, and not subsets of their pods.
    reported: usize,
    /// [`Kubelet::reach_revision`] at the last check.
    reach_revision: u64,
}

/// A proxy that follows the endpoints, and the changes that it does not apply yet.
#[derive(Clone, Debug)]
struct Follower {
    writer: Writer,
    /// Positions of Services that changed since its last write began.
    changed: BTreeSet<usize>,
    /// The endpoints in the current write.
    writing: Vec<(usize, Vec<BackendId>)>,
}

impl Endpoints {
    /// The endpoints of a world's Services, none of which exists yet.
    pub(super) fn new(world: &World) -> Self {
        let streams = Streams::new(world.seed);
        let follower = |via| Follower {
            writer: Writer::new(via, streams),
            changed: BTreeSet::new(),
            writing: Vec::new(),
        };
        let services = world.traffic.len();
        let reported = services - world.subsets.len();
        Self {
            writers: Via::ALL.map(follower),
            propagating: VecDeque::new(),
            services: vec![None; services],
            positions: FxHashMap::default(),
            down: (0..reported).map(|position| (position, "")).collect(),
            changed: (0..reported).collect(),
            reported,
            reach_revision: 0,
        }
    }

    /// The Service at this position of the world's traffic, once it exists.
    pub(super) fn service(&self, position: usize) -> Option<ServiceId> {
        self.services.get(position).copied().flatten()
    }

    /// A Service was created, updated or deleted.
    pub(super) fn service_changed(
        &mut self,
        env: &mut Environment,
        traffic: &mut Traffic,
        id: ServiceId,
    ) {
        let Some(service) = env.store().services().get(id) else {
            return self.changed(env, id);
        };
        if let Some(position) = env.world.traffic_position(&service.meta.id) {
            if let Some(before) = self.services[position].replace(id) {
                self.positions.remove(&before);
            }
            self.positions.insert(id, position);
            self.changed.insert(position);
            let via = env.world.traffic[position].1.policy.via;
            balance(traffic, traffic_id(position), service, via);
            for subset in env.world.subsets_of(&service.meta.id) {
                self.services[subset] = Some(id);
                balance(traffic, traffic_id(subset), service, Via::Mesh);
            }
        }
    }

    /// The endpoints of a Service changed, or the Service was deleted.
    pub(super) fn changed(&mut self, env: &mut Environment, id: ServiceId) {
        let Some(position) = self.positions.get(&id).copied() else { return };
        let world = Arc::clone(&env.world);
        let mut subsets = world.subsets_of(&world.traffic[position].0).peekable();
        if subsets.peek().is_some() {
            let Follower { writer, changed, .. } = &mut self.writers[Via::Mesh as usize];
            changed.extend(subsets);
            if let Some(at) = writer.wake(env.now) {
                env.enter(at, Event::WriteRules { via: Via::Mesh });
            }
        }
        if let Some(service) = env.store().services().get(id).filter(|one| one.spec.is_headless) {
            self.propagating.push_back((id, routable(service.endpoints.iter(), false)));
            let at = env.now + env.world.timing.dns_cache;
            return env.enter(at, Event::Propagate { service: id });
        }
        let via = env.world.traffic[position].1.policy.via;
        let Follower { writer, changed, .. } = &mut self.writers[via as usize];
        changed.insert(position);
        if let Some(at) = writer.wake(env.now) {
            env.enter(at, Event::WriteRules { via });
        }
    }

    /// Begins a write with the current endpoints, or ends one. Returns whether requests use its endpoints from now
    /// on.
    pub(super) fn write_rules(
        &mut self,
        env: &mut Environment,
        apps: &Apps,
        traffic: &mut Traffic,
        via: Via,
    ) -> bool {
        let world = Arc::clone(&env.world);
        let writes = rule_sync_of(&world.timing, via);
        // A gateway waits for further changes before it writes.
        let waits_for_more = matches!(via, Via::Gateway | Via::Mesh);
        if !self.writers[via as usize].writer.is_writing() {
            if !waits_for_more {
                self.read_changed(env, apps, via);
            }
            let end = self.writers[via as usize].writer.begin(env.now, writes);
            if end > env.now {
                env.enter(end, Event::WriteRules { via });
                return false;
            }
        }
        if waits_for_more {
            self.read_changed(env, apps, via);
        }
        let Follower { writer, changed, writing } = &mut self.writers[via as usize];
        if let Some(at) = writer.end(env.now, writes, !changed.is_empty()) {
            env.enter(at, Event::WriteRules { via });
        }
        for (position, backends) in writing.drain(..) {
            traffic.set_endpoints(env.now, traffic_id(position), &backends);
        }
        true
    }

    /// Reads the current endpoints of the Services that have changed.
    fn read_changed(&mut self, env: &Environment, apps: &Apps, via: Via) {
        let changed = std::mem::take(&mut self.writers[via as usize].changed);
        let lists = changed.into_iter().map(|one| (one, self.backends_of(env, apps, one)));
        self.writers[via as usize].writing = lists.collect();
    }

    /// The backends of the Service at this position.
    fn backends_of(&self, env: &Environment, apps: &Apps, position: usize) -> Vec<BackendId> {
        let service = self.service(position).and_then(|id| env.store().services().get(id));
        let Some(service) = service else { return Vec::new() };
        // The fallback to terminating endpoints is a rule of kube-proxy only.
        let is_of_proxy = env.world.traffic[position].1.policy.via == Via::KubeProxy;
        let falls_back = env.world.falls_back_to_terminating && is_of_proxy;
        let subset = env.world.subsets.iter().find(|subset| subset.position == position);
        let is_in_subset = |pod: PodId| {
            let view = env.view();
            let Some((subset, pod)) = subset.zip(view.pods().get(pod)) else { return true };
            let labels = view.store().labels_of(pod);
            subset.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let with_port = service
            .endpoints
            .iter()
            .filter(|one| has_port(env.view(), service, one.pod) && is_in_subset(one.pod));
        backends(apps, &routable(with_port, falls_back))
    }

    /// Clients of a headless Service switch to the endpoints that it had one propagation delay ago. False if it has
    /// none.
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
        let Some(position) = self.positions.get(&service).copied() else { return false };
        // A deleted Service has no name any more.
        let exists = env.store().services().contains(service);
        let pods = if exists { pods } else { Vec::new() };
        traffic.set_endpoints(env.now, traffic_id(position), &backends(apps, &pods));
        true
    }

    /// Records which Services cannot be reached from now on.
    pub(super) fn check_reachability(
        &mut self,
        env: &mut Environment,
        kubelet: &Kubelet,
        traffic: &mut Traffic,
    ) {
        let mut positions = self.take_changed(env, kubelet);
        positions.extend(traffic.take_touched().into_iter().map(|service| service.0 as usize));
        for position in positions.into_iter().filter(|position| *position < self.reported) {
            let down = self.why_unreachable(env, kubelet, traffic, position);
            match down {
                Some(why) => self.down.insert(position, why),
                None => self.down.remove(&position),
            };
            env.observers.recorder.set_down(env.now, position, down);
        }
        env.observers.journal.changed_services = (!self.down.is_empty()).then(BTreeSet::new);
        debug_assert!(
            self.down.iter().all(|(position, why)| {
                self.why_unreachable(env, kubelet, traffic, *position) == Some(*why)
            }),
            "what was not looked at has not changed"
        );
    }

    /// Takes the positions of Services that are down and of which something changed that the reason depends on.
    fn take_changed(&mut self, env: &mut Environment, kubelet: &Kubelet) -> BTreeSet<usize> {
        let services = env.observers.journal.changed_services.take().into_iter().flatten();
        self.changed.extend(services.filter_map(|service| self.positions.get(&service)));
        let mut changed = std::mem::take(&mut self.changed);
        if std::mem::replace(&mut self.reach_revision, kubelet.reach_revision())
            != kubelet.reach_revision()
        {
            changed.extend(self.down.keys());
        }
        changed.retain(|position| self.down.contains_key(position));
        changed
    }

    /// Why the Service at a position cannot be reached; `None` if it can.
    fn why_unreachable(
        &self,
        env: &Environment,
        kubelet: &Kubelet,
        traffic: &Traffic,
        position: usize,
    ) -> Option<&'static str> {
        let id = traffic_id(position);
        if !traffic.can_answer(id) {
            let has_endpoints = traffic.has_endpoints(id);
            return Some(why_down(env.view(), self.service(position), kubelet, has_endpoints));
        }
        let is_closed = env.world.traffic[position].1.has_clients() && traffic.is_closed(id);
        is_closed.then_some("NetworkPolicies block clients from its pods")
    }
}

/// The traffic's id of the Service at this position.
pub(super) fn traffic_id(position: usize) -> TrafficId {
    TrafficId(u32::try_from(position).expect("a world has fewer than 2^32 services"))
}

/// Applies the load balancing settings of a Service to the traffic. A headless one has no virtual IP: clients
/// resolve its pods by DNS.
fn balance(traffic: &mut Traffic, id: TrafficId, service: &Service, via: Via) {
    if service.spec.is_headless {
        return;
    }
    if via == Via::KubeProxy {
        traffic.track_connections(id);
    }
    if let Some(timeout) = service.spec.client_affinity {
        traffic.set_client_affinity(id, timeout);
    }
    let stays_local = (service.spec.is_internal_local, service.spec.is_external_local);
    if via == Via::KubeProxy && stays_local != (false, false) {
        traffic.stay_local(id, stays_local);
    }
    match service.spec.traffic_distribution {
        Some(TrafficDistribution::PreferSameZone) => traffic.prefer_same_zone(id),
        Some(TrafficDistribution::PreferSameNode) => traffic.prefer_same_node(id),
        None => {}
    }
}

/// The backends in these pods.
fn backends(apps: &Apps, pods: &[PodId]) -> Vec<BackendId> {
    pods.iter().filter_map(|pod| apps.get(*pod)?.backend).collect()
}

/// The reason why a Service cannot be reached; `has_endpoints`: its clients or proxies know any of its pods.
fn why_down(
    view: ClusterView<'_>,
    service: Option<ServiceId>,
    kubelet: &Kubelet,
    has_endpoints: bool,
) -> &'static str {
    let existing = |id: &ServiceId| {
        view.services().get(*id).is_some_and(|service| service.spec.selector.is_some())
    };
    let Some(service) = service.filter(existing) else {
        return "the Service does not exist";
    };
    let selecting = Selecting::Service(service);
    let tallies = view.store().tallies_of(selecting);
    let is_any = |count: fn(&PodTally) -> usize| tallies.iter().any(|(_, tally)| count(tally) > 0);
    let on_lost_node = |pod: &Pod| pod.node.is_some_and(|node| kubelet.is_down(node));
    if tallies.is_empty() {
        "no pod exists"
    } else if !is_any(|tally| tally.bound) {
        "all pods are pending"
    } else if kubelet.is_any_down()
        && view.store().selected_by(selecting).any(|(_, pod)| on_lost_node(pod))
    {
        "a node was lost"
    } else if !is_any(|tally| tally.ready) {
        let waits_at_gate = |(template, tally): &(TemplateId, PodTally)| {
            let spec = &view.templates()[*template].spec;
            tally.containers_ready > 0 && !spec.readiness_gates.is_empty()
        };
        if tallies.iter().any(waits_at_gate) {
            return "no pod is ready: readinessGates wait for conditions that no controller has set";
        }
        "no pod is ready"
    } else if no_pod_has_a_port(view, service, &tallies) {
        "the Service's targetPort names no port of its pods"
    } else if has_endpoints {
        "its pods are ready but not listening"
    } else if view.services().get(service).is_some_and(|service| service.spec.is_headless) {
        "clients still have the DNS's answer from before"
    } else {
        "the nodes have not applied the endpoints yet"
    }
}

fn no_pod_has_a_port(
    view: ClusterView<'_>,
    service: ServiceId,
    tallies: &[(TemplateId, PodTally)],
) -> bool {
    let leads_to = |service: &Service, template: TemplateId| {
        service.spec.is_headless || service.spec.leads_to(&view.templates()[template].spec)
    };
    let service = view.services().get(service);
    service.is_some_and(|service| !tallies.iter().any(|(template, _)| leads_to(service, *template)))
}

/// The endpoints that kube-proxy uses: the ready ones or, if there are none, those that are serving while
/// terminating (`pkg/proxy/topology.go`, 1.36).
fn routable<'a>(
    endpoints: impl Iterator<Item = &'a Endpoint> + Clone,
    falls_back: bool,
) -> Vec<PodId> {
    let ready: Vec<PodId> = endpoints.clone().filter(|one| one.ready).map(|one| one.pod).collect();
    if !ready.is_empty() || !falls_back {
        return ready;
    }
    endpoints.filter(|one| one.serving && one.terminating).map(|one| one.pod).collect()
}

/// Whether a pod has any of the ports to which a Service leads. An endpoint is of no use at a port whose name the pod
/// lacks (`getEndpointPorts` of `k8s.io/endpointslice`, `FindPort` of `k8s.io/kubernetes/pkg/api/v1/pod`).
fn has_port(view: ClusterView<'_>, service: &Service, pod: PodId) -> bool {
    let Some(pod) = view.pods().get(pod) else { return false };
    service.spec.leads_to(&view.template_of(pod).spec)
}
