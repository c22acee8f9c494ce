//! Composes many years from short runs: the effect of each kind of failure is simulated around single failures.
//!
//! Failures are rare, so most of a fully simulated year is uneventful. Here one run gives the baseline without
//! failures, and runs with one failure each, at times and with repairs drawn as in the scenario, give the additional
//! effect. A year has a Poisson number of failures of each kind, each with the effect of one of those runs. Overlapping
//! failures are ignored (`--straight` shows how much that matters).

use engine::random::{Exponential, index_below};
use engine::{SimDuration, Stream, Streams};
use faults::{
    ContainerCrash, FaultKind, KubeletRestart, Outage, PodDeletion, RandomFault, SpotReclaim,
    TimelineAction, TimelineEntry,
};
use rand_distr::Distribution;
use serde::Serialize;

use super::interval::interval;
use super::run::run;
use super::run_each;
use capacity::failures::{FailureRate, rate_of};
use manifest::Diagnostics;
use report::Report;
use scenario::resolved::ResolvedScenario;

/// A year in seconds.
const YEAR_SECONDS: f64 = 365.0 * 86_400.0;
/// Notice for a randomly reclaimed spot machine, as on AWS.
const SPOT_NOTICE: SimDuration = SimDuration::from_secs(120);

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
    pub straight: Option<StraightYears>,
}

/// Whole years, simulated straight through.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StraightYears {
    /// How many.
    pub years: u32,
    /// See [`ServiceYears::availability_by_requests`].
    pub availability_by_requests: Spread,
    /// See [`ServiceYears::down_minutes`].
    pub down_minutes: Spread,
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
    /// The services that clients ask.
    pub services: Vec<ServiceYears>,
}

/// A kind of failure that can happen.
struct Process {
    fault: RandomFault,
    per_year: f64,
    source: String,
}

/// The effect of one failure on each service beyond the baseline: failed requests, seconds of downtime.
type Effects = Vec<(f64, f64)>;

/// Composes years of a scenario.
pub fn years(
    resolved: &ResolvedScenario,
    settings: Settings,
    finished: impl Fn() + Send + Sync,
) -> Result<Years, Diagnostics> {
    let quiet = without_failures(resolved);
    let base = run(&quiet, settings.seed, |_| {})?;
    finished();
    let processes = processes(resolved, &base);
    let streams = Streams::new(settings.seed);
    let probes: Vec<(usize, u64)> = (0..processes.len())
        .flat_map(|process| (0..u64::from(settings.probes)).map(move |probe| (process, probe)))
        .collect();
    let effects = run_each(&probes, |(process, probe)| {
        let index = (*process as u64) << 32 | probe;
        let mut stream = streams.stream("failures around which minutes are simulated", index);
        let struck = struck(&quiet, &processes[*process].fault, &mut stream);
        // Another seed draws other pods; the requests of both runs are those of that seed.
        let seed = settings.seed.wrapping_add(*probe);
        let effect = run(&struck, seed, |_| {}).and_then(|with| {
            let without = run(&quiet, seed, |_| {})?;
            Ok(effect(&with, &without))
        });
        finished();
        effect
    });
    let effects = effects.into_iter().collect::<Result<Vec<Effects>, Diagnostics>>()?;
    let by_process: Vec<&[Effects]> =
        effects.chunks(settings.probes.max(1) as usize).take(processes.len()).collect();
    let straight = straight(resolved, &processes, settings, &finished)?;
    Ok(composed(&base, &processes, &by_process, settings, &straight))
}

/// The same scenario without random faults.
fn without_failures(resolved: &ResolvedScenario) -> ResolvedScenario {
    let mut quiet = resolved.clone();
    quiet.text.scenario.faults.clear();
    quiet
}

/// The kinds of failure: those of the scenario; of pools of which it says nothing, the usual ones.
fn processes(resolved: &ResolvedScenario, base: &Report) -> Vec<Process> {
    let scenario = resolved.scenario();
    let population = |fault: &RandomFault| {
        let of_pods = fault.workload.as_ref().map(|workload| {
            let name = workload.to_string();
            base.workloads.iter().find(|one| one.workload == name).map_or(0.0, |one| one.ready.mean)
        });
        let pools = base.cluster.pools.iter();
        let is_meant = |pool: &str| fault.pool.as_ref().is_none_or(|own| &**own == pool);
        of_pods.unwrap_or_else(|| {
            pools.filter(|pool| is_meant(&pool.pool)).map(|pool| pool.nodes.mean).sum()
        })
    };
    let process = |fault: RandomFault, source: String| {
        let years = fault.mean_time_between.as_secs_f64() / YEAR_SECONDS;
        Process { per_year: population(&fault) / years, fault, source }
    };
    let named = scenario.faults.iter().map(|fault| process(fault.clone(), "the scenario".into()));
    let has_machines = |pool: &str| {
        scenario.faults.iter().any(|fault| {
            let is_meant = fault.pool.as_ref().is_none_or(|own| &**own == pool);
            matches!(fault.fault, FaultKind::KillNode | FaultKind::ReclaimSpot) && is_meant
        })
    };
    let silent = scenario.cluster.node_pools.iter().filter(|pool| !has_machines(&pool.name));
    let usual = silent.filter_map(|pool| {
        let has_gpus = pool.resolve().ok()?.capacity().get("nvidia.com/gpu").is_some();
        let rate: &FailureRate = rate_of(has_gpus, pool.spot)?;
        let is_spot = rate.fault == FaultKind::ReclaimSpot.as_str();
        let fault = RandomFault {
            fault: if is_spot { FaultKind::ReclaimSpot } else { FaultKind::KillNode },
            workload: None,
            pool: Some(pool.name.clone()),
            mean_time_between: rate.mean_time_between,
            mean_time_to_repair: SimDuration::from_secs(300),
            together: 0.0,
        };
        Some(process(fault, format!("{} ({})", rate.source, rate.date)))
    });
    named.chain(usual).filter(|process| process.per_year > 0.0).collect()
}

/// The scenario with one failure, somewhere between the warm-up and the end.
fn struck(quiet: &ResolvedScenario, fault: &RandomFault, stream: &mut Stream) -> ResolvedScenario {
    let mut struck = quiet.clone();
    let scenario = &mut struck.text.scenario;
    let repair = drawn(stream, fault.mean_time_to_repair);
    let span = (scenario.duration - scenario.warm_up).as_nanos();
    // In the first half, so that there is time for it to end.
    let after = index_below(stream, usize::try_from(span / 2).unwrap_or(usize::MAX).max(1));
    let at = scenario.warm_up + SimDuration::from_nanos(i64::try_from(after).unwrap_or_default());
    let mut add = |at, action| {
        scenario.timeline.push(TimelineEntry { at, every: None, actor: None, action });
    };
    if let Some(workload) = fault.workload.clone() {
        let (count, outage) = (1, |workload| Outage { workload, count: Some(1), duration: repair });
        add(
            at,
            match fault.fault {
                FaultKind::Hang => TimelineAction::Hang(outage(workload)),
                FaultKind::FailReadiness => TimelineAction::FailReadiness(outage(workload)),
                FaultKind::KillPod => {
                    TimelineAction::DeletePod(PodDeletion { workload, count, force: true })
                }
                _ => {
                    TimelineAction::CrashContainer(ContainerCrash { workload, count, exit_code: 1 })
                }
            },
        );
        return struck;
    }
    let pools = quiet.scenario().cluster.node_pools.iter();
    let pools = pools.filter(|pool| fault.pool.as_ref().is_none_or(|own| *own == pool.name));
    let nodes: Vec<(String, &cluster::Name)> =
        pools.flat_map(|pool| pool.node_names().map(move |node| (node, &pool.name))).collect();
    let Some((node, pool)) = nodes.get(index_below(stream, nodes.len().max(1))) else {
        return struck;
    };
    let name = || cluster::Name::from(node.as_str());
    match fault.fault {
        FaultKind::RestartKubelet => {
            let down_for = repair;
            add(at, TimelineAction::RestartKubelet(KubeletRestart { node: name(), down_for }));
        }
        FaultKind::ReclaimSpot => add(
            at,
            TimelineAction::ReclaimSpot(SpotReclaim {
                pool: (*pool).clone(),
                count: 1,
                notice: SPOT_NOTICE,
                drain: true,
                replaced_after: Some(repair),
            }),
        ),
        kind => {
            let is_kill = kind == FaultKind::KillNode;
            let kill = || TimelineAction::KillNode(name());
            add(at, if is_kill { kill() } else { TimelineAction::DisconnectNode(name()) });
            add(at + repair, TimelineAction::RecoverNode(name()));
        }
    }
    struck
}

fn drawn(stream: &mut Stream, mean: SimDuration) -> SimDuration {
    SimDuration::from_secs_f64(Exponential { mean: mean.as_secs_f64() }.sample(stream))
}

/// What a run had go wrong beyond another.
fn effect(with: &Report, without: &Report) -> Effects {
    clients(with)
        .map(|service| {
            let name = &service.service;
            let other = without.services.iter().find(|other| other.service == *name);
            let (failed, down) = wrong(service);
            let (failed_anyway, down_anyway) = other.map_or((0.0, 0.0), wrong);
            (failed - failed_anyway, down - down_anyway)
        })
        .collect()
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
    scenario.duration = scenario.warm_up + SimDuration::from_secs(365 * 86_400);
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
    let per_year = YEAR_SECONDS / counted.max(f64::MIN_POSITIVE);
    let services = clients(base).enumerate().map(|(position, service)| {
        let (failed, down) = wrong(service);
        let ended = (failed + service.answered as f64) * per_year;
        let anyway = (failed * per_year, down * per_year);
        let mut totals = Vec::new();
        for year in 0..u64::from(settings.years) {
            let mut stream = Streams::new(settings.seed).stream("composed years", year);
            totals.push(one_year(&mut stream, processes, effects, position, anyway));
        }
        let available = |failed: f64| 1.0 - failed / ended.max(1.0);
        let straight = (!straight.is_empty()).then(|| of_straight(straight, &service.service));
        ServiceYears {
            service: service.service.clone(),
            availability_by_requests: spread(totals.iter().map(|year| available(year.0))),
            down_minutes: spread(totals.iter().map(|year| year.1 / 60.0)),
            failed_without_failures: failed / (failed + service.answered as f64).max(1.0),
            failures: failures(processes, effects, position),
            straight,
        }
    });
    Years {
        format_version: "1.0",
        scenario: base.run.scenario.clone(),
        years: settings.years,
        probes: settings.probes,
        usd_per_year: base.cost.month_usd.as_usd() * 12.0,
        services: services.collect(),
    }
}

/// Requests that fail in a year, and seconds down.
fn one_year(
    stream: &mut Stream,
    processes: &[Process],
    effects: &[&[Effects]],
    service: usize,
    anyway: (f64, f64),
) -> (f64, f64) {
    let mut sum = anyway;
    for (process, effects) in processes.iter().zip(effects) {
        let gap = Exponential { mean: 1.0 / process.per_year };
        let mut at = gap.sample(stream);
        while at < 1.0 && !effects.is_empty() {
            let drawn = effects[index_below(stream, effects.len())].get(service);
            let (failed, down) = drawn.copied().unwrap_or_default();
            sum = (sum.0 + failed, sum.1 + down);
            at += gap.sample(stream);
        }
    }
    (sum.0.max(0.0), sum.1.max(0.0))
}

fn failures(processes: &[Process], effects: &[&[Effects]], service: usize) -> Vec<FailureReport> {
    let mut told: Vec<FailureReport> = processes
        .iter()
        .zip(effects)
        .map(|(process, effects)| {
            let count = effects.len().max(1) as f64;
            let of = |part: fn(&(f64, f64)) -> f64| {
                let sum: f64 = effects.iter().filter_map(|one| one.get(service)).map(part).sum();
                sum / count
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
            }
        })
        .collect();
    told.sort_by(|one, other| other.failed_per_year.total_cmp(&one.failed_per_year));
    told
}

fn named(fault: &RandomFault) -> String {
    let kind = fault.fault.as_str();
    match (&fault.workload, &fault.pool) {
        (Some(workload), _) => format!("{kind} of {workload}"),
        (None, Some(pool)) => format!("{kind} of pool {pool}"),
        (None, None) => format!("{kind} of all nodes"),
    }
}

fn of_straight(reports: &[Report], name: &str) -> StraightYears {
    let services = || {
        let of = reports.iter().flat_map(|report| &report.services);
        of.filter(|service| service.service == name)
    };
    StraightYears {
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
        let effects: [&[Effects]; 2] = [&[vec![(10.0, 60.0)]], &[vec![(100.0, 0.0)]]];
        let years: Vec<(f64, f64)> = (0..4_000)
            .map(|year| {
                let mut stream = Streams::new(7).stream("test", year);
                one_year(&mut stream, &processes, &effects, 0, (5.0, 0.0))
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
    fn a_spread_tells_the_years_at_the_ends() {
        let spread = spread((1..=100).map(f64::from));
        assert!((spread.mean - 50.5).abs() < 1e-9);
        assert!((spread.p5 - 5.0).abs() < 1e-9 && (spread.p95 - 95.0).abs() < 1e-9);
        assert!(spread.interval[0] < 50.5 && spread.interval[1] > 50.5);
    }
}
