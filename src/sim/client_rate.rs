//! The client-side rate limit of a controller's API client: client-go's `flowcontrol.NewTokenBucketRateLimiter`.

use engine::{SimDuration, SimTime};
use scenario::ClientRate;

/// The bucket of one client, full at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenBucket {
    rate: ClientRate,
    /// Time at which it will be full again.
    full_at: SimTime,
}

impl TokenBucket {
    pub(super) const fn new(rate: ClientRate) -> Self {
        Self { rate, full_at: SimTime::ZERO }
    }

    /// Takes a token for a request made at `now` and returns when the request may be sent. Waiting requests are
    /// sent first come, first served.
    pub(super) fn take(&mut self, now: SimTime) -> SimTime {
        let ClientRate { qps, burst } = self.rate;
        if qps == 0 {
            return now;
        }
        let token = SimDuration::from_nanos(1_000_000_000 / i64::from(qps));
        let others = token * i64::from(burst.saturating_sub(1));
        let at = now.max(self.full_at - others);
        self.full_at = self.full_at.max(at) + token;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_requests_go_at_once_and_twenty_a_second_after_that() {
        let mut bucket = TokenBucket::new(ClientRate { qps: 20, burst: 30 });
        let now = SimTime::from_secs(10);
        let at: Vec<f64> = (0..50).map(|_| (bucket.take(now) - now).as_secs_f64()).collect();
        assert!(at[..30].iter().all(|at| *at == 0.0), "{at:?}");
        assert_eq!((at[30], at[31], at[49]), (0.05, 0.1, 1.0));
        // All tokens are back 1.5 s after the last one was taken.
        let later = SimTime::from_nanos(12_500_000_000);
        assert!((0..30).all(|_| bucket.take(later) == later));
    }

    #[test]
    fn a_client_without_a_rate_never_waits() {
        let mut bucket = TokenBucket::new(ClientRate { qps: 0, burst: 0 });
        assert!((0..1000).all(|_| bucket.take(SimTime::ZERO) == SimTime::ZERO));
    }
}
