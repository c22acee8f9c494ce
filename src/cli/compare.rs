//! `wavetank compare`: compares two scenarios, or one with and without a setting, on the same requests.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;

use super::exit::{Exit, Failure};
use super::memory;
use super::output::OutputOptions;
use super::run::Form;
use super::scenario_arguments::{Seeds, Settings};
use files::Loader;
use files::{read_bytes, write_file};
use report::charts;
use report::text::Style;
use scenario::Override;
use scenario::resolved::ResolvedScenario;
use sweep::compare::{Comparison, Verdict};
use sweep::gate::{Filter, service_of};
use sweep::measure::Measurement;
use sweep::{compare_text, run_all};

/// Options of `wavetank compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wavetank compare before.yaml after.yaml
  wavetank compare scenario.yaml --set cluster.nodePools[general].count=5
  wavetank compare scenario.yaml --save baseline.json
  wavetank compare scenario.yaml --baseline baseline.json --fail-on worse")]
pub struct Arguments {
    /// The scenario of the first side; the second side is another scenario, this one with --set, or the results in
    /// --baseline
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    /// The scenario of the second side
    #[arg(value_name = "OTHER", conflicts_with = "baseline")]
    other: Option<String>,

    /// Settings of the second side, such as --set cluster.nodePools[general].count=5, and the first seed
    #[command(flatten)]
    settings: Settings,

    /// Number of seeds, starting at that of the first side; each is run on both sides
    #[arg(long, value_name = "COUNT", default_value = "5")]
    seeds: Seeds,

    /// A file written by --save, used as the first side; its seeds are used again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds"])]
    baseline: Option<String>,

    /// Save the results of the last side to a file, for --baseline
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Differences up to this percentage of the first side count as unchanged, but are still shown; for shares such as
    /// availability, the percentage refers to the distance to 100 % if that is smaller; 0 counts every difference that
    /// is not random
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = parse_percent)]
    tolerance: f64,

    /// Judge by this service only, as NAMESPACE/NAME or NAME; can be given several times. Default: services with
    /// objectives and those that clients call
    #[arg(long = "service", value_name = "SERVICE")]
    services: Vec<String>,

    /// Judge by this figure only, such as 'latency p95', or by all figures with this prefix, such as latency; can be
    /// given several times
    #[arg(long = "figure", value_name = "FIGURE")]
    figures: Vec<String>,

    /// Write a chart of the changes in the bill as SVG and PNG to this folder
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,

    /// Show all figures, including unchanged ones
    #[arg(long)]
    all: bool,

    /// Exit with code 1 if a judged figure is worse or an objective newly missed with every seed, or if any figure has
    /// changed
    #[arg(long, value_enum, value_name = "WHAT")]
    fail_on: Option<FailOn>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// When a comparison fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// A judged figure is worse, or an objective is newly missed with every seed
    Worse,
    /// Any figure is worse, better, or otherwise changed
    Change,
}

/// Runs both sides and writes the comparison.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let kept = arguments.baseline.as_deref().map(read_baseline).transpose()?;
    if arguments.settings.settings.iter().any(Override::is_seed) {
        return Err(Failure::Input(
            "--set seed=... would change nothing: both sides run with the same seeds; write --seed for the first of \
             them, --seeds for their number"
                .to_owned(),
        ));
    }
    let sides = sides(arguments)?;
    if sides.len() + usize::from(kept.is_some()) < 2 && arguments.save.is_none() {
        return Err(Failure::Input(
            "nothing to compare with; name a second scenario, a changed setting with --set, or a saved result with \
             --baseline; --save saves this one"
                .to_owned(),
        ));
    }
    let seeds = match (&kept, sides.first()) {
        (Some(kept), _) => kept.seeds.clone(),
        (None, Some((_, first))) => arguments.seeds.from(arguments.settings.first_seed(first)),
        (None, None) => Vec::new(),
    };
    let (labels, resolved): (Vec<String>, Vec<ResolvedScenario>) = sides.into_iter().unzip();
    let bar = options.progress_bar((resolved.len() * seeds.len()) as u64, "comparing");
    let reports = run_all(&resolved, &seeds, || bar.inc(1)).map_err(Failure::Problems)?;
    bar.finish_and_clear();
    let measured = labels.into_iter().zip(&reports).map(|(label, one)| Measurement::of(label, one));
    let measured: Vec<Measurement> = kept.into_iter().chain(measured).collect();
    if let (Some(path), Some(last)) = (&arguments.save, measured.last()) {
        write_file(path, last.json().as_bytes()).map_err(Failure::Input)?;
    }
    let [first, second] = &measured[..] else {
        return Ok(Exit::Fine);
    };
    let filter =
        Filter { services: arguments.services.clone(), figures: arguments.figures.clone() };
    let comparison = Comparison::new(first, second, arguments.tolerance / 100.0, &filter);
    if comparison.figures.is_empty() && !filter.is_empty() {
        return Err(Failure::Input(nothing_picked(first)));
    }
    if let (Some(folder), Some(fall)) = (&arguments.charts, &comparison.waterfall) {
        for file in charts::files("bill", &charts::waterfall(&fall.bars())) {
            write_file(&folder.join(file.name), &file.bytes).map_err(Failure::Input)?;
        }
    }
    match arguments.output {
        Form::Text => {
            let text =
                compare_text::render(&comparison, arguments.all, Style { color: options.color });
            out.write_all(text.as_bytes())?;
        }
        Form::Json => {
            serde_json::to_writer_pretty(&mut *out, &comparison).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(exit(&comparison, arguments.fail_on))
}

/// Message that lists the services and figures to choose from.
fn nothing_picked(measured: &Measurement) -> String {
    let mut subjects: Vec<&str> = Vec::new();
    let mut figures: Vec<&str> = Vec::new();
    for one in &measured.figures {
        let service = service_of(&one.name.subject);
        if let Some(service) = service.filter(|service| !subjects.contains(service)) {
            subjects.push(service);
        }
        if service.is_some() && !figures.contains(&one.name.figure.as_str()) {
            figures.push(&one.name.figure);
        }
    }
    format!(
        "--service and --figure leave nothing to compare; the services are {} with the figures {}",
        subjects.join(", "),
        figures.join(", ")
    )
}

/// The sides to be run, with their names.
fn sides(arguments: &Arguments) -> Result<Vec<(String, ResolvedScenario)>, Failure> {
    let settings = &arguments.settings.settings;
    let mut loader = Loader::default();
    let mut sides = Vec::new();
    let mut load = |path: &str, settings: &[_]| {
        let set: Vec<String> = settings.iter().map(|one| format!(" --set {one}")).collect();
        let resolved = loader.load(path, settings).map_err(Failure::Problems)?;
        sides.push((format!("{path}{}", set.concat()), resolved));
        Ok::<(), Failure>(())
    };
    match &arguments.other {
        Some(other) => {
            load(&arguments.scenario, &[])?;
            load(other, settings)?;
        }
        None if arguments.baseline.is_some() || settings.is_empty() => {
            load(&arguments.scenario, settings)?;
        }
        None => {
            load(&arguments.scenario, &[])?;
            load(&arguments.scenario, settings)?;
        }
    }
    sides.iter().take(1).for_each(|(_, resolved)| memory::watch(resolved));
    Ok(sides)
}

fn read_baseline(path: &str) -> Result<Measurement, Failure> {
    let in_file = |problem: String| Failure::Input(format!("{path}: {problem}"));
    let bytes = read_bytes(path).map_err(in_file)?;
    Measurement::parse(&bytes).map_err(in_file)
}

fn exit(comparison: &Comparison, fail_on: Option<FailOn>) -> Exit {
    let fails = match fail_on {
        None => false,
        Some(FailOn::Worse) => {
            comparison.gated(Verdict::Worse).next().is_some()
                || comparison.newly_missed().next().is_some()
        }
        Some(FailOn::Change) => {
            let verdicts = [Verdict::Worse, Verdict::Better, Verdict::Changed];
            verdicts.iter().any(|one| comparison.has(*one))
                || comparison.newly_missed().next().is_some()
        }
    };
    if fails { Exit::Missed } else { Exit::Fine }
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        Ok(percent) if (0.0..=1000.0).contains(&percent) => Ok(percent),
        _ => Err("write a percentage of at least 0, such as 5".to_owned()),
    }
}
