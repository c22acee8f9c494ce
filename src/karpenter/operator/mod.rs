//! The operator: batching, scheduling passes, the disruption loop, and the life cycle of NodeClaims. It is notified
//! of changes, says when to call it next, and returns [`Output`]s; it has no clock and writes nothing.

mod claims;
mod disrupting;
mod names;
mod output;
mod provisioning;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::claims::{ClaimState, Claims, NodeWithPods};
pub use self::names::ClaimNames;
pub use self::output::{Deletion, Nomination, Output};
use super::amounts::Amounts;
use super::batcher::Batcher;
use super::conditions::{consolidatable_from, drift, expires_at, pod_event};
use super::disruption::{ChangeStamp, Command, Controller};
use super::instance_type::InstanceType;
use super::labels::NODE_POOL;
use super::node_pool::NodePool;
use super::state::{NodeClaim, Options, Snapshot};
use cluster::{Labels, Name, NamespacedName};
use engine::{SimDuration, SimTime};

/// Interval at which pending pods, and nodes to be removed, trigger a pass.
const TRIGGER_PERIOD: SimDuration = SimDuration::from_secs(10);
/// Interval at which a node is checked for drift.
const DRIFT_PERIOD: SimDuration = SimDuration::from_secs(300);
/// A claim without an instance is deleted after this time (`LaunchTimeout`).
const LAUNCH_TIMEOUT: SimDuration = SimDuration::from_secs(300);
/// A claim whose node has not joined is deleted after this time (`registrationTimeout`).
const REGISTRATION_TIMEOUT: SimDuration = SimDuration::from_secs(900);

/// The operator.
#[derive(Clone, Debug)]
pub struct Operator {
    options: Options,
    /// Delay between two turns of a controller.
    latency: SimDuration,
    pools: Vec<Arc<NodePool>>,
    claims: Claims,
    names: ClaimNames,
    batcher: Batcher,
    /// The disruption loop; absent if nodes are never disrupted.
    controller: Option<Controller>,
    stamp: ChangeStamp,
    /// Commands in progress, by number.
    queue: BTreeMap<u64, InProgress>,
    timers: BTreeMap<(SimTime, u64), Timer>,
    last_number: u64,
    /// Pending pods, with their UIDs.
    waiting: BTreeMap<NamespacedName, Name>,
    /// The nodes with the disruption taint.
    disrupted: BTreeSet<Name>,
    /// Nominations by commands, which are reported with the next pass.
    untold: Vec<Nomination>,
}

/// A command in progress.
#[derive(Clone, Debug)]
struct InProgress {
    command: Arc<Command>,
    replacements: Vec<Name>,
    since: SimTime,
}

/// A deferred check.
#[derive(Clone, Debug)]
enum Timer {
    /// A pod that may still be pending triggers a pass.
    Pod(NamespacedName),
    /// A node to be removed triggers a pass.
    Node(Name),
    /// Checks whether a claim is consolidatable.
    Consolidatable(Name),
    /// Checks whether a claim has drifted.
    Drift(Name),
    /// A claim expires.
    Expire(Name),
    /// Checks whether a claim has its instance.
    Launch(Name),
    /// Checks whether a claim's node has joined.
    Register(Name),
    /// Checks whether a command's replacements are ready.
    Poll(u64),
}

/// The operator's access to the cluster.
pub struct ClusterAccess<'a> {
    /// Takes a snapshot of the whole cluster.
    pub cluster: &'a mut dyn FnMut(&Claims) -> Snapshot,
    /// The cloud's instance types for a pool, which are much cheaper to get than a snapshot.
    pub types: &'a dyn Fn(&str) -> Arc<[Arc<InstanceType>]>,
}

/// The part of the operator that acts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Timer,
    Batcher,
    Disruption,
}

/// The instance that was launched for a claim.
#[derive(Clone, Debug)]
pub struct Launched {
    /// Labels of the future node, including those of the claim.
    pub labels: Labels,
    /// Its capacity.
    pub capacity: Amounts,
    /// Its allocatable resources.
    pub allocatable: Amounts,
}

impl Operator {
    /// An operator that starts now. The first round of the disruption loop is at `first_round`; if absent, nodes
    /// are never disrupted.
    pub fn new(
        options: Options,
        latency: SimDuration,
        names: ClaimNames,
        now: SimTime,
        first_round: Option<SimTime>,
    ) -> Self {
        Self {
            batcher: Batcher::new(&options, latency, now),
            options,
            latency,
            pools: Vec::new(),
            claims: Claims::default(),
            names,
            controller: first_round.map(Controller::new),
            stamp: ChangeStamp::new(now),
            queue: BTreeMap::new(),
            timers: BTreeMap::new(),
            last_number: 0,
            waiting: BTreeMap::new(),
            disrupted: BTreeSet::new(),
            untold: Vec::new(),
        }
    }

    /// The NodeClaims.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The options that it was started with.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// When it has work next.
    pub fn wakes_at(&self) -> Option<SimTime> {
        self.next_turn().map(|(at, _)| at)
    }

    fn next_turn(&self) -> Option<(SimTime, Stage)> {
        let timer = self.timers.first_key_value().map(|((at, _), _)| (*at, Stage::Timer));
        let batcher = self.batcher.wakes_at().map(|at| (at, Stage::Batcher));
        let disruption = self.controller.as_ref().map(|one| (one.due(), Stage::Disruption));
        [timer, batcher, disruption].into_iter().flatten().min()
    }

    /// Performs what is due at this time, once; `look` gives access to the current cluster where needed.
    pub fn step(&mut self, now: SimTime, look: &mut ClusterAccess<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        match self.next_turn() {
            Some((at, turn)) if at <= now => match turn {
                Stage::Timer => self.run_timer(now, look, &mut out),
                Stage::Batcher => self.wake_batcher(now, look, &mut out),
                Stage::Disruption => self.disrupt(now, look, &mut out),
            },
            _ => {}
        }
        out
    }

    fn at(&mut self, time: SimTime, timer: Timer) {
        self.last_number += 1;
        self.timers.insert((time, self.last_number), timer);
    }

    fn run_timer(&mut self, now: SimTime, look: &mut ClusterAccess<'_>, out: &mut Vec<Output>) {
        let Some((_, timer)) = self.timers.pop_first() else { return };
        match timer {
            Timer::Pod(pod) => self.trigger_pod(&pod, now),
            Timer::Node(node) => self.trigger_node(&node, now),
            Timer::Consolidatable(claim) => out.extend(self.check_consolidatable(&claim, now)),
            Timer::Drift(claim) => self.check_drift(&claim, now, look),
            Timer::Expire(claim) => self.delete(&claim, Deletion::Expired, now, out),
            Timer::Launch(claim) => {
                if self.claims.get(&claim).is_some_and(|one| one.claim.provider_id.is_none()) {
                    self.delete(&claim, Deletion::NotLaunched, now, out);
                }
            }
            Timer::Register(claim) => {
                if self.claims.get(&claim).is_some_and(|one| !one.is_registered) {
                    self.delete(&claim, Deletion::NotRegistered, now, out);
                }
            }
            Timer::Poll(number) => self.poll_queue(number, now, out),
        }
    }

    // Notifications.

    /// Replaces the NodePools.
    pub fn set_pools(&mut self, pools: Vec<Arc<NodePool>>, now: SimTime) -> Vec<Output> {
        self.pools = pools;
        self.stamp.mark(now);
        let names: Vec<Name> = self.claims.0.keys().cloned().collect();
        let mut out = Vec::new();
        for name in names {
            out.extend(self.check_consolidatable(&name, now));
            self.at(now, Timer::Drift(name));
        }
        out
    }

    /// Takes over a claim that existed before the operator started.
    pub fn adopt(&mut self, name: &Name, state: ClaimState, now: SimTime) {
        self.claims.0.insert(name.clone(), state);
        // Conditions that already hold are not reported.
        self.check_consolidatable(name, now);
        self.at(now, Timer::Drift(name.clone()));
        self.plan_end(name);
    }

    /// kube-scheduler found no node for a pod.
    pub fn pod_waits(&mut self, pod: &NamespacedName, uid: &Name, now: SimTime) {
        if self.waiting.insert(pod.clone(), uid.clone()).is_none() {
            self.trigger_pod(pod, now);
        }
    }

    /// A pod is no longer pending: it was bound or deleted.
    pub fn pod_settled(&mut self, pod: &NamespacedName) {
        self.waiting.remove(pod);
    }

    /// A pod was bound to a node or left it. Not to be called for DaemonSet pods.
    pub fn pod_set_changed(&mut self, node: &str, now: SimTime) -> Option<Output> {
        self.stamp.mark(now);
        self.claims.change(node, |claim| {
            claim.last_pod_event = Some(pod_event(claim.last_pod_event, now));
        });
        self.check_consolidatable(node, now)
    }

    /// Records a change that may allow consolidation.
    pub const fn mark_changed(&mut self, now: SimTime) {
        self.stamp.mark(now);
    }

    /// The instance of a claim was launched.
    pub fn launched(&mut self, name: &Name, launched: Launched, now: SimTime) {
        self.claims.change(name, |claim| {
            claim.labels = launched.labels;
            claim.capacity = launched.capacity;
            claim.allocatable = launched.allocatable;
            claim.provider_id = Some(name.clone());
        });
        self.stamp.mark(now);
    }

    /// The cloud has no capacity for a claim, which is deleted.
    pub fn not_launched(&mut self, name: &Name, now: SimTime) {
        self.gone(name, now);
    }

    /// The node of a claim joined.
    pub fn registered(&mut self, name: &str) {
        if let Some(one) = self.claims.0.get_mut(name) {
            one.is_registered = true;
        }
    }

    /// The node of a claim is initialized.
    pub fn initialized(&mut self, name: &Name, now: SimTime) -> Option<Output> {
        self.claims.change(name, |claim| claim.initialized = Some(now.floor_to_second()));
        self.stamp.mark(now);
        self.at(now, Timer::Drift(name.clone()));
        self.check_consolidatable(name, now)
    }

    /// The cloud is about to reclaim an instance.
    pub fn interrupted(&mut self, name: &str, now: SimTime) -> Vec<Output> {
        let mut out = Vec::new();
        self.delete(name, Deletion::Interrupted, now, &mut out);
        out
    }

    /// A claim was deleted together with its instance.
    pub fn gone(&mut self, name: &str, now: SimTime) {
        self.claims.0.remove(name);
        self.disrupted.remove(name);
        self.stamp.mark(now);
    }

    // Conditions of the claims.

    /// Updates the Consolidatable condition of a claim, and schedules its next check.
    fn check_consolidatable(&mut self, name: &str, now: SimTime) -> Option<Output> {
        let claim = Arc::clone(&self.claims.get(name)?.claim);
        let pool = self.pool_of(&claim).filter(|_| !claim.is_terminating)?;
        let from = consolidatable_from(&claim, pool);
        let holds = from.is_some_and(|from| from <= now);
        if let Some(from) = from.filter(|from| *from > now) {
            self.at(from, Timer::Consolidatable(claim.name.clone()));
        }
        if holds == claim.consolidatable.is_some() {
            return None;
        }
        self.claims.change(name, |claim| claim.consolidatable = holds.then_some(now));
        Some(Output::Consolidatable { node: claim.name.clone(), holds })
    }

    /// Updates the Drifted condition of a claim, and schedules its next check.
    fn check_drift(&mut self, name: &Name, now: SimTime, look: &ClusterAccess<'_>) {
        let Some(claim) = self.claims.get(name).map(|one| Arc::clone(&one.claim)) else { return };
        let Some(pool) = self.pool_of(&claim).cloned() else { return };
        let reason = drift(&claim, &pool, &(look.types)(&pool.name), now);
        if reason.is_some() != claim.drifted.is_some() {
            let drifted = reason.map(|reason| (now.floor_to_second(), reason));
            self.claims.change(name, |claim| claim.drifted = drifted);
        }
        self.at(now + DRIFT_PERIOD, Timer::Drift(name.clone()));
    }

    fn pool_of(&self, claim: &NodeClaim) -> Option<&Arc<NodePool>> {
        let name = claim.labels.get(NODE_POOL)?;
        self.pools.iter().find(|pool| pool.name == *name)
    }

    fn plan_end(&mut self, name: &Name) {
        let at = self.claims.get(name).and_then(|one| expires_at(&one.claim));
        if let Some(at) = at {
            self.at(at, Timer::Expire(name.clone()));
        }
    }

    /// Deletes a claim, unless it is already being deleted.
    fn delete(&mut self, name: &str, why: Deletion, now: SimTime, out: &mut Vec<Output>) {
        let Some(one) = self.claims.get(name).filter(|one| !one.claim.is_terminating) else {
            return;
        };
        let claim = one.claim.name.clone();
        self.claims.change(name, |claim| claim.is_terminating = true);
        self.stamp.mark(now);
        if !self.disrupted.contains(&claim) {
            out.push(Output::Taint { node: claim.clone(), is_disrupted: true });
            self.disrupted.insert(claim.clone());
            self.trigger_node(&claim, now);
        }
        out.push(Output::Delete { claim, why });
    }
}
