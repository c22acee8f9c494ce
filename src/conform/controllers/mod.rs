//! Replays golden timelines of the real controllers with our controllers and the same objects, user actions,
//! scheduler and kubelet. Schema and rules of comparison: `docs/conform-controllers.md`.

mod case;
mod compare;
mod kubelet;
mod observed;
mod state;
mod trace;
mod user;
mod victims;
mod world;

use std::io::BufRead;

pub use case::Case;
use serde_json::{Value, json};

use super::recording::{RecordingError, parse, replay_lines};
use super::{CaseOutcome, Difference};
use controllers::{self, Controller, ControllerSettings};
use engine::SimDuration;

/// Recorded names of controllers, with their names in this project.
const NAMES: [(&str, &str); 11] = [
    ("deployment", "deployment-controller"),
    ("replicaset", "replicaset-controller"),
    ("nodelifecycle", "node-controller"),
    ("tainteviction", "taint-eviction-controller"),
    ("statefulset", "statefulset-controller"),
    ("daemonset", "daemonset-controller"),
    ("job", "job-controller"),
    ("ttl", "ttl-after-finished-controller"),
    ("cronjob", "cronjob-controller"),
    ("disruption", "disruption-controller"),
    ("podgc", "pod-garbage-collector"),
];

/// Result of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Name of the case.
    pub id: String,
    /// All differences; empty if the replay agrees.
    pub differences: Vec<String>,
}

/// Replays every case of a recording, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    replay_lines(input, |line| {
        let outcome = check(line)?;
        let difference = (!outcome.differences.is_empty()).then(|| shown(&outcome, line));
        Ok(CaseOutcome::new(outcome.id, difference))
    })
}

/// All differences of a case, combined into one for the report.
fn shown(outcome: &Outcome, line: &str) -> Difference {
    let case: Value = serde_json::from_str(line).unwrap_or_default();
    let [objects, actions, kubelet] = ["objects", "actions", "kubelet"].map(|field| &case[field]);
    let inputs = json!({ "objects": objects, "actions": actions, "kubelet": kubelet });
    let got = json!(format!("{} differences", outcome.differences.len()));
    Difference {
        explanation: outcome.differences.join("\n"),
        ..Difference::new("", "history", json!("as recorded"), got, inputs)
    }
}

/// Replays one line of a golden file.
pub fn check(line: &str) -> Result<Outcome, String> {
    let case: Case = parse(line)?;
    case.check_size()?;
    let differences = if case.class == "victims" {
        victims::check(&case)?
    } else {
        let mut world = world::World::new(&case, controllers_of(&case)?);
        world.run()?;
        compare::differences(&case, &world.trace)
    };
    Ok(Outcome { id: case.id, differences })
}

/// The controllers of a case, in the order of a simulation.
fn controllers_of(case: &Case) -> Result<Vec<Box<dyn Controller>>, String> {
    let name = |recorded: &String| {
        let known = NAMES.iter().find(|(name, _)| name == recorded);
        known.map(|(_, name)| *name).ok_or_else(|| format!("controller {recorded} is not replayed"))
    };
    let names: Vec<&str> = case.controllers.iter().map(name).collect::<Result<_, _>>()?;
    let start = case.start()?;
    let mut controllers =
        controllers::all(&ControllerSettings { start, ..Default::default() }, SimDuration::ZERO);
    controllers.retain(|one| names.contains(&one.name()));
    Ok(controllers)
}
