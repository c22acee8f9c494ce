//! Calibration against an access log with durations: the requests are replayed, and each window of the log is a row.
//! For a long log, blocks of consecutive requests sampled from all of it are replayed: single requests would never
//! queue, and its beginning may be a quiet night.

use std::io;
use std::sync::Arc;

use rand::RngExt;

use super::identify::not_identifiable;
use super::points::{Measure, Statistic};
use super::web::{Setting, web_model, with_usual_queue};
use super::{Bench, Calibration, Conditions, MeasuredRow, figure, fit_workers, is_held_out, judge};
use crate::arrivals::TraceLoad;
use crate::import::RowSink;
use crate::trace::{RequestTrace, Tokens, Trace};
use crate::{Load, RequestModelSpec, ServiceId};
use engine::{SimDuration, SimTime, Stream, Streams};

const WORKERS: [u32; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// Requests per block, and number of blocks replayed from a long log.
const BLOCK: usize = 10_000;
const BLOCKS: usize = 20;
/// Number of rows the log is cut into, and minimum number of answers per row.
const WINDOWS: i64 = 20;
const ANSWERS_MIN: usize = 20;

/// Arrival time and duration of a request.
type Timed = (SimTime, SimDuration);

/// Arrival times and durations of requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestLog {
    /// Blocks of consecutive requests, in order of time.
    blocks: Vec<Vec<Timed>>,
    /// Whether the blocks are contiguous.
    is_whole: bool,
    /// Requests of the whole log with and without a duration.
    timed: u64,
    untimed: u64,
}

impl RequestLog {
    /// The blocks, in order of time.
    #[cfg(test)]
    pub(super) fn blocks(&self) -> impl Iterator<Item = &[Timed]> {
        self.blocks.iter().map(Vec::as_slice)
    }
}

/// Collects a log from an importer: all of a short one; of a long one, blocks sampled uniformly in one pass.
#[derive(Clone, Debug)]
pub struct TimedRequests {
    /// Sampled blocks with their numbers.
    drawn: Vec<(u64, Vec<Timed>)>,
    /// The current block, and its number.
    current: Vec<Timed>,
    number: u64,
    stream: Stream,
    /// Requests per block.
    block: usize,
    timed: u64,
    untimed: u64,
}

impl Default for TimedRequests {
    fn default() -> Self {
        Self {
            drawn: Vec::new(),
            current: Vec::new(),
            number: 0,
            stream: Streams::new(1).stream("blocks of a log that are calibrated to", 0),
            block: BLOCK,
            timed: 0,
            untimed: 0,
        }
    }
}

impl TimedRequests {
    #[cfg(test)]
    pub(super) fn with_blocks_of(block: usize) -> Self {
        Self { block, ..Self::default() }
    }

    /// Completes the log.
    pub fn finish(mut self) -> RequestLog {
        // Too few requests do not make a row.
        if self.number < BLOCKS as u64 || self.current.len() >= self.block / 2 {
            self.end_block();
        }
        let is_whole = self.number <= BLOCKS as u64;
        self.drawn.sort_by_key(|(number, _)| *number);
        let blocks = self.drawn.into_iter().map(|(_, block)| block).collect();
        RequestLog { blocks, is_whole, timed: self.timed, untimed: self.untimed }
    }

    /// The current block is full: samples it or not (Vitter's algorithm R).
    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.current);
        if block.is_empty() {
            return;
        }
        let place = if self.drawn.len() < BLOCKS {
            self.drawn.push((self.number, Vec::new()));
            Some(self.drawn.len() - 1)
        } else {
            let place = self.stream.random_range(0..=self.number);
            usize::try_from(place).ok().filter(|place| *place < BLOCKS)
        };
        if let Some(place) = place {
            self.drawn[place] = (self.number, block);
        }
        self.number += 1;
    }
}

impl RowSink for TimedRequests {
    fn start(&mut self, _: Option<jiff::Timestamp>) -> io::Result<()> {
        Ok(())
    }

    fn request(&mut self, _: i64, _: Option<Tokens>) -> io::Result<()> {
        self.untimed += 1;
        Ok(())
    }

    fn timed_request(
        &mut self,
        nanos: i64,
        tokens: Option<Tokens>,
        took: Option<i64>,
    ) -> io::Result<()> {
        let Some(took) = took else { return self.request(nanos, tokens) };
        self.timed += 1;
        self.current.push((SimTime::from_nanos(nanos), SimDuration::from_nanos(took)));
        if self.current.len() >= self.block {
            self.end_block();
        }
        Ok(())
    }

    fn interval(&mut self, _: i64, _: f64, _: bool) -> io::Result<()> {
        let message = "the file has counts of requests, but not their durations";
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

/// Consecutive requests to replay, and their windows, which are the rows.
#[derive(Clone)]
struct Segment {
    trace: Arc<RequestTrace>,
    window: SimDuration,
    windows: Vec<usize>,
}

struct LogBench<'a> {
    segments: &'a [Segment],
    rows: &'a [MeasuredRow],
    conditions: &'a Conditions,
    workers: u32,
}

impl Bench for LogBench<'_> {
    fn model(&self, parameters: &[f64]) -> RequestModelSpec {
        web_model(parameters, None, self.workers)
    }

    fn simulate(&self, model: &RequestModelSpec, _: bool) -> Vec<Vec<Option<f64>>> {
        let mut rows = self.rows.iter();
        let mut simulated = Vec::with_capacity(self.rows.len());
        for segment in self.segments {
            let rows = rows.by_ref().take(segment.windows.len());
            simulated.extend(self.simulate_segment(model, segment, rows));
        }
        simulated
    }

    fn rows(&self) -> &[MeasuredRow] {
        self.rows
    }
}

impl LogBench<'_> {
    fn simulate_segment<'a>(
        &self,
        model: &RequestModelSpec,
        segment: &Segment,
        rows: impl Iterator<Item = &'a MeasuredRow>,
    ) -> Vec<Vec<Option<f64>>> {
        let conditions = self.conditions;
        let setting = Setting {
            conditions,
            pods: conditions.pods,
            load: Load::Trace(TraceLoad::plain("log")),
            arrivals: None,
            interval: segment.window,
        };
        let trace = Trace::Requests(Arc::clone(&segment.trace));
        let Some(mut traffic) = setting.traffic(model, Some(&trace), 1) else {
            return rows.map(|row| vec![None; row.figures.len()]).collect();
        };
        let last = segment.windows.last().copied().unwrap_or_default();
        let windows = i64::try_from(last + 1).unwrap_or(i64::MAX);
        traffic.advance(SimTime::ZERO + segment.window * windows);
        let intervals = traffic.intervals(ServiceId(0));
        rows.zip(&segment.windows)
            .map(|(row, window)| {
                let latencies = intervals.get(*window).and_then(|one| one.latencies.as_ref());
                row.figures.iter().map(|(measure, _)| figure(*measure, latencies, None)).collect()
            })
            .collect()
    }
}

/// Fits a request model to an access log with durations.
pub fn calibrate_log(log: &RequestLog, conditions: &Conditions) -> Result<Calibration, String> {
    let Some(&(start, _)) = log.blocks.iter().flatten().next() else {
        return Err(
            "no row has the duration of its request; nginx logs it with $request_time, Apache with %D"
                .into(),
        );
    };
    let whole = [log.blocks.concat()];
    let (parts, windows) = if log.is_whole { (&whole[..], WINDOWS) } else { (&log.blocks[..], 1) };
    let mut rows = Vec::new();
    let segments: Vec<Segment> =
        parts.iter().map(|part| segment(part, windows, start, &mut rows)).collect();
    let count = rows.len();
    for (position, row) in rows.iter_mut().enumerate() {
        row.held_out = is_held_out(position, count);
    }
    if rows.is_empty() {
        return Err(format!(
            "the log is too short: a twentieth of it has fewer than {ANSWERS_MIN} answers"
        ));
    }
    let shortest = rows.iter().flat_map(|row| &row.figures).map(|(_, seconds)| *seconds);
    let shortest = shortest.fold(f64::INFINITY, f64::min).max(1e-6);
    let begin = [libm::log(shortest * 0.5), libm::log(0.6), libm::log(shortest * 0.5)];
    let bench = |workers| LogBench { segments: &segments, rows: &rows, conditions, workers };
    let candidates = fit_workers(&WORKERS, bench, &begin, conditions.evaluations);
    let best = candidates.first().ok_or("there is nothing to fit")?;
    let bench = bench(best.workers);
    let requests = bench.model(&best.parameters);
    let mut notes = vec![
        "a log does not distinguish CPU from waiting: the time that varies and grows with load is assumed to be CPU time"
            .to_owned(),
    ];
    if !log.is_whole {
        notes.push(format!(
            "of {} requests {} were replayed: {} blocks of consecutive requests, drawn from the whole log",
            log.timed,
            log.blocks.iter().map(Vec::len).sum::<usize>(),
            log.blocks.len()
        ));
    }
    if log.untimed > 0 {
        notes.push(format!("{} requests were skipped: the log lacks their durations", log.untimed));
    }
    let not_identifiable = not_identifiable(&bench, &candidates, conditions.evaluations);
    Ok(Calibration {
        rows: judge(&bench, &requests),
        requests: with_usual_queue(requests),
        notes,
        not_identifiable,
    })
}

/// Cuts consecutive requests into windows; those with enough answers become rows. `begin` is the start of the log.
fn segment(
    requests: &[Timed],
    windows: i64,
    begin: SimTime,
    rows: &mut Vec<MeasuredRow>,
) -> Segment {
    let ends = requests.first().zip(requests.last());
    let (start, last) = ends.map_or((begin, begin), |((first, _), (last, _))| (*first, *last));
    let window = ((last - start) / windows).max(SimDuration::from_nanos(1));
    let mut answers: Vec<Vec<f64>> =
        vec![Vec::new(); usize::try_from(windows).unwrap_or_default() + 1];
    for (at, took) in requests {
        let position = (*at + *took - start).as_nanos() / window.as_nanos();
        if let Some(answers) = usize::try_from(position).ok().and_then(|at| answers.get_mut(at)) {
            answers.push(took.as_secs_f64());
        }
    }
    let busy: Vec<usize> =
        (0..answers.len()).filter(|window| answers[*window].len() >= ANSWERS_MIN).collect();
    // Answers after a block's end belong to a partial window.
    let busy: Vec<usize> = if windows == 1 { busy.into_iter().take(1).collect() } else { busy };
    rows.extend(busy.iter().map(|one| MeasuredRow {
        load: format!(
            "{} to {}: {:.1} rps",
            start - begin + window * i64::try_from(*one).unwrap_or_default(),
            start - begin + window * i64::try_from(*one + 1).unwrap_or_default(),
            answers[*one].len() as f64 / window.as_secs_f64()
        ),
        held_out: false,
        figures: figures_of(&mut answers[*one]),
    }));
    let arrivals = requests.iter().map(|(at, _)| (SimTime::ZERO + (*at - start), None));
    let trace = Arc::new(RequestTrace { rows: arrivals.collect(), ..RequestTrace::default() });
    Segment { trace, window, windows: busy }
}

/// Mean and quantiles; durations of zero are dropped as too short to measure.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is a position"
)]
fn figures_of(seconds: &mut [f64]) -> Vec<(Measure, f64)> {
    seconds.sort_by(f64::total_cmp);
    let count = seconds.len() as f64;
    let quantile = |q: f64| seconds[(((count * q).ceil() as usize).max(1)) - 1];
    let mean = seconds.iter().sum::<f64>() / count;
    let all = [
        (Statistic::Mean, mean),
        (Statistic::P50, quantile(0.5)),
        (Statistic::P90, quantile(0.9)),
        (Statistic::P95, quantile(0.95)),
        (Statistic::P99, quantile(0.99)),
    ];
    let kept = all.into_iter().filter(|(statistic, _)| {
        // One percent of few answers is a single one.
        *statistic != Statistic::P99 || count >= 200.0
    });
    kept.filter(|(_, seconds)| *seconds > 0.0)
        .map(|(statistic, seconds)| (Measure::Latency(statistic), seconds))
        .collect()
}
