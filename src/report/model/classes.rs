//! Figures of a request class of a service.

use serde::Serialize;

use super::{Latency, LatencyWithFailures};

/// Requests and latency of one request class of a service, after the warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassReport {
    /// Name of the request class.
    pub class: String,
    /// Requests that arrived.
    pub arrived: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Failed requests by cause, largest first.
    pub failed_by_cause: Vec<(String, u64)>,
    /// Requests in flight at the end.
    pub in_flight: u64,
    /// Retries of these requests by callers; absent if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
    /// Latency of answered requests; absent if there were none.
    pub latency: Option<Latency>,
    /// Latency over all finished requests, a failed one being slower than any answer; absent if none
    /// finished.
    pub latency_of_all: Option<LatencyWithFailures>,
    /// Answered over answered and failed, 0..1; absent without requests.
    pub availability_by_requests: Option<f64>,
}

impl ClassReport {
    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failed_by_cause.iter().map(|(_, requests)| requests).sum()
    }
}
