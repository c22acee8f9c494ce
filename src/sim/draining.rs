//! `kubectl drain`: cordons a node and evicts its pods as their disruption budgets allow.

use super::environment::Environment;
use super::event::Event;
use cluster::node::NodeId;
use cluster::pod::{Owner, Pod, PodId};
use cluster::{Action, Kind, ObjectReference, Refused, Store};
use engine::SimDuration;

/// Delay after which `kubectl drain` retries a refused eviction.
const DRAIN_RETRY: SimDuration = SimDuration::from_secs(5);

/// `kubectl drain`: cordons the node and requests the eviction of each of its pods.
pub(super) fn drain_node(env: &mut Environment, node: NodeId) {
    env.act("user", Action::SetNodeUnschedulable(node, true));
    let store = env.store();
    let goes = |pod: &PodId| store.pods().get(*pod).is_some_and(|pod| !pod.is_terminating());
    let pods: Vec<PodId> = pods_to_drain(store, node).filter(goes).collect();
    for pod in pods {
        evict(env, pod);
    }
}

/// Requests the eviction of a pod, and retries as long as its disruption budget forbids it (`evictPods` of
/// `kubectl/pkg/drain`).
pub(super) fn evict(env: &mut Environment, pod: PodId) {
    let Some(id) = env.store().pods().get(pod).map(|pod| pod.id.clone()) else { return };
    let reference = ObjectReference { kind: Kind::Pod, id };
    match env.try_act("user", Action::EvictPod(pod, None)) {
        Ok(()) => {
            let message = format!("evicting pod {}", reference.id);
            env.emit_event("user", &reference, "Evicted", message);
        }
        Err(why @ (Refused::TooManyRequests { .. } | Refused::InternalError(_))) => {
            env.warn("user", &reference, "EvictionRefused", why.to_string());
            env.enter(env.now + DRAIN_RETRY, Event::Evict { pod });
        }
        Err(_) => {}
    }
}

/// The pods that a drain of a node evicts. Pods of DaemonSets are left alone, as they would only be recreated.
pub(super) fn pods_to_drain(store: &Store, node: NodeId) -> impl Iterator<Item = PodId> {
    let is_daemon = |pod: &Pod| matches!(pod.owner, Some(Owner::DaemonSet(_)));
    let pods = store.pods_on(node).filter(|(_, pod)| !pod.phase.is_terminal());
    pods.filter(move |(_, pod)| !is_daemon(pod)).map(|(id, _)| id)
}
