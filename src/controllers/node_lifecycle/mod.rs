//! The node lifecycle controller (`pkg/controller/nodelifecycle`, 1.36): detects lost nodes and taints them, at a
//! reduced rate if many are lost at once. Evictions are up to `taint_eviction`.

pub mod health;
mod taint_queue;
pub mod zones;

use std::collections::{BTreeMap, BTreeSet};

use self::health::{LoopTimer, NodeRecord};
use self::taint_queue::TaintQueue;
use self::zones::{ZoneCount, ZoneState};
use super::{Actions, Controller, Key, QueueSettings, Requeue, Watches};
use cluster::action::Event;
use cluster::node::{
    ConditionStatus, EXCLUDE_DISRUPTION_LABEL, Node, NodeId, REGION_LABEL, Taint, ZONE_LABEL,
};
use cluster::pod_template::TaintEffect;
use cluster::{Action, Change, ClusterView, Kind, Name, ObjectId};
use engine::{SimDuration, SimTime};

/// The loop that monitors the health of all nodes.
const MONITOR: Key = Key::Pass(0);
/// The loop that sets NoExecute taints.
const TAINT: Key = Key::Pass(1);

/// Interval between passes over the taint queues (`NodeEvictionPeriod`).
const TAINT_PERIOD: SimDuration = SimDuration::from_millis(100);
/// Duration of a pass over all nodes. It must not be zero: a node counts as lost when it was silent for *longer* than
/// the grace period, which is a multiple of the interval.
const MONITOR_PASS: SimDuration = SimDuration::from_nanos(100_000);

/// Options of kube-controller-manager.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// `--node-monitor-period`.
    pub monitor_period: SimDuration,
    /// `--node-monitor-grace-period`.
    pub grace_period: SimDuration,
    /// `--node-startup-grace-period`.
    pub startup_grace_period: SimDuration,
    /// `--node-eviction-rate`, nodes per second.
    pub eviction_rate: f64,
    /// `--secondary-node-eviction-rate`, nodes per second.
    pub secondary_eviction_rate: f64,
    /// `--large-cluster-size-threshold`, nodes of a zone.
    pub large_cluster_size: usize,
    /// `--unhealthy-zone-threshold`, a share.
    pub unhealthy_zone_threshold: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            monitor_period: SimDuration::from_secs(5),
            grace_period: SimDuration::from_secs(50),
            startup_grace_period: SimDuration::from_secs(60),
            // The options are 32-bit floats, which matters: 0.01 is a little less than that.
            eviction_rate: f64::from(0.1_f32),
            secondary_eviction_rate: f64::from(0.01_f32),
            large_cluster_size: 50,
            unhealthy_zone_threshold: 0.55,
        }
    }
}

/// Region and zone of a node, empty where it has none (`GetZoneKey`).
type ZoneKey = (Name, Name);

#[derive(Clone, Debug)]
struct Zone {
    state: ZoneState,
    queue: TaintQueue,
}

/// The node lifecycle controller.
#[derive(Clone, Debug, Default)]
pub struct NodeLifecycleController {
    settings: Settings,
    /// When its loops started.
    started: Option<SimTime>,
    records: BTreeMap<NodeId, NodeRecord>,
    zones: BTreeMap<ZoneKey, Zone>,
}

impl Controller for NodeLifecycleController {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn watches(&self) -> Watches {
        Watches::NODES
    }

    fn wakes_on(&mut self, _: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        match *change {
            Change::NodeAdded(node) | Change::NodeUpdated(node) => {
                wake.extend([Key::Node(node), MONITOR]);
            }
            Change::Removed { object: ObjectId::Node(_), .. } => wake.push(MONITOR),
            _ => {}
        }
    }

    fn queue(&self) -> QueueSettings {
        QueueSettings { starts_with: &[MONITOR], ..QueueSettings::default() }
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let started = *self.started.get_or_insert(view.now);
        let (start, period) = match key {
            Key::Node(id) => return set_no_schedule_taints(view, id, actions),
            MONITOR => (started, self.settings.monitor_period + MONITOR_PASS),
            _ => (started, TAINT_PERIOD),
        };
        let passes = LoopTimer { start, step: period };
        // Loops run at their own instants, whatever wakes them.
        let due = passes.at_or_after(view.now);
        if due > view.now {
            return Requeue::At(due);
        }
        if key == MONITOR { self.monitor(view, passes, actions) } else { self.taint(view, actions) }
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

impl NodeLifecycleController {
    /// Checks the health of all nodes (`monitorNodeHealth`). Stops while all nodes are healthy, so that a calm
    /// cluster costs nothing; the next relevant change wakes it.
    fn monitor(
        &mut self,
        view: ClusterView<'_>,
        passes: LoopTimer,
        actions: &mut Actions,
    ) -> Requeue {
        self.forget_removed(view);
        let mut counts: BTreeMap<ZoneKey, ZoneCount> = BTreeMap::new();
        let mut is_calm = true;
        let mut swapped = BTreeSet::new();
        for (id, node) in view.nodes().iter() {
            let zone = zone_key(node);
            self.zones.entry(zone.clone()).or_insert_with(|| Zone {
                state: ZoneState::Initial,
                queue: TaintQueue::new(self.settings.eviction_rate, view.now),
            });
            let ready = self.check_health(view, id, node, passes, actions);
            let is_well = ready == Some(ConditionStatus::True);
            is_calm &= is_well && node.health.lease.silent_since.is_none();
            if let Some(ready) = ready
                && self.follow_readiness(view.now, id, node, ready, actions)
            {
                swapped.insert(id);
            }
            if !node.meta.labels.contains_key(EXCLUDE_DISRUPTION_LABEL) {
                let count = counts.entry(zone).or_default();
                *(if is_well { &mut count.ready } else { &mut count.not_ready }) += 1;
            }
        }
        self.handle_disruption(view, &counts, &swapped, actions);
        self.requeue_tainting(view.now, actions);
        is_calm &= self.zones.values().all(|zone| zone.state == ZoneState::Normal);
        let next = passes.at_or_after(view.now + SimDuration::from_nanos(1));
        if is_calm { Requeue::No } else { Requeue::At(next) }
    }

    fn forget_removed(&mut self, view: ClusterView<'_>) {
        let is_gone = |id: NodeId| !view.nodes().contains(id);
        for zone in self.zones.values_mut() {
            zone.queue.retain(|id| !is_gone(id));
        }
        self.records.retain(|id, _| !is_gone(*id));
    }

    /// The Ready status of a node after this pass, if it has that condition; writes Unknown where
    /// the kubelet does not report.
    fn check_health(
        &mut self,
        view: ClusterView<'_>,
        id: NodeId,
        node: &Node,
        passes: LoopTimer,
        actions: &mut Actions,
    ) -> Option<ConditionStatus> {
        let known = self.records.get(&id).copied();
        if known.is_none() {
            let name = node.meta.name();
            record_event(
                node,
                "RegisteredNode",
                format!("Registered Node {name} in Controller"),
                actions,
            );
        }
        let record = health::observe(&node.health, node.meta.created, known, passes, view.now);
        self.records.insert(id, record);
        let current = node.health.has_ready_condition.then_some(node.ready.status);
        if !health::is_lost(node, record, &self.settings, view.now)
            || current == Some(ConditionStatus::Unknown)
        {
            return current;
        }
        actions.push(Action::SetNodeReady(id, ConditionStatus::Unknown));
        // NetworkUnavailable, the last of the conditions, is not the kubelet's to report.
        for condition in 0..3 {
            actions.push(Action::SetNodeCondition(id, condition, ConditionStatus::Unknown));
        }
        if current == Some(ConditionStatus::True) {
            let name = node.meta.name();
            let message = format!("Node {name} status is now: NodeNotReady");
            record_event(node, "NodeNotReady", message, actions);
            mark_pods_not_ready(view, id, actions);
        }
        Some(ConditionStatus::Unknown)
    }

    /// Queues a node for the taint matching its Ready condition, or removes both taints (`processTaintBaseEviction`).
    /// True if it has exchanged one for the other.
    fn follow_readiness(
        &mut self,
        now: SimTime,
        id: NodeId,
        node: &Node,
        ready: ConditionStatus,
        actions: &mut Actions,
    ) -> bool {
        let Some(zone) = self.zones.get_mut(&zone_key(node)) else { return false };
        let has = |key: &str| {
            let is_it = |t: &Taint| t.effect == TaintEffect::NoExecute && t.key.as_ref() == key;
            node.taints.iter().any(is_it)
        };
        match (health::no_execute_taint(ready), health::no_execute_taint(opposite(ready))) {
            (Some(wanted), Some(other)) if has(other) => {
                let taints = health::with_no_execute(&node.taints, Some(wanted), now);
                set_taints(id, &node.taints, taints, actions);
                return true;
            }
            (Some(wanted), _) if !has(wanted) => zone.queue.add(id),
            (Some(_), _) => {}
            (None, _) => {
                zone.queue.retain(|other| other != id);
                free(id, node, now, actions);
            }
        }
        false
    }

    /// Judges the zones and sets their rates (`handleDisruption`).
    fn handle_disruption(
        &mut self,
        view: ClusterView<'_>,
        counts: &BTreeMap<ZoneKey, ZoneCount>,
        swapped: &BTreeSet<NodeId>,
        actions: &mut Actions,
    ) {
        self.zones.retain(|key, _| counts.contains_key(key));
        let settings = self.settings;
        let is_full = |state: ZoneState| state == ZoneState::Full;
        let all_are_full = counts.values().all(|count| is_full(count.state(&settings)));
        let all_were_full = self.zones.values().all(|zone| is_full(zone.state));
        if all_are_full && all_were_full {
            return;
        }
        if all_are_full {
            // The fault is more likely local than in every node, so nothing is evicted.
            // The controller looks at the nodes as they were at the start of the pass, so it misses a taint that it has
            // just exchanged for the other.
            for (id, node) in view.nodes().iter().filter(|(id, _)| !swapped.contains(id)) {
                free(id, node, view.now, actions);
            }
            for zone in self.zones.values_mut() {
                zone.state = ZoneState::Full;
                zone.queue.retain(|_| false);
                zone.queue.bucket.set_rate(0.0, view.now);
            }
            return;
        }
        if all_were_full {
            for record in self.records.values_mut() {
                record.probed = view.now;
            }
        }
        for (key, zone) in &mut self.zones {
            let count = counts[key];
            let state = count.state(&settings);
            if all_were_full || zone.state != state {
                zone.state = state;
                let rate = zones::rate_per_second(state, count.total(), &settings);
                zone.queue.bucket.set_rate(rate, view.now);
            }
        }
    }

    /// Sets the NoExecute taints that are due (`doNoExecuteTaintingPass`).
    fn taint(&mut self, view: ClusterView<'_>, actions: &mut Actions) -> Requeue {
        for zone in self.zones.values_mut() {
            for id in zone.queue.take_due(view.now) {
                let Some(node) = view.nodes().get(id) else { continue };
                if let Some(key) = health::no_execute_taint(node.ready.status) {
                    let taints = health::with_no_execute(&node.taints, Some(key), view.now);
                    set_taints(id, &node.taints, taints, actions);
                }
            }
        }
        self.requeue_tainting(view.now + SimDuration::from_nanos(1), actions);
        Requeue::No
    }

    /// Requeues the taint queues for the time at which the next node may be tainted.
    fn requeue_tainting(&self, now: SimTime, actions: &mut Actions) {
        let next = self.zones.values().filter_map(|zone| zone.queue.next_due(now)).min();
        let passes = LoopTimer { start: self.started.unwrap_or(now), step: TAINT_PERIOD };
        if let Some(next) = next {
            actions.requeue(TAINT, passes.at_or_after(next));
        }
    }
}

fn set_no_schedule_taints(view: ClusterView<'_>, id: NodeId, actions: &mut Actions) -> Requeue {
    if let Some(node) = view.nodes().get(id) {
        let taints = health::with_no_schedule(node, view.now);
        set_taints(id, &node.taints, taints, actions);
    }
    Requeue::No
}

/// Updates the taints of a node in two requests: first adds the new ones, then removes the obsolete ones
/// (`SwapNodeControllerTaint`).
fn set_taints(id: NodeId, before: &[Taint], after: Vec<Taint>, actions: &mut Actions) {
    let is_same = |one: &Taint, other: &Taint| one.key == other.key && one.effect == other.effect;
    let is_in = |all: &[Taint], taint: &Taint| all.iter().any(|one| is_same(one, taint));
    let is_new = after.iter().any(|taint| !is_in(before, taint));
    if is_new && before.iter().any(|taint| !is_in(&after, taint)) {
        let new = after.iter().filter(|taint| !is_in(before, taint));
        let both = before.iter().chain(new).cloned().collect();
        actions.push(Action::SetNodeTaints(id, both));
    }
    if after != before {
        actions.push(Action::SetNodeTaints(id, after));
    }
}

/// Takes both NoExecute taints off a node (`markNodeAsReachable`).
fn free(id: NodeId, node: &Node, now: SimTime, actions: &mut Actions) {
    let taints = health::with_no_execute(&node.taints, None, now);
    set_taints(id, &node.taints, taints, actions);
}

/// It is unknown whether the pods of a lost node still serve requests (`MarkPodsNotReady`).
fn mark_pods_not_ready(view: ClusterView<'_>, node: NodeId, actions: &mut Actions) {
    for (id, pod) in view.pods_on(node).filter(|(_, pod)| pod.is_ready()) {
        actions.push(Action::SetPodReady(id, ConditionStatus::False));
        actions.push(Action::Event(Box::new(Event {
            kind: Kind::Pod,
            object: pod.id.clone(),
            is_warning: true,
            reason: "NodeNotReady",
            message: "Node is not ready".to_owned(),
        })));
    }
}

fn record_event(node: &Node, reason: &'static str, message: String, actions: &mut Actions) {
    actions.push(Action::Event(Box::new(Event {
        kind: Kind::Node,
        object: node.meta.id.clone(),
        is_warning: false,
        reason,
        message,
    })));
}

/// Of the two states that are not Ready, the other one.
const fn opposite(ready: ConditionStatus) -> ConditionStatus {
    match ready {
        ConditionStatus::True => ConditionStatus::True,
        ConditionStatus::False => ConditionStatus::Unknown,
        ConditionStatus::Unknown => ConditionStatus::False,
    }
}

fn zone_key(node: &Node) -> ZoneKey {
    let label = |key| node.meta.labels.get(key).cloned().unwrap_or_default();
    (label(REGION_LABEL), label(ZONE_LABEL))
}
