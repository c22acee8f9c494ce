//! `wavetank explain`: what a controller decided, when, and why, with the numbers filled in.

use std::io::Write;

use super::exit::{Exit, Failure};
use super::explain_pod;
use super::run::Form;
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

    /// What is asked about: hpa/NAME or hpa/NAMESPACE/NAME, so/... for KEDA, vpa/..., or pod/NAMESPACE/NAME:
    /// why it is on its node, or why it waits
    #[arg(value_name = "OBJECT")]
    object: ObjectReference,

    /// The decision in force at this time of the run, such as 20m
    #[arg(long, value_parser = parse_duration, value_name = "TIME", default_value = "1m")]
    at: SimDuration,

    /// All decisions until this time, from --at on
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    to: Option<SimDuration>,

    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,

    #[command(flatten)]
    settings: Settings,
}

/// Runs the scenario up to the time and writes the decision.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let resolved = load(&arguments.scenario, &arguments.settings)?;
    let seed = arguments.settings.seed.unwrap_or(resolved.scenario().seed);
    let blueprint = Blueprint::new(&resolved).map_err(Failure::Problems)?;
    let world = blueprint.world(seed).map_err(Failure::Problems)?;
    if *arguments.object.kind == *"Pod" {
        let (pod, at) = (&arguments.object.id, SimTime::ZERO + arguments.at);
        return explain_pod::run(&world, pod, at, arguments.output == Form::Json, out);
    }
    let mut simulation = Simulation::new(world);
    let from = SimTime::ZERO + arguments.at;
    let to = arguments.to.map_or(from, |to| SimTime::ZERO + to);
    simulation.run_until(from);
    if arguments.output == Form::Json {
        return write_json(&mut simulation, &arguments.object, to, out);
    }
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
        None => Err(nothing_decided(&arguments.object, to)),
    }
}

/// All decisions from now on until `to`, as one array.
fn write_json(
    simulation: &mut Simulation,
    object: &ObjectReference,
    to: SimTime,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let mut decisions: Vec<_> = simulation.explain_as_json(object).into_iter().collect();
    while simulation.next_time().is_some_and(|next| next <= to) {
        simulation.step();
        let now = simulation.explain_as_json(object);
        if now.as_ref() != decisions.last() {
            decisions.extend(now);
        }
    }
    if decisions.is_empty() {
        return Err(nothing_decided(object, to));
    }
    writeln!(out, "{:#}", serde_json::Value::from(decisions))?;
    Ok(Exit::Fine)
}

fn nothing_decided(object: &ObjectReference, by: SimTime) -> Failure {
    Failure::Input(format!(
        "nothing was decided about {object} by {by}; an HPA decides for the first time one sync period \
         after it is created"
    ))
}

fn write_decision(decision: Option<&str>, out: &mut impl Write) -> Result<(), Failure> {
    if let Some(text) = decision {
        writeln!(out, "{}", text.trim_end())?;
        writeln!(out)?;
    }
    Ok(())
}
