//! Pod templates: containers, resources, scheduling constraints. Shared by all pods of a template, so that 150,000
//! pods stay cheap; the state of a pod is in `pod`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::TemplateDocument;
use super::kind::Kind;
use super::meta::{Labels, Name};
use super::node::Taint;
use super::restart::ContainerRestart;
use super::selector::{Operator, Requirement, Selector};
use super::store::POD_TEMPLATE_HASH_LABEL;
use engine::{Id, SimDuration};
use units::{MilliCpu, Quantity};

/// The least CPU limit that a kubelet enforces (`MinMilliCPULimit` of `pkg/kubelet/cm/helpers_linux.go`).
const CPU_LIMIT_MIN: MilliCpu = MilliCpu(10);

/// Key of an interned [`PodTemplate`] in the store.
pub type TemplateId = Id<PodTemplate>;

/// A defaulted pod template: pods with the same `TemplateId` are equal in all of these fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodTemplate {
    /// Labels of the pods.
    pub labels: Labels,
    /// Annotations of the pods.
    pub annotations: Labels,
    /// The pods' spec.
    pub spec: PodSpec,
    /// The template as written, including fields that are not simulated.
    pub document: TemplateDocument,
}

impl PodTemplate {
    /// Whether the template of a ReplicaSet is its Deployment's, except for the hash label that the controller adds
    /// (`EqualIgnoreHash` of `pkg/controller/deployment/util`).
    pub fn equals_ignoring_hash(&self, other: &Self) -> bool {
        self.equals_ignoring(other, POD_TEMPLATE_HASH_LABEL)
    }

    /// Whether it is another template but for one label.
    pub fn equals_ignoring(&self, other: &Self, label: &str) -> bool {
        self.spec == other.spec
            && self.annotations == other.annotations
            && self.document == other.document
            && self.labels.equal_ignoring(&other.labels, label)
    }
}

/// The parts of a `PodSpec` that the simulation models (core/v1, Kubernetes 1.36).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodSpec {
    /// Containers, at least one.
    pub containers: Vec<Container>,
    /// Init containers in their order; sidecars are those with [`Container::is_sidecar`].
    pub init_containers: Vec<Container>,
    /// `spec.resources`: pod-level requests and limits, if any is set.
    pub pod_requests: ResourceList,
    /// Pod-level limits.
    pub pod_limits: ResourceList,
    /// Added to the requests by the RuntimeClass.
    pub overhead: ResourceList,
    /// `spec.restartPolicy`.
    pub restart_policy: RestartPolicy,
    /// Time from the deletion request to the kill, unless the containers exit earlier.
    pub termination_grace_period: SimDuration,
    /// `activeDeadlineSeconds`.
    pub active_deadline: Option<SimDuration>,
    /// `spec.nodeName`: such a pod bypasses the scheduler.
    pub node_name: Option<Name>,
    /// Labels that the node must have.
    pub node_selector: Labels,
    /// Node affinity, pod affinity, pod anti-affinity.
    pub affinity: Affinity,
    /// Tolerations of the pods.
    pub tolerations: Vec<Toleration>,
    /// `spec.topologySpreadConstraints`; empty = the scheduler's defaults.
    pub topology_spread: Vec<TopologySpreadConstraint>,
    /// `spec.priority`, as admission fills it in; absent counts as 0.
    pub priority: Option<i32>,
    /// `spec.priorityClassName`, empty if none.
    pub priority_class_name: Name,
    /// Whether the pod may preempt others.
    pub preemption_policy: PreemptionPolicy,
    /// `spec.schedulerName`: the scheduler profile that places it.
    pub scheduler_name: Name,
    /// Names of the gates that hold it back from scheduling.
    pub scheduling_gates: Vec<Name>,
    /// `spec.readinessGates`: conditions that must be True, besides ready containers, for the pod to be ready.
    pub readiness_gates: Vec<Name>,
    /// Whether it shares the node's network, so that container ports are host ports.
    pub host_network: bool,
    /// ConfigMaps, Secrets and claims that must exist before it can start.
    pub references: Vec<Reference>,
    /// `spec.serviceAccountName`.
    pub service_account_name: Name,
}

impl PodSpec {
    /// Total request for a resource over the running containers and sidecars, each amount converted by `value` before
    /// it is added; a pod-level request replaces the sum.
    pub fn running_request(&self, resource: &str, value: fn(Quantity) -> i64) -> i64 {
        let sum = || self.running().filter_map(|one| one.requests.get(resource)).map(value).sum();
        self.pod_requests.get(resource).map_or_else(sum, value)
    }

    /// The CPU that the running containers and sidecars may use together; absent if one of them has
    /// no limit. The proxy of a mesh does not count: the application cannot use its share. A limit at pod level
    /// replaces the sum. Limits below 10m count as 10m.
    pub fn cpu_limit(&self) -> Option<MilliCpu> {
        let limited = |limits: &ResourceList| {
            limits.get("cpu").map(MilliCpu::from).filter(|limit| limit.0 > 0)
        };
        let own = || self.running().filter(|one| !one.is_proxy);
        let sum = || own().map(|one| limited(&one.limits)).sum::<Option<MilliCpu>>();
        limited(&self.pod_limits).or_else(sum).map(|limit| limit.max(CPU_LIMIT_MIN))
    }

    /// The containers and sidecars, which run side by side.
    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(self.init_containers.iter().filter(|one| one.is_sidecar))
    }

    /// The PersistentVolumeClaims that its volumes name.
    pub fn claims(&self) -> impl Iterator<Item = &Name> {
        let claims = self.references.iter();
        claims.filter(|one| one.kind == Kind::PersistentVolumeClaim).map(|one| &one.name)
    }
}

/// Amounts by resource name, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourceList(Vec<(Name, Quantity)>);

impl ResourceList {
    /// The amount of a resource, if it is named.
    pub fn get(&self, resource: &str) -> Option<Quantity> {
        let found = self.0.binary_search_by(|(name, _)| name.as_ref().cmp(resource)).ok()?;
        Some(self.0[found].1)
    }

    /// Names an amount, or changes it.
    pub fn set(&mut self, resource: impl Into<Name>, amount: Quantity) {
        let resource = resource.into();
        match self.0.binary_search_by(|(name, _)| name.cmp(&resource)) {
            Ok(found) => self.0[found].1 = amount,
            Err(place) => self.0.insert(place, (resource, amount)),
        }
    }

    /// Takes over all amounts of another list.
    pub fn set_all(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            self.set(name.clone(), amount);
        }
    }

    /// Adds the amounts of another list to these.
    pub fn add_all(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            let sum = self.get(name).map_or(amount, |own| own + amount);
            self.set(name.clone(), sum);
        }
    }

    /// Raises each amount to that of another list, where that is larger.
    pub fn raise_to(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            if self.get(name).is_none_or(|own| own.nanos() < amount.nanos()) {
                self.set(name.clone(), amount);
            }
        }
    }

    /// All amounts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, Quantity)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// Whether no resource is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Name>> FromIterator<(K, Quantity)> for ResourceList {
    fn from_iter<I: IntoIterator<Item = (K, Quantity)>>(amounts: I) -> Self {
        let mut list = Self::default();
        for (name, amount) in amounts {
            list.set(name, amount);
        }
        list
    }
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// Name, unique in the pod.
    pub name: Name,
    /// Image as written.
    pub image: Name,
    /// When the image is pulled.
    pub image_pull_policy: ImagePullPolicy,
    /// Requests, including those defaulted from limits.
    pub requests: ResourceList,
    /// Limits.
    pub limits: ResourceList,
    /// Ports that it names.
    pub ports: Vec<ContainerPort>,
    /// Holds the other probes back until it succeeds.
    pub startup_probe: Option<Probe>,
    /// Decides whether the pod gets traffic.
    pub readiness_probe: Option<Probe>,
    /// Restarts the container when it fails.
    pub liveness_probe: Option<Probe>,
    /// Length of a `preStop` hook that sleeps; other hooks count as instant.
    pub pre_stop_sleep: Option<SimDuration>,
    /// Length of a `postStart` hook that sleeps.
    pub post_start_sleep: Option<SimDuration>,
    /// An init container with `restartPolicy: Always`.
    pub is_sidecar: bool,
    /// Whether a service mesh injected it.
    pub is_proxy: bool,
    /// Its own restart policy and rules, if any.
    pub restart: Option<Box<ContainerRestart>>,
    /// `resizePolicy`: the resources whose resize restarts the container.
    pub restarts_on_resize: Vec<Name>,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerPort {
    /// Name, empty if none.
    pub name: Name,
    /// Port inside the pod.
    pub container_port: u16,
    /// Port on the node; 0 = none.
    pub host_port: u16,
    /// Address on the node; empty = all.
    pub host_ip: Name,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Name,
}

/// Timing of a probe. The application's responses come from the request model and from faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// From container start to the first probe.
    pub initial_delay: SimDuration,
    /// From probe to probe.
    pub period: SimDuration,
    /// Timeout after which a probe counts as failed.
    pub timeout: SimDuration,
    /// Successes in a row that make it succeed.
    pub success_threshold: u32,
    /// Failures in a row that make it fail.
    pub failure_threshold: u32,
    /// Overrides the pod's grace when this (liveness or startup) probe kills the container.
    pub termination_grace_period: Option<SimDuration>,
}

/// `restartPolicy` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Restart every ended container.
    #[default]
    Always,
    /// Restart containers that failed.
    OnFailure,
    /// Restart none.
    Never,
}

/// `imagePullPolicy` of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ImagePullPolicy {
    /// Only if the node does not have the image.
    #[default]
    IfNotPresent,
    /// Ask the registry at each start (the layers that the node has are not pulled again).
    Always,
    /// Never; a missing image is an error.
    Never,
}

/// `preemptionPolicy` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PreemptionPolicy {
    /// May remove pods of lower priority.
    #[default]
    PreemptLowerPriority,
    /// Never preempts; the pod waits.
    Never,
}

/// A toleration of taints. `None` in `effect` matches every effect, an empty key with `Exists`
/// every key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Taint key; empty with `Exists` matches all.
    pub key: Name,
    /// Comparison of the value.
    pub operator: TolerationOperator,
    /// The value for `Equal`.
    pub value: Name,
    /// The tolerated effect; absent = all.
    pub effect: Option<TaintEffect>,
    /// For `NoExecute`: time for which the pod stays; absent = indefinitely, negative counts as 0.
    pub toleration_seconds: Option<i64>,
}

impl Toleration {
    /// True if it tolerates the taint (`v1.Toleration.ToleratesTaint`).
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && match self.operator {
                TolerationOperator::Equal => self.value == taint.value,
                TolerationOperator::Exists => true,
            }
    }
}

/// Operator of a toleration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TolerationOperator {
    /// Key and value are equal.
    #[default]
    Equal,
    /// The key is equal (or empty).
    Exists,
}

/// Effect of a taint on pods that do not tolerate it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TaintEffect {
    /// New pods are not placed.
    NoSchedule,
    /// New pods are placed elsewhere if possible.
    PreferNoSchedule,
    /// New pods are not placed, running ones are evicted.
    NoExecute,
}

/// Affinity of all three sorts; empty lists where a pod has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Affinity {
    /// `nodeAffinity.required...`: terms of which one must match; absent = no requirement.
    pub required_node: Option<Vec<NodeSelectorTerm>>,
    /// `nodeAffinity.preferred...` with weights.
    pub preferred_node: Vec<(i32, NodeSelectorTerm)>,
    /// `podAffinity.required...`: all must hold.
    pub required_pod: Vec<PodAffinityTerm>,
    /// `podAffinity.preferred...` with weights.
    pub preferred_pod: Vec<(i32, PodAffinityTerm)>,
    /// `podAntiAffinity.required...`: all must hold.
    pub required_anti: Vec<PodAffinityTerm>,
    /// `podAntiAffinity.preferred...` with weights.
    pub preferred_anti: Vec<(i32, PodAffinityTerm)>,
}

/// One term of a node selector: all requirements must hold; an empty term matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSelectorTerm {
    /// On the node's labels.
    pub match_expressions: Vec<Requirement>,
    /// On the node's fields (only `metadata.name` exists).
    pub match_fields: Vec<Requirement>,
}

/// One term of pod (anti-)affinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodAffinityTerm {
    /// Selects the pods; absent matches none. As written, without the label keys.
    pub selector: Option<Selector>,
    /// Labels that must have the same value as the pod's own; see [`merge_label_keys`].
    pub match_label_keys: Vec<Name>,
    /// Labels that must have another value than the pod's own.
    pub mismatch_label_keys: Vec<Name>,
    /// Namespaces by name; with no `namespace_selector` either, the pod's own.
    pub namespaces: Vec<Name>,
    /// Namespaces by label; an empty selector means all.
    pub namespace_selector: Option<Selector>,
    /// Label whose value is the domain.
    pub topology_key: Name,
}

/// One topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopologySpreadConstraint {
    /// Largest difference allowed.
    pub max_skew: i32,
    /// Label whose value is the domain.
    pub topology_key: Name,
    /// Whether it filters or scores.
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// Selects the pods that count; absent matches none. As written, without the label keys.
    pub selector: Option<Selector>,
    /// Labels that must have the same value as the pod's own; see [`merge_label_keys`].
    pub match_label_keys: Vec<Name>,
    /// With fewer domains the minimum counts as 0.
    pub min_domains: Option<i32>,
    /// Whether nodes that the pod's node affinity excludes are left out of the count.
    pub node_affinity_policy: NodeInclusionPolicy,
    /// Whether nodes with untolerated taints are left out of the count.
    pub node_taints_policy: NodeInclusionPolicy,
}

/// A selector with the values of a pod's own labels merged in, as the API server does when a pod is
/// created (`applyLabelKeysToLabelSelector` of the pod strategy). Kept apart from the selector until
/// then, because the keys usually name `pod-template-hash`, which a Deployment's template lacks.
pub fn merge_label_keys(
    selector: &Selector,
    match_keys: &[Name],
    mismatch_keys: &[Name],
    own: &Labels,
) -> Selector {
    let keys = |keys: &[Name], operator| {
        let requirement = |key: &Name| {
            let values = vec![own.get(key)?.clone()];
            Some(Requirement { key: key.clone(), operator, values })
        };
        keys.iter().filter_map(requirement).collect::<Vec<_>>()
    };
    let mut merged = selector.clone();
    merged.requirements.extend(keys(match_keys, Operator::In));
    merged.requirements.extend(keys(mismatch_keys, Operator::NotIn));
    merged
}

/// Effect of an unsatisfied spread constraint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenUnsatisfiable {
    /// The node is rejected.
    #[default]
    DoNotSchedule,
    /// The node scores lower.
    ScheduleAnyway,
}

/// Whether a node property is honoured when spread is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeInclusionPolicy {
    /// Nodes that fail it are left out.
    Honor,
    /// It plays no part.
    Ignore,
}

/// An object that a pod refers to by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Kind of the referenced object.
    pub kind: Kind,
    /// Its name, in the pod's namespace.
    pub name: Name,
    /// The required key, if any.
    pub key: Option<Name>,
    /// The volume that it provides; absent if it is used in a container's environment.
    pub volume: Option<Name>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_limit_below_the_least_quota_of_the_kernel_counts_as_that() {
        let limited = |limit: i64| Container {
            limits: ResourceList::from_iter([("cpu", Quantity::from_milli(limit))]),
            ..Container::default()
        };
        let limit = |containers: &[i64]| {
            let containers = containers.iter().map(|one| limited(*one)).collect();
            PodSpec { containers, ..PodSpec::default() }.cpu_limit()
        };
        assert_eq!(limit(&[2, 3]), Some(MilliCpu(10)));
        assert_eq!(limit(&[2, 9]), Some(MilliCpu(11)));
        assert_eq!(limit(&[200, 0]), None, "a limit of zero is none");
    }
}
