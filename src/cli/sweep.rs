//! `wavetank sweep`: a grid of settings, and the cheapest that meets the objectives.

use std::io::Write;

use clap::ValueEnum;

use super::exit::{Exit, Failure};
use super::output::OutputOptions;
use super::scenario_arguments::{Seeds, Settings};
use files::Loader;
use manifest::Diagnostics;
use report::text::Style;
use scenario::Override;
use sweep::summary::RunSummary;
use sweep::table::SweepTable;
use sweep::vary::{Vary, grid, grid_size};
use sweep::{run_all, table_text};

/// More settings than anyone reads, and than fit into memory.
const SETTINGS_MAX: usize = 10_000;

/// Options of `wavetank sweep`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    /// A setting and its values, such as cluster.nodePools[general].count=3,4,5; given several times, all
    /// combinations are run
    #[arg(long, value_name = "PATH=A,B,C", required = true)]
    vary: Vec<Vary>,

    #[command(flatten)]
    settings: Settings,

    /// Run each setting with so many seeds, one after the other from the scenario's on
    #[arg(long, value_name = "COUNT", default_value = "1")]
    seeds: Seeds,

    /// Try the row to take with so many further seeds, on which it was not chosen; one that misses an objective with
    /// them makes room for the next; 0 takes it as it is
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u16).range(..=1000))]
    confirm: u16,

    /// The form of the output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table, and which row to take
    #[default]
    Text,
    /// A line for each setting, with all figures
    Csv,
    /// The same as one JSON object
    Json,
}

/// Runs the grid and writes its table.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let size = grid_size(&arguments.vary);
    if size > SETTINGS_MAX {
        return Err(Failure::Input(format!(
            "this makes {size} settings, and {SETTINGS_MAX} is the most; vary less at a time"
        )));
    }
    let cells = grid(&arguments.vary);
    let mut loader = Loader::default();
    let mut problems = Diagnostics::default();
    let mut resolved = Vec::new();
    for cell in &cells {
        let settings = settings_of(arguments, cell)?;
        match loader.load(&arguments.scenario, &settings) {
            Ok(one) => resolved.push(one),
            Err(mistakes) => problems.append(mistakes),
        }
    }
    if problems.has_errors() {
        problems.deduplicate();
        return Err(Failure::Problems(problems));
    }
    let first = resolved.first().map_or(0, |one| arguments.settings.first_seed(one));
    let seeds = arguments.seeds.from(first);
    let bar = options.progress_bar((resolved.len() * seeds.len()) as u64, "sweeping");
    let reports = run_all(&resolved, &seeds, || bar.inc(1)).map_err(Failure::Problems)?;
    bar.finish_and_clear();
    let varied = arguments.vary.iter().map(|one| one.path.clone()).collect();
    let runs = reports.iter().map(|reports| reports.iter().map(RunSummary::of).collect());
    let mut sweep = SweepTable::new(varied, cells.into_iter().zip(runs).collect());
    let after = first.wrapping_add(seeds.len() as u64);
    let fresh: Vec<u64> =
        (0..u64::from(arguments.confirm)).map(|number| after.wrapping_add(number)).collect();
    sweep
        .confirm(&fresh, |position| {
            let row = &resolved[position..=position];
            let reports = run_all(row, &fresh, || {})?;
            Ok(reports.iter().flatten().map(RunSummary::of).collect())
        })
        .map_err(Failure::Problems)?;
    let rendered = match arguments.output {
        Format::Text => table_text::render(&sweep, Style { color: options.color }).into_bytes(),
        Format::Csv => sweep.csv().map_err(Failure::input)?,
        Format::Json => sweep.json().into_bytes(),
    };
    out.write_all(&rendered)?;
    Ok(Exit::Fine)
}

/// What is set in every run, and then what this cell sets.
fn settings_of(arguments: &Arguments, cell: &[String]) -> Result<Vec<Override>, Failure> {
    let mut settings = arguments.settings.settings.clone();
    for (vary, value) in arguments.vary.iter().zip(cell) {
        settings.push(format!("{}={value}", vary.path).parse().map_err(Failure::input)?);
    }
    Ok(settings)
}
