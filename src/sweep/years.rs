//! Composes many years from short runs: the effect of each kind of failure is simulated around single failures, and
//! around those that meet.
//!
//! Failures are rare, so most of a fully simulated year is uneventful. Here one run gives the baseline without
//! failures, and courses of incidents (`course`) give the additional effects. A year is a sequence of rests and of
//! incidents, drawn as the failures come (`incident`), each with the effect of one of those that were simulated.

mod compose;
mod course;
mod effects;
mod failures;
mod incident;

use engine::SimDuration;
use serde::Serialize;

use self::compose::composed;
use self::course::{Plan, course};
use self::failures::{Process, processes, without_failures};
use self::incident::Failures;
use super::interval::interval;
use super::run::run;
use super::run_each;
use manifest::Diagnostics;
use report::Report;
use scenario::resolved::ResolvedScenario;

/// Settings of the composition.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Years to compose.
    pub years: u32,
    /// Incidents that are simulated of each kind of failure, and of failures that meet.
    pub probes: u32,
    /// The seed of all draws, and of the runs.
    pub seed: u64,
    /// Number of whole years to simulate in addition, to validate the composed ones.
    pub straight: u32,
    /// What counts as a year: a shorter span makes for less to simulate where composition is held against straight runs.
    pub year: SimDuration,
}

/// A kind of failure and its effect.
#[derive(Clone, Debug, Serialize)]
pub struct FailureReport {
    /// `killNode of pool general`.
    pub failure: String,
    /// Mean number per year.
    pub per_year: f64,
    /// Source of the rate: `the scenario`, or the source of a default.
    pub source: String,
    /// Mean downtime of the service per failure, in minutes.
    pub down_minutes_each: f64,
    /// Mean number of failed requests per failure.
    pub failed_each: f64,
    /// Downtime per year caused by it, in minutes.
    pub down_minutes_per_year: f64,
    /// Requests per year that fail because of it.
    pub failed_per_year: f64,
    /// Requests per year that would not fail without this kind of failure, which also makes others meet less often.
    pub failed_per_year_avoided: f64,
    /// Minutes per year that would not be down without it.
    pub down_minutes_per_year_avoided: f64,
    /// US dollars that one adds to the bill in the mean; below zero where machines are missing that would be paid for.
    pub usd_each: f64,
}

/// Mean, 95 % interval of the mean, and the years at the ends.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// Mean over the years.
    pub mean: f64,
    /// 95 % confidence interval of the mean over the years; equal ends for one year.
    pub interval: [f64; 2],
    /// One year in twenty is below.
    pub p5: f64,
    /// Half of the years are below.
    pub p50: f64,
    /// One year in twenty is above.
    pub p95: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// The same with an interval that has another, independent error in it.
    fn widened(mut self, half: f64) -> Self {
        let [low, high] = self.interval;
        let own = (high - low) / 2.0;
        let both = libm::sqrt(own * own + half * half);
        self.interval = [self.mean - both, self.mean + both];
        self
    }
}

/// One service over the years.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceYears {
    /// `namespace/name`.
    pub service: String,
    /// Answered of the requests that ended, 0..1.
    pub availability_by_requests: Spread,
    /// Minutes down a year.
    pub down_minutes: Spread,
    /// Share of requests that fail without any failure, 0..1.
    pub failed_without_failures: f64,
    /// Requests per year that fail without any failure.
    pub failed_per_year_without_failures: f64,
    /// Minutes per year down without any failure.
    pub down_minutes_without_failures: f64,
    /// The failures, most significant first.
    pub failures: Vec<FailureReport>,
    /// The same two figures for fully simulated years, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub straight: Option<FullYears>,
}

/// Whole years, simulated straight through.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FullYears {
    /// How many.
    pub years: u32,
    /// See [`ServiceYears::availability_by_requests`].
    pub availability_by_requests: Spread,
    /// See [`ServiceYears::down_minutes`].
    pub down_minutes: Spread,
}

/// Cost of a year, independent of the service.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct YearlyCost {
    /// US dollars of a composed year.
    pub usd: Spread,
    /// The same of whole years, if any were simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub straight: Option<Spread>,
}

/// Years of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Years {
    /// Version of the form.
    pub format_version: &'static str,
    /// Name of the scenario.
    pub scenario: String,
    /// Years that were composed.
    pub years: u32,
    /// Incidents simulated of each kind of failure.
    pub probes: u32,
    /// Cost per year in US dollars, extrapolated from the run without failures.
    pub usd_per_year: f64,
    /// The distribution of the bill of a year.
    pub cost: YearlyCost,
    /// Days of a year.
    pub days: f64,
    /// Whether the run has no warm-up, so that its cold start comes again with each repetition of the run.
    pub starts_cold: bool,
    /// The services that clients ask.
    pub services: Vec<ServiceYears>,
}

/// Composes years of a scenario.
pub fn years(
    resolved: &ResolvedScenario,
    settings: Settings,
    finished: impl Fn() + Send + Sync,
) -> Result<Years, Diagnostics> {
    let quiet = without_failures(resolved);
    let base = run(&quiet, settings.seed, |_| {})?;
    finished();
    let processes = processes(resolved, &base, settings.year);
    let failures = Failures { processes: &processes, year: settings.year };
    let plan = Plan::new(&quiet, settings.probes, failures.per_year());
    let courses = if processes.is_empty() { 0 } else { plan.courses };
    let courses: Vec<u64> = (0..courses).collect();
    let probes = run_each(&courses, |number| {
        let probes = course(&quiet, failures, plan, (settings.seed, *number));
        finished();
        probes
    });
    let probes = probes.into_iter().collect::<Result<Vec<_>, Diagnostics>>()?;
    let mut by_kind = vec![Vec::new(); failures.kinds()];
    for probe in probes.into_iter().flatten() {
        by_kind[probe.kind].push(probe);
    }
    let straight = straight(resolved, &processes, settings, &finished)?;
    Ok(composed(&base, failures, &by_kind, settings, &straight))
}

/// Simulates whole years of the scenario with its random failures.
fn straight(
    resolved: &ResolvedScenario,
    processes: &[Process],
    settings: Settings,
    finished: &(impl Fn() + Send + Sync),
) -> Result<Vec<Report>, Diagnostics> {
    let mut year = resolved.clone();
    let scenario = &mut year.text.scenario;
    scenario.faults = processes.iter().map(|process| process.fault.clone()).collect();
    scenario.duration = scenario.warm_up + settings.year;
    let seeds: Vec<u64> = (0..u64::from(settings.straight)).collect();
    let reports = run_each(&seeds, |seed| {
        let report = run(&year, settings.seed.wrapping_add(1_000 + seed), |_| {});
        finished();
        report
    });
    reports.into_iter().collect()
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (sorted.first().copied(), sorted.last().copied()) else {
        return Spread::default();
    };
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    // The value of which at least so many in a hundred are not above.
    let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
    Spread {
        mean,
        interval: interval(&sorted).unwrap_or([mean, mean]),
        p5: at(5),
        p50: at(50),
        p95: at(95),
        min,
        max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_tells_the_years_at_the_ends() {
        let spread = spread((1..=100).map(f64::from));
        assert!((spread.mean - 50.5).abs() < 1e-9);
        assert!((spread.p5 - 5.0).abs() < 1e-9 && (spread.p95 - 95.0).abs() < 1e-9);
        assert!(spread.interval[0] < 50.5 && spread.interval[1] > 50.5);
    }
}
