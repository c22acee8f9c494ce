//! The nodes of a zone waiting for a NoExecute taint, and the rate at which they are tainted
//! (`scheduler/rate_limited_queue.go` of `pkg/controller/nodelifecycle`, 1.36).

use std::collections::VecDeque;

use cluster::node::NodeId;
use engine::{SimDuration, SimTime};

/// A bucket for one token that fills at a rate (`golang.org/x/time/rate` with a burst of 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenBucket {
    /// Tokens per second; 0 = never.
    rate_per_second: f64,
    tokens: f64,
    updated: SimTime,
}

impl TokenBucket {
    /// A full bucket.
    pub const fn new(rate_per_second: f64, now: SimTime) -> Self {
        Self { rate_per_second, tokens: 1.0, updated: now }
    }

    /// Takes a token if available.
    fn try_take(&mut self, now: SimTime) -> bool {
        if self.rate_per_second <= 0.0 {
            return false;
        }
        let filled = self.tokens + (now - self.updated).as_secs_f64() * self.rate_per_second;
        let left = filled.min(1.0) - 1.0;
        // A deficit of less than a nanosecond counts as none.
        if -left / self.rate_per_second * 1e9 >= 1.0 {
            return false;
        }
        (self.tokens, self.updated) = (left, now);
        true
    }

    /// Time at which the next token is available, if ever.
    fn next_token(&self, now: SimTime) -> Option<SimTime> {
        (self.rate_per_second > 0.0).then(|| {
            let missing_seconds = (1.0 - self.tokens) / self.rate_per_second;
            now.max(self.updated + SimDuration::from_secs_f64(missing_seconds))
        })
    }

    /// Changes the rate. Waiting nodes keep waiting: the new bucket is empty if the old one was (`SwapLimiter`).
    pub(crate) fn set_rate(&mut self, rate_per_second: f64, now: SimTime) {
        if (rate_per_second - self.rate_per_second).abs() > 0.0 {
            let had_token = self.try_take(now);
            *self = Self::new(rate_per_second, now);
            if !had_token {
                self.tokens = 0.0;
            }
        }
    }
}

/// The nodes of a zone that wait for their taint, first in, first out.
#[derive(Clone, Debug)]
pub struct TaintQueue {
    /// Rate limit of tainting.
    pub bucket: TokenBucket,
    waiting: VecDeque<NodeId>,
}

impl TaintQueue {
    /// An empty queue.
    pub const fn new(rate_per_second: f64, now: SimTime) -> Self {
        Self { bucket: TokenBucket::new(rate_per_second, now), waiting: VecDeque::new() }
    }

    /// Has a node wait, unless it does already.
    pub fn add(&mut self, node: NodeId) {
        if !self.waiting.contains(&node) {
            self.waiting.push_back(node);
        }
    }

    /// Drops the nodes for which `waits_on` is false.
    pub fn retain(&mut self, waits_on: impl Fn(NodeId) -> bool) {
        self.waiting.retain(|node| waits_on(*node));
    }

    /// Takes the nodes that are due at `now`.
    pub fn take_due(&mut self, now: SimTime) -> Vec<NodeId> {
        let mut due = Vec::new();
        while !self.waiting.is_empty() && self.bucket.try_take(now) {
            due.extend(self.waiting.pop_front());
        }
        due
    }

    /// Time at which the next node is due, if there is one.
    pub fn next_due(&self, now: SimTime) -> Option<SimTime> {
        if self.waiting.is_empty() { None } else { self.bucket.next_token(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 0.1;

    #[test]
    fn the_first_token_is_there_at_once_and_the_next_after_ten_seconds() {
        let mut bucket = TokenBucket::new(RATE, SimTime::ZERO);
        assert!(bucket.try_take(SimTime::from_secs(1)));
        assert!(!bucket.try_take(SimTime::from_secs(10)));
        assert_eq!(bucket.next_token(SimTime::from_secs(10)), Some(SimTime::from_secs(11)));
        assert!(bucket.try_take(SimTime::from_secs(11)));
    }

    #[test]
    fn a_rate_that_returns_starts_with_an_empty_bucket() {
        let mut bucket = TokenBucket::new(RATE, SimTime::ZERO);
        bucket.set_rate(0.0, SimTime::from_secs(5));
        assert_eq!(bucket.next_token(SimTime::from_secs(5)), None);
        bucket.set_rate(RATE, SimTime::from_secs(50));
        assert!(!bucket.try_take(SimTime::from_secs(59)));
        assert!(bucket.try_take(SimTime::from_secs(60)));
    }

    #[test]
    fn an_unused_bucket_stays_full_when_its_rate_changes() {
        let mut bucket = TokenBucket::new(RATE, SimTime::ZERO);
        bucket.set_rate(0.01, SimTime::from_secs(5));
        assert!(bucket.try_take(SimTime::from_secs(5)));
    }
}
