//! Composed years as text.

use super::years::{ServiceYears, Spread, Years};
use report::figures::{count, percent};
use report::text::{Align, Paint, Style, Table};

/// The row of failures that meet, whose rate is that of the others.
const MEETING: &str = "failures that meet";

/// Failures that are listed of each service.
const FAILURES: usize = 8;

/// The years as text, each line ended.
pub fn render(years: &Years, style: Style) -> String {
    let head = format!(
        "{}  {} years, composed from a run without failures and {} incidents of each kind",
        years.scenario,
        count(years.years.into()),
        years.probes,
    );
    let mut lines = vec![style.paint(Paint::Heading, &head)];
    let length = if (years.days - 365.0).abs() < f64::EPSILON {
        String::new()
    } else {
        format!(" of {} days", years.days)
    };
    lines.push(format!(
        "${:.2} a year{length} without failures, if it goes on like the run",
        years.usd_per_year
    ));
    lines.extend(cost(years));
    for service in &years.services {
        lines.push(String::new());
        lines.extend(of_service(service, style));
    }
    lines.push(String::new());
    if years.starts_cold {
        let cold = "the scenario has no `warmUp`: its cold start counts again in each repetition of the run";
        lines.push(style.paint(Paint::Dim, cold));
    }
    let mut text = String::new();
    for line in lines {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The bill of a year, and of straight ones.
fn cost(years: &Years) -> Vec<String> {
    let mut table = Table::new(&[&[Align::Left][..], &[Align::Right; 6]].concat());
    table.row(
        ["", "mean", "95 % interval", "dearest 5 %", "median", "cheapest 5 %", "dearest"]
            .map(str::to_owned),
    );
    table.row(row("bill of a year", &years.cost.usd, dollars, false));
    if let Some(straight) = &years.cost.straight {
        table.row(row("bill of a straight year", straight, dollars, false));
    }
    table.lines()
}

fn dollars(usd: f64) -> String {
    format!("${usd:.2}")
}

fn of_service(service: &ServiceYears, style: Style) -> Vec<String> {
    let mut lines = vec![style.paint(Paint::Heading, &format!("SERVICE  {}", service.service))];
    let mut table = Table::new(&[&[Align::Left][..], &[Align::Right; 6]].concat());
    let heads = ["", "mean", "95 % interval", "worst 5 %", "median", "best 5 %", "worst"];
    table.row(heads.map(str::to_owned));
    let mut rows = |label: &str, available: &Spread, down: &Spread| {
        table.row(row(&format!("requests answered{label}"), available, percent, true));
        table.row(row(&format!("minutes down{label}"), down, minutes, false));
    };
    rows("", &service.availability_by_requests, &service.down_minutes);
    if let Some(straight) = &service.straight {
        let label = format!(", {} straight years", straight.years);
        rows(&label, &straight.availability_by_requests, &straight.down_minutes);
    }
    lines.extend(table.lines());
    let anyway = percent(service.failed_without_failures);
    lines.push(format!("  without any failure {anyway} of the requests fail"));
    lines.extend(failures(service, style));
    lines
}

fn row(label: &str, spread: &Spread, figure: fn(f64) -> String, high_is_good: bool) -> [String; 7] {
    let (worst_of_20, best_of_20, worst) = if high_is_good {
        (spread.p5, spread.p95, spread.min)
    } else {
        (spread.p95, spread.p5, spread.max)
    };
    let [low, high] = spread.interval;
    [
        label.to_owned(),
        figure(spread.mean),
        format!("{} .. {}", figure(low), figure(high)),
        figure(worst_of_20),
        figure(spread.p50),
        figure(best_of_20),
        figure(worst),
    ]
}

/// A mean number of requests, which is below zero where fewer fail.
fn requests(number: f64) -> String {
    let whole = libm::round(number.abs());
    let sign = if number < 0.0 && whole > 0.0 { "-" } else { "" };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, and not negative"
    )]
    let text = count(whole as u64);
    format!("{sign}{text}")
}

fn minutes(minutes: f64) -> String {
    // A difference that is rounded to nothing has no sign.
    let minutes = if minutes.abs() < 0.05 { 0.0 } else { minutes };
    format!("{minutes:.1}")
}

/// A row of what a year has besides the failures that are listed: the column adds up to the mean of the years.
fn rest_of_year(label: &str, failed: f64, down_minutes: f64) -> [String; 6] {
    let none = || String::new();
    let down = format!("{} min", minutes(down_minutes));
    [label.to_owned(), none(), none(), none(), requests(failed), down]
}

fn failures(service: &ServiceYears, style: Style) -> Vec<String> {
    let failures = &service.failures[..];
    if failures.is_empty() {
        return vec!["  no kind of failure has a rate: add `faults`".to_owned()];
    }
    let mut table = Table::new(&[&[Align::Left][..], &[Align::Right; 5]].concat());
    let heads =
        ["what a failure does", "a year", "fail each", "down each", "fail a year", "down a year"];
    table.row(heads.map(str::to_owned));
    for failure in failures.iter().take(FAILURES) {
        table.row([
            failure.failure.clone(),
            format!("{:.2}", failure.per_year),
            requests(failure.failed_each),
            format!("{} min", minutes(failure.down_minutes_each)),
            requests(failure.failed_per_year),
            format!("{} min", minutes(failure.down_minutes_per_year)),
        ]);
    }
    let rest = &failures[failures.len().min(FAILURES)..];
    if !rest.is_empty() {
        table.row(rest_of_year(
            &format!("{} other kinds", rest.len()),
            rest.iter().map(|one| one.failed_per_year).sum(),
            rest.iter().map(|one| one.down_minutes_per_year).sum(),
        ));
    }
    table.row(rest_of_year(
        "without any failure",
        service.failed_per_year_without_failures,
        service.down_minutes_without_failures,
    ));
    let mut lines = table.lines();
    for failure in failures.iter().take(FAILURES).filter(|one| one.failure != MEETING) {
        let source = format!("  rate of {}: {}", failure.failure, failure.source);
        lines.push(style.paint(Paint::Dim, &source));
    }
    if let [most, ..] = failures {
        lines.push(format!(
            "  ► most matters {}: without it {} requests a year would not fail, and {} minutes not be down",
            most.failure,
            requests(most.failed_per_year_avoided),
            minutes(most.down_minutes_per_year_avoided),
        ));
    }
    lines
}
