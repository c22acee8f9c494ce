//! Temporary faults of applications and nodes, and the mean times between faults that come by chance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cluster::{Name, ObjectReference};
use engine::SimDuration;

/// Containers that crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerCrash {
    /// The workload whose pods these are, such as Deployment/shop/web.
    pub workload: ObjectReference,
    /// How many of its running pods, drawn at random with the run's seed. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: u32,
    /// The exit code. Default 1.
    #[serde(default = "exit_code")]
    pub exit_code: i32,
}

/// Applications that hang or fail their readiness probes for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outage {
    /// The workload whose pods these are, such as Deployment/shop/web.
    pub workload: ObjectReference,
    /// How many of its running pods, drawn at random with the run's seed. Default: all.
    #[schemars(range(min = 1))]
    pub count: Option<u32>,
    /// For how long.
    #[serde(rename = "for")]
    pub duration: SimDuration,
}

/// A kubelet that is restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeletRestart {
    /// The node.
    pub node: Name,
    /// How long it does not work. Default 10s.
    #[serde(default = "ten_seconds")]
    pub down_for: SimDuration,
}

/// Spot machines that the cloud takes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpotReclaim {
    /// The pool.
    pub pool: Name,
    /// How many of its nodes, drawn at random with the run's seed. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: u32,
    /// From the notice to the end of the machine. Default 2m, as on AWS; Google and Azure give 30s.
    #[serde(default = "two_minutes")]
    pub notice: SimDuration,
    /// Whether something in the cluster, such as a node termination handler, drains the node at the
    /// notice. Default true.
    #[serde(default = "yes")]
    pub drain: bool,
    /// From the end of the machine to another Ready node of the pool. Default: none comes.
    pub replaced_after: Option<SimDuration>,
}

/// Machines that the cloud does not have for a while. What is not named may be any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StockOut {
    /// The pool whose machines these are.
    pub pool: Option<Name>,
    /// Their zone.
    pub zone: Option<Name>,
    /// How they are bought: on-demand or spot.
    pub capacity_type: Option<StockOutOf>,
    /// For how long.
    #[serde(rename = "for")]
    pub duration: SimDuration,
}

/// How machines are bought that are sold out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StockOutOf {
    /// By the hour.
    OnDemand,
    /// For less, until the cloud takes them back.
    Spot,
}

/// Nodes that are drained and worked on, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Maintenance {
    /// The pool whose nodes these are.
    pub pool: Name,
    /// From a node that is empty to the same node back in service. Default 5m.
    #[serde(default = "five_minutes")]
    pub takes: SimDuration,
}

/// Faults that come by chance: to each pod of a workload, or each node of a pool, as often as said,
/// at times drawn with the run's seed from an exponential distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RandomFault {
    /// The fault.
    pub fault: FaultKind,
    /// The workload whose pods it happens to; for crashContainer, killPod, hang and failReadiness.
    pub workload: Option<ObjectReference>,
    /// The pool whose nodes it happens to; for killNode, disconnectNode, restartKubelet and
    /// reclaimSpot. Default: all nodes.
    pub pool: Option<Name>,
    /// Mean time between two faults of one pod or node (MTBF).
    #[schemars(extend("x-minimum" = "1s"))]
    pub mean_time_between: SimDuration,
    /// Mean time until it is over (MTTR), drawn as well; not for crashContainer, killPod and
    /// reclaimSpot. Default 5m.
    #[serde(default = "five_minutes")]
    pub mean_time_to_repair: SimDuration,
    /// For reclaimSpot: with what probability, 0 to 1, each other spot machine of the same type and zone is taken
    /// back within three minutes of the first, too. Measured on AWS are 0.92 (arXiv 2604.16457). Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1))]
    pub together: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Kinds of faults that come by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// The application exits with code 1.
    CrashContainer,
    /// The pod is deleted without grace.
    KillPod,
    /// The application answers neither requests nor probes.
    Hang,
    /// Readiness probes fail.
    FailReadiness,
    /// The machine stops without a word, and comes back.
    KillNode,
    /// The network to the node fails, and works again.
    DisconnectNode,
    /// The kubelet does not work, while containers go on.
    RestartKubelet,
    /// The cloud takes a spot machine back after two minutes' notice; another node comes after the
    /// time to repair.
    ReclaimSpot,
}

impl FaultKind {
    /// As a scenario writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CrashContainer => "crashContainer",
            Self::KillPod => "killPod",
            Self::Hang => "hang",
            Self::FailReadiness => "failReadiness",
            Self::KillNode => "killNode",
            Self::DisconnectNode => "disconnectNode",
            Self::RestartKubelet => "restartKubelet",
            Self::ReclaimSpot => "reclaimSpot",
        }
    }

    /// Whether it happens to pods; else to nodes.
    pub const fn is_of_pods(self) -> bool {
        matches!(self, Self::CrashContainer | Self::KillPod | Self::Hang | Self::FailReadiness)
    }
}

const fn one() -> u32 {
    1
}

const fn exit_code() -> i32 {
    1
}

const fn yes() -> bool {
    true
}

const fn ten_seconds() -> SimDuration {
    SimDuration::from_secs(10)
}

const fn two_minutes() -> SimDuration {
    SimDuration::from_secs(120)
}

const fn five_minutes() -> SimDuration {
    SimDuration::from_secs(300)
}
