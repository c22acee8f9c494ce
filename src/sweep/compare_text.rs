//! A comparison for the terminal.

use super::compare::{ComparedFigure, Comparison, Verdict};
use super::figures::Unit;
use report::figures::{ABSENT, counted};
use report::text::layout::{Align, Paint, Style, Table, paragraph, two_sided};

/// The comparison as text, each line ended.
pub fn render(comparison: &Comparison, style: Style) -> String {
    let mut lines = header(comparison, style);
    let mut subject = "";
    let table = table(comparison);
    for (figure, line) in comparison.figures.iter().zip(table.iter().skip(1)) {
        if figure.name.subject != subject {
            subject = &figure.name.subject;
            lines.push(String::new());
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
    lines.push(String::new());
    lines.push(sums(comparison));
    lines.join("\n") + "\n"
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
    lines.push(String::new());
    lines.extend(table(comparison).first().map(|line| style.paint(Paint::Dim, line)));
    lines
}

fn table(comparison: &Comparison) -> Vec<String> {
    let right = [Align::Right; 4];
    let mut table = Table::new(&[&[Align::Left][..], &right, &[Align::Left]].concat());
    table.row(["", "first", "second", "difference", "± 95 %", ""].map(str::to_owned));
    for figure in &comparison.figures {
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

/// Half width of the confidence interval of the mean difference; empty where there is no doubt.
fn half_width(unit: Unit, width: f64) -> String {
    let half = unit.difference(width / 2.0);
    if width > 0.0 { half.replacen('+', "± ", 1) } else { String::new() }
}

/// The difference, and what share of the first side it is where that says something.
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
