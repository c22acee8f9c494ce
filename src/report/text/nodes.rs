//! The lines below the table of nodes: hours by type, waiting pods, nodes added and removed.

use super::layout::{Paint, Style, Table, paragraph};
use crate::figures::{clock, counted, number, span};
use crate::model::{NodeEvent, Report};
use crate::text::Align;

/// Maximum number of nodes listed; the rest is only counted.
const CHANGES: usize = 12;

/// The lines; empty if no node was added or removed and no pod waited.
pub fn lines(report: &Report, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    let machines = &report.cost.machines;
    let changes = &report.cluster.node_changes;
    if machines.len() > 1 {
        let hours_by_type: Vec<String> = machines
            .iter()
            .map(|one| {
                let name =
                    if one.instance_type.is_empty() { "machine" } else { &one.instance_type };
                let hours = number(one.node_hours);
                format!("{name} {} {hours} h ({})", one.capacity_type, one.usd)
            })
            .collect();
        lines.extend(paragraph("  ", &format!("node hours: {}", hours_by_type.join(", "))));
    }
    if let Some(waits) = &report.cluster.pod_waits {
        let text = format!(
            "{} waited for a node: mean {}, p50 {}, p95 {}, max {}",
            counted(waits.pods, "pod"),
            span(waits.mean_seconds),
            span(waits.p50_seconds),
            span(waits.p95_seconds),
            span(waits.max_seconds)
        );
        lines.extend(paragraph("  ", &text));
    }
    let mut table = Table::new(&[Align::Left; 5]);
    for change in changes.iter().take(CHANGES) {
        let sign = match change.event {
            NodeEvent::Added => "+",
            NodeEvent::Removed => "-",
        };
        table.row([
            sign.to_owned(),
            clock(change.at_seconds),
            change.node.clone(),
            change.instance_type.clone(),
            change.reason.clone(),
        ]);
    }
    if !changes.is_empty() {
        lines.extend(table.lines());
    }
    let hidden = changes.len().saturating_sub(CHANGES);
    if hidden > 0 {
        let text = format!("  and {} more: see -o json", counted(hidden as u64, "node"));
        lines.push(style.paint(Paint::Dim, &text));
    }
    lines
}
