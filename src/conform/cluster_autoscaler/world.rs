//! The cluster of a case: nodes, pods and budgets as recorded, and the execution of the autoscaler's requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::binding::first_fit;
use super::case::{Case, UserAction, WorldEvent};
use super::cloud::{Cloud, second};
use super::names::expanded;
use super::objects::{PodSource, daemon_set, pod_source, replica_set};
use crate::objects::object_of;
use cluster::action::{PodDeletion, PodDraft, PodName, PodSource as From};
use cluster::daemon_set::with_daemon_tolerations;
use cluster::deployment::IntOrPercent;
use cluster::node::{ConditionStatus, NOT_READY_TAINT, NodeId, Taint};
use cluster::pod::{Owner, PodId, PodPhase};
use cluster::pod_template::TaintEffect;
use cluster::policy::{Budget, PodDisruptionBudget, PodDisruptionBudgetId};
use cluster::selector::Selector;
use cluster::{Action, Change, Name, NamespacedName, Store, apply};
use cluster_autoscaler::Request;
use controllers::daemon_set::placement::placement;
use controllers::disruption::{disruptions_allowed, expectation};
use engine::{SimTime, Streams};

/// Creation times of the initial nodes and pods.
const NODES_SINCE: SimTime = SimTime::from_secs(-7200);
const PODS_SINCE: f64 = -3600.0;

/// A case in progress.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) cloud: Cloud,
    changes: Vec<Change>,
    /// The sources of pods, by name of the pod.
    sources: BTreeMap<String, PodSource>,
    /// The sources of deleted pods that will be recreated, by ReplicaSet, in order of deletion.
    lost: BTreeMap<NamespacedName, VecDeque<PodSource>>,
    /// Evictions, granted and refused, in the form of recordings.
    pub(super) log: Vec<Value>,
}

impl World {
    /// The cluster in its initial state.
    pub(super) fn new(case: &Case) -> Result<Self, String> {
        let mut world = Self {
            store: Store::new(Streams::new(1)),
            cloud: Cloud::new(case)?,
            changes: Vec::new(),
            sources: BTreeMap::new(),
            lost: BTreeMap::new(),
            log: Vec::new(),
        };
        let input = &case.input;
        world.learn_sources(case)?;
        world.create_replica_sets(case)?;
        for (at, set) in input.daemonsets.iter().enumerate() {
            let place = format!("input.daemonsets[{at}]");
            let set = object_of(("apps/v1", "DaemonSet"), daemon_set(set), &place)?;
            world.act(NODES_SINCE, set.into_action())?;
        }
        for name in world.cloud.instance_names() {
            world.register(NODES_SINCE, &name, true, false)?;
        }
        let mut unbound = Vec::new();
        for (at, pods) in input.pods.iter().enumerate() {
            let created = pods.created_s.unwrap_or(PODS_SINCE);
            super::super::check_length(&format!("input.pods[{at}].created_s"), created.abs())?;
            for name in pod_names(&pods.name, pods.count) {
                let pod = world.create(SimTime::from_secs_f64(created), &name)?;
                match &pods.node {
                    None => unbound.push(pod),
                    Some(node) => {
                        let place = format!("input.pods[{at}].node");
                        let node = world.store.node_named(node);
                        let node = node.ok_or_else(|| format!("{place}: there is no such node"))?;
                        world.bind(SimTime::ZERO, pod, node)?;
                    }
                }
            }
        }
        unbound.sort_by_key(|pod| {
            world.store.pods().get(*pod).map(|pod| (pod.created, pod.id.name.clone()))
        });
        for pod in unbound {
            if let Some(node) = first_fit(&world.store, pod) {
                world.bind(SimTime::ZERO, pod, node)?;
            }
        }
        world.create_budgets(case)?;
        world.update_budgets(SimTime::ZERO)?;
        Ok(world)
    }

    fn learn_sources(&mut self, case: &Case) -> Result<(), String> {
        let by_action = case.input.actions.iter().enumerate().flat_map(|(at, action)| {
            let place = move |pod| format!("input.actions[{at}].pods[{pod}]");
            action.pods.iter().enumerate().map(move |(pod, pods)| (place(pod), pods))
        });
        let first = case.input.pods.iter().enumerate();
        let first = first.map(|(at, pods)| (format!("input.pods[{at}]"), pods));
        for (place, pods) in first.chain(by_action) {
            let source = pod_source(pods, &place)?;
            for name in pod_names(&pods.name, pods.count) {
                self.sources.insert(name, source.clone());
            }
        }
        Ok(())
    }

    /// Creates a ReplicaSet for each owner of pods.
    fn create_replica_sets(&mut self, case: &Case) -> Result<(), String> {
        let owners = self.sources.values().filter_map(|source| source.replica_set.clone());
        let mut ids: Vec<NamespacedName> = owners.collect();
        ids.sort();
        ids.dedup();
        for id in ids {
            if let Some(replicas) = case.input.replicasets.get(&*id.name) {
                let place = format!("input.replicasets.{}", id.name);
                let set =
                    object_of(("apps/v1", "ReplicaSet"), replica_set(&id, *replicas), &place)?;
                self.act(NODES_SINCE, set.into_action())?;
            }
        }
        Ok(())
    }

    fn create_budgets(&mut self, case: &Case) -> Result<(), String> {
        for (at, budget) in case.input.pdbs.iter().enumerate() {
            let mut spec = json!({ "selector": { "matchLabels": { "app": budget.app } } });
            for (field, number) in
                [("minAvailable", budget.min_available), ("maxUnavailable", budget.max_unavailable)]
            {
                if let Some(number) = number {
                    spec[field] = json!(number);
                }
            }
            let namespace = budget.ns.as_deref().unwrap_or("default");
            let metadata = json!({ "name": budget.name, "namespace": namespace });
            let budget = json!({ "metadata": metadata, "spec": spec });
            let place = format!("input.pdbs[{at}]");
            let budget = object_of(("policy/v1", "PodDisruptionBudget"), budget, &place)?;
            self.act(SimTime::ZERO, budget.into_action())?;
        }
        Ok(())
    }

    /// The pods without a node.
    pub(super) fn pending(&self) -> Vec<PodId> {
        let waits = |(id, pod): (PodId, &cluster::pod::Pod)| {
            (pod.node.is_none() && !pod.is_terminating()).then_some(id)
        };
        self.store.pods().iter().filter_map(waits).collect()
    }

    /// Carries out the autoscaler's requests at once. Returns the pods whose eviction is refused.
    pub(super) fn carry_out(
        &mut self,
        now: SimTime,
        requests: Vec<Request>,
    ) -> Result<Vec<PodId>, String> {
        let mut refused = Vec::new();
        for request in requests {
            match request {
                Request::SetTaints(node, taints) => {
                    self.on_node(now, node, Action::SetNodeTaints(node, taints))?;
                }
                Request::SetUnschedulable(node, is_cordoned) => {
                    self.on_node(now, node, Action::SetNodeUnschedulable(node, is_cordoned))?;
                }
                Request::Evict(pod, grace) => {
                    let Some(object) = self.store.pods().get(pod) else { continue };
                    let name = object.id.name.clone();
                    if let Some(budget) = self.exhausted_budget(pod, now)? {
                        let _ = budget;
                        refused.push(pod);
                        self.log.push(json!({
                            "ev": "evict_refused_pdb", "pod": &*name, "t": second(now),
                        }));
                        continue;
                    }
                    self.log.push(json!({
                        "ev": "evicted", "pod": &*name, "grace_s": grace.as_secs(), "t": second(now),
                    }));
                    self.lose(pod);
                    let deletion = PodDeletion { grace_period: Some(grace), disruption: None };
                    self.act(now, Action::DeletePod(pod, deletion))?;
                }
            }
        }
        Ok(refused)
    }

    fn on_node(&mut self, now: SimTime, node: NodeId, action: Action) -> Result<(), String> {
        // The node may have been removed in the meantime.
        if self.store.nodes().contains(node) { self.act(now, action) } else { Ok(()) }
    }

    /// The budget that forbids the pod's eviction. If none does, it is recorded in each of the pod's budgets.
    fn exhausted_budget(
        &mut self,
        pod: PodId,
        now: SimTime,
    ) -> Result<Option<PodDisruptionBudgetId>, String> {
        let covering: Vec<PodDisruptionBudgetId> = self.budgets_of(pod);
        for id in &covering {
            if self.store.disruption_budgets()[*id].status.disruptions_allowed < 1 {
                return Ok(Some(*id));
            }
        }
        for id in covering {
            let mut status = self.store.disruption_budgets()[id].status.clone();
            status.disruptions_allowed -= 1;
            self.act(now, Action::status(id, status))?;
        }
        Ok(None)
    }

    fn budgets_of(&self, pod: PodId) -> Vec<PodDisruptionBudgetId> {
        let Some(pod) = self.store.pods().get(pod) else { return Vec::new() };
        let covers = |budget: &PodDisruptionBudget| covers(&self.store, budget, pod);
        let budgets = self.store.disruption_budgets().iter();
        budgets.filter(|(_, budget)| covers(budget)).map(|(id, _)| id).collect()
    }

    /// Updates the status of the budgets: they count pods that are bound and not terminating.
    pub(super) fn update_budgets(&mut self, now: SimTime) -> Result<(), String> {
        let ids: Vec<PodDisruptionBudgetId> =
            self.store.disruption_budgets().iter().map(|(id, _)| id).collect();
        for id in ids {
            let budget = &self.store.disruption_budgets()[id];
            let (mut healthy, mut pods) = (0, 0);
            let mut owners = BTreeSet::new();
            for pod in self.store.pods().values().filter(|pod| covers(&self.store, budget, pod)) {
                pods += 1;
                healthy += i32::from(pod.node.is_some() && !pod.is_terminating());
                owners.extend(pod.owner);
            }
            let replicas = |owner: &Owner| match owner {
                Owner::ReplicaSet(set) => {
                    self.store.replica_sets().get(*set).map_or(0, |set| set.replicas)
                }
                _ => 0,
            };
            let scale: i32 = owners.iter().map(replicas).fold(0, i32::saturating_add);
            let expected = match budget.spec.budget {
                Budget::MaxUnavailable(IntOrPercent::Int(_)) if scale == 0 => {
                    expectation(budget.spec.budget, pods, pods)
                }
                other => expectation(other, pods, scale),
            };
            let mut status = budget.status.clone();
            status.disruptions_allowed = disruptions_allowed(healthy, expected);
            status.observed_generation = budget.meta.generation;
            if status != budget.status {
                self.act(now, Action::status(id, status))?;
            }
        }
        Ok(())
    }

    /// Carries out a user action on the cloud or on annotations; all others are recorded as events.
    pub(super) fn user(&mut self, action: &UserAction, at: usize) -> Result<(), String> {
        let now = SimTime::from_secs_f64(action.t);
        match (action.op.as_str(), &action.group, &action.node) {
            ("group_mode", Some(group), _) => {
                self.cloud.set_mode(group, action.mode.unwrap_or_default());
            }
            ("group_max", Some(group), _) => {
                let max = action.others.values().find_map(Value::as_i64);
                let max = max.ok_or_else(|| format!("input.actions[{at}].max: is missing"))?;
                self.cloud.set_max(group, max);
            }
            ("node_annotate", _, Some(node)) => {
                let Some(id) = self.store.node_named(node) else { return Ok(()) };
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let mut annotations = self.store.nodes()[id].meta.annotations.clone();
                let others = &action.others;
                let single = others.get("key").and_then(text);
                let pairs = others.values().filter_map(Value::as_object).flatten();
                let pairs = pairs.map(|(key, value)| (key.clone(), text(value)));
                let value = others.get("value").and_then(text);
                for (key, value) in pairs.chain(single.map(|key| (key, value))) {
                    let value = value.filter(|value| !value.is_empty());
                    let kept = annotations.iter().filter(|(own, _)| ***own != *key);
                    let kept = kept.map(|(key, value)| (key.clone(), value.clone()));
                    let new = value.map(|value| (Name::from(key.as_str()), Name::from(value)));
                    annotations = kept.chain(new).collect();
                }
                self.act(now, Action::SetNodeAnnotations(id, annotations))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Applies an event of the world. Returns the pods that it creates.
    pub(super) fn happen(&mut self, event: &WorldEvent) -> Result<Vec<PodId>, String> {
        let now = SimTime::from_secs_f64(event.t);
        let node = event.node.as_deref().unwrap_or_default();
        match event.ev.as_str() {
            "node_registered" => self.register(now, node, event.ready, true)?,
            "node_ready" => self.set_ready(now, node, true)?,
            "node_notready" => self.set_ready(now, node, false)?,
            "gpu_allocatable" => {
                if let (Some(id), Some(resources)) =
                    (self.store.node_named(node), self.cloud.full_resources(node))
                {
                    self.act(now, Action::SetNodeResources(id, Box::new(resources)))?;
                }
            }
            "instance_running_never_registers" => self.cloud.runs(node),
            "node_removed" => self.remove_node(now, node)?,
            "pod_created" => return self.create_all(now, &event.pods),
            "pod_gone" => self.remove_all(now, &event.pods)?,
            "bind" => {
                for (node, pods) in &event.on {
                    let node = self.store.node_named(node);
                    for pod in expanded(pods.iter().map(String::as_str)) {
                        if let (Some(node), Some(pod)) = (node, self.pod_named(&pod)) {
                            self.bind(now, pod, node)?;
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    fn pod_named(&self, name: &str) -> Option<PodId> {
        let namespace = self.sources.get(name).map(|source| source.namespace.clone());
        let namespace = namespace.unwrap_or_else(|| "default".into());
        self.store.pod_named(&NamespacedName::new(namespace, name))
    }

    fn create_all(&mut self, now: SimTime, names: &[String]) -> Result<Vec<PodId>, String> {
        let mut created = Vec::new();
        for name in expanded(names.iter().map(String::as_str)) {
            if !self.sources.contains_key(&name) {
                // The replacement of a deleted pod: `<owner>-r<number>`.
                let owner = name.rsplit_once("-r").map_or(name.as_str(), |(owner, _)| owner);
                let of_owner =
                    self.lost.iter_mut().find(|(id, lost)| *id.name == *owner && !lost.is_empty());
                let Some(source) = of_owner.and_then(|(_, lost)| lost.pop_front()) else {
                    continue;
                };
                self.sources.insert(name.clone(), source);
            }
            created.push(self.create(now, &name)?);
        }
        Ok(created)
    }

    fn remove_all(&mut self, now: SimTime, names: &[String]) -> Result<(), String> {
        for name in expanded(names.iter().map(String::as_str)) {
            if let Some(pod) = self.pod_named(&name) {
                self.act(now, Action::RemovePod(pod))?;
            }
        }
        Ok(())
    }

    fn create(&mut self, now: SimTime, name: &str) -> Result<PodId, String> {
        let source = self.sources.get(name).ok_or_else(|| format!("pod {name} is not known"))?;
        let id = NamespacedName::new(source.namespace.clone(), name);
        let owner = source.replica_set.as_ref().and_then(|set| self.store.named(set));
        let draft = PodDraft {
            name: PodName::Exact(name.into()),
            namespace: source.namespace.clone(),
            template: From::New(Box::new(source.template.clone())),
            owner: owner.map(Owner::ReplicaSet),
        };
        self.act(now, Action::CreatePod(Box::new(draft)))?;
        self.store.pod_named(&id).ok_or_else(|| format!("pod {name} was not created"))
    }

    fn bind(&mut self, now: SimTime, pod: PodId, node: NodeId) -> Result<(), String> {
        self.act(now, Action::BindPod(pod, node))?;
        self.act(now, Action::SetPodPhase(pod, PodPhase::Running))
    }

    /// Registers a node, together with its DaemonSet pods.
    fn register(
        &mut self,
        now: SimTime,
        name: &str,
        is_ready: bool,
        is_new: bool,
    ) -> Result<(), String> {
        self.cloud.runs(name);
        let Some(mut node) = self.cloud.node(name, is_new) else { return Ok(()) };
        node.ready.since = now;
        if !is_ready {
            node.ready.status = ConditionStatus::False;
            node.taints.push(not_ready_taint());
        }
        self.act(now, Action::add_node(node))?;
        let Some(id) = self.store.node_named(name) else { return Ok(()) };
        let sets: Vec<_> = self.store.daemon_sets().iter().map(|(set, _)| set).collect();
        for set in sets {
            let object = &self.store.daemon_sets()[set];
            let template = with_daemon_tolerations(object.spec.template.clone());
            let mut empty = self.store.nodes()[id].clone();
            empty.taints.retain(|taint| *taint.key != *NOT_READY_TAINT);
            if !placement(&template, &empty).should_run {
                continue;
            }
            let pod = format!("{}-{name}", object.meta.name());
            let draft = PodDraft {
                name: PodName::Exact(pod.as_str().into()),
                namespace: object.meta.namespace().clone(),
                template: From::New(Box::new(template)),
                owner: Some(Owner::DaemonSet(set)),
            };
            self.act(now, Action::CreatePod(Box::new(draft)))?;
            if let Some(pod) = self.store.pod_named(&NamespacedName::new("default", pod)) {
                self.bind(now, pod, id)?;
            }
        }
        Ok(())
    }

    fn set_ready(&mut self, now: SimTime, name: &str, is_ready: bool) -> Result<(), String> {
        let Some(id) = self.store.node_named(name) else { return Ok(()) };
        let mut taints = self.store.nodes()[id].taints.clone();
        taints.retain(|taint| *taint.key != *NOT_READY_TAINT);
        if !is_ready {
            taints.push(not_ready_taint());
        }
        self.act(now, Action::SetNodeReady(id, is_ready.into()))?;
        self.act(now, Action::SetNodeTaints(id, taints))
    }

    /// Removes a machine with its node and the pods on it.
    fn remove_node(&mut self, now: SimTime, name: &str) -> Result<(), String> {
        self.cloud.gone(name);
        let Some(id) = self.store.node_named(name) else { return Ok(()) };
        let pods: Vec<(PodId, bool)> =
            self.store.pods_on(id).map(|(pod, object)| (pod, object.is_terminating())).collect();
        for (pod, is_terminating) in pods {
            if !is_terminating {
                self.lose(pod);
            }
            self.act(now, Action::RemovePod(pod))?;
        }
        self.act(now, Action::Delete(cluster::ObjectId::Node(id)))
    }

    /// Deletes a pod of a ReplicaSet, which will be recreated.
    fn lose(&mut self, pod: PodId) {
        let Some(pod) = self.store.pods().get(pod) else { return };
        let Some(source) = self.sources.get(&*pod.id.name) else { return };
        if let Some(set) = source.replica_set.clone() {
            self.lost.entry(set).or_default().push_back(source.clone());
        }
    }

    fn act(&mut self, now: SimTime, action: Action) -> Result<(), String> {
        let verb = action.verb();
        self.changes.clear();
        apply(&mut self.store, now, action, &mut self.changes)
            .map_err(|refused| format!("{verb}: {refused}"))
    }
}

fn covers(store: &Store, budget: &PodDisruptionBudget, pod: &cluster::pod::Pod) -> bool {
    let selects = |selector: &Selector| selector.matches(store.labels_of(pod));
    *budget.meta.namespace() == pod.id.namespace
        && budget.spec.selector.as_ref().is_some_and(selects)
}

fn not_ready_taint() -> Taint {
    let effect = TaintEffect::NoSchedule;
    Taint { key: NOT_READY_TAINT.into(), value: "".into(), effect, time_added: None }
}

/// The names of this many pods.
fn pod_names(name: &str, count: u64) -> Vec<String> {
    if count == 1 {
        return vec![name.to_owned()];
    }
    (0..count).map(|number| format!("{name}-{number:03}")).collect()
}
