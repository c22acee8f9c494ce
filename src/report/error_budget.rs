//! Error budgets: how many requests may go wrong, how many did, what used them up, and which burn-rate alerts would have
//! fired.

use std::collections::BTreeMap;

use super::build::{Facts, ServiceFacts};
use super::build_objectives::{limits_of, share_of};
use super::figures::latency;
use super::model::{BurnRateAlert, ErrorBudget, GoodAndFast, Report};
use engine::SimDuration;
use scenario::objectives::{Objective, ServiceObjective};
use traffic::{FailureCause, MinuteFigures};

/// Multi-window, multi-burn-rate alerts (Site Reliability Workbook, chapter 5): so many times the rate that would use up the
/// budget of 30 days in 30 days, over a long window and over a short one that ends with it, in minutes.
pub const ALERTS: [(f64, usize, usize); 2] = [(14.4, 60, 5), (6.0, 360, 30)];

/// How long after a disturbance failures are put down to it, in seconds.
const AFTERMATH: f64 = 300.0;

/// The budgets of all objectives that a share of the requests must meet.
pub(super) fn of(facts: Facts<'_>, report: &Report) -> Vec<ErrorBudget> {
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
    facts: Facts<'_>,
    objective: &ServiceObjective,
    service: &ServiceFacts,
    disturbances: &Disturbances,
) -> Vec<ErrorBudget> {
    let limits = limits_of(facts.objectives, &service.service);
    let mut budgets = Vec::new();
    let mut add = |figure: String, share: f64, bad: &dyn Fn(&MinuteFigures) -> (u64, u64)| {
        // Of nothing there is no budget, and none that allows everything is one.
        if share > 0.0 && share < 1.0 {
            let minutes: Vec<(u64, u64)> = service.minutes.iter().map(bad).collect();
            let subject = format!("service {}", service.service);
            let mut budget = budget(subject, figure, share, &minutes);
            budget.used_by = used_by(&minutes, &service.minutes, disturbances);
            budgets.push(budget);
        }
    };
    if let Some(percent) = objective.availability {
        let share = percent / 100.0;
        add("availability".to_owned(), share, &|minute| (minute.failed, minute.ended()));
    }
    for (figure, limit) in objective.latency.limits() {
        let place = limits.latency.iter().position(|one| *one == limit);
        let (Some(place), Some(share)) = (place, share_of(figure)) else { continue };
        let words = format!("latency within {}", latency(limit.as_millis_f64()));
        add(words, share, &|minute| {
            let all = if objective.count_failures { minute.ended() } else { minute.answered };
            (all - all.min(minute.within_latency.get(place).copied().unwrap_or(0)), all)
        });
    }
    budgets
}

/// The budget of a share of requests that must be good, from the bad ones and all of each minute.
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

/// When an alert would have fired, by the rule evaluated at the end of each minute.
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
    // Windows that begin before the run hold what there is of them, as a query of Prometheus does.
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

/// Bad requests by what used them up, most first.
fn used_by(
    counts: &[(u64, u64)],
    minutes: &[MinuteFigures],
    disturbances: &Disturbances,
) -> Vec<(String, u64)> {
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for (number, ((bad, _), minute)) in counts.iter().zip(minutes).enumerate() {
        if *bad > 0 {
            let what = disturbances.blame(number as f64 * 60.0, minute.cause);
            *used.entry(what).or_default() += bad;
        }
    }
    let mut used: Vec<(String, u64)> =
        used.into_iter().map(|(what, bad)| (what.to_owned(), bad)).collect();
    used.sort_by_key(|(_, bad)| std::cmp::Reverse(*bad));
    used
}

/// What happened beside the requests, and when (seconds).
#[derive(Debug, Default)]
struct Disturbances {
    at: Vec<(f64, &'static str)>,
    /// Whether an autoscaler has a say about the pods behind the service.
    is_scaled: bool,
}

impl Disturbances {
    fn of(report: &Report, service: &ServiceFacts, facts: Facts<'_>) -> Self {
        let workloads = &facts.recorder.workloads;
        let behind = service.workloads.iter().filter_map(|position| workloads.get(*position));
        let is_scaled = behind.clone().any(|one| one.hpa.is_some());
        let at = report
            .log
            .iter()
            .filter_map(|entry| Some((entry.at_seconds, kind_of(&entry.actor, &entry.reason)?)));
        Self { at: at.collect(), is_scaled }
    }

    /// What the bad requests of a minute are put down to: what its failures say for themselves, else the last disturbance
    /// that can still have an effect, else that there was more to do than the pods could.
    fn blame(&self, from: f64, cause: Option<FailureCause>) -> &'static str {
        match cause {
            Some(FailureCause::Dependency) => return "a dependency",
            Some(FailureCause::Blocked) => return "a network policy",
            Some(FailureCause::NoRoute | FailureCause::TooLong) => {
                return "requests that nothing can answer";
            }
            _ => {}
        }
        let near = self.at.iter().rev().find(|(at, what)| {
            let is_scaling = *what == AUTOSCALER;
            *at < from + 60.0 && *at > from - AFTERMATH && !is_scaling
        });
        if let Some((_, what)) = near {
            return what;
        }
        let scales = self.at.iter().any(|(at, what)| {
            *what == AUTOSCALER && *at > from - AFTERMATH && *at < from + AFTERMATH
        });
        match cause {
            Some(FailureCause::NoEndpoint) => "pods that were not ready",
            // Ready they may be: without a readiness probe a pod is so before it listens.
            Some(FailureCause::Refused) => "pods that did not listen",
            Some(FailureCause::Killed) => "containers that stopped",
            Some(FailureCause::Unreachable) => "pods that did not answer",
            _ if self.is_scaled && scales => AUTOSCALER,
            _ => "overload",
        }
    }
}

const AUTOSCALER: &str = "the autoscaler's lag";

/// What an entry of the log disturbs requests with.
fn kind_of(actor: &str, reason: &str) -> Option<&'static str> {
    Some(match (actor, reason) {
        (_, "SpotInterruption" | "SpotReclaimed") => "a spot machine",
        (
            _,
            "NodeKilled"
            | "NodeNotReady"
            | "NodeDisconnected"
            | "KubeletStopped"
            | "Maintenance"
            | "TaintManagerEviction",
        )
        | ("user", "Evicted") => "a node",
        ("user", "ImageChanged" | "Restarted" | "RolledBack" | "Patched") | (_, "Applied") => {
            "a rollout"
        }
        (_, "ContainerCrashed" | "Hangs" | "ReadinessFails")
        | ("kubelet", "BackOff" | "OOMKilling" | "Evicted") => "a crash",
        ("horizontal-pod-autoscaler", "SuccessfulRescale") => AUTOSCALER,
        _ => return None,
    })
}

/// Shares of requests that were answered within each limit of a service's latency objectives.
pub(super) fn good_and_fast(facts: Facts<'_>, service: &ServiceFacts) -> Vec<GoodAndFast> {
    let limits = limits_of(facts.objectives, &service.service).latency;
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
    let told = shares.into_iter();
    told.map(|(limit, share)| GoodAndFast { within_ms: limit.as_millis_f64(), share }).collect()
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
        // Of 99.9 %: 2 minutes of outage in an hour are 3.3 % of the requests, 33 times the rate.
        let alerts = fired((14.4, 60, 5), 0.001, &minutes(&[(120, 0), (2, 100), (60, 0)]));
        assert_eq!(alerts.len(), 1);
        // One minute is 16.7 times the rate over the hour: it fires at the end of the first.
        assert!((alerts[0].from_seconds - 121.0 * 60.0).abs() < 1e-9);
        // The short window forgets the second minute five minutes after it.
        assert!((alerts[0].seconds - 6.0 * 60.0).abs() < 1e-9);
        assert!((alerts[0].peak - 200.0 / 6_000.0 / 0.001).abs() < 1e-9);
    }

    #[test]
    fn a_slow_burn_pages_by_the_long_windows_alone() {
        // 0.8 % of failures: 8 times the rate of 99.9 %.
        let slow: Vec<(u64, u64)> = vec![(8, 1_000); 400];
        assert!(fired(ALERTS[0], 0.001, &slow).is_empty());
        assert_eq!(fired(ALERTS[1], 0.001, &slow).len(), 1);
    }

    #[test]
    fn failures_are_put_down_to_the_last_disturbance_before_them() {
        let disturbances =
            Disturbances { at: vec![(100.0, "a rollout"), (200.0, "a node")], is_scaled: false };
        let blame = |from| disturbances.blame(from, Some(FailureCause::Timeout));
        assert_eq!(blame(60.0), "a rollout");
        assert_eq!(blame(240.0), "a node");
        assert_eq!(blame(600.0), "overload");
        let dependency = disturbances.blame(240.0, Some(FailureCause::Dependency));
        assert_eq!(dependency, "a dependency");
    }
}
