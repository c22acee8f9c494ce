//! The scenario's guesses, and the results if they are halved and doubled.

use super::layout::{Align, Paint, Style, Table, paragraph};
use crate::figures::{ABSENT, latency, percent};
use crate::model::{Assumption, HeadlineFigures, Report};

/// Maximum number of values shown per assumption.
const VALUES: usize = 4;

/// The table of assumptions; empty if there are none.
pub(super) fn render(report: &Report, style: Style) -> Vec<String> {
    if report.assumptions.is_empty() {
        return Vec::new();
    }
    let is_doubted =
        report.assumptions.iter().any(|one| one.halved.is_some() || one.doubled.is_some());
    let title = if is_doubted {
        "ASSUMED  guesses, and the results with each halved and doubled"
    } else {
        "ASSUMED  guesses, neither measured nor stated"
    };
    let mut lines = vec![style.paint(Paint::Heading, title)];
    if is_doubted {
        lines.extend(answers(report));
    } else {
        let mut table = Table::new(&[Align::Left; 2]);
        for one in &report.assumptions {
            table.row([one.setting.clone(), values(one)]);
        }
        lines.extend(table.lines());
    }
    if !is_doubted {
        let hint =
            "`wavetank run --doubts` halves and doubles each, and shows how far the results move";
        lines.extend(paragraph("  ", hint).iter().map(|line| style.paint(Paint::Dim, line)));
    }
    lines
}

/// A line per assumption, followed by the results.
fn answers(report: &Report) -> Vec<String> {
    let service = report.services.first().map_or("", |service| service.service.as_str());
    let mut table = Table::new(&[&[Align::Left][..], &[Align::Right; 4]].concat());
    table.row(
        ["", "objectives met", &format!("p95 of {service}"), "failed", "a month"]
            .map(str::to_owned),
    );
    table.row(row("as it is", Some(&HeadlineFigures::of(report))));
    for one in &report.assumptions {
        table.row(row("  half", one.halved.as_ref()));
        table.row(row("  twice", one.doubled.as_ref()));
    }
    let mut rows = table.lines().into_iter();
    let mut lines: Vec<String> = rows.by_ref().take(2).collect();
    for one in &report.assumptions {
        lines.push(format!("  {}  {}", one.setting, values(one)));
        lines.extend(rows.by_ref().take(2));
    }
    lines
}

/// The amounts of an assumption, as many as fit.
fn values(one: &Assumption) -> String {
    let more = if one.values.len() > VALUES { ", ..." } else { "" };
    one.values.iter().take(VALUES).cloned().collect::<Vec<_>>().join(", ") + more
}

fn row(name: &str, answer: Option<&HeadlineFigures>) -> [String; 5] {
    let [met, p95, failed, month] = match answer {
        None => [(); 4].map(|()| ABSENT.to_owned()),
        Some(answer) => [
            format!("{} of {}", answer.objectives_met, answer.objectives),
            answer.p95_ms.map_or_else(|| "never".to_owned(), latency),
            percent(answer.failed_share),
            answer.month_usd.to_string(),
        ],
    };
    [name.to_owned(), met, p95, failed, month]
}
