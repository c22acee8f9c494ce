//! A request as the two engines hand it to each other.

use super::recording::Client;
use super::request_model::Demand;

/// What is left to do of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// Who waits for it.
    pub client: Client,
    /// What is left.
    pub demand: Demand,
}

/// No slot is free and the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;
