//! Runs Karpenter in the simulation: passes it the changes of the cluster, schedules its turns, and carries out its
//! requests to the cloud and the API server.

mod history;
mod launching;
mod objects;
mod snapshot_cache;
mod termination;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) use self::history::NodeClaimHistory;
use self::history::{History, in_words};
use self::launching::on_offer;
pub(super) use self::objects::POOL_KINDS;
use self::objects::delete_claim;
use self::snapshot_cache::{SnapshotCache, budgets, daemons, is_of_pools};
use self::termination::Drains;
use super::cloud::Cloud;
use super::environment::{Environment, node_reference};
use super::event::Event;
use cluster::pod::{Owner, PodId};
use cluster::{Action, Change, Kind, Name, NamespacedName, ObjectId, ObjectReference, PodChanges};
use engine::{SimDuration, SimTime, Streams};
use karpenter::Snapshot;
use karpenter::disruption::Command;
use karpenter::labels::WellKnownLabels;
use karpenter::operator::{ClaimNames, ClusterAccess, Deletion, Nomination, Operator, Output};
use karpenter::pod::disrupted_taint;
use karpenter::ties::Ties;
use scenario::karpenter::{KarpenterPool, KarpenterSettings, Provider, well_known};
use scenario::machines::{MachineTimes, StepTime};
use scheduler::Scheduler;

/// Actor in the log.
pub(super) const ACTOR: &str = "karpenter";
/// Most turns at one instant, as a guard against an infinite loop.
const MAX_TURNS: usize = 100_000;

/// Karpenter's configuration in a world.
#[derive(Clone, Debug)]
pub struct KarpenterPlan {
    /// Its settings.
    pub settings: KarpenterSettings,
    /// Durations of the steps in an EC2 instance's life cycle.
    pub times: MachineTimes,
}

impl KarpenterPlan {
    fn times(&self, provider: Provider) -> MachineTimes {
        match provider {
            Provider::Ec2 => self.times,
            Provider::Kwok { delay } => {
                let at_once = StepTime::Constant(SimDuration::ZERO);
                MachineTimes {
                    request: at_once,
                    boot: StepTime::Constant(delay),
                    network: at_once,
                    device_plugin: at_once,
                    removal: at_once,
                }
            }
        }
    }
}

/// Beginning of the message about a pod for which no node can be added.
const REFUSAL: &str = "Failed to schedule pod, ";

/// An offering: type, zone, capacity type.
type OfferingKey = (Name, Name, Name);

/// Karpenter during a run.
#[derive(Clone, Debug)]
pub(super) struct Karpenter {
    plan: KarpenterPlan,
    operator: Operator,
    pools: Vec<KarpenterPool>,
    well_known: Arc<WellKnownLabels>,
    /// True if NodePools or their node classes have changed.
    has_new_pools: bool,
    /// Offerings that lacked capacity, each with the time until which it is not requested.
    unavailable: BTreeMap<OfferingKey, SimTime>,
    /// Nodes that may have to be registered or initialized.
    to_take_up: BTreeSet<Name>,
    drains: Drains,
    /// Pods whose eviction was refused, so that this is logged only once.
    refused: BTreeSet<NamespacedName>,
    /// The last message about each pod.
    said: BTreeMap<NamespacedName, String>,
    cache: SnapshotCache,
    history: History,
    /// The seed for choices among equals.
    ties: u64,
    /// Time of the event that is scheduled for it.
    wakes: Option<SimTime>,
}

impl Karpenter {
    /// Karpenter as it starts with the run.
    pub(super) fn new(plan: &KarpenterPlan, begin: SimTime, seed: u64) -> Self {
        let streams = Streams::new(seed);
        let options = plan.settings.options();
        let period = SimDuration::from_secs(10);
        let first = begin + plan.settings.first_loop.offset("Karpenter", period, streams);
        let names = ClaimNames::Generated(Box::new(streams.stream("names of NodeClaims", 0)));
        Self {
            operator: Operator::new(options, SimDuration::ZERO, names, begin, Some(first)),
            plan: plan.clone(),
            pools: Vec::new(),
            well_known: well_known(),
            has_new_pools: true,
            unavailable: BTreeMap::new(),
            to_take_up: BTreeSet::new(),
            drains: Drains::default(),
            refused: BTreeSet::new(),
            said: BTreeMap::new(),
            cache: SnapshotCache::default(),
            history: History::default(),
            ties: seed | 1,
            wakes: None,
        }
    }

    /// Called when the scheduler first finds no node for a pod.
    pub(super) fn pod_unschedulable(&mut self, env: &mut Environment, pod: PodId) {
        if let Some(pod) = self.cache.pod(env.view(), pod) {
            let waits = karpenter::Pod { is_unschedulable: true, ..karpenter::Pod::clone(&pod) };
            if waits.is_provisionable() {
                self.operator.pod_waits(&pod.id, &pod.uid, env.now);
                self.wait(env);
            }
        }
    }

    /// The cloud has announced that it will reclaim a machine.
    pub(super) fn interrupted(&mut self, env: &mut Environment, cloud: &mut Cloud, name: &Name) {
        let outputs = self.operator.interrupted(name, env.now);
        self.carry_out(env, cloud, outputs);
        self.wait(env);
    }

    /// True if a node is one of Karpenter's.
    pub(super) fn has(&self, name: &str) -> bool {
        self.operator.claims().get(name).is_some()
    }

    /// Processes a change of the cluster.
    pub(super) fn on_change(&mut self, env: &mut Environment, change: &Change) {
        self.cache.on_change(env.view(), change);
        match change {
            Change::PodUpdated(pod, what) if what.has(PodChanges::BOUND) => {
                let view = env.view();
                let Some(bound) = view.pods().get(*pod) else { return };
                self.operator.pod_settled(&bound.id);
                let node = bound.node.and_then(|id| view.nodes().get(id));
                let node = node.map(|node| node.meta.name().clone());
                let is_daemon = matches!(bound.owner, Some(Owner::DaemonSet(_)));
                self.pod_set_changed(env, node, is_daemon);
            }
            Change::PodRemoved { name, owner, node, .. } => {
                self.said.remove(name);
                self.operator.pod_settled(name);
                let node = node.and_then(|id| env.store().nodes().get(id));
                let node = node.map(|node| node.meta.name().clone());
                self.pod_set_changed(env, node, matches!(owner, Some(Owner::DaemonSet(_))));
            }
            Change::NodeAdded(id) | Change::NodeUpdated(id) => {
                let Some(node) = env.store().nodes().get(*id) else { return };
                let name = node.meta.name().clone();
                let claim = self.operator.claims().get(&name).map(|one| &one.claim);
                if claim.is_some_and(|claim| claim.initialized.is_none()) {
                    self.to_take_up.insert(name);
                    self.wake_now(env);
                }
            }
            Change::Removed { object: ObjectId::Node(_), name, .. } if self.has(&name.name) => {
                self.drains.remove(&name.name);
                self.operator.gone(&name.name, env.now);
                delete_claim(env, &name.name);
                self.wait(env);
            }
            Change::Spec(object, _) | Change::Removed { object, .. } if is_of_pools(*object) => {
                self.has_new_pools = true;
                self.wake_now(env);
            }
            _ => {}
        }
    }

    fn pod_set_changed(&mut self, env: &mut Environment, node: Option<Name>, is_daemon: bool) {
        match node {
            Some(node) if !is_daemon => {
                let _ = self.operator.pod_set_changed(&node, env.now);
            }
            _ => self.operator.mark_changed(env.now),
        }
        self.wait(env);
    }

    fn wake_now(&mut self, env: &mut Environment) {
        if self.wakes != Some(env.now) {
            self.wakes = Some(env.now);
            env.enter(env.now, Event::Karpenter);
        }
    }

    /// Schedules an event for the next time that it has work.
    pub(super) fn wait(&mut self, env: &mut Environment) {
        let drains = self.drains.next();
        let Some(at) = drains.into_iter().chain(self.operator.wakes_at()).min() else { return };
        let at = at.max(env.now);
        if self.wakes.is_none_or(|wakes| at < wakes) {
            self.wakes = Some(at);
            env.enter(at, Event::Karpenter);
        }
    }

    /// Handles the scheduled event.
    pub(super) fn wake(&mut self, env: &mut Environment, cloud: &mut Cloud, scheduler: &Scheduler) {
        if self.wakes != Some(env.now) {
            return;
        }
        self.wakes = None;
        if std::mem::take(&mut self.has_new_pools) {
            self.read_pools(env, cloud);
        }
        self.take_up(env);
        self.unavailable.retain(|_, until| *until > env.now);
        for _ in 0..MAX_TURNS {
            if self.operator.wakes_at().is_none_or(|at| at > env.now) {
                break;
            }
            let outputs = self.turn(env, scheduler);
            self.carry_out(env, cloud, outputs);
        }
        self.drain(env, cloud);
        cloud.enter_steps(env);
        self.wait(env);
    }

    fn read_pools(&mut self, env: &mut Environment, cloud: &mut Cloud) {
        self.pools = objects::pools(env.store(), &self.plan.settings);
        let pools = self.pools.iter().map(|one| Arc::clone(&one.pool)).collect();
        let outputs = self.operator.set_pools(pools, env.now);
        self.carry_out(env, cloud, outputs);
    }

    /// One turn of the operator on the current cluster.
    fn turn(&mut self, env: &Environment, scheduler: &Scheduler) -> Vec<Output> {
        self.ties = self.ties.wrapping_add(2);
        let Self { operator, pools, unavailable, well_known, cache, plan, ties, .. } = self;
        let view = env.view();
        let types = |one: &KarpenterPool| on_offer(&one.types, unavailable);
        let mut look = ClusterAccess {
            cluster: &mut |claims| Snapshot {
                now: env.now,
                epoch: env.world.controllers.start,
                nodes: claims.join(cache.nodes(view)),
                waiting: cache.waiting(view, scheduler.queue().found_no_node()),
                pools: pools.iter().map(|one| Arc::clone(&one.pool)).collect(),
                daemons: daemons(view),
                budgets: budgets(view),
                namespaces: view
                    .store()
                    .namespaces()
                    .values()
                    .map(|one| (one.meta.name().clone(), one.meta.labels.clone()))
                    .collect(),
                instance_types: pools
                    .iter()
                    .map(|one| (one.pool.name.clone(), types(one)))
                    .collect(),
                well_known: Arc::clone(well_known),
                options: plan.settings.options(),
                ties: Ties::seeded(*ties),
            },
            types: &|pool| {
                let found = pools.iter().find(|one| *one.pool.name == *pool);
                found.map_or_else(|| Arc::from([]), types)
            },
        };
        operator.step(env.now, &mut look)
    }

    fn carry_out(&mut self, env: &mut Environment, cloud: &mut Cloud, outputs: Vec<Output>) {
        let mut commands: BTreeMap<Name, Arc<Command>> = BTreeMap::new();
        for output in outputs {
            match output {
                Output::Created(name) => self.created(env, &name, &commands),
                Output::Launch(name) => self.launch(env, cloud, &name),
                Output::Taint { node, is_disrupted } => taint(env, &node, is_disrupted),
                Output::Delete { claim, why } => {
                    let command = commands.get(&claim).cloned();
                    self.deleted(env, cloud, &claim, why, command.as_deref());
                }
                Output::Nominated(nominations) => self.nominated(env, &nominations),
                Output::Scheduled { results, .. } => {
                    let errors = results.iter().flat_map(|results| &results.errors);
                    for (pod, failure) in errors.filter(|(_, failure)| failure.is_pending) {
                        let message = format!("{REFUSAL}{}", failure.message);
                        self.say_of_pod(env, pod, "FailedScheduling", message);
                    }
                }
                Output::OverLimit { pool, resource } => {
                    let message = format!("limit of {resource} exceeded");
                    let id = NamespacedName::new("", &*pool);
                    let reference = ObjectReference { kind: Kind::NodePool, id };
                    env.warn(ACTOR, &reference, "LimitExceeded", message);
                }
                Output::Started { command, .. } | Output::Done { command, .. } => {
                    for one in &command.candidates {
                        commands.insert(one.node.clone(), Arc::clone(&command));
                    }
                }
                Output::Kept(reasons) => {
                    let now = env.now;
                    self.history.kept =
                        reasons.into_iter().map(|(name, why)| (name, (now, why))).collect();
                }
                Output::Consolidatable { .. }
                | Output::Invalidated { .. }
                | Output::NothingLeft { .. } => {}
            }
        }
    }

    fn created(
        &mut self,
        env: &mut Environment,
        name: &Name,
        commands: &BTreeMap<Name, Arc<Command>>,
    ) {
        let Some(made) = self.operator.claims().get(name).and_then(|one| one.made.clone()) else {
            return;
        };
        self.history.created(name, &made, self.operator.options(), env.now);
        if let Some((_, command)) = commands.first_key_value() {
            let gone: Vec<&str> = command.candidates.iter().map(|one| &*one.node).collect();
            let reason = command.method.reason().as_str();
            self.history
                .replaces
                .insert(name.clone(), format!("in place of {}: {reason}", gone.join(", ")));
        }
        let why = self.history.why_added(name);
        env.observers.recorder.record_node_request(name.clone(), why);
        self.write_claim(env, name);
    }

    fn deleted(
        &mut self,
        env: &mut Environment,
        cloud: &mut Cloud,
        claim: &Name,
        why: Deletion,
        command: Option<&Command>,
    ) {
        let text = in_words(why, command);
        let reference = node_reference(claim);
        env.emit_event(
            ACTOR,
            &reference,
            "DisruptionTerminating",
            format!("Disrupting Node: {text}"),
        );
        env.observers.recorder.record_node_removal(claim, text.clone());
        self.history.removed(claim, text, env.now);
        self.begin_drain(env, cloud, claim);
        if self.has(claim) {
            self.write_claim(env, claim);
        } else {
            delete_claim(env, claim);
        }
    }

    fn nominated(&mut self, env: &mut Environment, nominations: &[Nomination]) {
        for one in nominations {
            let of_claim = one.claim.as_ref().map(|claim| format!("nodeclaim/{claim}"));
            let of_node = one.node.as_ref().map(|node| format!("node/{node}"));
            let target: Vec<String> = of_claim.into_iter().chain(of_node).collect();
            let message = format!("Pod should schedule on: {}", target.join(", "));
            self.say_of_pod(env, &one.pod, "Nominated", message);
        }
    }

    /// Its reason to add no node for a pod, if that is its last message about it.
    pub(super) fn refusal(&self, pod: &NamespacedName) -> Option<&str> {
        self.said.get(pod)?.strip_prefix(REFUSAL)
    }

    /// Logs an Event about a pod, unless it repeats the last one.
    fn say_of_pod(
        &mut self,
        env: &mut Environment,
        pod: &NamespacedName,
        reason: &'static str,
        message: String,
    ) {
        if self.said.get(pod) == Some(&message) {
            return;
        }
        let reference = ObjectReference { kind: Kind::Pod, id: pod.clone() };
        if reason == "Nominated" {
            env.emit_event(ACTOR, &reference, reason, message.clone());
        } else {
            env.warn(ACTOR, &reference, reason, message.clone());
        }
        self.said.insert(pod.clone(), message);
    }

    /// Karpenter's part of a node's story.
    pub(super) fn node_history(&self, name: &Name, is_there: bool) -> Option<NodeClaimHistory> {
        let added = self.history.added.get(name).cloned();
        let removed = self.history.removed.get(name).cloned();
        let kept = self.operator.claims().get(name).filter(|_| is_there).map(|one| {
            let claim = &one.claim;
            if claim.is_terminating {
                return "it is being deleted".to_owned();
            }
            match self.history.kept.get(name) {
                Some((at, why)) => format!("{why} (as of {})", at.floor_to_second()),
                None if claim.consolidatable.is_none() => {
                    "its pods changed within `consolidateAfter`, or its pool is not consolidated"
                        .to_owned()
                }
                None => "it is a candidate, but no better alternative was found".to_owned(),
            }
        });
        (added.is_some() || removed.is_some() || kept.is_some()).then_some(NodeClaimHistory {
            added,
            removed,
            kept,
        })
    }
}

/// Adds or removes the disruption taint of a node.
fn taint(env: &mut Environment, node: &Name, is_disrupted: bool) {
    let Some(id) = env.store().node_named(node) else { return };
    let taint = disrupted_taint();
    let own = env.store().nodes()[id].taints.iter();
    let mut taints: Vec<_> = own.filter(|one| one.key != taint.key).cloned().collect();
    taints.extend(is_disrupted.then_some(taint));
    env.act(ACTOR, Action::SetNodeTaints(id, taints));
}
