//! What the proxies of a mesh do with the calls to a service: where they send them, how long they wait, and which
//! faults they inject.

use super::route_policy::Retries;
use engine::SimDuration;

/// Treatment of the calls to a service by the proxies of its callers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshRoute {
    /// Alternative destinations; each call goes to one. Empty: to the service itself.
    pub destinations: Vec<MeshDestination>,
    /// Timeout of a call, retries included; absent = none of the proxy.
    pub timeout: Option<SimDuration>,
    /// Timeout of one try; absent = none.
    pub try_timeout: Option<SimDuration>,
    /// Timeout of a connection to a pod whose node does not answer; absent = none.
    pub connect_timeout: Option<SimDuration>,
    /// Retries, unless the caller itself retries.
    pub retries: Option<Retries>,
    /// Where a share of the calls is sent a second time, with its answer ignored.
    pub mirror: Option<MeshDestination>,
    /// A delay that a share of the calls has before it is sent.
    pub delay: Option<(SimDuration, f64)>,
    /// Share of the calls, 0 to 1, that the proxy answers with an error.
    pub abort_share: f64,
}

/// A destination of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshDestination {
    /// Name of the service, or of a subset of its pods, in the traffic.
    pub pods: String,
    /// Name of the service at which the calls are counted.
    pub service: String,
    /// Its share of the calls: of all weights, or, for a mirror, from 0 to 1.
    pub weight: f64,
}

impl MeshRoute {
    /// Whether it changes nothing.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
