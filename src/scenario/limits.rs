//! Limits on the size of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits on the size of a run. A larger run is refused before it starts, as it would take hours or exhaust
/// the memory; raise the limit if you have the time or the memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Expected number of requests of all loads that are simulated individually; fluid traffic does not
    /// count. Default 10 billion, which take about an hour.
    pub requests: f64,
    /// Number of pods in the manifests and the timeline. Default 1,000,000, which take about 6 GiB.
    pub pods: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 1e10, pods: 1_000_000 }
    }
}
