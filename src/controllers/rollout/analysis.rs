//! Analyses: which metrics are due, what a measurement means, and what a run comes to (`analysis/analysis.go`,
//! `utils/evaluate`, Argo Rollouts 1.9.1).

use cluster::Name;
use cluster::analysis::{
    AnalysisPhase, AnalysisRun, Measurement, MetricRun, MetricTemplate, filled,
};
use cluster::formula::Formula;
use engine::{SimDuration, SimTime, parse_duration};
use regex::Regex;

/// Time to the next try after an error (`DefaultErrorRetryInterval`).
const ERROR_RETRY: SimDuration = SimDuration::from_secs(10);
/// Errors in a row that a metric survives unless it says otherwise (`DefaultConsecutiveErrorLimit`).
const ERRORS_IN_A_ROW: i32 = 4;

/// Name of the measured value in conditions.
const RESULT: &str = "result";
/// Stands for `len(result)`.
const SAMPLES: &str = "samples";

/// A metric with its arguments filled in and its numbers read (`ResolveMetricArgs`); an error says which is wrong.
pub(crate) fn metric_run(
    template: &MetricTemplate,
    args: &[(Name, Name)],
) -> Result<MetricRun, String> {
    let fill = |text: &Name| filled(text, args);
    let fill_some = |text: &Option<Name>| text.as_ref().map(fill).transpose();
    let metric = MetricTemplate {
        name: template.name.clone(),
        interval: fill_some(&template.interval)?,
        initial_delay: fill_some(&template.initial_delay)?,
        count: fill_some(&template.count)?,
        success_condition: fill_some(&template.success_condition)?,
        failure_condition: fill_some(&template.failure_condition)?,
        failure_limit: fill_some(&template.failure_limit)?,
        inconclusive_limit: fill_some(&template.inconclusive_limit)?,
        consecutive_error_limit: fill_some(&template.consecutive_error_limit)?,
        consecutive_success_limit: fill_some(&template.consecutive_success_limit)?,
        provider: template.provider.clone(),
        query: fill(&template.query)?,
    };
    let number = |text: &Option<Name>, field: &str| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        let read = text.map(|text| {
            text.parse::<i32>()
                .map_err(|_| format!("{}: {field} {text:?} is not a number", metric.name))
        });
        read.transpose()
    };
    let duration = |text: &Option<Name>, field: &str| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        let read = text.map(|text| {
            parse_duration(text)
                .map_err(|_| format!("{}: {field} {text:?} is not a duration", metric.name))
        });
        read.transpose()
    };
    let interval = duration(&metric.interval, "interval")?;
    // Without an interval there is one measurement (`EffectiveCount`).
    let count = number(&metric.count, "count")?.filter(|count| *count > 0);
    let count = count.or((interval.is_none()).then_some(1));
    if count.is_some_and(|count| count > 1) && interval.is_none() {
        return Err(format!("{}: interval must be specified when count > 1", metric.name));
    }
    let errors = number(&metric.consecutive_error_limit, "consecutiveErrorLimit")?;
    Ok(MetricRun {
        interval,
        initial_delay: duration(&metric.initial_delay, "initialDelay")?.unwrap_or_default(),
        count,
        failure_limit: number(&metric.failure_limit, "failureLimit")?.unwrap_or(0),
        inconclusive_limit: number(&metric.inconclusive_limit, "inconclusiveLimit")?.unwrap_or(0),
        consecutive_error_limit: errors.unwrap_or(ERRORS_IN_A_ROW),
        consecutive_success_limit: number(
            &metric.consecutive_success_limit,
            "consecutiveSuccessLimit",
        )?
        .unwrap_or(0),
        metric,
        ..MetricRun::default()
    })
}

/// Marks the metrics whose results do not count: those whose names a rule matches, anywhere unless it is anchored. An error
/// tells of a rule without such a metric (`GetDryRunMetrics`).
pub(crate) fn mark_dry(runs: &mut [MetricRun], rules: &[&Name]) -> Result<(), String> {
    for (index, rule) in rules.iter().enumerate() {
        // An expression that cannot be read matches nothing.
        let pattern = Regex::new(rule).ok();
        let matches =
            |run: &MetricRun| pattern.as_ref().is_some_and(|one| one.is_match(&run.metric.name));
        let mut is_used = false;
        for run in runs.iter_mut().filter(|run| matches(run)) {
            run.is_dry = true;
            is_used = true;
        }
        if !is_used {
            return Err(format!("dryRun[{index}]: Rule didn't match any metric name(s)"));
        }
    }
    Ok(())
}

/// When a metric is measured next; `None` if it has ended (`generateMetricTasks`, `calculateNextReconcileTime`).
pub(crate) fn next_measurement(run: &MetricRun, started: SimTime) -> Option<SimTime> {
    if run.phase.is_completed() {
        return None;
    }
    let Some(last) = &run.last else { return Some(started + run.initial_delay) };
    if run.count.is_some_and(|count| run.measured >= count) {
        return None;
    }
    match run.interval {
        Some(interval) if last.phase != AnalysisPhase::Error => Some(last.at + interval),
        _ => Some(last.at + ERROR_RETRY),
    }
}

/// The phase of a measurement with this value (`EvaluateResult`): without a condition of its own, what is no success is a
/// failure, and the other way round. An error says why the conditions do not apply.
pub fn judge(metric: &MetricTemplate, value: Option<f64>) -> Result<AnalysisPhase, String> {
    let holds = |text: &Option<Name>| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(|text| condition(text)?.holds(&|name| value_of(name, value))).transpose()
    };
    let (success, failure) = (holds(&metric.success_condition)?, holds(&metric.failure_condition)?);
    Ok(match (success, failure) {
        (_, Some(true)) | (Some(false), None) => AnalysisPhase::Failed,
        (None | Some(true), _) => AnalysisPhase::Successful,
        (Some(false), Some(false)) => AnalysisPhase::Inconclusive,
    })
}

fn value_of(name: &str, value: Option<f64>) -> Option<f64> {
    if name == SAMPLES { Some(if value.is_some() { 1.0 } else { 0.0 }) } else { value }
}

/// A condition over the measured value. `result` and `result[0]` are the same here: there is one series at most.
pub fn condition(text: &str) -> Result<Formula, String> {
    let plain = text.replace("len(result)", SAMPLES).replace("result[0]", RESULT);
    let plain = plain.replace("asFloat(", "float(").replace("asInt(", "int(");
    Formula::parse(&plain, &[RESULT.into(), SAMPLES.into()])
}

/// Adds a measurement (`runMeasurements`).
pub fn add(run: &mut MetricRun, measurement: Measurement) {
    match measurement.phase {
        AnalysisPhase::Successful => run.successes_in_a_row += 1,
        AnalysisPhase::Failed => run.failed += 1,
        AnalysisPhase::Inconclusive => run.inconclusive += 1,
        _ => {}
    }
    if measurement.phase == AnalysisPhase::Error {
        run.errors_in_a_row += 1;
        run.successes_in_a_row = 0;
    } else {
        run.measured += 1;
        run.errors_in_a_row = 0;
        if measurement.phase != AnalysisPhase::Successful {
            run.successes_in_a_row = 0;
        }
    }
    run.last = Some(measurement);
}

/// The phase of a metric (`assessMetricStatus`); `is_ending` = the run is being ended, or another metric has failed.
fn assess(run: &MetricRun, is_ending: bool) -> AnalysisPhase {
    if run.phase.is_completed() {
        return run.phase;
    }
    if run.last.is_none() {
        return if is_ending { AnalysisPhase::Successful } else { AnalysisPhase::Pending };
    }
    if let Some((phase, _)) = excess(run) {
        return phase;
    }
    let enough = run.consecutive_success_limit;
    if enough > 0 && run.successes_in_a_row >= enough {
        return AnalysisPhase::Successful;
    }
    if run.count.is_some_and(|count| run.measured >= count) {
        return match (run.failure_limit >= 0, enough > 0) {
            (true, true) => AnalysisPhase::Inconclusive,
            (false, true) => AnalysisPhase::Failed,
            _ => AnalysisPhase::Successful,
        };
    }
    if is_ending { AnalysisPhase::Successful } else { AnalysisPhase::Running }
}

/// The limit that a metric exceeds, with the controller's words (`assessMetricFailureInconclusiveOrError`).
fn excess(run: &MetricRun) -> Option<(AnalysisPhase, String)> {
    let (errors, most_errors) = (run.errors_in_a_row, run.consecutive_error_limit);
    let (undecided, most_undecided) = (run.inconclusive, run.inconclusive_limit);
    if errors > most_errors {
        let why = format!("consecutiveErrors ({errors}) > consecutiveErrorLimit ({most_errors})");
        return Some((AnalysisPhase::Error, why));
    }
    if undecided > most_undecided {
        let why = format!("inconclusive ({undecided}) > inconclusiveLimit ({most_undecided})");
        return Some((AnalysisPhase::Inconclusive, why));
    }
    let (failed, limit) = (run.failed, run.failure_limit);
    (limit >= 0 && failed > limit)
        .then(|| (AnalysisPhase::Failed, format!("failed ({failed}) > failureLimit ({limit})")))
}

/// Updates the phases of a run's metrics and its own: once all have ended, the worst; as soon as one has failed, all end
/// (`assessRunStatus`, `IsTerminating`).
pub(crate) fn assess_run(run: &mut AnalysisRun, is_ended: bool) {
    let is_bad = |metric: &MetricRun| {
        let phase = assess(metric, false);
        !metric.is_dry && phase.is_completed() && phase != AnalysisPhase::Successful
    };
    let is_ending = is_ended || run.metrics.iter().any(is_bad);
    let mut worst: Option<(AnalysisPhase, String)> = None;
    let mut all_ended = true;
    for metric in &mut run.metrics {
        metric.phase = assess(metric, is_ending);
        all_ended &= metric.phase.is_completed();
        if !metric.phase.is_completed() {
            continue;
        }
        let phase = if metric.is_dry { AnalysisPhase::Successful } else { metric.phase };
        if worst.as_ref().is_none_or(|(known, _)| phase > *known) {
            let why = excess(metric).filter(|_| !metric.is_dry).map(|(_, why)| why);
            let said =
                metric.last.as_ref().map(|last| &*last.message).filter(|said| !said.is_empty());
            let message = why.map_or_else(String::new, |why| {
                let said =
                    said.map_or_else(String::new, |said| format!(": \"Error Message: {said}\""));
                let name = &metric.metric.name;
                format!("Metric \"{name}\" assessed {} due to {why}{said}", phase.name())
            });
            worst = Some((phase, message));
        }
    }
    (run.phase, run.message) = match worst {
        Some((phase, message)) if all_ended || is_ending => (phase, message.into()),
        None if is_ending => (AnalysisPhase::Successful, "Run Terminated".into()),
        _ => (AnalysisPhase::Running, "".into()),
    };
}

#[cfg(test)]
#[path = "analysis_tests.rs"]
mod tests;
