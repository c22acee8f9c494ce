//! One look at all workloads with a queue: releases, admissions, evictions.

use std::collections::{BTreeMap, BTreeSet};

use super::cycle::{Admitted, Decisions, Pending, Setup, run};
use super::flavors::Assignment;
use super::preemption::Preemption;
use super::quota::Usage;
use super::workload::{PODS, Workload, WorkloadId, completions_follow, workloads};
use super::writes::{event, place, started, suspended};
use super::{Admission, KueueController, Written};
use crate::Actions;
use cluster::action::PodDeletion;
use cluster::job::{Job, JobId, JobSpec};
use cluster::kueue::{ADMISSION_GATE, ClusterQueue, LocalQueue, QueueStatus, ResourceFlavorSpec};
use cluster::pod::Pod;
use cluster::starts_after::STARTS_AFTER;
use cluster::{Action, ClusterView, Labels, Name, NamespacedName};

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
                if !admission.is_evicted {
                    // Pods that a StatefulSet or a group creates later come with the admission.
                    admit_pods(view, &setup, one, &admission.flavors, actions);
                    start_again(view, one, &admission.queue, actions);
                }
                continue;
            }
            // Nobody but Kueue starts a Job.
            let running = one.jobs.iter().filter(|(_, job)| !job.spec.suspend);
            let running: Vec<&(JobId, &Job)> = running.collect();
            for (id, job) in &running {
                actions.push(suspended(view, *id, job, true, |_| {}));
            }
            if !running.is_empty() {
                continue;
            }
            if self.restores(view, one, actions) {
                waits.insert(one.id, "Preempted, its pod template is restored".to_owned());
                continue;
            }
            match pending_of(view, &setup, one) {
                Ok(one) => pending.push(one),
                Err(why) => _ = waits.insert(one.id, why),
            }
        }
        let admitted = self.admitted(view, &setup, &by_id);
        let mut waiting: Vec<(WorkloadId, Name)> =
            pending.iter().map(|one| (one.id, one.queue.clone())).collect();
        // Those that their queue does not take wait in it all the same.
        waiting.extend(waits.keys().filter_map(|id| Some((*id, queue_of(view, by_id[id])?))));
        let mut decisions = run(&setup, &admitted, pending);
        decisions.waits.append(&mut waits);
        self.carry_out(view, &setup, &by_id, &decisions, actions);
        self.count(view, &by_id, &waiting, &decisions, actions);
        let admitted = self.admitted(view, &setup, &by_id);
        self.remember(view, &setup, (&by_id, &admitted), &waiting, &decisions);
    }

    /// Gives the Jobs of a preempted workload back what was written, as its next flavors and number of pods may be others
    /// (`RestorePodSetsInfo`). It waits in its queue after that.
    fn restores(
        &mut self,
        view: ClusterView<'_>,
        one: &Workload<'_>,
        actions: &mut Actions,
    ) -> bool {
        let mut restores = false;
        for (id, job) in &one.jobs {
            let Some(written) = self.written.remove(id) else { continue };
            let pods = &job.spec.template.spec;
            let has_fewer = one.least.is_some() && job.spec.parallelism != written.parallelism;
            if pods.node_selector == written.selector
                && pods.tolerations == written.tolerations
                && !has_fewer
            {
                continue;
            }
            let restore = |spec: &mut JobSpec| {
                place(spec, (&written.selector, &written.tolerations), &[]);
                if has_fewer {
                    set_pods(spec, job, (written.parallelism, written.completions));
                }
            };
            actions.push(suspended(view, *id, job, true, restore));
            restores = true;
        }
        restores
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
                let wanted = set.requests(set.count, counts_pods(setup, &one.queue));
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
            actions.push(started(&workload.object, queue));
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
                actions.push(suspended(view, *id, job, true, |_| {}));
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
        let start = |spec: &mut JobSpec| {
            place(spec, (&written.selector, &written.tolerations), &flavors);
            if let Some(count) = assignment.count.and_then(|count| i32::try_from(count).ok()) {
                set_pods(spec, job, (count, Some(count)));
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
        // A group that lacks pods is no workload yet.
        let is_waiting = |id: &WorkloadId| {
            by_id.get(id).is_some_and(|one| one.missing == 0)
                && decisions.admitted.iter().all(|(one, ..)| one != id)
        };
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

/// Starts an admitted Job again that a user suspended. Those of a JobSet and those after others start in their order.
fn start_again(view: ClusterView<'_>, one: &Workload<'_>, queue: &Name, actions: &mut Actions) {
    let WorkloadId::Job(id) = one.id else { return };
    for (_, job) in &one.jobs {
        let waits_for_others = job.meta.annotations.contains_key(STARTS_AFTER);
        if job.spec.suspend && !waits_for_others {
            actions.push(suspended(view, id, job, false, |_| {}));
            actions.push(started(&one.object, queue));
        }
    }
}

/// Sets the number of pods of a Job, and its completions if they follow it.
fn set_pods(spec: &mut JobSpec, job: &Job, (parallelism, completions): (i32, Option<i32>)) {
    spec.parallelism = parallelism;
    if completions_follow(job) {
        spec.completions = completions;
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

/// The ClusterQueue of a workload, if its LocalQueue exists.
fn queue_of(view: ClusterView<'_>, one: &Workload<'_>) -> Option<Name> {
    let local = NamespacedName::new(one.namespace().clone(), one.queue.clone());
    Some(view.store().find::<LocalQueue>(&local)?.spec.cluster_queue.clone())
}

/// Whether a queue has a quota of pods.
fn counts_pods(setup: &Setup<'_>, queue: &Name) -> bool {
    setup.queues.get(queue).is_some_and(|spec| {
        spec.groups.iter().any(|group| group.resources.iter().any(|one| **one == *PODS))
    })
}
