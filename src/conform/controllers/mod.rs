//! Replays the golden timelines of the real controllers: the same objects, users, scheduler and
//! kubelet, our controllers. Schema and rules of comparison: `docs/conform-controllers.md`.

mod case;
mod compare;
mod kubelet;
mod seen;
mod state;
mod trace;
mod user;
mod victims;
mod world;

use std::io::BufRead;

pub use case::Case;
use serde_json::{Value, json};

use super::recording::{RecordingError, for_each_line, parse};
use super::{CaseOutcome, Difference};
use controllers::{self, Controller};

/// How a replay compares with its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The case.
    pub id: String,
    /// All that differs; empty if the replay agrees.
    pub differences: Vec<String>,
}

/// Replays every case of a recording, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    let mut outcomes = Vec::new();
    for_each_line(input, |_, line| {
        let outcome = check(line)?;
        let difference = (!outcome.differences.is_empty()).then(|| shown(&outcome, line));
        outcomes.push(CaseOutcome::new(outcome.id, difference));
        Ok(())
    })?;
    Ok(outcomes)
}

/// All that differs in a case, as the one difference of a report.
fn shown(outcome: &Outcome, line: &str) -> Difference {
    let case: Value = serde_json::from_str(line).unwrap_or_default();
    Difference {
        at: String::new(),
        field: "history".to_owned(),
        expected: Value::from("as recorded"),
        got: Value::from(format!("{} differences", outcome.differences.len())),
        inputs: json!({"objects": case["objects"], "actions": case["actions"], "kubelet": case["kubelet"]}),
        explanation: outcome.differences.join("\n"),
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

/// The controllers that a case runs.
fn controllers_of(case: &Case) -> Result<Vec<Box<dyn Controller>>, String> {
    let make = |name: &String| -> Result<Box<dyn Controller>, String> {
        Ok(match name.as_str() {
            "deployment" => Box::new(controllers::deployment::DeploymentController::default()),
            "replicaset" => Box::new(controllers::replica_set::ReplicaSetController),
            "nodelifecycle" => {
                Box::new(controllers::node_lifecycle::NodeLifecycleController::default())
            }
            "tainteviction" => {
                Box::new(controllers::taint_eviction::TaintEvictionController::default())
            }
            "statefulset" => Box::new(controllers::stateful_set::StatefulSetController),
            "daemonset" => Box::new(controllers::daemon_set::DaemonSetController::default()),
            "job" => Box::new(controllers::job::JobController::default()),
            "ttl" => Box::new(controllers::ttl_after_finished::TtlAfterFinishedController),
            "cronjob" => {
                let start = case.t0.parse().map_err(|_| format!("{} is no date", case.t0))?;
                Box::new(controllers::cron_job::CronJobController::new(start))
            }
            "disruption" => Box::new(controllers::disruption::DisruptionController),
            "podgc" => Box::new(controllers::pod_gc::PodGcController::default()),
            other => return Err(format!("controller {other} is not replayed yet")),
        })
    };
    case.controllers.iter().map(make).collect()
}
