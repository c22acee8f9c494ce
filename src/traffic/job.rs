//! A request as the two engines hand it to each other.

use super::recording::Client;
use super::request_model::Demand;

/// A request in a pod, with its remaining work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// Client that waits for it.
    pub client: Client,
    /// Remaining CPU and waiting time.
    pub demand: Demand,
}

/// No slot is free and the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;
