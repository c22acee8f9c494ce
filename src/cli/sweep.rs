//! `wavetank sweep`: runs a grid of settings and finds the cheapest that meets the objectives.

use std::io::Write;

use clap::ValueEnum;

use super::exit::{Exit, Failure};
use super::output::OutputOptions;
use super::scenario_arguments::{Seeds, Settings};
use super::sweep_shards::{self, Part};
use files::Loader;
use manifest::Diagnostics;
use report::text::Style;
use scenario::Override;
use scenario::resolved::ResolvedScenario;
use sweep::summary::RunSummary;
use sweep::table::SweepTable;
use sweep::vary::{Vary, grid, grid_size};
use sweep::{run_all, table_text};

/// More settings would neither be readable nor fit into memory.
const SETTINGS_MAX: usize = 10_000;

/// Options of `wavetank sweep`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  wavetank sweep scenario.yaml --vary cluster.nodePools[general].count=3,4,5
  wavetank sweep plan scenario.yaml --vary seed=1,2 --to plan.json
  wavetank sweep run plan.json --results results/ --shard 1/4
  wavetank sweep merge plan.json --results results/")]
pub struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,

    #[command(flatten)]
    grid: Grid,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// The grid to be run.
#[derive(Debug, clap::Args)]
pub struct Grid {
    /// The scenario file
    #[arg(value_name = "SCENARIO", required = true)]
    scenario: Option<String>,

    /// A setting and its values, such as cluster.nodePools[general].count=3,4,5; if given several times, all
    /// combinations are run
    #[arg(long, value_name = "PATH=A,B,C", required = true)]
    vary: Vec<Vary>,

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
}

impl Grid {
    /// The scenario file.
    pub fn scenario(&self) -> Result<&str, Failure> {
        let missing = || Failure::Input("no scenario given".to_owned());
        self.scenario.as_deref().ok_or_else(missing)
    }

    /// The paths of the varied settings.
    pub fn varied(&self) -> Vec<String> {
        self.vary.iter().map(|one| one.path.clone()).collect()
    }

    /// The seeds of each setting.
    pub fn seeds(&self, resolved: &[ResolvedScenario]) -> Vec<u64> {
        self.seeds.from(resolved.first().map_or(0, |one| self.settings.first_seed(one)))
    }

    /// All combinations of settings, and the scenario with each.
    pub fn resolve(&self) -> Result<(Vec<Vec<String>>, Vec<ResolvedScenario>), Failure> {
        let size = grid_size(&self.vary);
        if size > SETTINGS_MAX {
            return Err(Failure::Input(format!(
                "this makes {size} settings, and {SETTINGS_MAX} is the most; vary less at a time"
            )));
        }
        let cells = grid(&self.vary);
        let mut loader = Loader::default();
        let mut problems = Diagnostics::default();
        let mut resolved = Vec::new();
        for cell in &cells {
            match loader.load(self.scenario()?, &self.settings_of(cell)?) {
                Ok(one) => resolved.push(one),
                Err(mistakes) => problems.append(mistakes),
            }
        }
        if problems.has_errors() {
            problems.deduplicate();
            return Err(Failure::Problems(problems));
        }
        Ok((cells, resolved))
    }

    /// The overrides of every run, followed by those of this cell.
    fn settings_of(&self, cell: &[String]) -> Result<Vec<Override>, Failure> {
        let mut settings = self.settings.settings.clone();
        for (vary, value) in self.vary.iter().zip(cell) {
            settings.push(format!("{}={value}", vary.path).parse().map_err(Failure::input)?);
        }
        Ok(settings)
    }
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
    let grid = &arguments.grid;
    let (cells, resolved) = grid.resolve()?;
    let seeds = grid.seeds(&resolved);
    let bar = options.progress_bar((resolved.len() * seeds.len()) as u64, "sweeping");
    let reports = run_all(&resolved, &seeds, || bar.inc(1)).map_err(Failure::Problems)?;
    bar.finish_and_clear();
    let runs = reports.iter().map(|reports| reports.iter().map(RunSummary::of).collect());
    let mut sweep = SweepTable::new(grid.varied(), cells.into_iter().zip(runs).collect());
    let after = seeds.last().map_or(0, |last| last.wrapping_add(1));
    let fresh: Vec<u64> =
        (0..u64::from(grid.confirm)).map(|number| after.wrapping_add(number)).collect();
    sweep
        .confirm(&fresh, |position| {
            let row = &resolved[position..=position];
            let reports = run_all(row, &fresh, || {})?;
            Ok(reports.iter().flatten().map(RunSummary::of).collect())
        })
        .map_err(Failure::Problems)?;
    write_table(&sweep, arguments.output, options, out)
}

/// Writes the table of a sweep.
pub fn write_table(
    sweep: &SweepTable,
    format: Format,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let rendered = match format {
        Format::Text => table_text::render(sweep, Style { color: options.color }).into_bytes(),
        Format::Csv => sweep.csv().map_err(Failure::input)?,
        Format::Json => sweep.json().into_bytes(),
    };
    out.write_all(&rendered)?;
    Ok(Exit::Fine)
}
