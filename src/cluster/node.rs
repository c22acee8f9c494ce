//! Nodes: capacity, labels, taints, conditions.

use super::meta::{Name, ObjectMeta};
use super::pod_template::{ResourceList, TaintEffect};
use engine::{Id, SimDuration, SimTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::{Bytes, HourlyPrice};

/// Key of a [`Node`] in the store.
pub type NodeId = Id<Node>;

/// A node as the API server holds it. `meta.labels` are the node's labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// Total resources of the machine (`status.capacity`).
    pub capacity: ResourceList,
    /// Resources available to pods (`status.allocatable`).
    pub allocatable: ResourceList,
    /// `spec.unschedulable`: cordoned.
    pub unschedulable: bool,
    /// Taints in their order.
    pub taints: Vec<Taint>,
    /// The Ready condition.
    pub ready: NodeReady,
    /// Other conditions reported by its kubelet, and its heartbeats.
    pub health: NodeHealth,
    /// Images that the node holds, by name with tag, with their size.
    pub images: Vec<(Name, Bytes)>,
    /// The pool that it belongs to, for the report; empty for Node objects given as such.
    pub pool: Name,
    /// The machine it runs on, and its price.
    pub machine: Machine,
}

/// The machine under a node, as the cloud sells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its type, such as `aws/m5.large`; empty if it is described in place.
    pub instance_type: Name,
    /// Whether the cloud may take it back.
    pub capacity_type: CapacityType,
    /// Price per billed hour; absent = unknown.
    pub price: Option<HourlyPrice>,
    /// Start of billing; absent = when its node is added.
    pub launched: Option<SimTime>,
    /// Whether its pods are paid for in its place.
    pub serverless: Option<Serverless>,
    /// The most disks of its cloud that can be attached to it; absent = any number.
    pub attach_limit: Option<u32>,
}

/// A cloud's way of billing pods and not the nodes under them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Serverless {
    /// AWS Fargate.
    Fargate,
    /// GKE Autopilot, general-purpose compute class.
    Autopilot,
}

/// Purchase option of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapacityType {
    /// Billed by the hour, never reclaimed.
    #[default]
    OnDemand,
    /// Discounted, until the cloud reclaims it.
    Spot,
}

impl CapacityType {
    /// As Karpenter's label `karpenter.sh/capacity-type` writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        }
    }
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Key.
    pub key: Name,
    /// Value, empty if none.
    pub value: Name,
    /// Its effect.
    pub effect: TaintEffect,
    /// When it was set, if known.
    pub time_added: Option<SimTime>,
}

/// The Ready condition of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeReady {
    /// Its status.
    pub status: ConditionStatus,
    /// Time of the last transition, truncated to whole seconds.
    pub since: SimTime,
}

impl Node {
    /// A node that has been ready from the start, without taints, images or a price; its capacity is all allocatable.
    pub fn new(meta: ObjectMeta, allocatable: ResourceList) -> Self {
        Self {
            meta,
            capacity: allocatable.clone(),
            allocatable,
            unschedulable: false,
            taints: Vec::new(),
            ready: NodeReady { status: ConditionStatus::True, since: SimTime::ZERO },
            health: NodeHealth::default(),
            images: Vec::new(),
            pool: Name::default(),
            machine: Machine::default(),
        }
    }

    /// Reason of the Ready condition; absent until the condition is first written.
    pub const fn ready_reason(&self) -> Option<&'static str> {
        match (self.ready.status, self.health.posted) {
            _ if !self.health.has_ready_condition => None,
            (ConditionStatus::True, _) => Some("KubeletReady"),
            (ConditionStatus::False, _) => Some("KubeletNotReady"),
            (ConditionStatus::Unknown, Some(_)) => Some("NodeStatusUnknown"),
            (ConditionStatus::Unknown, None) => Some("NodeStatusNeverUpdated"),
        }
    }

    /// The first instant after `since` at which its kubelet reports its status, which it does once a period. Here these
    /// are instants at which it also renews its lease.
    pub fn next_report(&self, since: SimTime, period: SimDuration) -> SimTime {
        if period <= SimDuration::ZERO {
            return since;
        }
        let phase = self.health.lease.phase.or(self.health.lease.started);
        let over = (since - phase.unwrap_or(SimTime::ZERO)).as_nanos();
        since + (period - SimDuration::from_nanos(over.rem_euclid(period.as_nanos())))
    }
}

/// Other conditions of a node and its kubelet's heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// When the kubelet last posted a changed status of the node; absent if it never did.
    pub posted: Option<SimTime>,
    /// Whether the Ready condition was ever written; until then its status is Unknown.
    pub has_ready_condition: bool,
    /// Its lease.
    pub lease: Lease,
    /// `MemoryPressure`, `DiskPressure`, `PIDPressure`, `NetworkUnavailable`.
    pub conditions: [ConditionStatus; 4],
    /// When each of them last changed; absent if unchanged since the node was added.
    pub conditions_since: [Option<SimTime>; 4],
}

/// The conditions of [`NodeHealth::conditions`] with the taints added while they are True.
pub const NODE_CONDITIONS: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

impl Default for NodeHealth {
    /// A healthy kubelet: it posts its status and renews its lease from the moment the node is added.
    fn default() -> Self {
        Self {
            posted: Some(SimTime::ZERO),
            has_ready_condition: true,
            lease: Lease::default(),
            conditions: [ConditionStatus::False; 4],
            conditions_since: [None; 4],
        }
    }
}

/// The heartbeat lease of a kubelet. Renewals are computed rather than events: 5,000 nodes would have 43 million of
/// them a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When the kubelet (re)started and renewed out of turn, if it did.
    pub started: Option<SimTime>,
    /// An instant of regular renewal; the others are whole [`Self::PERIOD`]s away. Drawn when the
    /// node is added, unless it is given.
    pub phase: Option<SimTime>,
    /// Time since which the kubelet is silent, if it is.
    pub silent_since: Option<SimTime>,
}

impl Default for Lease {
    fn default() -> Self {
        Self { started: Some(SimTime::ZERO), phase: None, silent_since: None }
    }
}

impl Lease {
    /// Renewal interval: a quarter of the kubelet's `nodeLeaseDurationSeconds` of 40 s.
    pub const PERIOD: SimDuration = SimDuration::from_secs(10);

    /// `spec.renewTime` at `now`; absent if the kubelet never ran.
    pub fn renew_time(&self, now: SimTime) -> Option<SimTime> {
        let started = self.started?;
        let end = self.silent_since.map_or(now, |silent| silent.min(now));
        let since_phase = (end - self.phase.unwrap_or(started)).as_nanos();
        let over = since_phase.rem_euclid(Self::PERIOD.as_nanos());
        Some((end - SimDuration::from_nanos(over)).max(started))
    }
}

/// Status of any condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Unknown: nothing reports it.
    Unknown,
}

impl ConditionStatus {
    /// The spelling used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Well-known label of a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Well-known label of a node's region.
pub const REGION_LABEL: &str = "topology.kubernetes.io/region";
/// Well-known label of a node's name.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
/// Set by the node lifecycle controller while the kubelet reports NotReady.
pub const NOT_READY_TAINT: &str = "node.kubernetes.io/not-ready";
/// Set by the node lifecycle controller while the kubelet's heartbeats are missing.
pub const UNREACHABLE_TAINT: &str = "node.kubernetes.io/unreachable";
/// Set by the node lifecycle controller under disk pressure.
pub const DISK_PRESSURE_TAINT: &str = "node.kubernetes.io/disk-pressure";
/// Set by the node lifecycle controller under memory pressure.
pub(crate) const MEMORY_PRESSURE_TAINT: &str = "node.kubernetes.io/memory-pressure";
/// Set by the node lifecycle controller under PID pressure.
pub(crate) const PID_PRESSURE_TAINT: &str = "node.kubernetes.io/pid-pressure";
/// Set by the node lifecycle controller while the node's network is not set up.
pub const NETWORK_UNAVAILABLE_TAINT: &str = "node.kubernetes.io/network-unavailable";
/// Set manually on nodes that are shut down: pod GC then removes their terminating pods.
pub const OUT_OF_SERVICE_TAINT: &str = "node.kubernetes.io/out-of-service";
/// Keeps a node out of the count of its zone's healthy and unhealthy nodes.
pub const EXCLUDE_DISRUPTION_LABEL: &str = "node.kubernetes.io/exclude-disruption";
/// Set by the node lifecycle controller on cordoned nodes.
pub const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_renewed_every_ten_seconds_until_the_kubelet_falls_silent() {
        let at = SimTime::from_secs;
        let mut lease = Lease { started: Some(at(-10)), phase: Some(at(3)), silent_since: None };
        assert_eq!(lease.renew_time(at(-9)), Some(at(-10)));
        assert_eq!(lease.renew_time(at(-7)), Some(at(-7)));
        assert_eq!(lease.renew_time(at(40)), Some(at(33)));
        lease.silent_since = Some(at(21));
        assert_eq!(lease.renew_time(at(40)), Some(at(13)));
        lease = Lease { started: Some(at(41)), phase: Some(at(3)), silent_since: None };
        assert_eq!(lease.renew_time(at(42)), Some(at(41)));
        assert_eq!(lease.renew_time(at(43)), Some(at(43)));
    }
}
