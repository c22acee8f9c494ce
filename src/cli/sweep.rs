//! `wavetank sweep`: runs a grid of settings and finds the cheapest that meets the objectives.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::ValueEnum;

use super::exit::{Exit, Failure};
use super::memory;
use super::output::{OutputOptions, print_warning};
use super::scenario_arguments::{Seeds, Settings};
use super::sweep_shards::{self, Part};
use files::{Loader, read_bytes, write_file};
use manifest::Diagnostics;
use report::Report;
use report::charts;
use report::text::Style;
use scenario::Override;
use scenario::resolved::ResolvedScenario;
use sweep::current::Current;
use sweep::pictures::pictures;
use sweep::sample::Sample;
use sweep::summary::RunSummary;
use sweep::table::SweepTable;
use sweep::vary::{Vary, grid, grid_size, table};
use sweep::{accepts, page, run_all_to, run_each_with, table_text};

/// More settings would neither be readable nor fit into memory.
const SETTINGS_MAX: usize = 10_000;

/// Options of `wavetank sweep`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  wavetank sweep scenario.yaml --vary cluster.nodePools[general].count=3,4,5
  wavetank sweep scenario.yaml --vary cluster.nodePools[general].count=2..8 \\
      --vary manifests.Deployment/shop/web.spec.replicas=2..12/2 --report sweep.html
  wavetank sweep scenario.yaml --vary A=1..9 --vary B=1..9 --vary C=1..9 --sample sobol:100
  wavetank sweep plan scenario.yaml --vary seed=1,2 --to plan.json
  wavetank sweep run plan.json --results results/ --shard 1/4
  wavetank sweep merge plan.json --results results/")]
pub struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,

    #[command(flatten)]
    grid: Grid,

    #[command(flatten)]
    outputs: Outputs,
}

/// Where the result goes.
#[derive(Debug, clap::Args)]
pub struct Outputs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    /// Write charts as SVG and PNG to this folder: cost against latency, heat maps, and which setting matters
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,

    /// Write an HTML page with the charts and all settings to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The grid to be run.
#[derive(Debug, clap::Args)]
pub struct Grid {
    /// The scenario file
    #[arg(value_name = "SCENARIO", required = true)]
    scenario: Option<String>,

    /// A setting and its values: cluster.nodePools[general].count=3,4,5 or =3..9/2 (from 3 to 9 in steps of 2); if given
    /// several times, all combinations are run
    #[arg(long, value_name = "PATH=A,B,C", required_unless_present = "table")]
    vary: Vec<Vary>,

    /// Run so many of the combinations, spread evenly: sobol:COUNT or latin:COUNT
    #[arg(long, value_name = "METHOD:COUNT", conflicts_with = "table")]
    sample: Option<Sample>,

    /// A CSV file of settings instead of --vary: a path at the head of each column, and a setting in each row
    #[arg(long, value_name = "FILE", conflicts_with = "vary")]
    table: Option<String>,

    /// Overrides that apply to every run.
    #[command(flatten)]
    pub settings: Settings,

    /// Run each setting with this many consecutive seeds, starting at the scenario's
    #[arg(long, value_name = "COUNT", default_value = "1")]
    seeds: Seeds,

    /// Verify the chosen row with this many further seeds that were not used to choose it; if it misses an
    /// objective, the next row is tried; 0 skips this step
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u16).range(..=1000))]
    pub confirm: u16,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table and the recommended row
    #[default]
    Text,
    /// One line per setting, with all figures
    Csv,
    /// One JSON object with the same content
    Json,
    /// A Parquet file with the columns of `csv`, for a file or a pipe
    Parquet,
}

impl Outputs {
    /// Refuses binary output to a terminal, before anything is run.
    pub fn check(&self) -> Result<(), Failure> {
        if self.output == Format::Parquet && io::stdout().is_terminal() {
            return Err(Failure::Input(
                "-o parquet writes a binary file; redirect it, such as > sweep.parquet".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Grid {
    /// The scenario file.
    pub fn scenario(&self) -> Result<&str, Failure> {
        let missing = || Failure::Input("no scenario given".to_owned());
        self.scenario.as_deref().ok_or_else(missing)
    }

    /// The varied paths, and the values of each setting.
    fn cells(&self) -> Result<(Vec<String>, Vec<Vec<String>>), Failure> {
        if let Some(file) = &self.table {
            let bytes = read_bytes(file).map_err(Failure::Input)?;
            return table(&bytes).map_err(|error| Failure::Input(format!("{file}: {error}")));
        }
        if self.vary.iter().any(|one| one.path == "seed") {
            return Err(Failure::Input(
                "--vary seed=... would make equal rows: all settings run with the same seeds; write --seeds for their \
                 number"
                    .to_owned(),
            ));
        }
        let varied = self.vary.iter().map(|one| one.path.clone()).collect();
        if let Some(sample) = self.sample {
            return Ok((varied, sample.of(&self.vary)));
        }
        let size = grid_size(&self.vary);
        if size > SETTINGS_MAX {
            return Err(Failure::Input(format!(
                "this makes {size} settings, and {SETTINGS_MAX} is the most; vary less at a time, or run some of them: \
                 --sample sobol:1000"
            )));
        }
        Ok((varied, grid(&self.vary)))
    }

    /// The seeds of each setting.
    pub fn seeds(&self, resolved: &[ResolvedScenario]) -> Vec<u64> {
        self.seeds.from(resolved.first().map_or(0, |one| self.settings.first_seed(one)))
    }

    /// The settings to run, and the scenario with each.
    pub fn resolve(&self) -> Result<Resolved, Failure> {
        let (varied, cells) = self.cells()?;
        let scenario = self.scenario()?;
        let mut loader = Loader::default();
        // Reads the files for all. It may not be valid by itself, but with some of the values.
        let base = loader.load(scenario, &self.settings.settings).ok();
        let settings: Result<Vec<Vec<Override>>, Failure> =
            cells.iter().map(|cell| self.settings_of(&varied, cell)).collect();
        let loaded = run_each_with(
            &settings?,
            || loader.clone(),
            |loader, settings| {
                let one = loader.load(scenario, settings)?;
                accepts(&one).map(|()| one)
            },
        );
        loaded.iter().filter_map(|one| one.as_ref().ok()).take(1).for_each(memory::watch);
        let all = cells.len();
        let (mut kept, mut scenarios) = (Vec::new(), Vec::new());
        let mut problems = Diagnostics::default();
        for (cell, one) in cells.into_iter().zip(loaded) {
            match one {
                Ok(one) => {
                    kept.push(cell);
                    scenarios.push(one);
                }
                Err(mistakes) => problems.append(mistakes),
            }
        }
        problems.deduplicate();
        if scenarios.is_empty() {
            return Err(Failure::Problems(problems));
        }
        if kept.len() < all {
            print_warning(&format!(
                "{} of {all} settings are left out, as the scenario cannot have them: {}",
                all - kept.len(),
                problems.iter().map(|one| one.message.clone()).collect::<Vec<_>>().join("; ")
            ));
        }
        let current = match &base {
            Some(base) => Current::new(base).values(&varied, &kept),
            None => vec![None; varied.len()],
        };
        Ok(Resolved { varied, current, cells: kept, scenarios })
    }

    /// The overrides of every run, followed by those of this cell.
    fn settings_of(&self, varied: &[String], cell: &[String]) -> Result<Vec<Override>, Failure> {
        let mut settings = self.settings.settings.clone();
        for (path, value) in varied.iter().zip(cell) {
            settings.push(format!("{path}={value}").parse().map_err(Failure::input)?);
        }
        Ok(settings)
    }
}

/// The settings of a sweep.
pub struct Resolved {
    /// The paths that vary.
    pub varied: Vec<String>,
    /// The value of each that the scenario has, if a setting has it.
    pub current: Vec<Option<String>>,
    /// A value for each of them, setting by setting.
    pub cells: Vec<Vec<String>>,
    /// The scenario with each setting.
    pub scenarios: Vec<ResolvedScenario>,
}

/// Runs the grid and writes its table.
pub fn run(
    arguments: &Arguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    if let Some(part) = &arguments.part {
        return sweep_shards::run(part, options, out);
    }
    arguments.outputs.check()?;
    let grid = &arguments.grid;
    let Resolved { varied, current, cells, scenarios: resolved } = grid.resolve()?;
    let seeds = grid.seeds(&resolved);
    let bar = options.progress_bar((resolved.len() * seeds.len()) as u64, "sweeping");
    let summary = |report: Report| RunSummary::of(&report);
    let runs = run_all_to(&resolved, &seeds, || bar.inc(1), summary);
    let runs = runs.map_err(Failure::Problems)?;
    bar.finish_and_clear();
    let mut sweep = SweepTable::new(varied, current, cells.into_iter().zip(runs).collect());
    let after = seeds.last().map_or(0, |last| last.wrapping_add(1));
    let fresh: Vec<u64> =
        (0..u64::from(grid.confirm)).map(|number| after.wrapping_add(number)).collect();
    sweep
        .confirm(&fresh, |position| {
            let row = &resolved[position..=position];
            let runs = run_all_to(row, &fresh, || {}, summary)?;
            Ok(runs.into_iter().flatten().collect())
        })
        .map_err(Failure::Problems)?;
    write_table(&sweep, &arguments.outputs, options, out)
}

/// Writes the table of a sweep.
pub(crate) fn write_table(
    sweep: &SweepTable,
    outputs: &Outputs,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    if let Some(folder) = &outputs.charts {
        for chart in pictures(sweep) {
            for file in charts::files(&chart.stem, &chart.scene) {
                write_file(&folder.join(&file.name), &file.bytes).map_err(Failure::Input)?;
            }
        }
    }
    if let Some(path) = &outputs.report {
        write_file(path, page::render(sweep).as_bytes()).map_err(Failure::Input)?;
    }
    let rendered = match outputs.output {
        Format::Text => table_text::render(sweep, Style { color: options.color }).into_bytes(),
        Format::Csv => sweep.csv().map_err(Failure::input)?,
        Format::Json => sweep.json().into_bytes(),
        Format::Parquet => sweep.parquet(),
    };
    out.write_all(&rendered)?;
    Ok(Exit::Fine)
}
