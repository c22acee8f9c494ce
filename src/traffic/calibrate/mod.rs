//! Fits a request model to measurements: latencies at several loads, an access log with durations, or a benchmark of
//! an LLM server. Every second row is held out to validate the result. Reads no files.
//!
//! Each candidate is simulated at each measured load with the same random numbers, minimizing the sum of squared
//! logarithms of simulated over measured figures: a factor of two is an equal error in both directions, whatever the
//! unit.

mod identify;
mod llm;
mod log;
mod points;
mod simplex;
mod web;

use rayon::prelude::*;
use serde::Serialize;

use identify::Candidate;
pub use identify::NotIdentifiable;
pub use llm::{LlmHardware, calibrate_llm};
pub use log::{RequestLog, TimedRequests, calibrate_log};
pub use points::{Measure, Point, Statistic, read_points};
pub use web::calibrate_points;

use super::llm::LlmFigures;
use super::recording::Latencies;
use super::request_model::RequestModelSpec;
use crate::Balancer;
use engine::SimDuration;

/// Known properties of the pods and of their measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// Number of pods, where a row does not state it.
    pub pods: u32,
    /// Maximum number of cores used by a pod; absent = its number of workers.
    pub cores: Option<f64>,
    /// CPU limit of a pod (cores), enforced by the kernel as a quota.
    pub cpu_limit: Option<f64>,
    /// Measurement duration of each point.
    pub duration: SimDuration,
    /// Whether requests were equally spaced, as from vegeta or k6 at a constant rate, instead of random.
    pub even: bool,
    /// Load balancer used in the measurement.
    pub balancer: Balancer,
    /// Candidates tried per number of workers.
    pub evaluations: usize,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            pods: 1,
            cores: None,
            cpu_limit: None,
            duration: SimDuration::from_secs(60),
            even: false,
            balancer: Balancer::Random,
            evaluations: 150,
        }
    }
}

/// A fitted request model and its quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The model: the content of a workload's `requests`.
    pub requests: RequestModelSpec,
    /// The measured rows with the model's values.
    pub rows: Vec<FittedRow>,
    /// Caveats of the fit.
    pub notes: Vec<String>,
    /// Parameters that the measurements do not determine.
    pub not_identifiable: Vec<NotIdentifiable>,
}

/// A measured row compared with the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FittedRow {
    /// Description of the load.
    pub load: String,
    /// Whether it was held out of the fit.
    pub held_out: bool,
    /// Its figures.
    pub figures: Vec<FittedFigure>,
}

/// A measured figure compared with the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FittedFigure {
    /// Name of the figure.
    pub name: String,
    /// The measured value.
    pub measured_ms: f64,
    /// The model's value; absent if the model answered no requests.
    pub model_ms: Option<f64>,
}

impl FittedFigure {
    /// Relative error of the model.
    pub fn relative_error(&self) -> Option<f64> {
        Some(self.model_ms? / self.measured_ms - 1.0)
    }
}

impl Calibration {
    /// Median absolute relative errors over the held-out or the fitted rows, by figure and over all figures (with an
    /// empty name). A figure without an answer counts as infinite.
    pub fn median_errors(&self, held_out: bool) -> Vec<(String, f64)> {
        let rows = || self.rows.iter().filter(|row| row.held_out == held_out);
        let mut names: Vec<String> = Vec::new();
        for figure in rows().flat_map(|row| &row.figures) {
            if !names.contains(&figure.name) {
                names.push(figure.name.clone());
            }
        }
        names.push(String::new());
        let median = |name: &String| {
            let figures = rows().flat_map(|row| &row.figures);
            let chosen = figures.filter(|figure| name.is_empty() || figure.name == *name);
            let mut sizes: Vec<f64> = chosen
                .map(|figure| figure.relative_error().map_or(f64::INFINITY, f64::abs))
                .collect();
            sizes.sort_by(f64::total_cmp);
            let middle = sizes.len() / 2;
            match sizes.len() {
                0 => f64::NAN,
                odd if odd % 2 == 1 => sizes[middle],
                _ => f64::midpoint(sizes[middle - 1], sizes[middle]),
            }
        };
        let medians = names.iter().map(median).collect::<Vec<_>>();
        names.into_iter().zip(medians).filter(|(_, median)| !median.is_nan()).collect()
    }
}

/// Measurements against which a candidate model is evaluated.
trait Bench {
    /// The model with these parameters, which are logarithms.
    fn model(&self, parameters: &[f64]) -> RequestModelSpec;
    /// The model's value of each figure of each row (s); those of held-out rows may be missing unless `all` is set.
    fn simulate(&self, model: &RequestModelSpec, all: bool) -> Vec<Vec<Option<f64>>>;
    /// The measured rows.
    fn rows(&self) -> &[MeasuredRow];
}

/// A row of measured figures.
#[derive(Clone, Debug)]
struct MeasuredRow {
    load: String,
    held_out: bool,
    /// In seconds.
    figures: Vec<(Measure, f64)>,
}

/// A figure without an answer counts as too large by this factor.
const NO_ANSWER: f64 = 1e3;

/// Error of a model over the fitted rows: the mean squared log ratio.
fn badness(bench: &dyn Bench, model: &RequestModelSpec) -> f64 {
    let simulated = bench.simulate(model, false);
    let rows = bench.rows().iter().zip(&simulated).filter(|(row, _)| !row.held_out);
    let pairs = rows.flat_map(|(row, simulated)| row.figures.iter().zip(simulated));
    let (mut sum, mut count) = (0.0, 0.0);
    for ((_, measured), simulated) in pairs {
        let ratio = simulated.map_or(NO_ANSWER, |simulated| simulated.max(1e-9) / measured);
        sum += libm::log(ratio) * libm::log(ratio);
        count += 1.0;
    }
    if count > 0.0 { sum / count } else { f64::INFINITY }
}

/// The best parameters found from `start`, and their error.
fn fit_parameters(bench: &dyn Bench, start: &[f64], evaluations: usize) -> (Vec<f64>, f64) {
    simplex::minimize(start, 0.5, evaluations, |point| badness(bench, &bench.model(point)))
}

/// A fit for each number of workers, the best one first.
fn fit_workers<B: Bench>(
    workers: &[u32],
    bench: impl Fn(u32) -> B + Sync,
    start: &[f64],
    evaluations: usize,
) -> Vec<Candidate> {
    let fit = |workers: &u32| {
        let (parameters, badness) = fit_parameters(&bench(*workers), start, evaluations);
        Candidate { workers: *workers, parameters, badness }
    };
    let mut candidates: Vec<Candidate> = workers.par_iter().map(fit).collect();
    candidates.sort_by(|one, other| one.badness.total_cmp(&other.badness));
    candidates
}

/// The rows with the model's values.
fn judge(bench: &dyn Bench, model: &RequestModelSpec) -> Vec<FittedRow> {
    let simulated = bench.simulate(model, true);
    let judged = |(row, simulated): (&MeasuredRow, Vec<Option<f64>>)| FittedRow {
        load: row.load.clone(),
        held_out: row.held_out,
        figures: row
            .figures
            .iter()
            .zip(simulated)
            .map(|((measure, measured), simulated)| FittedFigure {
                name: measure.label(),
                measured_ms: measured * 1e3,
                model_ms: simulated.map(|seconds| seconds * 1e3),
            })
            .collect(),
    };
    bench.rows().iter().zip(simulated).map(judged).collect()
}

/// Holds out every second row if there are enough; if their number is odd, the first and the last are fitted.
fn is_held_out(position: usize, rows: usize) -> bool {
    rows >= 3 && position % 2 == 1
}

/// Extracts a figure from recorded latencies.
fn figure(
    measure: Measure,
    latencies: Option<&Latencies>,
    llm: Option<&LlmFigures>,
) -> Option<f64> {
    let of = match measure {
        Measure::Latency(_) => *latencies?,
        Measure::FirstToken(_) => llm?.time_to_first_token?,
        Measure::PerToken(_) => llm?.time_per_output_token?,
    };
    let span = match measure.statistic() {
        Statistic::Mean => of.mean,
        Statistic::P50 => of.p50,
        Statistic::P90 => of.p90,
        Statistic::P95 => of.p95,
        Statistic::P99 => of.p99,
    };
    Some(span.as_secs_f64())
}

/// A duration rounded to 0.01 %: models are written down and read by people.
fn rounded(seconds: f64) -> SimDuration {
    let nanos = (seconds * 1e9).clamp(0.0, 1e15);
    let digits = libm::floor(libm::log10(nanos.max(1.0)));
    let unit = libm::exp10(digits - 3.0).max(1.0);
    SimDuration::from_secs_f64(libm::round(nanos / unit) * unit / 1e9)
}

/// Rounds a number to four digits.
fn rounded_number(number: f64) -> f64 {
    if number <= 0.0 || !number.is_finite() {
        return number;
    }
    let unit = libm::exp10(3.0 - libm::floor(libm::log10(number)));
    libm::round(number * unit) / unit
}

#[cfg(test)]
mod tests;
