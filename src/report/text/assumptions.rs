//! What of a scenario is a guess, and how far the answer moves when it is halved and doubled.

use super::layout::{Align, Paint, Style, Table, paragraph};
use crate::figures::{ABSENT, latency, percent};
use crate::model::{Answer, Report};

/// Values of one assumption that are named.
const VALUES: usize = 4;

/// The table of assumptions; nothing if there are none.
pub(super) fn render(report: &Report, style: Style) -> Vec<String> {
    if report.assumptions.is_empty() {
        return Vec::new();
    }
    let is_doubted =
        report.assumptions.iter().any(|one| one.halved.is_some() || one.doubled.is_some());
    let title = if is_doubted {
        "ASSUMED  and the answer with half and twice as much"
    } else {
        "ASSUMED  and neither measured nor stated"
    };
    let mut table = Table::new(&[&[Align::Left; 3][..], &[Align::Right; 4]].concat());
    let service = report.services.first().map_or("", |service| service.service.as_str());
    if is_doubted {
        let met = "objectives met";
        table.row(
            ["", "", "", met, &format!("p95 of {service}"), "failed", "a month"].map(str::to_owned),
        );
        table.row(row("as it is", "", "", Some(&Answer::of(report))));
    }
    for one in &report.assumptions {
        let mut values = one.values.iter().take(VALUES).cloned().collect::<Vec<_>>().join(", ");
        if one.values.len() > VALUES {
            values.push_str(", ...");
        }
        if is_doubted {
            table.row(row(&one.setting, &values, "half", one.halved.as_ref()));
            table.row(row("", "", "twice", one.doubled.as_ref()));
        } else {
            table.row([&one.setting, &values, "", "", "", "", ""].map(str::to_owned));
        }
    }
    let mut lines = vec![style.paint(Paint::Heading, title)];
    lines.extend(table.lines());
    if !is_doubted {
        let hint =
            "`wavetank run --doubts` halves and doubles each, and tells how far the answer moves";
        lines.extend(paragraph("  ", hint).iter().map(|line| style.paint(Paint::Dim, line)));
    }
    lines
}

fn row(setting: &str, values: &str, factor: &str, answer: Option<&Answer>) -> [String; 7] {
    let [met, p95, failed, month] = match answer {
        None => [(); 4].map(|()| ABSENT.to_owned()),
        Some(answer) => [
            format!("{} of {}", answer.objectives_met, answer.objectives),
            answer.p95_ms.map_or_else(|| "never".to_owned(), latency),
            percent(answer.failed_share),
            answer.month_usd.to_string(),
        ],
    };
    [setting.to_owned(), values.to_owned(), factor.to_owned(), met, p95, failed, month]
}
