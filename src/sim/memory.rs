//! Memory that applications use beyond what is constant: kills at their limit, and what a node does
//! that runs short of it.

use std::collections::{BTreeMap, BTreeSet};

use super::simulation::Simulation;
use cluster::Action;
use cluster::node::{ConditionStatus, Node, NodeId};
use cluster::pod::PodId;
use cluster::qos::qos_class;
use engine::{SimDuration, SimTime};
use kubelet::ContainerKill;
use kubelet::memory::{MemoryClaim, eviction_victim, oom_victim};
use units::Quantity;

/// From look to look of the kubelet at its node's memory (`monitoringInterval` of its eviction
/// manager).
const EVICTION_LOOK: SimDuration = SimDuration::from_secs(10);
/// Position of `MemoryPressure` among a node's conditions.
const MEMORY_PRESSURE: usize = 0;

/// Nodes that are short of memory, or were a while ago.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryPressure {
    /// When each was last seen to be.
    last_seen: BTreeMap<NodeId, SimTime>,
    next_look: SimTime,
}

impl Simulation {
    /// Looks at the pods whose memory grows, and at their nodes.
    pub(super) fn check_memory(&mut self) {
        let nodes: BTreeSet<NodeId> = self.apps.growing().filter_map(|app| app.node).collect();
        let growing: Vec<PodId> = self.apps.growing().map(|app| app.pod).collect();
        for pod in growing {
            let usage = self.apps.memory_in_use(self.now, pod, &mut self.traffic);
            let limit = self.apps.get(pod).and_then(|app| app.memory_limit);
            if limit.is_some_and(|limit| usage.is_some_and(|usage| usage > limit.0)) {
                self.kill_for_memory(pod);
            }
        }
        let is_look = self.now >= self.memory_pressure.next_look;
        if is_look {
            self.memory_pressure.next_look = self.now + EVICTION_LOOK;
        }
        for node in nodes {
            if !self.kubelet.is_down(node) {
                self.check_memory_of(node, is_look);
            }
        }
        if is_look {
            self.relieve();
            self.retry_all_resizes();
        }
    }

    fn kill_for_memory(&mut self, pod: PodId) {
        let kill = ContainerKill::OutOfMemory;
        self.kubelet(|kubelet, view, out| kubelet.kill_container(view, pod, kill, out));
    }

    fn check_memory_of(&mut self, id: NodeId, is_look: bool) {
        let view = self.plane.view(self.now);
        let Some(node) = view.nodes().get(id) else { return };
        let threshold = self.world.kubelet.eviction_hard_memory_available.value();
        let Some(for_pods) = memory_for_pods(node, threshold) else { return };
        let claims = self.claims(id);
        let usage: i64 = claims.iter().map(|claim| claim.usage).sum();
        if usage > for_pods {
            if let Some(victim) = oom_victim(&claims, for_pods) {
                self.kill_for_memory(victim);
            }
        } else if is_look && usage > for_pods - threshold {
            self.memory_pressure.last_seen.insert(id, self.now);
            let pressure = Action::SetNodeCondition(id, MEMORY_PRESSURE, ConditionStatus::True);
            self.act("kubelet", pressure);
            if let Some(victim) = eviction_victim(&claims) {
                let message = "The node was low on resource: memory.";
                self.kubelet(|kubelet, view, out| kubelet.evict(view, victim, message, out));
            }
        }
    }

    /// The pods of a node that use memory, in the order of their ids.
    fn claims(&mut self, node: NodeId) -> Vec<MemoryClaim> {
        let view = self.plane.view(self.now);
        let mut claims = Vec::new();
        for (id, pod) in view.pods_on(node) {
            let usage = self.apps.pod_memory_in_use(self.now, id, &mut self.traffic);
            let Some(usage) = usage else { continue };
            let spec = &view.templates()[pod.actual()].spec;
            claims.push(MemoryClaim {
                pod: id,
                qos: qos_class(spec),
                priority: spec.priority.unwrap_or(0),
                request: spec.running_request("memory", Quantity::value),
                usage,
            });
        }
        claims
    }

    /// Nodes that were not short of memory for a while say so.
    fn relieve(&mut self) {
        let period = self.world.kubelet.eviction_pressure_transition_period;
        let now = self.now;
        let relieved = |seen: &SimTime| now - *seen >= period;
        let nodes = self.memory_pressure.last_seen.iter().filter(|(_, seen)| relieved(seen));
        let nodes: Vec<NodeId> = nodes.map(|(node, _)| *node).collect();
        for node in nodes {
            self.memory_pressure.last_seen.remove(&node);
            let relief = Action::SetNodeCondition(node, MEMORY_PRESSURE, ConditionStatus::False);
            self.act("kubelet", relief);
        }
    }
}

/// Memory that pods can use before the kernel has none left [bytes]: what they are allotted and what
/// the kubelet keeps free; the system uses what is reserved for it.
fn memory_for_pods(node: &Node, threshold: i64) -> Option<i64> {
    let allocatable = node.allocatable.get("memory")?.value();
    let capacity = node.capacity.get("memory").map_or(allocatable, Quantity::value);
    Some((allocatable + threshold).min(capacity.max(allocatable)))
}
