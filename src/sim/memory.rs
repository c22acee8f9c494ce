//! Memory that applications use beyond a constant amount: kills at their limit, and nodes that run short of it.

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
}

impl MemoryPressure {
    /// Whether the kubelets look at the memory of their nodes at a tick of the clock that has this period: at its first
    /// one, and from then on at each that is due. It does not matter which ticks somebody asked about.
    pub(super) fn is_look(now: SimTime, period: SimDuration) -> bool {
        let (period, look) = (period.as_nanos().max(1), EVICTION_LOOK.as_nanos());
        let ticks = (look + period - 1) / period;
        (now.as_nanos() / period - 1) % ticks == 0
    }

    /// Whether no node is short of memory, or was a while ago.
    pub(super) fn is_over(&self) -> bool {
        self.last_seen.is_empty()
    }

    /// A node is seen to be short of memory, and says so.
    pub(super) fn note(&mut self, now: SimTime, node: NodeId) -> Action {
        self.last_seen.insert(node, now);
        Action::SetNodeCondition(node, MEMORY_PRESSURE, ConditionStatus::True)
    }

    /// Nodes that were not short of memory for this long say so.
    pub(super) fn relieve(&mut self, now: SimTime, period: SimDuration) -> Vec<Action> {
        let relieved = self.last_seen.extract_if(.., |_, seen| now - *seen >= period);
        let relief = |node| Action::SetNodeCondition(node, MEMORY_PRESSURE, ConditionStatus::False);
        relieved.map(|(node, _)| relief(node)).collect()
    }
}

/// How short of memory a node is.
pub(super) enum Shortage {
    /// There is enough.
    None,
    /// Less is available than the kubelet keeps free: it evicts one of those that use memory.
    Low(Vec<MemoryClaim>),
    /// There is none left: the kernel kills the application of this pod.
    Exhausted(Option<PodId>),
}

/// Whether a pod's application uses more memory than its limit.
pub(super) fn exceeds_limit(now: SimTime, apps: &Apps, traffic: &mut Traffic, pod: PodId) -> bool {
    let usage = apps.memory_in_use(now, pod, traffic);
    let limit = apps.get(pod).and_then(|app| app.memory_limit);
    limit.is_some_and(|limit| usage.is_some_and(|usage| usage > limit.0))
}

/// Whether a node is short of memory, of which its kubelet keeps `threshold` free [bytes].
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

/// The pods of a node that use memory, in the order of their ids.
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

/// Memory that pods can use before the kernel has none left [bytes]: what they are allotted and what
/// the kubelet keeps free; the system uses what is reserved for it.
fn memory_for_pods(node: &Node, threshold: i64) -> Option<i64> {
    let allocatable = node.allocatable.get("memory")?.value();
    let capacity = node.capacity.get("memory").map_or(allocatable, Quantity::value);
    Some((allocatable + threshold).min(capacity.max(allocatable)))
}
