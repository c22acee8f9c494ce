//! A report of a packing for people.

use std::fmt::Write as _;

use super::report::{PackReport, PolicyReport};
use report::figures::count;
use report::text::{Align, Paint, Style, Table};

/// The report as text of at most 100 columns.
pub fn render(report: &PackReport, style: Style) -> String {
    let mut text = String::new();
    let heading = format!("{}, seed {}", report.name, report.seed);
    let pods = count(report.pods as u64);
    let mut nodes = format!("{pods} pods on {} nodes", count(report.nodes as u64));
    if report.nodes_usd_per_hour > 0.0 {
        let _ = write!(nodes, " at {:.2} USD an hour", report.nodes_usd_per_hour);
    }
    push(&mut text, &style.paint(Paint::Heading, &heading));
    push(&mut text, &nodes);
    push(&mut text, "");
    for line in policies(report) {
        push(&mut text, &line);
    }
    push(&mut text, "");
    push(&mut text, &style.paint(Paint::Heading, "Resources"));
    push(&mut text, "  fragmented: free, but unusable for the typical pods");
    for line in resources(report) {
        push(&mut text, &line);
    }
    text
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn policies(report: &PackReport) -> Vec<String> {
    let right = Align::Right;
    let mut table = Table::new(&[Align::Left, right, right, right, right, right, right]);
    let head = ["policy", "placed", "refused", "preempted", "nodes used", "USD/h", "needed"];
    table.row(head.map(str::to_owned));
    for policy in &report.policies {
        table.row([
            policy.policy.clone(),
            count(policy.placed as u64),
            count(policy.refused as u64),
            count(policy.preemptions as u64),
            count(policy.nodes_used as u64),
            price(policy.nodes_used_usd_per_hour),
            needed(policy),
        ]);
    }
    table.lines()
}

fn price(usd_per_hour: f64) -> String {
    if usd_per_hour > 0.0 { format!("{usd_per_hour:.2}") } else { "-".to_owned() }
}

fn needed(policy: &PolicyReport) -> String {
    match (policy.nodes_needed, policy.nodes_needed_usd_per_hour) {
        (Some(nodes), Some(usd)) if usd > 0.0 => format!("{nodes} ({usd:.2}/h)"),
        (Some(nodes), _) => nodes.to_string(),
        (None, _) => "-".to_owned(),
    }
}

fn resources(report: &PackReport) -> Vec<String> {
    let right = Align::Right;
    let mut table = Table::new(&[Align::Left, Align::Left, right, right, right]);
    let head = ["resource", "policy", "requested", "fragmented", "of free"];
    table.row(head.map(str::to_owned));
    let names = report.policies.first().map_or(&[][..], |policy| &policy.resources);
    for (position, resource) in names.iter().enumerate() {
        for (number, policy) in report.policies.iter().enumerate() {
            let Some(one) = policy.resources.get(position) else { continue };
            let name = if number == 0 { resource.resource.clone() } else { String::new() };
            table.row([
                name,
                policy.policy.clone(),
                format!("{:.2} %", one.utilization_percent),
                format!("{:.2} %", one.fragmented_percent),
                format!("{:.2} %", one.fragmented_percent_of_free),
            ]);
        }
    }
    table.lines()
}
