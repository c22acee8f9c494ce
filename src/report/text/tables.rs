//! The tables of the report: services, workloads, node pools, money.

use super::layout::{Align, Paint, Style, Table, paragraph};
use crate::cells;
use crate::figures::{
    ABSENT, causes, causes_of, clock, count, counted, latency, not_counted, number, percent,
    percent_or_absent, span,
};
use crate::model::{Balancing, Latency, Report, ServiceReport, UserUptimeReport};

/// Maximum number of rows in a table; the rest is only counted.
pub(super) const ROWS: usize = 40;

/// Maximum number of downtimes listed per service.
const DOWNTIMES: usize = 5;

/// Latency, outcomes and availability per service.
pub fn services(report: &Report, style: Style) -> Vec<String> {
    if report.services.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&[&[Align::Left][..], &[Align::Right; 8]].concat());
    table.row(
        ["", "requests", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"].map(str::to_owned),
    );
    for service in report.services.iter().take(ROWS) {
        table.row(cells::latencies(service));
        for class in service.classes.iter().take(ROWS) {
            table.row(cells::latencies_of_class(class));
        }
    }
    let mut rows = table.lines().into_iter();
    let mut lines = vec![style.paint(Paint::Heading, "SERVICES  latency of answered requests")];
    lines.extend(rows.next().map(|header| style.paint(Paint::Dim, &header)));
    for service in report.services.iter().take(ROWS) {
        let shown = 1 + service.classes.len().min(ROWS);
        lines.extend(rows.by_ref().take(shown));
        lines.extend(outcomes(service, style));
    }
    lines.extend(more(report.services.len(), "service", style));
    lines.extend(paragraph("  network      ", &report.network.in_words()));
    if let Some(mesh) = &report.network.mesh {
        lines.extend(paragraph("  mesh         ", &mesh.in_words()));
    }
    lines
}

/// Tokens and latencies of language models, if the service has any.
fn tokens(service: &ServiceReport) -> Vec<String> {
    let Some(llm) = &service.llm else { return Vec::new() };
    let quantiles = |of: Option<Latency>| {
        of.map_or_else(
            || ABSENT.to_owned(),
            |of| {
                format!(
                    "{} p50, {} p95, {} p99",
                    latency(of.p50_ms),
                    latency(of.p95_ms),
                    latency(of.p99_ms)
                )
            },
        )
    };
    let first = format!("TTFT {}", quantiles(llm.time_to_first_token));
    let each = format!("TPOT {}", quantiles(llm.time_per_output_token));
    let million = llm.million_output_tokens_usd;
    let loaded = llm.million_output_tokens_fully_loaded_usd;
    let loaded = loaded.map(|usd| format!(" and {usd} fully loaded")).unwrap_or_default();
    let servers = format!(
        "{} generated, {} a second{}; {} of prompts computed, {} of prompts from the cache; GPUs busy {} of the \
         time, KV cache up to {} full, {}",
        count(llm.output_tokens),
        number(llm.output_tokens_per_second),
        million.map(|usd| format!(" at {usd} a million allocated{loaded}")).unwrap_or_default(),
        count(llm.prompt_tokens),
        percent(llm.prefix_hit_ratio),
        percent(llm.gpu_utilization),
        percent(llm.kv_cache_usage_peak),
        counted(llm.preemptions, "preemption"),
    );
    let mut lines = paragraph("    first      ", &first);
    lines.extend(paragraph("    each       ", &each));
    lines.extend(paragraph("    tokens     ", &servers));
    lines
}

/// Outcomes of the requests, and downtimes.
fn outcomes(service: &ServiceReport, style: Style) -> Vec<String> {
    let failed: u64 = service.failed_by_cause.iter().map(|&(_, requests)| requests).sum();
    let causes = causes(service);
    let causes = if causes.is_empty() { causes } else { format!(": {causes}") };
    let outcome = format!(
        "{} answered, {} failed{causes}; {} in flight at the end",
        count(service.answered),
        count(failed),
        count(service.in_flight),
    );
    let paint = if failed > 0 { Paint::Bad } else { Paint::Plain };
    let mut lines = painted(&paragraph("    outcome    ", &outcome), paint, style);

    for class in service.classes.iter().filter(|class| class.failed() > 0).take(ROWS) {
        let text = format!(
            "{}: {} of {} failed: {}",
            class.class,
            count(class.failed()),
            counted(class.arrived, "request"),
            causes_of(&class.failed_by_cause),
        );
        lines.extend(painted(&paragraph("    class      ", &text), Paint::Bad, style));
    }
    if let Some(retries) = service.retries {
        let each = number(retries as f64 / service.arrived.max(1) as f64);
        let text = format!("{}, {each} per request", counted(retries, "further attempt"));
        lines.extend(paragraph("    retries    ", &text));
    }
    lines.extend(paragraph("    balanced   ", &balancing(service.balancing)));
    if let Some(activator) = service.activator {
        let text = match activator.held_requests {
            0 => "no request waited in Knative's activator".to_owned(),
            held => format!(
                "{} waited in Knative's activator for a pod, {} on average, up to {}",
                counted(held, "request"),
                latency(activator.mean_wait_ms),
                latency(activator.max_wait_ms),
            ),
        };
        lines.extend(paragraph("    held       ", &text));
    }
    lines.extend(tokens(service));
    let counted_seconds = service.downtimes.iter().map(|downtime| downtime.counted_seconds);
    let counted_spans = counted_seconds.clone().filter(|seconds| *seconds > 0.0).count();
    let down = match counted_spans as u64 {
        0 if service.answered == 0 => "no request was answered".to_owned(),
        0 if failed == 0 => "never down".to_owned(),
        0 => format!("no minute below {} answered", percent(service.down_below)),
        spans => format!("down {} in {}", span(counted_seconds.sum()), counted(spans, "span")),
    };
    let fast = service.good_and_fast.iter();
    let fast = fast.map(|one| format!("{} within {}", percent(one.share), latency(one.within_ms)));
    let fast = fast.collect::<Vec<_>>().join(", ");
    let fast = if fast.is_empty() { fast } else { format!(" ({fast})") };
    let available = format!(
        "{} of requests{fast}, {} of the time; {down}",
        percent_or_absent(service.availability_by_requests),
        percent(service.availability_by_time),
    );
    lines.extend(paragraph("    available  ", &available));
    if let Some(uptime) = &service.user_uptime {
        lines.extend(paragraph("    users      ", &user_uptime(uptime)));
    }
    for downtime in service.downtimes.iter().take(DOWNTIMES) {
        let lead = format!("      {}  ", clock(downtime.from_seconds));
        let paint = if downtime.counted_seconds > 0.0 { Paint::Bad } else { Paint::Dim };
        let (down, note) = (span(downtime.seconds), not_counted(downtime));
        let text = format!("down for {down}: {}{note}", downtime.cause);
        lines.extend(painted(&paragraph(&lead, &text), paint, style));
    }
    if service.downtimes.len() > DOWNTIMES {
        lines.push(format!("      and {} more", service.downtimes.len() - DOWNTIMES));
    }
    lines
}

/// The uptime that users saw, over the run and in the worst windows.
pub(crate) fn user_uptime(uptime: &UserUptimeReport) -> String {
    let windows = uptime.windows.iter().map(|worst| {
        let length = span(worst.window_seconds);
        format!(
            ", worst {length} {} from {}",
            percent(worst.availability),
            clock(worst.from_seconds)
        )
    });
    format!(
        "up for {} of the time of {}{}",
        percent(uptime.availability),
        counted(uptime.users as u64, "user"),
        windows.collect::<String>(),
    )
}

/// The load-balancing rule, and whether it is assumed.
fn balancing(
    Balancing { via, rule, is_stated, kept_connections, is_work_queue }: Balancing,
) -> String {
    if is_work_queue {
        return "no: workers take their requests from a queue".to_owned();
    }
    let each = match kept_connections {
        Some(count) => format!(" for each of {count} persistent connections"),
        None => String::new(),
    };
    let basis = if is_stated { "stated" } else { "assumed" };
    format!("by {}, {}{each} ({basis})", via.label(), rule.label())
}

/// Replicas, rescales and waiting times per workload.
pub fn workloads(report: &Report, style: Style) -> Vec<String> {
    if report.workloads.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&[&[Align::Left][..], &[Align::Right; 7]].concat());
    table.row(
        ["", "replicas", "ready", "rescales", "pods", "restarts", "waited", "CPU/req"]
            .map(str::to_owned),
    );
    for workload in report.workloads.iter().take(ROWS) {
        let mut row = cells::workload(workload, "/");
        if workload.hpa.is_none() {
            "no HPA".clone_into(&mut row[3]);
        }
        table.row(row);
    }
    let title = "WORKLOADS  min/mean/max over the run, warm-up included; total time that pods waited for a node";
    let mut lines = titled(title, table.lines(), style);
    lines.extend(more(report.workloads.len(), "workload", style));
    lines
}

/// Outcomes of Jobs, by Job or CronJob.
pub fn jobs(report: &Report, style: Style) -> Vec<String> {
    let rows: Vec<[String; 9]> = cells::jobs(report, "/").collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let count = rows.len();
    let mut table = Table::new(&[&[Align::Left][..], &[Align::Right; 8]].concat());
    table.row(
        ["", "Jobs", "complete", "failed", "deleted", "at once", "took", "longest", "pods failed"]
            .map(str::to_owned),
    );
    for row in rows.into_iter().take(ROWS) {
        table.row(row);
    }
    let title = "JOBS  unfinished at a time as min/mean/max; duration from creation to completion";
    let mut lines = titled(title, table.lines(), style);
    lines.extend(more(count, "workload", style));
    lines
}

/// Nodes, their utilization and price per pool.
pub fn pools(report: &Report, style: Style) -> Vec<String> {
    let pools = &report.cluster.pools;
    if pools.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&[&[Align::Left; 2][..], &[Align::Right; 8]].concat());
    table.row(
        [
            "", "type", "nodes", "CPU req", "CPU used", "mem req", "GPU req", "price", "node h",
            "cost",
        ]
        .map(str::to_owned),
    );
    for pool in pools.iter().take(ROWS) {
        table.row(cells::pool(report, pool, "/"));
    }
    let title = "NODES  min/mean/max over time; shares of allocatable";
    let mut lines = titled(title, table.lines(), style);
    lines.extend(more(pools.len(), "pool", style));
    lines.extend(super::nodes::lines(report, style));
    lines
}

fn titled(title: &str, rows: Vec<String>, style: Style) -> Vec<String> {
    let mut lines = vec![style.paint(Paint::Heading, title)];
    for (position, row) in rows.into_iter().enumerate() {
        lines.push(if position == 0 { style.paint(Paint::Dim, &row) } else { row });
    }
    lines
}

pub(super) fn more(rows: usize, noun: &str, style: Style) -> Option<String> {
    let hidden = rows.saturating_sub(ROWS);
    let text = format!("  and {} more: see -o json", counted(hidden as u64, noun));
    (hidden > 0).then(|| style.paint(Paint::Dim, &text))
}

pub(super) fn painted(lines: &[String], paint: Paint, style: Style) -> Vec<String> {
    lines.iter().map(|line| style.paint(paint, line)).collect()
}
