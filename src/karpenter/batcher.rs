//! Batching of pods that arrive in quick succession (`pkg/controllers/provisioning/batcher.go`).

use std::collections::BTreeSet;

use super::state::Options;
use cluster::Name;
use engine::{SimDuration, SimTime};

/// A wait for the first trigger is restarted at this interval.
const REFRESH: SimDuration = SimDuration::from_secs(1);

/// Collects triggers: a batch opens with the first one, and closes after an idle time without triggers or at its
/// maximum duration.
#[derive(Clone, Debug)]
pub struct Batcher {
    idle: SimDuration,
    max: SimDuration,
    /// From the end of one wait to the start of the next.
    latency: SimDuration,
    /// Elements that have already triggered in this wait.
    seen: BTreeSet<Name>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No trigger so far.
    Waiting { until: SimTime },
    /// A batch is open.
    Open { opened: SimTime, last: SimTime },
    /// Between two waits; a trigger is remembered for the next.
    Between { until: SimTime, is_armed: bool },
}

impl Batcher {
    /// Starts the first wait.
    pub fn new(options: &Options, latency: SimDuration, now: SimTime) -> Self {
        Self {
            idle: options.batch_idle,
            max: options.batch_max,
            latency,
            seen: BTreeSet::new(),
            phase: Phase::Waiting { until: now + REFRESH },
        }
    }

    /// Requests a scheduling pass. An element that has already triggered in this wait does not extend the batch.
    pub fn trigger(&mut self, element: &Name, now: SimTime) {
        if !self.seen.insert(element.clone()) {
            return;
        }
        match &mut self.phase {
            Phase::Waiting { .. } => self.phase = Phase::Open { opened: now, last: now },
            Phase::Open { last, .. } => *last = now,
            Phase::Between { is_armed, .. } => *is_armed = true,
        }
    }

    /// When to call [`Self::wake`] next; `None` if not needed, as without latency restarting a wait has no effect.
    pub fn wakes_at(&self) -> Option<SimTime> {
        match self.phase {
            Phase::Waiting { .. } if self.latency == SimDuration::ZERO => None,
            Phase::Waiting { until } | Phase::Between { until, .. } => Some(until),
            Phase::Open { opened, last } => Some((opened + self.max).min(last + self.idle)),
        }
    }

    /// Handles the due time; true if a batch has closed, so that a pass is due.
    pub fn wake(&mut self, now: SimTime) -> bool {
        let is_closed = matches!(self.phase, Phase::Open { .. });
        self.phase = match self.phase {
            Phase::Between { is_armed: true, .. } => Phase::Open { opened: now, last: now },
            Phase::Between { is_armed: false, .. } => Phase::Waiting { until: now + REFRESH },
            Phase::Waiting { .. } | Phase::Open { .. } => {
                self.seen.clear();
                Phase::Between { until: now + self.latency, is_armed: false }
            }
        };
        is_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> SimTime {
        SimTime::from_secs_f64(seconds)
    }

    /// When the first batch closes, given a trigger by a different element at each of these times.
    fn closes(triggers: &[f64]) -> f64 {
        let mut batcher = Batcher::new(&Options::default(), SimDuration::from_millis(7), at(0.0));
        let mut triggers = triggers.iter().enumerate().peekable();
        loop {
            let wakes = batcher.wakes_at().unwrap();
            match triggers.next_if(|(_, time)| at(**time) < wakes) {
                Some((number, time)) => batcher.trigger(&number.to_string().into(), at(*time)),
                None if batcher.wake(wakes) => return wakes.as_secs_f64(),
                None => {}
            }
        }
    }

    #[test]
    fn a_batch_closes_a_second_after_the_last_pod_or_ten_after_the_first() {
        assert!((closes(&[0.0, 0.7, 1.6]) - 2.6).abs() < 1e-9);
        let steady: Vec<f64> = (0..40).map(|step| 0.1 + f64::from(step) * 0.5).collect();
        assert!((closes(&steady) - 10.1).abs() < 1e-9);
    }

    #[test]
    fn who_triggers_twice_does_not_hold_the_batch_open() {
        let mut batcher = Batcher::new(&Options::default(), SimDuration::ZERO, at(0.0));
        batcher.trigger(&"a".into(), at(0.2));
        batcher.trigger(&"a".into(), at(0.9));
        assert_eq!(batcher.wakes_at(), Some(at(1.2)));
    }
}
