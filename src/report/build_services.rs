//! Builds the service section of the report: outcomes, latency, availability.

use std::collections::BTreeMap;

use super::build::{ClassFacts, ReportInput, ServiceFacts, counted_time, while_counted};
use super::build_objectives::{down_below, objective_of};
use super::downtime::{DownPeriod, downs};
use super::error_budget;
use super::figures::share_of_percent;
use super::llm;
use super::model::{
    ActivatorReport, ClassReport, Latency, LatencyWithFailures, ServiceReport, ServiceSeries,
    UserUptimeReport, WorstWindow,
};
use capacity::cost::CostAllocation;
use cluster::Name;
use engine::{SimDuration, SimTime};
use record::ServiceTrack;
use traffic::{
    FailureCause, HeldRequests, IntervalFigures, Latencies, LatenciesWithFailures, Outcomes,
    UserUptime,
};
use units::Money;

/// The reports of all services with traffic.
pub(super) fn of(facts: ReportInput<'_>, allocation: &CostAllocation) -> Vec<ServiceReport> {
    let never_down = ServiceTrack::default();
    let mut reports: Vec<ServiceReport> = facts
        .services
        .iter()
        .enumerate()
        .map(|(position, service)| {
            let track = facts.recorder.services.get(position).unwrap_or(&never_down);
            service_report(facts, allocation, service, track)
        })
        .collect();
    reports.sort_by_key(|service| {
        let objective = objective_of(facts.objectives, &service.service).unwrap_or(usize::MAX);
        (objective, !service.has_clients, std::cmp::Reverse(service.arrived))
    });
    reports
}

fn service_report(
    facts: ReportInput<'_>,
    allocation: &CostAllocation,
    service: &ServiceFacts,
    track: &ServiceTrack,
) -> ServiceReport {
    let outcomes = service.figures.outcomes;
    let down_below = down_below(facts.objectives, &service.service);
    let end = SimTime::ZERO + facts.duration;
    let downs = downs(track, &service.minutes, down_below, end);
    let workload = |position: &usize| facts.recorder.workloads[*position].workload.to_string();
    ServiceReport {
        service: service.service.clone(),
        workloads: service.workloads.iter().map(workload).collect(),
        has_clients: service.has_clients,
        balancing: service.balancing,
        arrived: outcomes.arrived,
        answered: outcomes.answered,
        failed_by_cause: failed_by_cause(&outcomes),
        failed_calls: service.failed_calls.clone(),
        calls: service.calls.clone(),
        blocked_by: service.blocked_by.clone(),
        in_flight: service.figures.in_flight,
        retries: (outcomes.retried > 0).then_some(outcomes.retried),
        activator: service.held.map(activator),
        latency: service.figures.latencies.map(latency),
        latency_of_all: service.figures.latencies_of_all.map(latency_of_all),
        classes: service.classes.iter().map(class_report).collect(),
        llm: service.figures.llm.as_ref().map(|llm| {
            let ends = &facts.recorder.interval_ends;
            let allocated = cost_of_models(facts, &allocation.workloads, service);
            let loaded = cost_of_models(facts, &allocation.fully_loaded, service);
            let report = llm::of(llm, &service.intervals, ends, counted_time(facts), allocated);
            report.fully_loaded(loaded)
        }),
        availability_by_requests: share_answered(&outcomes),
        good_and_fast: error_budget::good_and_fast(facts, service),
        availability_by_time: availability_by_time(facts, &downs),
        user_uptime: service.user_uptime.as_ref().and_then(user_uptime),
        down_below: share_of_percent(down_below),
        downtimes: downs.iter().map(|down| down.downtime(end_of_warm_up(facts))).collect(),
        series: series(&service.intervals, &facts.recorder.interval_ends),
    }
}

/// Lengths of the windows of user-uptime: from minutes to months.
const WINDOWS: [SimDuration; 7] = [
    SimDuration::from_secs(60),
    SimDuration::from_secs(5 * 60),
    SimDuration::from_secs(3_600),
    SimDuration::from_secs(6 * 3_600),
    SimDuration::from_secs(86_400),
    SimDuration::from_secs(7 * 86_400),
    SimDuration::from_secs(30 * 86_400),
];

/// The uptime that users saw; absent if none was there.
fn user_uptime(uptime: &UserUptime) -> Option<UserUptimeReport> {
    let windows = WINDOWS.into_iter().filter_map(|window| {
        let (availability, from) = uptime.worst(window)?;
        let (window_seconds, from_seconds) = (window.as_secs_f64(), from.as_secs_f64());
        Some(WorstWindow { window_seconds, availability, from_seconds })
    });
    Some(UserUptimeReport {
        users: uptime.users,
        availability: uptime.share()?,
        cutoff_seconds: uptime.cutoff.as_secs_f64(),
        windows: windows.collect(),
    })
}

/// The requests that an activator held, with their mean wait.
fn activator(held: HeldRequests) -> ActivatorReport {
    ActivatorReport {
        held_requests: held.count,
        mean_wait_ms: held.total.as_millis_f64() / held.count.max(1) as f64,
        max_wait_ms: held.longest.as_millis_f64(),
    }
}

fn class_report(facts: &ClassFacts) -> ClassReport {
    let ClassFacts { class, figures, .. } = facts;
    let outcomes = figures.outcomes;
    ClassReport {
        class: class.clone(),
        arrived: outcomes.arrived,
        answered: outcomes.answered,
        failed_by_cause: failed_by_cause(&outcomes),
        in_flight: figures.in_flight,
        retries: (outcomes.retried > 0).then_some(outcomes.retried),
        latency: figures.latencies.map(latency),
        latency_of_all: figures.latencies_of_all.map(latency_of_all),
        availability_by_requests: share_answered(&outcomes),
    }
}

/// Share of finished requests that were answered; `None` if none finished.
pub(super) fn share_answered(outcomes: &Outcomes) -> Option<f64> {
    let ended = outcomes.answered + outcomes.failed_in_all();
    (ended > 0).then(|| outcomes.answered as f64 / ended as f64)
}

/// Cost since the warm-up of the workloads behind a service with language models; `None` if their nodes have no price,
/// or if they also serve language models under another name.
fn cost_of_models(
    facts: ReportInput<'_>,
    by_workload: &BTreeMap<Name, Money>,
    service: &ServiceFacts,
) -> Option<Money> {
    let others = facts.services.iter().filter(|other| other.service != service.service);
    let mut of_others =
        others.filter(|other| other.figures.llm.is_some()).flat_map(|other| &other.workloads);
    if of_others.any(|workload| service.workloads.contains(workload)) {
        return None;
    }
    let paid = service.workloads.iter().map(|position| {
        let name = facts.recorder.workloads[*position].workload.to_string();
        by_workload.get(name.as_str()).copied().unwrap_or_default()
    });
    let paid: Money = paid.sum();
    (paid != Money::default()).then(|| while_counted(facts, paid))
}

/// Failure causes with their counts, largest first.
fn failed_by_cause(outcomes: &Outcomes) -> Vec<(String, u64)> {
    let mut causes: Vec<(String, u64)> = FailureCause::ALL
        .iter()
        .map(|cause| (cause.label().to_owned(), outcomes.failed_by(*cause)))
        .filter(|(_, count)| *count > 0)
        .collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    causes
}

/// Converts latencies to milliseconds.
pub(super) fn latency(latencies: Latencies) -> Latency {
    let ms = SimDuration::as_millis_f64;
    Latency {
        mean_ms: ms(latencies.mean),
        p50_ms: ms(latencies.p50),
        p90_ms: ms(latencies.p90),
        p95_ms: ms(latencies.p95),
        p99_ms: ms(latencies.p99),
        p999_ms: ms(latencies.p999),
        max_ms: ms(latencies.max),
    }
}

/// Converts latencies over all finished requests to milliseconds.
pub(super) fn latency_of_all(latencies: LatenciesWithFailures) -> LatencyWithFailures {
    let ms = |latency: Option<SimDuration>| latency.map(SimDuration::as_millis_f64);
    LatencyWithFailures {
        p50_ms: ms(latencies.p50),
        p90_ms: ms(latencies.p90),
        p95_ms: ms(latencies.p95),
        p99_ms: ms(latencies.p99),
        p999_ms: ms(latencies.p999),
        max_ms: ms(latencies.max),
    }
}

fn end_of_warm_up(facts: ReportInput<'_>) -> SimTime {
    SimTime::ZERO + SimDuration::from_millis(facts.run.warm_up_ms.cast_signed())
}

/// Share of the time after the warm-up in which the service was not down.
fn availability_by_time(facts: ReportInput<'_>, downs: &[DownPeriod]) -> f64 {
    let begin = end_of_warm_up(facts);
    let counted_span = (SimTime::ZERO + facts.duration) - begin;
    let down = downs.iter().map(|down| down.after(begin));
    let down = down.fold(SimDuration::ZERO, |sum, span| sum + span);
    1.0 - down.as_secs_f64() / counted_span.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn series(intervals: &[IntervalFigures], ends: &[SimTime]) -> ServiceSeries {
    let mut series = ServiceSeries::default();
    let mut begin = SimTime::ZERO;
    for (figures, end) in intervals.iter().zip(ends) {
        let seconds = (*end - begin).as_secs_f64().max(f64::MIN_POSITIVE);
        begin = *end;
        series.arrived_rps.push(figures.outcomes.arrived as f64 / seconds);
        series.failed_rps.push(figures.outcomes.failed_in_all() as f64 / seconds);
        series.retried_rps.push(figures.outcomes.retried as f64 / seconds);
        let quantile = |of: fn(Latencies) -> SimDuration| {
            figures.latencies.map(|latencies| of(latencies).as_millis_f64())
        };
        series.latency_p50_ms.push(quantile(|latencies| latencies.p50));
        series.latency_p95_ms.push(quantile(|latencies| latencies.p95));
        series.latency_p99_ms.push(quantile(|latencies| latencies.p99));
    }
    if series.retried_rps.iter().all(|&rps| rps <= 0.0) {
        series.retried_rps.clear();
    }
    series
}
