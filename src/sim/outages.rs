//! Failures of applications and nodes: crashes, pods that hang or are not ready, machines and networks that fail
//! and recover.

use super::data_plane::DataPlane;
use super::environment::{Environment, node_reference};
use super::targets::{Identity, drawn_pods, stream_of};
use cluster::action::PodDeletion;
use cluster::node::{ConditionStatus, NodeId};
use cluster::pod::PodId;
use cluster::{Action, Kind, ObjectReference};
use engine::SimDuration;
use faults::{ContainerCrash, Outage, PodDeletion as DrawnPods};
use kubelet::ContainerKill;

/// The applications of randomly chosen pods exit.
pub(super) fn crash_containers(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    crash: &ContainerCrash,
    identity: Identity,
) {
    let stream = stream_of(env, "crashed containers", identity);
    for pod in drawn_pods(env, &crash.workload, Some(crash.count), stream) {
        crash_container(env, data_plane, pod, crash.exit_code);
    }
}

/// The application of a pod exits with this code.
pub(super) fn crash_container(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    pod: PodId,
    exit_code: i32,
) {
    warn_of_pod(env, pod, "ContainerCrashed", format!("the application exits with {exit_code}"));
    let kill = ContainerKill::Exit(exit_code);
    data_plane.step(env, |kubelet, view, out| kubelet.kill_container(view, pod, kill, out));
}

/// `kubectl delete pod` of randomly chosen pods.
pub(super) fn delete_pods(env: &mut Environment, deletion: &DrawnPods, identity: Identity) {
    let stream = stream_of(env, "deleted pods", identity);
    for pod in drawn_pods(env, &deletion.workload, Some(deletion.count), stream) {
        if deletion.force {
            kill_pod(env, pod);
        } else {
            say_deleted(env, pod, "deleted");
            env.act("user", Action::DeletePod(pod, PodDeletion::default()));
        }
    }
}

fn say_deleted(env: &mut Environment, pod: PodId, how: &str) {
    let Some(id) = env.store().pods().get(pod).map(|pod| pod.id.clone()) else { return };
    let message = format!("Pod/{id} {how}");
    env.emit_event("user", &ObjectReference { kind: Kind::Pod, id }, "Deleted", message);
}

/// `kubectl delete pod --force`.
pub(super) fn kill_pod(env: &mut Environment, pod: PodId) {
    say_deleted(env, pod, "deleted without grace");
    let at_once = PodDeletion { grace_period: Some(SimDuration::ZERO), ..Default::default() };
    env.act("user", Action::DeletePod(pod, at_once));
}

/// The applications of randomly chosen pods stop answering for a while.
pub(super) fn hang_pods(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    outage: &Outage,
    identity: Identity,
) {
    let stream = stream_of(env, "hanging pods", identity);
    for pod in drawn_pods(env, &outage.workload, outage.count, stream) {
        hang(env, data_plane, pod, outage.duration);
    }
}

/// The application of a pod stops answering for a while.
pub(super) fn hang(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    pod: PodId,
    duration: SimDuration,
) {
    let until = env.now + duration;
    warn_of_pod(env, pod, "Hangs", format!("the application does not respond for {duration}"));
    data_plane.step(env, |kubelet, view, out| kubelet.hang(view, pod, until, out));
}

/// The readiness probes of randomly chosen pods fail for a while.
pub(super) fn make_unready(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    outage: &Outage,
    identity: Identity,
) {
    let stream = stream_of(env, "unready pods", identity);
    for pod in drawn_pods(env, &outage.workload, outage.count, stream) {
        fail_readiness(env, data_plane, pod, outage.duration);
    }
}

/// The readiness probes of a pod fail for a while.
pub(super) fn fail_readiness(
    env: &mut Environment,
    data_plane: &mut DataPlane,
    pod: PodId,
    duration: SimDuration,
) {
    let until = env.now + duration;
    warn_of_pod(env, pod, "ReadinessFails", format!("readiness probes fail for {duration}"));
    data_plane.step(env, |kubelet, view, out| kubelet.fail_readiness(view, pod, until, out));
}

/// A machine fails.
pub(super) fn kill_node(env: &mut Environment, data_plane: &mut DataPlane, node: NodeId) {
    let name = env.store().nodes()[node].meta.name();
    let message = format!("node {name} stopped");
    warn_of_node(env, node, "NodeKilled", message);
    data_plane.node_down(env, node);
}

/// A machine, its network or its kubelet works again.
pub(super) fn recover_node(env: &mut Environment, data_plane: &mut DataPlane, node: NodeId) {
    let known = &env.store().nodes()[node];
    let name = known.meta.name();
    let reference = node_reference(name);
    if known.health.lease.silent_since.is_none() && known.ready.status == ConditionStatus::True {
        let message = format!("node {name} works: there is nothing to recover");
        return env.warn("scenario", &reference, "NotDown", message);
    }
    let message = format!("node {name} recovered");
    env.emit_event("scenario", &reference, "NodeRecovered", message);
    data_plane.node_up(env, node);
}

/// The network between a node and all others fails.
pub(super) fn disconnect_node(env: &mut Environment, data_plane: &mut DataPlane, node: NodeId) {
    warn_of_node(env, node, "NodeDisconnected", "the node's network fails".to_owned());
    env.act("scenario", Action::SetNodeSilent(node, true));
    data_plane.step(env, |kubelet, view, out| kubelet.node_unreachable(view, node, out));
}

/// The kubelet runs, and reports that it is not ready.
pub(super) fn make_not_ready(env: &mut Environment, node: NodeId) {
    warn_of_node(env, node, "NodeNotReady", "the kubelet reports Ready=False".to_owned());
    env.act("kubelet", Action::SetNodeReady(node, ConditionStatus::False));
}

/// Logs an Event of type Warning about a node.
pub(super) fn warn_of_node(
    env: &mut Environment,
    node: NodeId,
    reason: &'static str,
    message: String,
) {
    let Some(node) = env.store().nodes().get(node) else { return };
    let reference = node_reference(node.meta.name());
    env.warn("scenario", &reference, reason, message);
}

fn warn_of_pod(env: &mut Environment, pod: PodId, reason: &'static str, message: String) {
    let Some(id) = env.store().pods().get(pod).map(|pod| pod.id.clone()) else { return };
    let reference = ObjectReference { kind: Kind::Pod, id };
    env.warn("scenario", &reference, reason, message);
}
