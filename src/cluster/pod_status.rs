//! Writes a kubelet's reports on a pod.

use super::action::Refused;
use super::change::{Change, PodChanges};
use super::container_status::{ContainerStatus, PodReport};
use super::node::ConditionStatus;
use super::pod::{Pod, PodCondition, PodId, PodPhase, RestartCounts};
use super::pod_verbs::update_pod;
use super::store::Store;
use engine::SimTime;

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
    let had_address = pod.has_address();
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
    if let Some(phase) = report.phase {
        set_pod_phase(store, id, phase, changes)?;
    }
    let ready = report.ready;
    let gets = report.ready_to_start_containers == ConditionStatus::True;
    let of_containers = if had_address || !gets {
        PodChanges::CONTAINERS
    } else {
        PodChanges::CONTAINERS.and(PodChanges::ADDRESS)
    };
    update_pod(store, id, PodChanges::RESTARTED, changes, |pod| {
        std::mem::replace(&mut pod.restarts, restarts) != restarts
    })?;
    update_pod(store, id, of_containers, changes, |pod| {
        let mut changed = pod.conditions.update(&report, now);
        changed |= std::mem::replace(&mut pod.status_reason, report.reason) != report.reason;
        if pod.containers != report.containers {
            pod.containers = report.containers;
            changed = true;
        }
        changed
    })?;
    ready.map_or(Ok(()), |ready| set_pod_ready(store, now, id, ready, changes))
}

/// Whether the API server has all of a report already.
pub fn is_reported(pod: &Pod, report: &PodReport) -> bool {
    let is_ready = |status| pod.ready.is_some_and(|ready| ready.status == status);
    let mut conditions = pod.conditions;
    pod.containers == report.containers
        && !conditions.update(report, SimTime::ZERO)
        && pod.status_reason == report.reason
        && report.phase.is_none_or(|phase| pod.phase == phase)
        && report.ready.is_none_or(is_ready)
}

/// `status.phase` of a pod.
pub(super) fn set_pod_phase(
    store: &mut Store,
    id: PodId,
    phase: PodPhase,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let before = store.pods.get(id).ok_or(Refused::NotFound)?.phase;
    store.ended_pods += usize::from(phase.is_terminal());
    store.ended_pods -= usize::from(before.is_terminal());
    update_pod(store, id, PodChanges::PHASE, changes, |pod| {
        pod.phase = phase;
        before != phase
    })
}

/// The Ready condition of a pod.
pub(super) fn set_pod_ready(
    store: &mut Store,
    now: SimTime,
    id: PodId,
    status: ConditionStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    update_pod(store, id, PodChanges::READY, changes, |pod| {
        let changed = pod.ready.is_none_or(|ready| ready.status != status);
        if changed {
            pod.ready = Some(PodCondition { status, since: now.floor_to_second() });
        }
        changed
    })
}
