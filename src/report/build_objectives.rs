//! Evaluates the objectives of a scenario.

use super::build::{Counted, ReportInput};
use super::build_services::{latency, latency_of_all, share_answered};
use super::disturbances::Disturbances;
use super::downtime::is_short_of;
use super::error_budget::{failed, slow};
use super::figures::{self, share_of_percent};
use super::model::{Latency, LatencyWithFailures, MinutesHeld, ObjectiveResult, Report};
use super::reasons;
use engine::SimDuration;
use scenario::objectives::{
    CostObjective, DOWN_BELOW, LatencyObjective, Objective, ServiceObjective,
};
use traffic::{LatencyLimits, MinuteFigures, USER_CUTOFF, UserUptime};

/// Evaluates all objectives against the report. A figure that does not exist because nothing was answered misses its
/// limit.
pub(super) fn judge(facts: ReportInput<'_>, report: &Report) -> Vec<ObjectiveResult> {
    facts
        .objectives
        .iter()
        .flat_map(|objective| {
            let results = match objective {
                Objective::Service(objective) => of_service(facts, objective, report),
                Objective::Cost(objective) => of_cost(*objective, report),
            };
            results.into_iter().map(|result| {
                if result.met {
                    return result;
                }
                let disturbance = match objective {
                    Objective::Service(objective) => disturbance(facts, objective, report, &result),
                    Objective::Cost(_) => None,
                };
                ObjectiveResult { because: reasons::of(report, &result, disturbance), ..result }
            })
        })
        .collect()
}

/// The disturbance that accounts for most of the bad requests of a missed objective.
fn disturbance(
    facts: ReportInput<'_>,
    objective: &ServiceObjective,
    report: &Report,
    missed: &ObjectiveResult,
) -> Option<String> {
    let name = objective.service.to_string();
    let service = facts.services.iter().find(|one| one.service == name)?;
    let class = objective.class.as_deref();
    let requests = service.counted(class)?;
    let limits = limits_of(facts.objectives, &name, class).latency;
    let is_limited = |figure: &str| missed.figure == format!("latency {figure}");
    let latency = objective.latency.limits().find(|(figure, _)| is_limited(figure));
    let minutes = requests.minutes.iter();
    let (counts, allowed): (Vec<(u64, u64)>, f64) = if let Some((figure, limit)) = latency {
        let place = limits.iter().position(|one| *one == limit)?;
        let counts = minutes.map(|one| slow(one, place, objective.count_failures));
        (counts.collect(), 1.0 - share_of(figure)?)
    } else {
        let is_of_requests = missed.figure == "availability";
        let down_below = share_of_percent(objective.down_below);
        let share = if is_of_requests { missed.limit_number } else { down_below };
        (minutes.map(failed).collect(), 1.0 - share)
    };
    Disturbances::of(report, service, facts).cause(&counts, requests.minutes, allowed)
}

/// The latency limits of the objectives of a service, or of one of its classes, for evaluation per minute.
pub fn limits_of(objectives: &[Objective], service: &str, class: Option<&str>) -> LatencyLimits {
    let mut limits = LatencyLimits::default();
    for objective in of(objectives, service).filter(|one| one.class.as_deref() == class) {
        limits.latency.extend(objective.latency.limits().map(|(_, limit)| limit));
        let first_token = objective.time_to_first_token.limits();
        limits.time_to_first_token.extend(first_token.map(|(_, limit)| limit));
    }
    limits
}

/// Percentage of answered requests below which a minute of a service counts as down.
pub(super) fn down_below(objectives: &[Objective], service: &str) -> f64 {
    let of_all = |one: &&ServiceObjective| one.class.is_none();
    of(objectives, service).find(of_all).map_or(DOWN_BELOW, |objective| objective.down_below)
}

/// Time after a request for which its user counts as there.
pub fn user_cutoff_of(objectives: &[Objective], service: &str) -> SimDuration {
    of(objectives, service).find_map(|objective| objective.user_cutoff).unwrap_or(USER_CUTOFF)
}

/// The index of the first objective of a service.
pub(super) fn objective_of(objectives: &[Objective], service: &str) -> Option<usize> {
    objectives.iter().position(|objective| {
        matches!(objective, Objective::Service(one) if one.service.to_string() == service)
    })
}

fn of<'a>(
    objectives: &'a [Objective],
    service: &'a str,
) -> impl Iterator<Item = &'a ServiceObjective> {
    objectives.iter().filter_map(move |objective| match objective {
        Objective::Service(one) if one.service.to_string() == service => Some(&**one),
        _ => None,
    })
}

/// Number of responses of a minute within a limit; `None` if they are not counted per minute.
type Within<'a> = dyn Fn(&MinuteFigures, SimDuration) -> Option<u64> + 'a;

/// A figure limited by an objective: its name, its values, and the minutes that met it.
struct Limited<'a> {
    what: &'static str,
    limits: LatencyObjective,
    answered: Option<Latency>,
    of_all: Option<LatencyWithFailures>,
    /// Number of responses of a minute within a limit; `None` for figures not counted per minute.
    within: Option<&'a Within<'a>>,
}

fn of_service(
    facts: ReportInput<'_>,
    objective: &ServiceObjective,
    report: &Report,
) -> Vec<ObjectiveResult> {
    let name = objective.service.to_string();
    let service = report.services.iter().find(|service| service.service == name);
    let known = facts.services.iter().find(|service| service.service == name);
    let class = objective.class.as_deref();
    let known = known.and_then(|known| known.counted(class));
    let minutes = known.map_or(&[][..], |known| known.minutes);
    let minutes: Vec<&MinuteFigures> = minutes.iter().filter(|one| one.ended() > 0).collect();
    let subject = subject_of(objective);
    let mut results = Vec::new();
    // Per minute: true if all limits of this entry were met.
    let mut good = vec![true; minutes.len()];
    let limits = limits_of(facts.objectives, &name, class);
    let counted_within = |counts: &[u64], limits: &[SimDuration], limit: SimDuration| {
        let place = limits.iter().position(|one| *one == limit)?;
        counts.get(place).copied()
    };
    let within_latency = |minute: &MinuteFigures, limit: SimDuration| {
        counted_within(&minute.within_latency, &limits.latency, limit)
    };
    let within_first_token = |minute: &MinuteFigures, limit: SimDuration| {
        counted_within(&minute.within_first_token, &limits.time_to_first_token, limit)
    };
    let by_requests = known.and_then(|known| share_answered(&known.figures.outcomes));
    for limited in limited(objective, known, &within_latency, &within_first_token) {
        for (figure, limit) in limited.limits.limits() {
            let mut result = limited.judge(&subject, figure, limit, objective.count_failures);
            // Whoever reads that it was met must not take it for a limit on all requests.
            if let (false, Some(share @ ..1.0)) = (objective.count_failures, by_requests) {
                result.value = format!("{} of the {} answered", result.value, percent(share));
            }
            if let (Some(within), Some(share)) = (limited.within, share_of(figure)) {
                let holds = |minute: &MinuteFigures| {
                    let ended =
                        if objective.count_failures { minute.ended() } else { minute.answered };
                    // There are no token counts before the first request to a language model.
                    !is_short_of(within(minute, limit).unwrap_or(0), ended, share)
                };
                result.minutes = Some(held(&minutes, &mut good, holds));
            }
            results.push(result);
        }
    }
    let by_time = service.map(|service| service.availability_by_time);
    let at_least = |figure: &str, limit: f64, value: Option<f64>| ObjectiveResult {
        subject: subject.clone(),
        figure: figure.to_owned(),
        limit: format!(">= {limit} %"),
        value: value.map_or_else(|| "none".to_owned(), percent),
        limit_number: share_of_percent(limit),
        value_number: value,
        met: value.is_some_and(|value| value >= share_of_percent(limit)),
        because: String::new(),
        minutes: None,
    };
    if let Some(limit) = objective.availability {
        let mut result = at_least("availability", limit, by_requests);
        let holds = |minute: &MinuteFigures| {
            !is_short_of(minute.answered, minute.ended(), share_of_percent(limit))
        };
        result.minutes = Some(held(&minutes, &mut good, holds));
        results.push(result);
    }
    if let Some(limit) = objective.availability_by_time {
        results.push(at_least("availability by time", limit, by_time));
    }
    let users = facts.services.iter().find(|one| one.service == name);
    let users = users.and_then(|service| service.user_uptime.as_ref());
    if let Some(limit) = objective.availability_by_user {
        let share = users.and_then(UserUptime::share);
        results.push(at_least("availability by user", limit, share));
    }
    for one in &objective.windowed_by_user {
        let worst = users.and_then(|users| users.worst(one.window));
        let figure = format!("availability by user in every {}", one.window);
        results.push(at_least(&figure, one.availability, worst.map(|(share, _)| share)));
    }
    if let Some(limit) = objective.good_minutes {
        let count = good.iter().filter(|good| **good).count();
        let share = (!good.is_empty()).then(|| count as f64 / good.len() as f64);
        results.push(at_least("good minutes", limit, share));
    }
    results
}

/// The subject of an objective, as shown in the report.
pub(super) fn subject_of(objective: &ServiceObjective) -> String {
    let service = &objective.service;
    match &objective.class {
        Some(class) => format!("service {service} class {class}"),
        None => format!("service {service}"),
    }
}

/// The latency figures that an objective may limit.
fn limited<'a>(
    objective: &ServiceObjective,
    known: Option<Counted<'_>>,
    within_latency: &'a Within<'a>,
    within_first_token: &'a Within<'a>,
) -> [Limited<'a>; 3] {
    let figures = known.map(|known| known.figures);
    let llm = figures.and_then(|figures| figures.llm.as_ref());
    [
        Limited {
            what: "latency",
            limits: objective.latency,
            answered: figures.and_then(|of| of.latencies).map(latency),
            of_all: figures.and_then(|of| of.latencies_of_all).map(latency_of_all),
            within: Some(within_latency),
        },
        Limited {
            what: "TTFT",
            limits: objective.time_to_first_token,
            answered: llm.and_then(|llm| llm.time_to_first_token).map(latency),
            of_all: figures.and_then(|of| of.first_token_of_all).map(latency_of_all),
            within: Some(within_first_token),
        },
        Limited {
            what: "TPOT",
            limits: objective.time_per_output_token,
            answered: llm.and_then(|llm| llm.time_per_output_token).map(latency),
            // A failed request has no time per token.
            of_all: None,
            within: None,
        },
    ]
}

impl Limited<'_> {
    fn judge(
        &self,
        subject: &str,
        figure: &str,
        limit: SimDuration,
        count_failures: bool,
    ) -> ObjectiveResult {
        let limit = limit.as_secs_f64();
        let of_all = self.of_all.filter(|_| count_failures);
        let value = of_all
            .and_then(|of| quantile_of_all(of, figure))
            .unwrap_or_else(|| self.answered.map(|answered| quantile(answered, figure)));
        let value = value.map(|ms| ms / 1e3);
        let answered = self.answered.map(|of| against(quantile(of, figure) / 1e3, limit));
        let shown_value = |value| {
            let shown_value = against(value, limit);
            // It differs from the table of answered requests, and must not seem to contradict it.
            let note = if answered.as_ref() == Some(&shown_value) { "" } else { " with failures" };
            shown_value + note
        };
        let none = if self.of_all.is_some() { "never" } else { "none" };
        ObjectiveResult {
            subject: subject.to_owned(),
            figure: format!("{} {figure}", self.what),
            limit: format!("<= {}", seconds(limit)),
            value: value.map_or_else(|| none.to_owned(), shown_value),
            limit_number: limit,
            value_number: value,
            met: value.is_some_and(|value| value <= limit),
            because: String::new(),
            minutes: None,
        }
    }
}

/// Counts the minutes that meet a limit; the others are marked as not good.
fn held(
    minutes: &[&MinuteFigures],
    good: &mut [bool],
    holds: impl Fn(&MinuteFigures) -> bool,
) -> MinutesHeld {
    let mut held = 0;
    for (minute, good) in minutes.iter().zip(good) {
        let holds = holds(minute);
        *good &= holds;
        held += u64::from(holds);
    }
    MinutesHeld { held, of: minutes.len() as u64 }
}

fn quantile(latency: Latency, figure: &str) -> f64 {
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

/// The figure over all requests; `None` for the mean, which requests that never ended lack.
#[expect(clippy::option_option, reason = "no such figure, and a figure that nothing reaches")]
fn quantile_of_all(latency: LatencyWithFailures, figure: &str) -> Option<Option<f64>> {
    match figure {
        "mean" => None,
        "p50" => Some(latency.p50_ms),
        "p90" => Some(latency.p90_ms),
        "p95" => Some(latency.p95_ms),
        "p99" => Some(latency.p99_ms),
        "p999" => Some(latency.p999_ms),
        _ => Some(latency.max_ms),
    }
}

/// The share of requests that a limit covers; `None` for the mean, which counts per minute cannot determine.
pub(super) fn share_of(figure: &str) -> Option<f64> {
    match figure {
        "mean" => None,
        "p50" => Some(0.5),
        "p90" => Some(0.9),
        "p95" => Some(0.95),
        "p99" => Some(0.99),
        "p999" => Some(0.999),
        _ => Some(1.0),
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
            because: String::new(),
            minutes: None,
        })
    })
    .collect()
}

fn seconds(seconds: f64) -> String {
    match seconds * 1e3 {
        ms if ms < 9.95 => figures::latency(ms),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        _ => format!("{seconds:.2} s"),
    }
}

/// A value with enough digits to differ from its limit, if it does.
fn against(value: f64, limit: f64) -> String {
    let shown_value = seconds(value);
    if value.to_bits() == limit.to_bits() || shown_value != seconds(limit) {
        return shown_value;
    }
    let (value, unit) = if limit < 1.0 { (value * 1e3, "ms") } else { (value, "s") };
    format!("{} {unit}", format!("{value:.4}").trim_end_matches('0').trim_end_matches('.'))
}

/// A share in percent, cut after enough digits to distinguish one just below a limit from the limit.
fn percent(share: f64) -> String {
    // Through the decimal value: 0.58 times a hundred is a little less than 58.
    let exact = libm::round(share * 1e12) / 1e10;
    let text = format!("{:.4}", libm::floor(exact * 1e4) / 1e4);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_never_reads_like_a_limit_that_it_misses() {
        let shown = [0.58, 0.9993, 0.999_999_9, 1.0, 0.999_949_99, 0.0].map(percent);
        assert_eq!(shown, ["58 %", "99.93 %", "99.9999 %", "100 %", "99.9949 %", "0 %"]);
    }

    #[test]
    fn a_latency_never_reads_like_a_limit_that_it_misses() {
        assert_eq!(against(0.084, 0.2), "84 ms");
        assert_eq!(against(1.7229, 1.0), "1.72 s");
        assert_eq!(against(0.000_4, 0.001), "0.400 ms");
        assert_eq!(against(0.300_2, 0.3), "300.2 ms");
        assert_eq!(against(2.0, 2.0), "2.00 s");
    }
}
