//! The scheduler's API client. A pod counts on its node as soon as it is placed, and is bound when the client's rate limit
//! lets the request through (`bindingCycle` of `pkg/scheduler`, 1.36).

use std::collections::VecDeque;

use super::client_rate::TokenBucket;
use cluster::Action;
use engine::{ClientRate, SimTime};

/// The client, with the requests that wait for it.
#[derive(Clone, Debug)]
pub(super) struct SchedulerClient {
    bucket: TokenBucket,
    /// Each with the time at which it is sent, ascending.
    waiting: VecDeque<(SimTime, Action)>,
}

impl SchedulerClient {
    pub(super) const fn new(rate: ClientRate) -> Self {
        Self { bucket: TokenBucket::new(rate), waiting: VecDeque::new() }
    }

    /// Queues a request. An Event has a client of its own, and follows the request that it is about.
    pub(super) fn send(&mut self, now: SimTime, action: Action) {
        let last = self.waiting.back().map_or(now, |(at, _)| *at);
        let is_event = matches!(action, Action::Event(_));
        let at = if is_event { last } else { self.bucket.take(now) };
        self.waiting.push_back((at, action));
    }

    /// Time of the next request.
    pub(super) fn next_due(&self) -> Option<SimTime> {
        self.waiting.front().map(|(at, _)| *at)
    }

    /// The next request, if it is sent by now.
    pub(super) fn pop_due(&mut self, now: SimTime) -> Option<Action> {
        self.waiting.pop_front_if(|(at, _)| *at <= now).map(|(_, action)| action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::action::Event;
    use cluster::{Kind, NamespacedName};
    use engine::{Id, SimDuration};

    fn scheduled() -> Action {
        let object = NamespacedName::new("default", "pod");
        let (reason, message) = ("Scheduled", String::new());
        Action::Event(Box::new(Event {
            kind: Kind::Pod,
            object,
            is_warning: false,
            reason,
            message,
        }))
    }

    #[test]
    fn the_burst_is_bound_at_once_and_the_rest_at_the_rate_each_with_its_event() {
        let mut client = SchedulerClient::new(ClientRate { qps: 50, burst: 2 });
        let now = SimTime::from_secs(5);
        for number in 1..4 {
            client.send(now, Action::BindPod(Id::from_bits(number), Id::from_bits(1)));
            client.send(now, scheduled());
        }
        let at_once = std::iter::from_fn(|| client.pop_due(now)).count();
        assert_eq!(at_once, 4, "two pods and their Events");
        let later = now + SimDuration::from_millis(20);
        assert_eq!(client.next_due(), Some(later));
        assert_eq!(std::iter::from_fn(|| client.pop_due(later)).count(), 2);
        assert_eq!(client.next_due(), None);
    }
}
