//! The calls of requests of one kind, aggregated: callee, share of the requests, sequential or parallel.

use std::collections::BTreeMap;

use super::requests::{Call, Callee};

/// Maximum number of calls of one request to the same callee that are distinguished; further ones count as the last.
const TOLD_APART: u32 = 32;
/// Shares of requests that differ by less count as equal.
const SAME_SHARE: f64 = 0.02;
/// Calls made by a smaller share of requests are dropped.
const RARE: f64 = 0.001;

/// Sums over the requests of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct CallSums {
    /// By callee, and the position of the call among those to it.
    by_turn: BTreeMap<(Callee, u32), CallSum>,
}

#[derive(Clone, Copy, Debug, Default)]
struct CallSum {
    /// Requests that made it.
    requests: u64,
    /// Number of calls, more than `requests` if some exceed the number distinguished.
    calls: u64,
    /// Calls that began while an earlier one was in progress.
    together: u64,
    /// Sum of their positions among the calls of their request.
    positions: u64,
    /// Durations in seconds.
    seconds: Moments,
}

/// Count, mean and spread of figures, one after the other (Welford).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

/// A typical call of requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TypicalCall {
    pub callee: Callee,
    /// Calls at once.
    pub times: u32,
    /// Share of the requests that make it.
    pub share: f64,
    pub with_previous: bool,
    pub mean_seconds: f64,
    /// Standard deviation over mean.
    pub cv: f64,
}

impl Moments {
    pub fn add(&mut self, figure: f64) {
        self.count += 1.0;
        let before = figure - self.mean;
        self.mean += before / self.count;
        self.squares += before * (figure - self.mean);
    }

    pub const fn mean(&self) -> f64 {
        self.mean
    }

    /// Coefficient of variation; 0 for a single value.
    pub fn cv(&self) -> f64 {
        if self.count < 2.0 || self.mean <= 0.0 {
            return 0.0;
        }
        libm::sqrt(self.squares / (self.count - 1.0)) / self.mean
    }
}

impl CallSums {
    /// Adds the calls of a request, in order of their start.
    pub fn add(&mut self, calls: &[Call]) {
        let mut turns: BTreeMap<Callee, u32> = BTreeMap::new();
        let mut until = i64::MIN;
        for (position, call) in (0..).zip(calls) {
            let turn = turns.entry(call.callee).or_default();
            *turn += 1;
            let is_last = *turn > TOLD_APART;
            let sum = self.by_turn.entry((call.callee, (*turn).min(TOLD_APART))).or_default();
            sum.requests += u64::from(!is_last);
            sum.calls += 1;
            sum.together += u64::from(call.start < until);
            sum.positions += position;
            sum.seconds.add((call.end - call.start) as f64 / 1e9);
            until = until.max(call.end);
        }
    }

    /// The typical calls of `requests` requests.
    pub fn usual(&self, requests: u64) -> Vec<TypicalCall> {
        let share = |sum: &CallSum| sum.requests as f64 / requests.max(1) as f64;
        let mut rows: Vec<(f64, TypicalCall)> = self
            .by_turn
            .iter()
            .filter(|(_, sum)| share(sum) >= RARE)
            .map(|((callee, _), sum)| {
                let calls = sum.calls as f64;
                let times = libm::round(calls / sum.requests.max(1) as f64);
                let call = TypicalCall {
                    callee: *callee,
                    times: whole(times),
                    share: share(sum),
                    with_previous: 2 * sum.together > sum.calls,
                    mean_seconds: sum.seconds.mean(),
                    cv: sum.seconds.cv(),
                };
                (sum.positions as f64 / calls, call)
            })
            .collect();
        rows.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut usual: Vec<TypicalCall> = Vec::new();
        for (_, mut call) in rows {
            call.with_previous &= !usual.is_empty();
            match usual.last_mut() {
                Some(last)
                    if call.with_previous
                        && last.callee == call.callee
                        && (last.share - call.share).abs() < SAME_SHARE =>
                {
                    last.times += call.times;
                }
                _ => usual.push(call),
            }
        }
        usual
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within its bounds")]
const fn whole(number: f64) -> u32 {
    number.clamp(1.0, 1000.0) as u32
}
