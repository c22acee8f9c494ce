//! The tables of the page.

use super::assumptions::mark;
use super::markup::{Cell, escape, row, section, table};
use crate::cells;
use crate::figures::{ABSENT, clock, count, not_counted, percent, percent_or_absent, span};
use crate::model::{DiscountLine, DiscountOf, ObjectiveResult, Report, ServiceReport};
use crate::text::{miss, missed_minutes, user_uptime};
use units::Money;

/// Objectives with the values reached.
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
                Cell::Text(notes(objective)),
            ]
        })
        .collect();
    let table = table(&["", "Subject", "Figure", "Value", "Limit", ""], &rows);
    section("Objectives", &(mark(report) + &table))
}

/// The size of the miss, the number of minutes that missed, and the reason.
fn notes(objective: &ObjectiveResult) -> String {
    let miss = Some(miss(objective)).filter(|miss| !miss.is_empty());
    let because = Some(&objective.because).filter(|because| !because.is_empty());
    let because = because.map(|because| format!("because {because}"));
    miss.into_iter().chain(missed_minutes(objective)).chain(because).collect::<Vec<_>>().join("; ")
}

/// Latency, outcomes, availability.
pub fn services(report: &Report) -> String {
    if report.services.is_empty() {
        return String::new();
    }
    let with_availability = |cells: [String; 9], available: Option<f64>| {
        let mut row = row(1, cells);
        row.push(Cell::Figure(percent_or_absent(available)));
        row
    };
    let rows = report.services.iter().flat_map(|service| {
        let own = with_availability(cells::latencies(service), service.availability_by_requests);
        let classes = service.classes.iter().map(move |class| {
            let mut cells = cells::latencies_of_class(class);
            cells[0] = format!("{} / {}", service.service, class.class);
            with_availability(cells, class.availability_by_requests)
        });
        std::iter::once(own).chain(classes)
    });
    let heads =
        ["Service", "Requests", "Mean", "p50", "p90", "p95", "p99", "p99.9", "Max", "Available"];
    let mut content = table(&heads, &rows.collect::<Vec<_>>());
    content.extend(report.services.iter().map(outcomes));
    let note = "<p class=\"muted\">Latency of answered requests.</p>\n";
    section("Services", &format!("{}{note}{content}", mark(report)))
}

/// Replicas, rescales, waiting times.
pub fn workloads(report: &Report) -> String {
    if report.workloads.is_empty() {
        return String::new();
    }
    let rows = report.workloads.iter().map(|workload| {
        let mut row = row(1, cells::workload(workload, " / "));
        row.insert(1, Cell::Text(workload.hpa.clone().unwrap_or_else(|| "none".to_owned())));
        row
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
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
    section("Workloads", &format!("{}{}{note}", mark(report), table(&heads, &rows)))
}

/// Outcomes of Jobs.
pub fn jobs(report: &Report) -> String {
    let rows: Vec<Vec<Cell>> = cells::jobs(report, " / ").map(|cells| row(1, cells)).collect();
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
    section("Jobs", &format!("{}{}{note}", mark(report), table(&heads, &rows)))
}

/// Nodes, their utilization and price.
pub fn pools(report: &Report) -> String {
    if report.cluster.pools.is_empty() {
        return String::new();
    }
    let pools = report.cluster.pools.iter();
    let rows: Vec<Vec<Cell>> = pools.map(|pool| row(2, cells::pool(report, pool, " / "))).collect();
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
    let note = "<p class=\"muted\">Nodes: smallest / mean over time / largest. Shares refer to the nodes' \
                allocatable resources.</p>\n";
    section("Nodes", &format!("{}{}{note}", mark(report), table(&heads, &rows)))
}

/// The invoice.
pub fn cost(report: &Report) -> String {
    let cost = &report.cost;
    let mut rows: Vec<Vec<Cell>> = cost
        .workloads
        .iter()
        .map(|workload| cost_row(&workload.workload, workload.usd, cost.nodes_usd, ""))
        .collect();
    let idle = "idle: not requested by any workload";
    rows.push(cost_row(idle, cost.idle_usd, cost.nodes_usd, "idle"));
    let million = cost
        .million_requests_usd
        .map(|usd| format!(", {usd} per million answered requests"))
        .unwrap_or_default();
    let mut parts = vec![mark(report)];
    parts.push(format!(
        "<p>{} in this run, {} a month of 730 hours{million}.</p>\n",
        cost.total_usd, cost.month_usd
    ));
    if !cost.unpriced.is_empty() {
        let pools = escape(&cost.unpriced.join(", "));
        parts.push(format!("<p class=\"warn\">Without a price, in no total: {pools}</p>\n"));
    }
    let has_discounts = cost.nodes_list_usd != cost.nodes_usd;
    let list_price = has_discounts
        .then(|| cost_row("nodes, list price", cost.nodes_list_usd, cost.total_usd, ""));
    let line = |line: &DiscountLine| cost_row(&line.what, line.usd, cost.total_usd, "");
    let of = |of: DiscountOf| cost.discounts.iter().filter(move |line| line.of == of).map(line);
    let after = if has_discounts { "nodes, after discounts" } else { "nodes" };
    let nodes = cost_row(after, cost.nodes_usd, cost.total_usd, "");
    let unused = cost.unused_commitments.iter().map(line);
    let charges = cost.charges.iter().map(|line| {
        let name = format!("{}: {}{}", line.item, line.what, cells::assumed(line.known));
        cost_row(&name, line.usd, cost.total_usd, "")
    });
    let of_nodes = list_price.into_iter().chain(of(DiscountOf::Nodes)).chain([nodes]);
    let beside = unused.chain(charges).chain(of(DiscountOf::Charges));
    let invoice: Vec<_> = of_nodes.chain(beside).collect();
    parts.push(table(&["Invoice", "Cost", "Share", ""], &invoice));
    if !cost.not_counted.is_empty() {
        let reasons = escape(&cost.not_counted.join("; "));
        parts.push(format!("<p class=\"muted\">Not counted: {reasons}.</p>\n"));
    }
    parts.push(table(&["Cost of the nodes by workload", "Cost", "Share", ""], &rows));
    section("Cost", &parts.concat())
}

/// Requests by outcome, and downtimes.
fn outcomes(service: &ServiceReport) -> String {
    let share = |requests: u64| match service.arrived {
        0 => ABSENT.to_owned(),
        arrived => percent(requests as f64 / arrived as f64),
    };
    let row = |outcome: &str, requests: u64| {
        row(1, [outcome.to_owned(), count(requests), share(requests)])
    };
    let mut rows = vec![row("answered", service.answered)];
    let failures = service.failed_by_cause.iter();
    rows.extend(failures.map(|(cause, requests)| row(&format!("failed: {cause}"), *requests)));
    rows.push(row("in flight at the end", service.in_flight));
    rows.extend(service.retries.map(|retries| row("retries", retries)));
    let mut parts = vec![
        format!("<h3>{}</h3>\n", escape(&service.service)),
        table(&["Outcome", "Requests", "Share"], &rows),
        format!(
            "<p>Up for {} of the time: an endpoint was reachable, and at least {} of a minute's requests were answered.</p>\n",
            percent(service.availability_by_time),
            percent(service.down_below),
        ),
    ];
    if let Some(uptime) = &service.user_uptime {
        parts.push(format!("<p>Users were {}.</p>\n", escape(&user_uptime(uptime))));
    }
    if !service.downtimes.is_empty() {
        let rows: Vec<Vec<Cell>> = service
            .downtimes
            .iter()
            .map(|down| {
                let note = not_counted(down);
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
