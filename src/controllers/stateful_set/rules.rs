//! State of a StatefulSet's pods as seen by its controller (`stateful_set_utils.go`, 1.36).

use crate::replica_set::status::available_at;
use cluster::pod::{Pod, PodPhase};
use cluster::stateful_set::{StatefulSetSpec, StatefulSetUpdate};
use engine::{SimDuration, SimTime};

/// Whether a pod runs and is ready (`isRunningAndReady`).
pub(crate) fn is_running_and_ready(pod: &Pod) -> bool {
    pod.phase == PodPhase::Running && pod.is_ready()
}

/// Whether a pod runs, is ready, and has been for `minReadySeconds` (`isRunningAndAvailable`).
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: SimTime) -> bool {
    let min_ready = SimDuration::from_secs(min_ready_seconds.into());
    pod.phase == PodPhase::Running && available_at(pod, min_ready).is_some_and(|at| at <= now)
}

/// Whether other pods must wait for this one: it is unavailable, or terminating (`isUnavailable`).
pub(crate) fn is_unavailable(pod: &Pod, min_ready_seconds: i32, now: SimTime) -> bool {
    pod.is_terminating() || !is_available(pod, min_ready_seconds, now)
}

/// Whether a new pod with this ordinal is made from the current revision instead of the update
/// revision (`newVersionedStatefulSetPod`).
pub(crate) const fn takes_current_revision(spec: &StatefulSetSpec, ordinal: i32) -> bool {
    match spec.update {
        StatefulSetUpdate::OnDelete => false,
        StatefulSetUpdate::RollingUpdate { partition } => ordinal < spec.start_ordinal + partition,
    }
}
