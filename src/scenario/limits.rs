//! How much a run may come to before it is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run may come to. A run of more is refused before it starts, for it would take hours or all of the
/// memory; whoever has these writes a higher limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Requests that are simulated one by one, as many as the loads are expected to bring; those that flow do
    /// not count. Default 10 billion, an hour or so.
    pub requests: f64,
    /// Pods that the manifests and the timeline ask for. Default 1,000,000, which take some 6 GiB.
    pub pods: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 1e10, pods: 1_000_000 }
    }
}
