//! `wavetank explain`: what a controller decided, when, and why, with the numbers filled in.

use std::io::Write;

use super::exit::{Exit, Failure};
use super::scenario_arguments::{Settings, load};
use crate::cluster::ObjectReference;
use crate::engine::{SimDuration, SimTime};
use crate::sim::{Blueprint, Simulation};
use crate::units::parse_duration;

/// Options of `wavetank explain`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: String,

    /// What is asked about: hpa/NAME or hpa/NAMESPACE/NAME
    #[arg(value_name = "OBJECT")]
    object: ObjectReference,

    /// The decision in force at this time of the run, such as 20m
    #[arg(long, value_parser = parse_duration, value_name = "TIME", default_value = "1m")]
    at: SimDuration,

    /// All decisions until this time, from --at on
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    to: Option<SimDuration>,

    #[command(flatten)]
    settings: Settings,
}

/// Runs the scenario up to the time and writes the decision.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let resolved = load(&arguments.scenario, &arguments.settings)?;
    let seed = arguments.settings.seed.unwrap_or(resolved.scenario().seed);
    let blueprint = Blueprint::new(&resolved).map_err(Failure::Problems)?;
    let world = blueprint.world(seed).map_err(Failure::Problems)?;
    let mut simulation = Simulation::new(world);
    let from = SimTime::ZERO + arguments.at;
    let to = arguments.to.map_or(from, |to| SimTime::ZERO + to);
    simulation.run_until(from);
    let mut last = simulation.explain(&arguments.object);
    write_decision(last.as_deref(), out)?;
    while simulation.next_time().is_some_and(|next| next <= to) {
        simulation.step();
        let now = simulation.explain(&arguments.object);
        if now != last {
            write_decision(now.as_deref(), out)?;
            last = now;
        }
    }
    match last {
        Some(_) => Ok(Exit::Fine),
        None => Err(Failure::Input(format!(
            "nothing was decided about {} by {}; an HPA decides for the first time one sync period after \
             it is created",
            arguments.object, to
        ))),
    }
}

fn write_decision(decision: Option<&str>, out: &mut impl Write) -> Result<(), Failure> {
    if let Some(text) = decision {
        writeln!(out, "{}", text.trim_end())?;
        writeln!(out)?;
    }
    Ok(())
}
