//! Load balancing of a service's requests over its pods, as shown in a report.

use serde::Serialize;

use traffic::{Balancer, Via};

/// Load balancing of a service's requests over its pods, which strongly affects tail latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancing {
    /// The component that routes clients' requests to the pods.
    pub via: Via,
    /// The rule that selects the pod for a request, or for a new connection.
    pub rule: Balancer,
    /// True if set in the scenario; otherwise the usual rule is assumed.
    pub is_stated: bool,
    /// Number of persistent connections, for which the rule is applied once each; `None` if every request has
    /// its own connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_connections: Option<u32>,
    /// True if nothing is balanced: pods take their requests from a work queue.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_work_queue: bool,
}

impl Default for Balancing {
    fn default() -> Self {
        let via = Via::default();
        Self {
            via,
            rule: via.usual(),
            is_stated: false,
            kept_connections: None,
            is_work_queue: false,
        }
    }
}
