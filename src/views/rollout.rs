//! `kubectl rollout status` and `history` of Deployments, StatefulSets and DaemonSets.

use super::columns::{Columns, NONE};
use cluster::controller_revision::Revision;
use cluster::daemon_set::{DaemonSet, DaemonSetUpdate};
use cluster::deployment::{Deployment, DeploymentId};
use cluster::stateful_set::{StatefulSet, StatefulSetUpdate};
use cluster::{ClusterView, ObjectReference};

/// Annotation from which CHANGE-CAUSE is taken.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// What kubectl says of other strategies (`polymorphichelpers.*StatusViewer`).
const ONLY_ROLLING: &str = "rollout status is only available for RollingUpdate strategy type";

/// How far the rollout of a workload is, in kubectl's words, or the error with which kubectl gives up on it;
/// `None` if it is not there, or of a kind that is not rolled out.
pub fn status(view: ClusterView<'_>, object: &ObjectReference) -> Option<Result<String, String>> {
    let id = &object.id;
    Some(match &*object.kind {
        "Deployment" => of_deployment(view.deployments().get(view.deployment_named(id)?)?),
        "StatefulSet" => of_stateful_set(view.stateful_sets().get(view.stateful_set_named(id)?)?),
        "DaemonSet" => of_daemon_set(view.daemon_sets().get(view.daemon_set_named(id)?)?),
        _ => return None,
    })
}

/// The revisions of a workload, the oldest first, with the images that kubectl shows only one by one.
pub fn history(view: ClusterView<'_>, object: &ObjectReference) -> Option<String> {
    let id = &object.id;
    Some(match &*object.kind {
        "Deployment" => replica_sets(view, view.deployment_named(id)?),
        "StatefulSet" => {
            let set = view.stateful_sets().get(view.stateful_set_named(id)?)?;
            revisions(&set.revisions)
        }
        "DaemonSet" => {
            let set = view.daemon_sets().get(view.daemon_set_named(id)?)?;
            revisions(&set.revisions)
        }
        _ => return None,
    })
}

/// `StatefulSetStatusViewer.Status`.
fn of_stateful_set(set: &StatefulSet) -> Result<String, String> {
    let (spec, status) = (&set.spec, &set.status);
    let StatefulSetUpdate::RollingUpdate { partition } = spec.update else {
        return Err(ONLY_ROLLING.to_owned());
    };
    if status.observed_generation == 0 || set.generation > status.observed_generation {
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
    if set.generation > status.observed_generation {
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

fn revisions(history: &[Revision]) -> String {
    let mut columns = Columns::new(["REVISION", "CHANGE-CAUSE", "IMAGES"]);
    for revision in history {
        let template = &revision.template;
        let cause = template.annotations.get(CHANGE_CAUSE);
        let images: Vec<&str> = template.spec.containers.iter().map(|one| &*one.image).collect();
        columns.row(vec![
            revision.number.to_string(),
            cause.map_or_else(|| NONE.to_owned(), ToString::to_string),
            images.join(","),
        ]);
    }
    columns.text()
}

/// `DeploymentStatusViewer.Status`.
fn of_deployment(deployment: &Deployment) -> Result<String, String> {
    let name = deployment.meta.name();
    let (spec, status) = (&deployment.spec, &deployment.status);
    if deployment.generation > status.observed_generation {
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

fn replica_sets(view: ClusterView<'_>, id: DeploymentId) -> String {
    let mut sets: Vec<_> = view.store().replica_sets_of(id).map(|(_, set)| set).collect();
    sets.sort_by_key(|set| set.revision);
    let mut columns = Columns::new(["REVISION", "CHANGE-CAUSE", "REPLICAS", "IMAGES"]);
    for set in sets {
        let cause = set.meta.annotations.get(CHANGE_CAUSE);
        let containers = view.templates().get(set.template).map(|one| &one.spec.containers);
        let images: Vec<&str> = containers.into_iter().flatten().map(|one| &*one.image).collect();
        columns.row(vec![
            set.revision.to_string(),
            cause.map_or_else(|| NONE.to_owned(), ToString::to_string),
            format!("{}/{}", set.status.ready_replicas, set.replicas),
            images.join(","),
        ]);
    }
    columns.text()
}
