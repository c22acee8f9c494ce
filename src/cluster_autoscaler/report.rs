//! All that one loop decided, and what it asks the API server for.

use std::collections::BTreeMap;

use super::pods::PodInfo;
use cluster::node::{NodeId, Taint};
use cluster::pod::PodId;
use cluster::{Name, NamespacedName};
use engine::{SimDuration, SimTime};

/// A request to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// All taints of a node.
    SetTaints(NodeId, Vec<Taint>),
    /// Cordon or uncordon.
    SetUnschedulable(NodeId, bool),
    /// The eviction sub-resource, with this grace. If it is refused, the autoscaler is told
    /// (`ClusterAutoscaler::eviction_refused`).
    Evict(PodId, SimDuration),
}

/// One loop.
#[derive(Clone, Debug)]
pub struct LoopReport {
    /// When it was.
    pub at: SimTime,
    /// Pods without a place, before the processors.
    pub pending: Vec<NamespacedName>,
    /// Those that the processors left: they fit nowhere, nor on nodes that are coming. Young ones are among them.
    pub after_filters: Vec<NamespacedName>,
    /// Whether the loop came to look at pods at all.
    pub has_processed_pods: bool,
    /// Nodes that are coming, by group.
    pub upcoming: BTreeMap<Name, i64>,
    /// Nodes among them that are registered, and not ready.
    pub registered_upcoming: Vec<Name>,
    /// What could be done for the pods.
    pub options: Vec<OptionReport>,
    /// The option that the expander chose, by place.
    pub best: Option<usize>,
    /// What was done for the pods.
    pub scale_up: ScaleUpReport,
    /// What was done for groups below their minimum; absent if that is not asked for.
    pub scale_up_min_size: Option<ScaleUpReport>,
    /// What was done about nodes that are not needed.
    pub scale_down: ScaleDownReport,
}

/// An option of the expander: a group that takes pods.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionReport {
    /// The group.
    pub group: Name,
    /// New nodes.
    pub nodes: i64,
    /// Pods that they take.
    pub pods: Vec<NamespacedName>,
    /// Groups that are alike, over which the nodes would be spread.
    pub similar: Vec<Name>,
    /// The score of `least-waste`: wasted share of the CPU plus that of the memory.
    pub waste: f64,
    /// The score of `price` with its parts, if that expander ran.
    pub price: Option<PriceScore>,
}

/// How the expander `price` sees an option. Prices are for an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriceScore {
    /// Of all new nodes.
    pub nodes: f64,
    /// Of what the pods request.
    pub pods: f64,
    /// The first over the second, both with the price of a small pod added.
    pub ratio: f64,
    /// How far the node is from the size that suits the cluster, 1 at best.
    pub unfitness: f64,
    /// The same, which matters less the more nodes come.
    pub suppressed: f64,
    /// The score; the lowest wins.
    pub score: f64,
}

/// What came of a scale-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleUpResult {
    /// Groups grow.
    Successful,
    /// The cloud refused.
    Error,
    /// No group helps.
    NoOptionsAvailable,
    /// No pod needs help.
    NotNeeded,
    /// The loop ended before.
    #[default]
    NotTried,
    /// The pods are too young.
    InCooldown,
    /// The cluster has as many nodes as it may.
    LimitedByMaxNodesTotal,
}

impl ScaleUpResult {
    /// As the real autoscaler calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Successful => "ScaleUpSuccessful",
            Self::Error => "ScaleUpError",
            Self::NoOptionsAvailable => "ScaleUpNoOptionsAvailable",
            Self::NotNeeded => "ScaleUpNotNeeded",
            Self::NotTried => "ScaleUpNotTried",
            Self::InCooldown => "ScaleUpInCooldown",
            Self::LimitedByMaxNodesTotal => "ScaleUpLimitedByMaxNodesTotal",
        }
    }
}

/// A scale-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleUpReport {
    /// What came of it.
    pub result: ScaleUpResult,
    /// The groups that grow.
    pub infos: Vec<ScaleUpInfo>,
    /// The pods for which they grow.
    pub triggered: Vec<NamespacedName>,
    /// The pods that no group helps, with the reasons.
    pub remain: Vec<RemainingPod>,
    /// The pods that other groups would help, in the next loop.
    pub awaiting: Vec<NamespacedName>,
    /// The group that the cloud would not let grow.
    pub failed_groups: Vec<Name>,
    /// Type of the error and its message.
    pub error: Option<(&'static str, String)>,
}

/// A group that grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleUpInfo {
    /// The group.
    pub group: Name,
    /// Target before.
    pub from: i64,
    /// Target after.
    pub to: i64,
    /// The most that it may be.
    pub max: i64,
}

/// A pod that no group helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemainingPod {
    /// The pod.
    pub pod: NamespacedName,
    /// Groups whose nodes it does not fit, with what the scheduler says.
    pub rejected: BTreeMap<Name, Vec<String>>,
    /// Groups that may not grow, and why.
    pub skipped: BTreeMap<Name, Vec<String>>,
}

/// What came of a scale-down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleDownResult {
    /// Something failed.
    Error,
    /// No node may go.
    NoNodeDeleted,
    /// The removal of nodes began.
    NodeDeleteStarted,
    /// The loop ended before.
    #[default]
    NotTried,
    /// It is too early after the last change.
    InCooldown,
    /// All groups are as small as they may be.
    NoCandidates,
}

impl ScaleDownResult {
    /// As the real autoscaler calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ScaleDownError",
            Self::NoNodeDeleted => "ScaleDownNoNodeDeleted",
            Self::NodeDeleteStarted => "ScaleDownNodeDeleteStarted",
            Self::NotTried => "ScaleDownNotTried",
            Self::InCooldown => "ScaleDownInCooldown",
            Self::NoCandidates => "ScaleDownNoCandidates",
        }
    }
}

/// A scale-down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleDownReport {
    /// What came of it.
    pub result: ScaleDownResult,
    /// The nodes whose removal begins.
    pub nodes: Vec<RemovedNode>,
    /// What came of removals since the last loop.
    pub delete_results: BTreeMap<Name, DeleteResult>,
}

/// A node whose removal begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedNode {
    /// Its name.
    pub node: Name,
    /// Its group.
    pub group: Name,
    /// The pods that are evicted from it; absent for a node that counts as empty.
    pub evicted: Option<Vec<NamespacedName>>,
}

/// What came of the removal of a node (`status.NodeDeleteResultType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteResult {
    /// The cloud was asked to delete it.
    Ok,
    /// It could no longer be removed when it came to it.
    Internal,
    /// Its pods did not go.
    FailedToEvictPods,
    /// The cloud refused.
    FailedToDelete,
}

impl DeleteResult {
    /// A short word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Internal => "Internal",
            Self::FailedToEvictPods => "FailedToEvictPods",
            Self::FailedToDelete => "FailedToDelete",
        }
    }
}

impl LoopReport {
    /// A loop in which nothing was looked at yet.
    pub(crate) const fn new(at: SimTime) -> Self {
        Self {
            at,
            pending: Vec::new(),
            after_filters: Vec::new(),
            has_processed_pods: false,
            upcoming: BTreeMap::new(),
            registered_upcoming: Vec::new(),
            options: Vec::new(),
            best: None,
            scale_up: ScaleUpReport {
                result: ScaleUpResult::NotTried,
                infos: Vec::new(),
                triggered: Vec::new(),
                remain: Vec::new(),
                awaiting: Vec::new(),
                failed_groups: Vec::new(),
                error: None,
            },
            scale_up_min_size: None,
            scale_down: ScaleDownReport {
                result: ScaleDownResult::NotTried,
                nodes: Vec::new(),
                delete_results: BTreeMap::new(),
            },
        }
    }
}

/// The names of pods.
pub(crate) fn names<'a>(
    pods: impl IntoIterator<Item = &'a std::sync::Arc<PodInfo>>,
) -> Vec<NamespacedName> {
    pods.into_iter().map(|pod| pod.name.clone()).collect()
}
