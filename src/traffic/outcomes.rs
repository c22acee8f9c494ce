//! Counts of requests by outcome.

use serde::Serialize;

/// Cause of a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureCause {
    /// The service had no endpoint.
    NoEndpoint,
    /// Nothing listened in the pod, or the pod was removed.
    Refused,
    /// The pod's queue was full.
    QueueFull,
    /// The client timed out before the answer.
    Timeout,
    /// The container was stopped while it had the request.
    Killed,
    /// Neither an answer nor a refusal before the client's timeout: the application hangs, or its node
    /// is unreachable.
    Unreachable,
    /// The prompt exceeds the limits of the LLM server.
    TooLong,
    /// It waited too long for a slot, and the pod dropped it.
    Shed,
    /// A circuit breaker or the connection limit rejected it.
    CircuitOpen,
    /// A call that it made to another service failed.
    Dependency,
    /// A network policy dropped its packets: there was no connection before the client's timeout.
    Blocked,
    /// No Ingress or HTTPRoute rule matched: a gateway answers 404.
    NoRoute,
    /// The application answered with an error of its own, such as status 500.
    ApplicationError,
    /// The proxy of a mesh answered with an error that it was told to inject.
    Injected,
    /// A gateway rejected it because its client exceeded a limit.
    RateLimited,
}

impl FailureCause {
    /// All causes, in the order of their positions in [`Outcomes::failed`].
    pub const ALL: [Self; 15] = [
        Self::NoEndpoint,
        Self::Refused,
        Self::QueueFull,
        Self::Timeout,
        Self::Killed,
        Self::Unreachable,
        Self::TooLong,
        Self::Shed,
        Self::CircuitOpen,
        Self::Dependency,
        Self::Blocked,
        Self::NoRoute,
        Self::ApplicationError,
        Self::Injected,
        Self::RateLimited,
    ];

    /// Description of the cause, for reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoEndpoint => "no ready endpoint",
            Self::Refused => "connection refused",
            Self::QueueFull => "queue full",
            Self::Timeout => "timeout",
            Self::Killed => "container stopped",
            Self::Unreachable => "no answer",
            Self::TooLong => "prompt too long",
            Self::Shed => "shed",
            Self::CircuitOpen => "circuit open",
            Self::Dependency => "dependency failed",
            Self::Blocked => "blocked by policy",
            Self::NoRoute => "no route",
            Self::ApplicationError => "application error",
            Self::Injected => "fault injected",
            Self::RateLimited => "rate limited",
        }
    }
}

/// Counts of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Requests arrived.
    pub arrived: u64,
    /// Requests answered in time.
    pub answered: u64,
    /// Requests that failed, by position of the cause in [`FailureCause::ALL`].
    pub failed: [u64; FailureCause::ALL.len()],
    /// Retries of failed requests; a request counts only once above, however often it is retried.
    pub retried: u64,
    /// Requests among `arrived` that other services made.
    pub arrived_calls: u64,
    /// Requests among `answered` that other services made.
    pub answered_calls: u64,
}

impl Outcomes {
    /// Requests that failed with this cause.
    pub const fn failed_by(&self, cause: FailureCause) -> u64 {
        self.failed[cause as usize]
    }

    /// Requests that failed, over all causes.
    pub fn failed_in_all(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Adds the counts of another.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { arrived, answered, failed, retried, arrived_calls, answered_calls } = other;
        self.arrived += arrived;
        self.answered += answered;
        self.failed.iter_mut().zip(failed).for_each(|(ours, theirs)| *ours += theirs);
        self.retried += retried;
        self.arrived_calls += arrived_calls;
        self.answered_calls += answered_calls;
    }

    /// Requests of clients that arrived.
    pub const fn arrived_of_clients(&self) -> u64 {
        self.arrived.saturating_sub(self.arrived_calls)
    }

    /// Requests of clients that were answered.
    pub const fn answered_of_clients(&self) -> u64 {
        self.answered.saturating_sub(self.answered_calls)
    }
}
