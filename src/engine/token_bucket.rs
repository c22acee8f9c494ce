//! The token bucket of client-side rate limits (client-go's `flowcontrol.NewTokenBucketRateLimiter`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time::{SimDuration, SimTime};

/// Rate limit of an API server client: a token bucket with one token per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientRate {
    /// Sustained requests per second; 0 means no limit.
    pub qps: u32,
    /// Burst: requests at once after a pause.
    pub burst: u32,
}

impl ClientRate {
    /// No limit.
    pub const UNLIMITED: Self = Self { qps: 0, burst: 0 };

    /// Takes a token for a request made at `now` from a bucket that is full again at `full_at`, and returns when the
    /// request may be sent. Waiting requests are sent first come, first served.
    pub fn take(self, full_at: &mut SimTime, now: SimTime) -> SimTime {
        if self.qps == 0 {
            return now;
        }
        let token = SimDuration::from_nanos(1_000_000_000 / i64::from(self.qps));
        take_token(full_at, (token, self.burst), now)
    }
}

impl Default for ClientRate {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

/// Takes a token of a bucket that holds `burst`, gets one back every `token`, and is full again at `full_at`. Returns when
/// there is one; those who wait are served first come, first served.
pub fn take_token(
    full_at: &mut SimTime,
    (token, burst): (SimDuration, u32),
    now: SimTime,
) -> SimTime {
    let others = token * i64::from(burst.saturating_sub(1));
    let at = now.max(*full_at - others);
    *full_at = (*full_at).max(at) + token;
    at
}
