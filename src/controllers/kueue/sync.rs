//! One look at all Jobs with a queue: releases, admissions, evictions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::cycle::{Admitted, Decisions, Pending, Setup, run};
use super::preemption::Preemption;
use super::quota::Usage;
use super::{Admission, KueueController};
use crate::Actions;
use cluster::action::Event;
use cluster::job::{Job, JobId, JobSpec};
use cluster::kueue::{
    ClusterQueue, LocalQueue, PRIORITY_LABEL, QUEUE_LABEL, QueueStatus, ResourceFlavorSpec,
    WorkloadPriorityClass,
};
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{Toleration, TolerationOperator};
use cluster::starts_after::STARTS_AFTER;
use cluster::{
    Action, AnySpec, ClusterView, Kind, Labels, Name, NamespacedName, ObjectId, ObjectMeta,
};

/// The resource that counts pods, where a ClusterQueue covers it.
const PODS: &str = "pods";

impl KueueController {
    /// Brings Jobs and queues to the state that follows from all Jobs.
    pub(super) fn sync(&mut self, view: ClusterView<'_>, actions: &mut Actions) {
        let store = view.store();
        if store.cluster_queues().is_empty() {
            return;
        }
        let jobs: Vec<(JobId, &Job)> = store
            .jobs()
            .iter()
            .filter(|(_, job)| {
                job.meta.labels.contains_key(QUEUE_LABEL) && job.status.finished().is_none()
            })
            .collect();
        let known: BTreeSet<JobId> = jobs.iter().map(|(id, _)| *id).collect();
        self.admissions.retain(|id, _| known.contains(id));
        self.written.retain(|id, _| known.contains(id));
        // An evicted Job gives its quota back once its pods have ended.
        self.admissions.retain(|id, one| {
            let job = &store.jobs()[*id];
            !(one.is_evicted && job.spec.suspend && job.status.active == 0)
        });
        let setup = setup(view);
        let mut waits = BTreeMap::new();
        let mut pending = Vec::new();
        for (id, job) in &jobs {
            if let Some(admission) = self.admissions.get(id) {
                if job.spec.suspend && !admission.is_evicted {
                    // A user suspended it; as long as it is admitted, Kueue starts it.
                    actions.push(suspended(view, *id, job, false, |_| {}));
                    actions.push(started(job, &admission.queue));
                }
                continue;
            }
            if job.meta.annotations.contains_key(STARTS_AFTER) {
                continue;
            }
            if !job.spec.suspend {
                // Nobody but Kueue starts it.
                actions.push(suspended(view, *id, job, true, |_| {}));
                continue;
            }
            let pods = &job.spec.template.spec;
            if let Some((selector, tolerations)) = self.written.remove(id)
                && (pods.node_selector != selector || pods.tolerations != tolerations)
            {
                // Its next flavor may be another: the template gets back what was written (`RestorePodSetsInfo`), and
                // the Job waits in its queue after that.
                let restore = |spec: &mut JobSpec| place(spec, (&selector, &tolerations), &[]);
                actions.push(suspended(view, *id, job, true, restore));
                waits.insert(*id, "Preempted, its pod template is restored".to_owned());
                continue;
            }
            match pending_job(view, &setup, *id, job) {
                Ok(one) => pending.push(one),
                Err(why) => _ = waits.insert(*id, why),
            }
        }
        let admitted = self.admitted(view, &setup);
        let mut waiting: Vec<(JobId, Name)> =
            pending.iter().map(|one| (one.job, one.queue.clone())).collect();
        // Jobs that their queue does not take wait in it all the same.
        waiting.extend(waits.keys().filter_map(|id| Some((*id, queue_of(view, *id)?))));
        let mut decisions = run(&setup, &admitted, pending);
        decisions.waits.append(&mut waits);
        self.carry_out(view, &setup, &decisions, actions);
        self.count(view, &waiting, &decisions, actions);
        self.remember(view, &setup, &waiting, &decisions);
    }

    /// The Jobs that hold quota.
    pub(super) fn admitted(&self, view: ClusterView<'_>, setup: &Setup<'_>) -> Vec<Admitted> {
        let admitted = |(id, one): (&JobId, &Admission)| {
            let job = view.store().jobs().get(*id)?;
            let usage =
                requests(view, setup, &one.queue, job).into_iter().filter_map(|(name, amount)| {
                    Some(((one.flavors.get(&name)?.clone(), name), amount))
                });
            Some(Admitted {
                job: *id,
                queue: one.queue.clone(),
                priority: priority(view, job),
                created: created(job),
                since: one.since,
                usage: usage.collect::<Usage>(),
                is_evicted: one.is_evicted,
            })
        };
        self.admissions.iter().filter_map(admitted).collect()
    }

    fn carry_out(
        &mut self,
        view: ClusterView<'_>,
        setup: &Setup<'_>,
        decisions: &Decisions,
        actions: &mut Actions,
    ) {
        for (id, queue, assignment) in &decisions.admitted {
            let Some(job) = view.store().jobs().get(*id) else { continue };
            let pods = &job.spec.template.spec;
            let (selector, tolerations) = self
                .written
                .entry(*id)
                .or_insert_with(|| (pods.node_selector.clone(), pods.tolerations.clone()));
            let flavors: BTreeSet<&Name> = assignment.flavors.values().collect();
            let flavors = flavors.into_iter().filter_map(|name| setup.flavors.get(name));
            let flavors: Vec<&ResourceFlavorSpec> = flavors.copied().collect();
            let start = |spec: &mut JobSpec| place(spec, (selector, tolerations), &flavors);
            actions.push(suspended(view, *id, job, false, start));
            actions.push(started(job, queue));
            let admission = Admission {
                queue: queue.clone(),
                flavors: assignment.flavors.clone(),
                since: view.now,
                is_evicted: false,
            };
            self.admissions.insert(*id, admission);
        }
        for Preemption { victim, preemptor, is_reclaim } in &decisions.preempted {
            let jobs = view.store().jobs();
            let (Some(job), Some(by)) = (jobs.get(*victim), jobs.get(*preemptor)) else { continue };
            let Some(admission) = self.admissions.get_mut(victim) else { continue };
            if std::mem::replace(&mut admission.is_evicted, true) {
                continue;
            }
            let reason = if *is_reclaim {
                "reclamation within the cohort"
            } else {
                "prioritization in the ClusterQueue"
            };
            actions.push(suspended(view, *victim, job, true, |_| {}));
            let name = by.meta.name();
            let message =
                format!("Preempted to accommodate a workload (Job {name}) due to {reason}");
            actions.push(event(job, "Stopped", message));
        }
    }

    /// Writes how many Jobs wait in each queue, and how many are admitted.
    fn count(
        &self,
        view: ClusterView<'_>,
        waiting: &[(JobId, Name)],
        decisions: &Decisions,
        actions: &mut Actions,
    ) {
        let store = view.store();
        let is_waiting = |id: &JobId| decisions.admitted.iter().all(|(one, ..)| one != id);
        let waiting: Vec<&(JobId, Name)> =
            waiting.iter().filter(|(id, _)| is_waiting(id)).collect();
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        for (id, queue) in store.cluster_queues().iter() {
            let name = queue.meta.name();
            let status = QueueStatus {
                pending: number(waiting.iter().filter(|(_, of)| of == name).count()),
                admitted: number(self.admissions.values().filter(|one| one.queue == *name).count()),
            };
            if status != queue.status {
                actions.push(Action::status::<ClusterQueue, _>(id, status));
            }
        }
        for (id, queue) in store.local_queues().iter() {
            let is_in = |job: &JobId| {
                store.jobs().get(*job).is_some_and(|job| {
                    job.meta.namespace() == queue.meta.namespace()
                        && job.meta.labels.get(QUEUE_LABEL) == Some(queue.meta.name())
                })
            };
            let status = QueueStatus {
                pending: number(waiting.iter().filter(|(job, _)| is_in(job)).count()),
                admitted: number(self.admissions.keys().filter(|job| is_in(job)).count()),
            };
            if status != queue.status {
                actions.push(Action::status::<LocalQueue, _>(id, status));
            }
        }
    }
}

fn setup(view: ClusterView<'_>) -> Setup<'_> {
    let store = view.store();
    let queues = store.cluster_queues().values();
    let flavors = store.resource_flavors().values();
    Setup {
        queues: queues.map(|queue| (queue.meta.name().clone(), &queue.spec)).collect(),
        flavors: flavors.map(|flavor| (flavor.meta.name().clone(), &flavor.spec)).collect(),
    }
}

/// A waiting Job, or why its queue does not take it.
fn pending_job<'a>(
    view: ClusterView<'a>,
    setup: &Setup<'_>,
    id: JobId,
    job: &'a Job,
) -> Result<Pending<'a>, String> {
    let namespace = job.meta.namespace();
    let named = job.meta.labels.get(QUEUE_LABEL).cloned().unwrap_or_default();
    let local = NamespacedName::new(namespace.clone(), named.clone());
    let Some(local) = view.store().find::<LocalQueue>(&local) else {
        return Err(format!("LocalQueue {named} doesn't exist"));
    };
    let queue = local.spec.cluster_queue.clone();
    let Some(spec) = setup.queues.get(&queue) else {
        return Err(format!("ClusterQueue {queue} doesn't exist"));
    };
    if local.spec.is_stopped {
        return Err("its LocalQueue is stopped (stopPolicy)".to_owned());
    }
    if let Some(why) = setup.inactive(&queue) {
        return Err(why);
    }
    let labels = view.store().namespace(namespace).map_or_else(
        || [("kubernetes.io/metadata.name", namespace.clone())].into_iter().collect(),
        |one| one.meta.labels.clone(),
    );
    if !spec.namespaces.as_ref().is_some_and(|selector| selector.matches(&labels)) {
        return Err(format!("Workload namespace doesn't match ClusterQueue {queue} selector"));
    }
    Ok(Pending {
        job: id,
        priority: priority(view, job),
        created: created(job),
        pod: &job.spec.template.spec,
        requests: requests(view, setup, &queue, job),
        queue,
    })
}

/// The ClusterQueue of a Job, if its LocalQueue exists.
fn queue_of(view: ClusterView<'_>, id: JobId) -> Option<Name> {
    let job = view.store().jobs().get(id)?;
    let named = job.meta.labels.get(QUEUE_LABEL)?.clone();
    let local = NamespacedName::new(job.meta.namespace().clone(), named);
    Some(view.store().find::<LocalQueue>(&local)?.spec.cluster_queue.clone())
}

const fn created(job: &Job) -> (engine::SimTime, u64) {
    (job.meta.created, job.meta.sequence)
}

/// The priority of its WorkloadPriorityClass, or else of its pods.
fn priority(view: ClusterView<'_>, job: &Job) -> i32 {
    let class = job.meta.labels.get(PRIORITY_LABEL).and_then(|name| {
        let id = NamespacedName::new("", name.clone());
        Some(view.store().find::<WorkloadPriorityClass>(&id)?.spec.value)
    });
    class.unwrap_or_else(|| job.spec.template.spec.priority.unwrap_or_default())
}

/// What the pods of a Job that are still to come request together, thousandths of a unit, with the defaults that their
/// namespace gives them (`AdjustResources`).
fn requests(
    view: ClusterView<'_>,
    setup: &Setup<'_>,
    queue: &Name,
    job: &Job,
) -> BTreeMap<Name, i64> {
    let spec = &job.spec;
    // Without completions the first that succeeds ends the Job: no more pods follow (`ReclaimablePods`).
    let completions = spec.completions.unwrap_or(spec.parallelism);
    let to_come = spec.parallelism.min(completions.saturating_sub(job.status.succeeded));
    let pods = i64::from(to_come.max(0));
    let mut requests = BTreeMap::new();
    let pod = &spec.template.spec;
    let defaulted = view.store().defaulted_by_limit_ranges(job.meta.namespace(), pod);
    for (resource, amount) in pod_requests(defaulted.as_ref().unwrap_or(pod)).iter() {
        let together = amount.milli_value().saturating_mul(pods);
        if together > 0 {
            requests.insert(resource.clone(), together);
        }
    }
    let counts_pods = setup.queues.get(queue).is_some_and(|spec| {
        spec.groups.iter().any(|group| group.resources.iter().any(|one| **one == *PODS))
    });
    if counts_pods {
        requests.insert(PODS.into(), pods.saturating_mul(1_000));
    }
    requests
}

/// Lets the pods run on the nodes of these flavors.
fn place(
    spec: &mut JobSpec,
    (selector, tolerations): (&Labels, &[Toleration]),
    flavors: &[&ResourceFlavorSpec],
) {
    let pods = &mut spec.template.spec;
    let labels = flavors.iter().flat_map(|flavor| flavor.node_labels.iter());
    let own = selector.iter();
    pods.node_selector =
        own.chain(labels).map(|(key, value)| (key.clone(), value.clone())).collect();
    let further = flavors.iter().flat_map(|flavor| &flavor.tolerations);
    pods.tolerations = tolerations.iter().chain(further).cloned().collect();
}

/// The update that suspends or starts a Job.
fn suspended(
    view: ClusterView<'_>,
    id: JobId,
    job: &Job,
    is_suspended: bool,
    change: impl FnOnce(&mut JobSpec),
) -> Action {
    let written = view.store().written(ObjectId::Job(id));
    let (mut meta, mut spec) = written
        .unwrap_or_else(|| (job.meta.clone(), AnySpec::Job(Box::new(job.spec.clone().into()))));
    if let AnySpec::Job(draft) = &mut spec {
        draft.spec.suspend = is_suspended;
        change(&mut draft.spec);
        document(&mut meta, &mut draft.spec);
    }
    Action::Apply(Box::new(meta), spec)
}

/// Brings the written form of a Job to the fields that Kueue changes.
fn document(meta: &mut ObjectMeta, spec: &mut JobSpec) {
    let pods = &spec.template.spec;
    let selector: Value = pods
        .node_selector
        .iter()
        .map(|(key, value)| (key.to_string(), json!(&**value)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let tolerations: Value = pods.tolerations.iter().map(toleration).collect();
    let in_pods = |pods: &mut Value| {
        let Some(pods) = pods.as_object_mut() else { return };
        for (field, value) in [("nodeSelector", &selector), ("tolerations", &tolerations)] {
            let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            if is_empty {
                pods.shift_remove(field);
            } else {
                pods.insert(field.to_owned(), value.clone());
            }
        }
    };
    if let Some(document) = &mut meta.document {
        let document = Arc::make_mut(document);
        document.object["spec"]["suspend"] = spec.suspend.into();
        in_pods(&mut document.object["spec"]["template"]["spec"]);
    }
    if let Some(mut written) = spec.template.document.get().cloned() {
        in_pods(&mut written["spec"]);
        spec.template.document = written.into();
    }
}

fn toleration(one: &Toleration) -> Value {
    let mut written = serde_json::Map::new();
    let mut set = |field: &str, value: Value| _ = written.insert(field.to_owned(), value);
    if !one.key.is_empty() {
        set("key", json!(&*one.key));
    }
    match one.operator {
        TolerationOperator::Exists => set("operator", json!("Exists")),
        TolerationOperator::Equal => {
            set("operator", json!("Equal"));
            set("value", json!(&*one.value));
        }
    }
    if let Some(effect) = one.effect {
        set("effect", json!(format!("{effect:?}")));
    }
    if let Some(seconds) = one.toleration_seconds {
        set("tolerationSeconds", json!(seconds));
    }
    written.into()
}

fn started(job: &Job, queue: &Name) -> Action {
    event(job, "Started", format!("Admitted by clusterQueue {queue}"))
}

fn event(job: &Job, reason: &'static str, message: String) -> Action {
    Action::Event(Box::new(Event {
        kind: Kind::Job,
        object: job.meta.id.clone(),
        is_warning: false,
        reason,
        message,
    }))
}
