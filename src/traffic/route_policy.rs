//! A gateway's treatment of the requests of a route: timeouts, retries and limits per client.

use std::sync::Arc;

use super::arrivals::Arrivals;
use super::call_spec::RetrySpec;
use super::client_limits::ClientLimits;
use super::recording::FailureCause;
use engine::{SimDuration, SimTime};

/// Client requests that reach a service by a route.
#[derive(Clone, Debug)]
pub struct RouteTraffic {
    /// Name of the route, which also names its random streams.
    pub name: String,
    /// Arrivals of the requests.
    pub arrivals: Arrivals,
    /// Policies by start time, in order of time; the first applies from the start.
    pub policies: Vec<(SimTime, RoutePolicy)>,
    /// Whether the service has the port that the route names: otherwise there is no answer.
    pub has_port: bool,
    /// The service of which this one is a canary: it gets the requests while one of the two has no
    /// endpoint.
    pub canary_of: Option<String>,
    /// Services to which the gateway sends a share of the requests, 0 to 1, a second time, ignoring the answer.
    pub mirrors: Vec<(String, f64)>,
}

/// Timeouts, retries and limits of a gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutePolicy {
    /// Timeout of a request, including retries and back-off. Absent = no limit.
    pub timeout: Option<SimDuration>,
    /// Timeout of one try; its pod continues, unless it is an inference server. Absent = no limit.
    pub try_timeout: Option<SimDuration>,
    /// Timeout of a try at a pod whose node does not answer at all. Absent = no limit.
    pub connect_timeout: Option<SimDuration>,
    /// Retries, if any.
    pub retries: Option<Retries>,
    /// Limits on the requests of each client; a rejected one is not retried.
    pub client_limits: Option<Arc<ClientLimits>>,
}

/// Failures that a gateway retries, and the number and timing of its retries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retries {
    /// Number of retries and back-off. Its `per_try_timeout` is not used here.
    pub spec: RetrySpec,
    /// Failures to retry.
    pub causes: Causes,
    /// Time since the start of a request during which it may be retried. Absent = no limit.
    pub window: Option<SimDuration>,
    /// Whether the number of tries is limited to the number of endpoints.
    pub is_once_per_endpoint: bool,
}

/// A set of causes of failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes(u16);

const _: () = assert!(FailureCause::ALL.len() <= 16, "a bit for each cause");

impl Causes {
    /// Every cause.
    pub const ALL: Self = Self(u16::MAX);

    /// The given causes.
    pub fn of(causes: impl IntoIterator<Item = FailureCause>) -> Self {
        Self(causes.into_iter().fold(0, |bits, cause| bits | 1 << cause as u16))
    }

    /// The union of both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The intersection of both sets.
    pub const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the set contains the cause.
    pub const fn contains(self, cause: FailureCause) -> bool {
        self.0 & 1 << cause as u16 != 0
    }
}

impl RoutePolicy {
    /// The client timeout, if the policy amounts to just that; absent if tries matter.
    pub fn patience(&self) -> Option<SimDuration> {
        let Self { timeout, try_timeout, connect_timeout, retries, client_limits } = self;
        if retries.is_some() || connect_timeout.is_some() || client_limits.is_some() {
            return None;
        }
        // With a single try the shorter timeout ends the request.
        Some([timeout, try_timeout].into_iter().flatten().fold(SimDuration::MAX, |a, b| a.min(*b)))
    }
}

impl Retries {
    /// Whether a request that failed with `cause` is retried, given its `age`, its retries so far and
    /// the number of endpoints.
    pub(super) fn again(
        &self,
        cause: FailureCause,
        tries: u32,
        age: SimDuration,
        endpoints: usize,
    ) -> bool {
        tries < self.spec.attempts
            && self.causes.contains(cause)
            && self.window.is_none_or(|window| age < window)
            && (!self.is_once_per_endpoint || (tries as usize) + 1 < endpoints)
    }
}

impl From<RetrySpec> for Retries {
    /// For any failure.
    fn from(spec: RetrySpec) -> Self {
        Self { spec, causes: Causes::ALL, window: None, is_once_per_endpoint: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_causes_has_those_and_no_others() {
        let set = Causes::of([FailureCause::Refused, FailureCause::Dependency]);
        let known = FailureCause::ALL.into_iter().filter(|cause| set.contains(*cause));
        assert_eq!(known.collect::<Vec<_>>(), [FailureCause::Refused, FailureCause::Dependency]);
        assert!(FailureCause::ALL.into_iter().all(|cause| Causes::ALL.contains(cause)));
        assert_eq!(set.within(Causes::of([FailureCause::Refused, FailureCause::Shed])), {
            Causes::of([FailureCause::Refused])
        });
    }

    #[test]
    fn one_try_ends_with_the_shorter_of_its_times() {
        let seconds = |count| Some(SimDuration::from_secs(count));
        let policy =
            |timeout, try_timeout| RoutePolicy { timeout, try_timeout, ..RoutePolicy::default() };
        assert_eq!(policy(seconds(3), seconds(2)).patience(), seconds(2));
        assert_eq!(policy(seconds(3), None).patience(), seconds(3));
        assert_eq!(policy(None, None).patience(), Some(SimDuration::MAX));
        let tried =
            RoutePolicy { retries: Some(RetrySpec::default().into()), ..policy(seconds(3), None) };
        assert_eq!(tried.patience(), None);
    }

    #[test]
    fn tries_end_by_number_by_time_and_by_endpoints() {
        let spec = RetrySpec { attempts: 2, ..RetrySpec::default() };
        let window = Some(SimDuration::from_secs(5));
        let retries = Retries { window, is_once_per_endpoint: true, ..Retries::from(spec) };
        let again = |tries, seconds, endpoints| {
            retries.again(FailureCause::Refused, tries, SimDuration::from_secs(seconds), endpoints)
        };
        assert!(again(0, 0, 2));
        assert!(!again(2, 0, 9), "two further tries at most");
        assert!(!again(0, 5, 9), "none after 5 s");
        assert!(!again(1, 0, 2), "each of two endpoints had its try");
    }
}
