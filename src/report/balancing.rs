//! How requests find the pods of a service, as a report states it.

use serde::Serialize;

use traffic::{Balancer, Via};

/// How requests to a service find its pods: much of the latency's tail depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancing {
    /// Who leads clients' requests to the pods.
    pub via: Via,
    /// The rule by which a request, or a new connection, finds its pod.
    pub rule: Balancer,
    /// Whether the scenario says so; else it is assumed, as what is usual there.
    pub is_stated: bool,
    /// Connections that stay open, so that the rule counts once for each; absent if each request has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_connections: Option<u32>,
}

impl Default for Balancing {
    fn default() -> Self {
        let via = Via::default();
        Self { via, rule: via.usual(), is_stated: false, kept_connections: None }
    }
}
