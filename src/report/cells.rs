//! Cell contents of the report's tables, shared by the terminal and HTML output.

use super::figures::{ABSENT, count, latency, number, percent, percent_or_absent, span};
use super::model::{
    ClassReport, JobsReport, Latency, PoolReport, Provenance, Report, ServiceReport, Spread,
    WorkloadReport,
};

/// Name, requests, latency: mean, p50, p90, p95, p99, p99.9, largest.
pub fn latencies(service: &ServiceReport) -> [String; 9] {
    latency_row(service.service.clone(), service.arrived, service.latency)
}

/// The same for a request class.
pub(crate) fn latencies_of_class(class: &ClassReport) -> [String; 9] {
    latency_row(format!("  {}", class.class), class.arrived, class.latency)
}

fn latency_row(name: String, arrived: u64, of: Option<Latency>) -> [String; 9] {
    let quantile = |figure: Option<f64>| figure.map_or_else(|| ABSENT.to_owned(), latency);
    [
        name,
        count(arrived),
        quantile(of.map(|of| of.mean_ms)),
        quantile(of.map(|of| of.p50_ms)),
        quantile(of.map(|of| of.p90_ms)),
        quantile(of.map(|of| of.p95_ms)),
        quantile(of.map(|of| of.p99_ms)),
        quantile(of.map(|of| of.p999_ms)),
        quantile(of.map(|of| of.max_ms)),
    ]
}

/// Name, replicas, ready pods, rescales, pods, restarts, waiting, CPU use over requests.
pub fn workload(workload: &WorkloadReport, separator: &str) -> [String; 8] {
    [
        workload.workload.clone(),
        spread(workload.replicas, separator),
        spread(workload.ready, separator),
        count(workload.rescales),
        count(workload.pods_created),
        count(workload.restarts),
        span(workload.pending_pod_seconds),
        percent_or_absent(workload.cpu_utilization),
    ]
}

/// The workloads that make Jobs, each with its row: name, Jobs, complete, failed, deleted, at once, mean and
/// longest time to completion, failed pods.
pub fn jobs<'a>(
    report: &'a Report,
    separator: &'a str,
) -> impl Iterator<Item = [String; 9]> + use<'a> {
    let took = |seconds: Option<f64>| seconds.map_or_else(|| ABSENT.to_owned(), span);
    let row = move |(workload, jobs): (&String, &JobsReport)| {
        [
            workload.clone(),
            count(jobs.created),
            count(jobs.complete),
            count(jobs.failed),
            count(jobs.deleted),
            spread(jobs.at_once, separator),
            took(jobs.completion_seconds_mean),
            took(jobs.completion_seconds_max),
            count(jobs.pods_failed),
        ]
    };
    let of_jobs = |one: &'a WorkloadReport| Some((&one.workload, one.jobs.as_ref()?));
    report.workloads.iter().filter_map(of_jobs).map(row)
}

/// Name, instance type, nodes, CPU requested and used, memory and GPUs requested, price, node hours, cost.
pub fn pool(report: &Report, pool: &PoolReport, separator: &str) -> [String; 10] {
    let cost = report.cost.pools.iter().find(|cost| cost.pool == pool.pool);
    let priced = |text: Option<String>| text.unwrap_or_else(|| ABSENT.to_owned());
    [
        pool.pool.clone(),
        pool.instance_type.clone(),
        spread(pool.nodes, separator),
        percent(pool.cpu_requested),
        percent(pool.cpu_used),
        percent(pool.memory_requested),
        percent_or_absent(pool.gpu_requested),
        priced(cost.map(|cost| cost.node_usd_per_hour.to_string())),
        priced(cost.map(|cost| number(cost.node_hours))),
        priced(cost.map(|cost| cost.usd.to_string())),
    ]
}

/// Smallest, mean, largest.
fn spread(spread: Spread, separator: &str) -> String {
    [spread.min, spread.mean, spread.max].map(number).join(separator)
}

/// The marker of an assumed amount.
pub fn assumed(known: Provenance) -> &'static str {
    match known {
        Provenance::Assumed => " (assumed)",
        Provenance::Measured | Provenance::Stated => "",
    }
}
