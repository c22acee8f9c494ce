//! Parallel runs over seeds and settings. The only crate with threads: each runs whole simulations, and results are
//! collected in the order of the input.

pub mod check;
pub mod compare;
pub mod compare_text;
mod compared_objectives;
pub mod confirm;
pub mod current;
pub mod export;
mod figures;
pub mod gate;
pub mod influence;
mod interval;
pub mod measure;
mod objective_prices;
pub mod page;
mod parquet_file;
mod phases;
pub mod pictures;
pub mod plan;
mod run;
pub mod sample;
pub mod summary;
pub mod table;
pub mod table_text;
pub mod vary;
pub mod waterfall;
pub mod years;
pub mod years_text;

use rayon::prelude::*;

pub use figures::{Better, FigureName, Unit};
pub use objective_prices::ObjectivePrice;
pub use phases::phases;
pub use run::{Run, accepts, report, run, run_while};

use manifest::Diagnostics;
use report::Report;
use scenario::resolved::ResolvedScenario;

/// Processes the jobs in parallel and collects the results in the order of the jobs, whatever the number of threads.
pub fn run_each<Job: Sync, Outcome: Send>(
    jobs: &[Job],
    run: impl Fn(&Job) -> Outcome + Send + Sync,
) -> Vec<Outcome> {
    jobs.par_iter().map(run).collect()
}

/// The same with a tool that jobs use one after the other; each thread has at least one of its own.
pub fn run_each_with<Job: Sync, Tool, Outcome: Send>(
    jobs: &[Job],
    tool: impl Fn() -> Tool + Send + Sync,
    run: impl Fn(&mut Tool, &Job) -> Outcome + Send + Sync,
) -> Vec<Outcome> {
    jobs.par_iter().map_init(tool, run).collect()
}

/// Runs every scenario with every seed, in parallel. The reports of a scenario are adjacent, in the order of the
/// seeds. `finished` is called after each run. All errors are reported, once each.
pub fn run_all(
    scenarios: &[ResolvedScenario],
    seeds: &[u64],
    finished: impl Fn() + Send + Sync,
) -> Result<Vec<Vec<Report>>, Diagnostics> {
    run_all_to(scenarios, seeds, finished, |report| report)
}

/// The same with what is needed of each report, which is dropped at once: thousands of them need gigabytes.
pub fn run_all_to<Kept: Send>(
    scenarios: &[ResolvedScenario],
    seeds: &[u64],
    finished: impl Fn() + Send + Sync,
    keep: impl Fn(Report) -> Kept + Send + Sync,
) -> Result<Vec<Vec<Kept>>, Diagnostics> {
    let jobs: Vec<(&ResolvedScenario, u64)> = scenarios
        .iter()
        .flat_map(|scenario| seeds.iter().map(move |seed| (scenario, *seed)))
        .collect();
    let results = run_each(&jobs, |(scenario, seed)| {
        let report = run(scenario, *seed, |_| {}).map(&keep);
        finished();
        report
    });
    let mut problems = Diagnostics::default();
    let mut reports = Vec::new();
    for result in results {
        match result {
            Ok(report) => reports.push(report),
            Err(mistakes) => problems.append(mistakes),
        }
    }
    if problems.has_errors() {
        problems.deduplicate();
        return Err(problems);
    }
    let mut reports = reports.into_iter();
    Ok(scenarios.iter().map(|_| reports.by_ref().take(seeds.len()).collect()).collect())
}
