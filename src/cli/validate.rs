//! `wavetank validate`: reports all problems in manifests and scenarios, without running anything.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use super::exit::{Exit, Failure};
use cluster::{Kind, NamespacedName, ObjectReference};
use files::{HelmCharts, load_scenario, read_what_can_be};
use manifest::{
    Diagnostic, Diagnostics, Document, Location, Severity, Source, admit, read_documents,
    read_manifests as read_objects,
};
use scenario::read::is_scenario;
use scenario::scheduler_configuration::scheduler_configuration;
use scenario::{Routing, missing_services, target_problems};
use sim::Blueprint;

/// Version of the JSON output: the minor version grows with added fields, the major version with changed ones.
const FORMAT_VERSION: &str = "1.0";

/// Options of `wavetank validate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Scenarios, packings and manifests: files, folders, patterns such as 'k8s/*.yaml', or - for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    /// Exit with code 1 if there are warnings; errors still exit with code 2
    #[arg(long)]
    strict: bool,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per problem, and a summary.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// The JSON output.
#[derive(Serialize)]
struct Verdict<'a> {
    format_version: &'static str,
    valid: bool,
    file_count: usize,
    error_count: usize,
    warning_count: usize,
    diagnostics: &'a Diagnostics,
}

/// Validates all paths and writes the problems.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let mut examined = CheckedInputs::default();
    for path in &arguments.paths {
        let (sources, unread) = read_what_can_be(path, &HelmCharts::default())
            .unwrap_or_else(|why| (Vec::new(), vec![why]));
        for message in unread {
            let place = Location::whole(&path.as_str().into());
            examined.problems.push(Diagnostic::error("file", message).at(place));
        }
        for source in sources {
            examined.add(source);
        }
    }
    examined.finish();
    let CheckedInputs { problems, file_count, .. } = examined;
    let exit = match problems.has_errors() {
        true => Exit::WrongInput,
        false if arguments.strict && problems.count(Severity::Warning) > 0 => Exit::Missed,
        false => Exit::Fine,
    };
    match arguments.output {
        Format::Text => write_text(&problems, file_count, exit, out)?,
        Format::Json => write_json(&problems, file_count, out)?,
    }
    Ok(exit)
}

/// The inputs checked so far.
#[derive(Default)]
struct CheckedInputs {
    problems: Diagnostics,
    file_count: usize,
    /// Manifests, which are checked together because they refer to each other.
    manifests: Vec<Source>,
    /// Files named by scenarios and packings, which are checked with them.
    of_scenarios: BTreeSet<PathBuf>,
}

impl CheckedInputs {
    fn add(&mut self, source: Source) {
        self.file_count += 1;
        // Invalid YAML is reported with the manifests, or with the scenario.
        let documents = read_documents(&source, &mut Diagnostics::default());
        if documents.iter().any(is_packing) {
            let (problems, manifests) = super::pack::check(&source);
            self.problems.append(problems);
            self.of_scenarios.extend(manifests.iter().map(|name| normal(name)));
        } else if documents.iter().any(is_scenario) {
            self.scenario(&source);
        } else if documents.iter().any(is_scheduler_configuration) {
            self.problems.append(scheduler_problems(&source));
        } else if !documents.is_empty() && documents.iter().all(is_json_schema) {
            // `wavetank init` writes one beside the scenario.
        } else {
            self.manifests.push(source);
        }
    }

    /// Reports all problems that a run would find before it starts.
    fn scenario(&mut self, source: &Source) {
        let problems = match load_scenario(source, &[]) {
            Ok(resolved) => {
                let files = &resolved.files;
                let named = files.manifests.iter().chain(files.applies.values().flatten());
                self.of_scenarios.extend(named.map(|file| normal(&file.name)));
                match Blueprint::new(&resolved) {
                    Ok(blueprint) => {
                        let mut problems = blueprint.notes().clone();
                        let world = blueprint.world(resolved.scenario().seed);
                        problems.append(world.err().unwrap_or_default());
                        problems
                    }
                    Err(problems) => problems,
                }
            }
            Err(problems) => problems,
        };
        self.problems.append(problems);
    }

    /// Checks all manifests together that do not belong to a scenario.
    fn finish(&mut self) {
        let mut manifests = std::mem::take(&mut self.manifests);
        manifests.retain(|source| !self.of_scenarios.contains(&normal(&source.name)));
        let manifests = read_objects(&manifests, &mut self.problems);
        let routing = Routing::of(manifests.iter().map(|one| (&one.reference, &one.value)));
        let by_name = |name: &ObjectReference| manifests.iter().find(|one| one.reference == *name);
        let is_there = |service: &NamespacedName| {
            let reference = ObjectReference { kind: Kind::Service, id: service.clone() };
            by_name(&reference).is_some()
        };
        let of_rules = target_problems(&routing, &[], by_name).into_iter();
        for problem in of_rules.chain(missing_services(&routing, is_there, by_name)) {
            self.problems.push(problem);
        }
        self.problems.append(admit(manifests).diagnostics);
        self.problems.deduplicate();
        self.problems.sort();
    }
}

/// A path without `.` and duplicate separators.
fn normal(path: &str) -> PathBuf {
    Path::new(path).components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

fn is_packing(document: &Document) -> bool {
    is_scenario(document) && document.value.get("kind").and_then(Value::as_str) == Some("Packing")
}

fn is_scheduler_configuration(document: &Document) -> bool {
    document.value.get("kind").and_then(Value::as_str) == Some("KubeSchedulerConfiguration")
}

fn is_json_schema(document: &Document) -> bool {
    document.value.get("$schema").is_some() && document.value.get("kind").is_none()
}

fn scheduler_problems(source: &Source) -> Diagnostics {
    let mut problems = Diagnostics::default();
    for document in read_documents(source, &mut problems) {
        for mistake in scheduler_configuration(&document.value).err().unwrap_or_default() {
            let place = document.positions.place_of(&document.source, &mistake.path);
            let problem = Diagnostic::error("scheduler", mistake.problem).at(place);
            problems.push(Diagnostic { field: mistake.path, ..problem });
        }
    }
    problems
}

fn write_text(
    problems: &Diagnostics,
    file_count: usize,
    exit: Exit,
    out: &mut impl Write,
) -> Result<(), Failure> {
    write!(out, "{problems}")?;
    let counted = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let verdict = match exit {
        Exit::Fine => "valid",
        Exit::Missed => "not valid with --strict",
        Exit::WrongInput | Exit::Internal => "not valid",
    };
    writeln!(
        out,
        "{verdict}: {}, {}, {}",
        counted(file_count, "file"),
        counted(problems.count(Severity::Error), "error"),
        counted(problems.count(Severity::Warning), "warning"),
    )?;
    Ok(())
}

fn write_json(
    problems: &Diagnostics,
    file_count: usize,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let verdict = Verdict {
        format_version: FORMAT_VERSION,
        valid: !problems.has_errors(),
        file_count,
        error_count: problems.count(Severity::Error),
        warning_count: problems.count(Severity::Warning),
        diagnostics: problems,
    };
    serde_json::to_writer_pretty(&mut *out, &verdict).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
