//! Setting conditions: kept in the order of first appearance, with a transition time that changes only with the
//! status (`setConditionInList` in `pkg/controller/podautoscaler/horizontal.go`).

use cluster::hpa_status::{ConditionDetail, HpaCondition, HpaConditionReason, HpaConditionType};
use cluster::node::ConditionStatus;
use engine::SimTime;

/// Sets a condition, or adds it at the end.
pub fn set_condition(
    conditions: &mut Vec<HpaCondition>,
    kind: HpaConditionType,
    holds: bool,
    (reason, detail): (HpaConditionReason, ConditionDetail),
    now: SimTime,
) {
    let status = ConditionStatus::from(holds);
    let last_transition_time = now.floor_to_second();
    match conditions.iter_mut().find(|condition| condition.kind == kind) {
        Some(condition) => {
            if condition.status != status {
                condition.last_transition_time = last_transition_time;
            }
            condition.status = status;
            condition.reason = reason;
            condition.detail = detail;
        }
        None => {
            conditions.push(HpaCondition { kind, status, reason, detail, last_transition_time });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_follows_the_status_not_the_reason() {
        let mut conditions = Vec::new();
        let mut set = |holds, reason, at| {
            let why = (reason, ConditionDetail::None);
            let now = SimTime::from_secs_f64(at);
            set_condition(&mut conditions, HpaConditionType::AbleToScale, holds, why, now);
            conditions[0].last_transition_time
        };
        let first = set(true, HpaConditionReason::SucceededGetScale, 15.7);
        assert_eq!(first, SimTime::from_secs(15));
        assert_eq!(set(true, HpaConditionReason::SucceededRescale, 30.0), first);
        let later = set(false, HpaConditionReason::FailedUpdateScale, 45.0);
        assert_eq!(later, SimTime::from_secs(45));
        assert_eq!(conditions.len(), 1);
    }
}
