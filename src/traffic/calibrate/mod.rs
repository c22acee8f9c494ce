//! Fits a request model to what was measured: to latencies at several loads, to an access log with
//! durations, or, for a language model's server, to a benchmark. Every second row is kept back and judges
//! the result. Reads no file.
//!
//! A candidate is simulated at each measured load with the same random numbers as all others, and the
//! sum of squares of the logarithms of simulated over measured figures is minimized: a figure that is
//! twice as large is as wrong as one that is half as large, whatever its unit.

mod identify;
mod llm;
mod log;
mod points;
mod simplex;
mod web;

use serde::Serialize;

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
    /// Pods, where a row does not tell.
    pub pods: u32,
    /// Cores that a pod can use at once; absent = as many as it works on requests.
    pub cores: Option<f64>,
    /// CPU limit of a pod (cores), which the kernel enforces as a quota.
    pub cpu_limit: Option<f64>,
    /// Time for which each point was measured.
    pub duration: SimDuration,
    /// Whether requests came at equal distances, as from vegeta or k6 at a constant rate, and not by chance.
    pub even: bool,
    /// Balancer by which requests found their pods.
    pub balancer: Balancer,
    /// Candidates that are tried for each number of workers.
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

/// A request model that was fitted, and how good it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The model: what goes under `requests` of a workload.
    pub requests: RequestModelSpec,
    /// The measured rows with what the model gives for them.
    pub rows: Vec<JudgedRow>,
    /// Caveats of the fit.
    pub notes: Vec<String>,
    /// Parameters that what was measured does not tell.
    pub not_identifiable: Vec<NotIdentifiable>,
}

/// A measured row beside the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedRow {
    /// The load in words.
    pub load: String,
    /// Whether it was kept back from the fit.
    pub held_out: bool,
    /// Its figures.
    pub figures: Vec<JudgedFigure>,
}

/// A measured figure beside the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedFigure {
    /// Name of the figure.
    pub name: String,
    /// As it was measured.
    pub measured_ms: f64,
    /// As the model has it; absent if it answered nothing.
    pub model_ms: Option<f64>,
}

impl JudgedFigure {
    /// Error of the model as a share of what was measured.
    pub fn relative_error(&self) -> Option<f64> {
        Some(self.model_ms? / self.measured_ms - 1.0)
    }
}

impl Calibration {
    /// The median of the sizes of relative errors over rows kept back, or over those that were fitted, by
    /// figure and over all figures (with an empty name). A figure without an answer counts as infinite.
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

/// Something that a candidate model can be held against.
trait Bench {
    /// The model of these parameters, which are logarithms.
    fn model(&self, parameters: &[f64]) -> RequestModelSpec;
    /// The model's value of each figure of each row (s); those of rows that were kept back may be missing unless all
    /// are asked for.
    fn simulate(&self, model: &RequestModelSpec, all: bool) -> Vec<Vec<Option<f64>>>;
    /// The rows.
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

/// A figure without an answer is as wrong as one that is so many times too large.
const NO_ANSWER: f64 = 1e3;

/// How wrong a model is over the rows that are fitted: the mean square of logarithms of ratios.
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

/// The best parameters on the way from `start`, and how wrong their model is.
fn fit_parameters(bench: &dyn Bench, start: &[f64], evaluations: usize) -> (Vec<f64>, f64) {
    simplex::minimize(start, 0.5, evaluations, |point| badness(bench, &bench.model(point)))
}

/// The rows beside what the model gives for them.
fn judge(bench: &dyn Bench, model: &RequestModelSpec) -> Vec<JudgedRow> {
    let simulated = bench.simulate(model, true);
    let judged = |(row, simulated): (&MeasuredRow, Vec<Option<f64>>)| JudgedRow {
        load: row.load.clone(),
        held_out: row.held_out,
        figures: row
            .figures
            .iter()
            .zip(simulated)
            .map(|((measure, measured), simulated)| JudgedFigure {
                name: measure.label(),
                measured_ms: measured * 1e3,
                model_ms: simulated.map(|seconds| seconds * 1e3),
            })
            .collect(),
    };
    bench.rows().iter().zip(simulated).map(judged).collect()
}

/// Every second of the rows is kept back, if there are enough of them; the first and the last are fitted
/// where their number is odd.
fn is_held_out(position: usize, rows: usize) -> bool {
    rows >= 3 && position % 2 == 1
}

/// The figure of what was recorded.
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

/// A time of so many seconds, to a hundredth of a percent: a model is written down and read by people.
fn rounded(seconds: f64) -> SimDuration {
    let nanos = (seconds * 1e9).clamp(0.0, 1e15);
    let digits = libm::floor(libm::log10(nanos.max(1.0)));
    let unit = libm::exp10(digits - 3.0).max(1.0);
    SimDuration::from_secs_f64(libm::round(nanos / unit) * unit / 1e9)
}

/// A number to four digits.
fn rounded_number(number: f64) -> f64 {
    if number <= 0.0 || !number.is_finite() {
        return number;
    }
    let unit = libm::exp10(3.0 - libm::floor(libm::log10(number)));
    libm::round(number * unit) / unit
}

#[cfg(test)]
mod tests;
