//! What became of the requests of each service: counts, and latencies in histograms, over the run
//! and by interval. The memory does not grow with the number of requests.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::engine::{Digest, SimDuration, SimTime};

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureCause {
    /// The service had no endpoint.
    NoEndpoint,
    /// Nothing listened in the pod, or the pod was gone.
    Refused,
    /// The pod's queue was full.
    QueueFull,
    /// The client gave up before the answer came.
    Timeout,
    /// The container was stopped while it had the request.
    Killed,
    /// The node did not answer, until the client gave up.
    Unreachable,
}

impl FailureCause {
    /// All causes, in the order of their positions in [`Outcomes::failed`].
    pub const ALL: [Self; 6] = [
        Self::NoEndpoint,
        Self::Refused,
        Self::QueueFull,
        Self::Timeout,
        Self::Killed,
        Self::Unreachable,
    ];

    /// The cause in words, for reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoEndpoint => "no ready endpoint",
            Self::Refused => "connection refused",
            Self::QueueFull => "queue full",
            Self::Timeout => "timeout",
            Self::Killed => "container stopped",
            Self::Unreachable => "node unreachable",
        }
    }
}

/// Counts of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Requests that came.
    pub arrived: u64,
    /// Requests that were answered in time.
    pub answered: u64,
    /// Requests that failed, by position of the cause in [`FailureCause::ALL`].
    pub failed: [u64; FailureCause::ALL.len()],
}

/// Latencies of answered requests. The quantiles are exact to three digits, the rest wholly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies {
    /// Arithmetic mean.
    pub mean: SimDuration,
    /// Median.
    pub p50: SimDuration,
    /// 90 %.
    pub p90: SimDuration,
    /// 95 %.
    pub p95: SimDuration,
    /// 99 %.
    pub p99: SimDuration,
    /// 99.9 %.
    pub p999: SimDuration,
    /// Largest.
    pub max: SimDuration,
}

/// What a service saw in one interval, by the instant at which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalFigures {
    /// Counts.
    pub outcomes: Outcomes,
    /// Of the requests answered in the interval; absent if there were none.
    pub latencies: Option<Latencies>,
}

/// Outcomes and latencies of one span or one kind of requests.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub outcomes: Outcomes,
    /// Latencies in microseconds.
    histogram: Histogram<u64>,
    sum_nanos: u128,
    max: SimDuration,
}

/// The record of one service.
#[derive(Clone, Debug)]
pub(super) struct ServiceRecord {
    /// How long its clients wait.
    timeout: SimDuration,
    /// Requests that came before do not count in `total`.
    counts_from: SimTime,
    /// The requests that came since then, whenever they ended.
    pub total: Tally,
    interval: Tally,
    pub intervals: Vec<IntervalFigures>,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub service: u32,
    pub arrived: SimTime,
}

/// The records of all services.
#[derive(Clone, Debug)]
pub(super) struct Records(pub Vec<ServiceRecord>);

impl Outcomes {
    /// Requests that failed for this cause.
    pub const fn failed_by(&self, cause: FailureCause) -> u64 {
        self.failed[cause as usize]
    }

    /// Requests that failed.
    pub fn failed_in_all(&self) -> u64 {
        self.failed.iter().sum()
    }
}

impl Tally {
    fn new() -> Self {
        let histogram = Histogram::new(3).expect("three digits are within a histogram's bounds");
        Self { outcomes: Outcomes::default(), histogram, sum_nanos: 0, max: SimDuration::ZERO }
    }

    #[inline]
    fn answered(&mut self, latency: SimDuration) {
        let nanos = latency.as_nanos().unsigned_abs();
        self.outcomes.answered += 1;
        self.sum_nanos += u128::from(nanos);
        self.max = self.max.max(latency);
        self.histogram
            .record(nanos / NANOS_PER_MICRO)
            .expect("a histogram grows with the values that it is given");
    }

    /// The figures of the latencies so far.
    pub fn latencies(&self) -> Option<Latencies> {
        let answered = u128::from(self.outcomes.answered);
        if answered == 0 {
            return None;
        }
        let mean = i64::try_from((self.sum_nanos + answered / 2) / answered).unwrap_or(i64::MAX);
        let quantile = |q: f64| {
            let micros = i64::try_from(self.histogram.value_at_quantile(q)).unwrap_or(i64::MAX);
            // The upper end of the histogram's cell may lie above the largest value.
            (SimDuration::from_nanos(1000) * micros).min(self.max)
        };
        Some(Latencies {
            mean: SimDuration::from_nanos(mean),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: self.max,
        })
    }

    fn clear(&mut self) {
        if self.outcomes.answered > 0 {
            self.histogram.reset();
        }
        self.outcomes = Outcomes::default();
        self.sum_nanos = 0;
        self.max = SimDuration::ZERO;
    }
}

const NANOS_PER_MICRO: u64 = 1000;

impl ServiceRecord {
    pub fn new(timeout: SimDuration, counts_from: SimTime) -> Self {
        Self {
            timeout,
            counts_from,
            total: Tally::new(),
            interval: Tally::new(),
            intervals: Vec::new(),
        }
    }

    #[inline]
    pub fn arrived(&mut self, at: SimTime) {
        self.interval.outcomes.arrived += 1;
        self.total.outcomes.arrived += u64::from(self.counts(at));
    }

    /// Requests that came so far, those before the warm-up's end included.
    pub fn arrived_in_all(&self) -> u64 {
        let ended: u64 = self.intervals.iter().map(|one| one.outcomes.arrived).sum();
        ended + self.interval.outcomes.arrived
    }

    #[inline]
    pub fn failed(&mut self, arrived: SimTime, cause: FailureCause) {
        self.interval.outcomes.failed[cause as usize] += 1;
        self.total.outcomes.failed[cause as usize] += u64::from(self.counts(arrived));
    }

    #[inline]
    fn answered(&mut self, arrived: SimTime, latency: SimDuration) {
        self.interval.answered(latency);
        if self.counts(arrived) {
            self.total.answered(latency);
        }
    }

    /// Whether a request that came at `arrived` counts in the total.
    #[inline]
    pub fn counts(&self, arrived: SimTime) -> bool {
        arrived >= self.counts_from
    }

    /// When the client of a request that came at `arrived` gives up.
    #[inline]
    pub fn deadline(&self, arrived: SimTime) -> SimTime {
        arrived + self.timeout
    }

    /// Closes the interval and begins the next.
    pub fn end_interval(&mut self) {
        let (outcomes, latencies) = (self.interval.outcomes, self.interval.latencies());
        self.intervals.push(IntervalFigures { outcomes, latencies });
        self.interval.clear();
    }

    pub fn digest(&self, digest: &mut Digest) {
        let Tally { outcomes, sum_nanos, max, .. } = &self.total;
        digest.word(outcomes.arrived);
        digest.word(outcomes.answered);
        outcomes.failed.iter().for_each(|failed| digest.word(*failed));
        digest.bytes(&sum_nanos.to_le_bytes());
        digest.word(max.as_nanos().unsigned_abs());
    }
}

impl Records {
    /// The server is done with a request at `finished`. `swept` is when the clients of this server
    /// were last looked at: those who had given up by then are counted.
    #[inline]
    pub fn finish(&mut self, client: Client, finished: SimTime, swept: SimTime) {
        let record = &mut self.0[client.service as usize];
        let deadline = record.deadline(client.arrived);
        if finished <= deadline {
            record.answered(client.arrived, finished - client.arrived);
        } else if deadline > swept {
            record.failed(client.arrived, FailureCause::Timeout);
        }
    }

    /// Counts a request, still with its server, if its client gave up after `swept` and by `now`.
    #[inline]
    pub fn sweep(&mut self, client: Client, swept: SimTime, now: SimTime) {
        let record = &mut self.0[client.service as usize];
        let deadline = record.deadline(client.arrived);
        if swept < deadline && deadline <= now {
            record.failed(client.arrived, FailureCause::Timeout);
        }
    }

    /// Whether the client of a request that is not answered yet still waits.
    #[inline]
    pub fn is_waiting(&self, client: Client, now: SimTime) -> bool {
        self.0[client.service as usize].deadline(client.arrived) > now
    }

    /// A request fails.
    #[inline]
    pub fn fail(&mut self, client: Client, cause: FailureCause) {
        self.0[client.service as usize].failed(client.arrived, cause);
    }
}
