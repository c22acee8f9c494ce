//! One look at all workloads with a queue: releases, admissions, evictions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::cycle::{Admitted, Decisions, Pending, Setup, run};
use super::flavors::Assignment;
use super::preemption::Preemption;
use super::quota::Usage;
use super::workload::{Workload, WorkloadId, completions_follow, requests, workloads};
use super::{Admission, KueueController, Written};
use crate::Actions;
use cluster::action::{Event, PodDeletion};
use cluster::job::{Job, JobId, JobSpec};
use cluster::kueue::{ADMISSION_GATE, ClusterQueue, LocalQueue, QueueStatus, ResourceFlavorSpec};
use cluster::pod::Pod;
use cluster::pod_template::{Toleration, TolerationOperator};
use cluster::starts_after::{HELD, STARTS_AFTER};
use cluster::{
    Action, AnySpec, ClusterView, Kind, Labels, Name, NamespacedName, ObjectId, ObjectMeta,
};

/// The resource that counts pods, where a ClusterQueue covers it.
const PODS: &str = "pods";

impl KueueController {
    /// Brings Jobs, pods and queues to the state that follows from all of them.
    pub(super) fn sync(&mut self, view: ClusterView<'_>, actions: &mut Actions) {
        let store = view.store();
        if store.cluster_queues().is_empty() {
            return;
        }
        let all = workloads(view, &mut self.groups, self.pods.iter().copied());
        let by_id: BTreeMap<WorkloadId, &Workload<'_>> =
            all.iter().map(|one| (one.id, one)).collect();
        self.admissions.retain(|id, _| by_id.contains_key(id));
        self.written.retain(|id, _| {
            store.jobs().get(*id).is_some_and(|job| job.status.finished().is_none())
        });
        // An evicted workload gives its quota back once its pods have ended.
        self.admissions.retain(|id, one| !(one.is_evicted && has_ended(view, by_id[id])));
        let setup = setup(view);
        let mut waits = BTreeMap::new();
        let mut pending = Vec::new();
        for one in &all {
            if let Some(admission) = self.admissions.get(&one.id) {
                // Pods that a StatefulSet or a group creates later come with the admission.
                if !admission.is_evicted {
                    admit_pods(view, &setup, one, &admission.flavors, actions);
                }
                continue;
            }
            // Nobody but Kueue starts a Job.
            let started = one.jobs.iter().filter(|(_, job)| !job.spec.suspend);
            let started: Vec<&(JobId, &Job)> = started.collect();
            for (id, job) in &started {
                actions.push(suspended(view, *id, job, true, |_| {}));
            }
            if !started.is_empty() {
                continue;
            }
            match pending_of(view, &setup, one) {
                Ok(one) => pending.push(one),
                Err(why) => _ = waits.insert(one.id, why),
            }
        }
        let admitted = self.admitted(view, &setup, &by_id);
        let waiting: Vec<(WorkloadId, Name)> =
            pending.iter().map(|one| (one.id, one.queue.clone())).collect();
        let mut decisions = run(&setup, &admitted, pending);
        decisions.waits.append(&mut waits);
        self.carry_out(view, &setup, &by_id, &decisions, actions);
        self.count(view, &by_id, &waiting, &decisions, actions);
        let admitted = self.admitted(view, &setup, &by_id);
        self.remember(view, &setup, (&by_id, &admitted), &waiting, &decisions);
    }

    /// The workloads that hold quota.
    fn admitted(
        &self,
        view: ClusterView<'_>,
        setup: &Setup<'_>,
        by_id: &BTreeMap<WorkloadId, &Workload<'_>>,
    ) -> Vec<Admitted> {
        let admitted = |(id, one): (&WorkloadId, &Admission)| {
            let workload = by_id.get(id)?;
            let mut usage = Usage::new();
            for set in &workload.pod_sets {
                let Some(flavors) = one.flavors.get(&set.name) else { continue };
                let wanted = requests(set.pod, set.count, counts_pods(setup, &one.queue));
                for (name, amount) in wanted {
                    if let Some(flavor) = flavors.get(&name) {
                        *usage.entry((flavor.clone(), name)).or_default() += amount;
                    }
                }
            }
            Some(Admitted {
                id: *id,
                queue: one.queue.clone(),
                priority: workload.priority(view),
                created: workload.created,
                since: one.since,
                usage,
                is_evicted: one.is_evicted,
            })
        };
        self.admissions.iter().filter_map(admitted).collect()
    }

    fn carry_out(
        &mut self,
        view: ClusterView<'_>,
        setup: &Setup<'_>,
        by_id: &BTreeMap<WorkloadId, &Workload<'_>>,
        decisions: &Decisions,
        actions: &mut Actions,
    ) {
        for (id, queue, assignment) in &decisions.admitted {
            let Some(workload) = by_id.get(id) else { continue };
            for (job_id, job) in &workload.jobs {
                self.start(view, setup, (*job_id, job), assignment, actions);
            }
            admit_pods(view, setup, workload, &assignment.flavors, actions);
            let message = format!("Admitted by clusterQueue {queue}");
            actions.push(event(&workload.object, "Started", message));
            let admission = Admission {
                queue: queue.clone(),
                flavors: assignment.flavors.clone(),
                since: view.now,
                is_evicted: false,
            };
            self.admissions.insert(*id, admission);
        }
        for Preemption { victim, preemptor, is_reclaim } in &decisions.preempted {
            let (Some(workload), Some(by)) = (by_id.get(victim), by_id.get(preemptor)) else {
                continue;
            };
            let Some(admission) = self.admissions.get_mut(victim) else { continue };
            if std::mem::replace(&mut admission.is_evicted, true) {
                continue;
            }
            let reason = if *is_reclaim {
                "reclamation within the cohort"
            } else {
                "prioritization in the ClusterQueue"
            };
            for (id, job) in &workload.jobs {
                let written = self.written.get(id).cloned();
                let restore = |spec: &mut JobSpec| {
                    if let Some(written) = written {
                        spec.parallelism = written.parallelism;
                        spec.completions = written.completions;
                    }
                };
                actions.push(suspended(view, *id, job, true, restore));
            }
            for (id, pod) in workload.pods.iter().filter(|(_, pod)| !pod.is_terminating()) {
                if !is_gated(view, pod) {
                    actions.push(Action::DeletePod(*id, PodDeletion::default()));
                }
            }
            let by = &by.title;
            let message = format!("Preempted to accommodate a workload ({by}) due to {reason}");
            actions.push(event(&workload.object, "Stopped", message));
        }
    }

    /// Starts a Job of an admitted workload, on the nodes of its flavors.
    fn start(
        &mut self,
        view: ClusterView<'_>,
        setup: &Setup<'_>,
        (id, job): (JobId, &Job),
        assignment: &Assignment,
        actions: &mut Actions,
    ) {
        let pods = &job.spec.template.spec;
        let written = self.written.entry(id).or_insert_with(|| Written {
            selector: pods.node_selector.clone(),
            tolerations: pods.tolerations.clone(),
            parallelism: job.spec.parallelism,
            completions: job.spec.completions,
        });
        let set = job.meta.labels.get(cluster::kueue::REPLICATED_JOB_LABEL);
        let flavors = set.and_then(|set| assignment.flavors.get(set));
        let flavors = flavors.or_else(|| assignment.flavors.values().next());
        let flavors = chosen(setup, flavors);
        let follows = completions_follow(job);
        let start = |spec: &mut JobSpec| {
            place(spec, (&written.selector, &written.tolerations), &flavors);
            if let Some(count) = assignment.count.and_then(|count| i32::try_from(count).ok()) {
                spec.parallelism = count;
                if follows {
                    spec.completions = Some(count);
                }
            }
        };
        actions.push(suspended(view, id, job, false, start));
    }

    /// Writes how many workloads wait in each queue, and how many are admitted.
    fn count(
        &self,
        view: ClusterView<'_>,
        by_id: &BTreeMap<WorkloadId, &Workload<'_>>,
        waiting: &[(WorkloadId, Name)],
        decisions: &Decisions,
        actions: &mut Actions,
    ) {
        let store = view.store();
        let is_waiting = |id: &WorkloadId| decisions.admitted.iter().all(|(one, ..)| one != id);
        let waiting: Vec<&(WorkloadId, Name)> =
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
            let is_in = |id: &WorkloadId| {
                by_id.get(id).is_some_and(|one| {
                    one.namespace() == queue.meta.namespace() && one.queue == *queue.meta.name()
                })
            };
            let status = QueueStatus {
                pending: number(waiting.iter().filter(|(one, _)| is_in(one)).count()),
                admitted: number(self.admissions.keys().filter(|one| is_in(one)).count()),
            };
            if status != queue.status {
                actions.push(Action::status::<LocalQueue, _>(id, status));
            }
        }
    }
}

/// Whether an evicted workload has stopped.
fn has_ended(view: ClusterView<'_>, one: &Workload<'_>) -> bool {
    one.jobs.iter().all(|(_, job)| job.spec.suspend && job.status.active == 0)
        && one.pods.iter().all(|(_, pod)| is_gated(view, pod))
}

fn is_gated(view: ClusterView<'_>, pod: &Pod) -> bool {
    view.template_of(pod).spec.scheduling_gates.iter().any(|gate| **gate == *ADMISSION_GATE)
}

/// The flavors of a set of pods, each once.
fn chosen<'a>(
    setup: &Setup<'a>,
    flavors: Option<&BTreeMap<Name, Name>>,
) -> Vec<&'a ResourceFlavorSpec> {
    let names: BTreeSet<&Name> = flavors.into_iter().flat_map(BTreeMap::values).collect();
    names.into_iter().filter_map(|name| setup.flavors.get(name)).copied().collect()
}

/// Takes the gates off the pods of an admitted workload.
fn admit_pods(
    view: ClusterView<'_>,
    setup: &Setup<'_>,
    one: &Workload<'_>,
    flavors: &BTreeMap<Name, BTreeMap<Name, Name>>,
    actions: &mut Actions,
) {
    let flavors = chosen(setup, flavors.values().next());
    for (id, _) in one.pods.iter().filter(|(_, pod)| is_gated(view, pod)) {
        let labels = flavors.iter().flat_map(|flavor| flavor.node_labels.iter());
        let labels: Labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
        let tolerations = flavors.iter().flat_map(|flavor| flavor.tolerations.clone()).collect();
        actions.push(Action::AdmitPod(*id, Box::new((labels, tolerations))));
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

/// A waiting workload, or why its queue does not take it.
fn pending_of<'a>(
    view: ClusterView<'a>,
    setup: &Setup<'_>,
    one: &Workload<'a>,
) -> Result<Pending<'a>, String> {
    let namespace = one.namespace();
    let named = &one.queue;
    let local = NamespacedName::new(namespace.clone(), named.clone());
    let Some(local) = view.store().find::<LocalQueue>(&local) else {
        return Err(format!("LocalQueue {named} doesn't exist"));
    };
    let queue = local.spec.cluster_queue.clone();
    let Some(spec) = setup.queues.get(&queue) else {
        return Err(format!("ClusterQueue {queue} doesn't exist"));
    };
    if local.spec.is_stopped || spec.is_stopped {
        return Err("its queue is stopped (stopPolicy)".to_owned());
    }
    let labels = view.store().namespace(namespace).map_or_else(
        || [("kubernetes.io/metadata.name", namespace.clone())].into_iter().collect(),
        |one| one.meta.labels.clone(),
    );
    if !spec.namespaces.as_ref().is_some_and(|selector| selector.matches(&labels)) {
        return Err(format!("Workload namespace doesn't match ClusterQueue {queue} selector"));
    }
    if one.missing > 0 {
        return Err(format!("waits for {} more pods of its group", one.missing));
    }
    Ok(Pending {
        id: one.id,
        priority: one.priority(view),
        created: one.created,
        pod_sets: one.pod_sets.clone(),
        counts_pods: counts_pods(setup, &queue),
        least: one.least,
        queue,
    })
}

/// Whether a queue has a quota of pods.
fn counts_pods(setup: &Setup<'_>, queue: &Name) -> bool {
    setup.queues.get(queue).is_some_and(|spec| {
        spec.groups.iter().any(|group| group.resources.iter().any(|one| **one == *PODS))
    })
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

/// The update that suspends or starts a Job. One that starts after others stays suspended until its turn comes, for which
/// it is held while it is not admitted.
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
    let waits_for_others = meta.annotations.contains_key(STARTS_AFTER);
    if waits_for_others && is_suspended {
        meta.annotations = meta.annotations.with(HELD, "");
    } else if waits_for_others {
        let others = meta.annotations.iter().filter(|(key, _)| ***key != *HELD);
        meta.annotations = others.map(|(key, value)| (key.clone(), value.clone())).collect();
    }
    if let AnySpec::Job(draft) = &mut spec {
        draft.spec.suspend = is_suspended || waits_for_others;
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
        for (field, value) in [("nodeSelector", &selector), ("tolerations", &tolerations)] {
            let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty)
                || value.as_array().is_some_and(Vec::is_empty);
            if !is_empty {
                pods[field] = value.clone();
            }
        }
    };
    if let Some(document) = &mut meta.document {
        let document = Arc::make_mut(document);
        let written = &mut document.object["spec"];
        written["suspend"] = spec.suspend.into();
        written["parallelism"] = spec.parallelism.into();
        if let Some(completions) = spec.completions {
            written["completions"] = completions.into();
        }
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

fn event((kind, object): &(Kind, NamespacedName), reason: &'static str, message: String) -> Action {
    let object = object.clone();
    Action::Event(Box::new(Event { kind: *kind, object, is_warning: false, reason, message }))
}
