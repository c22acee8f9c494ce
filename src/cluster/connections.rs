//! Whether the NetworkPolicies of the store let a connection through: policies add up, a pod that none selects takes
//! part in everything, and both ends must agree. After the documentation of `NetworkPolicySpec` (networking/v1,
//! 1.36), where that leaves a choice as most network plugins have it.

use std::net::{IpAddr, Ipv4Addr};

use super::assigned::{node_ip, pod_ip};
use super::meta::{Labels, Name, NamespacedName};
use super::namespace::NAME_LABEL;
use super::network_policy::{NetworkPolicySpec, PolicyPeer, PolicyPort, PolicyRule, PortMatch};
use super::pod::Pod;
use super::store::Store;

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// A pod with a network of its own.
    Pod(Box<PodParty>),
    /// Somebody at an address that is no pod's: a client from outside, or a pod on its node's network.
    Address(IpAddr),
    /// Clients of whom nothing is known: they are among those whom the policies let in, if they let anyone in.
    Anyone,
}

/// What policies see of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodParty {
    /// Its namespace.
    pub namespace: Name,
    /// The labels of that.
    pub namespace_labels: Labels,
    /// Its own.
    pub labels: Labels,
    /// Its address; absent = it has none yet.
    pub address: Option<IpAddr>,
    /// Container ports that have a name: name, protocol and number.
    pub named_ports: Vec<(Name, Name, u16)>,
}

/// A port of the pod that is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<'a> {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'a str,
    /// Its number.
    pub number: u16,
}

/// A direction, seen from the pod that a policy isolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From it to others.
    Egress,
    /// From others to it.
    Ingress,
}

/// What the policies say of one end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideVerdict {
    /// The policies that isolate it in this direction, by name.
    pub isolating: Vec<NamespacedName>,
    /// The first of them that lets the connection through, and the position of the rule.
    pub allowed_by: Option<(NamespacedName, usize)>,
}

/// What they say of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// At the end that connects.
    pub egress: SideVerdict,
    /// At the end that is connected to.
    pub ingress: SideVerdict,
}

impl Direction {
    /// As `policyTypes` spells it.
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
    /// Whether this end lets the connection through.
    pub fn allows(&self) -> bool {
        self.isolating.is_empty() || self.allowed_by.is_some()
    }
}

impl Verdict {
    /// Whether the connection comes about.
    pub fn allows(&self) -> bool {
        self.egress.allows() && self.ingress.allows()
    }

    /// The first end that drops it, and the policies that isolate it.
    pub fn denied_by(&self) -> Option<(Direction, &[NamespacedName])> {
        if !self.egress.allows() {
            return Some((Direction::Egress, &self.egress.isolating));
        }
        (!self.ingress.allows()).then_some((Direction::Ingress, &self.ingress.isolating))
    }
}

impl Party {
    /// A pod as policies see it: one on its node's network has that node's address alone.
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
        Self::Pod(Box::new(PodParty {
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

/// The labels of a namespace; one that is not written has that of its name alone.
pub fn namespace_labels(store: &Store, name: &Name) -> Labels {
    match store.namespace(name) {
        Some(namespace) => namespace.meta.labels.clone(),
        None => [(NAME_LABEL, &**name)].into_iter().collect(),
    }
}

/// What the policies of the store say of a connection from one party to another's port.
pub fn verdict(store: &Store, from: &Party, to: &Party, port: Port<'_>) -> Verdict {
    let end = match to {
        Party::Pod(pod) => pod.named_ports.as_slice(),
        Party::Address(_) | Party::Anyone => &[],
    };
    let connection = Connection { port, named_ports: end };
    Verdict {
        egress: side(store, Direction::Egress, from, to, connection),
        ingress: side(store, Direction::Ingress, to, from, connection),
    }
}

/// What the policies of the store tell a party apart by: connections of parties that are alike in this, and whose ports
/// have the same names, all come about or none.
pub fn traits_of(store: &Store, party: &Party) -> Vec<bool> {
    let mut traits = Vec::new();
    for policy in store.network_policies().values() {
        let namespace = policy.meta.namespace();
        traits.push(match party {
            Party::Pod(pod) => {
                *namespace == pod.namespace && policy.spec.pod_selector.matches(&pod.labels)
            }
            Party::Address(_) | Party::Anyone => false,
        });
        let rules = [&policy.spec.ingress, &policy.spec.egress].into_iter().flatten().flatten();
        let peers = rules.flat_map(|rule| &rule.peers);
        traits.extend(peers.map(|peer| is_peer(peer, namespace, party)));
    }
    traits
}

/// The cluster's DNS, as most clusters have it: pods with the label `k8s-app: kube-dns` in `kube-system`.
pub fn cluster_dns(store: &Store) -> Party {
    let namespace = Name::from("kube-system");
    let port =
        |name: &str, protocol: &str| (Name::from(name), Name::from(protocol), DNS_PORT.number);
    Party::Pod(Box::new(PodParty {
        namespace_labels: namespace_labels(store, &namespace),
        namespace,
        labels: [("k8s-app", "kube-dns")].into_iter().collect(),
        address: Some(DNS_ADDRESS),
        named_ports: vec![port("dns", "UDP"), port("dns-tcp", "TCP")],
    }))
}

/// Where resolvers ask it.
pub const DNS_PORT: Port<'static> = Port { protocol: "UDP", number: 53 };

/// The address of its pods, in the network of all pods.
const DNS_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 247, 255, 254));

/// The end that is connected to.
#[derive(Clone, Copy)]
struct Connection<'a> {
    port: Port<'a>,
    named_ports: &'a [(Name, Name, u16)],
}

fn side(
    store: &Store,
    direction: Direction,
    own: &Party,
    other: &Party,
    connection: Connection<'_>,
) -> SideVerdict {
    let mut verdict = SideVerdict::default();
    let Party::Pod(pod) = own else { return verdict };
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

fn has_peer(peers: &[PolicyPeer], namespace: &Name, party: &Party) -> bool {
    peers.is_empty() || peers.iter().any(|peer| is_peer(peer, namespace, party))
}

fn is_peer(peer: &PolicyPeer, namespace: &Name, party: &Party) -> bool {
    match (peer, party) {
        (_, Party::Anyone) => true,
        (PolicyPeer::Pods { pods, namespaces }, Party::Pod(pod)) => {
            let is_there = match namespaces {
                Some(selector) => selector.matches(&pod.namespace_labels),
                None => *namespace == pod.namespace,
            };
            is_there && pods.as_ref().is_none_or(|selector| selector.matches(&pod.labels))
        }
        (PolicyPeer::Pods { .. }, Party::Address(_)) => false,
        (PolicyPeer::Block { range, except }, _) => party.address().is_some_and(|address| {
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
