//! One node over the run.

use cluster::Name;
use cluster::node::{ConditionStatus, Node};
use engine::{SimDuration, SimTime};
use units::{Bytes, MilliCpu, Resources};

/// Name of the GPU resource.
pub const GPU_RESOURCE: &str = "nvidia.com/gpu";

/// A node that exists or existed.
#[derive(Clone, Debug)]
pub struct NodeTrack {
    /// Its name.
    pub name: Name,
    /// Its pool, empty for Node objects given as such.
    pub pool: Name,
    /// What it has.
    pub capacity: Resources,
    /// What pods may use of it.
    pub allocatable: Resources,
    /// When it appeared.
    pub added: SimTime,
    /// When its object went, if it did.
    pub removed: Option<SimTime>,
    /// Since when it is not Ready.
    not_ready_since: Option<SimTime>,
    /// How long it was not Ready, in all.
    pub not_ready: SimDuration,
}

impl NodeTrack {
    pub(super) fn new(node: &Node, now: SimTime) -> Self {
        let resources = |list: &cluster::pod_template::ResourceList| Resources {
            cpu: list.get("cpu").map_or(MilliCpu(0), MilliCpu::from),
            memory: list.get("memory").map_or(Bytes(0), Bytes::from),
            gpus: list.get(GPU_RESOURCE).map_or(0, units::Quantity::value),
        };
        let is_ready = node.ready.status == ConditionStatus::True;
        Self {
            name: node.meta.name().clone(),
            pool: node.pool.clone(),
            capacity: resources(&node.capacity),
            allocatable: resources(&node.allocatable),
            added: now,
            removed: None,
            not_ready_since: (!is_ready).then_some(now),
            not_ready: SimDuration::ZERO,
        }
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

    /// How long its object existed, up to `now`.
    pub fn existed(&self, now: SimTime) -> SimDuration {
        self.removed.unwrap_or(now) - self.added
    }
}
