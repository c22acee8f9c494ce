//! The cloud's configuration for a run: its groups of machines, and the times to launch and remove them.

use std::collections::BTreeMap;

use cluster::Name;
use cluster::node::Node;
use scenario::machines::{MachineTimes, Preset};
use units::Quantity;

/// The cloud's offer.
#[derive(Clone, Debug)]
pub struct CloudPlan {
    /// The groups whose size can change.
    pub groups: Vec<GroupPlan>,
    /// Fraction of the machines, 0 to 1, that never join the cluster.
    pub boot_failures: f64,
    /// Quota over all groups, by resource.
    pub quota: BTreeMap<Name, Quantity>,
    /// The node label that holds the GPU type.
    pub gpu_label: &'static str,
    /// Error codes of refused launches.
    pub codes: RefusalCodes,
}

/// A group of identical machines, such as an auto scaling group or a managed instance group.
#[derive(Clone, Debug)]
pub struct GroupPlan {
    /// Its name, which is the prefix of its nodes' names.
    pub name: Name,
    /// Minimum size.
    pub min: u32,
    /// Maximum size.
    pub max: u32,
    /// Size at the start; these nodes are Ready.
    pub start: u32,
    /// A template node for each of its zones.
    pub templates: Vec<Node>,
    /// Durations of the steps in its machines' life cycle.
    pub times: MachineTimes,
}

/// A cloud's error codes for refused launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalCodes {
    /// Insufficient capacity.
    pub no_capacity: &'static str,
    /// Quota exceeded.
    pub quota: &'static str,
}

impl CloudPlan {
    /// A cloud as in a preset, without groups and quota.
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
