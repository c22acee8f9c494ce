//! The scheduler's data about a pod, computed once per class of identical pods: same namespace, same template, same
//! labels. This keeps identical pods cheap.

use super::gpu::GpuRequest;
use super::resources::Resources;
use super::topology::TopologyKey;
use cluster::pod_resources::{container_requests, pod_requests};
use cluster::pod_template::{
    Container, NodeInclusionPolicy, NodeSelectorTerm, PodAffinityTerm, PodSpec, PodTemplate,
    PreemptionPolicy, ResourceList, Toleration, TopologySpreadConstraint, WhenUnsatisfiable,
    merge_label_keys,
};
use cluster::selector::Selector;
use cluster::{Labels, Name, Store};
use units::Quantity;

/// CPU that a container without a CPU request counts for in scores (`DefaultMilliCPURequest`).
const DEFAULT_MILLI_CPU_REQUEST: i64 = 100;
/// Memory that a container without a memory request counts for in scores, in bytes
/// (`DefaultMemoryRequest`).
const DEFAULT_MEMORY_REQUEST: i64 = 200 * 1024 * 1024;

/// A class of pods that the scheduler cannot distinguish.
#[derive(Clone, Debug, Default)]
pub struct PodClass {
    /// Namespace of the pods.
    pub namespace: Name,
    /// Labels of the pods.
    pub labels: Labels,
    /// Priority, 0 where none is given.
    pub priority: i32,
    /// Whether the pods may preempt others.
    pub preemption_policy: PreemptionPolicy,
    /// Profile that places them.
    pub scheduler_name: Name,
    /// Gates that hold them back.
    pub scheduling_gates: Vec<Name>,
    /// `spec.nodeName`.
    pub node_name: Option<Name>,
    /// Requests that filters and placed pods count.
    pub requests: Resources,
    /// Requests of a placed pod with the defaults for containers that have none: CPU (milli) and
    /// memory (bytes).
    pub non_zero: (i64, i64),
    /// Requests used by NodeResourcesFit to score an incoming pod: those of the containers with the defaults, without
    /// pod-level resources (a quirk of 1.36).
    pub scored: Resources,
    /// Ports that the pods take on their node.
    pub host_ports: Vec<HostPort>,
    /// Images of all containers, each with a tag.
    pub images: Vec<Name>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// `spec.nodeSelector`.
    pub node_selector: Labels,
    /// Terms of required node affinity, if there is any.
    pub required_node: Option<Vec<NodeSelectorTerm>>,
    /// Preferred node affinity.
    pub preferred_node: Vec<(i32, NodeSelectorTerm)>,
    /// Pod affinity and anti-affinity.
    pub affinity: PodAffinity,
    /// Spread constraints that reject nodes.
    pub hard_spread: Vec<SpreadConstraint>,
    /// Spread constraints that score nodes.
    pub soft_spread: Vec<SpreadConstraint>,
    /// Claims that the pods' volumes name.
    pub claims: Vec<Name>,
    /// Shared-GPU request of the pods.
    pub gpu: Option<GpuRequest>,
}

/// The data read by node-scoped plugins: classes with equal data get equal results on every node, whatever their
/// labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeDemand {
    scheduler_name: Name,
    node_name: Option<Name>,
    requests: Resources,
    scored: Resources,
    host_ports: Vec<HostPort>,
    tolerations: Vec<Toleration>,
    node_selector: Labels,
    required_node: Option<Vec<NodeSelectorTerm>>,
    gpu: Option<GpuRequest>,
}

/// Pod affinity and anti-affinity of a class.
#[derive(Clone, Debug, Default)]
pub struct PodAffinity {
    /// Required affinity.
    pub required: Vec<AffinityTerm>,
    /// Required anti-affinity.
    pub required_anti: Vec<AffinityTerm>,
    /// Preferred affinity with weights.
    pub preferred: Vec<(i64, AffinityTerm)>,
    /// Preferred anti-affinity with weights.
    pub preferred_anti: Vec<(i64, AffinityTerm)>,
}

impl PodAffinity {
    /// Whether there is no term at all.
    pub fn is_empty(&self) -> bool {
        self.required.is_empty()
            && self.required_anti.is_empty()
            && self.preferred.is_empty()
            && self.preferred_anti.is_empty()
    }
}

/// A host port that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Protocol.
    pub protocol: Name,
    /// Port.
    pub port: u16,
    /// Address, `0.0.0.0` for all.
    pub ip: Name,
}

impl HostPort {
    /// Whether two pods cannot have these ports on one node (`HostPortInfo.CheckConflict`).
    pub fn conflicts(&self, other: &Self) -> bool {
        const ALL: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || self.ip.as_ref() == ALL || other.ip.as_ref() == ALL)
    }
}

/// A term of pod (anti-)affinity, ready to be matched.
#[derive(Clone, Debug)]
pub struct AffinityTerm {
    /// Which pods; absent = none.
    selector: Option<Selector>,
    /// Namespaces by name.
    namespaces: Vec<Name>,
    /// Namespaces by label; absent = none.
    namespace_selector: Option<Selector>,
    /// The label whose value is the domain.
    pub topology: TopologyKey,
}

impl AffinityTerm {
    /// The namespaces and the selector of the pods that it selects, where it lists its namespaces.
    pub fn listed(&self) -> Option<(&[Name], &Selector)> {
        self.selector
            .as_ref()
            .filter(|_| self.namespace_selector.is_none())
            .map(|selector| (self.namespaces.as_slice(), selector))
    }

    /// Whether a term of the incoming pod selects an existing pod. The namespace must exist with labels that match; but
    /// a selector that no labels at all satisfy as well (an empty one, or one of only NotIn and DoesNotExist) takes all
    /// namespaces, whatever their labels: the InterPodAffinity plugin of 1.36 adds the selected namespaces to those
    /// listed, keeps the selector, and matches it against no labels for each existing pod.
    pub fn selects(&self, pod: &PodClass, store: &Store) -> bool {
        let by_label = |selector: &Selector| {
            selector.matches(&Labels::default())
                || store
                    .namespace(&pod.namespace)
                    .is_some_and(|one| selector.matches(&one.meta.labels))
        };
        self.matches(pod, by_label)
    }

    /// Whether a term of an existing pod selects the incoming pod, whose namespace has these labels.
    pub(crate) fn selects_incoming(&self, pod: &PodClass, namespace_labels: &Labels) -> bool {
        self.matches(pod, |selector| selector.matches(namespace_labels))
    }

    fn matches(&self, pod: &PodClass, by_label: impl Fn(&Selector) -> bool) -> bool {
        (self.namespaces.contains(&pod.namespace)
            || self.namespace_selector.as_ref().is_some_and(by_label))
            && self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
    }
}

/// A spread constraint, ready to be matched.
#[derive(Clone, Debug)]
pub struct SpreadConstraint {
    /// `maxSkew`.
    pub max_skew: i64,
    /// `minDomains`, 1 where none is given.
    pub min_domains: usize,
    /// The label whose value is the domain.
    pub topology: TopologyKey,
    /// Whether the label is the host name, which is counted per node.
    pub is_hostname: bool,
    /// Which pods count; absent = none.
    pub selector: Option<Selector>,
    /// Whether nodes that the pod's node affinity excludes are left out.
    pub honors_affinity: bool,
    /// Whether nodes with untolerated taints are left out.
    pub honors_taints: bool,
}

impl SpreadConstraint {
    /// A constraint as a pod of these labels means it.
    pub fn new(
        constraint: &TopologySpreadConstraint,
        labels: &Labels,
        register: &mut impl FnMut(&Name) -> TopologyKey,
    ) -> Self {
        Self {
            max_skew: i64::from(constraint.max_skew),
            min_domains: usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(0),
            topology: register(&constraint.topology_key),
            is_hostname: constraint.topology_key.as_ref() == cluster::node::HOSTNAME_LABEL,
            selector: constraint.selector.as_ref().map(|selector| {
                merge_label_keys(selector, &constraint.match_label_keys, &[], labels)
            }),
            honors_affinity: constraint.node_affinity_policy == NodeInclusionPolicy::Honor,
            honors_taints: constraint.node_taints_policy == NodeInclusionPolicy::Honor,
        }
    }

    /// Whether a pod with these labels counts. An empty selector counts no existing pod (`countPodsMatchSelector`),
    /// though it matches the incoming pod itself.
    pub fn counts(&self, labels: &Labels) -> bool {
        self.selector
            .as_ref()
            .is_some_and(|selector| !selector.is_empty() && selector.matches(labels))
    }

    /// Whether the selector matches these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

impl PodClass {
    /// The class of the pods of a template in a namespace. `labels` are the pods' labels as they
    /// are; label keys were merged into the selectors when the pods were created, with the
    /// template's. Topology keys are registered through `register`.
    pub fn new(
        namespace: Name,
        labels: Labels,
        template: &PodTemplate,
        register: &mut impl FnMut(&Name) -> TopologyKey,
    ) -> Self {
        let spec = &template.spec;
        let mut spread = |when| {
            let mut constraints = Vec::new();
            for constraint in &spec.topology_spread {
                if constraint.when_unsatisfiable == when {
                    constraints.push(SpreadConstraint::new(constraint, &template.labels, register));
                }
            }
            constraints
        };
        let hard_spread = spread(WhenUnsatisfiable::DoNotSchedule);
        let soft_spread = spread(WhenUnsatisfiable::ScheduleAnyway);
        Self {
            affinity: pod_affinity(template, &namespace, register),
            namespace,
            labels,
            priority: spec.priority.unwrap_or(0),
            preemption_policy: spec.preemption_policy,
            scheduler_name: spec.scheduler_name.clone(),
            scheduling_gates: spec.scheduling_gates.clone(),
            node_name: spec.node_name.clone(),
            requests: Resources::from_list(&pod_requests(spec)),
            non_zero: non_zero_requests(spec),
            scored: scored_requests(spec),
            host_ports: host_ports(spec),
            images: all_containers(spec).map(|one| image_with_tag(&one.image)).collect(),
            tolerations: spec.tolerations.clone(),
            node_selector: spec.node_selector.clone(),
            required_node: spec.affinity.required_node.clone(),
            preferred_node: spec.affinity.preferred_node.clone(),
            hard_spread,
            soft_spread,
            claims: spec.claims().cloned().collect(),
            gpu: GpuRequest::of(template),
        }
    }
}

impl PodClass {
    /// The data read by node-scoped plugins.
    pub(crate) fn node_demand(&self) -> NodeDemand {
        NodeDemand {
            scheduler_name: self.scheduler_name.clone(),
            node_name: self.node_name.clone(),
            requests: self.requests.clone(),
            scored: self.scored.clone(),
            host_ports: self.host_ports.clone(),
            tolerations: self.tolerations.clone(),
            node_selector: self.node_selector.clone(),
            required_node: self.required_node.clone(),
            gpu: self.gpu.clone(),
        }
    }

    /// Whether each node can be judged by itself: no affinity to pods, no hard spread and no
    /// volumes.
    pub fn depends_on_one_node(&self) -> bool {
        self.affinity.required.is_empty()
            && self.affinity.required_anti.is_empty()
            && self.hard_spread.is_empty()
            && self.claims.is_empty()
    }

    /// The topology keys of its affinity and its spread constraints; some may come twice.
    pub fn topology_keys(&self) -> impl Iterator<Item = TopologyKey> {
        let PodAffinity { required, required_anti, preferred, preferred_anti } = &self.affinity;
        let terms = required.iter().chain(required_anti);
        let weighted = preferred.iter().chain(preferred_anti).map(|(_, term)| term);
        let spread = self.hard_spread.iter().chain(&self.soft_spread);
        terms.chain(weighted).map(|term| term.topology).chain(spread.map(|one| one.topology))
    }
}

fn all_containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().chain(&spec.containers)
}

fn pod_affinity(
    template: &PodTemplate,
    namespace: &Name,
    register: &mut impl FnMut(&Name) -> TopologyKey,
) -> PodAffinity {
    let affinity = &template.spec.affinity;
    let mut lower = |term: &PodAffinityTerm| {
        let mut namespaces = term.namespaces.clone();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(namespace.clone());
        }
        let (keys, other_keys) = (&term.match_label_keys, &term.mismatch_label_keys);
        AffinityTerm {
            selector: term
                .selector
                .as_ref()
                .map(|selector| merge_label_keys(selector, keys, other_keys, &template.labels)),
            namespaces,
            namespace_selector: term.namespace_selector.clone(),
            topology: register(&term.topology_key),
        }
    };
    PodAffinity {
        required: affinity.required_pod.iter().map(&mut lower).collect(),
        required_anti: affinity.required_anti.iter().map(&mut lower).collect(),
        preferred: weighted(&affinity.preferred_pod, &mut lower),
        preferred_anti: weighted(&affinity.preferred_anti, &mut lower),
    }
}

fn weighted(
    terms: &[(i32, PodAffinityTerm)],
    lower: &mut impl FnMut(&PodAffinityTerm) -> AffinityTerm,
) -> Vec<(i64, AffinityTerm)> {
    terms.iter().map(|(weight, term)| (i64::from(*weight), lower(term))).collect()
}

/// CPU and memory of a placed pod with the defaults (`PodInfo.CalculateResource`): with pod-level resources, the
/// defaults only replace amounts missing at both levels.
fn non_zero_requests(spec: &PodSpec) -> (i64, i64) {
    let pod_level = pod_requests(spec);
    let mut missing = default_requests();
    if !spec.pod_requests.is_empty() {
        missing = missing
            .iter()
            .filter(|(name, _)| pod_level.get(name).is_none())
            .map(|(name, amount)| (name.clone(), amount))
            .collect();
    }
    let mut requests = container_requests(spec, &missing);
    for (name, amount) in spec.pod_requests.iter() {
        requests.set(name.clone(), amount);
    }
    requests.add_all(&spec.overhead);
    let requests = Resources::from_list(&requests);
    (requests.milli_cpu, requests.memory)
}

fn scored_requests(spec: &PodSpec) -> Resources {
    let mut requests = container_requests(spec, &default_requests());
    requests.add_all(&spec.overhead);
    Resources::from_list(&requests)
}

fn default_requests() -> ResourceList {
    [
        ("cpu", Quantity::from_milli(DEFAULT_MILLI_CPU_REQUEST)),
        ("memory", Quantity::from_bytes(DEFAULT_MEMORY_REQUEST)),
    ]
    .into_iter()
    .collect()
}

/// Host ports of containers and sidecars; those of other init containers are released before the pod runs.
fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().filter(|container| container.is_sidecar);
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
    ports
        .filter(|port| port.host_port > 0)
        .map(|port| HostPort {
            protocol: port.protocol.clone(),
            port: port.host_port,
            ip: if port.host_ip.is_empty() { "0.0.0.0".into() } else { port.host_ip.clone() },
        })
        .collect()
}

/// The name under which nodes list an image: one without tag means `latest`
/// (`imagelocality.normalizedImageName`).
fn image_with_tag(image: &Name) -> Name {
    if image.rfind(':') <= image.rfind('/') {
        format!("{image}:latest").into()
    } else {
        image.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::pod_template::ContainerPort;

    fn class(spec: PodSpec) -> PodClass {
        let template = PodTemplate { spec, ..PodTemplate::default() };
        let mut topology = super::super::topology::Topology::default();
        let mut register = |key: &Name| topology.register(key).0;
        PodClass::new("default".into(), Labels::default(), &template, &mut register)
    }

    fn list(amounts: &[(&'static str, &str)]) -> ResourceList {
        let amounts = amounts.iter().map(|(name, text)| (*name, text.parse().unwrap()));
        amounts.collect::<ResourceList>()
    }

    #[test]
    fn defaults_stand_in_per_container_and_resource_but_not_for_an_explicit_zero() {
        let container = |requests| Container { requests, ..Container::default() };
        let class = class(PodSpec {
            containers: vec![container(list(&[("cpu", "0")])), container(list(&[]))],
            ..PodSpec::default()
        });
        assert_eq!(class.non_zero, (100, 2 * DEFAULT_MEMORY_REQUEST));
        assert_eq!(class.requests.milli_cpu, 0);
    }

    #[test]
    fn pod_level_requests_count_for_placed_pods_but_not_when_an_incoming_pod_is_scored() {
        let class = class(PodSpec {
            containers: vec![Container::default()],
            pod_requests: list(&[("cpu", "2")]),
            ..PodSpec::default()
        });
        assert_eq!(class.non_zero, (2000, DEFAULT_MEMORY_REQUEST));
        assert_eq!(class.scored.milli_cpu, DEFAULT_MILLI_CPU_REQUEST);
    }

    #[test]
    fn host_ports_conflict_on_equal_addresses_or_all_addresses() {
        let port = |ip: &str| HostPort { protocol: "TCP".into(), port: 80, ip: ip.into() };
        assert!(port("0.0.0.0").conflicts(&port("10.0.0.1")));
        assert!(!port("10.0.0.2").conflicts(&port("10.0.0.1")));
        let udp = HostPort { protocol: "UDP".into(), ..port("0.0.0.0") };
        assert!(!udp.conflicts(&port("0.0.0.0")));
        let spec = PodSpec {
            init_containers: vec![Container {
                ports: vec![ContainerPort {
                    name: "".into(),
                    container_port: 1,
                    host_port: 1,
                    host_ip: "".into(),
                    protocol: "TCP".into(),
                }],
                ..Container::default()
            }],
            ..PodSpec::default()
        };
        assert_eq!(class(spec).host_ports, []);
    }

    #[test]
    fn an_image_without_tag_means_latest() {
        assert_eq!(image_with_tag(&"r:5000/web".into()).as_ref(), "r:5000/web:latest");
        assert_eq!(image_with_tag(&"web:1".into()).as_ref(), "web:1");
        assert_eq!(image_with_tag(&"web".into()).as_ref(), "web:latest");
    }
}
