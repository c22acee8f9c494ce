//! Checks scenarios against their objectives, for pipelines: a verdict for each, as text, JSON,
//! JUnit XML.

use quick_junit::{NonSuccessKind, Report as JunitReport, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::summary::told;
use manifest::Diagnostics;
use report::figures::counted;
use report::text::layout::{Align, Paint, Style, Table, paragraph};
use report::{ObjectiveResult, Report};

/// Version of the JSON format: the minor grows with added fields, the major with changed ones.
const FORMAT_VERSION: &str = "1.2";

/// Results of all checked scenarios.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    format_version: &'static str,
    /// Objectives that were met.
    met: usize,
    /// Objectives that were missed.
    missed: usize,
    /// Scenarios that could not be judged because they are invalid.
    wrong: usize,
    scenarios: Vec<CheckedScenario>,
}

/// One run of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckedScenario {
    /// Its file.
    pub file: String,
    /// Its name; that of the file if it cannot be read.
    pub scenario: String,
    /// The seed; absent if it was not run.
    pub seed: Option<u64>,
    /// The errors in it; empty if it was run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
    /// Settings that are marked as guesses, which the results depend on; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// The results of its objectives.
    pub objectives: Vec<ObjectiveResult>,
}

impl CheckedScenario {
    /// A scenario that was run. Having no objectives is an error: such a scenario would always pass.
    pub fn of(file: &str, report: &Report) -> Self {
        let problem = if report.objectives.is_empty() {
            format!("error: {file}: the scenario has no objectives to check; add `objectives`")
        } else {
            String::new()
        };
        Self {
            file: file.to_owned(),
            scenario: report.run.scenario.clone(),
            seed: Some(report.run.seed),
            problem,
            assumed: report.assumptions.iter().map(|one| one.setting.clone()).collect(),
            objectives: report.objectives.clone(),
        }
    }

    /// A scenario that cannot be run.
    pub fn wrong(file: &str, problems: &Diagnostics) -> Self {
        Self {
            file: file.to_owned(),
            scenario: file.to_owned(),
            seed: None,
            problem: problems.to_string().trim_end().to_owned(),
            assumed: Vec::new(),
            objectives: Vec::new(),
        }
    }
}

impl Check {
    /// The verdict on these runs.
    pub fn new(scenarios: Vec<CheckedScenario>) -> Self {
        let count = |met: bool| {
            let all = scenarios.iter().flat_map(|one| &one.objectives);
            all.filter(|objective| objective.met == met).count()
        };
        let wrong = scenarios.iter().filter(|one| !one.problem.is_empty()).count();
        let (met, missed) = (count(true), count(false));
        Self { format_version: FORMAT_VERSION, met, missed, wrong, scenarios }
    }

    /// Whether every scenario could be judged.
    pub const fn is_judged(&self) -> bool {
        self.wrong == 0
    }

    /// Whether every objective was met.
    pub const fn is_met(&self) -> bool {
        self.missed == 0
    }

    /// Human-readable text: a line per objective.
    pub fn text(&self, style: Style) -> String {
        let mut lines = Vec::new();
        for checked in &self.scenarios {
            let seed = checked.seed.map(|seed| format!("  seed {seed}")).unwrap_or_default();
            let title = format!("{}{seed}", checked.file);
            lines.push(style.paint(Paint::Heading, &title));
            let problem = checked.problem.lines();
            lines.extend(problem.flat_map(|line| paragraph("  ", line)));
            lines.extend(objective_lines(&checked.objectives, style));
            if !checked.assumed.is_empty() {
                let guesses = match checked.assumed.len() {
                    1 => "a guess".to_owned(),
                    count => format!("{count} guesses"),
                };
                let text = format!("based on {guesses}: see ASSUMED in wavetank run");
                lines.extend(
                    paragraph("  ", &text).iter().map(|line| style.paint(Paint::Dim, line)),
                );
            }
        }
        lines.extend(paragraph("", &self.sums()));
        lines.join("\n") + "\n"
    }

    fn sums(&self) -> String {
        let all = (self.met + self.missed) as u64;
        let wrong = match self.wrong {
            0 => String::new(),
            wrong => format!("; {} could not be judged", counted(wrong as u64, "scenario")),
        };
        format!(
            "{}, {}: {} met, {} missed{wrong}",
            counted(self.scenarios.len() as u64, "run"),
            counted(all, "objective"),
            self.met,
            self.missed
        )
    }

    /// Stable, versioned JSON.
    pub fn json(&self) -> String {
        report::json::render(self)
    }

    /// The scenario's name, with its file if others have the same name.
    fn unique_name(&self, checked: &CheckedScenario) -> String {
        let has_its_name = |other: &CheckedScenario| {
            other.scenario == checked.scenario && other.file != checked.file
        };
        if self.scenarios.iter().any(has_its_name) {
            format!("{} ({})", checked.scenario, checked.file)
        } else {
            checked.scenario.clone()
        }
    }

    /// JUnit XML for CI servers: a suite per run, a case per objective.
    pub fn junit(&self) -> Result<String, quick_junit::SerializeError> {
        let mut report = JunitReport::new("wavetank check");
        for checked in &self.scenarios {
            let seed = checked.seed.map(|seed| format!(" seed {seed}")).unwrap_or_default();
            let name = format!("{}{seed}", self.unique_name(checked));
            let mut suite = TestSuite::new(name.clone());
            suite.add_property(("file", checked.file.as_str()));
            if !checked.problem.is_empty() {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_message("the scenario cannot be judged");
                status.set_description(checked.problem.clone());
                suite.add_test_case(case(&name, "the scenario is right", status));
            }
            for objective in &checked.objectives {
                let title =
                    format!("{} {}", told(&objective.subject, &objective.figure), objective.limit);
                suite.add_test_case(case(&name, &title, status_of(objective)));
            }
            report.add_test_suite(suite);
        }
        report.to_string()
    }
}

fn case(suite: &str, title: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(title, status);
    case.set_classname(suite);
    case
}

fn status_of(objective: &ObjectiveResult) -> TestCaseStatus {
    if objective.met {
        return TestCaseStatus::success();
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let because = match &*objective.because {
        "" => String::new(),
        because => format!(", because {because}"),
    };
    status.set_message(format!("{} is {}{because}", objective.figure, objective.value));
    status
}

fn objective_lines(objectives: &[ObjectiveResult], style: Style) -> Vec<String> {
    let mut table = Table::new(&[Align::Left; 5]);
    for objective in objectives {
        table.row([
            if objective.met { "✓ met" } else { "✗ missed" }.to_owned(),
            objective.subject.clone(),
            objective.figure.clone(),
            objective.value.clone(),
            objective.limit.clone(),
        ]);
    }
    let lines = objectives.iter().zip(table.lines()).map(|(objective, line)| {
        // On one line, however long, so that a search for the failure also finds its cause.
        let line = match &*objective.because {
            "" => line,
            because => format!("{line}  because {because}"),
        };
        style.paint(if objective.met { Paint::Plain } else { Paint::Bad }, &line)
    });
    lines.collect()
}
