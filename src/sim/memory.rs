//! Memory that applications use beyond a constant amount: OOM kills at the container limit, and memory pressure on
//! nodes.

use std::collections::BTreeMap;

use super::apps::Apps;
use cluster::node::{ConditionStatus, Node, NodeId};
use cluster::pod::PodId;
use cluster::qos::qos_class;
use cluster::{Action, ClusterView};
use engine::{SimDuration, SimTime};
use kubelet::memory::{MemoryClaim, oom_victim};
use traffic::Traffic;
use units::Quantity;

/// Interval at which the kubelet checks its node's memory (`monitoringInterval` of its eviction manager).
const EVICTION_LOOK: SimDuration = SimDuration::from_secs(10);
/// Position of `MemoryPressure` among a node's conditions.
const MEMORY_PRESSURE: usize = 0;

/// Nodes that are under memory pressure, or were recently.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryPressure {
    /// When each was last observed to be under pressure.
    last_seen: BTreeMap<NodeId, SimTime>,
}

impl MemoryPressure {
    /// Whether the kubelets check the memory of their nodes at this tick of a clock with the given period: at its
    /// first tick, and then at every tick that the monitoring interval makes due. Depends on `now` only, not on
    /// earlier calls.
    pub(super) fn is_check_due(now: SimTime, period: SimDuration) -> bool {
        let (period, look) = (period.as_nanos().max(1), EVICTION_LOOK.as_nanos());
        let ticks = (look + period - 1) / period;
        (now.as_nanos() / period - 1) % ticks == 0
    }

    /// True if no node is under memory pressure, or was recently.
    pub(super) fn is_over(&self) -> bool {
        self.last_seen.is_empty()
    }

    /// Notes that a node is under memory pressure; the action sets its condition.
    pub(super) fn note(&mut self, now: SimTime, node: NodeId) -> Action {
        self.last_seen.insert(node, now);
        Action::SetNodeCondition(node, MEMORY_PRESSURE, ConditionStatus::True)
    }

    /// Clears the condition of nodes that were not under pressure for this long.
    pub(super) fn relieve(&mut self, now: SimTime, period: SimDuration) -> Vec<Action> {
        let relieved = self.last_seen.extract_if(.., |_, seen| now - *seen >= period);
        let relief = |node| Action::SetNodeCondition(node, MEMORY_PRESSURE, ConditionStatus::False);
        relieved.map(|(node, _)| relief(node)).collect()
    }
}

/// Severity of a node's memory shortage.
pub(super) enum Shortage {
    /// Enough memory is available.
    None,
    /// Less is available than the kubelet's eviction threshold: it evicts one of these pods.
    Low(Vec<MemoryClaim>),
    /// No memory is left: the kernel kills the application of this pod.
    Exhausted(Option<PodId>),
}

/// True if a pod's application uses more memory than its limit.
pub(super) fn exceeds_limit(now: SimTime, apps: &Apps, traffic: &mut Traffic, pod: PodId) -> bool {
    let usage = apps.memory_in_use(now, pod, traffic);
    let limit = apps.get(pod).and_then(|app| app.memory_limit);
    limit.is_some_and(|limit| usage.is_some_and(|usage| usage > limit.0))
}

/// The memory shortage of a node whose kubelet keeps `threshold` free [bytes].
pub(super) fn shortage(
    view: ClusterView<'_>,
    apps: &Apps,
    traffic: &mut Traffic,
    node: NodeId,
    threshold: i64,
) -> Shortage {
    let object = view.nodes().get(node);
    let Some(for_pods) = object.and_then(|node| memory_for_pods(node, threshold)) else {
        return Shortage::None;
    };
    let claims = claims(view, apps, traffic, node);
    let usage: i64 = claims.iter().map(|claim| claim.usage).sum();
    if usage > for_pods {
        Shortage::Exhausted(oom_victim(&claims, for_pods))
    } else if usage > for_pods - threshold {
        Shortage::Low(claims)
    } else {
        Shortage::None
    }
}

/// The pods of a node that use memory, in order of id.
fn claims(
    view: ClusterView<'_>,
    apps: &Apps,
    traffic: &mut Traffic,
    node: NodeId,
) -> Vec<MemoryClaim> {
    let mut claims = Vec::new();
    for (id, pod) in view.pods_on(node) {
        let usage = apps.pod_memory_in_use(view.now, id, traffic);
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

/// Memory that pods can use before the node runs out [bytes]: allocatable plus the eviction threshold; the system
/// uses its own reservation.
fn memory_for_pods(node: &Node, threshold: i64) -> Option<i64> {
    let allocatable = node.allocatable.get("memory")?.value();
    let capacity = node.capacity.get("memory").map_or(allocatable, Quantity::value);
    Some((allocatable + threshold).min(capacity.max(allocatable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_lasts_for_its_transition_period_after_it_was_last_seen() {
        let mut nodes: engine::Table<()> = engine::Table::default();
        let node = engine::Id::from_bits(nodes.insert(()).to_bits());
        let (mut pressure, period) = (MemoryPressure::default(), SimDuration::from_secs(300));
        let at = SimTime::from_secs;
        pressure.note(at(10), node);
        pressure.note(at(100), node);
        let mut reliefs = |seconds| pressure.relieve(at(seconds), period).len();
        assert_eq!(reliefs(311), 0, "it was seen again meanwhile");
        assert_eq!((reliefs(399), reliefs(400)), (0, 1));
        assert_eq!(reliefs(800), 0, "said once");
    }
}
