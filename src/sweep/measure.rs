//! The figures of one setting over several seeds, for comparisons and for storage in a file.

use serde::{Deserialize, Serialize};

use super::figures::{Figure, FigureName, figures};
use super::interval::mean;
use super::waterfall::{BillLine, bill_lines};
use report::{ClassReport, Report};

/// Version of the file format: the minor grows with added fields, the major with changed ones.
const FORMAT_VERSION: &str = "1.4";

/// Figures of one scenario over several seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Version of the format.
    pub format_version: String,
    /// Label in a comparison: the scenario's file, and the settings made in it.
    pub label: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Fingerprint of the scenario with all its files, hexadecimal.
    pub scenario_hash: String,
    /// The seeds, in the order of the values.
    pub seeds: Vec<u64>,
    /// Subjects of the services that have objectives or clients; empty in files before 1.1.
    #[serde(default)]
    pub leading: Vec<String>,
    /// The objectives of the scenario, met or missed; empty in files before 1.4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<Stated>,
    /// Objectives missed by any of the runs; empty in files before 1.2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed>,
    /// The bill of a month, line by line; empty in files before 1.3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bill: Vec<BillLine>,
    /// Each figure with its values, in the order of the report.
    pub figures: Vec<Measured>,
}

/// An objective of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// Such as `service shop/web`.
    pub subject: String,
    /// Such as `latency p95`.
    pub figure: String,
    /// The limit in words.
    pub limit: String,
}

/// An objective that was missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Such as `service shop/web`.
    pub subject: String,
    /// Such as `latency p95`; empty in files before 1.3, which have one entry for all objectives of a subject.
    #[serde(default)]
    pub figure: String,
    /// The limit in words.
    #[serde(default)]
    pub limit: String,
    /// The seeds with which it was missed.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// The reason as in the report.
    pub because: String,
}

/// One figure over the seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Name of the figure.
    #[serde(flatten)]
    pub name: FigureName,
    /// Its value for each seed.
    pub values: Vec<Option<f64>>,
}

impl Measurement {
    /// The figures of the runs of one scenario, one for each seed.
    pub fn of(label: impl Into<String>, reports: &[Report]) -> Self {
        let first = reports.first().map(|report| &report.run);
        Self {
            format_version: FORMAT_VERSION.to_owned(),
            label: label.into(),
            scenario: first.map(|run| run.scenario.clone()).unwrap_or_default(),
            scenario_hash: first.map(|run| run.scenario_hash.clone()).unwrap_or_default(),
            seeds: reports.iter().map(|report| report.run.seed).collect(),
            leading: reports.first().map(leading).unwrap_or_default(),
            objectives: stated(reports),
            missed: missed(reports),
            bill: bill_lines(reports),
            figures: gather(reports.iter().map(figures)),
        }
    }

    /// Parses a stored measurement.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(json).map_err(|error| {
            format!("this is not a file written by `wavetank compare --save`: {error}")
        })?;
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        if major(&read.format_version) != major(FORMAT_VERSION) {
            return Err(format!(
                "its format is {}, this wavetank reads {FORMAT_VERSION}; save it again",
                read.format_version
            ));
        }
        let seeds = read.seeds.len();
        match read.figures.iter().find(|figure| figure.values.len() != seeds) {
            Some(odd) => Err(format!("{}: there are not {seeds} values", odd.name.figure)),
            None if seeds == 0 => Err("it holds no run".to_owned()),
            None => Ok(read),
        }
    }

    /// As indented JSON with a trailing newline.
    pub fn json(&self) -> String {
        report::json::render(self)
    }
}

fn stated(reports: &[Report]) -> Vec<Stated> {
    let mut stated: Vec<Stated> = Vec::new();
    for one in reports.iter().flat_map(|report| &report.objectives) {
        let objective = Stated {
            subject: one.subject.clone(),
            figure: one.figure.clone(),
            limit: one.limit.clone(),
        };
        if !stated.contains(&objective) {
            stated.push(objective);
        }
    }
    stated
}

fn missed(reports: &[Report]) -> Vec<Missed> {
    let mut missed: Vec<Missed> = Vec::new();
    for report in reports {
        for one in report.objectives.iter().filter(|one| !one.met) {
            let is_it = |known: &&mut Missed| {
                (&known.subject, &known.figure, &known.limit)
                    == (&one.subject, &one.figure, &one.limit)
            };
            match missed.iter_mut().find(is_it) {
                Some(known) => known.seeds.push(report.run.seed),
                None => missed.push(Missed {
                    subject: one.subject.clone(),
                    figure: one.figure.clone(),
                    limit: one.limit.clone(),
                    seeds: vec![report.run.seed],
                    because: one.because.clone(),
                }),
            }
        }
    }
    missed
}

/// The figures of several runs, each with its value in every run.
pub(crate) fn gather(runs: impl Iterator<Item = Vec<Figure>>) -> Vec<Measured> {
    let mut measured: Vec<Measured> = Vec::new();
    for (run, figures) in runs.enumerate() {
        for figure in figures {
            let known = measured.iter().position(|one| one.name == figure.name);
            let at = known.unwrap_or_else(|| {
                measured.push(Measured { name: figure.name, values: vec![None; run] });
                measured.len() - 1
            });
            measured[at].values.push(figure.value);
        }
        // A figure missing in a run is absent there, which keeps the values aligned with the seeds.
        for one in &mut measured {
            one.values.resize(run + 1, None);
        }
    }
    measured
}

/// The services of interest: those with objectives or clients; and the request classes with objectives.
pub(crate) fn leading(report: &Report) -> Vec<String> {
    let has_objective =
        |subject: &str| report.objectives.iter().any(|objective| objective.subject == *subject);
    let subjects = report.services.iter().flat_map(|service| {
        let subject = format!("service {}", service.service);
        let of_class = |class: &ClassReport| (format!("{subject} class {}", class.class), false);
        let classes: Vec<_> = service.classes.iter().map(of_class).collect();
        std::iter::once((subject, service.has_clients)).chain(classes)
    });
    let leading = subjects.filter(|(subject, has_clients)| *has_clients || has_objective(subject));
    leading.map(|(subject, _)| subject).collect()
}

/// The services with objectives or, if there are none, those with clients.
pub(crate) fn foremost(report: &Report) -> Vec<String> {
    let mut subjects = leading(report);
    let has_objective =
        |subject: &String| report.objectives.iter().any(|one| one.subject == *subject);
    if subjects.iter().any(has_objective) {
        subjects.retain(has_objective);
    }
    subjects
}

impl Measured {
    /// Its mean over the seeds that have it.
    pub fn mean(&self) -> Option<f64> {
        let values: Vec<f64> = self.values.iter().flatten().copied().collect();
        mean(&values)
    }
}
