//! The kinds of failure that years have.

use std::collections::BTreeSet;

use capacity::failures::{FailureRate, Of, rate_of};
use engine::SimDuration;
use faults::{FaultKind, RandomFault};
use report::{Report, WorkloadReport};
use scenario::cluster::NodePool;
use scenario::resolved::ResolvedScenario;

/// A kind of failure that can happen.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) fault: RandomFault,
    pub(super) per_year: f64,
    pub(super) source: String,
}

/// The same scenario without random faults.
pub(super) fn without_failures(resolved: &ResolvedScenario) -> ResolvedScenario {
    let mut quiet = resolved.clone();
    quiet.text.scenario.faults.clear();
    quiet
}

/// The kinds of failure: those of the scenario; of pools, zones and pods of which it says nothing, the usual ones.
pub(super) fn processes(
    resolved: &ResolvedScenario,
    base: &Report,
    year: SimDuration,
) -> Vec<Process> {
    let scenario = resolved.scenario();
    let stated = scenario.faults.iter().map(|fault| (fault.clone(), "the scenario".to_owned()));
    stated
        .chain(usual(resolved))
        .map(|(fault, source)| {
            let years = fault.mean_time_between.as_secs_f64() / year.as_secs_f64();
            Process { per_year: population(resolved, base, &fault) / years, fault, source }
        })
        .filter(|process| process.per_year > 0.0)
        .collect()
}

/// The number of pods, nodes or zones that a fault may hit, in the mean.
fn population(resolved: &ResolvedScenario, base: &Report, fault: &RandomFault) -> f64 {
    let pools = &resolved.scenario().cluster.node_pools;
    let is_meant = |pool: &str| fault.pool.as_ref().is_none_or(|own| &**own == pool);
    if fault.fault.is_of_pods() {
        let name = fault.workload.as_ref().map(ToString::to_string);
        let is_meant = |workload: &str| name.as_ref().is_none_or(|own| *own == workload);
        let meant = base.workloads.iter().filter(|one| is_meant(&one.workload));
        return meant.map(|one| ready_after_warm_up(base, one)).sum();
    }
    if fault.fault == FaultKind::KillZone {
        let zones = pools.iter().filter(|pool| is_meant(&pool.name)).flat_map(|pool| &pool.zones);
        return zones.collect::<BTreeSet<_>>().len() as f64;
    }
    let meant = base.cluster.pools.iter().filter(|pool| is_meant(&pool.pool));
    meant.map(|pool| pool.nodes.mean).sum()
}

/// The mean number of ready pods without the warm-up, which comes once in a run and not once in every hour of a year.
fn ready_after_warm_up(base: &Report, workload: &WorkloadReport) -> f64 {
    let warm_up_seconds = base.run.warm_up_ms as f64 / 1000.0;
    let ends = base.interval_ends_seconds.iter().zip(&workload.series.ready);
    let counted = ends.filter(|(end, _)| **end > warm_up_seconds).map(|(_, ready)| *ready);
    let (intervals, sum) =
        counted.fold((0.0, 0.0), |(count, sum), ready| (count + 1.0, sum + ready));
    if intervals > 0.0 { sum / intervals } else { workload.ready.mean }
}

/// The failures of which the scenario does not say how often they come, with the sources of their rates.
fn usual(resolved: &ResolvedScenario) -> Vec<(RandomFault, String)> {
    let scenario = resolved.scenario();
    let is_stated = |kinds: &[FaultKind], pool: Option<&NodePool>| {
        scenario.faults.iter().any(|fault| {
            let is_meant =
                |pool: &NodePool| fault.pool.as_ref().is_none_or(|own| *own == pool.name);
            kinds.contains(&fault.fault) && pool.is_none_or(is_meant)
        })
    };
    let mut usual = Vec::new();
    for pool in &scenario.cluster.node_pools {
        let kinds = [FaultKind::KillNode, FaultKind::ReclaimSpot];
        let Ok(machine) = pool.resolve() else { continue };
        if is_stated(&kinds, Some(pool)) || pool.serverless.is_some() {
            continue;
        }
        let has_gpus = machine.capacity().get("nvidia.com/gpu").is_some();
        let rate = rate_of(Of::machine(has_gpus, pool.spot));
        let kind = if pool.spot { FaultKind::ReclaimSpot } else { FaultKind::KillNode };
        let mut fault = fault(rate, kind);
        fault.pool = Some(pool.name.clone());
        // Each machine is lost as often as the rate says, by itself or with others of its zone.
        let alike = f64::from(pool.count.at_start()) / pool.zones.len().max(1) as f64;
        let lost_at_once = 1.0 + fault.together * (alike - 1.0).max(0.0);
        let between = fault.mean_time_between.as_secs_f64() * lost_at_once;
        fault.mean_time_between = SimDuration::from_secs_f64(between);
        usual.push((fault, told(rate)));
    }
    let zones = scenario.cluster.node_pools.iter().flat_map(|pool| &pool.zones);
    if zones.collect::<BTreeSet<_>>().len() > 1 && !is_stated(&[FaultKind::KillZone], None) {
        let rate = rate_of(Of::Zones);
        usual.push((fault(rate, FaultKind::KillZone), told(rate)));
    }
    if !scenario.faults.iter().any(|fault| fault.fault.is_of_pods()) {
        let rate = rate_of(Of::Pods);
        usual.push((fault(rate, FaultKind::CrashContainer), told(rate)));
    }
    usual
}

fn fault(rate: &FailureRate, fault: FaultKind) -> RandomFault {
    RandomFault {
        fault,
        workload: None,
        pool: None,
        mean_time_between: rate.mean_time_between,
        mean_time_to_repair: rate.mean_time_to_repair,
        repair_cv: rate.repair_cv,
        together: rate.together,
    }
}

/// The date of a source without one, as in the catalog.
const UNDATED: &str = "undated";

fn told(rate: &FailureRate) -> String {
    match rate.date {
        UNDATED => rate.source.to_owned(),
        date => format!("{} ({date})", rate.source),
    }
}

pub(super) fn named(fault: &RandomFault) -> String {
    let kind = fault.fault.as_str();
    match (&fault.workload, &fault.pool) {
        (Some(workload), _) => format!("{kind} of {workload}"),
        (None, Some(pool)) => format!("{kind} of pool {pool}"),
        (None, None) if fault.fault.is_of_pods() => format!("{kind} of all pods"),
        (None, None) if fault.fault == FaultKind::KillZone => kind.to_owned(),
        (None, None) => format!("{kind} of all nodes"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A kind of failure that comes so often in a year, and takes this long to repair in the mean.
    pub(in super::super) fn process(per_year: f64, repair_seconds: i64) -> Process {
        let fault = RandomFault {
            fault: FaultKind::KillNode,
            workload: None,
            pool: None,
            mean_time_between: SimDuration::from_secs(1),
            mean_time_to_repair: SimDuration::from_secs(repair_seconds),
            repair_cv: 1.0,
            together: 0.0,
        };
        Process { fault, per_year, source: String::new() }
    }
}
