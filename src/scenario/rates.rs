//! The time that data planes take to apply changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;

/// Rate at which a data plane (kube-proxy, ingress controller, gateway) applies changes of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleSync {
    /// Minimum time between the end of one write and the start of the next; changes in between are
    /// batched.
    pub min_sync_period: SimDuration,
    /// Shortest time to notice a change and write it.
    pub sync_min: SimDuration,
    /// Longest time to notice a change and write it; the time is uniformly distributed between the two.
    pub sync_max: SimDuration,
}

impl RuleSync {
    /// Changes take effect immediately.
    pub const IDEAL: Self = Self::after_millis(0, [0, 0]);

    /// A minimum sync period and the range of the sync time, in milliseconds.
    pub const fn after_millis(min_sync_period: i64, [sync_min, sync_max]: [i64; 2]) -> Self {
        Self {
            min_sync_period: SimDuration::from_millis(min_sync_period),
            sync_min: SimDuration::from_millis(sync_min),
            sync_max: SimDuration::from_millis(sync_max),
        }
    }
}
