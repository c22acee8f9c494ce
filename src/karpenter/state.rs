//! The cluster at an instant, as Karpenter sees it (`pkg/controllers/state`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::amounts::Amounts;
use super::instance_type::InstanceType;
use super::labels::{
    DISRUPTED_TAINT, DO_NOT_DISRUPT, HOSTNAME, NODE_POOL, UNREGISTERED_TAINT, WellKnownLabels,
};
use super::node_pods::NodePods;
use super::node_pool::NodePool;
use super::pdb::Budgets;
use super::pod::Pod;
use super::requirement::WrittenRequirement;
use super::ties::Ties;
use cluster::node::Taint;
use cluster::pod_template::TaintEffect;
use cluster::{Labels, Name, NamespacedName};
use engine::{SimDuration, SimTime};
use scheduler::pod_class::HostPort;

/// Options of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `BATCH_IDLE_DURATION`: a batch ends after this time without new pods.
    pub batch_idle: SimDuration,
    /// `BATCH_MAX_DURATION`: a batch ends after this time at the latest.
    pub batch_max: SimDuration,
    /// `PREFERENCE_POLICY`.
    pub preference_policy: PreferencePolicy,
    /// `MIN_VALUES_POLICY`.
    pub min_values_policy: MinValuesPolicy,
    /// The feature gate `SpotToSpotConsolidation`.
    pub spot_to_spot_consolidation: bool,
    /// Most instance types in a NodeClaim.
    pub max_instance_types: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_idle: SimDuration::from_secs(1),
            batch_max: SimDuration::from_secs(10),
            preference_policy: PreferencePolicy::Respect,
            min_values_policy: MinValuesPolicy::Strict,
            spot_to_spot_consolidation: false,
            max_instance_types: 600,
        }
    }
}

impl Options {
    /// How long a node stays nominated for a pending pod (`nominationWindow`).
    pub fn nomination_window(&self) -> SimDuration {
        SimDuration::from_nanos(self.batch_max.as_nanos() * 2).max(SimDuration::from_secs(10))
    }
}

/// How to treat preferences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreferencePolicy {
    /// As requirements, until they cannot be met.
    Respect,
    /// Ignored.
    Ignore,
}

/// How to treat `minValues` that cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinValuesPolicy {
    /// No node is created.
    Strict,
    /// They are lowered to what is available.
    BestEffort,
}

/// A NodeClaim: a requested node.
#[derive(Clone, Debug)]
pub struct NodeClaim {
    /// Name.
    pub name: Name,
    /// Labels, including those of the instance once it is launched.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Taints that its node gets.
    pub taints: Vec<Taint>,
    /// Taints that another component removes before it is initialized.
    pub startup_taints: Vec<Taint>,
    /// Requirements on the instance.
    pub requirements: Vec<WrittenRequirement>,
    /// Total requests of the pods that it was created for.
    pub requests: Amounts,
    /// Capacity of the instance; empty before the launch.
    pub capacity: Amounts,
    /// Allocatable resources; empty before the launch.
    pub allocatable: Amounts,
    /// `creationTimestamp`.
    pub created: SimTime,
    /// `spec.expireAfter`.
    pub expire_after: Option<SimDuration>,
    /// `spec.terminationGracePeriod`.
    pub termination_grace_period: Option<SimDuration>,
    /// Hash of its pool's template at its creation.
    pub hash: Name,
    /// Provider ID of the instance, once it is launched.
    pub provider_id: Option<Name>,
    /// When it was initialized, in whole seconds.
    pub initialized: Option<SimTime>,
    /// When it became consolidatable.
    pub consolidatable: Option<SimTime>,
    /// When it drifted, and why.
    pub drifted: Option<(SimTime, DriftReason)>,
    /// Time of the last pod event, in whole seconds.
    pub last_pod_event: Option<SimTime>,
    /// True if it is being deleted.
    pub is_terminating: bool,
}

/// Reason of a drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftReason {
    /// The pool's template has changed.
    NodePoolDrifted,
    /// Its labels do not meet the pool's requirements.
    RequirementsDrifted,
    /// The cloud no longer has its instance type.
    InstanceTypeNotFound,
}

impl DriftReason {
    /// The reason in the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodePoolDrifted => "NodePoolDrifted",
            Self::RequirementsDrifted => "RequirementsDrifted",
            Self::InstanceTypeNotFound => "InstanceTypeNotFound",
        }
    }
}

/// A Node object.
#[derive(Clone, Debug)]
pub struct NodeObject {
    /// Name.
    pub name: Name,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Capacity of the machine.
    pub capacity: Amounts,
    /// Allocatable resources.
    pub allocatable: Amounts,
    /// The most disks of the cloud that it takes (`CSINode`); absent = any number.
    pub attach_limit: Option<u32>,
    /// Status of its Ready condition.
    pub is_ready: bool,
    /// True if Karpenter has registered it (`karpenter.sh/registered`).
    pub is_registered: bool,
    /// True if Karpenter has initialized it (`karpenter.sh/initialized`).
    pub is_initialized: bool,
}

/// A NodeClaim and its node, or one of them.
#[derive(Clone, Debug)]
pub struct StateNode {
    /// The claim; absent for nodes that Karpenter did not create.
    pub claim: Option<Arc<NodeClaim>>,
    /// The node; absent until it has joined.
    pub node: Option<Arc<NodeObject>>,
    /// The pods on it.
    pub pods: NodePods,
    /// True if a command of the disruption queue is about to delete it.
    pub is_marked: bool,
    /// Time until which it is nominated for a pending pod.
    pub nominated_until: SimTime,
}

impl StateNode {
    /// True if Karpenter created it.
    pub(crate) const fn is_managed(&self) -> bool {
        self.claim.is_some()
    }

    /// True if its node is registered; nodes that Karpenter did not create count as registered.
    pub fn is_registered(&self) -> bool {
        !self.is_managed() || self.node.as_ref().is_some_and(|node| node.is_registered)
    }

    /// True if its node is initialized; nodes that Karpenter did not create count as initialized.
    pub fn is_initialized(&self) -> bool {
        !self.is_managed() || self.node.as_ref().is_some_and(|node| node.is_initialized)
    }

    /// The claim, as long as it takes precedence over the node.
    fn claim_before_registration(&self) -> Option<&NodeClaim> {
        let claim = self.claim.as_deref()?;
        (!self.is_registered()).then_some(claim)
    }

    /// The node's name, or the claim's before its node is registered.
    pub fn name(&self) -> &Name {
        match (self.claim_before_registration(), &self.node, &self.claim) {
            (Some(claim), _, _) => &claim.name,
            (None, Some(node), _) => &node.name,
            (None, None, Some(claim)) => &claim.name,
            (None, None, None) => no_name(),
        }
    }

    /// The node's labels, or the claim's before its node is registered.
    pub fn labels(&self) -> &Labels {
        match (self.claim_before_registration(), &self.node) {
            (Some(claim), _) => &claim.labels,
            (None, Some(node)) => &node.labels,
            (None, None) => no_labels(),
        }
    }

    /// The node's annotations, or the claim's before its node is registered.
    pub fn annotations(&self) -> &Labels {
        match (self.claim_before_registration(), &self.node) {
            (Some(claim), _) => &claim.annotations,
            (None, Some(node)) => &node.annotations,
            (None, None) => no_labels(),
        }
    }

    /// The value of the hostname label, or the name.
    pub fn hostname(&self) -> &Name {
        self.labels().get(HOSTNAME).filter(|name| !name.is_empty()).unwrap_or_else(|| self.name())
    }

    /// The pool that it belongs to.
    pub fn pool(&self) -> Option<&Name> {
        self.labels().get(NODE_POOL)
    }

    /// The permanent taints: startup and ephemeral ones are ignored before initialization (`StateNode.Taints`).
    pub fn taints(&self) -> Vec<Taint> {
        let of_claim = self.claim_before_registration().map(|claim| &claim.taints);
        let all = of_claim.or_else(|| self.node.as_ref().map(|node| &node.taints));
        let Some(all) = all else { return Vec::new() };
        let Some(claim) = self.claim.as_ref().filter(|_| !self.is_initialized()) else {
            return all.clone();
        };
        let goes = |taint: &&Taint| {
            is_ephemeral(taint) || claim.startup_taints.iter().any(|one| is_same_taint(one, taint))
        };
        all.iter().filter(|taint| !goes(taint)).cloned().collect()
    }

    /// Capacity: before initialization, values that the node does not report yet are those of the claim.
    pub fn capacity(&self) -> Amounts {
        self.reported(|node| &node.capacity, |claim| &claim.capacity).with_a_node()
    }

    /// Allocatable resources, with the same rule.
    pub fn allocatable(&self) -> Amounts {
        self.reported(|node| &node.allocatable, |claim| &claim.allocatable)
    }

    fn reported(
        &self,
        of_node: fn(&NodeObject) -> &Amounts,
        of_claim: fn(&NodeClaim) -> &Amounts,
    ) -> Amounts {
        let claim = self.claim.as_deref().filter(|_| !self.is_initialized());
        let mut all = self.node.as_deref().map(of_node).cloned().unwrap_or_default();
        for (name, nanos) in claim.map(of_claim).into_iter().flat_map(Amounts::iter) {
            if all.get(name).unwrap_or(0) == 0 {
                all.set(&Name::from(name), nanos);
            }
        }
        all
    }

    /// The disks of its pods, each once.
    pub fn volumes(&self) -> BTreeSet<NamespacedName> {
        let pods = self.pods.iter().filter(|pod| !pod.is_terminal);
        pods.flat_map(|pod| pod.volumes.iter().cloned()).collect()
    }

    /// The host ports in use by its pods.
    pub fn host_ports(&self) -> Vec<HostPort> {
        let pods = self.pods.iter().filter(|pod| !pod.is_terminal);
        pods.flat_map(|pod| pod.host_ports.iter().cloned()).collect()
    }

    /// True if it is to be removed (`MarkedForDeletion`).
    pub(crate) fn is_going(&self) -> bool {
        self.is_marked || self.claim.as_ref().is_some_and(|claim| claim.is_terminating)
    }

    /// True if it is nominated for a pending pod.
    pub(crate) fn is_nominated(&self, now: SimTime) -> bool {
        self.nominated_until > now
    }

    /// Why it cannot be disrupted, regardless of its pods (`ValidateNodeDisruptable`); `None` if it can.
    pub(crate) fn blocker(&self, now: SimTime) -> Option<Cow<'static, str>> {
        let reason = if self.claim.is_none() {
            "node isn't managed by karpenter".into()
        } else if self.node.is_none() {
            "nodeclaim does not have an associated node".into()
        } else if !self.is_initialized() {
            "node isn't initialized".into()
        } else if self.is_going() {
            "node is deleting or marked for deletion".into()
        } else if self.is_nominated(now) {
            "node is nominated for a pending pod".into()
        } else if self.annotations().get(DO_NOT_DISRUPT).is_some_and(|one| one.as_ref() == "true") {
            format!("disruption is blocked through the {DO_NOT_DISRUPT:?} annotation").into()
        } else if self.pool().is_none() {
            format!("node doesn't have required label {NODE_POOL}").into()
        } else {
            return None;
        };
        Some(reason)
    }
}

fn no_labels() -> &'static Labels {
    static NONE: std::sync::OnceLock<Labels> = std::sync::OnceLock::new();
    NONE.get_or_init(Labels::default)
}

fn no_name() -> &'static Name {
    static NONE: std::sync::OnceLock<Name> = std::sync::OnceLock::new();
    NONE.get_or_init(|| "".into())
}

/// True if two taints have the same key and effect (`MatchTaint`).
fn is_same_taint(one: &Taint, other: &Taint) -> bool {
    one.key == other.key && one.effect == other.effect
}

/// True if a taint disappears on its own while a node starts (`IsKnownEphemeralTaint`).
fn is_ephemeral(taint: &Taint) -> bool {
    use TaintEffect::{NoExecute, NoSchedule};
    const KNOWN: [(&str, TaintEffect); 5] = [
        ("node.kubernetes.io/not-ready", NoSchedule),
        ("node.kubernetes.io/not-ready", NoExecute),
        ("node.kubernetes.io/unreachable", NoSchedule),
        ("node.cloudprovider.kubernetes.io/uninitialized", NoSchedule),
        (UNREGISTERED_TAINT, NoExecute),
    ];
    KNOWN.iter().any(|(key, effect)| taint.key.as_ref() == *key && taint.effect == *effect)
        || taint.key.starts_with("readiness.k8s.io/")
}

/// True if the disruption taint is among these.
pub fn is_disrupted(taints: &[Taint]) -> bool {
    let is_it =
        |one: &Taint| one.key.as_ref() == DISRUPTED_TAINT && one.effect == TaintEffect::NoSchedule;
    taints.iter().any(is_it)
}

/// The cluster at an instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The current simulated time.
    pub now: SimTime,
    /// The calendar time at which simulated time began.
    pub epoch: Timestamp,
    /// Nodes and claims, by name.
    pub nodes: Vec<StateNode>,
    /// Pods without a node.
    pub waiting: Vec<Arc<Pod>>,
    /// All NodePools.
    pub pools: Vec<Arc<NodePool>>,
    /// The pods that each DaemonSet would create.
    pub daemons: Vec<Arc<Pod>>,
    /// PodDisruptionBudgets.
    pub budgets: Budgets,
    /// Namespaces with their labels.
    pub namespaces: Vec<(Name, Labels)>,
    /// The cloud's instance types by pool, in the cloud's order.
    pub instance_types: Vec<(Name, Arc<[Arc<InstanceType>]>)>,
    /// The labels that every new node gets.
    pub well_known: Arc<WellKnownLabels>,
    /// Options of the operator.
    pub options: Options,
    /// Breaks ties.
    pub ties: Ties,
}

impl Snapshot {
    /// The instance types of a pool.
    pub fn types_of(&self, pool: &str) -> &[Arc<InstanceType>] {
        let found = self.instance_types.iter().find(|(name, _)| name.as_ref() == pool);
        found.map_or(&[], |(_, types)| types)
    }

    /// A pool by its name.
    pub fn pool(&self, name: &str) -> Option<&Arc<NodePool>> {
        self.pools.iter().find(|pool| pool.name.as_ref() == name)
    }

    /// Total resources of a pool's nodes, except those to be removed (`NodePoolResourcesFor`).
    pub(crate) fn pool_usage(&self, pool: &str) -> Amounts {
        let mut sum = Amounts::default();
        for node in self.nodes.iter().filter(|node| !node.is_going()) {
            if node.pool().is_some_and(|name| name.as_ref() == pool) {
                sum.add(&node.capacity());
            }
        }
        sum
    }

    /// The pods of nodes to be removed that have to be rescheduled and may be evicted
    /// (`CurrentlyReschedulablePods`).
    pub(crate) fn pods_of_going_nodes(&self) -> Vec<Arc<Pod>> {
        let going = self.nodes.iter().filter(|node| node.is_going() && node.node.is_some());
        let pods = going.flat_map(|node| &node.pods);
        pods.filter(|pod| self.is_reschedulable_now(pod)).cloned().collect()
    }

    /// True if a pod has to be rescheduled and may be evicted now (`IsCurrentlyReschedulable`).
    pub(crate) fn is_reschedulable_now(&self, pod: &Pod) -> bool {
        pod.is_reschedulable()
            && pod.is_disruptable(self.now)
            && !self.budgets.fully_block(pod, self.now)
    }
}
