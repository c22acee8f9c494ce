//! Evaluates NetworkPolicies for a connection: policies are additive, a pod selected by none is not isolated, and
//! both ends must allow the connection. Follows the documentation of `NetworkPolicySpec` (networking/v1, 1.36), and
//! common network plugins where that leaves a choice.

use std::net::{IpAddr, Ipv4Addr};

use super::assigned::{node_ip, pod_ip};
use super::meta::{Labels, Name, NamespacedName};
use super::namespace::NAME_LABEL;
use super::network_policy::{NetworkPolicySpec, PolicyPeer, PolicyPort, PolicyRule, PortMatch};
use super::pod::Pod;
use super::store::Store;

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// A pod with its own network namespace.
    Pod(Box<PodEnd>),
    /// A peer at an address that belongs to no pod: an external client, or a pod on its node's network.
    Address(IpAddr),
    /// Clients of unknown identity: admitted if the policies admit any client at all.
    Anyone,
}

/// The properties of a pod that policies match on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEnd {
    /// Namespace of the pod.
    pub namespace: Name,
    /// Labels of its namespace.
    pub namespace_labels: Labels,
    /// Labels of the pod.
    pub labels: Labels,
    /// Its address; absent = not assigned yet.
    pub address: Option<IpAddr>,
    /// Named container ports: name, protocol and number.
    pub named_ports: Vec<(Name, Name, u16)>,
}

/// Destination port of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<'a> {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'a str,
    /// Port number.
    pub number: u16,
}

/// Direction of traffic relative to the pod that a policy isolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the pod to its peers.
    Egress,
    /// From peers to the pod.
    Ingress,
}

/// Verdict for one end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideVerdict {
    /// Names of the policies that isolate this end in this direction.
    pub isolating: Vec<NamespacedName>,
    /// The first of them that allows the connection, and the index of the rule.
    pub allowed_by: Option<(NamespacedName, usize)>,
}

/// Verdict for a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// At the source.
    pub egress: SideVerdict,
    /// At the destination.
    pub ingress: SideVerdict,
}

impl Direction {
    /// The spelling used in `policyTypes`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "Egress",
            Self::Ingress => "Ingress",
        }
    }

    fn rules(self, spec: &NetworkPolicySpec) -> Option<&[PolicyRule]> {
        match self {
            Self::Egress => spec.egress.as_deref(),
            Self::Ingress => spec.ingress.as_deref(),
        }
    }
}

impl SideVerdict {
    /// True if this end allows the connection.
    pub fn allows(&self) -> bool {
        self.isolating.is_empty() || self.allowed_by.is_some()
    }
}

impl Verdict {
    /// True if both ends allow the connection.
    pub fn allows(&self) -> bool {
        self.egress.allows() && self.ingress.allows()
    }

    /// The first end that denies it, and the policies isolating that end.
    pub fn denied_by(&self) -> Option<(Direction, &[NamespacedName])> {
        if !self.egress.allows() {
            return Some((Direction::Egress, &self.egress.isolating));
        }
        (!self.ingress.allows()).then_some((Direction::Ingress, &self.ingress.isolating))
    }
}

impl ConnectionEnd {
    /// A pod as seen by policies: one on the host network is known only by its node's address.
    pub fn of_pod(store: &Store, pod: &Pod) -> Self {
        let template = store.template_of(pod);
        if template.spec.host_network {
            let node = pod.node.and_then(|node| store.nodes().get(node));
            let address = node.and_then(|node| node_ip(node).parse().ok());
            return address.map_or(Self::Anyone, Self::Address);
        }
        let containers = template.spec.init_containers.iter().filter(|one| one.is_sidecar);
        let ports = containers.chain(&template.spec.containers).flat_map(|one| &one.ports);
        let named = ports.filter(|port| !port.name.is_empty());
        Self::Pod(Box::new(PodEnd {
            namespace: pod.id.namespace.clone(),
            namespace_labels: namespace_labels(store, &pod.id.namespace),
            labels: store.labels_of(pod).clone(),
            address: pod_ip(store, pod).and_then(|address| address.parse().ok()),
            named_ports: named
                .map(|port| (port.name.clone(), port.protocol.clone(), port.container_port))
                .collect(),
        }))
    }

    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Pod(pod) => pod.address,
            Self::Address(address) => Some(*address),
            Self::Anyone => None,
        }
    }
}

/// The labels of a namespace; one without a manifest has only its name label.
pub fn namespace_labels(store: &Store, name: &Name) -> Labels {
    match store.namespace(name) {
        Some(namespace) => namespace.meta.labels.clone(),
        None => [(NAME_LABEL, &**name)].into_iter().collect(),
    }
}

/// Evaluates the policies in the store for a connection between two ends on a port.
pub fn verdict(store: &Store, from: &ConnectionEnd, to: &ConnectionEnd, port: Port<'_>) -> Verdict {
    let end = match to {
        ConnectionEnd::Pod(pod) => pod.named_ports.as_slice(),
        ConnectionEnd::Address(_) | ConnectionEnd::Anyone => &[],
    };
    let connection = Connection { port, named_ports: end };
    Verdict {
        egress: side(store, Direction::Egress, from, to, connection),
        ingress: side(store, Direction::Ingress, to, from, connection),
    }
}

/// Everything by which the policies in the store distinguish an end: ends with equal traits and equal port names
/// get equal verdicts.
pub fn traits_of(store: &Store, end: &ConnectionEnd) -> Vec<bool> {
    let mut traits = Vec::new();
    for policy in store.network_policies().values() {
        let namespace = policy.meta.namespace();
        traits.push(match end {
            ConnectionEnd::Pod(pod) => {
                *namespace == pod.namespace && policy.spec.pod_selector.matches(&pod.labels)
            }
            ConnectionEnd::Address(_) | ConnectionEnd::Anyone => false,
        });
        let rules = [&policy.spec.ingress, &policy.spec.egress].into_iter().flatten().flatten();
        let peers = rules.flat_map(|rule| &rule.peers);
        traits.extend(peers.map(|peer| is_peer(peer, namespace, end)));
    }
    traits
}

/// The cluster DNS as deployed in most clusters: pods labeled `k8s-app: kube-dns` in `kube-system`.
pub fn cluster_dns(store: &Store) -> ConnectionEnd {
    let namespace = Name::from("kube-system");
    let port =
        |name: &str, protocol: &str| (Name::from(name), Name::from(protocol), DNS_PORT.number);
    ConnectionEnd::Pod(Box::new(PodEnd {
        namespace_labels: namespace_labels(store, &namespace),
        namespace,
        labels: [("k8s-app", "kube-dns")].into_iter().collect(),
        address: Some(DNS_ADDRESS),
        named_ports: vec![port("dns", "UDP"), port("dns-tcp", "TCP")],
    }))
}

/// Port to which resolvers send queries.
pub const DNS_PORT: Port<'static> = Port { protocol: "UDP", number: 53 };

/// Address of the DNS pods, within the pod network.
const DNS_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 247, 255, 254));

/// Destination port of a connection, with the named ports of its destination.
#[derive(Clone, Copy)]
struct Connection<'a> {
    port: Port<'a>,
    named_ports: &'a [(Name, Name, u16)],
}

fn side(
    store: &Store,
    direction: Direction,
    own: &ConnectionEnd,
    other: &ConnectionEnd,
    connection: Connection<'_>,
) -> SideVerdict {
    let mut verdict = SideVerdict::default();
    let ConnectionEnd::Pod(pod) = own else { return verdict };
    for policy in store.network_policies().values() {
        let rules = direction.rules(&policy.spec);
        let selects = *policy.meta.namespace() == pod.namespace
            && policy.spec.pod_selector.matches(&pod.labels);
        let Some(rules) = rules.filter(|_| selects) else { continue };
        verdict.isolating.push(policy.meta.id.clone());
        if verdict.allowed_by.is_none() {
            let allows = |rule: &PolicyRule| {
                has_peer(&rule.peers, policy.meta.namespace(), other)
                    && has_port(&rule.ports, connection)
            };
            let rule = rules.iter().position(allows);
            verdict.allowed_by = rule.map(|position| (policy.meta.id.clone(), position));
        }
    }
    verdict.isolating.sort();
    verdict
}

fn has_peer(peers: &[PolicyPeer], namespace: &Name, end: &ConnectionEnd) -> bool {
    peers.is_empty() || peers.iter().any(|peer| is_peer(peer, namespace, end))
}

fn is_peer(peer: &PolicyPeer, namespace: &Name, end: &ConnectionEnd) -> bool {
    match (peer, end) {
        (_, ConnectionEnd::Anyone) => true,
        (PolicyPeer::Pods { pods, namespaces }, ConnectionEnd::Pod(pod)) => {
            let is_there = match namespaces {
                Some(selector) => selector.matches(&pod.namespace_labels),
                None => *namespace == pod.namespace,
            };
            is_there && pods.as_ref().is_none_or(|selector| selector.matches(&pod.labels))
        }
        (PolicyPeer::Pods { .. }, ConnectionEnd::Address(_)) => false,
        (PolicyPeer::Block { range, except }, _) => end.address().is_some_and(|address| {
            range.contains(address) && !except.iter().any(|one| one.contains(address))
        }),
    }
}

fn has_port(ports: &[PolicyPort], connection: Connection<'_>) -> bool {
    let Connection { port, named_ports } = connection;
    let is_it = |one: &PolicyPort| {
        *one.protocol == *port.protocol
            && match &one.ports {
                PortMatch::All => true,
                PortMatch::Numbers(first, last) => (*first..=*last).contains(&port.number),
                PortMatch::Named(name) => named_ports.iter().any(|(own, protocol, number)| {
                    own == name && **protocol == *port.protocol && *number == port.number
                }),
            }
    };
    ports.is_empty() || ports.iter().any(is_it)
}
