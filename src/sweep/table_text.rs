//! A sweep for the terminal: the settings, and for each the figures that decide.

use super::figures::{Better, FigureName, TTFT_P95};
use super::table::{SweepRow, SweepTable};
use report::figures::{ABSENT, counted};
use report::text::layout::{Align, Paint, Style, Table, paragraph, two_sided};

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
    let figures = figures(sweep);
    let right = vec![Align::Right; paths + figures.len() + 1];
    let mut table = Table::new(&[&[Align::Left][..], &right, &[Align::Left]].concat());
    let titles = figures.iter().map(|(title, _)| *title).chain(["a month", "objectives"]);
    let header = std::iter::once(String::new())
        .chain((1..=paths).map(column))
        .chain(titles.map(str::to_owned));
    table.row_of(header);
    for row in &sweep.rows {
        let mark = if row.is_cheapest { "►" } else { "" };
        let shown = figures.iter().map(|(_, figure)| worst(row, figure));
        let cost = format!("${:.2}", row.cost_per_month_usd);
        let cells = std::iter::once(mark.to_owned())
            .chain(row.values.iter().cloned())
            .chain(shown)
            .chain([cost, verdict(row)]);
        table.row_of(cells);
    }
    table.lines()
}

/// The columns of figures, each with its title.
fn figures(sweep: &SweepTable) -> Vec<(&'static str, &'static str)> {
    let mut figures = vec![("p95", "latency p95"), ("p99", "latency p99")];
    let mut known = sweep.rows.iter().flat_map(|row| &row.figures);
    if known.any(|one| one.name.figure == TTFT_P95) {
        figures.push((TTFT_P95, TTFT_P95));
    }
    figures.push(("available", "availability"));
    figures
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
        Some(row) => {
            let cost = format!("${:.2}", row.cost_per_month_usd);
            let alike = |one: &&SweepRow| {
                one.meets_objectives && format!("${:.2}", one.cost_per_month_usd) == cost
            };
            let others = match sweep.rows.iter().filter(alike).count() {
                0 | 1 => String::new(),
                all => format!(
                    "; {} that will do cost the same, as the nodes are what is paid for",
                    counted(all as u64 - 1, "other setting")
                ),
            };
            let setting = setting(row);
            format!("► cheapest that meets every objective with every seed: {setting}, at {cost} a month{others}")
        }
        None if sweep.rows.iter().all(|row| row.objectives == 0) => {
            "the scenario has no objectives, so nothing says which setting will do; add `objectives`"
                .to_owned()
        }
        None => "no setting meets every objective with every seed".to_owned(),
    }
}
