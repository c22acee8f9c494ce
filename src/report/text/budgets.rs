//! Error budgets and the alerts on them.

use super::layout::{Paint, Style, paragraph};
use crate::figures::{clock, count, counted, number, percent, span};
use crate::model::{BurnRateAlert, ErrorBudget, Report};

/// Maximum number of alerts shown per budget.
const ALERTS: usize = 4;

/// Budgets of which little is used are listed up to this number.
const UNUSED: usize = 3;

/// Used share from which on a budget is always listed.
const LITTLE: f64 = 0.1;

/// Used share of each budget, its causes, and the alerts.
pub fn budgets(report: &Report, style: Style) -> Vec<String> {
    if report.error_budgets.is_empty() {
        return Vec::new();
    }
    let title = "ERROR BUDGETS  bad requests that the objectives allow, of all finished requests";
    let mut lines = vec![style.paint(Paint::Heading, title)];
    let is_used = |one: &&ErrorBudget| one.used >= LITTLE || !one.alerts.is_empty();
    let (used, unused): (Vec<_>, Vec<_>) = report.error_budgets.iter().partition(is_used);
    let is_long = unused.len() > UNUSED;
    let shown = if is_long { used } else { report.error_budgets.iter().collect() };
    for budget in shown {
        let text = format!(
            "{} {} >= {}: {} used, {} of {} requests bad, {} allowed",
            budget.subject,
            budget.figure,
            percent(budget.objective),
            percent(budget.used),
            count(budget.bad),
            count(budget.requests),
            number(budget.allowed),
        );
        let paint = if budget.used > 1.0 { Paint::Bad } else { Paint::Plain };
        let shown = paragraph("  ", &text);
        lines.extend(shown.iter().map(|line| style.paint(paint, line)));
        lines.extend(
            used_by(budget).into_iter().flat_map(|text| paragraph("    used by    ", &text)),
        );
        lines.extend(
            alerts(budget).into_iter().flat_map(|text| paragraph("    alert      ", &text)),
        );
    }
    if is_long {
        let most = unused.iter().map(|one| one.used).fold(0.0, f64::max);
        let budgets = counted(unused.len() as u64, "budget");
        let other = if unused.len() < report.error_budgets.len() { "other " } else { "" };
        let rest = format!("of the {other}{budgets} at most {} is used", percent(most));
        lines.push(style.paint(Paint::Dim, &format!("  {rest}")));
    }
    lines
}

fn used_by(budget: &ErrorBudget) -> Option<String> {
    let shares = budget
        .used_by
        .iter()
        .map(|(what, bad)| format!("{what} {}", percent(*bad as f64 / budget.bad.max(1) as f64)));
    let shares: Vec<String> = shares.collect();
    (!shares.is_empty()).then(|| shares.join(", "))
}

/// The alerts that would have fired; if none did although the budget is exhausted, the reason.
fn alerts(budget: &ErrorBudget) -> Vec<String> {
    let mut shown: Vec<String> = budget.alerts.iter().take(ALERTS).map(alert).collect();
    if budget.alerts.len() > ALERTS {
        shown.push(format!("and {} more", budget.alerts.len() - ALERTS));
    }
    let least = crate::ALERTS.iter().map(|(factor, ..)| *factor).fold(f64::INFINITY, f64::min);
    if shown.is_empty() && budget.used > 1.0 {
        let most = budget.largest_burn_rate;
        shown.push(if most <= least {
            format!(
                "none can fire: even if every request failed, the burn rate would be {most:.1}x, below the alerts' {least}x"
            )
        } else {
            "none fired: no window reached its burn rate".to_owned()
        });
    }
    shown
}

fn alert(alert: &BurnRateAlert) -> String {
    format!(
        "{}x over {} and {} would have fired at {} for {} (peak {:.1}x)",
        alert.factor,
        span(alert.long_minutes as f64 * 60.0),
        span(alert.short_minutes as f64 * 60.0),
        clock(alert.from_seconds),
        span(alert.seconds),
        alert.peak,
    )
}
