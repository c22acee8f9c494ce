//! Conditions of a NodeClaim: Consolidatable and Drifted (`pkg/controllers/nodeclaim/disruption`), and its
//! expiration.

use std::sync::Arc;

use super::instance_type::InstanceType;
use super::labels::INSTANCE_TYPE;
use super::node_pool::NodePool;
use super::requirements::Requirements;
use super::state::{DriftReason, NodeClaim};
use engine::{SimDuration, SimTime};

/// Minimum age of a claim before its instance type is checked against the cloud's offer.
const TYPE_CHECK_AFTER: SimDuration = SimDuration::from_secs(3600);
/// Pod events within this period count as one (`dedupeTimeout`).
const POD_EVENT_PERIOD: SimDuration = SimDuration::from_secs(10);

/// Time from which a claim is consolidatable if there are no pod events until then; `None` if never.
pub fn consolidatable_from(claim: &NodeClaim, pool: &NodePool) -> Option<SimTime> {
    let after = pool.disruption.consolidate_after?;
    let initialized = claim.initialized?;
    Some(claim.last_pod_event.unwrap_or(initialized) + after)
}

/// Why a claim has drifted; `None` if it has not (`isDrifted`).
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

/// The time of the last pod event, given one at `now`: in whole seconds, and unchanged if the previous one is
/// recent.
pub fn pod_event(last: Option<SimTime>, now: SimTime) -> SimTime {
    last.filter(|last| now.since(*last) < POD_EVENT_PERIOD).unwrap_or(now.floor_to_second())
}

/// When a claim expires and is deleted, whether or not its pods have room elsewhere.
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
