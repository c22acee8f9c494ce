//! When kube-proxy, an ingress controller and gateways pick up a change of endpoints. Each of them writes its rules
//! for all Services at once.
//!
//! `BoundedFrequencyRunner` (`pkg/proxy/runner`, 1.36): changes during a write, or within the minimum period after
//! its end, go into the next write.

use engine::random::open_unit;
use engine::{SimDuration, SimTime, Stream, Streams};
use scenario::{RuleSync, Timing};
use traffic::Via;

/// A proxy that follows the endpoints.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    stream: Stream,
    /// Start of its next write, or end of the current one.
    next: Option<SimTime>,
    is_writing: bool,
    /// Earliest start of the next write.
    rests_until: SimTime,
}

impl Writer {
    /// A proxy that has not written yet.
    pub(super) fn new(via: Via, streams: Streams) -> Self {
        Self {
            stream: streams.stream(name(via), 0),
            next: None,
            is_writing: false,
            rests_until: SimTime::ZERO,
        }
    }

    /// Notes a change; returns the start of the next write if none was scheduled before.
    pub(super) fn wake(&mut self, now: SimTime) -> Option<SimTime> {
        if self.next.is_some() {
            return None;
        }
        let at = now.max(self.rests_until);
        self.next = Some(at);
        Some(at)
    }

    /// Begins a write and returns its end.
    pub(super) fn begin(&mut self, now: SimTime, writes: &RuleSync) -> SimTime {
        let spread = (writes.sync_max - writes.sync_min).as_secs_f64().max(0.0);
        let takes = if spread > 0.0 { spread * open_unit(&mut self.stream) } else { 0.0 };
        let end = now + writes.sync_min + SimDuration::from_secs_f64(takes);
        self.next = Some(end);
        self.is_writing = true;
        end
    }

    /// Ends a write; if there were changes in the meantime, returns the start of the next one.
    pub(super) fn end(
        &mut self,
        now: SimTime,
        writes: &RuleSync,
        has_changes: bool,
    ) -> Option<SimTime> {
        self.is_writing = false;
        self.rests_until = now + writes.min_sync_period;
        self.next = has_changes.then_some(self.rests_until);
        self.next
    }

    /// True during a write.
    pub(super) const fn is_writing(&self) -> bool {
        self.is_writing
    }
}

/// The settings of a kind of proxy.
pub(super) const fn rule_sync_of(timing: &Timing, via: Via) -> &RuleSync {
    match via {
        Via::KubeProxy | Via::Dns => &timing.kube_proxy,
        Via::IngressController => &timing.ingress_controller,
        Via::Gateway | Via::Mesh => &timing.gateway,
    }
}

const fn name(via: Via) -> &'static str {
    match via {
        Via::KubeProxy | Via::Dns => "kube-proxy",
        Via::IngressController => "ingress controller",
        Via::Gateway => "gateway",
        Via::Mesh => "mesh",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITES: RuleSync = RuleSync::after_millis(1000, [20, 100]);

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
        // A second change goes into the same write.
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
