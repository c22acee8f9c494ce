//! A request as handed over between the two engines.

use super::recording::Client;
use super::request_model::Demand;

/// A request in a pod, with its remaining work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// The waiting client.
    pub client: Client,
    /// Remaining CPU and waiting time.
    pub demand: Demand,
}

/// No slot is free and the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;
