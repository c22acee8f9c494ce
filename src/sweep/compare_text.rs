//! A comparison for the terminal.

use super::compare::{ComparedFigure, Comparison, Verdict};
use super::compared_objectives::MissedBy;
use super::figures::Unit;
use report::figures::{ABSENT, counted, percent};
use report::text::layout::{Align, Paint, Style, Table, paragraph, two_sided};
use units::Money;

/// Steps of the bill that are told one by one.
const STEPS: usize = 12;

/// Maximum number of rows for figures that are not gated, unless all are requested.
const OTHERS: usize = 8;

/// The comparison as text, each line terminated: its verdict, then the figures that differ, or all of them.
pub fn render(comparison: &Comparison, all: bool, style: Style) -> String {
    let mut lines = header(comparison, style);
    lines.extend(summary(comparison, style));
    lines.extend(objectives(comparison, style));
    let (shown, left_out) = shown(comparison, all);
    let table = table(&shown);
    if !shown.is_empty() {
        lines.push(String::new());
        lines.extend(table.first().map(|line| style.paint(Paint::Dim, line)));
    }
    let mut subject = "";
    for (figure, line) in shown.iter().zip(table.iter().skip(1)) {
        if figure.name.subject != subject {
            subject = &figure.name.subject;
            lines.push(style.paint(Paint::Heading, subject));
        }
        let paint = match figure.verdict {
            Verdict::Better => Paint::Good,
            Verdict::Worse => Paint::Bad,
            Verdict::Same => Paint::Dim,
            Verdict::Changed | Verdict::Unclear => Paint::Plain,
        };
        lines.push(style.paint(paint, line));
    }
    lines.extend(waterfall(comparison, style));
    lines.push(String::new());
    lines.push(sums(comparison));
    if left_out > 0 {
        let more = format!("{} not shown: --all shows them", counted(left_out, "figure"));
        lines.push(style.paint(Paint::Dim, &more));
    }
    lines.join("\n") + "\n"
}

/// Changes of the bill, step by step; empty if there is none.
fn waterfall(comparison: &Comparison, style: Style) -> Vec<String> {
    let Some(fall) = comparison.waterfall.as_ref().filter(|fall| !fall.steps.is_empty()) else {
        return Vec::new();
    };
    let mut table = Table::new(&[Align::Left, Align::Right]);
    table.row(["first".to_owned(), fall.from_usd.to_string()]);
    let (own, rest) = fall.steps.split_at(fall.steps.len().min(STEPS));
    let signed = |usd: Money| {
        let sign = if usd < Money::ZERO { "-" } else { "+" };
        format!("{sign}{}", if usd < Money::ZERO { Money::ZERO - usd } else { usd })
    };
    for step in own {
        table.row([step.what.clone(), signed(step.usd)]);
    }
    if !rest.is_empty() {
        let usd = rest.iter().map(|step| step.usd).sum();
        table.row([format!("{} more lines", rest.len()), signed(usd)]);
    }
    table.row(["second".to_owned(), fall.to_usd.to_string()]);
    let heading = style.paint(Paint::Heading, "WHAT CHANGES THE BILL  a month, mean of the seeds");
    [String::new(), heading].into_iter().chain(table.lines()).collect()
}

/// The verdict on the gated figures.
fn summary(comparison: &Comparison, style: Style) -> Vec<String> {
    let judged = comparison.figures.iter().filter(|one| one.is_gated).count();
    let verdicts = [(Verdict::Worse, Paint::Bad), (Verdict::Better, Paint::Good)];
    let mut lines = vec![String::new()];
    for (verdict, paint) in verdicts {
        for figure in comparison.gated(verdict) {
            let unit = figure.name.unit;
            let text = format!(
                "{} {}: {} to {}, {}",
                figure.name.subject,
                figure.name.figure,
                unit.words_or_absent(figure.baseline),
                unit.words_or_absent(figure.candidate),
                figure.difference.map_or_else(|| ABSENT.to_owned(), |by| difference(figure, by)),
            );
            // On one line, however long, so that a search for the failure also finds its cause.
            let because = if verdict == Verdict::Worse && !figure.because.is_empty() {
                let separator = if figure.because.starts_with("with ") { " " } else { ": " };
                format!("; objective missed{separator}{}", figure.because)
            } else {
                String::new()
            };
            let line = format!("{:<8}{text}{because}", word(verdict));
            lines.push(style.paint(paint, &line));
        }
    }
    let worse = comparison.gated(Verdict::Worse).count();
    let better = comparison.gated(Verdict::Better).count();
    let rest = format!(
        "{worse} worse and {better} better of {} that this is judged by: of services with objectives or clients, and the \
         bill. Of comparisons without a difference at most {} find one.",
        counted(judged as u64, "figure"),
        percent(comparison.false_alarms),
    );
    lines.extend(paragraph("", &rest));
    let newly = comparison.newly_missed().count();
    if newly > 0 {
        let seeds = match comparison.seeds.len() {
            1 => "the only seed".to_owned(),
            seeds => format!("all {seeds} seeds"),
        };
        let text = format!(
            "{} newly missed with {seeds}: that is worse, too",
            counted(newly as u64, "objective")
        );
        lines.extend(paragraph("", &text).iter().map(|line| style.paint(Paint::Bad, line)));
    }
    lines
}

/// The objectives that a side missed, and why.
fn objectives(comparison: &Comparison, style: Style) -> Vec<String> {
    if comparison.objectives.is_empty() {
        return Vec::new();
    }
    let heading = style.paint(Paint::Heading, "OBJECTIVES MISSED");
    let mut lines = vec![String::new(), heading];
    let seeds = comparison.seeds.len();
    let mut told = [""; 2];
    for objective in &comparison.objectives {
        let (first, second) = (&objective.baseline, &objective.candidate);
        let paint = match (first, second) {
            (None, Some(_)) if objective.is_in_baseline => Paint::Bad,
            (Some(_), None) => Paint::Good,
            _ => Paint::Plain,
        };
        let name = format!("  {} {} {}", objective.subject, objective.figure, objective.limit);
        lines.push(style.paint(paint, &name));
        let sides = [
            ("    first   ", first, objective.is_in_baseline),
            ("    second  ", second, objective.is_in_candidate),
        ];
        for ((label, side, is_there), told) in sides.into_iter().zip(&mut told) {
            let text = match side {
                None if !is_there => "has no such objective".to_owned(),
                side => how(side.as_ref(), seeds, told),
            };
            lines.extend(paragraph(label, &text));
            *told = side.as_ref().map_or("", |side| &side.because);
        }
    }
    lines
}

/// How a side missed an objective, in words. `told` are the reasons of the one above.
fn how(missed: Option<&MissedBy>, seeds: usize, told: &str) -> String {
    let Some(MissedBy { seeds: with, because }) = missed else { return "not missed".to_owned() };
    // The reasons are those of the first of these seeds.
    let (with, first) = match &with[..] {
        [seed] if seeds > 1 => {
            (format!("missed with 1 of {seeds} seeds (seed {seed})"), String::new())
        }
        [first, ..] if seeds > 1 => {
            let number = with.len();
            (format!("missed with {number} of {seeds} seeds"), format!("; with seed {first}"))
        }
        _ => ("missed".to_owned(), String::new()),
    };
    match &**because {
        "" => with,
        again if again == told => format!("{with} for the same reasons"),
        because => format!("{with}{first} because {because}"),
    }
}

/// The figures to show, and the number omitted: gated figures that may differ by more than the tolerance, and those
/// of the others that differ most.
fn shown(comparison: &Comparison, all: bool) -> (Vec<&ComparedFigure>, u64) {
    let may_differ = |figure: &&ComparedFigure| figure.verdict != Verdict::Same;
    let is_settled = |figure: &ComparedFigure| {
        matches!(figure.verdict, Verdict::Worse | Verdict::Better | Verdict::Changed)
    };
    let mut others = 0;
    let shown: Vec<&ComparedFigure> = comparison
        .figures
        .iter()
        .filter(|figure| {
            if all || (figure.is_gated && may_differ(figure)) {
                return true;
            }
            let is_shown = !figure.is_gated && is_settled(figure) && others < OTHERS;
            others += usize::from(is_shown);
            is_shown
        })
        .collect();
    let left_out = (comparison.figures.len() - shown.len()) as u64;
    (shown, left_out)
}

fn header(comparison: &Comparison, style: Style) -> Vec<String> {
    let runs = format!("{} on each side", counted(comparison.seeds.len() as u64, "seed"));
    let mut lines = two_sided("COMPARISON", &runs);
    lines[0] = style.paint(Paint::Heading, &lines[0]);
    lines.extend(paragraph("  first   ", &comparison.baseline.label));
    lines.extend(paragraph("  second  ", &comparison.candidate.label));
    if comparison.tolerance > 0.0 {
        let equal = format!(
            "differences up to {} % count as none; with --tolerance 0 all count that are not chance",
            comparison.tolerance * 100.0
        );
        lines.extend(paragraph("  within  ", &equal));
    }
    for note in &comparison.notes {
        let note = paragraph("  ! note  ", note);
        lines.extend(note.iter().map(|line| style.paint(Paint::Warning, line)));
    }
    lines
}

fn table(figures: &[&ComparedFigure]) -> Vec<String> {
    let right = [Align::Right; 4];
    let mut table = Table::new(&[&[Align::Left][..], &right, &[Align::Left]].concat());
    table.row(["", "first", "second", "difference", "± 95 %", ""].map(str::to_owned));
    for figure in figures {
        let unit = figure.name.unit;
        table.row([
            figure.name.figure.clone(),
            unit.words_or_absent(figure.baseline),
            unit.words_or_absent(figure.candidate),
            figure.difference.map_or_else(|| ABSENT.to_owned(), |by| difference(figure, by)),
            figure
                .interval
                .map_or_else(|| ABSENT.to_owned(), |[low, high]| half_width(unit, high - low)),
            verdict(figure).to_owned(),
        ]);
    }
    table.lines()
}

/// Half width of the confidence interval of the mean difference; empty if zero.
fn half_width(unit: Unit, width: f64) -> String {
    let half = unit.difference(width / 2.0);
    if width > 0.0 { half.replacen('+', "± ", 1) } else { String::new() }
}

/// The difference, with its share of the baseline where that is meaningful.
fn difference(figure: &ComparedFigure, by: f64) -> String {
    let words = figure.name.unit.difference(by);
    let is_share = figure.name.unit == Unit::Share;
    match figure.baseline {
        Some(of) if of.abs() > 0.0 && by.abs() > 0.0 && !is_share => {
            format!("{words} ({:+.1} %)", by / of.abs() * 100.0)
        }
        _ => words,
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "same",
        Verdict::Better => "better",
        Verdict::Worse => "WORSE",
        Verdict::Changed => "changed",
        Verdict::Unclear => "unclear",
    }
}

fn sums(comparison: &Comparison) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let order = ["WORSE", "better", "changed", "unclear", WITHIN, "same"];
    for one in order {
        let with = comparison.figures.iter().filter(|figure| verdict(figure) == one).count();
        counts.extend((with > 0).then_some((one, with)));
    }
    let counted = counts.iter().map(|(one, count)| match *one {
        WITHIN => format!("{count} within {} %", comparison.tolerance * 100.0),
        one => format!("{count} {}", one.to_lowercase()),
    });
    let counted: Vec<String> = counted.collect();
    format!("{} figures: {}", comparison.figures.len(), counted.join(", "))
}

/// The word for a difference that counts as none.
const WITHIN: &str = "within";

fn verdict(figure: &ComparedFigure) -> &'static str {
    match (figure.verdict, figure.difference) {
        (Verdict::Same, Some(by)) if by.abs() > 0.0 => WITHIN,
        (verdict, _) => word(verdict),
    }
}
