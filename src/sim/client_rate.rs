//! The client-side rate limit of an API client: client-go's `flowcontrol.NewTokenBucketRateLimiter`, and the Events
//! that use up its tokens beside the requests of the controller that records them.

use std::collections::VecDeque;

use cluster::{Kind, NamespacedName};
use engine::{ClientRate, SimDuration, SimTime, take_token};
use rustc_hash::FxHashMap;

/// Events about one object that are sent at once, and the time for one more (`defaultSpamBurst` and `defaultSpamQPS` of
/// client-go's `tools/record`). Others are dropped.
const SPAM_BURST: u32 = 25;
const SPAM_INTERVAL: SimDuration = SimDuration::from_secs(300);
/// Events that wait to be sent; further ones are dropped (`maxQueuedEvents`).
const QUEUED_EVENTS_MAX: usize = 1000;

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
        self.rate.take(&mut self.full_at, now)
    }

    const fn is_unlimited(&self) -> bool {
        self.rate.qps == 0
    }
}

/// The API client of a controller, with which it also sends the Events that it records: one after the other, beside its
/// other requests (`StartRecordingToSink`).
#[derive(Clone, Debug)]
pub(super) struct ControllerClient {
    bucket: TokenBucket,
    /// The times at which the Events that were not sent yet were recorded.
    events: VecDeque<SimTime>,
    /// When the Event before them is answered.
    answered_at: SimTime,
    /// When the Events about an object will all be sent again. Looked up only, never iterated.
    of_objects: FxHashMap<(Kind, NamespacedName), SimTime>,
}

impl ControllerClient {
    pub(super) fn new(rate: ClientRate) -> Self {
        Self {
            bucket: TokenBucket::new(rate),
            events: VecDeque::new(),
            answered_at: SimTime::ZERO,
            of_objects: FxHashMap::default(),
        }
    }

    /// The controller records an Event about an object.
    pub(super) fn record(&mut self, now: SimTime, kind: Kind, object: &NamespacedName) {
        if self.bucket.is_unlimited() || self.events.len() >= QUEUED_EVENTS_MAX {
            return;
        }
        let full_at = self.of_objects.entry((kind, object.clone())).or_insert(SimTime::ZERO);
        let mut after = *full_at;
        if take_token(&mut after, (SPAM_INTERVAL, SPAM_BURST), now) <= now {
            *full_at = after;
            self.events.push_back(now);
        }
    }

    /// Takes a token for a request of the controller, and returns when the request may be sent. An Event is answered
    /// `answer` after it was sent; the next one is not sent before.
    pub(super) fn take(&mut self, now: SimTime, answer: SimDuration) -> SimTime {
        while let Some(recorded) = self.events.front() {
            let turn = self.answered_at.max(*recorded);
            if turn > now {
                break;
            }
            self.events.pop_front();
            self.answered_at = self.bucket.take(turn) + answer;
        }
        self.bucket.take(now)
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

    fn recorded(client: &mut ControllerClient, object: &str, count: usize, now: SimTime) {
        let object = NamespacedName::new("default", object);
        (0..count).for_each(|_| client.record(now, Kind::ReplicaSet, &object));
    }

    #[test]
    fn events_are_sent_one_after_the_other_and_take_tokens_from_the_requests() {
        let answer = SimDuration::from_millis(10);
        let mut client = ControllerClient::new(ClientRate { qps: 20, burst: 30 });
        recorded(&mut client, "web", 20, SimTime::ZERO);
        // Ten Events were sent by now, of which the bucket has got back 1.9 tokens; twenty-one requests find one.
        let now = SimTime::ZERO + SimDuration::from_millis(95);
        let at: Vec<SimTime> = (0..22).map(|_| client.take(now, answer)).collect();
        assert!(at[..21].iter().all(|at| *at == now), "{at:?}");
        assert!(at[21] > now, "{at:?}");
    }

    #[test]
    fn of_the_events_about_one_object_twenty_five_are_sent_and_then_one_in_five_minutes() {
        let sent = |client: &mut ControllerClient| std::mem::take(&mut client.events).len();
        let mut client = ControllerClient::new(ClientRate { qps: 20, burst: 30 });
        recorded(&mut client, "web", 40, SimTime::ZERO);
        recorded(&mut client, "other", 1, SimTime::ZERO);
        assert_eq!(sent(&mut client), 26);
        recorded(&mut client, "web", 2, SimTime::from_secs(299));
        assert_eq!(sent(&mut client), 0);
        recorded(&mut client, "web", 2, SimTime::from_secs(300));
        assert_eq!(sent(&mut client), 1);
    }

    #[test]
    fn a_client_without_a_rate_never_waits() {
        let mut bucket = TokenBucket::new(ClientRate { qps: 0, burst: 0 });
        assert!((0..1000).all(|_| bucket.take(SimTime::ZERO) == SimTime::ZERO));
    }
}
