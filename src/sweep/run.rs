//! One run of a scenario from its text to its report.

use engine::SimTime;
use manifest::{Diagnostics, Severity};
use report::{self, Attention, Facts, PoolFacts, Report, RunInfo, ServiceFacts, build};
use scenario::resolved::ResolvedScenario;
use sim::{Blueprint, Simulation};
use traffic::ServiceId;

/// Runs a scenario with a seed; `progress` hears now and then how far it is.
pub fn run(
    resolved: &ResolvedScenario,
    seed: u64,
    mut progress: impl FnMut(SimTime),
) -> Result<Report, Diagnostics> {
    let blueprint = Blueprint::new(resolved)?;
    let mut simulation = Simulation::new(blueprint.world(seed)?);
    let end = SimTime::ZERO + resolved.scenario().duration;
    // A hundred steps: enough for a bar that moves, too few to cost anything.
    for step in 1..=100 {
        let until = SimTime::from_nanos(end.as_nanos() / 100 * step);
        simulation.run_until(until);
        progress(until);
    }
    simulation.run_until(end);
    simulation.finish();
    resolved.files.failed_trace()?;
    Ok(report(resolved, &blueprint, seed, &mut simulation))
}

/// The report of a simulation that is at its end.
pub fn report(
    resolved: &ResolvedScenario,
    blueprint: &Blueprint,
    seed: u64,
    simulation: &mut Simulation,
) -> Report {
    let scenario = resolved.scenario();
    let now = simulation.now();
    let services = service_facts(simulation, now);
    let milliseconds =
        |span: engine::SimDuration| u64::try_from(span.as_nanos() / 1_000_000).unwrap_or_default();
    let run = RunInfo {
        scenario: scenario.name.clone(),
        description: scenario.description.clone(),
        wavetank_version: env!("CARGO_PKG_VERSION"),
        seed,
        scenario_hash: format!("{:016x}", resolved.fingerprint()),
        digest: format!("{:016x}", simulation.digest()),
        duration_ms: milliseconds(scenario.duration),
        warm_up_ms: milliseconds(scenario.warm_up),
        events: simulation.handled(),
        requests: simulation.requests(),
    };
    let pools = blueprint.pools().iter().map(|(name, pool)| {
        let facts = PoolFacts { instance_type: pool.instance_type.clone(), price: pool.price };
        (name.clone(), facts)
    });
    build(Facts {
        run: &run,
        duration: scenario.duration,
        recorder: simulation.recorder(),
        services: &services,
        pools: &pools.collect(),
        objectives: &scenario.objectives,
        notes: &attentions(blueprint.notes()),
    })
}

fn service_facts(simulation: &mut Simulation, now: SimTime) -> Vec<ServiceFacts> {
    let names: Vec<String> = simulation.traffic_services().map(ToString::to_string).collect();
    (0u32..)
        .zip(names)
        .map(|(position, service)| {
            let workloads = simulation.workloads_behind(position as usize);
            let id = ServiceId(position);
            let figures = simulation.traffic_mut().figures(now, id);
            let intervals = simulation.traffic_mut().intervals(id).to_vec();
            ServiceFacts { service, workloads, figures, intervals }
        })
        .collect()
}

/// What was found when the scenario was read, for the reader of the report.
fn attentions(notes: &Diagnostics) -> Vec<Attention> {
    notes
        .iter()
        .map(|note| Attention {
            severity: match note.severity {
                Severity::Error => report::Severity::Failure,
                Severity::Warning => report::Severity::Warning,
                Severity::Note => report::Severity::Ignored,
            },
            message: without_severity(&note.to_string()),
        })
        .collect()
}

/// The text of a diagnostic on one line; its severity is told otherwise.
fn without_severity(text: &str) -> String {
    let text = text.split_once(": ").map_or(text, |(_, rest)| rest);
    text.split('\n').map(str::trim).collect::<Vec<_>>().join("; ")
}
