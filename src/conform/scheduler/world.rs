//! The cluster of a case with the scheduler: pods enter the queue one second apart, each attempt takes a second,
//! and decisions are carried out at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::case::{Case, Requeue, Victims};
use super::steps;
use crate::listed;
use crate::objects::{self, object_of};
use cluster::action::{PodDeletion, PodDraft, PodName, PodSource};
use cluster::pod::{Owner, PodId};
use cluster::policy::{DisruptedPod, PodDisruptionBudget, PodDisruptionBudgetStatus};
use cluster::{Action, AnySpec, Change, ClusterView, NamespacedName, Refused, Store, apply};
use engine::{SimDuration, SimTime, Streams};
use scenario::scheduler_configuration::scheduler_configuration;
use scheduler::decision::Verdict;
use scheduler::preemption::PREEMPTION_BY_SCHEDULER;
use scheduler::{Attempt, Scheduler, SchedulerConfiguration, TieBreaker};

/// Time zero.
const NEW_YEAR: &str = "2026-01-01T00:00:00Z";
/// Time of a case's first binding.
const DAY: SimDuration = SimDuration::from_secs(24 * 60 * 60);
/// Time at which pods start to enter the queue.
const QUEUE_STARTS: SimTime = SimTime::from_secs(2 * 24 * 60 * 60);
/// Grace period of pods that keep terminating, as their containers are never stopped.
const LINGERING: SimDuration = SimDuration::from_secs(30);
/// Maximum number of attempts per pod.
const MAX_ATTEMPTS: u32 = 4;

/// A case in progress.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) scheduler: Scheduler,
    /// Pods nominated to a node that does not exist, which has no effect but is shown.
    pub(super) lost_nominations: BTreeMap<PodId, String>,
    now: SimTime,
    bindings: i64,
    changes: Vec<Change>,
}

/// One of our steps, in the form of the recording.
pub(super) type Step = serde_json::Map<String, serde_json::Value>;

impl World {
    /// The cluster before the first pod is scheduled.
    pub(super) fn new(case: &Case) -> Result<Self, String> {
        let mut configuration = match &case.profile {
            Some(profile) => {
                scheduler_configuration(profile).map_err(|errors| listed(&errors, "profile"))?
            }
            None => SchedulerConfiguration::default(),
        };
        // The recording determines which pods are retried, and evaluates every node.
        configuration.retries_waiting_pods = false;
        configuration.percentage_of_nodes_to_score = 100;
        let scheduler = Scheduler::new(&configuration, TieBreaker::FirstByName);
        let mut world = Self {
            store: Store::new(Streams::new(1)),
            scheduler: scheduler.map_err(|error| error.to_string())?,
            lost_nominations: BTreeMap::new(),
            now: SimTime::ZERO,
            bindings: 0,
            changes: Vec::new(),
        };
        world.create_surroundings(case)?;
        for (index, running) in case.running.iter().enumerate() {
            world.create_running(running, &format!("running[{index}]"))?;
        }
        Ok(world)
    }

    /// Schedules the pods, and returns the decisions step by step.
    pub(super) fn run(&mut self, case: &Case) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        let mut gated = Vec::new();
        self.now = QUEUE_STARTS;
        for (index, pending) in case.pending.iter().enumerate() {
            let pod = self.create_pod(pending, &format!("pending[{index}]"))?;
            if let Some(name) = pending["status"]["nominatedNodeName"].as_str() {
                let node = self.store.node_named(name);
                if node.is_none() {
                    self.lost_nominations.insert(pod, name.to_owned());
                }
                self.act(Action::NominatePod(pod, node))?;
            }
            if let Some(step) = steps::gated(self, pod) {
                gated.push(pod);
                steps.push(step);
            }
            self.now += SimDuration::from_secs(1);
        }
        // Budgets may name pending pods.
        self.create_budgets(case)?;
        self.place_all(case, &mut steps)?;
        if case.options.ungate {
            for pod in gated {
                self.act(Action::UngatePod(pod))?;
            }
            self.place_all(case, &mut steps)?;
        }
        Ok(steps)
    }

    /// Schedules pods until the queue is empty and no preemptor is left to retry.
    fn place_all(&mut self, case: &Case, steps: &mut Vec<Step>) -> Result<(), String> {
        let mut preemptors = Vec::new();
        loop {
            let mut actions = Vec::new();
            let view = ClusterView::new(&self.store, self.now);
            let Some(attempt) = self.scheduler.next(view, &mut actions) else {
                if preemptors.is_empty() {
                    return Ok(());
                }
                for pod in preemptors.drain(..) {
                    self.scheduler.activate(pod);
                }
                continue;
            };
            steps.push(steps::decided(self, case, &attempt, &actions));
            self.carry_out(case, actions)?;
            self.now += SimDuration::from_secs(1);
            if is_preemptor(&attempt) && attempt.number < MAX_ATTEMPTS {
                match case.options.requeue {
                    Requeue::Never => {}
                    Requeue::Immediate => self.scheduler.activate(attempt.pod),
                    Requeue::End => preemptors.push(attempt.pod),
                }
            }
        }
    }

    fn carry_out(&mut self, case: &Case, actions: Vec<Action>) -> Result<(), String> {
        for action in actions {
            match action {
                Action::BindPod(pod, _) => {
                    self.act(action)?;
                    self.bindings += 1;
                    let started = SimTime::ZERO + DAY + SimDuration::from_secs(self.bindings);
                    self.act_at(started, Action::StartPod(pod))?;
                }
                Action::DeletePod(pod, deletion) => {
                    let grace_period = Some(match case.options.victims {
                        Victims::Gone => SimDuration::ZERO,
                        Victims::Terminating => LINGERING,
                    });
                    self.act(Action::DeletePod(pod, PodDeletion { grace_period, ..deletion }))?;
                }
                other => self.act(other)?,
            }
        }
        Ok(())
    }

    fn create_surroundings(&mut self, case: &Case) -> Result<(), String> {
        let kinds = [
            ("v1", "Namespace", "namespaces", &case.namespaces),
            ("v1", "Node", "nodes", &case.nodes),
            ("v1", "Service", "services", &case.services),
            ("apps/v1", "ReplicaSet", "replicaSets", &case.replica_sets),
            ("apps/v1", "StatefulSet", "statefulSets", &case.stateful_sets),
        ];
        for (version, kind, field, objects) in kinds {
            for (index, given) in objects.iter().enumerate() {
                let object = completed(kind, given.clone());
                let at = format!("{field}[{index}]");
                self.act(object_of((version, kind), object, &at)?.into_action())?;
            }
        }
        Ok(())
    }

    fn create_running(&mut self, given: &Value, at: &str) -> Result<(), String> {
        let pod = self.create_pod(given, at)?;
        let name = given["spec"]["nodeName"].as_str().unwrap_or_default();
        let node = self.store.node_named(name);
        let node = node.ok_or_else(|| format!("{at}.spec.nodeName: there is no node {name:?}"))?;
        let started = given["status"]["startTime"].as_str();
        let started = started.map(|date| objects::time(date, NEW_YEAR)).transpose()?;
        let conditions = given["status"]["conditions"].as_array();
        let by_scheduler = conditions.into_iter().flatten().any(|condition| {
            condition["type"] == "DisruptionTarget"
                && condition["status"] == "True"
                && condition["reason"] == PREEMPTION_BY_SCHEDULER
        });
        let deletion = given["metadata"].get("deletionTimestamp").map(|_| PodDeletion {
            grace_period: Some(LINGERING),
            disruption: by_scheduler.then_some(PREEMPTION_BY_SCHEDULER),
        });
        for (at, action) in objects::life(pod, node, started, deletion, self.now) {
            self.act_at(at, action)?;
        }
        Ok(())
    }

    fn create_pod(&mut self, given: &Value, at: &str) -> Result<PodId, String> {
        let mut object = given.clone();
        // A running pod is bound like any other.
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.shift_remove("nodeName");
        }
        let object = object_of(("v1", "Pod"), object, at)?;
        let id = id_of(given);
        let AnySpec::Pod(template) = object.spec else { return Err(format!("{at}: is no Pod")) };
        self.act(Action::CreatePod(Box::new(PodDraft {
            name: PodName::Exact(id.name.clone()),
            namespace: id.namespace.clone(),
            template: PodSource::New(template),
            owner: self.owner_of(&id, &given["metadata"]["ownerReferences"]),
        })))?;
        self.store.pod_named(&id).ok_or_else(|| format!("pod {id} was not created"))
    }

    fn owner_of(&self, pod: &NamespacedName, references: &Value) -> Option<Owner> {
        let mut references = references.as_array()?.iter();
        let controller = references.find(|reference| reference["controller"] == true)?;
        // The scheduler looks up owners only in this API version.
        if controller["apiVersion"] != "apps/v1" {
            return None;
        }
        let id = NamespacedName::new(pod.namespace.clone(), controller["name"].as_str()?);
        if controller["kind"] == "StatefulSet" {
            return self.store.named(&id).map(Owner::StatefulSet);
        }
        let is_set = controller["kind"] == "ReplicaSet";
        self.store.named(&id).filter(|_| is_set).map(Owner::ReplicaSet)
    }

    fn create_budgets(&mut self, case: &Case) -> Result<(), String> {
        for (index, given) in case.pdbs.iter().enumerate() {
            let at = format!("pdbs[{index}]");
            let kind = ("policy/v1", "PodDisruptionBudget");
            self.act(object_of(kind, given.clone(), &at)?.into_action())?;
            let id = id_of(given);
            let Some(budget) = self.store.named::<PodDisruptionBudget>(&id) else { continue };
            let status = &given["status"];
            let disrupted = status["disruptedPods"].as_object().into_iter().flatten();
            let pod = |(name, _): (&String, _)| {
                let id = NamespacedName::new(id.namespace.clone(), name.as_str());
                self.store.pod_named(&id)
            };
            let allowed = status["disruptionsAllowed"].as_i64().unwrap_or(0);
            let status = PodDisruptionBudgetStatus {
                disruptions_allowed: i32::try_from(allowed).unwrap_or(i32::MAX),
                disrupted_pods: disrupted
                    .filter_map(pod)
                    .map(|pod| DisruptedPod { pod, since: SimTime::ZERO })
                    .collect(),
                ..PodDisruptionBudgetStatus::default()
            };
            self.act(Action::status(budget, status))?;
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        self.act_at(self.now, action)
    }

    fn act_at(&mut self, at: SimTime, action: Action) -> Result<(), String> {
        let verb = action.verb();
        let refused = |refused: Refused| format!("{verb}: {refused}");
        apply(&mut self.store, at, action, &mut self.changes).map_err(refused)?;
        for change in self.changes.drain(..) {
            self.scheduler.on_change(ClusterView::new(&self.store, self.now), &change);
        }
        Ok(())
    }
}

fn is_preemptor(attempt: &Attempt) -> bool {
    matches!(attempt.decision.verdict, Verdict::Waits { chosen: Some(_), .. })
}

/// Name and namespace of a recorded object.
fn id_of(object: &Value) -> NamespacedName {
    let text = |field: &str| object["metadata"][field].as_str();
    NamespacedName::new(text("namespace").unwrap_or("default"), text("name").unwrap_or_default())
}

/// Completes an object with the fields that the recording omits because the scheduler does not read them: the ports
/// of a Service, and the template of an owner, with labels that match its selector.
fn completed(kind: &str, mut object: Value) -> Value {
    // Invalid objects are reported when they are parsed.
    let Some(fields) = object.as_object_mut() else { return object };
    let spec = fields.entry("spec").or_insert_with(|| json!({}));
    if !spec.is_object() {
        return object;
    }
    match kind {
        "Service" => spec["ports"] = json!([{ "port": 80 }]),
        "ReplicaSet" | "StatefulSet" => {
            let selector = &spec["selector"];
            let mut labels = selector["matchLabels"].as_object().cloned().unwrap_or_default();
            for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
                let key = expression["key"].as_str().unwrap_or_default();
                if ["In", "Exists"].iter().any(|operator| expression["operator"] == *operator) {
                    let value = expression["values"][0].as_str().unwrap_or_default();
                    labels.entry(key).or_insert_with(|| value.into());
                }
            }
            spec["template"] = json!({
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "app", "image": "app" }] },
            });
        }
        _ => {}
    }
    object
}
