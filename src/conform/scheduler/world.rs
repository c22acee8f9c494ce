//! The cluster of a case, and the scheduler at work on it: pods enter the queue one second apart,
//! each try takes a second, and what is decided is carried out at once.

use jiff::Timestamp;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::case::{Case, Requeue, Victims};
use super::{objects, steps};
use cluster::action::PodDeletion;
use cluster::pod::{Owner, PodId, PodPhase};
use cluster::policy::{DisruptedPod, PodDisruptionBudgetStatus};
use cluster::{Action, Change, ClusterView, NamespacedName, Refused, Store, apply};
use engine::{SimDuration, SimTime, Streams};
use scenario::scheduler_configuration::scheduler_configuration;
use scheduler::decision::Verdict;
use scheduler::preemption::PREEMPTION_BY_SCHEDULER;
use scheduler::{Attempt, Scheduler, SchedulerConfiguration, TieBreaker};

/// From the first of January 2026, which is time zero here, to the first binding of a case.
const DAY: SimDuration = SimDuration::from_secs(24 * 60 * 60);
/// When pods start to enter the queue.
const QUEUE_STARTS: SimTime = SimTime::from_secs(2 * 24 * 60 * 60);
/// The grace period of pods that stay, terminating, as nobody stops their containers.
const LINGERING: SimDuration = SimDuration::from_secs(30);
/// How often a pod is tried at most.
const MAX_ATTEMPTS: u32 = 4;

/// A case in progress.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) scheduler: Scheduler,
    /// Pods that came with a nomination to a node that does not exist, which only shows.
    pub(super) lost_nominations: BTreeMap<PodId, String>,
    now: SimTime,
    bindings: i64,
    changes: Vec<Change>,
}

/// One step as it was decided here, in the form of the recording.
pub(super) type Step = serde_json::Map<String, serde_json::Value>;

impl World {
    /// The cluster before the first pod is placed.
    pub(super) fn new(case: &Case) -> Result<Self, String> {
        let mut configuration = match &case.profile {
            Some(profile) => scheduler_configuration(profile)
                .map_err(|errors| objects::listed(&errors, "profile"))?,
            None => SchedulerConfiguration::default(),
        };
        // The recording tells which pods are tried again, and looks at every node.
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

    /// Places the pods, and returns what was decided step by step.
    pub(super) fn run(&mut self, case: &Case) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        let mut gated = Vec::new();
        self.now = QUEUE_STARTS;
        for (index, pending) in case.pending.iter().enumerate() {
            let pod = self.create_pod(pending, &format!("pending[{index}]"))?;
            let status = pending.status.as_ref();
            if let Some(name) = status.and_then(|status| status.nominated_node_name.as_ref()) {
                let node = self.store.node_named(name);
                if node.is_none() {
                    self.lost_nominations.insert(pod, name.clone());
                }
                self.act(Action::NominatePod(pod, node))?;
            }
            if let Some(step) = steps::gated(self, pod) {
                gated.push(pod);
                steps.push(step);
            }
            self.now += SimDuration::from_secs(1);
        }
        // They may name pending pods.
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

    /// Places pods until the queue has run dry and no preemptor is to be tried again.
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
        for given in &case.namespaces {
            self.act(Action::CreateNamespace(Box::new(objects::namespace(given))))?;
        }
        for (index, given) in case.nodes.iter().enumerate() {
            let node = objects::node(given, &format!("nodes[{index}]"))?;
            self.act(Action::AddNode(Box::new(node)))?;
        }
        for given in &case.services {
            self.act(Action::CreateService(Box::new(objects::service(given))))?;
        }
        for (field, kind, owners) in [
            ("replicaSets", "ReplicaSet", &case.replica_sets),
            ("statefulSets", "StatefulSet", &case.stateful_sets),
        ] {
            for (index, given) in owners.iter().enumerate() {
                let owner = objects::owner(kind, given, &format!("{field}[{index}]"))?;
                self.act(Action::CreateReplicaSet(Box::new(owner)))?;
            }
        }
        Ok(())
    }

    fn create_running(&mut self, given: &core::Pod, at: &str) -> Result<(), String> {
        let pod = self.create_pod(given, at)?;
        let spec = given.spec.as_ref();
        let name = spec.and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let node = self.store.node_named(name);
        let node = node.ok_or_else(|| format!("{at}.spec.nodeName: there is no node {name:?}"))?;
        self.act(Action::BindPod(pod, node))?;
        let status = given.status.as_ref();
        if let Some(started) = status.and_then(|status| status.start_time.as_ref()) {
            self.act_at(since_new_year(started.0)?, Action::StartPod(pod))?;
        }
        self.act(Action::SetPodPhase(pod, PodPhase::Running))?;
        if given.metadata.deletion_timestamp.is_none() {
            return Ok(());
        }
        let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        let disruption = conditions.find(|condition| condition.type_ == "DisruptionTarget");
        let by_scheduler = disruption.is_some_and(|condition| {
            condition.status == "True"
                && condition.reason.as_deref() == Some(PREEMPTION_BY_SCHEDULER)
        });
        let deletion = PodDeletion {
            grace_period: Some(LINGERING),
            disruption: by_scheduler.then_some(PREEMPTION_BY_SCHEDULER),
        };
        self.act(Action::DeletePod(pod, deletion))
    }

    fn create_pod(&mut self, given: &core::Pod, at: &str) -> Result<PodId, String> {
        let (mut draft, id) = objects::pod(given, at)?;
        draft.owner = self.owner_of(&id.namespace, given.metadata.owner_references.as_deref());
        self.act(Action::CreatePod(Box::new(draft)))?;
        self.store.pod_named(&id).ok_or_else(|| format!("pod {id} was not created"))
    }

    fn owner_of(&self, namespace: &str, references: Option<&[OwnerReference]>) -> Option<Owner> {
        let mut references = references.unwrap_or_default().iter();
        let controller = references.find(|reference| reference.controller == Some(true))?;
        // The scheduler looks up owners of this version alone.
        if controller.api_version != "apps/v1" {
            return None;
        }
        let id = objects::owner_id(namespace, &controller.kind, &controller.name);
        let mut sets = self.store.replica_sets().iter();
        sets.find(|(_, set)| set.meta.id == id).map(|(set, _)| Owner::ReplicaSet(set))
    }

    fn create_budgets(&mut self, case: &Case) -> Result<(), String> {
        for (index, given) in case.pdbs.iter().enumerate() {
            let budget = objects::disruption_budget(given, &format!("pdbs[{index}]"))?;
            let namespace = budget.meta.namespace().clone();
            self.act(Action::CreateDisruptionBudget(Box::new(budget)))?;
            let Some((id, _)) = self.store.disruption_budgets().iter().last() else { continue };
            let status = given.status.clone().unwrap_or_default();
            let disrupted = status.disrupted_pods.unwrap_or_default().into_keys();
            let pod =
                |name: String| self.store.pod_named(&NamespacedName::new(namespace.clone(), name));
            let status = PodDisruptionBudgetStatus {
                disruptions_allowed: status.disruptions_allowed.unwrap_or(0),
                disrupted_pods: disrupted
                    .filter_map(pod)
                    .map(|pod| DisruptedPod { pod, since: SimTime::ZERO })
                    .collect(),
                ..PodDisruptionBudgetStatus::default()
            };
            self.act(Action::SetDisruptionBudgetStatus(id, Box::new(status)))?;
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
            self.scheduler.on_change(ClusterView::new(&self.store, self.now), change);
        }
        Ok(())
    }
}

fn is_preemptor(attempt: &Attempt) -> bool {
    matches!(attempt.decision.verdict, Verdict::Waits { chosen: Some(_), .. })
}

fn since_new_year(at: Timestamp) -> Result<SimTime, String> {
    let new_year: Timestamp =
        "2026-01-01T00:00:00Z".parse().map_err(|error: jiff::Error| error.to_string())?;
    Ok(SimTime::from_secs(at.as_second() - new_year.as_second()))
}
