//! User settings of calls between services, and of retries.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Checks;
use cluster::ServiceReference;
use engine::SimDuration;
use engine::random::open_unit;

/// Requests that a request makes to another service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallSpec {
    /// The called service, as namespace/name.
    pub service: ServiceReference,
    /// Class of the call among that service's requests. Default: drawn by the weights of the classes.
    pub class: Option<String>,
    /// Time that the caller waits for the answer, including retries; the called service keeps working on it, unless it
    /// is an inference server (`abortOnDisconnect`). Default 15s, as in an Envoy route.
    #[serde(default = "default_timeout")]
    pub timeout: SimDuration,
    /// Time that the caller waits for a connection, to a pod whose node does not answer or that a NetworkPolicy blocks.
    /// Default: the timeout for the answer.
    pub connect_timeout: Option<SimDuration>,
    /// Retries of failed calls. Default: none.
    pub retries: Option<RetrySpec>,
    /// Number of such calls made at once: fan-out. Default 1.
    #[serde(default = "default_times")]
    #[schemars(range(min = 1, max = 1000))]
    pub times: u32,
    /// Share of requests that hit a cache and make no call, from 0 to 1. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub cache_hit_rate: f64,
    /// Whether the call is made in parallel with the previous one instead of after its answer.
    #[serde(default)]
    pub with_previous: bool,
    /// Whether the request succeeds even if the call fails, e.g. for a recommendation that can be left out.
    #[serde(default)]
    pub optional: bool,
}

/// Retries of failed requests, as in Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetrySpec {
    /// Maximum number of retries. Default 1.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// Timeout of one attempt; it is then given up, though the pod keeps working on it (an inference server drops it),
    /// and the next one is made. Default: only the timeout of the whole request applies.
    pub per_try_timeout: Option<SimDuration>,
    /// Base back-off: before the n-th retry the caller waits a random time up to 2^n - 1 times this. Default 25ms.
    pub backoff: SimDuration,
    /// Maximum back-off. Default 250ms.
    pub max_backoff: SimDuration,
    /// Retry budget: concurrent retries are at most this share of active requests, from 0 to 1, though three are always
    /// allowed. Default: no budget.
    #[schemars(range(min = 0, max = 1))]
    pub budget: Option<f64>,
}

/// Concurrent retries that a budget always allows: Envoy's `min_retry_concurrency`.
const ALWAYS_ALLOWED: f64 = 3.0;

impl CallSpec {
    /// Reports problems of the calls that one request makes.
    pub(super) fn check_all(calls: &[Self], checks: &mut Checks<'_>) {
        for (index, call) in calls.iter().enumerate() {
            call.check(&mut checks.inside(&format!("calls[{index}]")));
        }
        if let Some(first) = calls.first() {
            checks.require(!first.with_previous, "calls[0].withPrevious", || {
                "the first call has no previous one; remove this".into()
            });
        }
    }

    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        checks.check_positive("timeout", self.timeout);
        if let Some(limit) = self.connect_timeout {
            checks.check_positive("connectTimeout", limit);
        }
        checks.require((1..=1000).contains(&self.times), "times", || {
            format!("{} must be from 1 to 1000", self.times)
        });
        checks.share("cacheHitRate", self.cache_hit_rate);
        if let Some(retries) = &self.retries {
            retries.check(&mut checks.inside("retries"));
        }
    }
}

impl RetrySpec {
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        checks.require((1..=100).contains(&self.attempts), "attempts", || {
            format!("{} must be from 1 to 100; to disable retries, remove `retries`", self.attempts)
        });
        if let Some(limit) = self.per_try_timeout {
            checks.check_positive("perTryTimeout", limit);
        }
        checks.require(self.max_backoff >= self.backoff, "maxBackoff", || {
            format!("{} is shorter than `backoff`, {}", self.max_backoff, self.backoff)
        });
        if let Some(budget) = self.budget {
            checks.share("budget", budget);
        }
    }

    /// Whether the budget allows one more retry, given the active requests and retries.
    pub(super) fn has_budget(&self, active: u64, retrying: u64) -> bool {
        self.budget
            .is_none_or(|share| (retrying as f64) < (share * active as f64).max(ALWAYS_ALLOWED))
    }

    /// Wait before the `n`-th retry (from 1): Envoy's jittered exponential back-off.
    pub(super) fn wait_before(&self, n: u32, rng: &mut impl Rng) -> SimDuration {
        let widest = f64::from(2u32.saturating_pow(n.min(31)) - 1) * self.backoff.as_secs_f64();
        let widest = widest.min(self.max_backoff.as_secs_f64());
        SimDuration::from_secs_f64(open_unit(rng) * widest)
    }
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self {
            attempts: 1,
            per_try_timeout: None,
            backoff: SimDuration::from_millis(25),
            max_backoff: SimDuration::from_millis(250),
            budget: None,
        }
    }
}

const fn default_timeout() -> SimDuration {
    SimDuration::from_secs(15)
}

const fn default_times() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Streams;

    #[test]
    fn back_off_doubles_up_to_its_longest() {
        let retries = RetrySpec::default();
        let mut rng = Streams::new(1).stream("back-off", 0);
        let mut longest = |n| {
            (0..2000).map(|_| retries.wait_before(n, &mut rng).as_millis_f64()).fold(0.0, f64::max)
        };
        for (n, limit) in [(1, 25.0), (2, 75.0), (3, 175.0), (4, 250.0), (40, 250.0)] {
            let longest = longest(n);
            assert!(longest <= limit && longest > 0.98 * limit, "{n}: {longest}");
        }
    }

    #[test]
    fn a_budget_is_a_share_of_what_is_under_way_but_three_are_always_allowed() {
        let retries = RetrySpec { budget: Some(0.2), ..RetrySpec::default() };
        assert!(retries.has_budget(0, 2));
        assert!(!retries.has_budget(0, 3));
        assert!(retries.has_budget(100, 19));
        assert!(!retries.has_budget(100, 20));
        assert!(RetrySpec::default().has_budget(0, 1_000_000));
    }
}
