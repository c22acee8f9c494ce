//! `wavetank run`: runs a scenario once and writes its report in the requested formats.

use std::io::Write;
use std::path::PathBuf;

use super::exit::{Exit, Failure};
use super::output::OutputOptions;
use super::scenario_arguments::{Settings, load, run as run_scenario};
use files::{Loader, write_file};
use report::opencost::{self, Aggregate, Sharing};
use report::text::Style;
use report::{HeadlineFigures, Report, charts, html, json, text};
use scenario::resolved::ResolvedScenario;
use sim::Blueprint;
use sweep;

/// Options of `wavetank run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    #[command(flatten)]
    settings: Settings,

    /// Repeat the run this many times with other phases of the control loops, and show the range of the results
    #[arg(long, value_name = "N")]
    phases: Option<u32>,

    /// Repeat the run with half and twice each setting that `provenance` marks as a guess, and show the effect on the
    /// results
    #[arg(long)]
    doubts: bool,

    /// Format of the report
    #[arg(short, long, value_enum, default_value_t)]
    output: ReportForm,

    /// With -o opencost: aggregate the cost of the nodes by workload, namespace or label:NAME
    #[arg(long, value_name = "BY", default_value = "workload", value_parser = aggregate)]
    aggregate: Aggregate,

    /// With -o opencost: costs to share among all allocations in proportion to their own: idle, overhead (all items other
    /// than nodes), or namespaces such as kube-system
    #[arg(long, value_name = "COST", value_delimiter = ',')]
    share: Vec<String>,

    /// With -o opencost: share these costs in equal parts
    #[arg(long, requires = "share")]
    share_evenly: bool,

    /// Write charts as SVG and PNG to this folder
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,

    /// Write the report as a self-contained HTML page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// Report formats on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Human-readable text
    #[default]
    Text,
    /// Stable, versioned JSON
    Json,
}

/// Formats of the report of a run on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum ReportForm {
    /// For people
    #[default]
    Text,
    /// For programs: stable, versioned
    Json,
    /// Cost of the nodes by workload, in the format of OpenCost's allocation API
    Opencost,
}

/// Parses `--aggregate`.
fn aggregate(text: &str) -> Result<Aggregate, String> {
    match text.split_once(':') {
        None if text == "workload" => Ok(Aggregate::Workload),
        None if text == "namespace" => Ok(Aggregate::Namespace),
        Some(("label", label)) if !label.is_empty() => Ok(Aggregate::Label(label.to_owned())),
        _ => Err("write workload, namespace, or a pod label such as label:team".to_owned()),
    }
}

/// The shared costs given by `--share`.
fn sharing(arguments: &Arguments) -> Sharing {
    let is_named = |word: &str| arguments.share.iter().any(|one| one == word);
    let namespaces =
        arguments.share.iter().filter(|one| !["idle", "overhead"].contains(&one.as_str()));
    Sharing {
        idle: is_named("idle"),
        overhead: is_named("overhead"),
        namespaces: namespaces.cloned().collect(),
        evenly: arguments.share_evenly,
    }
}

/// Runs the scenario and writes the report.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let resolved = load(&arguments.scenario, &arguments.settings)?;
    let (mut report, exit) = run_scenario(&resolved, &arguments.settings, options)?;
    let is_whole = exit == Exit::Fine;
    if let Some(phases) = arguments.phases.filter(|_| is_whole) {
        let bar = options.progress_bar(phases.into(), "running other phases");
        let seed = arguments.settings.seed.unwrap_or(resolved.scenario().seed);
        let band = sweep::phases(&resolved, seed, phases, |done| bar.set_position(done.into()));
        bar.finish_and_clear();
        report.phases = Some(band.map_err(Failure::Problems)?);
    }
    if arguments.doubts && is_whole {
        doubt(&mut report, &resolved, arguments, options)?;
    }
    write_report(&report, arguments, options, out)?;
    if let Some(folder) = &arguments.charts {
        for file in charts::render(&report) {
            write_file(&folder.join(file.name), &file.bytes).map_err(Failure::Input)?;
        }
    }
    if let Some(path) = &arguments.report {
        write_file(path, html::render(&report).as_bytes()).map_err(Failure::Input)?;
    }
    Ok(exit)
}

/// Runs each assumption halved and doubled. Values that are invalid in a scenario, such as half of a single node,
/// have no result.
fn doubt(
    report: &mut Report,
    resolved: &ResolvedScenario,
    arguments: &Arguments,
    options: OutputOptions,
) -> Result<(), Failure> {
    let mut loader = Loader::default();
    let mut variants = Vec::new();
    let mut places = Vec::new();
    for (position, assumption) in resolved.text.assumptions().into_iter().enumerate() {
        for (is_double, changes) in [(false, assumption.halved), (true, assumption.doubled)] {
            let settings = [&arguments.settings.settings[..], &changes].concat();
            let loaded = loader.load(&arguments.scenario, &settings).ok();
            if let Some(variant) =
                loaded.filter(|one| !changes.is_empty() && Blueprint::new(one).is_ok())
            {
                variants.push(variant);
                places.push((position, is_double));
            }
        }
    }
    if resolved.scenario().provenance.assumed.is_empty() {
        return Err(Failure::Input(format!(
            "{}: no setting is marked as assumed; list guesses under `provenance`, such as `assumed: \
             ['workloads[*].requests.cpuTime']`",
            arguments.scenario
        )));
    }
    let seed = arguments.settings.first_seed(resolved);
    let bar = options.progress_bar(variants.len() as u64, "doubting");
    let reports = sweep::run_all(&variants, &[seed], || bar.inc(1)).map_err(Failure::Problems)?;
    bar.finish_and_clear();
    for ((position, is_double), reports) in places.into_iter().zip(reports) {
        let answer = reports.first().map(HeadlineFigures::of);
        let assumption = &mut report.assumptions[position];
        *if is_double { &mut assumption.doubled } else { &mut assumption.halved } = answer;
    }
    Ok(())
}

fn write_report(
    report: &Report,
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let rendered = match arguments.output {
        ReportForm::Text => text::render(report, Style { color: options.color }),
        ReportForm::Json => json::render(report),
        ReportForm::Opencost => {
            opencost::render(&report.cost.ledger, &arguments.aggregate, &sharing(arguments))
        }
    };
    out.write_all(rendered.as_bytes())?;
    Ok(())
}
