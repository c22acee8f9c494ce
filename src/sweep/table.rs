//! Result of a sweep: a row for each setting, the cheapest that meets the objectives marked.

use serde::Serialize;

use super::figures::FigureName;
use super::measure::Measurement;
use report::Report;

/// Version of the JSON form: the minor grows with added fields, the major with changed ones.
const FORMAT_VERSION: &str = "1.0";

/// The results of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepTable {
    format_version: &'static str,
    /// Name of the scenario.
    pub scenario: String,
    /// The seeds with which each setting was run.
    pub seeds: Vec<u64>,
    /// The paths that were varied.
    pub varied: Vec<String>,
    /// A row for each combination of values, in the order of the grid.
    pub rows: Vec<SweepRow>,
}

/// One combination of values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepRow {
    /// A value for each path of [`SweepTable::varied`].
    pub values: Vec<String>,
    /// Objectives of the scenario.
    pub objectives: usize,
    /// Those that were missed with any of the seeds: `service shop/web latency p95`.
    pub missed: Vec<String>,
    /// Whether there are objectives, and all were met with every seed.
    pub meets_objectives: bool,
    /// Whether it is the cheapest of those; the first in the grid if several cost the same.
    pub is_cheapest: bool,
    /// Cost of the cluster, US dollars a month, mean over the seeds.
    pub cost_per_month_usd: f64,
    /// All figures, as means over the seeds.
    pub figures: Vec<SweepFigure>,
}

/// A figure of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepFigure {
    /// Name of the figure.
    #[serde(flatten)]
    pub name: FigureName,
    /// Mean over the seeds that have it.
    pub mean: Option<f64>,
}

impl SweepTable {
    /// The table of a grid and the reports of each of its cells, one for each seed.
    pub fn new(varied: Vec<String>, cells: Vec<(Vec<String>, Vec<Report>)>) -> Self {
        let first = cells.first().map_or(&[][..], |(_, reports)| reports);
        let scenario = first.first().map(|report| report.run.scenario.clone()).unwrap_or_default();
        let seeds = first.iter().map(|report| report.run.seed).collect();
        let mut rows: Vec<SweepRow> =
            cells.into_iter().map(|(values, reports)| row(values, &reports)).collect();
        let good = rows.iter_mut().filter(|row| row.meets_objectives);
        let cheapest = good.min_by(|a, b| a.cost_per_month_usd.total_cmp(&b.cost_per_month_usd));
        if let Some(cheapest) = cheapest {
            cheapest.is_cheapest = true;
        }
        Self { format_version: FORMAT_VERSION, scenario, seeds, varied, rows }
    }

    /// As indented JSON, with a line break at the end.
    pub fn json(&self) -> String {
        report::json::render(self)
    }

    /// As CSV: the varied paths, then the objectives met and missed, then all figures.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let names = self.figure_names();
        let titles = ["meets_objectives", "is_cheapest", "missed"].map(str::to_owned);
        let figures = names.iter().map(|name| told(&name.subject, &title(name)));
        writer.write_record(self.varied.iter().cloned().chain(titles).chain(figures))?;
        for row in &self.rows {
            let verdict = [
                row.meets_objectives.to_string(),
                row.is_cheapest.to_string(),
                row.missed.join("; "),
            ];
            let figures = names
                .iter()
                .map(|name| row.figure(name).map(|value| value.to_string()).unwrap_or_default());
            writer.write_record(row.values.iter().cloned().chain(verdict).chain(figures))?;
        }
        writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
    }

    /// The figures of all rows, in their order.
    pub(crate) fn figure_names(&self) -> Vec<&FigureName> {
        let mut names: Vec<&FigureName> = Vec::new();
        for figure in self.rows.iter().flat_map(|row| &row.figures) {
            if !names.contains(&&figure.name) {
                names.push(&figure.name);
            }
        }
        names
    }
}

impl SweepRow {
    /// A figure of this row.
    pub fn figure(&self, name: &FigureName) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == *name)?.mean
    }
}

/// A figure with its unit, as a column of a data file has it.
/// Of what a figure is, said once.
fn told(subject: &str, figure: &str) -> String {
    match figure.strip_prefix(subject) {
        Some(rest) if rest.starts_with(' ') => figure.to_owned(),
        _ => format!("{subject} {figure}"),
    }
}

fn title(name: &FigureName) -> String {
    use super::figures::Unit;
    let unit = match name.unit {
        Unit::Ms => " [ms]",
        Unit::Seconds => " [s]",
        Unit::Usd => " [USD]",
        Unit::Share | Unit::Number => "",
    };
    format!("{}{unit}", name.figure)
}

fn row(values: Vec<String>, reports: &[Report]) -> SweepRow {
    let mut missed: Vec<String> = Vec::new();
    for objective in reports.iter().flat_map(|report| &report.objectives) {
        let name = told(&objective.subject, &objective.figure);
        if !objective.met && !missed.contains(&name) {
            missed.push(name);
        }
    }
    let objectives = reports.first().map_or(0, |report| report.objectives.len());
    let costs = reports.iter().map(|report| report.cost.month_usd.as_usd());
    let measured = Measurement::of("", reports).figures;
    SweepRow {
        values,
        objectives,
        meets_objectives: objectives > 0 && missed.is_empty(),
        missed,
        is_cheapest: false,
        cost_per_month_usd: costs.sum::<f64>() / reports.len().max(1) as f64,
        figures: measured
            .into_iter()
            .map(|one| SweepFigure { mean: one.mean(), name: one.name })
            .collect(),
    }
}
