//! `kubectl describe` of Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs.

use super::age::human;
use super::columns::NONE;
use super::describe::{labels, names, workload_conditions};
use super::get::{Snapshot, label_text};
use super::page::{Page, line};
use super::rows::{amount_text, job_selector, labels_text, title_case};
use super::template::pod_template;
use cluster::ObjectId;
use cluster::assigned::uid_text;
use cluster::daemon_set::DaemonSet;
use cluster::deployment::{Deployment, DeploymentId, DeploymentStrategy};
use cluster::job::{JOB_LABELS, Job};
use cluster::pod::{Owner, PodPhase};
use cluster::pod_template::PodTemplate;
use cluster::replica_set::ReplicaSet;
use cluster::stateful_set::StatefulSetUpdate;
use cluster::{Kind, Labels, Name, NamespacedName};

const REVISION: &str = "deployment.kubernetes.io/revision";

pub(super) fn deployment(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let key = snapshot.view.named(id)?;
    let deployment = snapshot.view.store().deployments().get(key)?;
    let (meta, spec, status) = (&deployment.meta, &deployment.spec, &deployment.status);
    names(id, page);
    line!(page, 0, "CreationTimestamp:\t{}", snapshot.date(meta.created));
    page.labels("Labels", &meta.labels);
    let revision = snapshot.view.store().replica_sets_of(key).map(|(_, set)| set.revision).max();
    let annotations = match revision {
        Some(revision) => meta.annotations.with(REVISION, revision.to_string()),
        None => meta.annotations.clone(),
    };
    page.annotations("Annotations", &annotations);
    line!(page, 0, "Selector:\t{}", label_text(&spec.selector));
    line!(
        page,
        0,
        "Replicas:\t{} desired | {} updated | {} total | {} available | {} unavailable",
        spec.replicas,
        status.updated_replicas,
        status.replicas,
        status.available_replicas,
        status.unavailable_replicas
    );
    match &spec.strategy {
        DeploymentStrategy::Recreate => {
            line!(page, 0, "StrategyType:\tRecreate");
            line!(page, 0, "MinReadySeconds:\t{}", spec.min_ready_seconds);
        }
        DeploymentStrategy::RollingUpdate { max_surge, max_unavailable } => {
            line!(page, 0, "StrategyType:\tRollingUpdate");
            line!(page, 0, "MinReadySeconds:\t{}", spec.min_ready_seconds);
            let (unavailable, surge) = (amount_text(*max_unavailable), amount_text(*max_surge));
            let text = format!("{unavailable} max unavailable, {surge} max surge");
            line!(page, 0, "RollingUpdateStrategy:\t{text}");
        }
    }
    pod_template(&spec.template, page);
    workload_conditions(&status.conditions, page);
    replica_sets(snapshot, key, deployment, page);
    Some(())
}

/// The ReplicaSet of the current template, and the old ones, oldest first.
fn replica_sets(
    snapshot: Snapshot<'_>,
    key: DeploymentId,
    deployment: &Deployment,
    page: &mut Page,
) {
    let store = snapshot.view.store();
    let mut all: Vec<&ReplicaSet> = store.replica_sets_of(key).map(|(_, set)| set).collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|set| (set.meta.created, set.meta.sequence));
    let is_new = |set: &ReplicaSet| {
        let template = store.templates().get(set.template);
        template.is_some_and(|template| deployment.spec.template.equals_ignoring_hash(template))
    };
    let text = |is_wanted: &dyn Fn(&ReplicaSet) -> bool| {
        let sets = all.iter().filter(|set| is_wanted(set)).map(|set| {
            let (created, wanted) = (set.status.replicas, set.replicas);
            format!("{} ({created}/{wanted} replicas created)", set.meta.name())
        });
        let sets: Vec<String> = sets.collect();
        if sets.is_empty() { NONE.to_owned() } else { sets.join(", ") }
    };
    line!(page, 0, "OldReplicaSets:\t{}", text(&|set| !is_new(set)));
    line!(page, 0, "NewReplicaSet:\t{}", text(&is_new));
}

pub(super) fn replica_set(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let store = snapshot.view.store();
    let (key, set) = store.replica_sets().iter().find(|(_, set)| set.meta.id == *id)?;
    names(id, page);
    line!(page, 0, "Selector:\t{}", label_text(&set.selector));
    page.labels("Labels", &set.meta.labels);
    let added = [
        ("deployment.kubernetes.io/desired-replicas", set.desired_replicas.map(i64::from)),
        ("deployment.kubernetes.io/max-replicas", set.max_replicas.map(i64::from)),
        (REVISION, set.owner.map(|_| set.revision)),
    ];
    let added = added.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let annotations = added
        .fold(set.meta.annotations.clone(), |all, (name, value)| all.with(name, value.to_string()));
    page.annotations("Annotations", &annotations);
    if let Some(owner) = set.owner.map(ObjectId::from)
        && let Some(name) = store.name_of(owner)
    {
        line!(page, 0, "Controlled By:\t{}/{}", owner.kind().name(), name.name);
    }
    let (current, desired) = (set.status.replicas, set.replicas);
    line!(page, 0, "Replicas:\t{current} current / {desired} desired");
    pods_status(snapshot, Owner::ReplicaSet(key), page);
    if let Some(template) = store.templates().get(set.template) {
        pod_template(template, page);
    }
    workload_conditions(&set.status.conditions, page);
    Some(())
}

/// Number of an owner's pods by phase (`getPodStatusForController`).
fn pods_status(snapshot: Snapshot<'_>, owner: Owner, page: &mut Page) {
    let count = |phase: PodPhase| {
        let pods = snapshot.view.store().pods_of(owner);
        pods.filter(|(_, pod)| pod.phase == phase).count()
    };
    let [running, waiting, succeeded, failed] =
        [PodPhase::Running, PodPhase::Pending, PodPhase::Succeeded, PodPhase::Failed].map(count);
    line!(
        page,
        0,
        "Pods Status:\t{running} Running / {waiting} Waiting / {succeeded} Succeeded / {failed} Failed"
    );
}

pub(super) fn stateful_set(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let key = snapshot.view.named(id)?;
    let set = snapshot.view.store().stateful_sets().get(key)?;
    let spec = &set.spec;
    names(id, page);
    line!(page, 0, "CreationTimestamp:\t{}", snapshot.date(set.meta.created));
    line!(page, 0, "Selector:\t{}", label_text(&spec.selector));
    labels(&set.meta, page);
    line!(page, 0, "Replicas:\t{} desired | {} total", spec.replicas, set.status.replicas);
    match spec.update {
        StatefulSetUpdate::RollingUpdate { partition } => {
            line!(page, 0, "Update Strategy:\tRollingUpdate");
            line!(page, 1, "Partition:\t{partition}");
        }
        StatefulSetUpdate::OnDelete => line!(page, 0, "Update Strategy:\tOnDelete"),
    }
    pods_status(snapshot, Owner::StatefulSet(key), page);
    pod_template(&spec.template, page);
    if spec.claim_templates.is_empty() {
        line!(page, 0, "Volume Claims:\t<none>");
    } else {
        line!(page, 0, "Volume Claims:");
    }
    for claim in &spec.claim_templates {
        line!(page, 1, "Name:\t{}", claim.name);
        line!(page, 1, "StorageClass:\t{}", claim.spec.storage_class.as_deref().unwrap_or(""));
        line!(page, 1, "Labels:\t<none>");
        line!(page, 1, "Annotations:\t<none>");
        let storage = claim.spec.storage().map(|storage| storage.to_string());
        line!(page, 1, "Capacity:\t{}", storage.as_deref().unwrap_or("<default>"));
        let modes = cluster::claim::AccessMode::NAMED.iter();
        let modes = modes.filter(|(_, mode)| claim.spec.access_modes.contains(mode));
        let modes: Vec<&str> = modes.map(|(name, _)| *name).collect();
        line!(page, 1, "Access Modes:\t[{}]", modes.join(" "));
    }
    Some(())
}

pub(super) fn daemon_set(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let key = snapshot.view.named(id)?;
    let set: &DaemonSet = snapshot.view.store().daemon_sets().get(key)?;
    let (spec, status) = (&set.spec, &set.status);
    names(id, page);
    line!(page, 0, "Selector:\t{}", label_text(&spec.selector));
    line!(page, 0, "Node-Selector:\t{}", labels_text(&spec.template.spec.node_selector));
    page.labels("Labels", &set.meta.labels);
    // Each change of the template creates a revision.
    let generation = set.revisions.iter().map(|one| one.number).max().unwrap_or(1);
    let generation = generation.to_string();
    page.annotations(
        "Annotations",
        &set.meta.annotations.with("deprecated.daemonset.template.generation", generation),
    );
    for (title, number) in [
        ("Desired Number of Nodes Scheduled", status.desired_number_scheduled),
        ("Current Number of Nodes Scheduled", status.current_number_scheduled),
        ("Number of Nodes Scheduled with Up-to-date Pods", status.updated_number_scheduled),
        ("Number of Nodes Scheduled with Available Pods", status.number_available),
        ("Number of Nodes Misscheduled", status.number_misscheduled),
    ] {
        line!(page, 0, "{title}: {number}");
    }
    pods_status(snapshot, Owner::DaemonSet(key), page);
    pod_template(&spec.template, page);
    Some(())
}

/// The labels of a Job or its pods, including those that the API server adds.
fn tracked(job: &Job, labels: &Labels) -> Labels {
    let uid = Name::from(uid_text(job.meta.uid));
    let name = job.meta.name();
    let added = JOB_LABELS.into_iter().zip([&uid, name, &uid, name]);
    added.fold(labels.clone(), |all, (key, value)| all.with(key, value.clone()))
}

pub(super) fn job(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let store = snapshot.view.store();
    let key = snapshot.view.named(id)?;
    let job = store.jobs().get(key)?;
    let (spec, status) = (&job.spec, &job.status);
    names(id, page);
    line!(page, 0, "Selector:\t{}", job_selector(job));
    page.labels("Labels", &tracked(job, &job.meta.labels));
    page.annotations("Annotations", &job.meta.annotations);
    if let Some(owner) = job.owner.map(ObjectId::from)
        && let Some(id) = store.name_of(owner)
    {
        line!(page, 0, "Controlled By:\t{}/{}", owner.kind().name(), id.name);
    }
    line!(page, 0, "Parallelism:\t{}", spec.parallelism);
    match spec.completions {
        Some(completions) => line!(page, 0, "Completions:\t{completions}"),
        None => line!(page, 0, "Completions:\t<unset>"),
    }
    let mode = if spec.is_indexed { "Indexed" } else { "NonIndexed" };
    line!(page, 0, "Completion Mode:\t{mode}");
    line!(page, 0, "Suspend:\t{}", spec.suspend);
    line!(page, 0, "Backoff Limit:\t{}", spec.backoff_limit);
    if let Some(seconds) = spec.ttl_seconds_after_finished {
        line!(page, 0, "TTL Seconds After Finished:\t{seconds}");
    }
    if let Some(start) = status.start_time {
        line!(page, 0, "Start Time:\t{}", snapshot.date(start));
        if let Some(end) = status.completion_time {
            line!(page, 0, "Completed At:\t{}", snapshot.date(end));
            line!(page, 0, "Duration:\t{}", human(end - start));
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        line!(page, 0, "Active Deadline Seconds:\t{seconds}s");
    }
    let [active, ready] = [status.active, status.ready];
    let [succeeded, failed] = [status.succeeded, status.failed];
    line!(
        page,
        0,
        "Pods Statuses:\t{active} Active ({ready} Ready) / {succeeded} Succeeded / {failed} Failed"
    );
    if spec.is_indexed {
        let indexes = status.completed_indexes.to_string();
        let indexes = if indexes.is_empty() { NONE } else { &indexes };
        line!(page, 0, "Completed Indexes:\t{indexes}");
    }
    let template =
        PodTemplate { labels: tracked(job, &spec.template.labels), ..spec.template.clone() };
    pod_template(&template, page);
    Some(())
}

pub(super) fn cron_job(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let store = snapshot.view.store();
    let cron_job = store.cron_jobs().get(snapshot.view.named(id)?)?;
    let (spec, status) = (&cron_job.spec, &cron_job.status);
    let written = &snapshot.written(Kind::CronJob, id)["spec"]["jobTemplate"]["spec"];
    let or_unset = |text: Option<String>| text.unwrap_or_else(|| "<unset>".to_owned());
    names(id, page);
    labels(&cron_job.meta, page);
    line!(page, 0, "Schedule:\t{}", spec.schedule);
    line!(page, 0, "Concurrency Policy:\t{:?}", spec.concurrency_policy);
    line!(page, 0, "Suspend:\t{}", title_case(spec.suspend));
    line!(page, 0, "Time Zone:\t{}", spec.time_zone.as_deref().unwrap_or("<unset>"));
    line!(page, 0, "Successful Job History Limit:\t{}", spec.successful_history_limit);
    line!(page, 0, "Failed Job History Limit:\t{}", spec.failed_history_limit);
    let deadline = spec.starting_deadline_seconds.map(|seconds| format!("{seconds}s"));
    line!(page, 0, "Starting Deadline Seconds:\t{}", or_unset(deadline));
    line!(page, 0, "Selector:\t<unset>");
    let number = |field: &str| or_unset(written[field].as_i64().map(|number| number.to_string()));
    line!(page, 0, "Parallelism:\t{}", number("parallelism"));
    line!(page, 0, "Completions:\t{}", number("completions"));
    if let Some(seconds) = spec.job_template.spec.active_deadline_seconds {
        line!(page, 0, "Active Deadline Seconds:\t{seconds}s");
    }
    let template = &spec.job_template.spec.template;
    pod_template(template, page);
    let last = status.last_schedule_time.map(|at| snapshot.date(at));
    line!(page, 0, "Last Schedule Time:\t{}", or_unset(last));
    let active = status.active.iter();
    let active = active.filter_map(|job| Some(store.jobs().get(*job)?.meta.name().to_string()));
    let active: Vec<String> = active.collect();
    let active = if active.is_empty() { NONE.to_owned() } else { active.join(", ") };
    line!(page, 0, "Active Jobs:\t{active}");
    Some(())
}
