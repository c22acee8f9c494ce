//! An access log with durations: the requests are played again as they came, and each window of the log
//! is a row.

use std::io;
use std::sync::Arc;

use rayon::prelude::*;

use super::points::{Measure, Statistic};
use super::web::{Setting, web_model, with_usual_queue};
use super::{Bench, Calibration, Conditions, MeasuredRow, figure, fit, is_held_out, judge};
use crate::arrivals::TraceLoad;
use crate::import::Recipient;
use crate::trace::{RequestTrace, Tokens, Trace};
use crate::{Load, RequestModelSpec, ServiceId};
use engine::{SimDuration, SimTime};

const WORKERS: [u32; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// Requests of a log that are played at most: its first ones.
const REQUESTS_MAX: usize = 200_000;
/// Rows that the log is cut into, and answers that one needs to count.
const WINDOWS: i64 = 20;
const ANSWERS_MIN: usize = 20;

/// When requests came and how long they took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestLog {
    /// In order of their beginning.
    pub requests: Vec<(SimTime, SimDuration)>,
    /// Requests beyond these, and those whose duration is not told.
    pub left_out: u64,
}

/// Collects a log from what an importer reads.
#[derive(Clone, Debug, Default)]
pub struct TimedRequests {
    /// The rows read so far.
    pub log: RequestLog,
}

impl Recipient for TimedRequests {
    fn start(&mut self, _: Option<jiff::Timestamp>) -> io::Result<()> {
        Ok(())
    }

    fn request(&mut self, _: i64, _: Option<Tokens>) -> io::Result<()> {
        self.log.left_out += 1;
        Ok(())
    }

    fn timed_request(
        &mut self,
        nanos: i64,
        tokens: Option<Tokens>,
        took: Option<i64>,
    ) -> io::Result<()> {
        match took {
            Some(took) if self.log.requests.len() < REQUESTS_MAX => {
                let request = (SimTime::from_nanos(nanos), SimDuration::from_nanos(took));
                self.log.requests.push(request);
                Ok(())
            }
            _ => self.request(nanos, tokens),
        }
    }

    fn interval(&mut self, _: i64, _: f64, _: bool) -> io::Result<()> {
        let message = "the file counts requests, and does not tell how long each took";
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

struct LogBench<'a> {
    trace: Arc<RequestTrace>,
    rows: Vec<MeasuredRow>,
    /// The window of each row.
    windows: Vec<usize>,
    window: SimDuration,
    conditions: &'a Conditions,
    workers: u32,
}

impl Bench for LogBench<'_> {
    fn model(&self, parameters: &[f64]) -> RequestModelSpec {
        web_model(parameters, None, self.workers)
    }

    fn simulate(&self, model: &RequestModelSpec) -> Vec<Vec<Option<f64>>> {
        let load = Load::Trace(TraceLoad::plain("log"));
        let conditions = self.conditions;
        let setting = Setting {
            conditions,
            pods: conditions.pods,
            load,
            arrivals: None,
            interval: self.window,
        };
        let trace = Trace::Requests(Arc::clone(&self.trace));
        let nothing = || self.rows.iter().map(|row| vec![None; row.figures.len()]).collect();
        let Some(mut traffic) = setting.traffic(model, Some(&trace), 1) else { return nothing() };
        traffic.advance(SimTime::ZERO + self.window * (WINDOWS + 1));
        let intervals = traffic.intervals(ServiceId(0));
        let rows = self.rows.iter().zip(&self.windows);
        rows.map(|(row, window)| {
            let latencies = intervals.get(*window).and_then(|one| one.latencies.as_ref());
            row.figures.iter().map(|(measure, _)| figure(*measure, latencies, None)).collect()
        })
        .collect()
    }

    fn rows(&self) -> &[MeasuredRow] {
        &self.rows
    }
}

/// Fits a request model to a log of requests with how long they took.
pub fn calibrate_log(log: &RequestLog, conditions: &Conditions) -> Result<Calibration, String> {
    let (Some((first, _)), Some((last, _))) = (log.requests.first(), log.requests.last()) else {
        return Err(
            "no row tells how long its request took; nginx writes that with $request_time, \
                    Apache with %D"
                .into(),
        );
    };
    let start = *first;
    let window = ((*last - start) / WINDOWS).max(SimDuration::from_nanos(1));
    let mut answers: Vec<Vec<f64>> =
        vec![Vec::new(); usize::try_from(WINDOWS).unwrap_or_default() + 1];
    for (at, took) in &log.requests {
        let position = (*at + *took - start).as_nanos() / window.as_nanos();
        if let Some(answers) = usize::try_from(position).ok().and_then(|at| answers.get_mut(at)) {
            answers.push(took.as_secs_f64());
        }
    }
    let busy: Vec<usize> =
        (0..answers.len()).filter(|window| answers[*window].len() >= ANSWERS_MIN).collect();
    let rows: Vec<MeasuredRow> = busy
        .iter()
        .enumerate()
        .map(|(position, one)| MeasuredRow {
            load: format!(
                "{} to {}: {:.1} rps",
                window * i64::try_from(*one).unwrap_or_default(),
                window * i64::try_from(*one + 1).unwrap_or_default(),
                answers[*one].len() as f64 / window.as_secs_f64()
            ),
            held_out: is_held_out(position, busy.len()),
            figures: figures_of(&mut answers[*one]),
        })
        .collect();
    if rows.is_empty() {
        return Err(format!("the log is too short: no twentieth of it has {ANSWERS_MIN} answers"));
    }
    let arrivals = log.requests.iter().map(|(at, _)| (SimTime::ZERO + (*at - start), None));
    let trace = Arc::new(RequestTrace { start: None, rows: arrivals.collect() });
    let shortest = rows.iter().flat_map(|row| &row.figures).map(|(_, seconds)| *seconds);
    let shortest = shortest.fold(f64::INFINITY, f64::min).max(1e-6);
    let begin = [libm::log(shortest * 0.5), libm::log(0.6), libm::log(shortest * 0.5)];
    let bench = |workers| LogBench {
        trace: Arc::clone(&trace),
        rows: rows.clone(),
        windows: busy.clone(),
        window,
        conditions,
        workers,
    };
    let candidates: Vec<_> = WORKERS
        .par_iter()
        .map(|workers| fit(&bench(*workers), &begin, conditions.evaluations))
        .collect();
    let best = candidates.into_iter().min_by(|one, other| one.1.total_cmp(&other.1));
    let (requests, _) = best.ok_or("there is nothing to fit")?;
    let mut notes = vec![
        "a log does not tell CPU from waiting: the time that varies and grows with load is taken for \
         CPU time"
            .to_owned(),
    ];
    if log.left_out > 0 {
        notes.push(format!(
            "{} requests were left out: a duration is missing, or they come after the first \
             {REQUESTS_MAX}",
            log.left_out
        ));
    }
    let judged = judge(&bench(requests.concurrency), &requests);
    Ok(Calibration { rows: judged, requests: with_usual_queue(requests), notes })
}

/// Mean and quantiles; what is zero cannot be told from what is very short.
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
        // A hundredth of few answers is one of them.
        *statistic != Statistic::P99 || count >= 200.0
    });
    kept.filter(|(_, seconds)| *seconds > 0.0)
        .map(|(statistic, seconds)| (Measure::Latency(statistic), seconds))
        .collect()
}
