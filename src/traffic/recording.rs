//! Outcomes of the requests of each service: counts and latency histograms, over the run and by interval. Memory does
//! not grow with the number of requests.

use std::collections::BTreeMap;

use super::arrivals::Arrival;
use super::exported_histogram::LatencyCells;
use super::latency_cells::LatencyHistogram;
use super::llm::{LlmFigures, LlmRecord};
use super::minutes::{Counted, MinuteFigures, Minutes};
pub use super::outcomes::{FailureCause, Outcomes};
use super::user_uptime::{UserKey, UserRecord};
use engine::{Digest, SimDuration, SimTime};

/// Queueing times of answered requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    /// Share of requests that had to wait, from 0 to 1.
    pub share: f64,
    /// Waits of all requests, zero waits included.
    pub waits: Latencies,
}

/// Latencies of answered requests. Quantiles are exact to three digits, the rest fully.
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

/// Latency quantiles over all requests that ended, with failed ones ranked as infinite: absent where so many failed
/// that no time suffices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatenciesWithFailures {
    /// Half of them.
    pub p50: Option<SimDuration>,
    /// 90 %.
    pub p90: Option<SimDuration>,
    /// 95 %.
    pub p95: Option<SimDuration>,
    /// 99 %.
    pub p99: Option<SimDuration>,
    /// 99.9 %.
    pub p999: Option<SimDuration>,
    /// All.
    pub max: Option<SimDuration>,
}

/// Outcomes and latencies of a service in one interval, by the instant of the outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntervalFigures {
    /// Counts.
    pub outcomes: Outcomes,
    /// Latencies of the requests answered in the interval; absent if there were none.
    pub latencies: Option<Latencies>,
    /// Figures of its LLM servers; absent before the first request to one.
    pub llm: Option<LlmFigures>,
    /// Queueing times in the interval, if waits are recorded.
    pub waits: Option<Waits>,
}

/// The quantiles of latency in reports, besides mean and maximum.
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// Outcomes and latencies of one span or one kind of requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub outcomes: Outcomes,
    histogram: LatencyHistogram,
}

/// The record of one service.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceRecord {
    /// Client timeout.
    timeout: SimDuration,
    /// Requests that arrived before this time are not in the total.
    counts_from: SimTime,
    /// Requests that arrived since then, up to the end of the last interval. The interval is added at its end, so that
    /// each request is counted only once.
    ended: Tally,
    /// The interval's requests that count in the total, and those that do not.
    interval: Tally,
    early: Tally,
    /// Answers by bucket of a scraped histogram, since the beginning.
    pub cells: Option<Box<LatencyCells>>,
    pub intervals: Vec<IntervalFigures>,
    /// LLM record, from the first LLM request on.
    pub llm: Option<Box<LlmRecord>>,
    /// Waits of the whole run, and of the interval, if recorded.
    waits: Option<Box<[Tally; 2]>>,
    pub minutes: Minutes,
    /// Its users, if it is known which requests come from the same one.
    pub users: Option<Box<UserRecord>>,
    /// Calls to other services whose failure made requests of this service fail, by the called service.
    pub failed_calls: BTreeMap<u32, u64>,
}

/// A caller waiting for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub service: u32,
    /// Its attempt in the network of calls; [`NO_ATTEMPT`] for a client outside of it.
    pub attempt: u32,
    /// Time of arrival at the pod.
    pub arrived: SimTime,
}

/// The attempt of a client that is not part of the network of calls.
pub(super) const NO_ATTEMPT: u32 = u32::MAX;

/// The records of all services.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub services: Vec<ServiceRecord>,
    /// By service and class, if requests are classified.
    pub classes: Vec<Vec<ServiceRecord>>,
    /// Attempts of the network that left their pods and are not handled yet.
    pub left: Vec<DepartedAttempt>,
}

/// An attempt of the network that left its pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct DepartedAttempt {
    pub attempt: u32,
    /// True if completed, false if dropped by the pod.
    pub is_done: bool,
}

impl Tally {
    /// Counts an answer.
    #[inline]
    pub fn answered(&mut self, latency: SimDuration) {
        self.outcomes.answered += 1;
        self.histogram.count(latency);
    }

    /// Adds the counts of another.
    fn add(&mut self, other: &Self) {
        self.outcomes.add(&other.outcomes);
        if other.outcomes.answered > 0 {
            self.histogram.add(&other.histogram);
        }
    }

    /// The latency figures so far.
    pub fn latencies(&self) -> Option<Latencies> {
        let answered = u128::from(self.outcomes.answered);
        if answered == 0 {
            return None;
        }
        let (sum_nanos, max) = self.histogram.sum_and_max();
        let mean = i64::try_from((sum_nanos + answered / 2) / answered).unwrap_or(i64::MAX);
        let micros = self.histogram.values_at_quantiles(QUANTILES, self.outcomes.answered);
        let [p50, p90, p95, p99, p999] = micros.map(|micros| {
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            // The upper end of the histogram's bucket may exceed the maximum.
            (SimDuration::from_nanos(1000) * micros).min(max)
        });
        let mean = SimDuration::from_nanos(mean);
        Some(Latencies { mean, p50, p90, p95, p99, p999, max })
    }

    /// The same over all ended requests, `failed` of which failed; absent if none ended.
    pub fn latencies_of_all(&self, failed: u64) -> Option<LatenciesWithFailures> {
        let answered = self.outcomes.answered;
        let ended = answered + failed;
        if ended == 0 {
            return None;
        }
        let (_, max) = self.histogram.sum_and_max();
        let shares = QUANTILES.map(|share| share * ended as f64 / answered.max(1) as f64);
        let micros =
            self.histogram.values_at_quantiles(shares.map(|share| share.min(1.0)), answered);
        let mut shares = shares.into_iter();
        let [p50, p90, p95, p99, p999] = micros.map(|micros| {
            let is_enough = shares.next().is_some_and(|share| share <= 1.0) && answered > 0;
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            is_enough.then(|| (SimDuration::from_nanos(1000) * micros).min(max))
        });
        let max = (failed == 0).then_some(max);
        Some(LatenciesWithFailures { p50, p90, p95, p99, p999, max })
    }

    /// Number of answers within each of these times.
    pub fn within<'a>(&'a self, limits: &'a [SimDuration]) -> impl Iterator<Item = u64> + 'a {
        limits.iter().map(|limit| self.histogram.count_within(*limit))
    }

    fn waits(&self) -> Option<Waits> {
        let at_once = self.histogram.at_zero() as f64 / self.outcomes.answered.max(1) as f64;
        self.latencies().map(|waits| Waits { share: 1.0 - at_once, waits })
    }

    fn clear(&mut self) {
        if self.outcomes.answered > 0 {
            self.histogram.clear();
        }
        self.outcomes = Outcomes::default();
    }
}

impl ServiceRecord {
    pub fn new(timeout: SimDuration, counts_from: SimTime, waits: bool) -> Self {
        let waits = waits.then(Box::default);
        Self { timeout, counts_from, waits, ..Self::default() }
    }

    /// The tally that counts a request that arrived at `arrived`.
    #[inline]
    fn tally_of(&mut self, arrived: SimTime) -> &mut Tally {
        if self.counts(arrived) { &mut self.interval } else { &mut self.early }
    }

    #[inline]
    pub fn arrived(&mut self, at: SimTime) {
        self.tally_of(at).outcomes.arrived += 1;
    }

    /// Counts arrivals, in order of time.
    pub(crate) fn arrived_all(&mut self, arrivals: &[Arrival]) {
        let early = arrivals.partition_point(|arrival| !self.counts(arrival.at));
        self.early.outcomes.arrived += early as u64;
        self.interval.outcomes.arrived += (arrivals.len() - early) as u64;
    }

    /// Requests so far, including those before the end of the warm-up.
    pub(crate) fn arrived_in_all(&self) -> u64 {
        let ended: u64 = self.intervals.iter().map(|one| one.outcomes.arrived).sum();
        ended + self.interval.outcomes.arrived + self.early.outcomes.arrived
    }

    #[inline]
    pub fn failed(&mut self, arrived: SimTime, cause: FailureCause) {
        self.tally_of(arrived).outcomes.failed[cause as usize] += 1;
    }

    /// Counts a request that another service made at `at`.
    pub(crate) fn arrived_call(&mut self, at: SimTime) {
        self.tally_of(at).outcomes.arrived_calls += 1;
    }

    /// Counts an answer to a request that another service made.
    pub(crate) fn answered_call(&mut self, arrived: SimTime) {
        self.tally_of(arrived).outcomes.answered_calls += 1;
    }

    /// Counts a retry of a request that arrived at `arrived`.
    pub fn retried(&mut self, arrived: SimTime) {
        self.tally_of(arrived).outcomes.retried += 1;
    }

    /// Outcomes so far of the requests that count in the total.
    pub fn total(&self) -> Tally {
        let mut total = self.ended.clone();
        total.add(&self.interval);
        total
    }

    /// The current interval so far, without LLM figures.
    fn current_interval(&self) -> IntervalFigures {
        let waits = self.waits.as_ref().and_then(|waits| waits[1].waits());
        let figures = |tally: &Tally| IntervalFigures {
            outcomes: tally.outcomes,
            latencies: tally.latencies(),
            llm: None,
            waits,
        };
        if self.early.outcomes == Outcomes::default() {
            return figures(&self.interval);
        }
        let mut all = self.early.clone();
        all.add(&self.interval);
        figures(&all)
    }

    /// Queueing times of the answered requests of the run, if recorded.
    pub fn waits(&self) -> Option<Waits> {
        self.waits.as_ref()?[0].waits()
    }

    /// A server has completed a request; `swept` is the time at which its clients were last checked.
    #[inline]
    fn finish(&mut self, arrived: SimTime, finished: SimTime, swept: SimTime) {
        let latency = finished - arrived;
        if latency <= self.timeout {
            self.answered(arrived, latency);
        } else if self.deadline(arrived) > swept {
            self.failed(arrived, FailureCause::Timeout);
        }
    }

    /// Begins to keep the users' requests apart.
    pub(crate) fn count_users(&mut self) {
        self.users = Some(Box::new(UserRecord::new(self.counts_from)));
    }

    /// A user's request arrived.
    pub(crate) fn user_arrived(&mut self, user: Option<UserKey>, at: SimTime) {
        if let (Some(users), Some(user)) = (&mut self.users, user) {
            users.arrived(user, at);
        }
    }

    /// A user's request, sent at `made`, has its outcome.
    pub(crate) fn user_ended(&mut self, user: Option<UserKey>, made: SimTime, answered: bool) {
        if let (Some(users), Some(user)) = (&mut self.users, user) {
            users.ended(user, made, answered);
        }
    }

    #[inline]
    pub fn answered(&mut self, arrived: SimTime, latency: SimDuration) {
        self.tally_of(arrived).answered(latency);
        if let Some(cells) = &mut self.cells {
            cells.count(latency);
        }
    }

    /// Whether a request that arrived at `arrived` counts in the total.
    #[inline]
    pub fn counts(&self, arrived: SimTime) -> bool {
        arrived >= self.counts_from
    }

    /// Timeout of the client of a request that arrived at `arrived`.
    #[inline]
    pub fn deadline(&self, arrived: SimTime) -> SimTime {
        arrived + self.timeout
    }

    /// Counts so far of the requests in the total.
    fn counted(&self) -> Counted {
        let mut outcomes = self.ended.outcomes;
        outcomes.add(&self.interval.outcomes);
        let limits = &self.minutes.limits;
        let of_ended = self.ended.within(&limits.latency);
        let sums =
            of_ended.zip(self.interval.within(&limits.latency)).map(|(one, more)| one + more);
        let first_token = self.llm.as_ref().map(|llm| llm.within(&limits.time_to_first_token));
        Counted {
            outcomes,
            within_latency: sums.collect(),
            within_first_token: first_token.unwrap_or_default(),
        }
    }

    /// Closes a minute.
    pub(crate) fn end_minute(&mut self) {
        let counted = self.counted();
        self.minutes.end(counted);
    }

    /// The minutes so far.
    pub fn minutes(&self) -> Vec<MinuteFigures> {
        self.minutes.until(&self.counted())
    }

    /// Closes the interval and starts the next.
    pub fn end_interval(&mut self) {
        self.interval.histogram.settle();
        let llm = self.llm.as_mut().map(|llm| llm.end_interval());
        self.intervals.push(IntervalFigures { llm, ..self.current_interval() });
        self.ended.add(&self.interval);
        self.interval.clear();
        self.early.clear();
        if let Some(waits) = &mut self.waits {
            waits[1].clear();
        }
    }

    pub fn digest(&self, digest: &mut Digest) {
        let Tally { outcomes, histogram } = &self.total();
        let (sum_nanos, max) = histogram.sum_and_max();
        digest.word(outcomes.arrived);
        digest.word(outcomes.answered);
        let (by_pods, others) = outcomes.failed.split_at(FailureCause::Blocked as usize);
        for failed in by_pods {
            digest.word(*failed);
        }
        others.iter().filter(|count| **count > 0).for_each(|failed| digest.word(*failed));
        digest.bytes(&sum_nanos.to_le_bytes());
        digest.word(max.as_nanos().unsigned_abs());
    }
}

impl Records {
    /// Applies a change to the record of a service, and to that of the class at this position.
    #[inline]
    pub fn each(
        &mut self,
        service: u32,
        class: Option<usize>,
        change: impl Fn(&mut ServiceRecord),
    ) {
        change(&mut self.services[service as usize]);
        if let Some(class) = class
            && let Some(record) = self.classes[service as usize].get_mut(class)
        {
            change(record);
        }
    }

    /// The records of all services and of all classes.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut ServiceRecord> {
        self.services.iter_mut().chain(self.classes.iter_mut().flatten())
    }

    /// The server completed a request at `finished`. `swept` is the time at which this server's clients were last
    /// checked: those who had given up by then are counted already.
    #[inline]
    pub fn finish(&mut self, client: Client, finished: SimTime, swept: SimTime) {
        if client.attempt != NO_ATTEMPT {
            self.left.push(DepartedAttempt { attempt: client.attempt, is_done: true });
            return;
        }
        self.services[client.service as usize].finish(client.arrived, finished, swept);
    }

    /// The same for a server that reports when the request got its slot.
    #[inline]
    pub(crate) fn finish_after(
        &mut self,
        client: Client,
        started: SimTime,
        finished: SimTime,
        swept: SimTime,
    ) {
        let record = &mut self.services[client.service as usize];
        if client.attempt == NO_ATTEMPT {
            record.finish(client.arrived, finished, swept);
        } else {
            self.left.push(DepartedAttempt { attempt: client.attempt, is_done: true });
        }
        if let Some(waits) = &mut record.waits {
            waits.iter_mut().for_each(|tally| tally.answered(started - client.arrived));
        }
    }

    /// The server drops a request at `at`, when it gets its slot; `swept` as above.
    pub(crate) fn shed(&mut self, client: Client, at: SimTime, swept: SimTime) {
        if client.attempt != NO_ATTEMPT {
            self.left.push(DepartedAttempt { attempt: client.attempt, is_done: false });
            return;
        }
        let record = &mut self.services[client.service as usize];
        let deadline = record.deadline(client.arrived);
        if deadline > swept {
            let cause = if deadline <= at { FailureCause::Timeout } else { FailureCause::Shed };
            record.failed(client.arrived, cause);
        }
    }

    /// Counts a request still in its server if its client gave up after `swept` and by `now`.
    #[inline]
    pub fn sweep(&mut self, client: Client, swept: SimTime, now: SimTime) {
        if client.attempt != NO_ATTEMPT {
            return;
        }
        let record = &mut self.services[client.service as usize];
        let deadline = record.deadline(client.arrived);
        if swept < deadline && deadline <= now {
            record.failed(client.arrived, FailureCause::Timeout);
        }
    }

    /// Whether the client of an unanswered request is still waiting. In the network of calls the callers report their
    /// own timeouts.
    #[inline]
    pub fn is_waiting(&self, client: Client, now: SimTime) -> bool {
        client.attempt != NO_ATTEMPT
            || self.services[client.service as usize].deadline(client.arrived) > now
    }

    /// A request fails.
    #[inline]
    pub fn fail(&mut self, client: Client, cause: FailureCause) {
        self.services[client.service as usize].failed(client.arrived, cause);
    }
}
