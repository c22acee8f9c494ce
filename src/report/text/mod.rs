//! The report for the terminal: at most [`WIDTH`] columns, most important parts first. Returns text
//! without printing it; color is opt-in.

mod assumptions;
mod budgets;
mod cost_sums;
pub mod layout;
mod money;
mod nodes;
mod phases;
mod tables;
mod timeline;

pub use cost_sums::{cost_sums, cost_sums_json};
pub use layout::{Align, Paint, Style, Table, WIDTH};
use layout::{paragraph, two_sided};
pub(super) use tables::user_uptime;

use super::figures::{IGNORED_AT_THE_TOP, clock, count, counted, number, percent, span};
use super::milestone::{Episode, Milestone, episodes};
use super::model::{Notice, ObjectiveResult, Report, Severity};

/// Maximum number of log episodes in the text.
const EPISODES: usize = 16;

/// The report as text, each line ended.
pub fn render(report: &Report, style: Style) -> String {
    let sections = [
        header(report, style),
        attention(report, style),
        objectives(report, style),
        budgets::budgets(report, style),
        assumptions::render(report, style),
        tables::services(report, style),
        tables::workloads(report, style),
        tables::jobs(report, style),
        phases::render(report, style),
        timeline::render(report, style),
        tables::pools(report, style),
        money::invoice(report, style),
        money::allocation(report, style),
        decisions(report, style),
        not_simulated(report, style),
        footer(report, style),
    ];
    let mut text = String::new();
    for section in sections.iter().filter(|section| !section.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        for line in section {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

fn header(report: &Report, style: Style) -> Vec<String> {
    let run = &report.run;
    let duration = span(run.duration_ms as f64 / 1e3);
    let simulated = match run.warm_up_ms {
        0 => format!("{duration} simulated"),
        ms => format!("{duration} simulated, the first {} not counted", span(ms as f64 / 1e3)),
    };
    let mut lines = two_sided(&run.scenario, &simulated);
    lines[0] = style.paint(Paint::Heading, &lines[0]);
    if !run.description.is_empty() {
        lines.extend(paragraph("", &run.description));
    }
    let size = format!("{}, {}", counted(run.requests, "request"), counted(run.events, "event"));
    lines.push(style.paint(Paint::Dim, &size));
    lines
}

/// Failures first. Long lists of ignored input are moved to the end, so that the figures stay
/// prominent.
fn attention(report: &Report, style: Style) -> Vec<String> {
    if report.attention.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![style.paint(Paint::Heading, "NEEDS ATTENTION")];
    let ignored = ignored(report).count();
    let is_long = ignored > IGNORED_AT_THE_TOP;
    let is_shown = |it: &&Notice| !(is_long && it.severity == Severity::Ignored);
    for attention in report.attention.iter().filter(is_shown) {
        lines.extend(attention_lines(attention, style));
    }
    if is_long {
        let text = format!("  ~ ignored  {ignored} parts of the input: NOT SIMULATED, at the end");
        lines.push(style.paint(Paint::Warning, &text));
    }
    lines
}

fn ignored(report: &Report) -> impl Iterator<Item = &Notice> {
    report.attention.iter().filter(|attention| attention.severity == Severity::Ignored)
}

fn attention_lines(attention: &Notice, style: Style) -> Vec<String> {
    let (badge, paint) = match attention.severity {
        Severity::Failure => ("  ✗ failed   ", Paint::Bad),
        Severity::Warning => ("  ! warning  ", Paint::Warning),
        Severity::Ignored => ("  ~ ignored  ", Paint::Warning),
    };
    let message = paragraph(badge, &attention.message);
    message.iter().map(|line| style.paint(paint, line)).collect()
}

fn not_simulated(report: &Report, style: Style) -> Vec<String> {
    if ignored(report).count() <= IGNORED_AT_THE_TOP {
        return Vec::new();
    }
    let mut lines = vec![style.paint(Paint::Heading, "NOT SIMULATED")];
    lines.extend(ignored(report).flat_map(|attention| attention_lines(attention, style)));
    lines
}

fn objectives(report: &Report, style: Style) -> Vec<String> {
    if report.objectives.is_empty() {
        return Vec::new();
    }
    let met = report.objectives.iter().filter(|objective| objective.met).count();
    let guesses = match report.assumptions.len() as u64 {
        0 => String::new(),
        guesses => format!(", based on {}: see ASSUMED", guesses_text(guesses)),
    };
    let title = format!("OBJECTIVES  {met} of {} met{guesses}", report.objectives.len());
    let mut table = Table::new(&[Align::Left; 5]);
    for objective in &report.objectives {
        let tick = if objective.met { "✓" } else { "✗" };
        table.row([
            tick.to_owned(),
            objective.subject.clone(),
            objective.figure.clone(),
            objective.value.clone(),
            objective.limit.clone(),
        ]);
    }
    let mut lines = vec![style.paint(Paint::Heading, &title)];
    let mut previous = "";
    for (objective, line) in report.objectives.iter().zip(table.lines()) {
        lines.push(if objective.met {
            line.replacen('✓', &style.paint(Paint::Good, "✓"), 1)
        } else {
            style.paint(Paint::Bad, &line)
        });
        let because = match &*objective.because {
            "" => None,
            again if again == previous => Some("for the same reasons".to_owned()),
            because => Some(format!("because {because}")),
        };
        previous = &objective.because;
        let miss = Some(miss(objective)).filter(|miss| !miss.is_empty());
        let how: Vec<String> = miss.into_iter().chain(missed_minutes(objective)).collect();
        let how = Some(how.join("; ")).filter(|how| !how.is_empty());
        let notes = how.into_iter().chain(because);
        let notes = notes.flat_map(|text| paragraph("       ", &text));
        lines.extend(notes.map(|line| style.paint(Paint::Dim, &line)));
    }
    lines
}

/// Number of minutes that individually missed an objective; `None` if none did.
pub(super) fn missed_minutes(objective: &ObjectiveResult) -> Option<String> {
    let minutes = objective.minutes.filter(|minutes| minutes.held < minutes.of)?;
    let missed = count(minutes.of - minutes.held);
    Some(format!("{missed} of {} missed it on their own", counted(minutes.of, "minute")))
}

fn guesses_text(guesses: u64) -> String {
    if guesses == 1 { "a guess".to_owned() } else { format!("{} guesses", count(guesses)) }
}

/// The size of an objective's miss, for a share in percentage points; empty if it was met.
pub(super) fn miss(objective: &ObjectiveResult) -> String {
    if objective.met {
        return String::new();
    }
    match objective.value_number {
        None if objective.value == "never" => "missed: too many failed".to_owned(),
        None => "missed: no value".to_owned(),
        Some(value) if objective.limit.ends_with('%') => {
            let points = (value - objective.limit_number).abs() * 100.0;
            format!("missed by {} percentage points", number(points))
        }
        Some(value) if objective.limit_number.abs() > 0.0 => {
            let by = (value - objective.limit_number).abs() / objective.limit_number.abs();
            format!("missed by {}", percent(by))
        }
        Some(_) => "missed".to_owned(),
    }
}

fn decisions(report: &Report, style: Style) -> Vec<String> {
    let (episodes, left_out) = episodes(&report.log, EPISODES);
    if episodes.is_empty() {
        return Vec::new();
    }
    let log = counted(report.log.len() as u64, "line");
    let title = match left_out {
        0 => format!("DECISIONS AND EVENTS  from {log} of the log"),
        more => {
            format!("DECISIONS AND EVENTS  from {log} of the log; {more} similar ones omitted")
        }
    };
    let mut lines = vec![style.paint(Paint::Heading, &title)];
    for episode in &episodes {
        let paint = match episode.milestone {
            Milestone::NodeLost | Milestone::Eviction | Milestone::Trouble => Paint::Warning,
            _ => Paint::Plain,
        };
        let [first, rest @ ..] = &episode_lines(episode)[..] else { continue };
        lines.push(style.paint(paint, first));
        lines.extend(rest.iter().map(|line| style.paint(Paint::Dim, line)));
    }
    lines
}

fn episode_lines(episode: &Episode<'_>) -> Vec<String> {
    let entry = episode.first;
    let repeats = match episode.lines {
        1 => String::new(),
        lines => format!("x{} until {}", count(lines), clock(episode.last_at_seconds)),
    };
    let at = format!("  {}  ", clock(entry.at_seconds));
    let what = format!("{at}{} {}", entry.reason, episode.about());
    let indent = " ".repeat(at.chars().count());
    let together = format!("{what}  {repeats}");
    let length = |text: &str| text.chars().count();
    let fits = length(&together) + length(&entry.actor) < usize::from(WIDTH);
    // A long name is truncated, the time never.
    let (head, below) = if fits { (together.trim_end(), None) } else { (&*what, Some(&repeats)) };
    let mut lines = two_sided(head, &entry.actor);
    lines.extend(below.filter(|text| !text.is_empty()).map(|text| format!("{indent}{text}")));
    lines.extend(paragraph(&indent, &episode.message()));
    lines
}

fn footer(report: &Report, style: Style) -> Vec<String> {
    let run = &report.run;
    let more = "more: `--report FILE.html` for charts, `-o json` for every figure, `wavetank explain \
                hpa/NAME --at T` for reasons";
    let mut lines: Vec<String> =
        paragraph("", more).iter().map(|line| style.paint(Paint::Dim, line)).collect();
    lines.extend(paragraph(
        "",
        &format!(
            "seed {}  scenario {}  wavetank {}  digest {}",
            run.seed, run.scenario_hash, run.wavetank_version, run.digest
        ),
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_hour_reads_as_drawn() {
        insta::assert_snapshot!(render(&fixture::hour(60.0), Style { color: false }));
    }

    #[test]
    fn a_missed_share_is_told_in_percentage_points_and_other_figures_relative_to_the_limit() {
        let [latency, ..] = &fixture::hour(60.0).objectives[..] else { panic!("no objective") };
        let missed = |limit: &str, limit_number, value| {
            let (limit, value_number) = (limit.to_owned(), Some(value));
            let figures = ObjectiveResult { limit, limit_number, value_number, ..latency.clone() };
            miss(&ObjectiveResult { met: false, ..figures })
        };
        assert_eq!(missed(">= 80 %", 0.8, 0.231_314), "missed by 56.9 percentage points");
        assert_eq!(missed("<= 300 ms", 0.3, 0.45), "missed by 50 %");
    }

    #[test]
    fn a_run_without_anything_reads_well() {
        insta::assert_snapshot!(render(&fixture::empty(), Style { color: false }));
    }

    #[test]
    fn colour_appears_only_when_asked_for() {
        let report = fixture::hour(60.0);
        let plain = render(&report, Style { color: false });
        let colored = render(&report, Style { color: true });
        assert!(!plain.contains('\u{1b}'));
        assert!(colored.contains('\u{1b}'));
        assert_eq!(without_escapes(&colored), plain);
    }

    #[test]
    fn no_line_is_wider_than_the_page_whatever_the_names() {
        for text in ["long-name-".repeat(40), "two words ".repeat(60), "名前".repeat(80)] {
            let report = fixture::with_texts(fixture::hour(60.0), &text);
            assert_fits(&render(&report, Style { color: false }));
        }
        let mut report = fixture::hour(60.0);
        report.services[0].arrived = u64::MAX;
        report.services[0].answered = u64::MAX;
        report.workloads[0].pods_created = u64::MAX;
        report.workloads[0].replicas.max = 1e18;
        assert_fits(&render(&report, Style { color: false }));
    }

    #[test]
    fn how_often_something_happened_is_told_however_long_the_names_are() {
        for text in ["web", &"long-name-".repeat(40)] {
            let report = fixture::with_texts(fixture::hour(60.0), text);
            let text = render(&report, Style { color: false });
            assert!(text.contains("x2 until 00:00:00"), "{text}");
        }
    }

    #[test]
    fn control_characters_of_names_do_not_reach_the_terminal() {
        let report = fixture::with_texts(fixture::hour(60.0), "a\u{1b}[31m\r\n\tb\u{9b}c");
        let text = render(&report, Style { color: false });
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
    }

    fn assert_fits(text: &str) {
        for line in text.lines() {
            let width = layout::width(line);
            assert!(width <= usize::from(WIDTH), "{width} columns: {line}");
        }
    }

    fn without_escapes(colored: &str) -> String {
        let mut parts = colored.split('\u{1b}');
        let mut plain = parts.next().unwrap().to_owned();
        for part in parts {
            plain.push_str(part.split_once('m').unwrap().1);
        }
        plain
    }
}
