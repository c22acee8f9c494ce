//! Computes a ReplicaSet's status (`calculateStatus` of `pkg/controller/replicaset`, 1.36).

use cluster::deployment::WorkloadCondition;
use cluster::node::ConditionStatus;
use cluster::pod::Pod;
use cluster::replica_set::{ReplicaSet, ReplicaSetStatus};
use cluster::siblings::SiblingCounts;
use engine::{SimDuration, SimTime};

/// Condition kind: creating or deleting pods failed.
pub(crate) const REPLICA_FAILURE: &str = "ReplicaFailure";

/// Counts of a set's pods at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodCounts {
    /// Neither ended nor terminating.
    pub active: i32,
    /// Active with the Ready condition.
    pub ready: i32,
    /// Ready for the required time.
    pub available: i32,
    /// With a deletion mark, not ended.
    pub terminating: i32,
    /// When the next ready pod becomes available.
    pub next_available: Option<SimTime>,
}

/// Counts the pods of a set.
pub fn count(pods: &SiblingCounts, min_ready: SimDuration, now: SimTime) -> PodCounts {
    let (available, next_available) = pods.available(min_ready, now);
    PodCounts {
        active: int32(pods.active()),
        ready: int32(pods.ready()),
        available: int32(available),
        terminating: int32(pods.terminating()),
        next_available,
    }
}

fn int32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Time at which a ready pod becomes available: `minReadySeconds` after its last transition, which the API server
/// truncated to whole seconds.
pub(crate) fn available_at(pod: &Pod, min_ready: SimDuration) -> Option<SimTime> {
    let ready = pod.ready.filter(|ready| ready.status == ConditionStatus::True)?;
    Some(ready.since + min_ready)
}

/// The status computed from the counts; `failure` is the failure of this sync, as reason and message.
pub fn calculate(
    set: &ReplicaSet,
    counts: PodCounts,
    failure: Option<(&'static str, String)>,
    now: SimTime,
) -> ReplicaSetStatus {
    let mut conditions = set.status.conditions.clone();
    match failure {
        Some((reason, message)) if conditions.is_empty() => {
            let since = now.floor_to_second();
            conditions.push(WorkloadCondition {
                kind: REPLICA_FAILURE,
                status: ConditionStatus::True,
                reason,
                message: message.into(),
                last_update: since,
                last_transition: since,
            });
        }
        // The first failure is kept, not rewritten with each retry.
        Some(_) => {}
        None => conditions.clear(),
    }
    ReplicaSetStatus {
        observed_generation: set.meta.generation,
        replicas: counts.active,
        fully_labeled_replicas: counts.active,
        ready_replicas: counts.ready,
        available_replicas: counts.available,
        terminating_replicas: counts.terminating,
        conditions,
    }
}
