//! Whether the objectives of a scenario were met.

use super::model::{Latency, ObjectiveResult, Report};
use scenario::objectives::{CostObjective, Objective, ServiceObjective};

/// Judges all objectives by the figures of the report. A figure that does not exist, because nothing
/// was answered, misses its limit.
pub(super) fn judge(objectives: &[Objective], report: &Report) -> Vec<ObjectiveResult> {
    objectives
        .iter()
        .flat_map(|objective| match objective {
            Objective::Service(objective) => of_service(objective, report),
            Objective::Cost(objective) => of_cost(*objective, report),
        })
        .collect()
}

fn of_service(objective: &ServiceObjective, report: &Report) -> Vec<ObjectiveResult> {
    let name = objective.service.to_string();
    let service = report.services.iter().find(|service| service.service == name);
    let subject = format!("service {name}");
    let mut results = Vec::new();
    let llm = service.and_then(|service| service.llm.as_ref());
    for (what, limits, latency) in [
        ("latency", objective.latency, service.and_then(|service| service.latency)),
        ("TTFT", objective.time_to_first_token, llm.and_then(|llm| llm.time_to_first_token)),
        ("TPOT", objective.time_per_output_token, llm.and_then(|llm| llm.time_per_output_token)),
    ] {
        for (figure, limit) in limits.limits() {
            let limit = limit.as_secs_f64();
            let value = latency.map(|latency| latency_ms(latency, figure) / 1e3);
            results.push(ObjectiveResult {
                subject: subject.clone(),
                figure: format!("{what} {figure}"),
                limit: format!("<= {}", seconds(limit)),
                value: value.map_or_else(|| "none".to_owned(), seconds),
                limit_number: limit,
                value_number: value,
                met: value.is_some_and(|value| value <= limit),
            });
        }
    }
    let by_requests = service.and_then(|service| service.availability_by_requests);
    let by_time = service.map(|service| service.availability_by_time);
    for (figure, limit, value) in [
        ("availability", objective.availability, by_requests),
        ("availability by time", objective.availability_by_time, by_time),
    ] {
        if let Some(limit) = limit {
            results.push(ObjectiveResult {
                subject: subject.clone(),
                figure: figure.to_owned(),
                limit: format!(">= {limit} %"),
                value: value.map_or_else(|| "none".to_owned(), |value| percent(value * 100.0)),
                limit_number: limit / 100.0,
                value_number: value,
                met: value.is_some_and(|value| value * 100.0 >= limit),
            });
        }
    }
    results
}

fn latency_ms(latency: Latency, figure: &str) -> f64 {
    match figure {
        "mean" => latency.mean_ms,
        "p50" => latency.p50_ms,
        "p90" => latency.p90_ms,
        "p95" => latency.p95_ms,
        "p99" => latency.p99_ms,
        "p999" => latency.p999_ms,
        _ => latency.max_ms,
    }
}

fn of_cost(objective: CostObjective, report: &Report) -> Vec<ObjectiveResult> {
    let month = Some(report.cost.month_usd.as_usd());
    let million = report.cost.million_requests_usd.map(units::Money::as_usd);
    [
        ("cost per month", objective.cost_per_month, month),
        ("cost per million requests", objective.cost_per_million_requests, million),
    ]
    .into_iter()
    .filter_map(|(figure, limit, value)| {
        let limit = limit?;
        Some(ObjectiveResult {
            subject: "cost".to_owned(),
            figure: figure.to_owned(),
            limit: format!("<= ${limit}"),
            value: value.map_or_else(|| "none".to_owned(), |usd| format!("${usd:.2}")),
            limit_number: limit,
            value_number: value,
            met: value.is_some_and(|value| value <= limit),
        })
    })
    .collect()
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

/// Enough digits to tell a value just below a limit from the limit.
fn percent(value: f64) -> String {
    let text = format!("{value:.4}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
