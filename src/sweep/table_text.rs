//! A sweep for the terminal: the settings, and for each the figures that decide.

use super::figures::{Better, FigureName};
use super::table::{SweepRow, SweepTable};
use crate::report::figures::{ABSENT, counted};
use crate::report::text::layout::{Align, Paint, Style, Table, paragraph, two_sided};

/// The sweep as text, each line ended.
pub fn render(sweep: &SweepTable, style: Style) -> String {
    let size = format!(
        "{}, {} each",
        counted(sweep.rows.len() as u64, "setting"),
        counted(sweep.seeds.len() as u64, "seed")
    );
    let mut lines = two_sided(&format!("SWEEP  {}", sweep.scenario), &size);
    lines[0] = style.paint(Paint::Heading, &lines[0]);
    for (number, path) in (1..).zip(&sweep.varied) {
        lines.extend(paragraph(&format!("  {}  ", column(number)), path));
    }
    let mut rows = table(sweep).into_iter();
    lines.extend(rows.next().map(|header| style.paint(Paint::Dim, &header)));
    for (row, line) in sweep.rows.iter().zip(rows) {
        lines.push(match row {
            row if row.is_cheapest => style.paint(Paint::Good, &line),
            row if row.meets_objectives || row.objectives == 0 => line,
            _ => style.paint(Paint::Dim, &line),
        });
    }
    lines.push(String::new());
    lines.extend(paragraph("", &conclusion(sweep)));
    lines.join("\n") + "\n"
}

/// `A`, `B`, ...: paths are too long to stand over columns.
fn column(number: usize) -> String {
    let letter = u8::try_from(number).ok().filter(|number| *number <= 26);
    letter.map_or_else(|| format!("#{number}"), |number| char::from(b'A' + number - 1).to_string())
}

/// Latency and availability of the worst service, where there are several.
fn table(sweep: &SweepTable) -> Vec<String> {
    let paths = sweep.varied.len();
    let columns =
        [&[Align::Left][..], &vec![Align::Right; paths], &[Align::Right; 4], &[Align::Left]];
    let mut table = Table::new(&columns.concat());
    let figures = ["latency p95", "latency p99", "availability"];
    let titles = ["p95", "p99", "available", "a month", "objectives"].map(str::to_owned);
    let header = std::iter::once(String::new()).chain((1..=paths).map(column)).chain(titles);
    table.row_of(header);
    for row in &sweep.rows {
        let mark = if row.is_cheapest { "►" } else { "" };
        let shown = figures.map(|figure| worst(row, figure));
        let cost = format!("${:.2}", row.cost_per_month_usd);
        let cells = std::iter::once(mark.to_owned())
            .chain(row.values.iter().cloned())
            .chain(shown)
            .chain([cost, verdict(row)]);
        table.row_of(cells);
    }
    table.lines()
}

fn worst(row: &SweepRow, figure: &str) -> String {
    let of_services =
        row.figures.iter().filter(|one| one.name.figure == figure && is_of_service(&one.name));
    let values: Vec<_> = of_services.map(|one| (&one.name, one.mean)).collect();
    let Some((name, _)) = values.first() else { return ABSENT.to_owned() };
    let known = values.iter().filter_map(|(_, mean)| *mean);
    let worst = match name.better {
        Better::Higher => known.reduce(f64::min),
        Better::Lower | Better::Neither => known.reduce(f64::max),
    };
    name.unit.words_or_absent(worst)
}

fn is_of_service(name: &FigureName) -> bool {
    name.subject.starts_with("service ")
}

fn verdict(row: &SweepRow) -> String {
    match (row.objectives, &row.missed[..]) {
        (0, _) => String::new(),
        (_, []) => "met".to_owned(),
        (_, [one]) => format!("missed: {one}"),
        (_, [one, more @ ..]) => format!("missed: {one}, {} more", more.len()),
    }
}

fn conclusion(sweep: &SweepTable) -> String {
    let setting = |row: &SweepRow| {
        let pairs = sweep.varied.iter().zip(&row.values);
        let pairs: Vec<String> = pairs.map(|(path, value)| format!("{path}={value}")).collect();
        pairs.join(" ")
    };
    match sweep.rows.iter().find(|row| row.is_cheapest) {
        Some(row) => format!(
            "► cheapest that meets every objective with every seed: {}, at ${:.2} a month",
            setting(row),
            row.cost_per_month_usd
        ),
        None if sweep.rows.iter().all(|row| row.objectives == 0) => {
            "the scenario has no objectives, so nothing says which setting will do; add `objectives`"
                .to_owned()
        }
        None => "no setting meets every objective with every seed".to_owned(),
    }
}
