//! The invoice, and the allocation of node costs.

use super::layout::{Align, Paint, Style, Table, paragraph};
use super::tables::{ROWS, more, painted};
use crate::cells;
use crate::figures::{number, percent_or_absent};
use crate::model::{DiscountOf, Report};
use units::Money;

/// The items of the invoice, and those not billed.
pub fn invoice(report: &Report, style: Style) -> Vec<String> {
    let cost = &report.cost;
    let million = match cost.million_requests_usd {
        Some(usd) => format!("{usd} per million answered requests"),
        None => "no request was answered".to_owned(),
    };
    let title = format!("COST  {}; {} a month; {million}", cost.total_usd, cost.month_usd);
    let mut lines = vec![style.paint(Paint::Heading, &title)];
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Right]);
    table.row(["", "price", "a month", ""].map(str::to_owned));
    let mut row = |name: String, price: String, month: Money| {
        let share = percent_or_absent(share(month, cost.month_usd));
        table.row([name, price, month.to_string(), share]);
    };
    for machine in &cost.machines {
        let month = report.run.per_month(machine.usd);
        let (kind, capacity) = (&machine.instance_type, machine.capacity_type);
        let kind = if kind.is_empty() { "types defined in the scenario" } else { kind };
        let hours = number(machine.node_hours);
        row(format!("nodes: {kind}, {capacity}, {hours} h"), String::new(), month);
    }
    let (of_nodes, of_charges): (Vec<_>, Vec<_>) =
        cost.discounts.iter().partition(|line| line.of == DiscountOf::Nodes);
    for line in &of_nodes {
        row(line.what.clone(), String::new(), line.month_usd);
    }
    if cost.machines.len() != 1 || !of_nodes.is_empty() {
        let nodes = report.run.per_month(cost.nodes_usd);
        let after = if of_nodes.is_empty() { "" } else { ", after discounts" };
        row(format!("nodes, all{after}"), String::new(), nodes);
    }
    for line in &cost.unused_commitments {
        row(line.what.clone(), String::new(), line.month_usd);
    }
    for line in &cost.charges {
        let name = format!("{}: {}{}", line.item, line.what, cells::assumed(line.known));
        row(name, format!("{}/{}", price(line.unit_usd), line.unit), line.month_usd);
    }
    for line in of_charges {
        row(line.what.clone(), String::new(), line.month_usd);
    }
    for (position, line) in table.lines().into_iter().enumerate() {
        lines.push(if position == 0 { style.paint(Paint::Dim, &line) } else { line });
    }
    if !cost.unpriced.is_empty() {
        let left_out = format!("without a price, in no total: {}", cost.unpriced.join(", "));
        lines.extend(painted(&paragraph("  ", &left_out), Paint::Warning, style));
    }
    let not_counted = cost.not_counted.iter().map(|reason| format!("not counted: {reason}"));
    let not_counted = not_counted.flat_map(|text| paragraph("  ", &text));
    lines.extend(not_counted.map(|line| style.paint(Paint::Dim, &line)));
    lines
}

/// The allocation of node costs to workloads and idle capacity.
pub fn allocation(report: &Report, style: Style) -> Vec<String> {
    let cost = &report.cost;
    if cost.pools.is_empty() {
        return Vec::new();
    }
    let title = format!("COST OF THE NODES BY WORKLOAD  {} in this run", cost.nodes_usd);
    let mut lines = vec![style.paint(Paint::Heading, &title)];
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Left]);
    let mut row = |name: &str, usd: Money| {
        let share = share(usd, cost.nodes_usd);
        table.row([
            name.to_owned(),
            usd.to_string(),
            percent_or_absent(share),
            bar(share.unwrap_or(0.0)),
        ]);
    };
    for workload in cost.workloads.iter().take(ROWS) {
        row(&workload.workload, workload.usd);
    }
    row("idle: not requested by any workload", cost.idle_usd);
    lines.extend(table.lines());
    lines.extend(more(cost.workloads.len(), "workload", style));
    lines
}

/// A price with all its digits, at least two decimals.
fn price(usd: Money) -> String {
    let text = format!("{:.7}", usd.as_usd());
    let digits = text.trim_end_matches('0');
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len()).max(2);
    format!("${:.decimals$}", usd.as_usd())
}

/// `usd` over `total`; `None` if the total is zero.
fn share(usd: Money, total: Money) -> Option<f64> {
    (total > Money::ZERO).then(|| usd.as_usd() / total.as_usd())
}

/// A bar of up to 30 characters for a fraction.
fn bar(share: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=30 beforehand; a NaN casts to 0"
    )]
    let length = libm::round(share.clamp(0.0, 1.0) * 30.0) as usize;
    "█".repeat(length)
}
