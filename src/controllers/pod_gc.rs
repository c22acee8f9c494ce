//! The pod garbage collector (`pkg/controller/podgc`, 1.36): removes pods that no kubelet will ever remove, because
//! their node object is missing or out of service, and finished pods above a threshold.

use std::collections::{BTreeMap, BTreeSet};

use super::node_lifecycle::health::LoopTimer;
use super::{Actions, Controller, Key, QueueSettings, Requeue, Watches};
use cluster::action::PodDeletion;
use cluster::node::{ConditionStatus, Node, NodeId, OUT_OF_SERVICE_TAINT};
use cluster::pod::{Pod, PodId, PodPhase};
use cluster::{Action, Change, ClusterView, Name, ObjectId, PodChanges};
use engine::{SimDuration, SimTime};

/// From the end of a pass to the next (`gcCheckPeriod`).
const PERIOD: SimDuration = SimDuration::from_secs(20);
/// Duration of a pass.
const PASS: SimDuration = SimDuration::from_nanos(100_000);
/// Time for which a node must be missing (`quarantineTime`).
const QUARANTINE: SimDuration = SimDuration::from_secs(40);
/// `--terminated-pod-gc-threshold`.
const TERMINATED_POD_THRESHOLD: usize = 12_500;
/// Reason of the DisruptionTarget condition of pods whose node object is missing.
const DISRUPTION_REASON: &str = "DeletionByPodGC";

const COLLECT: Key = Key::Pass(0);

/// The pod garbage collector.
#[derive(Clone, Debug, Default)]
pub struct PodGcController {
    /// When its loop started.
    started: Option<SimTime>,
    /// Missing nodes, with the pass that first noticed, if any.
    missing: BTreeMap<NodeId, Option<SimTime>>,
    /// Pods that named a node which was not there when they were created.
    nowhere: BTreeSet<PodId>,
    /// The nodes that such pods name, with the pass that first missed them.
    unknown: BTreeMap<Name, SimTime>,
}

/// The finished pods above the threshold: evicted ones first, then by creation time (`gcTerminated`,
/// `byEvictionAndCreationTimestamp`).
fn surplus_terminated<'a>(
    pods: impl Iterator<Item = (PodId, &'a Pod)>,
    threshold: usize,
) -> Vec<PodId> {
    let mut ended: Vec<(bool, SimTime, u64, PodId)> = pods
        .filter(|(_, pod)| pod.phase.is_terminal())
        .map(|(id, pod)| (!is_evicted(pod), pod.created, pod.sequence, id))
        .collect();
    let surplus = ended.len().saturating_sub(threshold);
    ended.sort_unstable();
    ended.into_iter().take(surplus).map(|(.., id)| id).collect()
}

/// Whether a kubelet evicted the pod (`eviction.PodIsEvicted`).
fn is_evicted(pod: &Pod) -> bool {
    pod.phase == PodPhase::Failed && pod.status_reason == Some("Evicted")
}

/// Whether terminating pods of a node are removed without its kubelet (`gcTerminating`).
fn is_out_of_service(node: &Node) -> bool {
    node.ready.status != ConditionStatus::True
        && node.taints.iter().any(|taint| taint.key.as_ref() == OUT_OF_SERVICE_TAINT)
}

impl Controller for PodGcController {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn watches(&self) -> Watches {
        Watches::NODES.and(Watches::PODS)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::Removed { object: ObjectId::Node(node), .. } => {
                wake.extend([Key::Node(node), COLLECT]);
            }
            Change::PodAdded(pod) if missing_node(view, pod).is_some() => {
                wake.extend([Key::Pod(pod), COLLECT]);
            }
            Change::NodeUpdated(node) if view.nodes().get(node).is_some_and(is_out_of_service) => {
                wake.push(COLLECT);
            }
            Change::PodUpdated(_, what)
                if what.has(PodChanges::PHASE) && view.ended_pods() > TERMINATED_POD_THRESHOLD =>
            {
                wake.push(COLLECT);
            }
            _ => {}
        }
    }

    fn queue(&self) -> QueueSettings {
        QueueSettings { starts_with: &[COLLECT], ..QueueSettings::default() }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let start = *self.started.get_or_insert(view.now);
        if let Key::Node(node) = key {
            self.missing.entry(node).or_insert(None);
            return Requeue::No;
        }
        if let Key::Pod(pod) = key {
            self.nowhere.insert(pod);
            return Requeue::No;
        }
        let passes = LoopTimer { start, step: PERIOD + PASS };
        let due = passes.at_or_after(view.now);
        if due > view.now {
            return Requeue::At(due);
        }
        self.collect(view, actions);
        // With nothing to wait for, the change that brings work wakes the loop again.
        let is_waiting = !self.missing.is_empty()
            || !self.nowhere.is_empty()
            || view.nodes().values().any(is_out_of_service);
        if is_waiting { Requeue::At(view.now + passes.step) } else { Requeue::No }
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl PodGcController {
    fn collect(&mut self, view: ClusterView<'_>, actions: &mut Actions) {
        if view.ended_pods() > TERMINATED_POD_THRESHOLD {
            for pod in surplus_terminated(view.pods().iter(), TERMINATED_POD_THRESHOLD) {
                remove(pod, &view.pods()[pod], None, actions);
            }
        }
        for (node, _) in view.nodes().iter().filter(|(_, node)| is_out_of_service(node)) {
            for (id, pod) in view.pods_on(node).filter(|(_, pod)| pod.is_terminating()) {
                remove(id, pod, None, actions);
            }
        }
        self.collect_orphans(view, actions);
        self.collect_misplaced(view, actions);
    }

    /// The same of pods that named a node which never was.
    fn collect_misplaced(&mut self, view: ClusterView<'_>, actions: &mut Actions) {
        let Self { nowhere, unknown, .. } = self;
        nowhere.retain(|pod| missing_node(view, *pod).is_some());
        let named: BTreeSet<Name> =
            nowhere.iter().filter_map(|pod| missing_node(view, *pod)).collect();
        unknown.retain(|node, _| named.contains(node));
        for node in named {
            unknown.entry(node).or_insert(view.now);
        }
        for pod in nowhere.iter() {
            let missed = missing_node(view, *pod).and_then(|node| unknown.get(&node));
            if missed.is_some_and(|missed| view.now >= *missed + QUARANTINE) {
                remove(*pod, &view.pods()[*pod], Some(DISRUPTION_REASON), actions);
            }
        }
    }

    /// Removes pods of nodes that have been missing for long enough (`gcOrphaned`).
    fn collect_orphans(&mut self, view: ClusterView<'_>, actions: &mut Actions) {
        let mut lost = Vec::new();
        self.missing.retain(|node, missed| {
            let missed = *missed.get_or_insert(view.now);
            let is_over = view.now >= missed + QUARANTINE;
            if is_over {
                lost.push(*node);
            }
            !is_over
        });
        if lost.is_empty() {
            return;
        }
        for (id, pod) in view.pods().iter() {
            if pod.node.is_some_and(|node| lost.contains(&node)) {
                remove(id, pod, Some(DISRUPTION_REASON), actions);
            }
        }
    }
}

/// The node named by a pod, if no such node exists.
fn missing_node(view: ClusterView<'_>, pod: PodId) -> Option<Name> {
    let pod = view.pods().get(pod).filter(|pod| pod.node.is_none())?;
    let name = view.template_of(pod).spec.node_name.as_ref()?;
    view.node_named(name).is_none().then(|| name.clone())
}

/// Marks a pod as failed, for no kubelet will, and removes it.
fn remove(id: PodId, pod: &Pod, disruption: Option<&'static str>, actions: &mut Actions) {
    if !pod.phase.is_terminal() {
        if let Some(reason) = disruption {
            actions.push(Action::SetPodDisruption(id, reason));
        }
        actions.push(Action::SetPodPhase(id, PodPhase::Failed));
    }
    let now = PodDeletion { grace_period: Some(SimDuration::ZERO), disruption: None };
    actions.push(Action::DeletePod(id, now));
}
