//! `kubectl describe` of workloads other than Deployments, and of what they refer to.

use super::age::{age, human};
use super::columns::NONE;
use super::describe::Page;
use super::get::{amount_text, label_text};
use super::get_workloads::{completions, job_status};
use cluster::controller_revision::Revision;
use cluster::daemon_set::DaemonSetUpdate;
use cluster::pod::{Owner, PodPhase};
use cluster::pod_template::ReferenceKind;
use cluster::policy::Budget;
use cluster::stateful_set::StatefulSetUpdate;
use cluster::{ClusterView, ObjectMeta, ObjectReference};

fn head(view: ClusterView<'_>, meta: &ObjectMeta, page: &mut Page) {
    page.field("Name", meta.name());
    page.field("Namespace", meta.namespace());
    page.field("Age", age(view.now, meta.created));
    page.labels("Labels", &meta.labels);
}

/// How many pods of an owner are in which phase.
fn pods_status(view: ClusterView<'_>, owner: Owner, page: &mut Page) {
    let count = |phase: PodPhase| {
        let pods = view.store().pods_of(owner);
        pods.filter(|(_, pod)| pod.phase == phase).count()
    };
    let [running, waiting, succeeded, failed] =
        [PodPhase::Running, PodPhase::Pending, PodPhase::Succeeded, PodPhase::Failed].map(count);
    page.field(
        "Pods Status",
        format!("{running} Running / {waiting} Waiting / {succeeded} Succeeded / {failed} Failed"),
    );
}

fn revisions(history: &[Revision], page: &mut Page) {
    page.section("Revisions");
    for revision in history {
        let containers = &revision.template.spec.containers;
        let images: Vec<&str> = containers.iter().map(|one| &*one.image).collect();
        page.line(&format!("{}: {} ({})", revision.number, images.join(","), revision.hash));
    }
}

pub(super) fn stateful_set(
    view: ClusterView<'_>,
    object: &ObjectReference,
    page: &mut Page,
) -> Option<()> {
    let id = view.stateful_set_named(&object.id)?;
    let set = view.stateful_sets().get(id)?;
    let (spec, status) = (&set.spec, &set.status);
    head(view, &set.meta, page);
    page.field("Selector", label_text(&spec.selector));
    page.field("Replicas", format!("{} desired | {} total", spec.replicas, status.replicas));
    page.field("Pod Management", if spec.is_parallel { "Parallel" } else { "OrderedReady" });
    match spec.update {
        StatefulSetUpdate::OnDelete => page.field("Update Strategy", "OnDelete"),
        StatefulSetUpdate::RollingUpdate { partition } => {
            page.field("Update Strategy", "RollingUpdate");
            page.field("  Partition", partition);
        }
    }
    page.field(
        "Updated",
        format!(
            "{} updated | {} ready | {} available",
            status.updated_replicas, status.ready_replicas, status.available_replicas
        ),
    );
    pods_status(view, Owner::StatefulSet(id), page);
    page.template(&spec.template);
    let claims: Vec<&str> = spec.claim_templates.iter().map(|claim| &*claim.name).collect();
    page.field(
        "Volume Claims",
        if claims.is_empty() { NONE.to_owned() } else { claims.join(", ") },
    );
    revisions(&set.revisions, page);
    Some(())
}

pub(super) fn daemon_set(
    view: ClusterView<'_>,
    object: &ObjectReference,
    page: &mut Page,
) -> Option<()> {
    let id = view.daemon_set_named(&object.id)?;
    let set = view.daemon_sets().get(id)?;
    let status = &set.status;
    head(view, &set.meta, page);
    page.field("Selector", label_text(&set.spec.selector));
    page.field("Desired Number of Nodes Scheduled", status.desired_number_scheduled);
    page.field("Current Number of Nodes Scheduled", status.current_number_scheduled);
    page.field("Number of Nodes Scheduled with Up-to-date Pods", status.updated_number_scheduled);
    page.field("Number of Nodes Scheduled with Available Pods", status.number_available);
    page.field("Number of Nodes Misscheduled", status.number_misscheduled);
    let strategy = match set.spec.update {
        DaemonSetUpdate::OnDelete => "OnDelete",
        DaemonSetUpdate::RollingUpdate { .. } => "RollingUpdate",
    };
    page.field("Update Strategy", strategy);
    pods_status(view, Owner::DaemonSet(id), page);
    page.template(&set.spec.template);
    revisions(&set.revisions, page);
    Some(())
}

pub(super) fn job(view: ClusterView<'_>, object: &ObjectReference, page: &mut Page) -> Option<()> {
    let id = view.job_named(&object.id)?;
    let job = view.jobs().get(id)?;
    let (spec, status) = (&job.spec, &job.status);
    head(view, &job.meta, page);
    if let Some(owner) = job.owner.and_then(|owner| view.cron_jobs().get(owner)) {
        page.field("Controlled By", format!("CronJob/{}", owner.meta.name()));
    }
    page.field("Status", job_status(job));
    page.field("Parallelism", spec.parallelism);
    page.field("Completions", completions(job));
    page.field("Completion Mode", if spec.is_indexed { "Indexed" } else { "NonIndexed" });
    page.field("Suspend", spec.suspend);
    page.field("Backoff Limit", spec.backoff_limit);
    if let Some(seconds) = spec.active_deadline_seconds {
        page.field("Active Deadline Seconds", format!("{seconds}s"));
    }
    if let Some(start) = status.start_time {
        page.field("Started", format!("{} ago", age(view.now, start)));
        if let Some(end) = status.completion_time {
            page.field("Duration", human(end - start));
        }
    }
    let [active, ready] = [status.active, status.ready];
    let [succeeded, failed] = [status.succeeded, status.failed];
    page.field(
        "Pods Statuses",
        format!("{active} Active ({ready} Ready) / {succeeded} Succeeded / {failed} Failed"),
    );
    page.template(&spec.template);
    page.conditions(&status.conditions);
    Some(())
}

pub(super) fn cron_job(
    view: ClusterView<'_>,
    object: &ObjectReference,
    page: &mut Page,
) -> Option<()> {
    let cron_job = view.cron_jobs().get(view.cron_job_named(&object.id)?)?;
    let (spec, status) = (&cron_job.spec, &cron_job.status);
    head(view, &cron_job.meta, page);
    page.field("Schedule", &spec.schedule);
    page.field("Time Zone", spec.time_zone.as_deref().unwrap_or("<unset>"));
    page.field("Concurrency Policy", format!("{:?}", spec.concurrency_policy));
    page.field("Suspend", spec.suspend);
    page.field("Successful Job History Limit", spec.successful_history_limit);
    page.field("Failed Job History Limit", spec.failed_history_limit);
    let deadline = spec.starting_deadline_seconds.map(|seconds| format!("{seconds}s"));
    page.field("Starting Deadline Seconds", deadline.as_deref().unwrap_or("<unset>"));
    page.template(&spec.job_template.spec.template);
    let last = status.last_schedule_time.map(|at| format!("{} ago", age(view.now, at)));
    page.field("Last Schedule Time", last.as_deref().unwrap_or("<unset>"));
    let active: Vec<String> = status
        .active
        .iter()
        .filter_map(|job| Some(view.jobs().get(*job)?.meta.name().to_string()))
        .collect();
    page.field("Active Jobs", if active.is_empty() { NONE.to_owned() } else { active.join(", ") });
    Some(())
}

pub(super) fn config(
    view: ClusterView<'_>,
    object: &ObjectReference,
    kind: ReferenceKind,
    page: &mut Page,
) -> Option<()> {
    let mut configs = view.store().configs();
    let (_, _, config) = configs.find(|(of, id, _)| *of == kind && **id == object.id)?;
    page.field("Name", &object.id.name);
    page.field("Namespace", &object.id.namespace);
    page.field("Age", age(view.now, config.created));
    if kind == ReferenceKind::Secret {
        page.field("Type", &config.content.secret_type);
    }
    page.section("Keys");
    config.content.keys.iter().for_each(|key| page.line(key));
    Some(())
}

pub(super) fn replica_set(
    view: ClusterView<'_>,
    object: &ObjectReference,
    page: &mut Page,
) -> Option<()> {
    let mut sets = view.store().replica_sets().iter();
    let (id, set) = sets.find(|(_, set)| set.meta.id == object.id)?;
    head(view, &set.meta, page);
    if let Some(owner) = set.owner.and_then(|owner| view.deployments().get(owner)) {
        page.field("Controlled By", format!("Deployment/{}", owner.meta.name()));
    }
    page.field("Selector", label_text(&set.selector));
    page.field("Replicas", format!("{} current / {} desired", set.status.replicas, set.replicas));
    pods_status(view, Owner::ReplicaSet(id), page);
    if let Some(template) = view.templates().get(set.template) {
        page.template(template);
    }
    Some(())
}

pub(super) fn disruption_budget(
    view: ClusterView<'_>,
    object: &ObjectReference,
    page: &mut Page,
) -> Option<()> {
    let mut budgets = view.store().disruption_budgets().values();
    let budget = budgets.find(|budget| budget.meta.id == object.id)?;
    page.field("Name", budget.meta.name());
    page.field("Namespace", budget.meta.namespace());
    page.field("Age", age(view.now, budget.meta.created));
    match &budget.budget {
        Budget::MinAvailable(value) => page.field("Min available", amount_text(*value)),
        Budget::MaxUnavailable(value) => page.field("Max unavailable", amount_text(*value)),
    }
    let selector = budget.selector.as_ref().map_or_else(|| "<unset>".to_owned(), label_text);
    page.field("Selector", selector);
    let status = &budget.status;
    page.section("Status");
    for (name, pods) in [
        ("Allowed disruptions", status.disruptions_allowed),
        ("Current", status.current_healthy),
        ("Desired", status.desired_healthy),
        ("Total", status.expected_pods),
    ] {
        page.field(&format!("    {name}"), pods);
    }
    Some(())
}

pub(super) fn claim(
    view: ClusterView<'_>,
    object: &ObjectReference,
    page: &mut Page,
) -> Option<()> {
    let claim = view.store().claim(&object.id)?;
    page.field("Name", &object.id.name);
    page.field("Namespace", &object.id.namespace);
    page.field("Age", age(view.now, claim.created));
    page.field("StorageClass", claim.spec.storage_class.as_deref().unwrap_or("<default>"));
    page.field("Status", claim.status());
    let storage = claim.spec.storage().filter(|_| claim.volume.is_some());
    page.field("Capacity", storage.map_or_else(String::new, |storage| storage.to_string()));
    page.field("Access Modes", super::get_workloads::access_modes(claim));
    page.field("Zone", claim.zone().map_or(NONE, |zone| &**zone));
    let refers = |pod: &cluster::pod::Pod| {
        view.template_of(pod).spec.claims().any(|name| *name == object.id.name)
    };
    let pods = view.store().pods_in(&object.id.namespace);
    let used: Vec<&str> =
        pods.filter(|(_, pod)| refers(pod)).map(|(_, pod)| &**pod.name()).collect();
    page.field("Used By", if used.is_empty() { NONE.to_owned() } else { used.join(", ") });
    Some(())
}

pub(super) fn quota(
    view: ClusterView<'_>,
    object: &ObjectReference,
    page: &mut Page,
) -> Option<()> {
    let quota = view.quotas().get(&object.id)?;
    page.field("Name", quota.meta.name());
    page.field("Namespace", quota.meta.namespace());
    let mut columns = super::columns::Columns::new(["Resource", "Used", "Hard"]);
    for one in view.store().quota_used(quota) {
        columns.row(vec![one.resource.to_string(), one.used.to_string(), one.hard.to_string()]);
    }
    columns.text().lines().for_each(|line| page.line(line));
    Some(())
}
