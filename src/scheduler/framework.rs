//! The extension points of the scheduling framework as small traits, with the names of Kubernetes
//! (`staging/src/k8s.io/kube-scheduler/framework/interface.go`, 1.36).
//!
//! Data that the real framework passes between extension points in a `CycleState` is held here by the object that the
//! first of them returns: PreFilter returns the [`NodeFilter`], PreScore the [`NodeScore`].

use std::borrow::Cow;
use std::fmt;

use super::cache::Cache;
use super::gpu::DeviceSet;
use super::node_info::NodeInfo;
use super::pod_class::PodClass;
use cluster::ClusterView;
use cluster::Name;
use cluster::node::NodeId;
use cluster::pod::{Owner, PodId};

/// The best score that a plugin gives after normalisation (`MaxNodeScore`).
pub const MAX_NODE_SCORE: i64 = 100;

/// Name of a plugin, as in a KubeSchedulerConfiguration.
pub type PluginName = &'static str;

/// Whether preemption can resolve a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Removing pods from the node may help.
    Unschedulable,
    /// Removing pods from the node cannot help.
    UnschedulableAndUnresolvable,
}

/// One reason, in the words of the plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A fixed or composed sentence.
    Text(Cow<'static, str>),
    /// `Insufficient` and the resource's name.
    Insufficient(Name),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Insufficient(resource) => write!(f, "Insufficient {resource}"),
        }
    }
}

/// A plugin's status for an infeasible node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Whether preemption may help.
    pub code: Code,
    /// At least one.
    pub reasons: Vec<Reason>,
}

impl Refusal {
    /// A rejection that preemption may resolve.
    pub fn unschedulable(reason: &'static str) -> Self {
        Self { code: Code::Unschedulable, reasons: vec![Reason::Text(Cow::Borrowed(reason))] }
    }

    /// A rejection that preemption cannot resolve.
    pub(crate) fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        let reasons = vec![Reason::Text(reason.into())];
        Self { code: Code::UnschedulableAndUnresolvable, reasons }
    }

    /// The reasons as text.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.reasons.iter().map(ToString::to_string)
    }
}

/// Everything a plugin may read while placing one pod.
#[derive(Clone, Copy, Debug)]
pub struct CycleContext<'a> {
    /// Nodes with the pods on them.
    pub cache: &'a Cache,
    /// Namespaces, Services, owners, budgets.
    pub view: ClusterView<'a>,
    /// The pod.
    pub pod: PodToPlace<'a>,
}

/// The pod to schedule. It need not exist: autoscalers ask about hypothetical pods.
#[derive(Clone, Copy, Debug)]
pub struct PodToPlace<'a> {
    /// The pod object, if it exists.
    pub id: Option<PodId>,
    /// The pod's class.
    pub class: &'a PodClass,
    /// The controller that owns it.
    pub owner: Option<Owner>,
    /// `status.nominatedNodeName`.
    pub nominated_node: Option<NodeId>,
}

/// Inputs of a plugin's verdict on a node, besides the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Only that node with its pods, and the pod's `NodeDemand`: the verdict holds for all pods with that demand
    /// until the node changes. A score of this scope is not normalized.
    Node,
    /// Anything in the cluster.
    Cluster,
}

/// A plugin at the points PreFilter and Filter.
pub trait FilterPlugin: fmt::Debug + Send + Sync {
    /// Inputs of its verdict.
    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    /// Examines the pod before any node.
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c>;

    /// Whether an event may make a pod rejected by this plugin schedulable (`EventsToRegister` with its
    /// `QueueingHintFn`s).
    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool;
}

/// A change of the cluster while pods are waiting.
#[derive(Clone, Copy, Debug)]
pub enum ClusterEvent<'a> {
    /// A node appeared.
    NodeAdded(&'a NodeInfo),
    /// A node changed.
    NodeUpdated {
        /// As it was.
        before: &'a NodeInfo,
        /// The node after the change.
        after: &'a NodeInfo,
    },
    /// A node was removed.
    NodeRemoved(&'a NodeInfo),
    /// A pod was bound.
    PodPlaced(&'a PodClass),
    /// The labels of a bound pod changed.
    PodRelabelled {
        /// As it was.
        before: &'a PodClass,
        /// The class after the change.
        after: &'a PodClass,
    },
    /// A bound pod was removed or finished.
    PodGone(&'a PodClass),
    /// A nominated pod was removed, or lost its nomination.
    NominationGone(&'a PodClass),
    /// A PersistentVolumeClaim, a PersistentVolume or a StorageClass was created.
    ClaimAdded,
    /// A volume was attached or detached, or a CSINode was written.
    AttachmentsChanged,
}

/// Result of PreFilter.
pub enum PreFilter<'c> {
    /// The plugin has nothing to check for this pod.
    Skip,
    /// No node does.
    Refuse(Refusal),
    /// Each node must be checked with a filter.
    Check {
        /// The only candidate nodes, ascending by slot; absent = all.
        only: Option<Vec<usize>>,
        /// Checks a node.
        filter: Box<dyn NodeFilter + 'c>,
    },
}

impl<'c> PreFilter<'c> {
    /// Checks all nodes with this filter.
    pub fn check(filter: impl NodeFilter + 'c) -> Self {
        Self::Check { only: None, filter: Box::new(filter) }
    }

    /// Checks a condition on all nodes; those that fail it get `refusal`.
    pub fn require(
        holds: impl Fn(&NodeInfo) -> bool + Clone + 'c,
        refusal: fn() -> Refusal,
    ) -> Self {
        Self::check(Condition { holds, refusal })
    }
}

/// A filter with one reason to reject a node.
#[derive(Clone)]
struct Condition<F> {
    holds: F,
    refusal: fn() -> Refusal,
}

impl<F: Fn(&NodeInfo) -> bool + Clone> NodeFilter for Condition<F> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if self.passes(node) { Ok(()) } else { Err((self.refusal)()) }
    }

    fn passes(&self, node: &NodeInfo) -> bool {
        (self.holds)(node)
    }
}

/// A filter that depends only on the node.
impl<F: Fn(&NodeInfo) -> Result<(), Refusal> + Clone> NodeFilter for F {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        self(node)
    }
}

/// Checks nodes for one pod (Filter), using data gathered in PreFilter.
pub trait NodeFilter: BoxedClone {
    /// Whether the pod fits the node. In a dry run the node may differ from the cached one by pods added or removed,
    /// as reported through [`Self::add_pod`] and [`Self::remove_pod`].
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal>;

    /// [`Self::filter`] without the reasons.
    fn passes(&self, node: &NodeInfo) -> bool {
        self.filter(node).is_ok()
    }

    /// [`Self::filter`] without the reasons, for a cached node.
    fn admits(&self, cache: &Cache, slot: usize) -> bool {
        self.passes(cache.node(slot))
    }

    /// PreFilterExtensions: assumes that a pod of this class is added to the node.
    fn add_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        let _ = (pod, node);
    }

    /// PreFilterExtensions: assumes that a pod of this class is removed from the node.
    fn remove_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        let _ = (pod, node);
    }
}

/// Clones a filter for a dry run. Implemented for every [`NodeFilter`] that is `Clone`.
pub trait BoxedClone {
    /// The copy.
    fn boxed_clone<'a>(&self) -> Box<dyn NodeFilter + 'a>
    where
        Self: 'a;
}

impl<T: NodeFilter + Clone> BoxedClone for T {
    fn boxed_clone<'a>(&self) -> Box<dyn NodeFilter + 'a>
    where
        Self: 'a,
    {
        Box::new(self.clone())
    }
}

/// A plugin at the point Reserve.
pub trait ReservePlugin: fmt::Debug + Send + Sync {
    /// The devices of the node assigned to the pod that is about to be placed there.
    fn reserve(&self, cycle: &CycleContext<'_>, node: &NodeInfo) -> DeviceSet;
}

/// A plugin at the points PreScore, Score and NormalizeScore.
pub trait ScorePlugin: fmt::Debug + Send + Sync {
    /// Inputs of its scores.
    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    /// True if it currently gives all nodes the same score, and so does not affect the choice.
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        let _ = cycle;
        false
    }

    /// Examines the feasible nodes (slots) as a whole; `None` = the plugin does not score this pod.
    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, feasible: &[usize]) -> PreScore<'c>;
}

/// Result of PreScore: the scorer of the nodes, if any.
pub type PreScore<'c> = Option<Box<dyn NodeScore + 'c>>;

/// Scores nodes individually, without normalization.
#[expect(clippy::unnecessary_wraps, reason = "plugins return it as the result of their PreScore")]
pub(crate) fn score_by<'c>(score: impl Fn(&NodeInfo) -> i64 + 'c) -> PreScore<'c> {
    Some(Box::new(score))
}

/// Scores nodes for one pod.
pub trait NodeScore {
    /// The raw score of a node.
    fn score(&self, node: &NodeInfo) -> i64;

    /// The raw scores of cached nodes (slots), equal to those of [`Self::score`].
    fn score_each(&self, cache: &Cache, slots: &[usize]) -> Vec<i64> {
        slots.iter().map(|slot| self.score(cache.node(*slot))).collect()
    }

    /// Turns the raw scores of all feasible nodes into scores from 0 to [`MAX_NODE_SCORE`].
    fn normalize(&self, scores: &mut [i64]) {
        let _ = scores;
    }
}

/// A score without normalization.
impl<F: Fn(&NodeInfo) -> i64> NodeScore for F {
    fn score(&self, node: &NodeInfo) -> i64 {
        self(node)
    }
}

/// Scales scores so that the largest becomes [`MAX_NODE_SCORE`], and inverts them if `reverse` is set
/// (`helper.DefaultNormalizeScore`).
pub(crate) fn default_normalize(scores: &mut [i64], reverse: bool) {
    let largest = scores.iter().copied().max().unwrap_or(0).max(0);
    for score in scores {
        let scaled = if largest == 0 { 0 } else { MAX_NODE_SCORE * *score / largest };
        *score = if reverse { MAX_NODE_SCORE - scaled } else { scaled };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_cuts_to_integers_and_reverses_all_zero_to_full_marks() {
        let mut scores = [0, 1, 3];
        default_normalize(&mut scores, false);
        assert_eq!(scores, [0, 33, 100]);
        let mut scores = [0, 1, 3];
        default_normalize(&mut scores, true);
        assert_eq!(scores, [100, 67, 0]);
        let mut scores = [0, 0];
        default_normalize(&mut scores, true);
        assert_eq!(scores, [100, 100]);
    }
}
