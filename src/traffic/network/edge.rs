//! Edges of the call graph, with their timeouts and retries: the clients of a service, or one call in a request
//! model.

use std::sync::Arc;

use super::NetworkEvent;
use super::calls::{Attempt, Call};
use super::deadlines::Deadlines;
use crate::call_spec::{CallSpec, RetrySpec};
use crate::client_limits::ClientLimits;
use crate::route_policy::{Retries, RoutePolicy};
use engine::{SimDuration, Stream};

/// Calls of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// The called service, at which the calls are counted.
    pub service: u32,
    /// The service whose endpoints get them: the same, or a subset of its pods.
    pub pods: u32,
    /// Effect of the proxies of a mesh besides timeouts and retries; absent without a mesh.
    pub mesh: Option<Box<MeshEdge>>,
    /// Limits of a gateway on the calls of each client.
    pub client_limits: Option<Arc<ClientLimits>>,
    /// Timeouts of calls, including retries.
    pub(super) deadlines: Deadlines<Call>,
    /// Timeouts of single attempts.
    pub(super) try_deadlines: Deadlines<Attempt>,
    /// Connection timeouts of attempts at pods whose node does not answer.
    pub(super) connect_deadlines: Deadlines<Attempt>,
    pub retries: Option<Retries>,
    pub times: u32,
    pub cache_hit_rate: f64,
    pub with_previous: bool,
    pub optional: bool,
    /// Number of the class recorded for its calls; 0 = none.
    pub class: u16,
    /// Whether the service has the requested port: otherwise there is no answer.
    pub has_port: bool,
    /// Random numbers for cache hits, back-off, and the sizes of retries.
    pub stream: Stream,
    /// Calls in progress.
    pub active: u64,
    /// Calls waiting for a retry or in one.
    pub retrying: u64,
}

/// Effect of the proxies of a mesh on the calls of an edge.
#[derive(Clone, Debug, Default)]
pub(crate) struct MeshEdge {
    /// Alternative edges with the sum of the weights up to each; empty without a choice.
    pub choices: Vec<(f64, u32)>,
    /// The edges of second calls, and the share of calls that have each.
    pub mirrors: Vec<(u32, f64)>,
    /// A delay, and the share of calls that have it.
    pub delay: Option<(SimDuration, f64)>,
    /// Share of calls that fail at once.
    pub abort_share: f64,
}

impl MeshEdge {
    /// The edge of a call, for a number drawn from 0 to 1.
    pub fn choose(&self, drawn: f64) -> Option<u32> {
        let all = self.choices.last()?.0;
        let position = self.choices.partition_point(|(upto, _)| *upto <= drawn * all);
        self.choices.get(position).or(self.choices.last()).map(|(_, edge)| *edge)
    }
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
            pods: service,
            mesh: None,
            client_limits: None,
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

    /// The attempt deadlines to which this event refers.
    pub(super) const fn deadlines_of(&mut self, due: NetworkEvent) -> &mut Deadlines<Attempt> {
        match due {
            NetworkEvent::ConnectDeadline(_) => &mut self.connect_deadlines,
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
            client_limits: policy.client_limits.clone(),
            ..Self::of_clients(service, SimDuration::MAX, None, stream)
        }
    }

    /// A call in a request model.
    pub(crate) fn of_model(spec: &CallSpec, service: u32, stream: Stream) -> Self {
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
