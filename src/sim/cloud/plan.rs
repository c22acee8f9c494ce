//! The cloud before the run begins: its groups of machines, and how it gives and takes them.

use std::collections::BTreeMap;

use cluster::Name;
use cluster::node::Node;
use scenario::machines::{MachineTimes, Preset};
use units::Quantity;

/// What the cloud has to offer.
#[derive(Clone, Debug)]
pub struct CloudPlan {
    /// Groups of machines that come and go.
    pub groups: Vec<GroupPlan>,
    /// Share of the machines, 0 to 1, that never join the cluster.
    pub boot_failures: f64,
    /// Most that all groups together get, by resource.
    pub quota: BTreeMap<Name, Quantity>,
    /// The label whose value is the type of a node's GPUs.
    pub gpu_label: &'static str,
    /// Its words for a machine that it does not have, and for one beyond the quota.
    pub codes: RefusalCodes,
}

/// A group of machines that are alike, such as an auto scaling group or a managed instance group.
#[derive(Clone, Debug)]
pub struct GroupPlan {
    /// Its name, the first part of its nodes' names.
    pub name: Name,
    /// Fewest nodes.
    pub min: u32,
    /// Most nodes.
    pub max: u32,
    /// Nodes at the start, Ready.
    pub start: u32,
    /// A node in each of its zones.
    pub templates: Vec<Node>,
    /// How long the steps of its machines' lives take.
    pub times: MachineTimes,
}

/// How a cloud words a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalCodes {
    /// It has no such machine.
    pub no_capacity: &'static str,
    /// The customer may have no more of them.
    pub quota: &'static str,
}

impl CloudPlan {
    /// A cloud like that of a preset, without groups and limits.
    pub fn new(preset: Preset) -> Self {
        let code = |no_capacity, quota| RefusalCodes { no_capacity, quota };
        Self {
            groups: Vec::new(),
            boot_failures: 0.0,
            quota: BTreeMap::new(),
            gpu_label: preset.gpu_label(),
            codes: match preset {
                Preset::Eks | Preset::Kind | Preset::Bare => {
                    code("InsufficientInstanceCapacity", "VcpuLimitExceeded")
                }
                Preset::Gke => code("ZONE_RESOURCE_POOL_EXHAUSTED", "QUOTA_EXCEEDED"),
                Preset::Aks => code("AllocationFailed", "QuotaExceeded"),
            },
        }
    }
}
