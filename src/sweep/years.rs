//! Composes many years from short runs: the effect of each kind of failure is simulated around single failures.
//!
//! Failures are rare, so most of a fully simulated year is uneventful. Here one run gives the baseline without
//! failures, and runs with one failure each, at times and with repairs drawn as in the scenario, give the additional
//! effect. A year has a Poisson number of failures of each kind, each with the effect of one of those runs. Overlapping
//! failures are ignored (`--straight` shows how much that matters).

mod failures;

use engine::random::{Exponential, index_below};
use engine::{SimDuration, Stream, Streams};
use rand_distr::Distribution;
use serde::Serialize;

use self::failures::{Process, named, processes, with_failure, without_failures};
use super::interval::interval;
use super::run::run;
use super::run_each;
use manifest::Diagnostics;
use report::Report;
use scenario::resolved::ResolvedScenario;

/// A year.
pub const YEAR: SimDuration = SimDuration::from_secs(365 * 86_400);

/// Settings of the composition.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Years to compose.
    pub years: u32,
    /// Runs with one failure each, for each kind of failure.
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

/// What a year costs, whatever the service.
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
    /// Runs with one failure each, of each kind.
    pub probes: u32,
    /// Cost per year in US dollars, extrapolated from the run without failures.
    pub usd_per_year: f64,
    /// The distribution of the bill of a year.
    pub cost: YearlyCost,
    /// Days of a year.
    pub days: f64,
    /// The services that clients ask.
    pub services: Vec<ServiceYears>,
}

/// What one failure did beyond what goes wrong anyway.
#[derive(Clone, Debug, Default)]
struct Effects {
    /// To each service: requests that failed, seconds down.
    services: Vec<(f64, f64)>,
    /// To the bill, US dollars.
    usd: f64,
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
    let streams = Streams::new(settings.seed);
    let probes: Vec<(usize, u64)> = (0..processes.len())
        .flat_map(|process| (0..u64::from(settings.probes)).map(move |probe| (process, probe)))
        .collect();
    // The requests of a seed without any failure are the same whatever the failure is.
    let seeds: Vec<u64> =
        (0..u64::from(settings.probes)).map(|probe| settings.seed.wrapping_add(probe)).collect();
    let seeds = if processes.is_empty() { Vec::new() } else { seeds };
    let without = run_each(&seeds, |seed| {
        let report = run(&quiet, *seed, |_| {});
        finished();
        report
    });
    let without = without.into_iter().collect::<Result<Vec<Report>, Diagnostics>>()?;
    let effects = run_each(&probes, |(process, probe)| {
        let index = (*process as u64) << 32 | probe;
        let mut stream = streams.stream("failures around which minutes are simulated", index);
        let with_failure = with_failure(&quiet, &processes[*process].fault, &mut stream);
        // Another seed draws other pods; the requests of both runs are those of that seed.
        let seed = settings.seed.wrapping_add(*probe);
        let without = usize::try_from(*probe).ok().and_then(|probe| without.get(probe));
        let effect = run(&with_failure, seed, |_| {})
            .map(|with| without.map_or_else(Effects::default, |without| effect(&with, without)));
        finished();
        effect
    });
    let effects = effects.into_iter().collect::<Result<Vec<Effects>, Diagnostics>>()?;
    let by_process: Vec<&[Effects]> =
        effects.chunks(settings.probes.max(1) as usize).take(processes.len()).collect();
    let straight = straight(resolved, &processes, settings, &finished)?;
    Ok(composed(&base, &processes, &by_process, settings, &straight))
}

/// What a run had go wrong beyond another.
fn effect(with: &Report, without: &Report) -> Effects {
    let services = clients(with).map(|service| {
        let name = &service.service;
        let other = clients(without).find(|one| one.service == *name);
        let (failed, down) = wrong(service);
        let (failed_anyway, down_anyway) = other.map_or((0.0, 0.0), wrong);
        (failed - failed_anyway, down - down_anyway)
    });
    let usd = (with.cost.total_usd - without.cost.total_usd).as_usd();
    Effects { services: services.collect(), usd }
}

fn wrong(service: &report::ServiceReport) -> (f64, f64) {
    let failed: u64 = service.failed_by_cause.iter().map(|(_, count)| count).sum();
    let down: f64 = service.downtimes.iter().map(|down| down.counted_seconds).sum();
    (failed as f64, down)
}

fn clients(report: &Report) -> impl Iterator<Item = &report::ServiceReport> {
    report.services.iter().filter(|service| service.has_clients)
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

fn composed(
    base: &Report,
    processes: &[Process],
    effects: &[&[Effects]],
    settings: Settings,
    straight: &[Report],
) -> Years {
    let counted = (base.run.duration_ms - base.run.warm_up_ms) as f64 / 1e3;
    let per_year = settings.year.as_secs_f64() / counted.max(f64::MIN_POSITIVE);
    let services = clients(base).enumerate().map(|(position, service)| {
        let (failed, down) = wrong(service);
        let ended = (failed + service.answered as f64) * per_year;
        let anyway = (failed * per_year, down * per_year);
        let service_of = |one: &Effects| one.services.get(position).copied().unwrap_or_default();
        let mut totals = Vec::new();
        for year in 0..u64::from(settings.years) {
            let mut stream = Streams::new(settings.seed).stream("composed years", year);
            let (failed, down) = one_year(&mut stream, processes, effects, service_of);
            totals.push(((anyway.0 + failed).max(0.0), (anyway.1 + down).max(0.0)));
        }
        let available = |failed: f64| 1.0 - failed / ended.max(1.0);
        let straight = (!straight.is_empty()).then(|| of_straight(straight, &service.service));
        ServiceYears {
            service: service.service.clone(),
            availability_by_requests: spread(totals.iter().map(|year| available(year.0)))
                .widened(probe_error(processes, effects, |one| service_of(one).0) / ended.max(1.0)),
            down_minutes: spread(totals.iter().map(|year| year.1 / 60.0))
                .widened(probe_error(processes, effects, |one| service_of(one).1) / 60.0),
            failed_without_failures: failed / (failed + service.answered as f64).max(1.0),
            failures: failures(processes, effects, position),
            straight,
        }
    });
    let services: Vec<ServiceYears> = services.collect();
    // A month of 730 hours, as the report has it.
    let usd_per_year =
        base.cost.month_usd.as_usd() * settings.year.as_secs_f64() / (730.0 * 3_600.0);
    let bills: Vec<f64> = (0..u64::from(settings.years))
        .map(|year| {
            let mut stream = Streams::new(settings.seed).stream("composed years", year);
            usd_per_year + one_year(&mut stream, processes, effects, |one| (one.usd, 0.0)).0
        })
        .collect();
    let straight_usd = (!straight.is_empty()).then(|| {
        let year_of = |report: &Report| {
            report.cost.month_usd.as_usd() * settings.year.as_secs_f64() / (730.0 * 3_600.0)
        };
        spread(straight.iter().map(year_of))
    });
    Years {
        format_version: "1.1",
        scenario: base.run.scenario.clone(),
        years: settings.years,
        probes: settings.probes,
        usd_per_year,
        cost: YearlyCost {
            usd: spread(bills.into_iter()).widened(probe_error(processes, effects, |one| one.usd)),
            straight: straight_usd,
        },
        days: settings.year.as_secs_f64() / 86_400.0,
        services,
    }
}

/// Half of the 95 % interval that is due to the few runs around each kind of failure: their means are estimates, however many
/// years are composed of them.
fn probe_error(processes: &[Process], effects: &[&[Effects]], of: impl Fn(&Effects) -> f64) -> f64 {
    let squares = processes.iter().zip(effects).map(|(process, effects)| {
        let values: Vec<f64> = effects.iter().map(&of).collect();
        let half = interval(&values).map_or(0.0, |[low, high]| (high - low) / 2.0);
        process.per_year * half * process.per_year * half
    });
    libm::sqrt(squares.sum())
}

/// What the failures of a year do: the sums of two figures of each.
fn one_year(
    stream: &mut Stream,
    processes: &[Process],
    effects: &[&[Effects]],
    of: impl Fn(&Effects) -> (f64, f64),
) -> (f64, f64) {
    let mut sum = (0.0, 0.0);
    for (process, effects) in processes.iter().zip(effects) {
        let gap = Exponential { mean: 1.0 / process.per_year };
        let mut at = gap.sample(stream);
        while at < 1.0 && !effects.is_empty() {
            let (one, other) = of(&effects[index_below(stream, effects.len())]);
            sum = (sum.0 + one, sum.1 + other);
            at += gap.sample(stream);
        }
    }
    sum
}

fn failures(processes: &[Process], effects: &[&[Effects]], service: usize) -> Vec<FailureReport> {
    let mut told: Vec<FailureReport> = processes
        .iter()
        .zip(effects)
        .map(|(process, effects)| {
            let count = effects.len().max(1) as f64;
            let of = |part: fn(&(f64, f64)) -> f64| {
                let own = effects.iter().filter_map(|one| one.services.get(service));
                own.map(part).sum::<f64>() / count
            };
            let (failed, down) = (of(|one| one.0), of(|one| one.1) / 60.0);
            FailureReport {
                failure: named(&process.fault),
                per_year: process.per_year,
                source: process.source.clone(),
                down_minutes_each: down,
                failed_each: failed,
                down_minutes_per_year: down * process.per_year,
                failed_per_year: failed * process.per_year,
                usd_each: effects.iter().map(|one| one.usd).sum::<f64>() / count,
            }
        })
        .collect();
    told.sort_by(|one, other| other.failed_per_year.total_cmp(&one.failed_per_year));
    told
}

fn of_straight(reports: &[Report], name: &str) -> FullYears {
    let services = || {
        let of = reports.iter().flat_map(|report| &report.services);
        of.filter(|service| service.service == name)
    };
    FullYears {
        years: u32::try_from(reports.len()).unwrap_or(u32::MAX),
        availability_by_requests: spread(services().filter_map(|one| one.availability_by_requests)),
        down_minutes: spread(services().map(|one| wrong(one).1 / 60.0)),
    }
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
    use faults::{FaultKind, RandomFault};

    fn process(per_year: f64) -> Process {
        let fault = RandomFault {
            fault: FaultKind::KillNode,
            workload: None,
            pool: None,
            mean_time_between: SimDuration::from_secs(1),
            mean_time_to_repair: SimDuration::from_secs(1),
            together: 0.0,
        };
        Process { fault, per_year, source: String::new() }
    }

    #[test]
    fn a_year_has_as_many_failures_as_a_poisson_process_brings() {
        let processes = [process(3.0), process(0.5)];
        let effects =
            [(10.0, 60.0), (100.0, 0.0)].map(|one| [Effects { services: vec![one], usd: 0.0 }]);
        let effects: [&[Effects]; 2] = [&effects[0], &effects[1]];
        let years: Vec<(f64, f64)> = (0..4_000)
            .map(|year| {
                let mut stream = Streams::new(7).stream("test", year);
                let (failed, down) =
                    one_year(&mut stream, &processes, &effects, |one| one.services[0]);
                (5.0 + failed, down)
            })
            .collect();
        let mean = |of: fn(&(f64, f64)) -> f64| years.iter().map(of).sum::<f64>() / 4_000.0;
        // 5 + 3 x 10 + 0.5 x 100 = 85; 3 minutes down, with a variance of 3 minutes squared.
        assert!((mean(|year| year.0) - 85.0).abs() < 4.0);
        assert!((mean(|year| year.1) / 60.0 - 3.0).abs() < 0.1);
        let variance = mean(|year| (year.1 / 60.0) * (year.1 / 60.0)) - 9.0;
        assert!((variance - 3.0).abs() < 0.6, "{variance}");
    }

    #[test]
    fn few_runs_around_a_failure_widen_the_interval() {
        // Two failures a year, each seen three times: 1, 2 and 3 minutes, that is 2 +- 4.303 / sqrt(3).
        let effects = [1.0, 2.0, 3.0].map(|usd| Effects { services: Vec::new(), usd });
        let half = probe_error(&[process(2.0)], &[&effects], |one| one.usd);
        assert!((half - 2.0 * 4.302_65 / libm::sqrt(3.0)).abs() < 1e-4, "{half}");
        let wide = Spread { mean: 5.0, interval: [2.0, 8.0], ..Spread::default() }.widened(4.0);
        assert!((wide.interval[0] - 0.0).abs() < 1e-9 && (wide.interval[1] - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_spread_tells_the_years_at_the_ends() {
        let spread = spread((1..=100).map(f64::from));
        assert!((spread.mean - 50.5).abs() < 1e-9);
        assert!((spread.p5 - 5.0).abs() < 1e-9 && (spread.p95 - 95.0).abs() < 1e-9);
        assert!(spread.interval[0] < 50.5 && spread.interval[1] > 50.5);
    }
}
