//! Faults that come by chance, each process with a random stream of its own.

use super::event::Event;
use super::faulting::DeferredStep;
use super::simulation::Simulation;
use cluster::node::NodeId;
use cluster::pod::PodId;
use engine::random::{Exponential, index_below};
use engine::{SimDuration, Stream, Streams};
use faults::{FaultKind, RandomFault, SpotReclaim};
use rand_distr::Distribution;

/// For so long the number of pods or nodes counts as constant: then it is looked at anew. Without
/// memory as these processes are, that changes nothing but their rate.
const LOOK: SimDuration = SimDuration::from_secs(60);
/// Notice of a spot machine that is taken back by chance, as on AWS.
const SPOT_NOTICE: SimDuration = SimDuration::from_secs(120);

/// The random streams of the processes.
pub(super) fn streams(seed: u64, faults: &[RandomFault]) -> Vec<Stream> {
    let streams = Streams::new(seed);
    let name = |fault: &RandomFault| {
        let target = fault.workload.as_ref().map(ToString::to_string);
        let target = target.or_else(|| fault.pool.as_ref().map(ToString::to_string));
        format!("fault {} of {}", fault.fault.as_str(), target.unwrap_or_default())
    };
    (0..).zip(faults).map(|(index, fault)| streams.stream(&name(fault), index)).collect()
}

impl Simulation {
    /// A process of faults strikes, or is looked at; and then waits for the next.
    pub(super) fn random_fault(&mut self, process: u32, strikes: bool) {
        let world = std::sync::Arc::clone(&self.world);
        let Some(fault) = world.faults.get(process as usize) else { return };
        if strikes {
            self.strike(fault, process as usize);
        }
        let population = if fault.fault.is_of_pods() {
            self.pods_at_risk(fault).len()
        } else {
            self.nodes_at_risk(fault).len()
        };
        let wait = if population == 0 {
            SimDuration::MAX
        } else {
            let mean = fault.mean_time_between.as_secs_f64() / population as f64;
            self.drawn_time(process as usize, mean)
        };
        let strikes = wait <= LOOK;
        self.enter(self.now + wait.min(LOOK), Event::RandomFault { process, strikes });
    }

    fn drawn_time(&mut self, process: usize, mean_seconds: f64) -> SimDuration {
        let law = Exponential { mean: mean_seconds };
        let drawn = self.fault_streams.get_mut(process).map(|stream| law.sample(stream));
        SimDuration::from_secs_f64(drawn.unwrap_or(mean_seconds))
    }

    fn pods_at_risk(&self, fault: &RandomFault) -> Vec<PodId> {
        fault.workload.as_ref().map_or_else(Vec::new, |workload| self.running_pods(workload))
    }

    fn nodes_at_risk(&self, fault: &RandomFault) -> Vec<NodeId> {
        let nodes = self.nodes_of(fault.pool.as_ref()).into_iter();
        nodes.filter(|node| self.kubelet.works(*node)).collect()
    }

    fn strike(&mut self, fault: &RandomFault, process: usize) {
        let repair = self.drawn_time(process, fault.mean_time_to_repair.as_secs_f64());
        if fault.fault.is_of_pods() {
            let pods = self.pods_at_risk(fault);
            if let Some(pod) = self.drawn(process, &pods) {
                self.strike_pod(fault.fault, pod, repair);
            }
        } else {
            let nodes = self.nodes_at_risk(fault);
            if let Some(node) = self.drawn(process, &nodes) {
                self.strike_node(fault, node, repair);
            }
        }
    }

    fn drawn<T: Copy>(&mut self, process: usize, from: &[T]) -> Option<T> {
        let stream = self.fault_streams.get_mut(process)?;
        if from.is_empty() { None } else { from.get(index_below(stream, from.len())).copied() }
    }

    fn strike_pod(&mut self, fault: FaultKind, pod: PodId, repair: SimDuration) {
        match fault {
            FaultKind::CrashContainer => self.crash(pod, 1),
            FaultKind::KillPod => self.kill_pod(pod),
            FaultKind::Hang => self.hang(pod, repair),
            FaultKind::FailReadiness => self.fail_readiness(pod, repair),
            FaultKind::KillNode
            | FaultKind::DisconnectNode
            | FaultKind::RestartKubelet
            | FaultKind::ReclaimSpot => {}
        }
    }

    fn strike_node(&mut self, fault: &RandomFault, node: NodeId, repair: SimDuration) {
        let name = self.plane.store().nodes()[node].meta.name().clone();
        let pool = self.plane.store().nodes()[node].pool.clone();
        match fault.fault {
            FaultKind::KillNode => self.kill(node),
            FaultKind::DisconnectNode => self.disconnect(node),
            FaultKind::RestartKubelet => return self.stop_kubelet(node, repair),
            FaultKind::ReclaimSpot => {
                let reclaim = SpotReclaim {
                    pool,
                    count: 1,
                    notice: SPOT_NOTICE,
                    drain: true,
                    replaced_after: Some(repair),
                };
                return self.notice_spot(node, &reclaim);
            }
            FaultKind::CrashContainer
            | FaultKind::KillPod
            | FaultKind::Hang
            | FaultKind::FailReadiness => return,
        }
        self.later(self.now + repair, DeferredStep::Recover(name));
    }
}
