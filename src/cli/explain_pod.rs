//! `wavetank explain pod/NAMESPACE/NAME`: why a pod is where it is, or why it waits.

use std::io::Write;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::explain::FORMAT_VERSION;
use cluster::NamespacedName;
use engine::SimTime;
use scheduler::explanation::Explanation;
use sim::{Simulation, World};

/// The JSON form.
#[derive(Serialize)]
struct Answer<'e> {
    format_version: &'static str,
    at_seconds: SimTime,
    #[serde(flatten)]
    explanation: &'e Explanation,
}

/// Runs the world up to the time, and writes the decision that put the pod where it is then; or, if it
/// has no node, what the scheduler would say about it.
pub fn run(
    world: &World,
    pod: &NamespacedName,
    at: SimTime,
    as_json: bool,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let mut simulation = Simulation::new(world.clone());
    let mut bound = None;
    while simulation.next_time().is_some_and(|next| next <= at) {
        simulation.step();
        if bound.is_none() && simulation.node_of(pod).is_some() {
            bound = Some(simulation.now());
        }
    }
    let (when, explanation) = match bound {
        // The same run again, up to the cycle that placed it.
        // One that names its node has never waited for one.
        Some(bound) => (bound, at_binding(world, pod, bound).or_else(|| simulation.examine(pod))),
        None => (at, simulation.examine(pod)),
    };
    let Some(explanation) = explanation else {
        return Err(Failure::Input(format!(
            "the scheduler knows of no pod {pod} at {}; `wavetank run -o json` lists what happened to \
             which pod in its log",
            at.floor_to_second()
        )));
    };
    if as_json {
        let answer =
            Answer { format_version: FORMAT_VERSION, at_seconds: when, explanation: &explanation };
        serde_json::to_writer_pretty(&mut *out, &answer).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "at {when}")?;
        write!(out, "{explanation}")?;
    }
    Ok(Exit::Fine)
}

/// What the scheduler had to say about the pod in the step that placed it.
fn at_binding(world: &World, pod: &NamespacedName, bound: SimTime) -> Option<Explanation> {
    let mut simulation = Simulation::new(world.clone());
    while simulation.next_time().is_some_and(|next| next < bound) {
        simulation.step();
    }
    let mut last = None;
    while simulation.node_of(pod).is_none() && simulation.next_time().is_some() {
        last = simulation.examine(pod).or(last);
        simulation.step();
    }
    last
}
