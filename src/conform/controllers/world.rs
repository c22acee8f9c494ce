//! The environment of the controllers in a golden case: users, a scheduler that binds at once and a kubelet that
//! follows the case's model. Serial mode: each event is applied on its own, and all controllers settle at that
//! instant before the next one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::case::{Case, NodeEntry, Nodes, PodModel};
use super::observed::{ChangeCollector, ObservedChange, ObservedPod};
use super::trace::{Trace, rounded};
use super::user;
use super::victims::leading_hex;
use crate::objects::object_of;
use cluster::action::PodDeletion;
use cluster::daemon_set::target_node;
use cluster::node::{ConditionStatus, Lease, Node, NodeId, NodeReady};
use cluster::pod::{Owner, PodId, PodPhase};
use cluster::pod_template::TaintEffect;
use cluster::replica_set::{ReplicaSetId, SetOwner};
use cluster::{
    Action, AnySpec, Change, Kind, Name, NamespacedName, ObjectId, PodChanges, Refused, Store,
};
use controllers::Controller;
use engine::{EventQueue, SimDuration, SimTime, Streams};
use sim::control_plane::{ControlPlane, ControlPlaneSettings};

/// Start of controllers and nodes.
const BEGINNING: SimTime = SimTime::from_secs(-10);
/// Interval at which the fake scheduler retries an unschedulable pod.
const SCHEDULING_RETRY: SimDuration = SimDuration::from_secs(1);

/// Exit code of a container that stops on SIGTERM.
const SIGTERM_EXIT_CODE: i32 = 143;
/// Name of the quota.
const QUOTA: &str = "quota";
/// Time at which a temporary quota is lifted.
const QUOTA_LIFTED: SimTime = SimTime::from_secs(30);

/// An event from outside the controllers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// Creation of the object with this index.
    Create(usize),
    /// The action with this index.
    Act(usize),
    Bind(PodId),
    Start(PodId),
    Ready(PodId),
    /// The pod's container exits on its own.
    Exit(PodId),
    /// The pod's termination is complete.
    Terminated(PodId),
    /// The quota on pods is lifted.
    LiftQuota,
    /// The pod's container runs again after a crash.
    Restarted(PodId),
}

/// The harness's data about a pod.
#[derive(Clone, Debug)]
pub(super) struct PodRecord {
    /// The owner's name in the golden data, such as `web/rs1`.
    pub(super) owner: String,
    /// Creation order within the owner, from 1.
    pub(super) ordinal: usize,
    pub(super) model: PodModel,
    /// Its state as of the last change.
    seen: ObservedPod,
}

/// A case in progress.
pub(super) struct World<'a> {
    pub(super) case: &'a Case,
    pub(super) plane: ControlPlane,
    pub(super) now: SimTime,
    pub(super) trace: Trace,
    pub(super) pods: BTreeMap<PodId, PodRecord>,
    /// The documents as last applied, by kind and name.
    pub(super) documents: BTreeMap<(String, String), Value>,
    eyes: ChangeCollector,
    pub(super) events: EventQueue<Event>,
    ordinals: BTreeMap<String, usize>,
    /// Names in the golden data, such as `web/rs1`.
    pub(super) replica_sets: BTreeMap<ReplicaSetId, String>,
    /// The name of the node that is about to be deleted.
    pub(super) node_going: String,
    /// Nodes whose kubelet is down.
    pub(super) down: BTreeSet<Name>,
    /// The last recorded state of each node.
    node_states: BTreeMap<String, Value>,
    /// Recorded UIDs, by owner and ordinal.
    uids: BTreeMap<(String, usize), u64>,
}

impl<'a> World<'a> {
    /// A world before its first event.
    pub(super) fn new(case: &'a Case, controllers: Vec<Box<dyn Controller>>) -> Self {
        let store = Store::new(Streams::new(1));
        let settings = ControlPlaneSettings::default();
        let mut world = Self {
            case,
            plane: ControlPlane::new(store, controllers, settings, BEGINNING),
            now: BEGINNING,
            trace: Trace::default(),
            pods: BTreeMap::new(),
            documents: BTreeMap::new(),
            eyes: ChangeCollector::default(),
            events: EventQueue::default(),
            ordinals: BTreeMap::new(),
            replica_sets: BTreeMap::new(),
            node_going: String::new(),
            down: BTreeSet::new(),
            node_states: BTreeMap::new(),
            uids: recorded_uids(case),
        };
        for (number, _) in case.objects.iter().enumerate() {
            world.events.push(SimTime::ZERO, 0, Event::Create(number));
        }
        for (number, action) in case.actions.iter().enumerate() {
            let at = action["t"].as_f64().unwrap_or(0.0);
            world.events.push(SimTime::from_secs_f64(at), 0, Event::Act(number));
        }
        world
    }

    /// Runs the case to its end.
    pub(super) fn run(&mut self) -> Result<(), String> {
        match &self.case.nodes {
            Nodes::Count(count) => {
                for number in 1..=*count {
                    let node = self.add_node(&format!("n{number:02}"), &Value::Null)?;
                    self.kubelet_starts(node);
                }
            }
            Nodes::List(entries) => {
                for NodeEntry { name, labels } in entries {
                    let node = self.add_node(name, labels)?;
                    self.kubelet_starts(node);
                }
            }
        }
        self.trace.node_events.clear();
        self.limit_pods()?;
        let end = SimTime::from_secs_f64(self.case.until);
        loop {
            self.settle()?;
            let next = self.events.peek_time();
            if next != Some(self.now) {
                self.observe();
                let next = next.into_iter().chain(self.plane.next_due()).min();
                let Some(next) = next.filter(|next| *next <= end) else { return Ok(()) };
                self.now = next;
            } else if let Some((_, event)) = self.events.pop() {
                self.happen(event)?;
            }
        }
    }

    /// Creates the quota that the recording had: if creations were refused, its limit is the number of those
    /// accepted at the first instant. It is lifted after 30 s if more were accepted later.
    fn limit_pods(&mut self) -> Result<(), String> {
        let results =
            self.case.expect.results.iter().flatten().filter(|_| self.case.class == "slowstart");
        let counts: Vec<(i64, i64)> = results
            .map(|entry| (entry[1].as_i64().unwrap_or(0), entry[2].as_i64().unwrap_or(0)))
            .collect();
        let Some((accepted, 1..)) = counts.first() else { return Ok(()) };
        let hard = json!({ "pods": accepted });
        let quota = json!({ "metadata": { "name": QUOTA }, "spec": { "hard": hard } });
        self.try_act(object_of(("v1", "ResourceQuota"), quota, "quota")?.into_action());
        if counts[1..].iter().any(|(accepted, _)| *accepted > 0) {
            self.events.push(QUOTA_LIFTED, 0, Event::LiftQuota);
        }
        Ok(())
    }

    /// Sends a request to the API server on behalf of a client other than the controllers.
    pub(super) fn act(&mut self, action: Action) -> Result<(), Refused> {
        let result = self.plane.act(self.now, "user", action, &mut self.eyes);
        self.follow();
        result
    }

    /// Adds a node whose kubelet has not reported anything yet.
    pub(super) fn add_node(&mut self, name: &str, labels: &Value) -> Result<NodeId, String> {
        let node = json!({ "metadata": { "name": name, "labels": labels } });
        let mut object = object_of(("v1", "Node"), node, "nodes")?;
        if let AnySpec::Node(node) = &mut object.spec {
            let phase = self.now + SimDuration::from_secs_f64(self.case.lease_offset);
            node.ready = NodeReady { status: ConditionStatus::Unknown, since: self.now };
            node.health.posted = None;
            node.health.has_ready_condition = false;
            node.health.lease =
                Lease { started: None, phase: Some(phase), silent_since: Some(self.now) };
        }
        self.act(object.into_action()).map_err(|refused| refused.to_string())?;
        self.plane.store().node_named(name).ok_or_else(|| format!("node {name} was not created"))
    }

    /// The pod that an action names: `[owner, ordinal]` or a name.
    pub(super) fn pod_named(&self, reference: &Value) -> Option<PodId> {
        let is_meant = |(id, record): &(&PodId, &PodRecord)| match reference {
            Value::Array(parts) => {
                parts.first().and_then(Value::as_str) == Some(&record.owner)
                    && parts.get(1).and_then(Value::as_u64) == Some(record.ordinal as u64)
            }
            Value::String(name) => {
                self.plane.store().pods().get(**id).is_some_and(|pod| **pod.name() == **name)
            }
            _ => false,
        };
        self.pods.iter().find(is_meant).map(|(id, _)| *id)
    }

    /// Runs the controllers until nothing is due at this instant.
    fn settle(&mut self) -> Result<(), String> {
        while self.plane.run_next(self.now, &mut self.eyes) {
            self.follow();
            self.case.check_pods(self.plane.store().pods().len())?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        let case = self.case;
        match event {
            Event::Create(number) => return user::create(self, &case.objects[number]),
            Event::Act(number) => return user::act(self, &case.actions[number]),
            Event::Bind(pod) => self.bind(pod),
            Event::Start(pod) => self.start(pod),
            Event::Ready(pod) => {
                if self.is_running(pod) {
                    self.try_act(Action::SetPodReady(pod, ConditionStatus::True));
                }
            }
            Event::Exit(pod) => {
                if self.is_running(pod) {
                    self.exit_pod(pod, self.pods[&pod].model.exit);
                }
            }
            Event::Restarted(pod) => {
                if self.is_running(pod) {
                    let mut restarts = self.plane.store().pods()[pod].restarts;
                    restarts.containers_max += 1;
                    self.try_act(Action::SetPodRestarts(pod, restarts));
                    self.try_act(Action::SetPodReady(pod, ConditionStatus::True));
                }
            }
            Event::LiftQuota => {
                let quota = NamespacedName::new("default", QUOTA);
                let quota = self.plane.store().object_named(Kind::ResourceQuota, &quota);
                if let Some(quota) = quota {
                    self.try_act(Action::Delete(quota));
                }
            }
            Event::Terminated(pod) => {
                if self.plane.store().pods().contains(pod) && !self.is_out_of_reach(pod) {
                    self.exit_pod(pod, SIGTERM_EXIT_CODE);
                    self.try_act(Action::RemovePod(pod));
                }
            }
        }
        Ok(())
    }

    /// Deletes a pod as a user does.
    pub(super) fn delete_pod(&mut self, pod: PodId) {
        self.try_act(Action::DeletePod(pod, PodDeletion::default()));
    }

    /// A request that may come too late, as in a real cluster.
    pub(super) fn try_act(&mut self, action: Action) {
        let _ = self.act(action);
    }

    pub(super) fn is_running(&self, pod: PodId) -> bool {
        let object = self.plane.store().pods().get(pod);
        object.is_some_and(|pod| pod.phase == PodPhase::Running && !pod.is_terminating())
            && !self.is_out_of_reach(pod)
    }

    /// True if the kubelet of a pod's node is down.
    pub(super) fn is_out_of_reach(&self, pod: PodId) -> bool {
        let node = self.pods.get(&pod).and_then(|record| record.seen.node.as_ref());
        node.is_some_and(|node| self.down.contains(node))
    }

    fn bind(&mut self, pod: PodId) {
        if !self.plane.store().pods().contains(pod) {
            return;
        }
        match self.node_for(pod) {
            Some(node) => self.try_act(Action::BindPod(pod, node)),
            None => self.events.push(self.now + SCHEDULING_RETRY, 0, Event::Bind(pod)),
        }
    }

    /// The node that a daemon pod requires, or else the one with the fewest pods.
    fn node_for(&self, pod: PodId) -> Option<NodeId> {
        let store = self.plane.store();
        let template = store.template_of(&store.pods()[pod]);
        match target_node(template) {
            Some(name) => store.node_named(name),
            None => self.emptiest_node(),
        }
    }

    /// The schedulable node with the fewest unfinished pods; of several the first by name.
    fn emptiest_node(&self) -> Option<NodeId> {
        let store = self.plane.store();
        let is_open = |node: &Node| {
            let repels =
                |effect| matches!(effect, TaintEffect::NoSchedule | TaintEffect::NoExecute);
            !node.unschedulable && !node.taints.iter().any(|taint| repels(taint.effect))
        };
        let unfinished =
            |node: NodeId| store.pods_on(node).filter(|(_, pod)| !pod.phase.is_terminal()).count();
        store
            .nodes()
            .iter()
            .filter(|(_, node)| is_open(node))
            .min_by_key(|(id, node)| (unfinished(*id), node.meta.name().clone()))
            .map(|(id, _)| id)
    }

    /// Processes the changes of the last step: names new objects, records pod events, and triggers the scheduler
    /// and kubelets.
    fn follow(&mut self) {
        for _ in 0..std::mem::take(&mut self.eyes.refused_pods) {
            self.note_creation(false);
        }
        for ObservedChange { change, pod, node } in std::mem::take(&mut self.eyes.seen) {
            match (change, pod) {
                (Change::Spec(ObjectId::ReplicaSet(set), _), _) => self.name_replica_set(set),
                (Change::PodAdded(id), Some(pod)) => self.pod_added(id, pod),
                (Change::PodUpdated(id, what), Some(pod)) => self.pod_updated(id, what, pod),
                (Change::PodRemoved { pod, .. }, _) => self.pod_gone(pod),
                (Change::Removed { object: ObjectId::Node(_), .. }, _) => {
                    let gone = std::mem::take(&mut self.node_going);
                    self.trace.node_event(self.now, json!([gone, "deleted", "", []]));
                }
                _ => {}
            }
            if let Some(node) = node {
                let name = node[0].as_str().unwrap_or_default().to_owned();
                if self.node_states.get(&name) != Some(&node) {
                    self.trace.node_event(self.now, node.clone());
                    self.node_states.insert(name, node);
                }
            }
        }
    }

    fn name_replica_set(&mut self, id: ReplicaSetId) {
        if self.replica_sets.contains_key(&id) {
            return;
        }
        let store = self.plane.store();
        let Some(set) = store.replica_sets().get(id) else { return };
        let owner = set.owner.and_then(SetOwner::deployment);
        let owner = owner.and_then(|owner| store.deployments().get(owner));
        let owner = owner.map_or("", |owner| owner.meta.name());
        let prefix = format!("{owner}/rs");
        let number =
            1 + self.replica_sets.values().filter(|name| name.starts_with(&prefix)).count();
        self.replica_sets.insert(id, format!("{prefix}{number}"));
    }

    /// The owner's name in the golden data, such as `web/rs1` or `Job/work`.
    fn owner_name(&self, owner: Owner) -> String {
        if let Owner::ReplicaSet(set) = owner {
            return self.replica_sets.get(&set).cloned().unwrap_or_default();
        }
        let identity = self.plane.store().identity_of(owner);
        identity.map_or_else(String::new, |(kind, id)| format!("{kind}/{}", id.name))
    }

    /// The creation order of a pod. If several pods of an Indexed Job are created at once, the recording determines
    /// which index came when.
    fn ordinal_of(&mut self, owner: &str, pod: &ObservedPod) -> usize {
        let ordinal = self.ordinals.entry(owner.to_owned()).or_default();
        *ordinal += 1;
        let Some(index) = &pod.index else { return *ordinal };
        let time = rounded(self.now);
        let recorded = self.case.expect.pods.iter().flatten().find(|event| {
            event[1] == "create"
                && event[2] == owner
                && event[0].as_f64() == Some(time)
                && event[4]["index"].as_str() == Some(index)
        });
        let recorded = recorded.and_then(|event| usize::try_from(event[3].as_u64()?).ok());
        recorded.unwrap_or(*ordinal)
    }

    fn pod_added(&mut self, id: PodId, pod: ObservedPod) {
        let owner = match pod.owner {
            Some(owner) => self.owner_name(owner),
            None => "-".to_owned(),
        };
        let ordinal = self.ordinal_of(&owner, &pod);
        let mut extra = json!({ "image": *pod.image, "name": *pod.name });
        if let Some(index) = &pod.index {
            extra["index"] = json!(**index);
        }
        self.note_creation(true);
        self.trace.pod_event(self.now, "create", &owner, ordinal, &extra);
        if !self.case.no_bind {
            self.events.push(self.now, 0, Event::Bind(id));
        }
        let uid = self.uids.get(&(owner.clone(), ordinal)).copied();
        let model = model_of(self.case, &pod.image, ordinal);
        self.pods.insert(id, PodRecord { owner, ordinal, model, seen: pod });
        if let Some(uid) = uid {
            self.try_act(Action::SetPodUid(id, uid));
        }
    }

    fn pod_updated(&mut self, id: PodId, what: PodChanges, pod: ObservedPod) {
        let Some(record) = self.pods.get_mut(&id) else { return };
        let before = std::mem::replace(&mut record.seen, pod);
        // The node may have been removed in the meantime.
        record.seen.node = record.seen.node.take().or(before.node);
        let PodRecord { owner, ordinal, model, seen } = record;
        let is_node_case = self.case.class == "node";
        if what.has(PodChanges::BOUND) {
            if is_node_case {
                let node = json!(seen.node.as_deref());
                self.trace.pod_event(self.now, "bind", owner, *ordinal, &node);
            }
            let at = self.now + SimDuration::from_secs_f64(model.start);
            self.events.push(at, 0, Event::Start(id));
        }
        if what.has(PodChanges::DELETION_REQUESTED) {
            let extra = json!({ "wasReady": seen.is_ready });
            self.trace.pod_event(self.now, "delete", owner, *ordinal, &extra);
            let at = self.now + SimDuration::from_secs_f64(model.term);
            self.events.push(at, 0, Event::Terminated(id));
        }
        if is_node_case && before.status != seen.status {
            self.trace.pod_status(self.now, owner, *ordinal, &seen.status);
        }
    }

    /// Records creations in the cases about them.
    fn note_creation(&mut self, is_accepted: bool) {
        if self.case.class == "slowstart" {
            self.trace.creation(self.now, is_accepted);
        }
    }

    fn pod_gone(&mut self, id: PodId) {
        let Some(record) = self.pods.remove(&id) else { return };
        let extra = match record.seen.phase {
            PodPhase::Failed => json!({}),
            phase => json!({ "phase": phase.as_str() }),
        };
        self.trace.pod_event(self.now, "gone", &record.owner, record.ordinal, &extra);
    }

    fn observe(&mut self) {
        let state = super::state::state_of(self);
        self.trace.settled(self.now, state);
    }
}

fn recorded_uids(case: &Case) -> BTreeMap<(String, usize), u64> {
    let events = case.expect.pods.iter().flatten();
    let creations = events.filter(|event| event[1] == "create");
    creations
        .filter_map(|event| {
            let ordinal = usize::try_from(event[3].as_u64()?).ok()?;
            let uid = leading_hex(event[4]["uid"].as_str()?);
            Some(((event[2].as_str()?.to_owned(), ordinal), uid))
        })
        .collect()
}

/// The model of the `ordinal`-th pod of an owner with this image.
fn model_of(case: &Case, image: &str, ordinal: usize) -> PodModel {
    let model = case.kubelet.get(image).or_else(|| case.kubelet.get("default"));
    let mut model = model.cloned().unwrap_or_default();
    if !model.ready_cycle.is_empty() {
        model.ready = model.ready_cycle[(ordinal - 1) % model.ready_cycle.len()];
    }
    let own = model.sequence.get(ordinal - 1).or(model.sequence.last()).cloned();
    if let Some(own) = own {
        model.start = own.start.unwrap_or(model.start);
        model.ready = own.ready.unwrap_or(model.ready);
        model.term = own.term.unwrap_or(model.term);
        model.run_for = own.run_for.or(model.run_for);
        model.exit = own.exit.unwrap_or(model.exit);
    }
    model
}
