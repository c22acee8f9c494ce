//! A scenario and its manifests from two texts, run without files.
#![allow(dead_code, reason = "not every test that includes this uses all of it")]

use std::sync::Arc;

use wavetank::cluster::ObjectReference;
use wavetank::engine::SimTime;
use wavetank::manifest::{Diagnostics, Source};
use wavetank::scenario::ScenarioText;
use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};
use wavetank::sim::{Blueprint, Simulation, World};

/// A scenario with its manifests; `settings` are overrides as for `--set`.
pub fn resolved(
    scenario: &str,
    manifests: &str,
    settings: &[&str],
) -> Result<ResolvedScenario, Diagnostics> {
    let settings: Vec<_> = settings.iter().map(|one| one.parse().expect("well-formed")).collect();
    let text = ScenarioText::parse(&Source::new("scenario.yaml", scenario), &settings)?;
    let manifests = vec![Source::new("manifests.yaml", manifests)];
    let files = Arc::new(ScenarioFiles { manifests, ..ScenarioFiles::default() });
    Ok(ResolvedScenario { text, files, manifest_settings: Vec::new() })
}

/// The world of a valid scenario.
pub fn world(scenario: &str, manifests: &str, settings: &[&str]) -> World {
    let resolved =
        resolved(scenario, manifests, settings).unwrap_or_else(|error| panic!("{error}"));
    let blueprint = Blueprint::new(&resolved).unwrap_or_else(|error| panic!("{error}"));
    blueprint.world(resolved.scenario().seed).unwrap_or_else(|error| panic!("{error}"))
}

/// A simulation in progress.
pub struct Run(pub Simulation);

impl Run {
    /// Starts a run.
    pub fn new(scenario: &str, manifests: &str) -> Self {
        Self(Simulation::new(world(scenario, manifests, &[])))
    }

    /// Continues up to this many seconds after the start.
    pub fn until(&mut self, seconds: i64) -> &mut Self {
        self.0.run_until(SimTime::from_secs(seconds));
        self
    }

    /// `spec.replicas` of a Deployment.
    pub fn replicas(&self, deployment: &str) -> i32 {
        let view = self.0.view();
        let found = view.deployments().values().find(|one| *one.meta.id.name == *deployment);
        found.expect("the Deployment is there").spec.replicas
    }

    /// The last decision about an object such as `hpa/NAMESPACE/NAME`.
    pub fn explain(&self, object: &str) -> String {
        let object: ObjectReference = object.parse().expect("a reference");
        self.0.explain(&object).unwrap_or_default()
    }

    /// Times in seconds and messages of the events with a reason, in order.
    pub fn events(&self, reason: &str) -> Vec<(i64, String)> {
        let lines = self.0.recorder().log.iter().filter(|line| line.reason == reason);
        lines.map(|line| (line.at.as_nanos() / 1_000_000_000, line.message.clone())).collect()
    }
}
