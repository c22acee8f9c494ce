//! The token bucket of client-side rate limits (client-go's `flowcontrol.NewTokenBucketRateLimiter`).

use super::time::{SimDuration, SimTime};

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
