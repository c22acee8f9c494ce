//! Who calls whom, and how: the clients of a service, or one call in a request model.

use super::calls::{Attempt, Call};
use super::deadlines::Deadlines;
use crate::engine::{SimDuration, Stream};
use crate::traffic::call_spec::{CallSpec, RetrySpec};

/// Calls of one kind.
#[derive(Clone, Debug)]
pub(in crate::traffic) struct Edge {
    /// The service that is called.
    pub service: u32,
    /// When callers give up, further attempts included.
    pub(super) deadlines: Deadlines<Call>,
    /// When they give up one attempt.
    pub(super) try_deadlines: Deadlines<Attempt>,
    pub retries: Option<RetrySpec>,
    pub times: u32,
    pub cache_hit_rate: f64,
    pub with_previous: bool,
    pub optional: bool,
    /// Of cache hits and back-off.
    pub stream: Stream,
    /// Calls under way.
    pub active: u64,
    /// Those of them that wait for a further attempt or are at it.
    pub retrying: u64,
}

impl Edge {
    /// The calls of clients.
    pub fn of_clients(
        service: u32,
        timeout: SimDuration,
        retries: Option<RetrySpec>,
        stream: Stream,
    ) -> Self {
        Self {
            service,
            deadlines: Deadlines::new(Some(timeout)),
            try_deadlines: Deadlines::new(retries.and_then(|retries| retries.per_try_timeout)),
            retries,
            times: 1,
            cache_hit_rate: 0.0,
            with_previous: false,
            optional: false,
            stream,
            active: 0,
            retrying: 0,
        }
    }

    /// A call in a request model.
    pub fn of_model(spec: &CallSpec, service: u32, stream: Stream) -> Self {
        Self {
            times: spec.times,
            cache_hit_rate: spec.cache_hit_rate,
            with_previous: spec.with_previous,
            optional: spec.optional,
            ..Self::of_clients(service, spec.timeout, spec.retries, stream)
        }
    }
}
