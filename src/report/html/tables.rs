//! The tables of the page.

use super::markup::{Cell, escape, section, table};
use crate::figures::{
    ABSENT, WARM_UP_NOTE, clock, count, latency, number, percent, percent_or_absent, span,
};
use crate::model::{Report, ServiceReport, Spread};
use crate::text::miss;
use units::Money;

/// Objectives with the values that the run reached.
pub fn objectives(report: &Report) -> String {
    if report.objectives.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<Cell>> = report
        .objectives
        .iter()
        .map(|objective| {
            let (class, word) =
                if objective.met { ("good", "✓ met") } else { ("bad", "✗ missed") };
            vec![
                Cell::Markup(format!("<td class=\"{class}\"><b>{word}</b></td>")),
                Cell::Text(objective.subject.clone()),
                Cell::Text(objective.figure.clone()),
                Cell::Figure(objective.value.clone()),
                Cell::Figure(objective.limit.clone()),
                Cell::Text(miss(objective)),
            ]
        })
        .collect();
    section("Objectives", &table(&["", "Subject", "Figure", "Value", "Limit", ""], &rows))
}

/// Latency, outcomes, availability.
pub fn services(report: &Report) -> String {
    if report.services.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<Cell>> = report.services.iter().map(latency_row).collect();
    let heads =
        ["Service", "Requests", "Mean", "p50", "p90", "p95", "p99", "p99.9", "Max", "Available"];
    let mut content = table(&heads, &rows);
    content.extend(report.services.iter().map(outcomes));
    section("Services", &content)
}

/// Replicas, rescales, waiting.
pub fn workloads(report: &Report) -> String {
    if report.workloads.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<Cell>> = report
        .workloads
        .iter()
        .map(|workload| {
            vec![
                Cell::Text(workload.workload.clone()),
                Cell::Text(workload.hpa.clone().unwrap_or_else(|| "none".to_owned())),
                Cell::Figure(spread(workload.replicas)),
                Cell::Figure(spread(workload.ready)),
                Cell::Figure(count(workload.rescales)),
                Cell::Figure(count(workload.pods_created)),
                Cell::Figure(count(workload.restarts)),
                Cell::Figure(span(workload.pending_pod_seconds)),
                Cell::Figure(percent_or_absent(workload.cpu_utilization)),
            ]
        })
        .collect();
    let heads = [
        "Workload",
        "HPA",
        "Replicas",
        "Ready",
        "Rescales",
        "Pods",
        "Restarts",
        "Waited",
        "CPU / request",
    ];
    let note = "<p class=\"muted\">Replicas and ready pods: smallest / mean over time / largest. \
                Waited: time without a node, summed over pods.</p>\n";
    section("Workloads", &format!("{}{note}", table(&heads, &rows)))
}

/// Outcomes of Jobs.
pub fn jobs(report: &Report) -> String {
    let of_jobs =
        report.workloads.iter().filter_map(|one| Some((&one.workload, one.jobs.as_ref()?)));
    let rows: Vec<Vec<Cell>> = of_jobs
        .map(|(workload, jobs)| {
            let took = |seconds: Option<f64>| seconds.map_or_else(|| ABSENT.to_owned(), span);
            vec![
                Cell::Text(workload.clone()),
                Cell::Figure(count(jobs.created)),
                Cell::Figure(count(jobs.complete)),
                Cell::Figure(count(jobs.failed)),
                Cell::Figure(count(jobs.deleted)),
                Cell::Figure(spread(jobs.at_once)),
                Cell::Figure(took(jobs.completion_seconds_mean)),
                Cell::Figure(took(jobs.completion_seconds_max)),
                Cell::Figure(count(jobs.pods_failed)),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads = [
        "Workload",
        "Jobs",
        "Complete",
        "Failed",
        "Deleted",
        "At once",
        "Took",
        "Longest",
        "Pods failed",
    ];
    let note = "<p class=\"muted\">At once: unfinished Jobs, smallest / mean over time / largest. \
                Took: from creation to completion.</p>\n";
    section("Jobs", &format!("{}{note}", table(&heads, &rows)))
}

/// Nodes, their use and price.
pub fn pools(report: &Report) -> String {
    if report.cluster.pools.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<Cell>> = report
        .cluster
        .pools
        .iter()
        .map(|pool| {
            let cost = report.cost.pools.iter().find(|cost| cost.pool == pool.pool);
            let priced = |text: Option<String>| text.unwrap_or_else(|| ABSENT.to_owned());
            vec![
                Cell::Text(pool.pool.clone()),
                Cell::Text(pool.instance_type.clone()),
                Cell::Figure(spread(pool.nodes)),
                Cell::Figure(percent(pool.cpu_requested)),
                Cell::Figure(percent(pool.cpu_used)),
                Cell::Figure(percent(pool.memory_requested)),
                Cell::Figure(percent_or_absent(pool.gpu_requested)),
                Cell::Figure(priced(cost.map(|cost| cost.node_usd_per_hour.to_string()))),
                Cell::Figure(priced(cost.map(|cost| number(cost.node_hours)))),
                Cell::Figure(priced(cost.map(|cost| cost.usd.to_string()))),
            ]
        })
        .collect();
    let heads = [
        "Pool",
        "Type",
        "Nodes",
        "CPU requested",
        "CPU used",
        "Memory requested",
        "GPU requested",
        "Price",
        "Node hours",
        "Cost",
    ];
    let note = "<p class=\"muted\">Nodes: smallest / mean over time / largest. Shares are of what \
                the nodes can allocate.</p>\n";
    section("Nodes", &format!("{}{note}", table(&heads, &rows)))
}

/// The bill.
pub fn cost(report: &Report) -> String {
    let cost = &report.cost;
    let mut rows: Vec<Vec<Cell>> = cost
        .workloads
        .iter()
        .map(|workload| cost_row(&workload.workload, workload.usd, cost.total_usd, ""))
        .collect();
    let idle = "idle: paid for, asked for by no workload";
    rows.push(cost_row(idle, cost.idle_usd, cost.total_usd, "idle"));
    let million = cost
        .million_requests_usd
        .map(|usd| format!(", {usd} per million answered requests"))
        .unwrap_or_default();
    let mut parts = vec![format!(
        "<p>{} in this run, {} a month of 730 hours{million}.</p>\n",
        cost.total_usd, cost.month_usd
    )];
    if !cost.unpriced.is_empty() {
        let pools = escape(&cost.unpriced.join(", "));
        parts.push(format!("<p class=\"warn\">Without a price, in no sum: {pools}</p>\n"));
    }
    parts.push(table(&["Workload", "Cost", "Share", ""], &rows));
    section("Cost", &parts.concat())
}

fn latency_row(service: &ServiceReport) -> Vec<Cell> {
    let mut row = vec![Cell::Text(service.service.clone()), Cell::Figure(count(service.arrived))];
    let quantiles = service.latency.map(|of| {
        [of.mean_ms, of.p50_ms, of.p90_ms, of.p95_ms, of.p99_ms, of.p999_ms, of.max_ms].map(latency)
    });
    let quantiles =
        quantiles.unwrap_or_else(|| [const { String::new() }; 7].map(|_| ABSENT.to_owned()));
    row.extend(quantiles.map(Cell::Figure));
    row.push(Cell::Figure(percent_or_absent(service.availability_by_requests)));
    row
}

/// Requests by outcome and the times of no service.
fn outcomes(service: &ServiceReport) -> String {
    let share = |requests: u64| match service.arrived {
        0 => ABSENT.to_owned(),
        arrived => percent(requests as f64 / arrived as f64),
    };
    let row = |outcome: &str, requests: u64| {
        vec![
            Cell::Text(outcome.to_owned()),
            Cell::Figure(count(requests)),
            Cell::Figure(share(requests)),
        ]
    };
    let mut rows = vec![row("answered", service.answered)];
    let failures = service.failed_by_cause.iter();
    rows.extend(failures.map(|(cause, requests)| row(&format!("failed: {cause}"), *requests)));
    rows.push(row("in flight at the end", service.in_flight));
    rows.extend(service.retries.map(|retries| row("further attempts (retries)", retries)));
    let mut parts = vec![
        format!("<h3>{}</h3>\n", escape(&service.service)),
        table(&["Outcome", "Requests", "Share"], &rows),
        format!(
            "<p>A ready endpoint could be reached for {} of the time.</p>\n",
            percent(service.availability_by_time)
        ),
    ];
    if !service.downtimes.is_empty() {
        let rows: Vec<Vec<Cell>> = service
            .downtimes
            .iter()
            .map(|down| {
                let note = if down.counted_seconds > 0.0 { "" } else { WARM_UP_NOTE };
                vec![
                    Cell::Text(clock(down.from_seconds)),
                    Cell::Figure(span(down.seconds)),
                    Cell::Text(format!("{}{note}", down.cause)),
                ]
            })
            .collect();
        parts.push(table(&["Down from", "For", "Cause"], &rows));
    }
    parts.concat()
}

fn cost_row(name: &str, usd: Money, total: Money, class: &str) -> Vec<Cell> {
    let share = usd.as_usd() / total.as_usd();
    let width = if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    vec![
        Cell::Text(name.to_owned()),
        Cell::Figure(usd.to_string()),
        Cell::Figure(percent(share)),
        Cell::Markup(format!(
            "<td class=\"bar\"><i class=\"{class}\" style=\"width:{width:.1}%\"></i></td>"
        )),
    ]
}

fn spread(spread: Spread) -> String {
    format!("{} / {} / {}", number(spread.min), number(spread.mean), number(spread.max))
}
