//! Result of a sweep: a row for each setting, with what is wrong with it.

use serde::Serialize;

use super::confirm::Confirmation;
use super::figures::FigureName;
use super::measure::gather;
use super::objective_prices::ObjectivePrice;
use super::summary::{RunSummary, WorkloadSummary, told};
use report::figures::{counted, span};

/// Version of the JSON form: the minor grows with added fields, the major with changed ones.
const FORMAT_VERSION: &str = "1.3";

/// Columns of a data file between the settings and the figures.
pub(super) const VERDICTS: [&str; 5] =
    ["meets_objectives", "is_cheapest", "missed", "never_ran", "troubles"];

/// The results of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepTable {
    format_version: &'static str,
    /// Name of the scenario.
    pub scenario: String,
    /// The seeds with which each setting was run.
    pub seeds: Vec<u64>,
    /// Subjects of the services that have objectives; if none has, of those that clients ask.
    pub leading: Vec<String>,
    /// The paths that were varied.
    pub varied: Vec<String>,
    /// For each of them the value that it has in the scenario; absent if no row has that.
    pub current: Vec<Option<String>>,
    /// A row for each combination of values, in the order of the grid.
    pub rows: Vec<SweepRow>,
    /// What each objective costs that some row missed, once a row is selected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<ObjectivePrice>,
}

/// One combination of values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepRow {
    /// A value for each path of [`SweepTable::varied`].
    pub values: Vec<String>,
    /// Number of objectives of the scenario.
    pub objectives: usize,
    /// Objectives missed with any of the seeds: `service shop/web latency p95`.
    pub missed: Vec<String>,
    /// Whether there are objectives, and all were met with every seed.
    pub meets_objectives: bool,
    /// Pods without a node or not ready at the end of a run, by workload: `Deployment/shop/web: 3 pods have no node`.
    /// Such a row is never selected: the missing pods cost nothing.
    pub never_ran: Vec<String>,
    /// Other problems of its pods: restarts, waiting for nodes.
    pub troubles: Vec<String>,
    /// Smallest headroom of a figure, as a share of its limit; negative if a limit is missed; absent if there is no
    /// limit of a service.
    pub room: Option<f64>,
    /// Result of the confirmation with fresh seeds, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
    /// Whether it is selected: the cheapest that meets the objectives with all seeds, fresh ones included; ties by
    /// the fewest changes to the current values, as far as these leave headroom, and then by the most headroom.
    pub is_cheapest: bool,
    /// Cost of the cluster, US dollars a month, mean over the seeds.
    pub cost_per_month_usd: f64,
    /// All figures, as means over the seeds.
    pub figures: Vec<SweepFigure>,
}

impl SweepRow {
    /// Whether it meets the objectives and runs all of its pods with every seed, the fresh ones included.
    pub fn will_do(&self) -> bool {
        let is_confirmed = self.confirmation.as_ref().is_none_or(Confirmation::holds);
        self.meets_objectives && self.never_ran.is_empty() && is_confirmed
    }
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
    /// The table of a grid and the runs of each of its cells, one for each seed.
    /// `current` has the current value of each path, where that is known.
    pub fn new(
        varied: Vec<String>,
        current: Vec<Option<String>>,
        cells: Vec<(Vec<String>, Vec<RunSummary>)>,
    ) -> Self {
        let first = cells.first().map_or(&[][..], |(_, runs)| runs);
        let scenario = first.first().map(|run| run.scenario.clone()).unwrap_or_default();
        let seeds = first.iter().map(|run| run.seed).collect();
        let leading = first.first().map(|run| run.leading.clone()).unwrap_or_default();
        let rows = cells.into_iter().map(|(values, runs)| row(values, &runs)).collect();
        Self {
            format_version: FORMAT_VERSION,
            scenario,
            seeds,
            leading,
            varied,
            current,
            rows,
            prices: Vec::new(),
        }
    }

    /// How many settings a row changes, as far as their current values are known.
    pub fn changes(&self, row: &SweepRow) -> usize {
        let values = row.values.iter().zip(&self.current);
        values
            .filter(|(value, current)| current.as_ref().is_some_and(|current| current != *value))
            .count()
    }

    /// As indented JSON, with a line break at the end.
    pub fn json(&self) -> String {
        report::json::render(self)
    }

    /// As CSV: the varied paths, then the objectives met and missed, then all figures.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let names = self.figure_names();
        let titles = VERDICTS.map(str::to_owned);
        let figures = names.iter().map(|name| column(name));
        writer.write_record(self.varied.iter().cloned().chain(titles).chain(figures))?;
        for row in &self.rows {
            let verdict = [
                row.meets_objectives.to_string(),
                row.is_cheapest.to_string(),
                row.missed.join("; "),
                row.never_ran.join("; "),
                row.troubles.join("; "),
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

/// The column of a figure in a data file: `service shop/web latency p95 [ms]`.
pub(super) fn column(name: &FigureName) -> String {
    told(&name.subject, &title(name))
}

/// A figure with its unit, as a column of a data file has it.
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

/// The objectives that any of the runs missed.
pub(crate) fn missed_in(runs: &[RunSummary]) -> Vec<String> {
    let mut missed: Vec<String> = Vec::new();
    for objective in runs.iter().flat_map(|run| &run.objectives) {
        if !objective.met && !missed.contains(&objective.name) {
            missed.push(objective.name.clone());
        }
    }
    missed
}

/// The least room that any run leaves to a limit.
fn room_in(runs: &[RunSummary]) -> Option<f64> {
    let objectives = runs.iter().flat_map(|run| &run.objectives);
    objectives.filter_map(|objective| objective.room).reduce(f64::min)
}

/// The most that any of the runs shows, workload by workload.
fn most(runs: &[RunSummary], count: impl Fn(&WorkloadSummary) -> u64) -> Vec<(&str, u64)> {
    let mut most: Vec<(&str, u64)> = Vec::new();
    for workload in runs.iter().flat_map(|run| &run.workloads) {
        let count = count(workload);
        match most.iter_mut().find(|(name, _)| *name == workload.workload) {
            Some((_, known)) => *known = count.max(*known),
            None => most.push((&workload.workload, count)),
        }
    }
    most.retain(|(_, count)| *count > 0);
    most
}

/// The workloads whose pods did not run at the end: `Deployment/shop/web: 3 pods without a node at the end`.
pub fn never_ran(runs: &[RunSummary]) -> Vec<String> {
    let without_node = most(runs, |workload| workload.without_node);
    let not_ready = most(runs, |workload| workload.not_ready);
    let tell = |what: &'static str| {
        move |(name, count): (&str, u64)| format!("{name}: {} {what}", counted(count, "pod"))
    };
    let without_node = without_node.into_iter().map(tell("without a node at the end"));
    without_node.chain(not_ready.into_iter().map(tell("not ready at the end"))).collect()
}

fn troubles(runs: &[RunSummary]) -> Vec<String> {
    let restarts = most(runs, |workload| workload.restarts).into_iter();
    let restarts = restarts.map(|(name, count)| format!("{name}: {}", counted(count, "restart")));
    let waited = most(runs, |workload| workload.pending_seconds).into_iter();
    let waited = waited.filter(|(_, seconds)| *seconds >= 60);
    let waited = waited
        .map(|(name, seconds)| format!("{name}: pods waited {} for a node", span(seconds as f64)));
    restarts.chain(waited).collect()
}

fn row(values: Vec<String>, runs: &[RunSummary]) -> SweepRow {
    let missed = missed_in(runs);
    let objectives = runs.first().map_or(0, |run| run.objectives.len());
    let costs = runs.iter().map(|run| run.month_usd);
    let measured = gather(runs.iter().map(|run| run.figures.clone()));
    SweepRow {
        values,
        objectives,
        meets_objectives: objectives > 0 && missed.is_empty(),
        missed,
        never_ran: never_ran(runs),
        troubles: troubles(runs),
        room: room_in(runs),
        confirmation: None,
        is_cheapest: false,
        cost_per_month_usd: costs.sum::<f64>() / runs.len().max(1) as f64,
        figures: measured
            .into_iter()
            .map(|one| SweepFigure { mean: one.mean(), name: one.name })
            .collect(),
    }
}
