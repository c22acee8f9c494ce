//! The decisions of one loop, and its requests to the API server.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pods::PodInfo;
use cluster::node::{NodeId, Taint};
use cluster::pod::PodId;
use cluster::{Name, NamespacedName};
use engine::{SimDuration, SimTime};

/// A request to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Replaces all taints of a node.
    SetTaints(NodeId, Vec<Taint>),
    /// Cordons or uncordons a node.
    SetUnschedulable(NodeId, bool),
    /// An eviction with this grace period. A refusal is to be reported to `ClusterAutoscaler::eviction_refused`.
    Evict(PodId, SimDuration),
}

/// The report of one loop.
#[derive(Clone, Debug)]
pub struct LoopReport {
    /// Time of the loop.
    pub at: SimTime,
    /// Unschedulable pods, before the processors.
    pub pending: Arc<Vec<Arc<PodInfo>>>,
    /// Pods left by the processors: they fit neither existing nor upcoming nodes. Young pods are included.
    pub after_filters: Vec<NamespacedName>,
    /// True if the loop got as far as processing pods.
    pub has_processed_pods: bool,
    /// Number of upcoming nodes, by group.
    pub upcoming: BTreeMap<Name, i64>,
    /// Upcoming nodes that are registered but not ready.
    pub registered_upcoming: Vec<Name>,
    /// The expansion options for the pods.
    pub options: Vec<OptionReport>,
    /// Position of the option that the expander chose.
    pub best: Option<usize>,
    /// The scale-up for the pods.
    pub scale_up: ScaleUpReport,
    /// The scale-up of groups below their minimum size; absent if disabled.
    pub scale_up_min_size: Option<ScaleUpReport>,
    /// The removal of unneeded nodes.
    pub scale_down: ScaleDownReport,
}

/// An expansion option: a group that can take pods.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionReport {
    /// The group.
    pub group: Name,
    /// Number of new nodes.
    pub nodes: i64,
    /// The pods that they take.
    pub pods: Vec<NamespacedName>,
    /// Similar groups, over which the nodes would be balanced.
    pub similar: Vec<Name>,
    /// The score of `least-waste`: wasted fraction of the CPU plus that of the memory.
    pub waste: f64,
    /// The score of `price` with its parts, if that expander ran.
    pub price: Option<PriceScore>,
}

/// The score of an option by the expander `price`. Prices are per hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriceScore {
    /// Price of all new nodes.
    pub nodes: f64,
    /// Price of the pods' requests.
    pub pods: f64,
    /// Ratio of the two, both with the price of a small pod added.
    pub ratio: f64,
    /// Deviation of the node from the preferred size, 1 at best.
    pub unfitness: f64,
    /// The same, dampened for larger numbers of nodes.
    pub suppressed: f64,
    /// The score; the lowest wins.
    pub score: f64,
}

/// Result of a scale-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleUpResult {
    /// Groups are growing.
    Successful,
    /// The cloud refused.
    Error,
    /// No group can take the pods.
    NoOptionsAvailable,
    /// No pod is unschedulable.
    NotNeeded,
    /// The loop ended before.
    #[default]
    NotTried,
    /// The pods are too new.
    InCooldown,
    /// The cluster has its maximum number of nodes.
    LimitedByMaxNodesTotal,
}

impl ScaleUpResult {
    /// The name in the real autoscaler.
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
    /// The result.
    pub result: ScaleUpResult,
    /// The groups that grow.
    pub infos: Vec<ScaleUpInfo>,
    /// The pods that triggered it.
    pub triggered: Vec<NamespacedName>,
    /// The pods that no group can take, with the reasons.
    pub remain: Vec<RemainingPod>,
    /// The pods that other groups can take, in the next loop.
    pub awaiting: Vec<NamespacedName>,
    /// The groups for which the cloud refused.
    pub failed_groups: Vec<Name>,
    /// Error type and message.
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
    /// Maximum size.
    pub max: i64,
}

/// A pod that no group can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemainingPod {
    /// The pod.
    pub pod: NamespacedName,
    /// Groups whose nodes the scheduler rejects, with its reasons.
    pub rejected: BTreeMap<Name, Vec<String>>,
    /// Groups that may not grow, with the reasons.
    pub skipped: BTreeMap<Name, Vec<String>>,
}

/// Result of a scale-down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleDownResult {
    /// An error occurred.
    Error,
    /// No node can be removed.
    NoNodeDeleted,
    /// Removals have begun.
    NodeDeleteStarted,
    /// The loop ended before.
    #[default]
    NotTried,
    /// The last change was too recent.
    InCooldown,
    /// All groups have their minimum size.
    NoCandidates,
}

impl ScaleDownResult {
    /// The name in the real autoscaler.
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
    /// The result.
    pub result: ScaleDownResult,
    /// The nodes whose removal begins.
    pub nodes: Vec<RemovedNode>,
    /// Results of removals that ended since the last loop.
    pub delete_results: BTreeMap<Name, DeleteResult>,
}

/// A node whose removal begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedNode {
    /// Its name.
    pub node: Name,
    /// Its group.
    pub group: Name,
    /// The evicted pods; absent for a node that counts as empty.
    pub evicted: Option<Vec<NamespacedName>>,
}

/// Result of a removal (`status.NodeDeleteResultType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteResult {
    /// The deletion was requested from the cloud.
    Ok,
    /// A recheck found that the node can no longer be removed.
    Internal,
    /// Its pods could not be evicted.
    FailedToEvictPods,
    /// The cloud refused.
    FailedToDelete,
}

impl DeleteResult {
    /// A short name.
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
    /// The report of a loop that has not done anything yet.
    pub(crate) fn new(at: SimTime) -> Self {
        Self {
            at,
            pending: Arc::default(),
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
pub(crate) fn names<'a>(pods: impl IntoIterator<Item = &'a Arc<PodInfo>>) -> Vec<NamespacedName> {
    pods.into_iter().map(|pod| pod.name.clone()).collect()
}
