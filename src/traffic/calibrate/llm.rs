//! Calibration against a benchmark of an LLM server: the cost of an iteration.

use super::points::Point;
use super::web::{Setting, load_of, measured_rows};
use super::{
    Bench, Calibration, Conditions, MeasuredRow, figure, fit_parameters, judge, rounded,
    rounded_number,
};
use crate::llm::{CostSpec, LlmSpec, TokenDistribution};
use crate::{RequestModelSpec, ServiceId};
use engine::{SimDuration, SimTime};

/// Minimum number of simulated answers per row.
const ANSWERS: f64 = 300.0;
/// A client timeout that is never reached: no client gave up during the measurement.
const NEVER: SimDuration = SimDuration::from_secs(36_000);
/// Attention time per attended token as a share of a token's time: both are products on the same tensor cores
/// (docs/llm.md).
const ATTENTION_SHARE: f64 = 2.3e-9 / 66.5e-6;

/// Known properties of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmHardware {
    /// Name of the model in the catalogue.
    pub model: Option<String>,
    /// Name of the GPU in the catalogue.
    pub gpu: Option<String>,
    /// GPUs of a pod that share every layer (tensor parallelism).
    pub tensor_parallel_size: u32,
    /// KV cache capacity in tokens, where model and GPU do not determine it.
    pub kv_cache_tokens: Option<u64>,
    /// Maximum number of tokens per iteration.
    pub max_num_batched_tokens: u32,
    /// Maximum number of sequences per batch.
    pub max_num_seqs: u32,
    /// Whether outputs are processed while the GPU computes; absent = whichever fits better.
    pub async_output_processing: Option<bool>,
}

impl Default for LlmHardware {
    fn default() -> Self {
        let LlmSpec { tensor_parallel_size, max_num_batched_tokens, max_num_seqs, .. } =
            LlmSpec::default();
        Self {
            model: None,
            gpu: None,
            tensor_parallel_size,
            kv_cache_tokens: None,
            max_num_batched_tokens,
            max_num_seqs,
            async_output_processing: None,
        }
    }
}

struct LlmBench<'a> {
    points: Vec<&'a Point>,
    rows: Vec<MeasuredRow>,
    conditions: &'a Conditions,
    hardware: &'a LlmHardware,
    /// Whether outputs are processed while the GPU computes.
    is_async: bool,
}

impl LlmBench<'_> {
    fn spec(&self, parameters: &[f64]) -> LlmSpec {
        let value = |at: usize| libm::exp(parameters.get(at).copied().unwrap_or_default());
        let number =
            |at: usize, low: f64, high: f64| Some(rounded_number(value(at).clamp(low, high)));
        let token_us = number(1, 0.01, 1e5);
        let hardware = self.hardware;
        LlmSpec {
            model: hardware.model.clone(),
            gpu: hardware.gpu.clone(),
            tensor_parallel_size: hardware.tensor_parallel_size,
            kv_cache_tokens: hardware.kv_cache_tokens,
            max_num_batched_tokens: hardware.max_num_batched_tokens,
            max_num_seqs: hardware.max_num_seqs,
            async_output_processing: self.is_async,
            enable_prefix_caching: false,
            cost: CostSpec {
                // The share of reading weights cannot be seen as long as prompts are computed separately.
                iteration_ms: Some(0.0),
                weights_ms: number(0, 0.01, 1e5),
                token_us,
                sequence_us: number(2, 0.01, 1e5),
                context_token_ns: number(3, 0.01, 1e5),
                exchange_us: Some(0.0),
                attention_pair_ns: token_us.map(|us| rounded_number(us * 1e3 * ATTENTION_SHARE)),
            },
            request_overhead: rounded(value(4).clamp(1e-4, 10.0)),
            ..LlmSpec::default()
        }
    }

    fn row(&self, model: &RequestModelSpec, point: &Point, row: &MeasuredRow) -> Option<Vec<f64>> {
        let mut model = model.clone();
        let llm = model.llm.as_mut()?;
        // The measured mean does not determine the spread of token counts.
        llm.prompt_tokens = TokenDistribution::constant(point.prompt_tokens?);
        llm.output_tokens = TokenDistribution::constant(point.output_tokens?);
        let pods = point.pods.unwrap_or(self.conditions.pods);
        let measured = self.conditions.duration.as_secs_f64();
        let seconds = point.rps.map_or(measured, |rps| measured.min(10.0 * ANSWERS / rps));
        let (load, arrivals) = load_of(point, self.conditions, seconds)?;
        let end = point.rps.map(|_| SimTime::ZERO + NEVER - SimDuration::from_secs(1));
        let users = point.concurrency.filter(|_| point.rps.is_none());
        let setting =
            Setting { conditions: self.conditions, pods, load, arrivals, interval: NEVER };
        let mut traffic = setting.traffic(&model, None, 1)?;
        // A closed loop runs until it has enough answers, or until an hour has produced none.
        let enough = ANSWERS.max(4.0 * f64::from(users.unwrap_or_default()));
        let mut now = end.unwrap_or(SimTime::from_secs(10));
        let mut figures = traffic.figures(now, ServiceId(0));
        while end.is_none()
            && (figures.outcomes.answered as f64) < enough
            && now < SimTime::from_secs(3600)
        {
            now += (now - SimTime::ZERO) / 2;
            figures = traffic.figures(now, ServiceId(0));
        }
        let (latencies, llm) = (figures.latencies.as_ref(), figures.llm.as_ref());
        row.figures.iter().map(|(measure, _)| figure(*measure, latencies, llm)).collect()
    }
}

impl Bench for LlmBench<'_> {
    fn model(&self, parameters: &[f64]) -> RequestModelSpec {
        let llm = Some(Box::new(self.spec(parameters)));
        RequestModelSpec { llm, ..RequestModelSpec::default() }
    }

    fn simulate(&self, model: &RequestModelSpec, all: bool) -> Vec<Vec<Option<f64>>> {
        let rows = self.points.iter().zip(&self.rows);
        rows.map(|(point, row)| {
            if row.held_out && !all {
                return Vec::new();
            }
            match self.row(model, point, row) {
                Some(values) => values.into_iter().map(Some).collect(),
                None => vec![None; row.figures.len()],
            }
        })
        .collect()
    }

    fn rows(&self) -> &[MeasuredRow] {
        &self.rows
    }
}

/// Fits the cost of an iteration to a benchmark of an LLM server.
pub fn calibrate_llm(
    points: &[Point],
    hardware: &LlmHardware,
    conditions: &Conditions,
) -> Result<Calibration, String> {
    for point in points {
        if point.prompt_tokens.is_none() || point.output_tokens.is_none() {
            return Err(format!(
                "line {}: `prompt_tokens` and `output_tokens` are required: the means of the row",
                point.line
            ));
        }
    }
    let mut sorted: Vec<&Point> = points.iter().collect();
    let load = |point: &Point| point.rps.or(point.concurrency.map(f64::from)).unwrap_or_default();
    sorted.sort_by(|one, other| load(one).total_cmp(&load(other)));
    let rows = measured_rows(&sorted, conditions.pods);
    let mut bench = LlmBench { points: sorted, rows, conditions, hardware, is_async: false };
    // A decode of 15 ms, a token of 50 us, a sequence of 50 us, a token of context of 50 ns, 10 ms besides.
    let start = [15.0, 50.0, 50.0, 50.0, 0.01].map(libm::log);
    if let Err(problems) = bench.model(&start).model("") {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        return Err(format!("the server cannot be simulated: {}", lines.join("; ")));
    }
    let mut notes = vec![
        "all requests of a row are assumed to have equal numbers of tokens; set `promptTokens` and `outputTokens` \
         to those of your own traffic"
            .to_owned(),
    ];
    let evaluations = 2 * conditions.evaluations;
    bench.is_async = hardware.async_output_processing.unwrap_or(false);
    let (mut best, badness) = fit_parameters(&bench, &start, evaluations);
    if hardware.async_output_processing.is_none() {
        // Continue from that fit: at the original start the work per sequence would be hidden behind the GPU's,
        // and no step would reveal its effect.
        bench.is_async = true;
        let (beside, badness_beside) = fit_parameters(&bench, &best, evaluations);
        // Converts a mean squared log ratio into a typical error in percent.
        let typical = |badness: f64| (libm::exp(libm::sqrt(badness)) - 1.0) * 100.0;
        notes.push(format!(
            "the fitted rows deviate by {:.1} % (root mean square) with outputs processed while the GPU computes, \
             and by {:.1} % without; set --async-output-processing if you know",
            typical(badness_beside),
            typical(badness),
        ));
        bench.is_async = badness_beside < badness;
        if bench.is_async {
            best = beside;
        }
    }
    let requests = bench.model(&best);
    if !bench.rows.iter().any(|row| row.held_out) {
        notes.push("fewer than three rows: none is held out to validate the fit".into());
    }
    let rows = judge(&bench, &requests);
    Ok(Calibration { rows, requests, notes, not_identifiable: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::points::{Measure, Statistic};
    use super::*;

    /// Measurements of a server that spends 0.5 ms per sequence and 15 ms on the GPU, either in sum or
    /// overlapped.
    fn shown(is_async: bool) -> Vec<Point> {
        let figures = [
            Measure::FirstToken(Statistic::P50),
            Measure::PerToken(Statistic::P50),
            Measure::Latency(Statistic::P50),
        ];
        let mut points: Vec<Point> = [1, 8, 24, 48, 96]
            .map(|users| Point {
                concurrency: Some(users),
                prompt_tokens: Some(100.0),
                output_tokens: Some(100.0),
                measured: figures.map(|measure| (measure, 1.0)).into(),
                ..Point::default()
            })
            .into();
        let (conditions, hardware) = (Conditions::default(), known(Some(is_async)));
        let sorted: Vec<&Point> = points.iter().collect();
        let rows = measured_rows(&sorted, 1);
        let bench = LlmBench {
            points: sorted,
            rows,
            conditions: &conditions,
            hardware: &hardware,
            is_async,
        };
        let model = bench.model(&[14.0, 40.0, 500.0, 40.0, 0.008].map(libm::log));
        let simulated = bench.simulate(&model, true);
        for (point, row) in points.iter_mut().zip(simulated) {
            for ((_, value), seen) in point.measured.iter_mut().zip(row) {
                *value = seen.expect("an answer");
            }
        }
        points
    }

    fn known(async_output_processing: Option<bool>) -> LlmHardware {
        let kv_cache_tokens = Some(400_000);
        LlmHardware { kv_cache_tokens, async_output_processing, ..LlmHardware::default() }
    }

    #[test]
    fn whether_outputs_are_processed_beside_the_gpu_is_found_or_taken_as_told() {
        let conditions = Conditions { evaluations: 30, ..Conditions::default() };
        let fitted = |points: &[Point], told| {
            let calibration = calibrate_llm(points, &known(told), &conditions).expect("a fit");
            let llm = calibration.requests.llm.expect("a language model");
            (
                llm.async_output_processing,
                calibration.notes.iter().any(|note| note.contains("root mean square")),
            )
        };
        for is_async in [false, true] {
            let points = shown(is_async);
            assert_eq!(fitted(&points, None), (is_async, true));
            assert_eq!(fitted(&points, Some(!is_async)), (!is_async, false));
        }
    }
}
