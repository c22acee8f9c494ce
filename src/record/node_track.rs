//! One node over the run.

use cluster::Name;
use cluster::node::{ConditionStatus, Machine, Node, ZONE_LABEL};
use cluster::pod_template::ResourceList;
use engine::{SimDuration, SimTime};
use units::{Bytes, MilliCpu, Resources};

/// Extended resource under which NVIDIA's device plugin advertises GPUs.
pub const GPU_RESOURCE: &str = "nvidia.com/gpu";

/// A node that exists or existed.
#[derive(Clone, Debug)]
pub struct NodeTrack {
    /// `metadata.name`.
    pub name: Name,
    /// Its pool; empty for nodes given as Node objects.
    pub pool: Name,
    /// Its zone (`topology.kubernetes.io/zone`); empty if it has none.
    pub zone: Name,
    /// Its machine type and price.
    pub machine: Machine,
    /// `status.capacity`: the machine's CPU, memory and GPUs, for the bill.
    pub capacity: Resources,
    /// `status.allocatable`: capacity less the reservations of system and kubelet.
    pub allocatable: Resources,
    /// Time at which its object was created.
    pub added: SimTime,
    /// Time at which its object was removed; absent while it exists.
    pub removed: Option<SimTime>,
    /// The reason given for adding it; absent if it was there from the start or no reason was given.
    pub added_because: Option<String>,
    /// The reason given for removing it.
    pub removed_because: Option<String>,
    has_joined: bool,
    /// Time since which it has not been Ready.
    not_ready_since: Option<SimTime>,
    /// Total time for which it was not Ready.
    pub not_ready: SimDuration,
}

impl NodeTrack {
    pub(super) fn new(node: &Node, now: SimTime) -> Self {
        let is_ready = node.ready.status == ConditionStatus::True;
        Self {
            name: node.meta.name().clone(),
            pool: node.pool.clone(),
            zone: node.meta.labels.get(ZONE_LABEL).cloned().unwrap_or_default(),
            machine: node.machine.clone(),
            capacity: resources(&node.capacity),
            allocatable: resources(&node.allocatable),
            added: now,
            removed: None,
            added_because: None,
            removed_because: None,
            has_joined: true,
            not_ready_since: (!is_ready).then_some(now),
            not_ready: SimDuration::ZERO,
        }
    }

    /// Devices are advertised some time after the node has joined, but were part of the machine from
    /// the start.
    pub(super) fn set_resources(&mut self, node: &Node) {
        self.capacity.gpus = self.capacity.gpus.max(resources(&node.capacity).gpus);
        self.allocatable.gpus = self.allocatable.gpus.max(resources(&node.allocatable).gpus);
    }

    /// A machine that was paid for from its launch until `now` but whose node never joined.
    pub fn never_joined(node: &Node, now: SimTime) -> Self {
        Self { removed: Some(now), has_joined: false, ..Self::new(node, now) }
    }

    /// Whether its object ever existed.
    pub const fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// Whether it exists and is Ready.
    pub(super) const fn is_ready(&self) -> bool {
        self.removed.is_none() && self.not_ready_since.is_none()
    }

    pub(super) fn set_ready(&mut self, now: SimTime, is_ready: bool) {
        match (self.not_ready_since, is_ready) {
            (None, false) => self.not_ready_since = Some(now),
            (Some(since), true) => {
                self.not_ready += now - since;
                self.not_ready_since = None;
            }
            _ => {}
        }
    }

    /// Time for which its object existed, up to `now`.
    pub fn existed(&self, now: SimTime) -> SimDuration {
        self.removed.unwrap_or(now) - self.added
    }

    /// Time for which its machine was paid for, up to `now`.
    pub fn paid(&self, now: SimTime) -> SimDuration {
        self.removed.unwrap_or(now) - self.machine.launched.unwrap_or(self.added)
    }
}

fn resources(list: &ResourceList) -> Resources {
    Resources {
        cpu: list.get("cpu").map_or(MilliCpu(0), MilliCpu::from),
        memory: list.get("memory").map_or(Bytes(0), Bytes::from),
        gpus: list.get(GPU_RESOURCE).map_or(0, units::Quantity::value),
    }
}
