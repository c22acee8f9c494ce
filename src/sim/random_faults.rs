//! Random faults, each process with a random stream of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::data_plane::DataPlane;
use super::environment::Environment;
use super::event::Event;
use super::machines::Machines;
use super::outages::{crash_container, disconnect_node, fail_readiness, hang, kill_node, kill_pod};
use super::simulation::Simulation;
use super::targets::{all_running_pods, nodes_in_zone, nodes_of, running_pods};
use super::world::World;
use cluster::Name;
use cluster::node::{NodeId, ZONE_LABEL};
use cluster::pod::PodId;
use engine::random::{Exponential, index_below};
use engine::{SimDuration, Stream, Streams};
use faults::{FaultKind, RandomFault, SpotReclaim};
use rand_distr::Distribution;

/// Interval after which the number of pods or nodes at risk is determined anew; in between it counts as constant.
/// As the processes are memoryless, this affects nothing but their rate.
const REFRESH_PERIOD: SimDuration = SimDuration::from_secs(60);
/// Notice before a random spot reclaim, as on AWS.
const SPOT_NOTICE: SimDuration = SimDuration::from_secs(120);

/// The random fault processes of a world, by their position in it.
#[derive(Clone, Debug)]
pub(super) struct RandomFaults {
    streams: Vec<Stream>,
}

impl Simulation {
    /// A random fault happens now, to a pod, node or zone drawn from `stream`, and is repaired after `repair`.
    pub fn strike(&mut self, fault: &RandomFault, repair: SimDuration, stream: &mut Stream) {
        let (env, data_plane, machines) = self.struck_parts();
        strike(env, data_plane, machines, (fault, repair), stream);
        self.follow_strike();
    }
}

impl RandomFaults {
    /// The processes in their initial state.
    pub(super) fn new(world: &World) -> Self {
        let streams = Streams::new(world.seed);
        let name = |fault: &RandomFault| {
            let target = fault.workload.as_ref().map(ToString::to_string);
            let target = target.or_else(|| fault.pool.as_ref().map(ToString::to_string));
            format!("fault {} of {}", fault.fault.as_str(), target.unwrap_or_default())
        };
        // Streams are named after the fault, so that they do not depend on the other faults; faults with the same
        // name are numbered.
        let mut known = BTreeMap::<String, u64>::new();
        let stream = |fault: &RandomFault| {
            let name = name(fault);
            let number = known.entry(name.clone()).or_default();
            let stream = streams.stream(&name, *number);
            *number += 1;
            stream
        };
        Self { streams: world.faults.iter().map(stream).collect() }
    }

    /// Handles the event of a process, a fault or a mere update of its rate, and draws the next one.
    pub(super) fn run(
        &mut self,
        env: &mut Environment,
        data_plane: &mut DataPlane,
        machines: &mut Machines,
        (process, strikes): (u32, bool),
    ) {
        let world = std::sync::Arc::clone(&env.world);
        let Some(fault) = world.faults.get(process as usize) else { return };
        let Some(stream) = self.streams.get_mut(process as usize) else { return };
        if strikes {
            let repair = fault.draw_repair(stream);
            strike(env, data_plane, machines, (fault, repair), stream);
        }
        let population = match fault.fault {
            of_pods if of_pods.is_of_pods() => pods_at_risk(env, fault).len(),
            FaultKind::KillZone => zones_at_risk(env, data_plane, fault).len(),
            _ => nodes_at_risk(env, data_plane, fault).len(),
        };
        let wait = if population == 0 {
            SimDuration::MAX
        } else {
            drawn_time(stream, fault.mean_time_between.as_secs_f64() / population as f64)
        };
        let strikes = wait <= REFRESH_PERIOD;
        env.enter(env.now + wait.min(REFRESH_PERIOD), Event::RandomFault { process, strikes });
    }
}

fn drawn_time(stream: &mut Stream, mean_seconds: f64) -> SimDuration {
    SimDuration::from_secs_f64(Exponential { mean: mean_seconds }.sample(stream))
}

fn drawn<T: Copy>(stream: &mut Stream, from: &[T]) -> Option<T> {
    drawn_of(stream, from).copied()
}

fn drawn_of<'a, T>(stream: &mut Stream, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() { None } else { from.get(index_below(stream, from.len())) }
}

fn pods_at_risk(env: &Environment, fault: &RandomFault) -> Vec<PodId> {
    match &fault.workload {
        Some(workload) => running_pods(env.view(), workload),
        None => all_running_pods(env.view()),
    }
}

/// The zones in which nodes at risk work.
fn zones_at_risk(env: &Environment, data_plane: &DataPlane, fault: &RandomFault) -> Vec<Name> {
    let nodes = nodes_at_risk(env, data_plane, fault).into_iter();
    let zone = |node: NodeId| env.store().nodes()[node].meta.labels.get(ZONE_LABEL).cloned();
    let zones: BTreeSet<Name> = nodes.filter_map(zone).collect();
    zones.into_iter().collect()
}

fn nodes_at_risk(env: &Environment, data_plane: &DataPlane, fault: &RandomFault) -> Vec<NodeId> {
    let nodes = nodes_of(env.store(), fault.pool.as_ref()).into_iter();
    nodes.filter(|node| data_plane.kubelet.works(*node)).collect()
}

fn strike(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    machines: &mut Machines,
    (fault, repair): (&RandomFault, SimDuration),
    stream: &mut Stream,
) {
    if fault.fault.is_of_pods() {
        if let Some(pod) = drawn(stream, &pods_at_risk(env, fault)) {
            strike_pod(env, data_plane, fault.fault, pod, repair);
        }
    } else if fault.fault == FaultKind::KillZone {
        let zones = zones_at_risk(env, data_plane, fault);
        if let Some(zone) = drawn_of(stream, &zones) {
            strike_zone(env, data_plane, machines, (zone, fault, repair));
        }
    } else if let Some(node) = drawn(stream, &nodes_at_risk(env, data_plane, fault)) {
        if fault.together > 0.0 && fault.fault == FaultKind::ReclaimSpot {
            let pool = env.store().nodes()[node].pool.clone();
            let reclaim = by_chance(pool, repair);
            let others = (fault.together, stream);
            return machines.reclaim_together(env, data_plane, (node, &reclaim), others);
        }
        strike_node(env, data_plane, machines, fault.fault, node, repair);
    }
}

/// A random reclaim of a spot machine of a pool.
const fn by_chance(pool: Name, repair: SimDuration) -> SpotReclaim {
    let replaced_after = Some(repair);
    SpotReclaim { pool, count: 1, notice: SPOT_NOTICE, drain: true, replaced_after }
}

fn strike_pod(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    fault: FaultKind,
    pod: PodId,
    repair: SimDuration,
) {
    match fault {
        FaultKind::CrashContainer => crash_container(env, data_plane, pod, 1),
        FaultKind::KillPod => kill_pod(env, pod),
        FaultKind::Hang => hang(env, data_plane, pod, repair),
        FaultKind::FailReadiness => fail_readiness(env, data_plane, pod, repair),
        FaultKind::KillNode
        | FaultKind::KillZone
        | FaultKind::DisconnectNode
        | FaultKind::RestartKubelet
        | FaultKind::ReclaimSpot => {}
    }
}

/// All machines of a zone that a fault may hit stop, and come back together.
fn strike_zone(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    machines: &mut Machines,
    (zone, fault, repair): (&Name, &RandomFault, SimDuration),
) {
    let at_risk = nodes_at_risk(env, data_plane, fault);
    for node in nodes_in_zone(env.store(), zone).into_iter().filter(|node| at_risk.contains(node)) {
        strike_node(env, data_plane, machines, FaultKind::KillNode, node, repair);
    }
}

fn strike_node(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    machines: &mut Machines,
    fault: FaultKind,
    node: NodeId,
    repair: SimDuration,
) {
    let object = &env.store().nodes()[node];
    let (name, pool) = (object.meta.name().clone(), object.pool.clone());
    match fault {
        FaultKind::KillNode => kill_node(env, data_plane, node),
        FaultKind::DisconnectNode => disconnect_node(env, data_plane, node),
        FaultKind::RestartKubelet => return machines.stop_kubelet(env, data_plane, node, repair),
        FaultKind::ReclaimSpot => {
            return machines.notice_spot(env, data_plane, node, &by_chance(pool, repair));
        }
        FaultKind::KillZone
        | FaultKind::CrashContainer
        | FaultKind::KillPod
        | FaultKind::Hang
        | FaultKind::FailReadiness => return,
    }
    machines.recover_after(env, name, repair);
}
