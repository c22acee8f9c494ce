//! A sweep as a self-contained HTML page: the answer, the pictures, and all rows.

use super::pictures::pictures;
use super::table::{SweepRow, SweepTable};
use super::table_text::{conclusion, verdict};
use report::figures::{ABSENT, counted};
use report::html::{escape, figure, page, section};

/// The page.
pub fn render(sweep: &SweepTable) -> String {
    let size = format!(
        "{} · {} each",
        counted(sweep.rows.len() as u64, "setting"),
        counted(sweep.seeds.len() as u64, "seed")
    );
    let header = format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p class=\"muted\">{}</p>\n",
        escape(&sweep.scenario),
        escape(&conclusion(sweep)),
        escape(&size)
    );
    let charts: String = pictures(sweep).iter().map(figure).collect();
    let sections = [section("In pictures", &charts), section("All settings", &table(sweep))];
    page(&format!("{}: sweep", sweep.scenario), &header, &sections.concat())
}

fn table(sweep: &SweepTable) -> String {
    let paths = sweep.varied.iter().map(|path| format!("<th>{}</th>", escape(path)));
    let titles = ["p95", "p99", "available", "a month", "objectives"];
    let titles = titles.map(|title| format!("<th>{title}</th>"));
    let header: String = paths.chain(titles).collect();
    let rows: String = sweep.rows.iter().map(|row| line(sweep, row)).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

fn line(sweep: &SweepTable, row: &SweepRow) -> String {
    let shown = |name: &str| match sweep.worst(row, name) {
        Some((figure, value)) => figure.unit.words(value),
        None => ABSENT.to_owned(),
    };
    let figures = ["latency p95", "latency p99", "availability"].map(shown).into_iter();
    let cost = format!("${:.2}", row.cost_per_month_usd);
    let figures = row.values.iter().cloned().chain(figures).chain([cost]);
    let cells: Vec<String> =
        figures.map(|text| format!("<td class=\"n\">{}</td>", escape(&text))).collect();
    let cells = cells.concat();
    let class = if row.is_cheapest { " class=\"good\"" } else { "" };
    let verdict = if row.is_cheapest { "recommended".to_owned() } else { verdict(row) };
    format!("<tr{class}>{cells}<td>{}</td></tr>\n", escape(&verdict))
}
