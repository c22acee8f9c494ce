//! NetworkPolicies: groups the pods that they treat alike, and determines which calls from one group to a Service
//! of another are blocked.

mod drop_log;
mod explanation;

use std::collections::{BTreeMap, BTreeSet};

use self::drop_log::DropLog;
pub use self::explanation::{CallEnd, CallExplanation};
use super::apps::Apps;
use super::endpoints::{Endpoints, traffic_id};
use super::environment::Environment;
use cluster::connections::{
    ConnectionEnd, DNS_PORT, Port, Verdict, cluster_dns, traits_of, verdict,
};
use cluster::pod::PodId;
use cluster::service::Service;
use cluster::{Change, Name, NamespacedName, ObjectId, ObjectReference, Store};
use record::workload_of;
use traffic::{Barriers, PeerGroupId, RequestModelId, Traffic};

/// Protocol of all requests.
const TCP: &str = "TCP";

/// The barriers between pods that send or receive requests.
#[derive(Clone, Debug)]
pub(super) struct NetworkPolicies {
    /// Indexed by [`PeerGroupId`]; the first one is the clients.
    peer_groups: Vec<Members>,
    known: BTreeMap<PeerKey, PeerGroupId>,
    /// Pods that may send or receive requests and have not been classified yet.
    new: Vec<PodId>,
    /// True if a policy, a namespace or a Service has changed since the last [`Self::follow`].
    is_stale: bool,
    /// True if the traffic has any barrier.
    has_barriers: bool,
    told: DropLog,
}

/// Pods that all policies treat alike and whose requests are alike.
#[derive(Clone, Debug)]
struct Members {
    /// One of these pods.
    peer_group: ConnectionEnd,
    /// The Services that they call.
    calls: Vec<NamespacedName>,
    /// The workloads that they belong to.
    workloads: BTreeSet<ObjectReference>,
}

/// Key by which pods are grouped into peer groups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PeerKey {
    traits: Vec<bool>,
    named_ports: Vec<(Name, Name, u16)>,
    model: Option<RequestModelId>,
}

/// Why a call is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The caller cannot reach the DNS.
    Dns(Verdict),
    /// Packets to the pod are dropped.
    Way(Verdict),
}

impl Members {
    fn clients() -> Self {
        Self { peer_group: ConnectionEnd::Anyone, calls: Vec::new(), workloads: BTreeSet::new() }
    }
}

impl NetworkPolicies {
    /// No barriers.
    pub(super) fn new() -> Self {
        Self {
            peer_groups: vec![Members::clients()],
            known: BTreeMap::new(),
            new: Vec::new(),
            is_stale: false,
            has_barriers: false,
            told: DropLog::default(),
        }
    }

    /// The policies that have blocked requests to the Service at this position of the traffic.
    pub(super) fn policies_blocking(&self, position: usize) -> Vec<NamespacedName> {
        self.told.policies.get(&position).into_iter().flatten().cloned().collect()
    }

    /// Notes a change of an object that can affect the result.
    pub(super) const fn on_change(&mut self, change: &Change) {
        let (Change::Spec(object, _) | Change::Removed { object, .. }) = change else { return };
        if let ObjectId::NetworkPolicy(_) | ObjectId::Namespace(_) | ObjectId::Service(_) = object {
            self.is_stale = true;
        }
    }

    /// The application of a pod has started.
    pub(super) fn started(&mut self, pod: PodId) {
        self.new.push(pod);
    }

    /// Updates the barriers for requests to the current policies. Returns whether they have changed.
    pub(super) fn follow(
        &mut self,
        env: &mut Environment,
        (apps, endpoints): (&Apps, &Endpoints),
        traffic: &mut Traffic,
    ) -> bool {
        if !self.is_stale && self.new.is_empty() {
            return false;
        }
        if env.store().network_policies().is_empty() && !self.has_barriers {
            self.is_stale = false;
            self.new.clear();
            return false;
        }
        if std::mem::take(&mut self.is_stale) {
            self.peer_groups = vec![Members::clients()];
            self.known.clear();
            self.new = apps.iter().filter(|app| app.backend.is_some()).map(|app| app.pod).collect();
            self.has_barriers = false;
        }
        let known = self.peer_groups.len();
        for pod in std::mem::take(&mut self.new) {
            self.classify(env, apps, traffic, pod);
        }
        let is_other = !self.has_barriers || self.peer_groups.len() > known;
        if is_other {
            traffic.set_barriers(env.now, self.barriers(env, endpoints));
            self.has_barriers = true;
        }
        self.log_blocked(env, apps, endpoints);
        is_other
    }

    /// Determines the peer group of a pod.
    fn classify(&mut self, env: &Environment, apps: &Apps, traffic: &mut Traffic, id: PodId) {
        let view = env.view();
        let (Some(pod), Some(app)) = (view.pods().get(id), apps.get(id)) else { return };
        let Some(backend) = app.backend else { return };
        let model = app.requests();
        let peer_group = ConnectionEnd::of_pod(view.store(), pod);
        let named_ports = match &peer_group {
            ConnectionEnd::Pod(pod) => pod.named_ports.clone(),
            ConnectionEnd::Address(_) | ConnectionEnd::Anyone => Vec::new(),
        };
        let alike = PeerKey { traits: traits_of(view.store(), &peer_group), named_ports, model };
        let next = PeerGroupId::try_from(self.peer_groups.len()).unwrap_or(PeerGroupId::MAX);
        let number = *self.known.entry(alike).or_insert(next);
        if number == next {
            let calls = model.into_iter().flat_map(|model| traffic.called_by(model));
            let calls = calls.cloned().collect();
            self.peer_groups.push(Members { peer_group, calls, workloads: BTreeSet::new() });
        }
        self.peer_groups[number as usize].workloads.insert(workload_of(view, pod));
        traffic.set_peer_group(backend, number);
    }

    /// The barriers that the policies impose.
    fn barriers(&self, env: &Environment, endpoints: &Endpoints) -> Barriers {
        let store = env.store();
        let mut barriers = Barriers::none(env.world.traffic.len(), self.peer_groups.len());
        for (position, (name, _)) in env.world.traffic.iter().enumerate() {
            let service = endpoints.service(position).and_then(|id| store.services().get(id));
            let Some(service) = service else { continue };
            for (caller, members) in (0..).zip(&self.peer_groups) {
                if caller != 0 && !members.calls.contains(name) {
                    continue;
                }
                for (endpoint, others) in (0..).zip(&self.peer_groups).skip(1) {
                    if obstacle(store, &members.peer_group, service, &others.peer_group).is_some() {
                        barriers.drop_all(traffic_id(position), caller, endpoint);
                    }
                }
            }
        }
        barriers
    }
}

/// The obstacle to calls from a caller to a pod of a Service; `None` if they get through. A call uses a port that the
/// policies allow, if there is one.
pub(super) fn obstacle(
    store: &Store,
    caller: &ConnectionEnd,
    service: &Service,
    endpoint: &ConnectionEnd,
) -> Option<Obstacle> {
    if let ConnectionEnd::Pod(_) = caller {
        let dns = verdict(store, caller, &cluster_dns(store), DNS_PORT);
        if !dns.allows() {
            return Some(Obstacle::Dns(dns));
        }
    }
    let mut first = None;
    for number in target_ports(service, endpoint) {
        let verdict = verdict(store, caller, endpoint, Port { protocol: TCP, number });
        if verdict.allows() {
            return None;
        }
        first.get_or_insert(verdict);
    }
    first.map(Obstacle::Way)
}

/// The ports of a pod that a Service targets. For a headless Service without ports there is no particular one.
pub(super) fn target_ports(service: &Service, endpoint: &ConnectionEnd) -> Vec<u16> {
    let named = match endpoint {
        ConnectionEnd::Pod(pod) => pod.named_ports.as_slice(),
        ConnectionEnd::Address(_) | ConnectionEnd::Anyone => &[],
    };
    let ports = service.spec.ports.iter().filter_map(|port| {
        let of_name = named.iter().find(|(name, ..)| *name == port.target_port);
        port.target_port.parse().ok().or_else(|| of_name.map(|(_, _, number)| *number))
    });
    let ports: Vec<u16> = ports.collect();
    if ports.is_empty() { vec![0] } else { ports }
}
