//! `wavetank explain pod/NAMESPACE/NAME`: why a pod is on its node, or why it is pending.

use std::io::Write;

use serde::Serialize;

use super::exit::{Exit, Failure};
use super::explain::FORMAT_VERSION;
use cluster::NamespacedName;
use engine::SimTime;
use scheduler::explanation::Explanation;
use sim::{Simulation, World};

/// The JSON output.
#[derive(Serialize)]
struct PodExplanation<'e> {
    format_version: &'static str,
    at_seconds: SimTime,
    #[serde(flatten)]
    explanation: &'e Explanation,
    /// Where each of the pod's volumes is, and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<String>,
}

/// Runs the simulation up to the time and writes the decision that placed the pod; for a pod without a
/// node, the scheduler's verdict at that time.
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
        // Repeat the run up to the cycle that placed the pod; a pod that names its node was never
        // scheduled.
        Some(bound) => (bound, at_binding(world, pod, bound).or_else(|| simulation.examine(pod))),
        None => (at, simulation.examine(pod)),
    };
    let Some(explanation) = explanation else {
        return Err(Failure::Input(format!(
            "the scheduler has no pod {pod} at {}; {}",
            at.floor_to_second(),
            others(&simulation, pod)
        )));
    };
    if as_json {
        let answer = PodExplanation {
            format_version: FORMAT_VERSION,
            at_seconds: when,
            explanation: &explanation,
            volumes: simulation.volumes_of(pod),
        };
        serde_json::to_writer_pretty(&mut *out, &answer).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "at {when}")?;
        write!(out, "{explanation}")?;
        for volume in simulation.volumes_of(pod) {
            writeln!(out, "{volume}")?;
        }
    }
    Ok(Exit::Fine)
}

/// The pods that may have been meant.
fn others(simulation: &Simulation, pod: &NamespacedName) -> String {
    let store = simulation.view().store();
    let alike = store
        .pods()
        .iter()
        .map(|(_, one)| &one.id)
        .filter(|id| id.namespace == pod.namespace && id.name.starts_with(&*pod.name));
    let mut alike: Vec<String> = alike.map(ToString::to_string).collect();
    alike.sort_unstable();
    match &alike[..] {
        [] => {
            "`wavetank get pods` lists the current pods, `wavetank run -o json` all pods of the run"
                .to_owned()
        }
        [first, ..] => {
            let count = alike.len();
            let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            format!("there is {first}{more}")
        }
    }
}

/// The scheduler's explanation in the step that placed the pod.
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
