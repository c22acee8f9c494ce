//! The same scenario with other phases of the control loops. In a real cluster the phases of the loops
//! are unknown, and a spike just after a scrape is seen 15 s later than one just before it: a single
//! run shows only one of many possible outcomes.

use std::collections::BTreeMap;

use super::run::report;
use engine::SimTime;
use manifest::Diagnostics;
use report::{BandFigure, PhaseBand, Report};
use scenario::resolved::ResolvedScenario;
use sim::{Blueprint, Simulation};

/// Runs a scenario `phases` times with the same requests and faults, each time with other phases of
/// autoscaler syncs and scrapes, drawn with the seed; `progress` is called after each run.
pub fn phases(
    resolved: &ResolvedScenario,
    seed: u64,
    phases: u32,
    mut progress: impl FnMut(u32),
) -> Result<PhaseBand, Diagnostics> {
    let blueprint = Blueprint::new(resolved)?;
    let end = SimTime::ZERO + resolved.scenario().duration;
    let mut band: BTreeMap<(usize, String, &'static str), (f64, f64)> = BTreeMap::new();
    for phase in 0..phases {
        let mut world = blueprint.world(seed)?;
        world.draw_phases(phase);
        let mut simulation = Simulation::new(world);
        simulation.run_until(end);
        simulation.finish();
        resolved.files.failed_trace()?;
        let report = report(resolved, &blueprint, seed, &mut simulation);
        for (position, (subject, figure, value)) in figures(&report).into_iter().enumerate() {
            let (least, greatest) =
                band.entry((position, subject, figure)).or_insert((value, value));
            *least = least.min(value);
            *greatest = greatest.max(value);
        }
        progress(phase + 1);
    }
    let figures = band.into_iter().map(|((_, subject, figure), (least, greatest))| BandFigure {
        subject,
        figure: figure.to_owned(),
        least,
        greatest,
    });
    Ok(PhaseBand { phases, figures: figures.collect() })
}

/// The figures that depend on the phases, with the unit in the name.
fn figures(report: &Report) -> Vec<(String, &'static str, f64)> {
    let mut figures = Vec::new();
    for service in &report.services {
        let mut add = |figure, value| figures.push((service.service.clone(), figure, value));
        let failed: u64 = service.failed_by_cause.iter().map(|(_, count)| count).sum();
        add("failed requests", failed as f64);
        // A run without requests or answers counts as fully available, with zero latency.
        add("availability %", service.availability_by_requests.unwrap_or(1.0) * 100.0);
        let latency = service.latency.unwrap_or_default();
        add("latency p50 ms", latency.p50_ms);
        add("latency p95 ms", latency.p95_ms);
        add("latency p99 ms", latency.p99_ms);
    }
    for workload in report.workloads.iter().filter(|workload| workload.hpa.is_some()) {
        let mut add = |figure, value| figures.push((workload.workload.clone(), figure, value));
        add("replicas, mean", workload.replicas.mean);
        add("replicas, most", workload.replicas.max);
        add("rescales", workload.rescales as f64);
        add("pending pod seconds", workload.pending_pod_seconds);
    }
    figures
}
