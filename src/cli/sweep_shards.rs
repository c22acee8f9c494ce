//! `wavetank sweep plan`, `run`, `merge` and `export`: distributes a sweep over several machines.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;

use super::exit::{Exit, Failure};
use super::memory;
use super::output::{OutputOptions, print_warning};
use super::sweep::{Grid, Outputs, Resolved, write_table};
use files::{Loader, ResultFolder, beside, from_folder, read_bytes, write_file};
use scenario::Override;
use scenario::resolved::ResolvedScenario;
use sweep::export::{Export, Target};
use sweep::plan::{Plan, PlannedCell, PlannedUnit, Shard, kept, key, read_kept};
use sweep::run_each;
use sweep::summary::RunSummary;
use sweep::table::SweepTable;

/// Runs per batch: their scenarios are in memory at the same time.
const BATCH: usize = 64;

/// Maximum number of result names in a message.
const NAMED: usize = 5;

/// Subcommands for a sweep on several machines.
#[derive(Debug, clap::Subcommand)]
pub enum Part {
    /// Write a plan of the runs, for any number of machines
    Plan(PlanArguments),
    /// Run a plan or a shard of it; existing results are not run again
    Run(RunArguments),
    /// Merge the results of all shards: byte-identical to the output of a single machine
    Merge(MergeArguments),
    /// Write the input for an engine that runs the shards: a Kubernetes Job, a Slurm script, ...
    Export(ExportArguments),
}

/// Options of `wavetank sweep plan`.
#[derive(Debug, clap::Args)]
pub struct PlanArguments {
    #[command(flatten)]
    grid: Grid,

    /// The plan file to write; the scenario's path in it is relative to it
    #[arg(long, value_name = "FILE", default_value = "plan.json")]
    to: PathBuf,
}

/// A plan and its results.
#[derive(Debug, clap::Args)]
struct Planned {
    /// The plan file written by `sweep plan`
    #[arg(value_name = "PLAN")]
    plan: String,

    /// The folder for results, shared by all machines
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
}

/// Options of `wavetank sweep run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    planned: Planned,

    /// The shard, as NUMBER/COUNT from 1/4 to 4/4. Default: the one given by JOB_COMPLETION_INDEX,
    /// SLURM_ARRAY_TASK_ID or HQ_TASK_ID; without these, the whole plan
    #[arg(long, value_name = "I/N", conflicts_with = "shards")]
    shard: Option<ShardOption>,

    /// Number of shards, for engines that only give the number of this one
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    shards: Option<u32>,
}

/// Options of `wavetank sweep merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArguments {
    #[command(flatten)]
    planned: Planned,

    #[command(flatten)]
    outputs: Outputs,
}

/// Options of `wavetank sweep export`.
#[derive(Debug, clap::Args)]
pub struct ExportArguments {
    #[command(flatten)]
    planned: Planned,

    /// The engine
    #[arg(long, value_enum)]
    target: Engine,

    /// Number of shards
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    shards: u32,

    /// Image with `wavetank`, for a Kubernetes Job
    #[arg(long, default_value = "wavetank:latest")]
    image: String,

    /// PersistentVolumeClaim with plan, scenario and results, for a Kubernetes Job
    #[arg(long, default_value = "wavetank-sweep")]
    claim: String,
}

/// Engines that run shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// An Indexed Job
    K8sJob,
    /// An sbatch script
    Slurm,
    /// Task lines for HyperQueue
    Hq,
    /// A driver for Ray
    Ray,
}

/// `2/4`.
#[derive(Clone, Copy, Debug)]
struct ShardOption(Shard);

impl FromStr for ShardOption {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            let (number, of): (usize, usize) = (number.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&number).then(|| Shard { number: number - 1, of })
        });
        parsed.map(Self).ok_or("write NUMBER/COUNT, from 1/4 to 4/4")
    }
}

/// Runs one of the subcommands.
pub fn run(part: &Part, options: OutputOptions, out: &mut impl Write) -> Result<Exit, Failure> {
    match part {
        Part::Plan(arguments) => plan(arguments, out),
        Part::Run(arguments) => run_part(arguments, options, out),
        Part::Merge(arguments) => merge(arguments, options, out),
        Part::Export(arguments) => export(arguments, out),
    }
}

fn plan(arguments: &PlanArguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let grid = &arguments.grid;
    let Resolved { varied, current, cells, scenarios: resolved } = grid.resolve()?;
    let folder = arguments.to.parent().unwrap_or(Path::new(""));
    let settings = grid.settings.settings.iter().map(ToString::to_string).collect();
    let scenario = from_folder(folder, grid.scenario()?);
    let mut plan = Plan::new(scenario, settings, varied);
    plan.current = current;
    plan.cells = cells
        .into_iter()
        .zip(&resolved)
        .map(|(values, one)| PlannedCell {
            values,
            scenario_hash: format!("{:016x}", one.fingerprint()),
        })
        .collect();
    plan.seeds = grid.seeds(&resolved);
    plan.confirm = u64::from(grid.confirm);
    write_file(&arguments.to, plan.json().as_bytes()).map_err(Failure::Input)?;
    let (settings, seeds) = (plan.cells.len(), plan.seeds.len());
    writeln!(out, "{}: {settings} settings, {seeds} seeds each", arguments.to.display())?;
    Ok(Exit::Fine)
}

impl Planned {
    fn read(&self) -> Result<(Plan, ResultFolder), Failure> {
        let bytes = read_bytes(&self.plan).map_err(|why| self.wrong(&why))?;
        let plan = Plan::parse(&bytes).map_err(|why| self.wrong(&why))?;
        Ok((plan, ResultFolder::open(&self.results).map_err(Failure::Input)?))
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::Input(format!("{}: {why}", self.plan))
    }

    /// Loads a setting of the plan. A changed scenario is refused, as its results would differ.
    fn load(
        &self,
        loader: &mut Loader,
        plan: &Plan,
        cell: usize,
    ) -> Result<ResolvedScenario, Failure> {
        let planned = &plan.cells[cell];
        let own =
            plan.varied.iter().zip(&planned.values).map(|(path, value)| format!("{path}={value}"));
        let settings: Result<Vec<Override>, _> =
            plan.settings.iter().cloned().chain(own).map(|one| one.parse()).collect();
        let settings = settings.map_err(|error| self.wrong(&format!("{error}")))?;
        let path = beside(&self.plan, &plan.scenario);
        let resolved = loader.load(&path, &settings).map_err(Failure::Problems)?;
        if format!("{:016x}", resolved.fingerprint()) != planned.scenario_hash {
            return Err(self.wrong(&format!(
                "{path} or a file that it refers to has changed since the plan was made; restore the files, or make a new plan"
            )));
        }
        Ok(resolved)
    }

    /// Runs units and saves each result as soon as it is known.
    fn run_units(
        &self,
        plan: &Plan,
        results: &ResultFolder,
        units: &[PlannedUnit],
        finished: &(dyn Fn() + Sync),
    ) -> Result<Vec<RunSummary>, Failure> {
        let mut loader = Loader::default();
        let mut runs = Vec::new();
        for batch in units.chunks(BATCH) {
            let mut jobs: Vec<(&PlannedUnit, ResolvedScenario)> = Vec::new();
            for unit in batch {
                jobs.push((unit, self.load(&mut loader, plan, unit.cell)?));
            }
            jobs.iter().take(1).for_each(|(_, scenario)| memory::watch(scenario));
            let done: Vec<Result<RunSummary, Failure>> = run_each(&jobs, |(unit, scenario)| {
                let report = sweep::run(scenario, unit.seed, |_| {}).map_err(Failure::Problems)?;
                let run = RunSummary::of(&report);
                results.put(&unit.key, &kept(&unit.key, &run)).map_err(Failure::Input)?;
                finished();
                Ok(run)
            });
            // Keep successful results even if other runs of the batch fail.
            for run in done {
                runs.push(run?);
            }
        }
        Ok(runs)
    }
}

/// The saved result of a unit; `None` if absent. A damaged result is reported and counts as absent.
fn known(results: &ResultFolder, unit: &PlannedUnit) -> Result<Option<RunSummary>, Failure> {
    let Some(bytes) = results.get(&unit.key).map_err(Failure::Input)? else { return Ok(None) };
    match read_kept(&unit.key, unit.seed, &bytes) {
        Ok(run) => Ok(Some(run)),
        Err(why) => {
            print_warning(&format!("{}: {why}; it runs again", results.path(&unit.key).display()));
            results.drop_result(&unit.key).map_err(Failure::Input)?;
            Ok(None)
        }
    }
}

fn run_part(
    arguments: &RunArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let planned = &arguments.planned;
    let (plan, results) = planned.read()?;
    let shard = match arguments.shard {
        Some(ShardOption(shard)) => shard,
        None => from_engine(&environment, arguments.shards)?,
    };
    let share = plan.share(shard);
    let mut missing = Vec::new();
    for unit in &share {
        if known(&results, unit)?.is_none() {
            missing.push(unit.clone());
        }
    }
    let there = share.len() - missing.len();
    let bar = options.progress_bar(missing.len() as u64, "sweeping");
    let runs = planned.run_units(&plan, &results, &missing, &|| bar.inc(1));
    bar.finish_and_clear();
    let ran = runs?.len();
    writeln!(out, "part {} of {}: ran {ran}, had {there} already", shard.number + 1, shard.of)?;
    Ok(Exit::Fine)
}

fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The shard given by an engine's environment variables.
fn from_engine(
    variable: &dyn Fn(&str) -> Option<String>,
    shards: Option<u32>,
) -> Result<Shard, Failure> {
    let number = |name: &str| -> Result<Option<usize>, Failure> {
        let Some(text) = variable(name) else { return Ok(None) };
        let wrong = || Failure::Input(format!("{name} is {text:?}, which is not a number from 0"));
        text.trim().parse().map(Some).map_err(|_| wrong())
    };
    let shards = shards.map(|count| count as usize);
    let (own, first, of) = if let Some(own) = number("SLURM_ARRAY_TASK_ID")? {
        (
            own,
            number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0),
            shards.or(number("SLURM_ARRAY_TASK_COUNT")?),
        )
    } else if let Some(own) = number("JOB_COMPLETION_INDEX")? {
        (own, 0, shards)
    } else if let Some(own) = number("HQ_TASK_ID")? {
        (own, 0, shards)
    } else if shards.is_none_or(|count| count == 1) {
        return Ok(Shard { number: 0, of: 1 });
    } else {
        return Err(Failure::Input(
            "the part to run is unknown; write --shard 1/4, or run where JOB_COMPLETION_INDEX, SLURM_ARRAY_TASK_ID \
             or HQ_TASK_ID is set"
                .to_owned(),
        ));
    };
    let Some(of) = of else {
        return Err(Failure::Input(format!(
            "this is part {own} of an unknown number; add --shards COUNT"
        )));
    };
    match own.checked_sub(first) {
        Some(number) if number < of => Ok(Shard { number, of }),
        _ => Err(Failure::Input(format!(
            "part {own} is outside the {of} parts from {first} on; number them from 0"
        ))),
    }
}

fn merge(
    arguments: &MergeArguments,
    options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    arguments.outputs.check()?;
    let planned = &arguments.planned;
    let (plan, results) = planned.read()?;
    let units = plan.units();
    let (mut runs, mut missing) = (Vec::new(), Vec::new());
    for unit in &units {
        match results.get(&unit.key).map_err(Failure::Input)? {
            None => missing.push(format!("{} (not there)", results.path(&unit.key).display())),
            Some(bytes) => match read_kept(&unit.key, unit.seed, &bytes) {
                Ok(run) => runs.push(run),
                Err(why) => missing.push(format!("{}: {why}", results.path(&unit.key).display())),
            },
        }
    }
    if !missing.is_empty() {
        let (all, more) = (missing.len(), missing.len().saturating_sub(NAMED));
        missing.truncate(NAMED);
        missing.extend((more > 0).then(|| format!("and {more} more")));
        return Err(Failure::Input(format!(
            "{}: {all} of {} results cannot be used; `wavetank sweep run` runs the missing ones:\n  {}",
            planned.plan,
            units.len(),
            missing.join("\n  ")
        )));
    }
    let mut runs = runs.into_iter();
    let cells = plan.cells.iter().map(|cell| {
        (cell.values.clone(), runs.by_ref().take(plan.seeds.len()).collect::<Vec<_>>())
    });
    let mut sweep = SweepTable::new(plan.varied.clone(), plan.current.clone(), cells.collect());
    let fresh = plan.fresh();
    sweep.confirm(&fresh, |cell| {
        let hash = &plan.cells[cell].scenario_hash;
        let unit = |seed: &u64| PlannedUnit { cell, seed: *seed, key: key(hash, *seed) };
        let units: Vec<PlannedUnit> = fresh.iter().map(unit).collect();
        let mut runs = Vec::new();
        for unit in &units {
            match known(&results, unit)? {
                Some(run) => runs.push(run),
                None => runs.extend(planned.run_units(
                    &plan,
                    &results,
                    std::slice::from_ref(unit),
                    &|| {},
                )?),
            }
        }
        Ok::<_, Failure>(runs)
    })?;
    let own: Vec<&String> = units.iter().map(|unit| &unit.key).collect();
    let hashes = plan.cells.iter().map(|cell| &cell.scenario_hash);
    let of_fresh: Vec<String> =
        hashes.flat_map(|hash| fresh.iter().map(move |seed| key(hash, *seed))).collect();
    let keys = results.keys().map_err(Failure::Input)?;
    let foreign = keys.iter().filter(|key| !own.contains(key) && !of_fresh.contains(key)).count();
    if foreign > 0 {
        let folder = planned.results.display();
        print_warning(&format!(
            "{folder} has {foreign} files of other plans or versions, which are ignored"
        ));
    }
    write_table(&sweep, &arguments.outputs, options, out)
}

fn export(arguments: &ExportArguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let planned = &arguments.planned;
    planned.read()?;
    let target = match arguments.target {
        Engine::K8sJob => Target::KubernetesJob,
        Engine::Slurm => Target::Slurm,
        Engine::Hq => Target::HyperQueue,
        Engine::Ray => Target::Ray,
    };
    let export = Export {
        plan: planned.plan.clone(),
        results: planned.results.to_string_lossy().into_owned(),
        shards: arguments.shards as usize,
        image: arguments.image.clone(),
        claim: arguments.claim.clone(),
    };
    out.write_all(export.text(target).as_bytes())?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(set: &[(&str, &str)], shards: Option<u32>) -> Result<(usize, usize), String> {
        let variable = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let found = from_engine(&variable, shards).map_err(|error| error.to_string());
        found.map(|shard| (shard.number, shard.of))
    }

    #[test]
    fn engines_say_which_part_it_is() {
        assert_eq!(shard(&[], None), Ok((0, 1)));
        assert_eq!(shard(&[("JOB_COMPLETION_INDEX", "2")], Some(4)), Ok((2, 4)));
        assert_eq!(shard(&[("HQ_TASK_ID", "0")], Some(3)), Ok((0, 3)));
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_MIN", "5"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
        ];
        assert_eq!(shard(&slurm, None), Ok((2, 4)));
    }

    #[test]
    fn a_part_that_is_none_is_told_of() {
        for (set, shards, says) in [
            (&[("JOB_COMPLETION_INDEX", "4")][..], Some(4), "number them from 0"),
            (&[("JOB_COMPLETION_INDEX", "1")], None, "add --shards"),
            (&[("HQ_TASK_ID", "x")], Some(4), "not a number"),
            (&[], Some(4), "the part to run is unknown"),
        ] {
            let error = shard(set, shards).expect_err("wrong");
            assert!(error.contains(says), "{error}");
        }
        assert!("0/4".parse::<ShardOption>().is_err() && "5/4".parse::<ShardOption>().is_err());
    }
}
