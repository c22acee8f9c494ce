//! `wavetank conform`: compares recorded decisions of real controllers with wavetank's.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use clap::{Subcommand, ValueEnum};
use rayon::prelude::*;

use super::exit::{Exit, Failure};
use conform::end_to_end::{self, CaseFiles, EndToEndReport};
use conform::real_cluster::{self, RealClusterReport};
use conform::{ConformReport, controllers, hpa, karpenter, keda, scheduler, vpa};
use files::{read_bytes, read_folder};

/// The files of a recorded run, by their path in its folder.
type CaseContent = Vec<(String, Vec<u8>)>;

/// Options of `wavetank conform`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    recording: Recording,
}

/// Types of recordings.
#[derive(Debug, Subcommand)]
enum Recording {
    /// Loops of the Cluster Autoscaler; docs/conform-cluster-autoscaler.md describes the files
    ClusterAutoscaler(Files),
    /// Workload life cycles under kube-controller-manager; docs/conform-controllers.md describes the files
    Controllers(Files),
    /// Complete runs of all controllers under load; docs/conform-end-to-end.md describes the folders
    EndToEnd(Folders),
    /// Decisions of the HorizontalPodAutoscaler controller; docs/conform-hpa.md describes the files
    Hpa(Files),
    /// Decisions of Karpenter; docs/conform-karpenter.md describes the files
    Karpenter(Files),
    /// Decisions of KEDA; docs/conform-keda.md describes the files
    Keda(Files),
    /// A real cluster, measured event by event; docs/conform-real-cluster.md describes the folders
    RealCluster(Measured),
    /// Scheduling cycles of kube-scheduler; docs/conform-scheduler.md describes the files
    Scheduler(Files),
    /// Decisions of the VerticalPodAutoscaler; docs/conform-vpa.md describes the files
    Vpa(Files),
}

/// Paths of recordings.
#[derive(Debug, clap::Args)]
struct Files {
    /// Recordings: .jsonl files, optionally gzip-compressed; folders, for all such files in them; or - for
    /// standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Paths of recorded runs.
#[derive(Debug, clap::Args)]
struct Folders {
    /// Folders of recorded runs, each with manifests/, load.csv, params.yaml and expected/, or folders of such
    /// folders
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<String>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Paths of measurements.
#[derive(Debug, clap::Args)]
struct Measured {
    /// Folders with cases.json and tables such as start-stop.csv and restarts.csv, optionally gzip-compressed
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<String>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per case with its first difference, and totals.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Replays all files and writes the results of their cases.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let (Files { files, output }, replay): (_, fn(&[u8]) -> _) = match &arguments.recording {
        Recording::ClusterAutoscaler(files) => {
            (files, |bytes| conform::cluster_autoscaler::replay(bytes))
        }
        Recording::Controllers(files) => (files, |bytes| controllers::replay(bytes)),
        Recording::EndToEnd(folders) => return run_cases(folders, out),
        Recording::Hpa(files) => (files, |bytes| hpa::replay(bytes)),
        Recording::Karpenter(files) => (files, |bytes| karpenter::replay(bytes)),
        Recording::Keda(files) => (files, |bytes| keda::replay(bytes)),
        Recording::RealCluster(folders) => return run_measured(folders, out),
        Recording::Scheduler(files) => (files, |bytes| scheduler::replay(bytes)),
        Recording::Vpa(files) => (files, |bytes| vpa::replay(bytes)),
    };
    let mut cases = Vec::new();
    for path in files {
        for (name, bytes) in recordings(path)? {
            let in_file = |problem| Failure::Input(format!("{name}: {problem}"));
            cases.extend(replay(&bytes).map_err(in_file)?);
        }
    }
    let report = ConformReport::new(cases);
    write_report(&report, *output, out)?;
    Ok(if report.is_agreement() { Exit::Fine } else { Exit::Missed })
}

/// Runs all recorded cases and writes the results.
fn run_cases(arguments: &Folders, out: &mut impl Write) -> Result<Exit, Failure> {
    let mut cases = Vec::new();
    for folder in &arguments.folders {
        let files = read_folder(folder).map_err(|problem| in_path(folder, &problem))?;
        cases.extend(by_case(folder, files));
    }
    let outcomes: Result<_, Failure> = cases
        .into_par_iter()
        .map(|(folder, files)| {
            let checked = CaseFiles::new(files).and_then(|files| end_to_end::check(&files));
            checked.map_err(|problem| in_path(&folder, &problem))
        })
        .collect();
    let report = EndToEndReport::new(outcomes?);
    write_report(&report, arguments.output, out)?;
    Ok(if report.is_agreement() { Exit::Fine } else { Exit::Missed })
}

/// Simulates the measured cases and writes their deviations.
fn run_measured(arguments: &Measured, out: &mut impl Write) -> Result<Exit, Failure> {
    let mut steps = Vec::new();
    for folder in &arguments.folders {
        let in_folder = |problem: String| in_path(folder, &problem);
        let files = read_folder(folder).map_err(in_folder)?;
        let recording = real_cluster::Recording::new(files).map_err(in_folder)?;
        steps.extend(real_cluster::check(&recording).map_err(in_folder)?);
    }
    let report = RealClusterReport::new(steps);
    write_report(&report, arguments.output, out)?;
    Ok(if report.is_agreement() { Exit::Fine } else { Exit::Missed })
}

/// The recordings at a path, each with its own path.
fn recordings(path: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    if !Path::new(path).is_dir() {
        let bytes = read_bytes(path).map_err(|problem| in_path(path, &problem))?;
        return Ok(vec![(path.to_owned(), bytes)]);
    }
    let mut files = read_folder(path).map_err(|problem| in_path(path, &problem))?;
    files.retain(|(name, _)| {
        let name = Path::new(name.strip_suffix(".gz").unwrap_or(name));
        name.extension().is_some_and(|ending| ending == "jsonl")
    });
    if files.is_empty() {
        return Err(in_path(path, "no .jsonl file in this folder"));
    }
    Ok(files.into_iter().map(|(name, bytes)| (format!("{path}/{name}"), bytes)).collect())
}

/// The files of a folder as one case if they are one, otherwise grouped by the subfolders that are cases.
fn by_case(folder: &str, files: CaseContent) -> Vec<(String, CaseContent)> {
    let is_case = |prefix: &str| {
        let parameters = format!("{prefix}params.yaml");
        files.iter().any(|(name, _)| *name == parameters)
    };
    let first_part = |name: &str| name.split_once('/').map(|(first, _)| format!("{first}/"));
    let inner: BTreeSet<String> = files.iter().filter_map(|(name, _)| first_part(name)).collect();
    let inner: Vec<String> = inner.into_iter().filter(|prefix| is_case(prefix)).collect();
    if is_case("") || inner.is_empty() {
        return vec![(folder.to_owned(), files)];
    }
    let of = |prefix: &String| {
        let own = files.iter().filter_map(|(name, bytes)| {
            Some((name.strip_prefix(prefix.as_str())?.to_owned(), bytes.clone()))
        });
        (format!("{folder}/{}", prefix.trim_end_matches('/')), own.collect())
    };
    inner.iter().map(of).collect()
}

fn in_path(path: &str, problem: &str) -> Failure {
    Failure::Input(format!("{path}: {problem}"))
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
