//! `kubectl rollout status` and `history` of Deployments, StatefulSets and DaemonSets, and the same of Argo Rollouts.

use std::fmt::Write as _;

use super::columns::NONE;
use super::get::Snapshot;
use super::page::Page;
use super::tabs::{OF_PAGES, align};
use super::template::pod_template;
use cluster::controller_revision::Revision;
use cluster::daemon_set::{DaemonSet, DaemonSetUpdate};
use cluster::deployment::Deployment;
use cluster::pod_template::PodTemplate;
use cluster::replica_set::SetOwner;
use cluster::rollout::{Rollout, RolloutPhase};
use cluster::stateful_set::{StatefulSet, StatefulSetUpdate};
use cluster::{ClusterView, Kind, Labels, ObjectReference};

/// Annotation shown as CHANGE-CAUSE.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// kubectl's message for other strategies (`polymorphichelpers.*StatusViewer`).
const ONLY_ROLLING: &str = "rollout status is only available for RollingUpdate strategy type";

/// Rollout status of a workload in kubectl's words, or the error with which kubectl gives up; `None` if it does not
/// exist, or its kind has no rollouts.
pub fn status(view: ClusterView<'_>, object: &ObjectReference) -> Option<Result<String, String>> {
    let id = &object.id;
    Some(match object.kind {
        Kind::Deployment => of_deployment(view.deployments().get(view.named(id)?)?),
        Kind::Rollout => of_rollout(view.rollouts().get(view.named(id)?)?),
        Kind::StatefulSet => of_stateful_set(view.stateful_sets().get(view.named(id)?)?),
        Kind::DaemonSet => of_daemon_set(view.daemon_sets().get(view.named(id)?)?),
        _ => return None,
    })
}

/// The revisions of a workload, oldest first, below its name; `None` if it does not exist, or its kind has no
/// rollouts.
pub fn history(snapshot: Snapshot<'_>, object: &ObjectReference) -> Option<String> {
    let mut lines = "REVISION\tCHANGE-CAUSE\n".to_owned();
    for (number, cause, _) in revisions(snapshot.view, object)? {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{number}\t{cause}");
    }
    let kind = object.kind.singular();
    Some(format!("{kind}/{} \n{}\n", object.id.name, align(&lines, OF_PAGES)))
}

/// The template of a revision of a workload; an error if there is no such revision.
pub fn revision(
    snapshot: Snapshot<'_>,
    object: &ObjectReference,
    number: i64,
) -> Option<Result<String, String>> {
    let mut all = revisions(snapshot.view, object)?.into_iter();
    let Some((_, cause, mut template)) = all.find(|(own, ..)| *own == number) else {
        return Some(Err("unable to find the specified revision".to_owned()));
    };
    if cause != NONE {
        template.annotations = template.annotations.with(CHANGE_CAUSE, cause);
    }
    let mut page = Page::default();
    pod_template(&template, &mut page);
    let kind = object.kind.singular();
    let name = &object.id.name;
    Some(Ok(format!("{kind}/{name} with revision #{number}\n{}\n", page.unaligned())))
}

/// `StatefulSetStatusViewer.Status`.
fn of_stateful_set(set: &StatefulSet) -> Result<String, String> {
    let (spec, status) = (&set.spec, &set.status);
    let StatefulSetUpdate::RollingUpdate { partition } = spec.update else {
        return Err(ONLY_ROLLING.to_owned());
    };
    if status.observed_generation == 0 || set.meta.generation > status.observed_generation {
        return Ok("Waiting for statefulset spec update to be observed...".to_owned());
    }
    if status.ready_replicas < spec.replicas {
        return Ok(format!(
            "Waiting for {} pods to be ready...",
            spec.replicas - status.ready_replicas
        ));
    }
    let (updated, wanted) = (status.updated_replicas, spec.replicas - partition);
    if updated < wanted {
        return Ok(format!(
            "Waiting for partitioned roll out to finish: {updated} out of {wanted} new pods have been updated..."
        ));
    }
    Ok(format!("partitioned roll out complete: {updated} new pods have been updated..."))
}

/// `DaemonSetStatusViewer.Status`.
fn of_daemon_set(set: &DaemonSet) -> Result<String, String> {
    let (name, status) = (set.meta.name(), &set.status);
    if set.spec.update == DaemonSetUpdate::OnDelete {
        return Err(ONLY_ROLLING.to_owned());
    }
    if set.meta.generation > status.observed_generation {
        return Ok("Waiting for daemon set spec update to be observed...".to_owned());
    }
    let wanted = status.desired_number_scheduled;
    let waiting = |what: String| {
        Ok(format!("Waiting for daemon set \"{name}\" rollout to finish: {what}..."))
    };
    if status.updated_number_scheduled < wanted {
        let updated = status.updated_number_scheduled;
        return waiting(format!("{updated} out of {wanted} new pods have been updated"));
    }
    if status.number_available < wanted {
        let available = status.number_available;
        return waiting(format!("{available} of {wanted} updated pods are available"));
    }
    Ok(format!("daemon set \"{name}\" successfully rolled out"))
}

/// `DeploymentStatusViewer.Status`.
fn of_deployment(deployment: &Deployment) -> Result<String, String> {
    let name = deployment.meta.name();
    let (spec, status) = (&deployment.spec, &deployment.status);
    if deployment.meta.generation > status.observed_generation {
        return Ok("Waiting for deployment spec update to be observed...".to_owned());
    }
    let is_late = status
        .conditions
        .iter()
        .any(|one| one.kind == "Progressing" && one.reason == "ProgressDeadlineExceeded");
    if is_late {
        return Err(format!("deployment \"{name}\" exceeded its progress deadline"));
    }
    let waiting = |what: String| {
        Ok(format!("Waiting for deployment \"{name}\" rollout to finish: {what}..."))
    };
    let updated = status.updated_replicas;
    if updated < spec.replicas {
        let wanted = spec.replicas;
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    if status.replicas > updated {
        let old = status.replicas - updated;
        return waiting(format!("{old} old replicas are pending termination"));
    }
    if status.available_replicas < updated {
        let available = status.available_replicas;
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Ok(format!("deployment \"{name}\" successfully rolled out"))
}

/// `kubectl argo rollouts status`: the phase and why; an error once it is degraded.
fn of_rollout(rollout: &Rollout) -> Result<String, String> {
    let status = &rollout.status;
    if rollout.meta.generation > status.observed_generation {
        return Ok("Progressing - waiting for rollout spec update to be observed".to_owned());
    }
    let dash = if status.message.is_empty() { "" } else { " - " };
    let told = format!("{:?}{dash}{}", status.phase, status.message);
    match status.phase {
        RolloutPhase::Degraded => {
            Err(format!("The rollout is in a degraded state with message: {}", status.message))
        }
        _ => Ok(told),
    }
}

/// The revisions of a workload, oldest first: number, change cause, and template.
fn revisions(
    view: ClusterView<'_>,
    object: &ObjectReference,
) -> Option<Vec<(i64, String, PodTemplate)>> {
    let id = &object.id;
    let cause = |annotations: &Labels| {
        annotations.get(CHANGE_CAUSE).map_or_else(|| NONE.to_owned(), ToString::to_string)
    };
    let of_history = |history: &[Revision]| {
        let all = history
            .iter()
            .map(|one| (one.number, cause(&one.template.annotations), (*one.template).clone()));
        all.collect()
    };
    let store = view.store();
    let mut all: Vec<(i64, String, PodTemplate)> = match object.kind {
        Kind::Deployment | Kind::Rollout => {
            let owner = match object.kind {
                Kind::Rollout => SetOwner::Rollout(view.named(id)?),
                _ => SetOwner::Deployment(view.named(id)?),
            };
            let sets = store.replica_sets_of(owner);
            let sets = sets.filter_map(|(_, set)| {
                let template = store.templates().get(set.template)?.clone();
                Some((set.revision, cause(&set.meta.annotations), template))
            });
            sets.collect()
        }
        Kind::StatefulSet => of_history(&store.stateful_sets().get(view.named(id)?)?.revisions),
        Kind::DaemonSet => of_history(&store.daemon_sets().get(view.named(id)?)?.revisions),
        _ => return None,
    };
    all.sort_by_key(|(number, ..)| *number);
    Some(all)
}
