//! Edges of the graph of calls, with their time-outs and retries: the clients of a service, or one call in a request
//! model.

use super::What;
use super::calls::{Attempt, Call};
use super::deadlines::Deadlines;
use crate::call_spec::{CallSpec, RetrySpec};
use crate::route_policy::{Retries, RoutePolicy};
use engine::{SimDuration, Stream};

/// Calls of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// The service that is called.
    pub service: u32,
    /// When callers give up, further attempts included.
    pub(super) deadlines: Deadlines<Call>,
    /// When they give up one attempt.
    pub(super) try_deadlines: Deadlines<Attempt>,
    /// When they give up one at a pod whose node does not answer.
    pub(super) connect_deadlines: Deadlines<Attempt>,
    pub retries: Option<Retries>,
    pub times: u32,
    pub cache_hit_rate: f64,
    pub with_previous: bool,
    pub optional: bool,
    /// What is told of the class of its calls, by number; 0 = nothing.
    pub class: u16,
    /// Whether the service has the port that callers ask for: otherwise nobody answers.
    pub has_port: bool,
    /// Of cache hits, of back-off and of what further attempts take.
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
            connect_deadlines: Deadlines::new(None),
            retries: retries.map(Retries::from),
            times: 1,
            cache_hit_rate: 0.0,
            with_previous: false,
            optional: false,
            class: 0,
            has_port: true,
            stream,
            active: 0,
            retrying: 0,
        }
    }

    /// The deadlines of attempts that such an event is about.
    pub(super) const fn deadlines_of(&mut self, due: What) -> &mut Deadlines<Attempt> {
        match due {
            What::ConnectDeadline(_) => &mut self.connect_deadlines,
            _ => &mut self.try_deadlines,
        }
    }

    /// The requests of a route.
    pub fn of_route(service: u32, policy: &RoutePolicy, stream: Stream) -> Self {
        Self {
            deadlines: Deadlines::new(policy.timeout),
            try_deadlines: Deadlines::new(policy.try_timeout),
            connect_deadlines: Deadlines::new(policy.connect_timeout),
            retries: policy.retries,
            ..Self::of_clients(service, SimDuration::MAX, None, stream)
        }
    }

    /// A call in a request model.
    pub fn of_model(spec: &CallSpec, service: u32, stream: Stream) -> Self {
        Self {
            times: spec.times,
            cache_hit_rate: spec.cache_hit_rate,
            with_previous: spec.with_previous,
            optional: spec.optional,
            connect_deadlines: Deadlines::new(spec.connect_timeout),
            ..Self::of_clients(service, spec.timeout, spec.retries, stream)
        }
    }
}
