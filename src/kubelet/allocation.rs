//! In-place pod resize: whether and when a node grants the new requests and limits
//! (`pkg/kubelet/allocation`, `computePodResizeAction` and `doPodResizeAction` of
//! `pkg/kubelet/kuberuntime`, 1.36). Kubelet work takes no time here, so changes that need no restart are
//! in force at once.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::context::{Context, event};
use super::unit::State;
use super::worker::{Stage, Worker, containers};
use super::{Effects, Kubelet, agent_of};
use cluster::node::{Node, NodeId};
use cluster::pod::{Pod, PodId};
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{Container, PodSpec};
use cluster::qos::{QosClass, qos_class};
use cluster::resize::{PendingReason, RESIZABLE, ResizeStep};
use cluster::{Action, ClusterView};
use units::Quantity;

/// CPU [thousandths of a core] and memory [bytes], the resources that a resize can change.
type Amounts = [i64; 2];

/// The kubelet's verdict on a resize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The resize fits on the node.
    Fits,
    /// The resize is deferred or infeasible; the message gives the reason.
    Pends(PendingReason, String),
}

/// Checks whether `requested` fits on a node whose other pods request `others` (`canResizePod`).
pub fn judge(requested: Amounts, others: Amounts, allocatable: Amounts) -> Verdict {
    // If both exceed the node's allocatable amount, memory is reported before CPU.
    for position in [1, 0] {
        let (name, asked, all) = (RESIZABLE[position], requested[position], allocatable[position]);
        if asked > all {
            let message = format!(
                "Node didn't have enough capacity: {name}, requested: {asked}, capacity: {all}"
            );
            return Verdict::Pends(PendingReason::Infeasible, message);
        }
    }
    for position in [0, 1] {
        let (name, asked, all) = (RESIZABLE[position], requested[position], allocatable[position]);
        let used = others[position];
        if asked > 0 && asked > all - used {
            let message = format!(
                "Node didn't have enough resource: {name}, requested: {asked}, used: {used}, \
                 capacity: {all}"
            );
            return Verdict::Pends(PendingReason::Deferred, message);
        }
    }
    Verdict::Fits
}

fn requests(spec: &PodSpec) -> Amounts {
    let requests = pod_requests(spec);
    let amount = |name: &str, value: fn(Quantity) -> i64| requests.get(name).map_or(0, value);
    [amount("cpu", Quantity::milli_value), amount("memory", Quantity::value)]
}

fn allocatable(node: &Node) -> Amounts {
    let amount =
        |name: &str, value: fn(Quantity) -> i64| node.allocatable.get(name).map_or(i64::MAX, value);
    [amount("cpu", Quantity::milli_value), amount("memory", Quantity::value)]
}

impl Kubelet {
    /// Nodes with pods whose resize is pending.
    pub const fn nodes_with_pending_resizes(&self) -> &BTreeSet<NodeId> {
        &self.resizing
    }

    /// Handles a pod whose spec now requests other resources.
    pub fn pod_resized(
        &mut self,
        view: ClusterView<'_>,
        id: PodId,
        memory_in_use: &dyn Fn(PodId) -> Option<i64>,
        out: &mut Effects,
    ) {
        let pod = view.pods().get(id).filter(|pod| pod.resize.is_some());
        if let Some(node) = pod.and_then(|pod| pod.node) {
            self.resizing.insert(node);
            self.retry_resizes(view, node, memory_in_use, out);
        }
    }

    /// Retries a node's unfinished resizes (`retryPendingResizes`).
    pub fn retry_resizes(
        &mut self,
        view: ClusterView<'_>,
        node: NodeId,
        memory_in_use: &dyn Fn(PodId) -> Option<i64>,
        out: &mut Effects,
    ) {
        if !self.works(node) {
            return;
        }
        let Some(object) = view.nodes().get(node) else {
            self.resizing.remove(&node);
            return;
        };
        let on_node = || view.pods_on(node).filter(|(_, pod)| !pod.phase.is_terminal());
        let mut waiting: Vec<(PodId, &Pod)> =
            on_node().filter(|(_, pod)| pod.resize.is_some()).collect();
        if waiting.is_empty() {
            self.resizing.remove(&node);
            return;
        }
        waiting.sort_by_key(|(_, pod)| rank(view, pod));
        // Resources granted in this pass count against the pods that follow.
        let mut granted: Vec<PodId> = Vec::new();
        for (id, pod) in waiting {
            let Some(resize) = &pod.resize else { continue };
            if resize.allocated != pod.template {
                let asked = requests(&view.template_of(pod).spec);
                let others = on_node().filter(|(other, _)| *other != id);
                let others = others.fold([0, 0], |sum: Amounts, (other, pod)| {
                    let template =
                        if granted.contains(&other) { pod.template } else { pod.allocated() };
                    let more = requests(&view.templates()[template].spec);
                    [sum[0] + more[0], sum[1] + more[1]]
                });
                if let Verdict::Pends(reason, message) = judge(asked, others, allocatable(object)) {
                    let known = resize.pending.as_ref();
                    if known.is_none_or(|known| known.reason != reason || known.message != message)
                    {
                        pend(id, pod, reason, message, out);
                    }
                    continue;
                }
                granted.push(id);
                out.actions.push(Action::StepResize(id, Box::new(ResizeStep::Allocate)));
                out.actions.push(event(pod, false, "ResizeStarted", "Pod resize started"));
            } else if resize.in_progress.as_ref().is_none_or(|one| one.error.is_none()) {
                // A restart for an earlier resize is still running.
                continue;
            }
            let in_use = memory_in_use(id);
            let agent = agent_of(&mut self.nodes, node);
            let slot = self.workers.get_mut(id.index()).and_then(Option::as_mut);
            if let Some(worker) = slot.filter(|worker| worker.pod == id) {
                let spec = &view.template_of(pod).spec;
                let (settings, timing) = (&self.settings, &self.timing);
                let shared_work = &mut self.shared_work;
                let mut ctx = Context {
                    view,
                    pod,
                    spec,
                    agent,
                    settings,
                    timing,
                    shared_work,
                    out,
                    requested_before: 0,
                };
                worker.actuate(in_use, &mut ctx);
                ctx.schedule_next_work();
            }
        }
    }
}

/// The order in which pending resizes are tried (`sortPendingResizes`): those that do not increase
/// requests, then by priority, then Guaranteed pods, then those that have waited longest.
fn rank(view: ClusterView<'_>, pod: &Pod) -> impl Ord + use<> {
    let (asked, has) =
        (requests(&view.template_of(pod).spec), requests(&view.templates()[pod.allocated()].spec));
    let spec = &view.template_of(pod).spec;
    let since = pod.resize.as_ref().and_then(|one| one.pending.as_ref()).map(|one| one.since);
    (
        asked[0] > has[0] || asked[1] > has[1],
        Reverse(spec.priority.unwrap_or(0)),
        qos_class(spec) != QosClass::Guaranteed,
        since.is_none(),
        since,
        pod.sequence,
    )
}

fn pend(id: PodId, pod: &Pod, reason: PendingReason, message: String, out: &mut Effects) {
    let what = match reason {
        PendingReason::Deferred => "ResizeDeferred",
        PendingReason::Infeasible => "ResizeInfeasible",
    };
    let event_message = format!("Pod resize {}: {message}", reason.as_str());
    out.actions.push(event(pod, true, what, event_message));
    out.actions.push(Action::StepResize(id, Box::new(ResizeStep::Pend(reason, message))));
}

/// Whether a container's resize policy requires a restart for the new resources.
fn needs_restart(before: &Container, after: &Container) -> bool {
    let changes = |resource: &str| {
        before.requests.get(resource) != after.requests.get(resource)
            || before.limits.get(resource) != after.limits.get(resource)
    };
    after.restarts_on_resize.iter().any(|resource| changes(resource))
}

impl Worker {
    /// Actuates the allocated resources: at once, or by restarting the containers whose policy requires
    /// it. A memory limit below current usage cannot be set.
    fn actuate(&mut self, in_use: Option<i64>, ctx: &mut Context<'_>) {
        let (view, pod, after) = (ctx.view, ctx.pod, ctx.spec);
        let before = &view.templates()[pod.actual()].spec;
        let pairs: Vec<(&Container, &Container)> =
            containers(before).zip(containers(after)).collect();
        let lowered = pairs.get(self.app).and_then(|(before, after)| {
            let limit = after.limits.get("memory")?.value();
            let was = before.limits.get("memory").map_or(i64::MAX, Quantity::value);
            (limit < was && !needs_restart(before, after)).then_some(limit)
        });
        if let (Some(limit), Some(in_use)) = (lowered, in_use)
            && limit < in_use
        {
            let message = format!(
                "cannot decrease memory limits: attempting to set container memory limit ({limit}) \
                 below current usage ({in_use})"
            );
            let known = pod.resize.as_ref().and_then(|one| one.in_progress.as_ref());
            if known.is_none_or(|known| known.error.is_none()) {
                ctx.warn("ResizeError", message.clone());
            }
            let step = ResizeStep::Fail(message);
            return ctx.out.actions.push(Action::StepResize(self.pod, Box::new(step)));
        }
        if self.stage == Stage::Active {
            let grace = after.termination_grace_period;
            for (position, (before, after)) in pairs.into_iter().enumerate() {
                if needs_restart(before, after)
                    && matches!(self.units[position].state, State::Running(_))
                {
                    let message = format!("Container {} resize requires restart", after.name);
                    ctx.out.actions.push(event(pod, false, "Killing", message));
                    self.units[position].is_resized = true;
                    self.stop((position, after), (ctx.now(), ctx.now() + grace), ctx);
                }
            }
        }
        self.resize_if_done(ctx);
        self.settle(ctx);
    }

    /// Reports the resize as completed unless a container still has to restart for it.
    pub(super) fn resize_if_done(&self, ctx: &mut Context<'_>) {
        if self.units.iter().all(|unit| !unit.is_resized) {
            ctx.out.actions.push(Action::StepResize(self.pod, Box::new(ResizeStep::Actuate)));
            let message = "Pod resize completed";
            ctx.out.actions.push(event(ctx.pod, false, "ResizeCompleted", message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: i64 = 1 << 30;

    #[test]
    fn a_resize_is_deferred_for_want_of_room_and_infeasible_on_too_small_a_node() {
        let node = [4_000, 16 * GIB];
        assert_eq!(judge([1_000, GIB], [3_000, GIB], node), Verdict::Fits);
        let deferred = judge([1_500, GIB], [3_000, GIB], node);
        let message =
            "Node didn't have enough resource: cpu, requested: 1500, used: 3000, capacity: 4000";
        assert_eq!(deferred, Verdict::Pends(PendingReason::Deferred, message.to_owned()));
        let infeasible = judge([5_000, GIB], [0, 0], node);
        let message = "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000";
        assert_eq!(infeasible, Verdict::Pends(PendingReason::Infeasible, message.to_owned()));
    }
}
