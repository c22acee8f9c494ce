//! `kubectl rollout status` and `history` of a Deployment.

use super::columns::{Columns, NONE};
use crate::cluster::ClusterView;
use crate::cluster::deployment::{Deployment, DeploymentId};

/// Annotation from which CHANGE-CAUSE is taken.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// How far a rollout is, in kubectl's words (`DeploymentStatusViewer.Status`); `true` if it is over, for
/// good or bad.
pub fn status(deployment: &Deployment) -> (String, bool) {
    let name = deployment.meta.name();
    let (spec, status) = (&deployment.spec, &deployment.status);
    if deployment.generation > status.observed_generation {
        return ("Waiting for deployment spec update to be observed...".to_owned(), false);
    }
    let is_late = status
        .conditions
        .iter()
        .any(|one| one.kind == "Progressing" && one.reason == "ProgressDeadlineExceeded");
    if is_late {
        return (format!("error: deployment \"{name}\" exceeded its progress deadline"), true);
    }
    let waiting = |what: String| {
        (format!("Waiting for deployment \"{name}\" rollout to finish: {what}..."), false)
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
    (format!("deployment \"{name}\" successfully rolled out"), true)
}

/// The revisions of a Deployment, the oldest first, with the images that kubectl shows only one by one.
pub fn history(view: ClusterView<'_>, id: DeploymentId) -> String {
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
