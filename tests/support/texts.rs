//! Runs scenarios and manifests from texts in this process.
#![allow(dead_code, reason = "not every test that includes this uses all of it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use wavetank::engine::SimTime;
use wavetank::manifest::Source;
use wavetank::report::Report;
use wavetank::scenario::ResolvedScenario;
use wavetank::scenario::ScenarioText;
use wavetank::scenario::resolved::ScenarioFiles;
use wavetank::sim::{Blueprint, Simulation};

/// A scenario with its manifests, and the files that its timeline applies.
pub fn resolved(scenario: &str, manifests: &str, applies: &[(&str, &str)]) -> ResolvedScenario {
    let head = "apiVersion: wavetank/v1\nkind: Scenario\nname: test\nmanifests: [all.yaml]\n";
    let source = Source::new("scenario.yaml", format!("{head}{scenario}"));
    let text = ScenarioText::parse(&source, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let applies: BTreeMap<String, Vec<Source>> = applies
        .iter()
        .map(|&(name, text)| (name.to_owned(), vec![Source::new(name, text)]))
        .collect();
    let files = ScenarioFiles {
        manifests: vec![Source::new("all.yaml", manifests)],
        applies,
        ..ScenarioFiles::default()
    };
    ResolvedScenario { text, files: Arc::new(files), manifest_settings: Vec::new() }
}

/// The simulation of a scenario at its start.
pub fn simulation(resolved: &ResolvedScenario, seed: u64) -> Simulation {
    let blueprint = Blueprint::new(resolved).unwrap_or_else(|wrong| panic!("{wrong}"));
    Simulation::new(blueprint.world(seed).unwrap_or_else(|wrong| panic!("{wrong}")))
}

/// The report of a scenario's run, and the simulation at its end.
pub fn ran(resolved: &ResolvedScenario) -> (Report, Simulation) {
    let blueprint = Blueprint::new(resolved).unwrap_or_else(|wrong| panic!("{wrong}"));
    let world = blueprint.world(1).unwrap_or_else(|wrong| panic!("{wrong}"));
    let mut simulation = Simulation::new(world);
    simulation.run_until(SimTime::ZERO + resolved.scenario().duration);
    simulation.finish();
    let report = wavetank::sweep::report(resolved, &blueprint, 1, &mut simulation);
    (report, simulation)
}
