//! The options by which a command names an instant of a run, and the run up to it.

use super::exit::Failure;
use super::output::OutputOptions;
use super::scenario_arguments::{DEFAULT_SCENARIO, ObjectInScenario, Settings, load};
use cluster::ObjectReference;
use engine::parse_duration;
use engine::{SimDuration, SimTime};
use report::figures::span;
use sim::{Blueprint, Simulation};

/// An instant of a run of a scenario.
#[derive(Debug, clap::Args)]
pub struct Instant {
    /// The scenario file
    #[arg(value_name = "SCENARIO", default_value = DEFAULT_SCENARIO)]
    scenario: String,

    #[command(flatten)]
    time: TimeOfRun,
}

/// An object at an instant of a run of a scenario.
#[derive(Debug, clap::Args)]
pub struct ObjectAtInstant {
    #[command(flatten)]
    object: ObjectInScenario,

    #[command(flatten)]
    time: TimeOfRun,
}

/// A time of a run.
#[derive(Debug, clap::Args)]
struct TimeOfRun {
    /// The time of the run, such as 20m [default: its end]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    at: Option<SimDuration>,

    #[command(flatten)]
    settings: Settings,
}

impl Instant {
    /// The simulation when that instant is over.
    pub fn simulate(&self, options: OutputOptions) -> Result<Simulation, Failure> {
        self.time.simulate(&self.scenario, options)
    }
}

impl ObjectAtInstant {
    /// The object, and the simulation when that instant is over.
    pub fn simulate(
        &self,
        options: OutputOptions,
    ) -> Result<(ObjectReference, Simulation), Failure> {
        let (object, scenario) = self.object.resolve()?;
        Ok((object, self.time.simulate(scenario, options)?))
    }
}

impl TimeOfRun {
    fn simulate(&self, scenario: &str, options: OutputOptions) -> Result<Simulation, Failure> {
        let resolved = load(scenario, &self.settings)?;
        let blueprint = Blueprint::new(&resolved).map_err(Failure::Problems)?;
        let seed = self.settings.first_seed(&resolved);
        let world = blueprint.world(seed).map_err(Failure::Problems)?;
        let end = resolved.scenario().duration;
        let until = self.at.unwrap_or(end);
        if until > end {
            let [at, end] = [until, end].map(|time| span(time.as_secs_f64()));
            return Err(Failure::Input(format!("--at {at} is after the end of the run: {end}")));
        }
        let mut simulation = Simulation::new(world);
        let bar = options.progress_bar(100, "simulating");
        for step in 1..=100 {
            simulation.run_until(SimTime::from_nanos(until.as_nanos() / 100 * step));
            bar.inc(1);
        }
        simulation.run_until(SimTime::ZERO + until);
        bar.finish_and_clear();
        resolved.files.failed_trace().map_err(Failure::Problems)?;
        Ok(simulation)
    }
}
