//! `wavetank validate`: all that is wrong with manifests and scenarios, without running anything.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::files::read_manifests;
use super::load::load_scenario;
use crate::manifest::{Diagnostic, Diagnostics, Place, Severity, Source, read_documents};
use crate::scenario::read::is_scenario;

/// Version of the JSON form: the minor grows with added fields, the major with changed ones.
const FORMAT_VERSION: &str = "1.0";

/// Options of `wavetank validate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Scenarios and manifests: files, folders, patterns such as 'k8s/*.yaml', or - for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,

    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each problem, and a summary.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// The JSON form.
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
    let mut problems = Diagnostics::default();
    let mut file_count = 0;
    for path in &arguments.paths {
        match read_manifests(path) {
            Ok(sources) => {
                file_count += sources.len();
                for source in &sources {
                    problems.append(problems_of(source));
                }
            }
            Err(message) => {
                let place = Place::whole(&path.as_str().into());
                problems.push(Diagnostic::error("file", message).at(place));
            }
        }
    }
    problems.sort();
    match arguments.output {
        Format::Text => write_text(&problems, file_count, out)?,
        Format::Json => write_json(&problems, file_count, out)?,
    }
    Ok(if problems.has_errors() { Exit::WrongInput } else { Exit::Fine })
}

fn problems_of(source: &Source) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let documents = read_documents(source, &mut problems);
    if documents.iter().any(is_scenario) {
        return match load_scenario(source, &[]) {
            Ok(resolved) => resolved.check(),
            Err(problems) => problems,
        };
    }
    problems
}

fn write_text(
    problems: &Diagnostics,
    file_count: usize,
    out: &mut impl Write,
) -> Result<(), Failure> {
    write!(out, "{problems}")?;
    let counted = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let verdict = if problems.has_errors() { "not valid" } else { "valid" };
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
