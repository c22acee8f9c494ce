//! How fast those who follow the API server may ask it, and write what they learn from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;

/// The rate limit of a client of the API server: a bucket of tokens, one for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientRate {
    /// Requests a second in the long run; 0 is no limit.
    pub qps: u32,
    /// Requests at once after a pause.
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

/// How somebody who sends requests to endpoints keeps up with changes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleWrites {
    /// Shortest time from the end of one write to the beginning of the next; what changes meanwhile waits.
    pub min_sync_period: SimDuration,
    /// Shortest time that it takes to hear of a change and to write.
    pub sync_min: SimDuration,
    /// Longest such time; all between are equally likely.
    pub sync_max: SimDuration,
}

impl RuleWrites {
    /// Changes are followed at once.
    pub const IDEAL: Self = Self::after_millis(0, [0, 0]);

    /// With so many milliseconds between writes, each of which takes from so many to so many.
    pub const fn after_millis(min_sync_period: i64, [sync_min, sync_max]: [i64; 2]) -> Self {
        Self {
            min_sync_period: SimDuration::from_millis(min_sync_period),
            sync_min: SimDuration::from_millis(sync_min),
            sync_max: SimDuration::from_millis(sync_max),
        }
    }
}
