//! Error budgets: allowed and actual bad requests, their causes, and the burn-rate alerts that would have fired.

use std::collections::BTreeMap;

use super::build::{ReportInput, ServiceFacts};
use super::build_objectives::{limits_of, share_of, subject_of};
use super::disturbances::Disturbances;
use super::figures::{latency, share_of_percent};
use super::model::{BurnRateAlert, ErrorBudget, GoodAndFast, Report};
use engine::SimDuration;
use scenario::objectives::{Objective, ServiceObjective};
use traffic::MinuteFigures;

/// Multi-window, multi-burn-rate alerts (Site Reliability Workbook, chapter 5): the burn rate relative to that which
/// uses up a 30-day budget in 30 days, the long window, and the short window that ends with it, both in minutes.
pub(crate) const ALERTS: [(f64, usize, usize); 2] = [(14.4, 60, 5), (6.0, 360, 30)];

/// The budgets of all objectives that require a share of good requests.
pub(super) fn of(facts: ReportInput<'_>, report: &Report) -> Vec<ErrorBudget> {
    let mut budgets = Vec::new();
    for objective in facts.objectives {
        let Objective::Service(objective) = objective else { continue };
        let name = objective.service.to_string();
        let Some(service) = facts.services.iter().find(|one| one.service == name) else { continue };
        let disturbances = Disturbances::of(report, service, facts);
        budgets.extend(of_service(facts, objective, service, &disturbances));
    }
    budgets
}

fn of_service(
    facts: ReportInput<'_>,
    objective: &ServiceObjective,
    service: &ServiceFacts,
    disturbances: &Disturbances,
) -> Vec<ErrorBudget> {
    let class = objective.class.as_deref();
    let limits = limits_of(facts.objectives, &service.service, class);
    let Some(requests) = service.counted(class) else { return Vec::new() };
    let mut budgets = Vec::new();
    let mut add = |figure: String, share: f64, bad: &dyn Fn(&MinuteFigures) -> (u64, u64)| {
        // 0 % has no meaning as an objective, and 100 % leaves no budget.
        if share > 0.0 && share < 1.0 {
            let minutes: Vec<(u64, u64)> = requests.minutes.iter().map(bad).collect();
            let subject = subject_of(objective);
            let mut budget = budget(subject, figure, share, &minutes);
            budget.used_by = used_by(&minutes, requests.minutes, 1.0 - share, disturbances);
            budgets.push(budget);
        }
    };
    if let Some(percent) = objective.availability {
        let share = share_of_percent(percent);
        add("availability".to_owned(), share, &failed);
    }
    for (figure, limit) in objective.latency.limits() {
        let place = limits.latency.iter().position(|one| *one == limit);
        let (Some(place), Some(share)) = (place, share_of(figure)) else { continue };
        let of = if objective.count_failures { "latency" } else { "latency of answered requests" };
        let words = format!("{of} within {}", latency(limit.as_millis_f64()));
        add(words, share, &|minute| slow(minute, place, objective.count_failures));
    }
    budgets
}

/// Failed and total requests of a minute.
pub(super) fn failed(minute: &MinuteFigures) -> (u64, u64) {
    (minute.failed, minute.ended())
}

/// Requests of a minute not answered within the latency limit at index `place`, and the number that counts.
pub(super) fn slow(minute: &MinuteFigures, place: usize, count_failures: bool) -> (u64, u64) {
    let all = if count_failures { minute.ended() } else { minute.answered };
    (all - all.min(minute.within_latency.get(place).copied().unwrap_or(0)), all)
}

/// The budget for a required share of good requests, from the bad and total requests of each minute.
fn budget(subject: String, figure: String, share: f64, minutes: &[(u64, u64)]) -> ErrorBudget {
    let bad: u64 = minutes.iter().map(|(bad, _)| bad).sum();
    let all: u64 = minutes.iter().map(|(_, all)| all).sum();
    let allowed = all as f64 * (1.0 - share);
    ErrorBudget {
        subject,
        figure,
        objective: share,
        requests: all,
        bad,
        allowed,
        used: if allowed > 0.0 { bad as f64 / allowed } else { 0.0 },
        largest_burn_rate: 1.0 / (1.0 - share),
        used_by: Vec::new(),
        alerts: ALERTS.iter().flat_map(|alert| fired(*alert, 1.0 - share, minutes)).collect(),
    }
}

/// Periods in which an alert would have fired, with its rule evaluated at the end of each minute.
fn fired(
    (factor, long, short): (f64, usize, usize),
    allowed: f64,
    minutes: &[(u64, u64)],
) -> Vec<BurnRateAlert> {
    let mut sums = vec![(0, 0)];
    for (bad, all) in minutes {
        let (sum_bad, sum_all) = sums[sums.len() - 1];
        sums.push((sum_bad + bad, sum_all + all));
    }
    // A window that begins before the run covers the available part, as in a Prometheus query.
    let burn = |end: usize, window: usize| {
        let begin = sums[end.saturating_sub(window)];
        let (bad, all) = (sums[end].0 - begin.0, sums[end].1 - begin.1);
        if all == 0 { 0.0 } else { bad as f64 / all as f64 / allowed }
    };
    let mut alerts: Vec<BurnRateAlert> = Vec::new();
    let mut is_firing = false;
    for end in 1..=minutes.len() {
        let (of_long, of_short) = (burn(end, long), burn(end, short));
        let fires = of_long > factor && of_short > factor;
        if fires && !is_firing {
            alerts.push(BurnRateAlert {
                factor,
                long_minutes: long as u64,
                short_minutes: short as u64,
                from_seconds: end as f64 * 60.0,
                seconds: 0.0,
                peak: 0.0,
            });
        }
        if let Some(alert) = alerts.last_mut().filter(|_| fires) {
            alert.seconds = end as f64 * 60.0 + 60.0 - alert.from_seconds;
            alert.peak = alert.peak.max(of_long);
        }
        is_firing = fires;
    }
    alerts
}

/// Bad requests by cause, most first.
fn used_by(
    counts: &[(u64, u64)],
    minutes: &[MinuteFigures],
    allowed: f64,
    disturbances: &Disturbances,
) -> Vec<(String, u64)> {
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for (blame, bad) in disturbances.blamed(counts, minutes, allowed) {
        *used.entry(blame.what).or_default() += bad;
    }
    let mut used: Vec<(String, u64)> =
        used.into_iter().map(|(what, bad)| (what.to_owned(), bad)).collect();
    used.sort_by_key(|(_, bad)| std::cmp::Reverse(*bad));
    used
}

/// Shares of requests answered within each limit of a service's latency objectives.
pub(super) fn good_and_fast(facts: ReportInput<'_>, service: &ServiceFacts) -> Vec<GoodAndFast> {
    let limits = limits_of(facts.objectives, &service.service, None).latency;
    let ended: u64 = service.minutes.iter().map(MinuteFigures::ended).sum();
    if ended == 0 {
        return Vec::new();
    }
    let mut shares: Vec<(SimDuration, f64)> = limits
        .iter()
        .enumerate()
        .map(|(place, limit)| {
            let counts = service.minutes.iter();
            let within: u64 =
                counts.map(|one| one.within_latency.get(place).copied().unwrap_or(0)).sum();
            (*limit, within as f64 / ended as f64)
        })
        .collect();
    shares.sort_by_key(|(limit, _)| *limit);
    shares.dedup();
    let within_limits = shares.into_iter();
    within_limits
        .map(|(limit, share)| GoodAndFast { within_ms: limit.as_millis_f64(), share })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(bad: &[(usize, u64)]) -> Vec<(u64, u64)> {
        bad.iter().flat_map(|(count, bad)| vec![(*bad, 100); *count]).collect()
    }

    #[test]
    fn a_budget_is_what_may_fail_of_all_that_ended() {
        let budget = budget(String::new(), String::new(), 0.999, &minutes(&[(99, 0), (1, 20)]));
        assert_eq!((budget.requests, budget.bad), (10_000, 20));
        assert!((budget.allowed - 10.0).abs() < 1e-9 && (budget.used - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_short_outage_pages_once_both_windows_burn_and_until_the_short_one_does_not() {
        // For 99.9 %: 2 minutes of outage in an hour are 3.3 % of the requests, a burn rate of 33.
        let alerts = fired((14.4, 60, 5), 0.001, &minutes(&[(120, 0), (2, 100), (60, 0)]));
        assert_eq!(alerts.len(), 1);
        // One minute is a burn rate of 16.7 over the hour: the alert fires at the end of the first minute.
        assert!((alerts[0].from_seconds - 121.0 * 60.0).abs() < 1e-9);
        // The second minute leaves the short window five minutes later.
        assert!((alerts[0].seconds - 6.0 * 60.0).abs() < 1e-9);
        assert!((alerts[0].peak - 200.0 / 6_000.0 / 0.001).abs() < 1e-9);
    }

    #[test]
    fn a_slow_burn_pages_by_the_long_windows_alone() {
        // 0.8 % of failures is a burn rate of 8 for 99.9 %.
        let slow: Vec<(u64, u64)> = vec![(8, 1_000); 400];
        assert!(fired(ALERTS[0], 0.001, &slow).is_empty());
        assert_eq!(fired(ALERTS[1], 0.001, &slow).len(), 1);
    }
}
