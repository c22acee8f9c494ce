//! The delays of a cluster that no manifest states, in one place, with the values of real clusters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::SimDuration;

/// Delays between the parts of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delays {
    /// From a write to the API server until controllers, scheduler and kubelets work on it. Default
    /// 10ms: write, watch and work queue of an unloaded control plane.
    pub watch: SimDuration,
    /// From a change of a Service's endpoints until every node sends its traffic accordingly.
    /// Default 200ms: kube-proxy writes at most once a second (`minSyncPeriod`), at once if it was idle.
    pub endpoint_propagation: SimDuration,
    /// From a change of a headless Service's endpoints until its clients go by it: how long they and the
    /// DNS keep what they looked up. Default 30s, the TTL that kubeadm gives CoreDNS.
    pub dns_cache: SimDuration,
    /// How often it is looked at which pods share the CPU of their node, what they burn for themselves, and what
    /// flows bring; requests share it at each instant. Default 1s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub cpu_sharing_period: SimDuration,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            watch: SimDuration::from_millis(10),
            endpoint_propagation: SimDuration::from_millis(200),
            dns_cache: SimDuration::from_secs(30),
            cpu_sharing_period: SimDuration::from_secs(1),
        }
    }
}
