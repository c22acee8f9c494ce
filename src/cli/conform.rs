//! `wavetank conform`: recorded decisions of real controllers, beside what wavetank decides.

use std::io::Write;

use clap::{Subcommand, ValueEnum};

use super::exit::{Exit, Failure};
use super::files::{read_bytes, read_folder};
use crate::conform::end_to_end::{self, CaseFiles, EndToEndReport};
use crate::conform::{ConformReport, controllers, hpa, scheduler};

/// Options of `wavetank conform`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    recording: Recording,
}

/// What was recorded.
#[derive(Debug, Subcommand)]
enum Recording {
    /// Lives of workloads under kube-controller-manager; docs/conform-controllers.md describes the files
    Controllers(Files),
    /// Whole runs of all controllers under load; docs/conform-end-to-end.md describes the folders
    EndToEnd(Folders),
    /// Decisions of the HorizontalPodAutoscaler controller; docs/conform-hpa.md describes the files
    Hpa(Files),
    /// Scheduling cycles of kube-scheduler; docs/conform-scheduler.md describes the files
    Scheduler(Files),
}

/// Where the recordings are.
#[derive(Debug, clap::Args)]
struct Files {
    /// Recordings: .jsonl files, compressed with gzip or not, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,

    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Where the recorded runs are.
#[derive(Debug, clap::Args)]
struct Folders {
    /// Folders of recorded runs, each with manifests/, load.csv, params.yaml and expected/
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<String>,

    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each case, its first difference, and the sums.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Replays all files and writes what became of their cases.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let (Files { files, output }, replay): (_, fn(&[u8]) -> _) = match &arguments.recording {
        Recording::Controllers(files) => (files, |bytes| controllers::replay(bytes)),
        Recording::EndToEnd(folders) => return run_cases(folders, out),
        Recording::Hpa(files) => (files, |bytes| hpa::replay(bytes)),
        Recording::Scheduler(files) => (files, |bytes| scheduler::replay(bytes)),
    };
    let mut cases = Vec::new();
    for file in files {
        let in_file =
            |problem: &dyn std::fmt::Display| Failure::Input(format!("{file}: {problem}"));
        let bytes = read_bytes(file).map_err(|problem| in_file(&problem))?;
        cases.extend(replay(&bytes).map_err(|problem| in_file(&problem))?);
    }
    let report = ConformReport::new(cases);
    write_report(&report, *output, out)?;
    Ok(if report.is_agreement() { Exit::Fine } else { Exit::Missed })
}

/// Runs all recorded cases and writes what became of them.
fn run_cases(arguments: &Folders, out: &mut impl Write) -> Result<Exit, Failure> {
    let mut cases = Vec::new();
    for folder in &arguments.folders {
        let wrong = |problem| Failure::Input(format!("{folder}: {problem}"));
        let files = read_folder(folder).map_err(wrong)?;
        let files = CaseFiles::new(files).map_err(wrong)?;
        cases.push(end_to_end::check(&files).map_err(wrong)?);
    }
    let report = EndToEndReport::new(cases);
    write_report(&report, arguments.output, out)?;
    Ok(if report.is_agreement() { Exit::Fine } else { Exit::Missed })
}

fn write_report<R: std::fmt::Display + serde::Serialize>(
    report: &R,
    form: Format,
    out: &mut impl Write,
) -> Result<(), Failure> {
    match form {
        Format::Text => write!(out, "{report}")?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(())
}
