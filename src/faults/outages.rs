//! Temporary faults of applications and nodes, and random faults with their mean times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cluster::{Name, ObjectReference};
use engine::random::{Exponential, LogNormal};
use engine::{SimDuration, Stream};
use rand_distr::Distribution;

/// Containers that crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerCrash {
    /// The workload of the pods, such as Deployment/shop/web.
    pub workload: ObjectReference,
    /// Number of its running pods, drawn at random with the run's seed. Default 1.
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
    /// The workload of the pods, such as Deployment/shop/web.
    pub workload: ObjectReference,
    /// Number of its running pods, drawn at random with the run's seed. Default: all.
    #[schemars(range(min = 1))]
    pub count: Option<u32>,
    /// Duration of the fault.
    #[serde(rename = "for")]
    pub duration: SimDuration,
}

/// A kubelet restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeletRestart {
    /// The node.
    pub node: Name,
    /// Time until the kubelet works again. Default 10s.
    #[serde(default = "ten_seconds")]
    pub down_for: SimDuration,
}

/// Spot machines reclaimed by the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpotReclaim {
    /// The pool.
    pub pool: Name,
    /// Number of its nodes, drawn at random with the run's seed. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: u32,
    /// Time from the notice to the end of the machine. Default 2m, as on AWS; Google and Azure give 30s.
    #[serde(default = "two_minutes")]
    pub notice: SimDuration,
    /// Whether a component such as a node termination handler drains the node at the notice. Default true.
    #[serde(default = "yes")]
    pub drain: bool,
    /// Time from the end of the machine until a replacement node of the pool is Ready. Default: no replacement.
    pub replaced_after: Option<SimDuration>,
}

/// A temporary shortage of machines at the cloud. Fields left out match any machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StockOut {
    /// The pool affected.
    pub pool: Option<Name>,
    /// The zone affected.
    pub zone: Option<Name>,
    /// The purchase option affected: on-demand or spot.
    pub capacity_type: Option<StockOutOf>,
    /// Duration of the shortage.
    #[serde(rename = "for")]
    pub duration: SimDuration,
}

/// The purchase option of machines that are sold out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StockOutOf {
    /// On demand, billed by the hour.
    OnDemand,
    /// Spot: cheaper, but reclaimable by the cloud.
    Spot,
}

/// Maintenance of nodes, which are drained one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Maintenance {
    /// The pool of the nodes.
    pub pool: Name,
    /// Time from the end of a node's drain until it is back in service. Default 5m.
    #[serde(default = "five_minutes")]
    pub takes: SimDuration,
}

/// Random faults: they hit each pod of a workload, each node of a pool, or each zone, at times drawn with the run's
/// seed from an exponential distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RandomFault {
    /// The fault.
    pub fault: FaultKind,
    /// The workload whose pods are hit; for crashContainer, killPod, hang and failReadiness. Default: all pods.
    pub workload: Option<ObjectReference>,
    /// The pool whose nodes are hit; for killNode, killZone, disconnectNode, restartKubelet and reclaimSpot. Default:
    /// all nodes.
    pub pool: Option<Name>,
    /// Mean time between two faults of one pod, node or zone (MTBF).
    #[schemars(extend("x-minimum" = "1s"))]
    pub mean_time_between: SimDuration,
    /// Mean time to repair (MTTR), with each repair time drawn at random; not for crashContainer, killPod and
    /// reclaimSpot. Default 5m.
    #[serde(default = "five_minutes")]
    pub mean_time_to_repair: SimDuration,
    /// Coefficient of variation of the time to repair. Default 1, an exponential distribution; 0 is always the mean,
    /// and any other a lognormal distribution, as repairs of machines have (Schroeder and Gibson, DSN 2006).
    #[serde(default = "exponential", skip_serializing_if = "is_exponential")]
    #[schemars(range(min = 0, max = 20))]
    pub repair_cv: f64,
    /// For reclaimSpot: the probability, 0 to 1, that each other spot machine of the same type and zone is
    /// reclaimed within three minutes of the first. Measured on AWS: 0.92 (arXiv 2604.16457). Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1))]
    pub together: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_exponential(cv: &f64) -> bool {
    (*cv - 1.0).abs() < f64::EPSILON
}

impl RandomFault {
    /// Draws a time to repair.
    pub fn draw_repair(&self, stream: &mut Stream) -> SimDuration {
        let mean = self.mean_time_to_repair.as_secs_f64();
        let seconds = if is_exponential(&self.repair_cv) {
            Exponential { mean }.sample(stream)
        } else if self.repair_cv > 0.0 && mean > 0.0 {
            LogNormal::from_mean_cv(mean, self.repair_cv).sample(stream)
        } else {
            mean
        };
        SimDuration::from_secs_f64(seconds)
    }

    /// Whether its time to repair is that of the fault itself, rather than of a restart that the cluster times.
    pub const fn is_repaired(&self) -> bool {
        !matches!(self.fault, FaultKind::CrashContainer | FaultKind::KillPod)
    }
}

/// Kinds of random faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// The application exits with code 1.
    CrashContainer,
    /// The pod is deleted without a grace period.
    KillPod,
    /// The application answers neither requests nor probes.
    Hang,
    /// Readiness probes fail.
    FailReadiness,
    /// The machine fails without notice, and recovers later.
    KillNode,
    /// All machines of a zone fail without notice, and recover together later.
    KillZone,
    /// The network to the node fails, and recovers later.
    DisconnectNode,
    /// The kubelet is down while the containers keep running.
    RestartKubelet,
    /// The cloud reclaims a spot machine with two minutes' notice; a replacement node arrives after the time to
    /// repair.
    ReclaimSpot,
}

impl FaultKind {
    /// Name used in a scenario.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CrashContainer => "crashContainer",
            Self::KillPod => "killPod",
            Self::Hang => "hang",
            Self::FailReadiness => "failReadiness",
            Self::KillNode => "killNode",
            Self::KillZone => "killZone",
            Self::DisconnectNode => "disconnectNode",
            Self::RestartKubelet => "restartKubelet",
            Self::ReclaimSpot => "reclaimSpot",
        }
    }

    /// True for faults of pods, false for those of nodes.
    pub const fn is_of_pods(self) -> bool {
        matches!(self, Self::CrashContainer | Self::KillPod | Self::Hang | Self::FailReadiness)
    }
}

const fn exponential() -> f64 {
    1.0
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

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Streams;

    /// Mean and coefficient of variation of many repairs with a mean of 100 s.
    fn drawn(repair_cv: f64) -> (f64, f64) {
        let fault = RandomFault {
            fault: FaultKind::KillNode,
            workload: None,
            pool: None,
            mean_time_between: SimDuration::from_secs(1),
            mean_time_to_repair: SimDuration::from_secs(100),
            repair_cv,
            together: 0.0,
        };
        let mut stream = Streams::new(1).stream("repairs", 0);
        let times = (0..40_000).map(|_| fault.draw_repair(&mut stream).as_secs_f64());
        let times: Vec<f64> = times.collect();
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let squares: f64 = times.iter().map(|time| (time - mean) * (time - mean)).sum();
        (mean, (squares / times.len() as f64).sqrt() / mean)
    }

    #[test]
    fn repairs_have_the_mean_and_the_spread_that_are_asked_for() {
        for cv in [0.0, 0.5, 1.0, 2.0] {
            let (mean, spread) = drawn(cv);
            assert!((mean - 100.0).abs() < 3.0, "{cv}: {mean}");
            assert!((spread - cv).abs() < 0.15, "{cv}: {spread}");
        }
    }
}
