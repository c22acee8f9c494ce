//! The kinds of failure that years have, and a scenario to which one of them happens once.

use engine::random::{Exponential, index_below};
use engine::{SimDuration, Stream};
use faults::{
    ContainerCrash, FaultKind, KubeletRestart, Outage, PodDeletion, RandomFault, SpotReclaim,
    TimelineAction, TimelineEntry,
};
use rand_distr::Distribution;

use capacity::failures::{FailureRate, rate_of};
use report::Report;
use scenario::resolved::ResolvedScenario;

/// Notice for a randomly reclaimed spot machine, as on AWS.
const SPOT_NOTICE: SimDuration = SimDuration::from_secs(120);

/// A kind of failure that can happen.
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

/// The kinds of failure: those of the scenario; of pools of which it says nothing, the usual ones.
pub(super) fn processes(
    resolved: &ResolvedScenario,
    base: &Report,
    year: SimDuration,
) -> Vec<Process> {
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
        let years = fault.mean_time_between.as_secs_f64() / year.as_secs_f64();
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
pub(super) fn with_failure(
    quiet: &ResolvedScenario,
    fault: &RandomFault,
    stream: &mut Stream,
) -> ResolvedScenario {
    let mut with_failure = quiet.clone();
    let scenario = &mut with_failure.text.scenario;
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
        return with_failure;
    }
    let pools = quiet.scenario().cluster.node_pools.iter();
    let pools = pools.filter(|pool| fault.pool.as_ref().is_none_or(|own| *own == pool.name));
    let nodes: Vec<(String, &cluster::Name)> =
        pools.flat_map(|pool| pool.node_names().map(move |node| (node, &pool.name))).collect();
    let Some((node, pool)) = nodes.get(index_below(stream, nodes.len().max(1))) else {
        return with_failure;
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
    with_failure
}

pub(super) fn named(fault: &RandomFault) -> String {
    let kind = fault.fault.as_str();
    match (&fault.workload, &fault.pool) {
        (Some(workload), _) => format!("{kind} of {workload}"),
        (None, Some(pool)) => format!("{kind} of pool {pool}"),
        (None, None) => format!("{kind} of all nodes"),
    }
}

fn drawn(stream: &mut Stream, mean: SimDuration) -> SimDuration {
    SimDuration::from_secs_f64(Exponential { mean: mean.as_secs_f64() }.sample(stream))
}
