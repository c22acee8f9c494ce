//! What waits in the queues: a Job, a JobSet with all its Jobs, a pod, or a group of pods (Kueue's Workload objects).

use std::collections::BTreeMap;

use cluster::job::{Job, JobId};
use cluster::kueue::{
    EQUAL_COMPLETIONS, JOB_SET_LABEL, MIN_PARALLELISM, POD_GROUP_COUNT, POD_GROUP_LABEL,
    PRIORITY_LABEL, QUEUE_LABEL, REPLICATED_JOB_LABEL, WorkloadPriorityClass,
};
use cluster::pod::{Owner, Pod, PodId};
use cluster::pod_resources::pod_requests;
use cluster::pod_template::PodSpec;
use cluster::stateful_set::StatefulSetId;
use cluster::{ClusterView, Kind, Name, NamespacedName};
use engine::SimTime;

/// The resource that counts pods, where a ClusterQueue covers it.
pub(super) const PODS: &str = "pods";

/// Identifies what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadId {
    /// A Job.
    Job(JobId),
    /// A pod.
    Pod(PodId),
    /// A [`Group`], by its number.
    Group(u32),
}

/// Several Jobs or pods that are admitted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The Jobs of a JobSet.
    JobSet(NamespacedName),
    /// Pods with a group's name.
    PodGroup(NamespacedName),
    /// The pods of a StatefulSet.
    StatefulSet(StatefulSetId),
}

/// The numbers of groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(BTreeMap<Group, u32>);

impl Groups {
    fn number(&mut self, group: Group) -> WorkloadId {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        WorkloadId::Group(*self.0.entry(group).or_insert(next))
    }
}

/// Equal pods of a workload.
#[derive(Clone, Debug)]
pub struct PodSet<'a> {
    /// Its name: that of the replicated Job, or `main`.
    pub name: Name,
    /// Spec of its pods.
    pub pod: &'a PodSpec,
    /// Requests of one pod, thousandths of a unit, with the defaults that their namespace gives them
    /// (`AdjustResources`).
    pub each: BTreeMap<Name, i64>,
    /// Number of pods still to come or running.
    pub count: i64,
}

impl PodSet<'_> {
    /// Requests of a number of these pods together, thousandths of a unit.
    pub fn requests(&self, count: i64, counts_pods: bool) -> BTreeMap<Name, i64> {
        let together = |(resource, each): (&Name, &i64)| {
            let together = each.saturating_mul(count);
            (together > 0).then(|| (resource.clone(), together))
        };
        let mut requests: BTreeMap<Name, i64> = self.each.iter().filter_map(together).collect();
        if counts_pods {
            requests.insert(PODS.into(), count.saturating_mul(1_000));
        }
        requests
    }
}

/// A workload as its Jobs or pods are now.
#[derive(Clone, Debug)]
pub(super) struct Workload<'a> {
    pub(super) id: WorkloadId,
    /// How explanations name it: kind, namespace and name.
    pub(super) label: String,
    /// How messages in its namespace name it.
    pub(super) title: String,
    /// Kind and name of the object that gets its Events.
    pub(super) object: (Kind, NamespacedName),
    /// The LocalQueue.
    pub(super) queue: Name,
    /// Its WorkloadPriorityClass, if it names one.
    priority_class: Option<Name>,
    /// When it was created, with a number that orders workloads of one instant.
    pub(super) created: (SimTime, u64),
    /// Its Jobs that have not ended.
    pub(super) jobs: Vec<(JobId, &'a Job)>,
    /// Its pods that have not ended.
    pub(super) pods: Vec<(PodId, &'a Pod)>,
    pub(super) pod_sets: Vec<PodSet<'a>>,
    /// The least number of pods with which it may be admitted, if fewer than all will do.
    pub(super) least: Option<i64>,
    /// Number of its pods that do not exist yet, of a group that waits for all.
    pub(super) missing: i64,
}

impl<'a> Workload<'a> {
    /// The priority of its WorkloadPriorityClass, or else of its pods.
    pub(super) fn priority(&self, view: ClusterView<'_>) -> i32 {
        let class = self.priority_class.as_ref().and_then(|name| {
            let id = NamespacedName::new("", name.clone());
            Some(view.store().find::<WorkloadPriorityClass>(&id)?.spec.value)
        });
        let of_pods = || self.pod_sets.iter().filter_map(|set| set.pod.priority).max();
        class.or_else(of_pods).unwrap_or_default()
    }

    fn of_jobs(
        view: ClusterView<'a>,
        id: WorkloadId,
        jobs: Vec<(JobId, &'a Job)>,
        set: Option<&NamespacedName>,
    ) -> Self {
        let (_, first) = jobs[0];
        let mut pod_sets: Vec<PodSet<'a>> = Vec::new();
        for (_, job) in &jobs {
            let name = job.meta.labels.get(REPLICATED_JOB_LABEL).filter(|_| set.is_some());
            let name = name.cloned().unwrap_or_else(|| "main".into());
            let count = pods_to_come(job);
            if let Some(known) = pod_sets.iter_mut().find(|known| known.name == name) {
                known.count += count;
                continue;
            }
            let pod = &job.spec.template.spec;
            let each = requests_of(view, job.meta.namespace(), pod);
            pod_sets.push(PodSet { name, pod, each, count });
        }
        let created = jobs.iter().map(|(_, job)| (job.meta.created, job.meta.sequence)).min();
        let (label, title) = match set {
            Some(set) => (format!("JobSet/{set}"), format!("JobSet {}", set.name)),
            None => (format!("Job/{}", first.meta.id), format!("Job {}", first.meta.name())),
        };
        let least = first.meta.annotations.get(MIN_PARALLELISM).filter(|_| set.is_none());
        let least = least.and_then(|text| text.parse().ok()).filter(|least| *least > 0);
        Self {
            id,
            label,
            title,
            object: (Kind::Job, first.meta.id.clone()),
            queue: first.meta.labels.get(QUEUE_LABEL).cloned().unwrap_or_default(),
            priority_class: first.meta.labels.get(PRIORITY_LABEL).cloned(),
            created: created.unwrap_or_default(),
            jobs,
            pods: Vec::new(),
            pod_sets,
            least,
            missing: 0,
        }
    }

    fn of_pods(
        view: ClusterView<'a>,
        id: WorkloadId,
        group: Option<&Group>,
        members: &[(PodId, &'a Pod)],
    ) -> Option<Self> {
        let (_, first) = *members.first()?;
        let template = view.store().template_of(first);
        let set = match group {
            Some(Group::StatefulSet(id)) => view.store().stateful_sets().get(*id),
            _ => None,
        };
        let total = match group {
            None => 1,
            Some(Group::StatefulSet(_)) => i64::from(set?.spec.replicas),
            Some(_) => {
                let total = template.annotations.get(POD_GROUP_COUNT);
                total.and_then(|text| text.parse().ok()).unwrap_or(1)
            }
        };
        let ended = |(_, pod): &&(PodId, &Pod)| pod.phase.is_terminal();
        let done = i64::try_from(members.iter().filter(ended).count()).unwrap_or(i64::MAX);
        let there = i64::try_from(members.len()).unwrap_or(i64::MAX);
        let (name, title) = match group {
            None => (format!("Pod/{}", first.id), format!("Pod {}", first.name())),
            Some(Group::StatefulSet(_)) => {
                let set = &set?.meta.id;
                (format!("StatefulSet/{set}"), format!("StatefulSet {}", set.name))
            }
            Some(Group::PodGroup(name) | Group::JobSet(name)) => {
                (format!("pod group {name}"), format!("pod group {}", name.name))
            }
        };
        // The pods of a StatefulSet come one after the other: its group does not wait for all.
        let waits_for_all = matches!(group, Some(Group::PodGroup(_)));
        Some(Self {
            id,
            label: name,
            title,
            object: (Kind::Pod, first.id.clone()),
            queue: view.store().queue_of_pod(first.owner, &template.labels)?,
            priority_class: view.store().kueue_label(first.owner, &template.labels, PRIORITY_LABEL),
            created: (first.created, first.sequence),
            jobs: Vec::new(),
            pods: members.iter().filter(|one| !ended(one)).copied().collect(),
            pod_sets: vec![PodSet {
                name: "main".into(),
                pod: &template.spec,
                each: requests_of(view, &first.id.namespace, &template.spec),
                count: (total - done).max(0),
            }],
            least: None,
            missing: if waits_for_all { (total - there).max(0) } else { 0 },
        })
    }

    /// The namespace of its objects.
    pub(super) const fn namespace(&self) -> &Name {
        &self.object.1.namespace
    }
}

/// Pods of a Job that are still to come or running.
pub(super) fn pods_to_come(job: &Job) -> i64 {
    let spec = &job.spec;
    // Without completions the first that succeeds ends the Job: no more pods follow (`ReclaimablePods`).
    let completions = spec.completions.unwrap_or(spec.parallelism);
    let to_come = spec.parallelism.min(completions.saturating_sub(job.status.succeeded));
    i64::from(to_come.max(0))
}

/// Whether the completions of a Job follow its parallelism.
pub(super) fn completions_follow(job: &Job) -> bool {
    job.meta.annotations.get(EQUAL_COMPLETIONS).is_some_and(|text| **text == *"true")
}

/// Requests of a pod of this spec, thousandths of a unit.
fn requests_of(view: ClusterView<'_>, namespace: &Name, pod: &PodSpec) -> BTreeMap<Name, i64> {
    let defaulted = view.store().defaulted_by_limit_ranges(namespace, pod);
    let requests = pod_requests(defaulted.as_ref().unwrap_or(pod));
    requests.iter().map(|(resource, amount)| (resource.clone(), amount.milli_value())).collect()
}

/// All workloads with a queue that have not ended: Jobs and JobSets, and what these pods belong to.
pub(super) fn workloads<'a>(
    view: ClusterView<'a>,
    groups: &mut Groups,
    pods: impl Iterator<Item = PodId>,
) -> Vec<Workload<'a>> {
    let mut sets: BTreeMap<NamespacedName, Vec<(JobId, &Job)>> = BTreeMap::new();
    let mut found = Vec::new();
    for (id, job) in view.store().jobs().iter() {
        if !job.meta.labels.contains_key(QUEUE_LABEL) || job.status.finished().is_some() {
            continue;
        }
        match job.meta.labels.get(JOB_SET_LABEL) {
            Some(set) => {
                let set = NamespacedName::new(job.meta.namespace().clone(), set.clone());
                sets.entry(set).or_default().push((id, job));
            }
            None => found.push(Workload::of_jobs(view, WorkloadId::Job(id), vec![(id, job)], None)),
        }
    }
    for (name, jobs) in sets {
        let id = groups.number(Group::JobSet(name.clone()));
        found.push(Workload::of_jobs(view, id, jobs, Some(&name)));
    }
    let mut grouped: BTreeMap<Group, Vec<(PodId, &Pod)>> = BTreeMap::new();
    for id in pods {
        let Some(pod) = view.store().pods().get(id) else { continue };
        match group_of(view, pod) {
            Some(group) => grouped.entry(group).or_default().push((id, pod)),
            None if pod.phase.is_terminal() => {}
            None => found.extend(Workload::of_pods(view, WorkloadId::Pod(id), None, &[(id, pod)])),
        }
    }
    for (group, pods) in grouped {
        let id = groups.number(group.clone());
        let workload = Workload::of_pods(view, id, Some(&group), &pods);
        found.extend(workload.filter(|one| one.pod_sets[0].count > 0 || !one.pods.is_empty()));
    }
    found
}

/// The group with which a pod is admitted.
fn group_of(view: ClusterView<'_>, pod: &Pod) -> Option<Group> {
    if let Some(Owner::StatefulSet(set)) = pod.owner {
        return Some(Group::StatefulSet(set));
    }
    let name = view.template_of(pod).labels.get(POD_GROUP_LABEL)?;
    Some(Group::PodGroup(NamespacedName::new(pod.id.namespace.clone(), name.clone())))
}
