//! The flow of one service: its rate over time, and its outcomes.

use std::sync::Arc;

use super::latency::{PodKind, latencies, latencies_of_all, within};
use super::stretch::Phase;
use super::tally::{Tally, whole};
use crate::arrivals::{Curve, Pattern, Segment, TraceCurve};
use crate::figures::ServiceFigures;
use crate::minutes::{Counted, MinuteFigures, Minutes};
use crate::recording::{FailureCause, IntervalFigures, Outcomes};
use engine::SimTime;

/// A rate over time.
#[derive(Clone, Debug)]
pub(crate) enum FlowCurve {
    /// A pattern.
    Pattern(Arc<Pattern>),
    /// A recorded trace.
    Trace(TraceCurve),
}

/// The flow to one service.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    curve: FlowCurve,
    /// The segment last used.
    segment: Segment,
    /// Client timeout [s].
    timeout: f64,
    /// Arrivals and those without a pod are counted up to this time.
    at: SimTime,
    endpoints: usize,
    /// Endpoints whose pod has been removed.
    missing: usize,
    /// Outcomes since the last sum.
    pub(super) current: Tally,
    interval: Tally,
    /// Since the warm-up.
    total: Tally,
    /// Since the start.
    all: Tally,
    /// Whole requests at the end of the last interval.
    told: Outcomes,
    pub(super) intervals: Vec<IntervalFigures>,
    pub(super) minutes: Minutes,
    /// Answers within each limit since the warm-up, up to the start of the interval.
    within_before: Vec<f64>,
}

impl FlowCurve {
    fn segment_at(&self, at: SimTime) -> Segment {
        match self {
            Self::Pattern(pattern) => pattern.segment_at(at),
            Self::Trace(trace) => trace.segment_at(at),
        }
    }
}

impl Flow {
    pub(super) fn new(curve: FlowCurve, timeout: f64) -> Self {
        Self {
            segment: curve.segment_at(SimTime::ZERO),
            curve,
            timeout,
            at: SimTime::ZERO,
            endpoints: 0,
            missing: 0,
            current: Tally::default(),
            interval: Tally::default(),
            total: Tally::default(),
            all: Tally::default(),
            told: Outcomes::default(),
            intervals: Vec::new(),
            minutes: Minutes::default(),
            within_before: Vec::new(),
        }
    }

    /// The linear segment that contains `at`. There are no requests before time zero.
    #[inline]
    pub(super) fn segment(&mut self, at: SimTime) -> Segment {
        if at < SimTime::ZERO {
            return Segment::level(at, SimTime::ZERO, 0.0);
        }
        if at < self.segment.start || at >= self.segment.end {
            self.segment = self.curve.segment_at(at);
        }
        self.segment
    }

    /// The rate at an instant [requests/s].
    pub(super) fn rate_at(&self, at: SimTime) -> f64 {
        if at < SimTime::ZERO { 0.0 } else { self.curve.segment_at(at).rate_at(at) }
    }

    /// The rate at `at`, and its change from there [requests/s, requests/s per s].
    pub(super) fn rate_and_slope(&mut self, at: SimTime) -> (f64, f64) {
        let segment = self.segment(at);
        let is_level = segment.start_rps.to_bits() == segment.end_rps.to_bits();
        if is_level { (segment.start_rps, 0.0) } else { (segment.rate_at(at), segment.slope()) }
    }

    /// Counts the arrivals until `now`, and those without a pod.
    pub(super) fn advance(&mut self, now: SimTime) {
        while self.at < now {
            let end = self.segment(self.at).end.min(now);
            let (rate, slope) = self.rate_and_slope(self.at);
            let seconds = (end - self.at).as_secs_f64();
            let arrived = (rate + 0.5 * slope * seconds) * seconds;
            self.current.arrived += arrived;
            if self.endpoints == 0 {
                self.current.fail(FailureCause::NoEndpoint, arrived);
            } else if self.missing > 0 {
                let share = self.missing as f64 / self.endpoints as f64;
                self.current.fail(FailureCause::Refused, arrived * share);
            }
            self.at = end;
        }
    }

    /// Sets the number of endpoints from now on, and the number of those that have lost their pod.
    pub(super) const fn set_endpoints(&mut self, endpoints: usize, missing: usize) {
        (self.endpoints, self.missing) = (endpoints, missing);
    }

    /// The pod of an endpoint was removed.
    pub(super) const fn lose_endpoint(&mut self) {
        self.missing += 1;
    }

    /// Counts the requests of a phase that a pod of a kind served, and those that found its queue
    /// full. Where the queueing time alone exceeds the client timeout, no client is left to receive
    /// the answer; of the other answers some are errors of the application.
    pub(super) fn count(
        &mut self,
        (kind, error_rate): (usize, f64),
        phase: &Phase,
        (served, overflowed): (f64, f64),
        (utilization, capacity): (f64, f64),
    ) {
        if overflowed > 0.0 {
            self.current.fail(FailureCause::QueueFull, overflowed);
        }
        let wait = match phase.queued_seconds {
            none if none <= 0.0 => None,
            queued => Some(queued / phase.seconds / capacity),
        };
        if wait.is_some_and(|wait| wait > self.timeout) {
            return self.current.fail(FailureCause::Timeout, served);
        }
        let errors = served * error_rate;
        if errors > 0.0 {
            self.current.fail(FailureCause::ApplicationError, errors);
        }
        match wait {
            None => self.current.serve_at_once(kind, utilization, served - errors),
            Some(wait) => self.current.serve_after(kind, wait, served - errors),
        }
    }

    /// Adds the current outcomes to the sums.
    pub(super) fn sum_up(&mut self) {
        self.interval.add(&self.current);
        self.total.add(&self.current);
        self.all.add_amounts(&self.current);
        self.current.clear();
    }

    /// End of the warm-up: discards everything counted so far.
    pub(super) fn begin_counting(&mut self, kinds: &mut [PodKind]) {
        self.total.clear();
        // The interval continues: its counts so far are subtracted later.
        let limits = &self.minutes.limits.latency;
        self.within_before = within(&self.interval, kinds, limits).map(|amount| -amount).collect();
        let counted = self.counted(kinds);
        self.minutes.restart(counted);
    }

    /// Counts since the warm-up, in whole requests.
    fn counted(&self, kinds: &mut [PodKind]) -> Counted {
        let before = self.within_before.iter().copied().chain(std::iter::repeat(0.0));
        let now = within(&self.interval, kinds, &self.minutes.limits.latency);
        Counted {
            outcomes: self.total.outcomes(),
            within_latency: now.zip(before).map(|(now, before)| whole(now + before)).collect(),
            within_first_token: Vec::new(),
        }
    }

    /// Closes a minute.
    pub(super) fn end_minute(&mut self, kinds: &mut [PodKind]) {
        let counted = self.counted(kinds);
        self.minutes.end(counted);
    }

    /// The minutes so far.
    pub(super) fn minutes(&self, kinds: &mut [PodKind]) -> Vec<MinuteFigures> {
        self.minutes.until(&self.counted(kinds))
    }

    /// Closes the interval and starts the next.
    pub(super) fn end_interval(&mut self, kinds: &mut [PodKind]) {
        let now = self.all.outcomes();
        let mut outcomes = Outcomes {
            arrived: now.arrived - self.told.arrived,
            answered: now.answered - self.told.answered,
            failed: now.failed,
            ..Outcomes::default()
        };
        for (count, before) in outcomes.failed.iter_mut().zip(self.told.failed) {
            *count -= before;
        }
        self.told = now;
        let latencies = latencies(&self.interval, kinds);
        self.intervals.push(IntervalFigures { outcomes, latencies, llm: None, waits: None });
        let limits = &self.minutes.limits.latency;
        let now: Vec<f64> = within(&self.interval, kinds, limits).collect();
        self.within_before.resize(now.len(), 0.0);
        self.within_before.iter_mut().zip(now).for_each(|(sum, more)| *sum += more);
        self.interval.clear();
    }

    /// Outcomes since the warm-up in whole requests, with this many waiting.
    pub(super) fn figures(&self, queued: f64, kinds: &mut [PodKind]) -> ServiceFigures {
        let mut outcomes = self.total.outcomes();
        let in_flight = whole(queued);
        // The parts are rounded separately; `answered` absorbs the difference.
        outcomes.answered =
            outcomes.arrived.saturating_sub(outcomes.failed_in_all()).saturating_sub(in_flight);
        ServiceFigures {
            outcomes,
            in_flight,
            latencies: latencies(&self.total, kinds),
            latencies_of_all: latencies_of_all(&self.total, kinds),
            first_token_of_all: None,
            llm: None,
            waits: None,
        }
    }

    /// All amounts since the start, as last summed up.
    pub(super) const fn all(&self) -> &Tally {
        &self.all
    }
}
