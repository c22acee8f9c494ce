//! Writes what a kubelet reports of a pod.

use super::action::Refused;
use super::apply::update_pod;
use super::change::{Change, PodChange};
use super::container_status::{ContainerStatus, PodReport};
use super::pod::{PodId, RestartCounts};
use super::store::Store;
use crate::engine::SimTime;

/// `UpdateStatus` of a pod by its kubelet. The restart counts that controllers look at follow from
/// those of the containers.
pub(super) fn report_pod(
    store: &mut Store,
    now: SimTime,
    id: PodId,
    report: PodReport,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get(id).ok_or(Refused::NotFound)?;
    let spec = &store.template_of(pod).spec;
    let (init, regular) = report.containers.split(spec);
    let most = |statuses: &mut dyn Iterator<Item = &ContainerStatus>| {
        statuses.map(|status| status.restarts).max().unwrap_or(0)
    };
    let sidecars = init.iter().zip(&spec.init_containers).filter(|(_, one)| one.is_sidecar);
    let restarts = RestartCounts {
        containers_max: most(&mut regular.iter()),
        sidecars_max: most(&mut sidecars.map(|(status, _)| status)),
    };
    update_pod(store, id, PodChange::Restarted, changes, |pod| {
        std::mem::replace(&mut pod.restarts, restarts) != restarts
    })?;
    update_pod(store, id, PodChange::Containers, changes, |pod| {
        let mut changed = pod.conditions.update(&report, now);
        changed |= std::mem::replace(&mut pod.status_reason, report.reason) != report.reason;
        if pod.containers != report.containers {
            pod.containers = report.containers;
            changed = true;
        }
        changed
    })
}
