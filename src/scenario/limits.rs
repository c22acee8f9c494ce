//! Limits on the size of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::Quantity;

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
    /// Memory of the program. A run whose pods would take more is refused. `wavetank run` ends a run that reaches it,
    /// with a report of what was simulated so far and exit code 1; commands with many runs end with a message. Default: three quarters of the machine's memory, or
    /// of what its control group may take.
    pub memory: Option<Quantity>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 1e10, pods: 1_000_000, memory: None }
    }
}
