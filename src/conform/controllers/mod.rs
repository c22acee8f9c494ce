//! Replays the golden timelines of the real controllers: the same objects, users, scheduler and
//! kubelet, our controllers. Schema and rules of comparison: `docs/conform-controllers.md`.

mod case;
mod compare;
mod objects;
mod seen;
mod trace;
mod user;
mod victims;
mod world;

pub use case::Case;

use crate::controllers::{self, Controller};

/// How a replay compares with its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The case.
    pub id: String,
    /// All that differs; empty if the replay agrees.
    pub differences: Vec<String>,
}

/// Replays one line of a golden file.
pub fn check(line: &str) -> Result<Outcome, String> {
    let case: Case = serde_json::from_str(line).map_err(|error| error.to_string())?;
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
            "deployment" => Box::new(controllers::deployment::DeploymentController),
            "replicaset" => Box::new(controllers::replica_set::ReplicaSetController),
            "nodelifecycle" => {
                Box::new(controllers::node_lifecycle::NodeLifecycleController::default())
            }
            "tainteviction" => {
                Box::new(controllers::taint_eviction::TaintEvictionController::default())
            }
            "podgc" => Box::new(controllers::pod_gc::PodGcController::default()),
            other => return Err(format!("controller {other} is not replayed yet")),
        })
    };
    case.controllers.iter().map(make).collect()
}
