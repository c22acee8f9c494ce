//! What a NodeClaim says of itself: that it may be consolidated, that it is not what its pool would make now
//! (`pkg/controllers/nodeclaim/disruption`), and that its time is over.

use std::sync::Arc;

use super::instance_type::InstanceType;
use super::labels::INSTANCE_TYPE;
use super::node_pool::NodePool;
use super::requirements::Requirements;
use super::state::{DriftReason, NodeClaim};
use engine::{SimDuration, SimTime};

/// Within so long after its creation it is not asked whether the cloud still has a node's type.
const TYPE_CHECK_AFTER: SimDuration = SimDuration::from_secs(3600);
/// Pods that come and go within so long count once (`dedupeTimeout`).
const POD_EVENT_PERIOD: SimDuration = SimDuration::from_secs(10);

/// From when on a claim may be consolidated, if nothing happens until then; absent if never.
pub fn consolidatable_from(claim: &NodeClaim, pool: &NodePool) -> Option<SimTime> {
    let after = pool.disruption.consolidate_after?;
    let initialized = claim.initialized?;
    Some(claim.last_pod_event.unwrap_or(initialized) + after)
}

/// Why a claim is not what its pool would make now; absent if it is (`isDrifted`).
pub fn drift(
    claim: &NodeClaim,
    pool: &NodePool,
    types: &[Arc<InstanceType>],
    now: SimTime,
) -> Option<DriftReason> {
    claim.provider_id.as_ref()?;
    if claim.hash != pool.hash {
        return Some(DriftReason::NodePoolDrifted);
    }
    let labels = Requirements::of_labels(&claim.labels);
    if !labels.is_compatible(&Requirements::of_written(&pool.template.requirements), None) {
        return Some(DriftReason::RequirementsDrifted);
    }
    if now.since(claim.created) <= TYPE_CHECK_AFTER {
        return None;
    }
    let own = claim.labels.get(INSTANCE_TYPE);
    let found = types.iter().find(|one| Some(&one.name) == own);
    let is_offered = found.is_some_and(|one| one.price_of(&labels).is_some());
    (!is_offered).then_some(DriftReason::InstanceTypeNotFound)
}

/// When a pod came or went last, after one did so now: in whole seconds, and only if the last time is some time ago.
pub fn pod_event(last: Option<SimTime>, now: SimTime) -> SimTime {
    last.filter(|last| now.since(*last) < POD_EVENT_PERIOD).unwrap_or(now.floor_to_second())
}

/// When a claim is deleted because of its age, with its pods or without a place for them.
pub fn expires_at(claim: &NodeClaim) -> Option<SimTime> {
    claim.expire_after.map(|period| claim.created + period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_come_and_go_within_ten_seconds_count_once() {
        let at = SimTime::from_secs_f64;
        assert_eq!(pod_event(None, at(7.9)), at(7.0), "in whole seconds");
        assert_eq!(pod_event(Some(at(7.0)), at(16.9)), at(7.0));
        assert_eq!(pod_event(Some(at(7.0)), at(17.0)), at(17.0));
    }
}
