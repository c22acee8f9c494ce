//! Whether a pod that asks for other amounts gets them, and when (`pkg/kubelet/allocation`,
//! `computePodResizeAction` and `doPodResizeAction` of `pkg/kubelet/kuberuntime`, 1.36). As nothing of the
//! kubelet takes time here, what needs no restart is in force at once.

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

/// CPU [thousandths of a core] and memory [bytes], which are what a resize can change.
type Amounts = [i64; 2];

/// What the kubelet says to a resize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Fits,
    /// Not now, or never, and why.
    Pends(PendingReason, String),
}

/// Judges what a pod asks for on a node of which the others have so much (`canResizePod`).
pub fn judge(requested: Amounts, others: Amounts, allocatable: Amounts) -> Verdict {
    // Memory is told before CPU where both are too much for the whole node.
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
    /// Nodes with pods that wait for other amounts.
    pub const fn nodes_with_pending_resizes(&self) -> &BTreeSet<NodeId> {
        &self.resizing
    }

    /// A pod asks for other amounts.
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

    /// Looks again at the resizes of a node that are not through (`retryPendingResizes`).
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
        // What is set aside in this look counts for those that come after.
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
                // It is being restarted.
                continue;
            }
            let in_use = memory_in_use(id);
            let agent = agent_of(&mut self.nodes, node);
            let slot = self.workers.get_mut(id.index()).and_then(Option::as_mut);
            if let Some(worker) = slot.filter(|worker| worker.pod == id) {
                let spec = &view.template_of(pod).spec;
                let (settings, timing) = (&self.settings, &self.timing);
                let shared_work = &mut self.shared_work;
                let mut ctx =
                    Context { view, pod, spec, agent, settings, timing, shared_work, out };
                worker.actuate(in_use, &mut ctx);
                ctx.tell_next_work();
            }
        }
    }
}

/// The order in which resizes get their turn (`sortPendingResizes`): those that take no more, by priority,
/// Guaranteed pods, those that have waited longest.
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
    let told = format!("Pod resize {}: {message}", reason.as_str());
    out.actions.push(event(pod, true, what, told));
    out.actions.push(Action::StepResize(id, Box::new(ResizeStep::Pend(reason, message))));
}

/// Whether a container must be restarted for other amounts.
fn needs_restart(before: &Container, after: &Container) -> bool {
    let changes = |resource: &str| {
        before.requests.get(resource) != after.requests.get(resource)
            || before.limits.get(resource) != after.limits.get(resource)
    };
    after.restarts_on_resize.iter().any(|resource| changes(resource))
}

impl Worker {
    /// Puts in force what was set aside: at once, or by restarting containers whose policy asks for it. A
    /// memory limit below what is in use cannot be set.
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

    /// Tells that all is in force, unless a container still has to be restarted for it.
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
