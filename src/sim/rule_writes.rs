//! When those who send requests to the endpoints of Services go by a change of these: kube-proxy, an ingress controller,
//! gateways. Each writes for all Services at once.
//!
//! `BoundedFrequencyRunner` (`pkg/proxy/runner`, 1.36): what changes while one writes, or sooner than its period after
//! the end of that, is in the next write.

use engine::random::open_unit;
use engine::{SimDuration, SimTime, Stream, Streams};
use scenario::{RuleWrites, Timing};
use traffic::Via;

/// One who follows the endpoints.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    stream: Stream,
    /// When its next write begins, or that under way ends.
    next: Option<SimTime>,
    is_writing: bool,
    /// Not before this may a write begin.
    rests_until: SimTime,
}

impl Writer {
    /// One that has not written yet.
    pub(super) fn new(via: Via, streams: Streams) -> Self {
        Self {
            stream: streams.stream(name(via), 0),
            next: None,
            is_writing: false,
            rests_until: SimTime::ZERO,
        }
    }

    /// Something changed: when its next write begins, if that was not settled before.
    pub(super) fn wake(&mut self, now: SimTime) -> Option<SimTime> {
        if self.next.is_some() {
            return None;
        }
        let at = now.max(self.rests_until);
        self.next = Some(at);
        Some(at)
    }

    /// Its write begins: when it ends.
    pub(super) fn begin(&mut self, now: SimTime, writes: &RuleWrites) -> SimTime {
        let spread = (writes.sync_max - writes.sync_min).as_secs_f64().max(0.0);
        let takes = if spread > 0.0 { spread * open_unit(&mut self.stream) } else { 0.0 };
        let end = now + writes.sync_min + SimDuration::from_secs_f64(takes);
        self.next = Some(end);
        self.is_writing = true;
        end
    }

    /// Its write ends, with changes in the meantime or not: when the next one begins.
    pub(super) fn end(
        &mut self,
        now: SimTime,
        writes: &RuleWrites,
        has_changes: bool,
    ) -> Option<SimTime> {
        self.is_writing = false;
        self.rests_until = now + writes.min_sync_period;
        self.next = has_changes.then_some(self.rests_until);
        self.next
    }

    /// Whether it writes just now.
    pub(super) const fn is_writing(&self) -> bool {
        self.is_writing
    }
}

/// The settings of one who follows the endpoints.
pub(super) const fn writes_of(timing: &Timing, via: Via) -> &RuleWrites {
    match via {
        Via::KubeProxy | Via::Dns => &timing.kube_proxy,
        Via::IngressController => &timing.ingress_controller,
        Via::Gateway => &timing.gateway,
    }
}

const fn name(via: Via) -> &'static str {
    match via {
        Via::KubeProxy | Via::Dns => "kube-proxy",
        Via::IngressController => "ingress controller",
        Via::Gateway => "gateway",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITES: RuleWrites = RuleWrites::after_millis(1000, [20, 100]);

    fn at(millis: i64) -> SimTime {
        SimTime::ZERO + SimDuration::from_millis(millis)
    }

    fn writer() -> Writer {
        Writer::new(Via::KubeProxy, Streams::new(3))
    }

    #[test]
    fn one_that_is_idle_writes_at_once_and_takes_20_to_100_ms() {
        let mut writer = writer();
        assert_eq!(writer.wake(at(5000)), Some(at(5000)));
        let end = writer.begin(at(5000), &WRITES);
        assert!((at(5020)..=at(5100)).contains(&end), "{end:?}");
    }

    #[test]
    fn one_that_wrote_waits_for_the_rest_of_its_period_from_the_end_of_the_write() {
        let mut writer = writer();
        writer.wake(at(0));
        let end = writer.begin(at(0), &WRITES);
        assert_eq!(writer.end(end, &WRITES, false), None);
        assert_eq!(
            writer.wake(end + SimDuration::from_millis(300)),
            Some(end + WRITES.min_sync_period)
        );
        // A second change is in the same write.
        assert_eq!(writer.wake(end + SimDuration::from_millis(400)), None);
    }

    #[test]
    fn what_changes_during_a_write_is_in_the_next() {
        let mut writer = writer();
        writer.wake(at(0));
        let end = writer.begin(at(0), &WRITES);
        assert!(writer.is_writing());
        assert_eq!(writer.wake(at(1)), None);
        assert_eq!(writer.end(end, &WRITES, true), Some(end + WRITES.min_sync_period));
    }
}
