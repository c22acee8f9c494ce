//! Timeouts, retries and limits of a route's requests, and their combination with the scenario's own settings.

use std::sync::Arc;

use engine::SimDuration;
use traffic::{
    Causes, ClientLimits, DEFAULT_CLIENTS, DEFAULT_TIMEOUT, IngressRouteSpec, Retries, RetrySpec,
    RoutePolicy,
};

/// Envoy's longest back-off as a multiple of its base interval.
const ENVOY_MAX_BACKOFF_FACTOR: i64 = 10;

/// Timeouts, retries and limits of requests, as a route sets them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteLimits {
    /// Timeout of a request with all its tries: zero = no limit; absent = not set by the route.
    pub(super) request: Option<SimDuration>,
    /// Timeout of one try.
    pub(super) one_try: Option<SimDuration>,
    /// Timeout of a try whose pod's node does not respond.
    pub(super) connect: Option<SimDuration>,
    pub(super) retry: Option<RouteRetry>,
    /// Limits per client address, with the usual number of addresses.
    pub(super) of_clients: Option<ClientLimits>,
}

/// The retries of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouteRetry {
    /// Maximum number of retries; absent = each endpoint is tried once.
    pub attempts: Option<u32>,
    pub backoff: SimDuration,
    pub causes: Causes,
    /// Those of them after which non-idempotent requests are retried too.
    pub causes_unless_idempotent: Causes,
    pub window: Option<SimDuration>,
}

impl RouteLimits {
    /// Policy for the requests of an ingress route: the scenario's settings combined with those of the route.
    pub fn policy(&self, ingress_route: &IngressRouteSpec) -> RoutePolicy {
        let of_route = self.request.filter(|time| *time > SimDuration::ZERO);
        let of_clients =
            ingress_route.timeout.or(self.request.is_none().then_some(DEFAULT_TIMEOUT));
        let retries = self.retry.map(|retry| retry.retries(ingress_route.idempotent));
        let client_limits = self.of_clients.clone().map(|limits| {
            let clients = ingress_route.clients.unwrap_or(DEFAULT_CLIENTS);
            Arc::new(ClientLimits { clients, ..limits })
        });
        RoutePolicy {
            client_limits,
            timeout: [of_route, of_clients].into_iter().flatten().min(),
            try_timeout: ingress_route.retries.and_then(|own| own.per_try_timeout).or(self.one_try),
            connect_timeout: self.connect,
            retries: ingress_route.retries.map(Retries::from).or(retries),
        }
    }
}

impl RouteRetry {
    fn retries(&self, is_idempotent: bool) -> Retries {
        let unless = if is_idempotent { Causes::ALL } else { self.causes_unless_idempotent };
        Retries {
            spec: RetrySpec {
                attempts: self.attempts.unwrap_or(u32::MAX),
                per_try_timeout: None,
                backoff: self.backoff,
                max_backoff: self.backoff * ENVOY_MAX_BACKOFF_FACTOR,
                budget: None,
            },
            causes: self.causes.within(unless),
            window: self.window,
            is_once_per_endpoint: self.attempts.is_none(),
        }
    }
}
