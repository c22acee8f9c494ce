//! Rate limits of API server clients, and the time that data planes take to apply changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;

/// Rate limit of an API server client: a token bucket with one token per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientRate {
    /// Sustained requests per second; 0 means no limit.
    pub qps: u32,
    /// Burst: requests at once after a pause.
    pub burst: u32,
}

impl ClientRate {
    /// No limit.
    pub const UNLIMITED: Self = Self { qps: 0, burst: 0 };
}

impl Default for ClientRate {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

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
