//! Requests that Knative's activator held.

use serde::Serialize;

/// Requests that arrived after the warm-up and waited in the activator until a pod could take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ActivatorReport {
    /// Their number.
    pub held_requests: u64,
    /// Their mean wait.
    pub mean_wait_ms: f64,
    /// The longest wait.
    pub max_wait_ms: f64,
}
