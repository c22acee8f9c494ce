//! The extension points of the scheduling framework as small traits, with the names of Kubernetes
//! (`staging/src/k8s.io/kube-scheduler/framework/interface.go`, 1.36).
//!
//! What the real framework keeps in a `CycleState` between two points of one cycle is here the
//! object that the first point returns: PreFilter gives the [`NodeFilter`], PreScore the
//! [`NodeScore`].

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

/// Why a node does not do, as far as preemption is concerned.
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

/// What a plugin says of a node that does not do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Whether preemption may help.
    pub code: Code,
    /// At least one.
    pub reasons: Vec<Reason>,
}

impl Refusal {
    /// A refusal that preemption may resolve.
    pub fn unschedulable(reason: &'static str) -> Self {
        Self { code: Code::Unschedulable, reasons: vec![Reason::Text(Cow::Borrowed(reason))] }
    }

    /// A refusal that preemption cannot resolve.
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        let reasons = vec![Reason::Text(reason.into())];
        Self { code: Code::UnschedulableAndUnresolvable, reasons }
    }

    /// The reasons as text.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.reasons.iter().map(ToString::to_string)
    }
}

/// All that a plugin may look at while it places one pod.
#[derive(Clone, Copy, Debug)]
pub struct CycleContext<'a> {
    /// Nodes with the pods on them.
    pub cache: &'a Cache,
    /// Namespaces, Services, owners, budgets.
    pub view: ClusterView<'a>,
    /// The pod.
    pub pod: PodToPlace<'a>,
}

/// The pod that a cycle is about. It need not exist: autoscalers ask for pods to come.
#[derive(Clone, Copy, Debug)]
pub struct PodToPlace<'a> {
    /// The pod object, if there is one.
    pub id: Option<PodId>,
    /// What it is made from.
    pub class: &'a PodClass,
    /// The controller that owns it.
    pub owner: Option<Owner>,
    /// `status.nominatedNodeName`.
    pub nominated_node: Option<NodeId>,
}

/// What a plugin's verdict on a node follows from, beside the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// That node and the pods on it, and of the pod no more than its class' `NodeDemand`: the verdict holds
    /// for all pods of that demand until the node changes. A score of this scope is not normalised.
    Node,
    /// Anything in the cluster.
    Cluster,
}

/// A plugin at the points PreFilter and Filter.
pub trait FilterPlugin: fmt::Debug + Send + Sync {
    /// What its verdict follows from.
    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    /// Looks at the pod before any node.
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c>;

    /// Whether an event may make a pod schedulable that this plugin rejected (`EventsToRegister`
    /// with its `QueueingHintFn`s).
    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool;
}

/// Something that happened to the cluster while pods wait.
#[derive(Clone, Copy, Debug)]
pub enum ClusterEvent<'a> {
    /// A node appeared.
    NodeAdded(&'a NodeInfo),
    /// A node changed.
    NodeUpdated {
        /// As it was.
        before: &'a NodeInfo,
        /// As it is.
        after: &'a NodeInfo,
    },
    /// A node is gone.
    NodeRemoved(&'a NodeInfo),
    /// A pod was bound.
    PodPlaced(&'a PodClass),
    /// The labels of a bound pod changed.
    PodRelabelled {
        /// As it was.
        before: &'a PodClass,
        /// As it is.
        after: &'a PodClass,
    },
    /// A bound pod is gone, or ended.
    PodGone(&'a PodClass),
    /// A pod that waits for room on its nominated node is gone, or no longer nominated to it.
    NominationGone(&'a PodClass),
    /// A PersistentVolumeClaim, a PersistentVolume or a StorageClass was created.
    ClaimAdded,
}

/// What PreFilter found.
pub enum PreFilter<'c> {
    /// The plugin has nothing to check for this pod.
    Skip,
    /// No node does.
    Refuse(Refusal),
    /// The nodes are to be checked one by one.
    Check {
        /// The only nodes that may do, ascending by slot; absent = all.
        only: Option<Vec<usize>>,
        /// Checks a node.
        filter: Box<dyn NodeFilter + 'c>,
    },
}

impl<'c> PreFilter<'c> {
    /// All nodes are to be checked with this filter.
    pub fn check(filter: impl NodeFilter + 'c) -> Self {
        Self::Check { only: None, filter: Box::new(filter) }
    }

    /// All nodes are to be checked for one thing; `refusal` is said of those for which it does not hold.
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

/// A filter that needs no more than the node.
impl<F: Fn(&NodeInfo) -> Result<(), Refusal> + Clone> NodeFilter for F {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        self(node)
    }
}

/// Checks nodes for one pod (Filter), with what PreFilter gathered.
pub trait NodeFilter: BoxedClone {
    /// Whether the pod may go to the node. The node may differ from the cached one by pods that a
    /// dry run added or removed, of which [`Self::add_pod`] and [`Self::remove_pod`] told.
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal>;

    /// Whether the pod may go to the node, as [`Self::filter`] says of it, without the reasons.
    fn passes(&self, node: &NodeInfo) -> bool {
        self.filter(node).is_ok()
    }

    /// Whether the pod may go to a node of the cache, as [`Self::filter`] says of it, in fewer words.
    fn admits(&self, cache: &Cache, slot: usize) -> bool {
        self.passes(cache.node(slot))
    }

    /// PreFilterExtensions: a pod of this class is assumed on the node as well.
    fn add_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        let _ = (pod, node);
    }

    /// PreFilterExtensions: a pod of this class is assumed to be gone from the node.
    fn remove_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        let _ = (pod, node);
    }
}

/// Copies a filter for a dry run. Every [`NodeFilter`] that is `Clone` has it.
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
    /// Which devices of the node the pod gets that is about to go there.
    fn reserve(&self, cycle: &CycleContext<'_>, node: &NodeInfo) -> DeviceSet;
}

/// A plugin at the points PreScore, Score and NormalizeScore.
pub trait ScorePlugin: fmt::Debug + Send + Sync {
    /// What its scores follow from.
    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    /// Whether it scores all nodes alike as things stand, so that it bears on no choice.
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        let _ = cycle;
        false
    }

    /// Looks at the feasible nodes (slots) as a whole; `None` = the plugin does not score this pod.
    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, feasible: &[usize]) -> PreScore<'c>;
}

/// What PreScore found: how the nodes are scored, if they are.
pub type PreScore<'c> = Option<Box<dyn NodeScore + 'c>>;

/// Nodes are to be scored one by one, without being normalised.
pub fn score_by<'c>(score: impl Fn(&NodeInfo) -> i64 + 'c) -> PreScore<'c> {
    Some(Box::new(score))
}

/// Scores nodes for one pod.
pub trait NodeScore {
    /// The raw score of a node.
    fn score(&self, node: &NodeInfo) -> i64;

    /// The raw scores of nodes of the cache (slots), each as [`Self::score`] gives it.
    fn score_each(&self, cache: &Cache, slots: &[usize]) -> Vec<i64> {
        slots.iter().map(|slot| self.score(cache.node(*slot))).collect()
    }

    /// Turns the raw scores of all feasible nodes into scores from 0 to [`MAX_NODE_SCORE`].
    fn normalize(&self, scores: &mut [i64]) {
        let _ = scores;
    }
}

/// A score that is not normalised.
impl<F: Fn(&NodeInfo) -> i64> NodeScore for F {
    fn score(&self, node: &NodeInfo) -> i64 {
        self(node)
    }
}

/// Scales scores so that the largest becomes [`MAX_NODE_SCORE`], and turns them round if asked to
/// (`helper.DefaultNormalizeScore`).
pub fn default_normalize(scores: &mut [i64], reverse: bool) {
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
