//! Many runs side by side: seeds and settings. The only module with threads: each runs whole
//! simulations, and results are gathered in the order of the input.

mod run;

use rayon::prelude::*;

pub use run::{report, run};

use crate::manifest::Diagnostics;
use crate::report::Report;
use crate::scenario::resolved::ResolvedScenario;

/// Runs every scenario with every seed, in parallel. The reports of one scenario stand together, in
/// the order of the seeds, whatever the number of threads. `finished` hears of each run that is done.
pub fn run_all(
    scenarios: &[ResolvedScenario],
    seeds: &[u64],
    finished: impl Fn() + Sync,
) -> Result<Vec<Vec<Report>>, Diagnostics> {
    let jobs: Vec<(&ResolvedScenario, u64)> = scenarios
        .iter()
        .flat_map(|scenario| seeds.iter().map(move |seed| (scenario, *seed)))
        .collect();
    let reports: Vec<Report> = jobs
        .into_par_iter()
        .map(|(scenario, seed)| {
            let report = run(scenario, seed, |_| {});
            finished();
            report
        })
        .collect::<Result<_, _>>()?;
    let mut reports = reports.into_iter();
    Ok(scenarios.iter().map(|_| reports.by_ref().take(seeds.len()).collect()).collect())
}
