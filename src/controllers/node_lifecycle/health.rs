//! Whether a node is alive (`tryUpdateNodeHealth` of `pkg/controller/nodelifecycle`, 1.36), and
//! which taints its conditions bring.

use super::Settings;
use cluster::node::{
    ConditionStatus, NODE_CONDITIONS, NOT_READY_TAINT, Node, NodeHealth, Taint, UNREACHABLE_TAINT,
    UNSCHEDULABLE_TAINT,
};
use cluster::pod_template::TaintEffect;
use engine::{SimDuration, SimTime};

/// State kept by the controller for a node (`nodeHealthData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// When the last status was posted that a pass saw.
    pub posted: Option<SimTime>,
    /// The last renewal of the lease that a pass saw; absent right after a new status, which makes the controller
    /// forget it.
    pub renewed: Option<SimTime>,
    /// The pass at which the last sign of life was seen.
    pub probed: SimTime,
    /// The last pass over the node.
    pub passed: SimTime,
}

/// Instants of a loop that starts again some time after it ended: it drifts by as long as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopTimer {
    /// The first.
    pub start: SimTime,
    /// From one to the next.
    pub step: SimDuration,
}

impl LoopTimer {
    /// The first pass after an instant.
    pub fn after(self, time: SimTime) -> SimTime {
        self.at_or_after(time + SimDuration::from_nanos(1))
    }

    /// The first pass at or after an instant.
    pub(crate) fn at_or_after(self, time: SimTime) -> SimTime {
        let elapsed = (time - self.start).as_nanos().max(0);
        let step = self.step.as_nanos();
        self.start + SimDuration::from_nanos((elapsed + step - 1) / step * step)
    }
}

/// Brings the memory of a node created at `created` up to the pass at `now`.
///
/// A sign of life counts from the first pass that saw it; where no pass was made because all was
/// well, that instant is computed. A pass that sees a new status forgets the lease, so that the next one takes even an
/// old renewal for a new one.
pub fn observe(
    health: &NodeHealth,
    created: SimTime,
    record: Option<NodeRecord>,
    passes: LoopTimer,
    now: SimTime,
) -> NodeRecord {
    let posted = health.posted;
    let renewed = health.lease.renew_time(now);
    let Some(known) = record else {
        // A kubelet that never posted anything is given the start-up grace from its creation on.
        let is_silent = !health.has_ready_condition && posted.max(renewed).is_none();
        let probed = if is_silent { created } else { now };
        return NodeRecord { posted, renewed, probed, passed: now };
    };
    let seen = |sign: SimTime| passes.at_or_after(sign).max(passes.after(known.passed)).min(now);
    let renewal = renewed.filter(|_| renewed > known.renewed).map(seen);
    let mut next = NodeRecord { posted, renewed, passed: now, ..known };
    match posted.filter(|_| posted != known.posted).map(seen) {
        None => next.probed = renewal.unwrap_or(known.probed),
        // The pass that sees the status still knows which renewal is old.
        Some(status) if renewal >= Some(status) => next.probed = renewal.unwrap_or(status),
        Some(status) if renewed.is_some() && passes.after(status) <= now => {
            next.probed = passes.after(status);
        }
        Some(status) => (next.renewed, next.probed) = (None, status),
    }
    next
}

/// Whether the node has been silent for longer than the grace.
pub fn is_lost(node: &Node, record: NodeRecord, settings: &Settings, now: SimTime) -> bool {
    let grace = if node.health.has_ready_condition {
        settings.grace_period
    } else {
        settings.startup_grace_period
    };
    now > record.probed + grace
}

/// The taint that pods must leave a node for, if its Ready condition is not True.
pub(crate) fn no_execute_taint(ready: ConditionStatus) -> Option<&'static str> {
    match ready {
        ConditionStatus::True => None,
        ConditionStatus::False => Some(NOT_READY_TAINT),
        ConditionStatus::Unknown => Some(UNREACHABLE_TAINT),
    }
}

/// A node's taints with one NoExecute taint of the controller's two, or with none of them.
pub(crate) fn with_no_execute(taints: &[Taint], key: Option<&str>, now: SimTime) -> Vec<Taint> {
    let is_own = |taint: &Taint| {
        taint.effect == TaintEffect::NoExecute
            && [NOT_READY_TAINT, UNREACHABLE_TAINT].contains(&taint.key.as_ref())
    };
    replace_own(taints, is_own, key.into_iter().collect(), TaintEffect::NoExecute, now)
}

/// A node's taints with the NoSchedule taints that its conditions and its cordon require
/// (`doNoScheduleTaintingPass`).
pub(crate) fn with_no_schedule(node: &Node, now: SimTime) -> Vec<Taint> {
    let ready = match node.ready.status {
        _ if !node.health.has_ready_condition => None,
        status => no_execute_taint(status),
    };
    let pressures = NODE_CONDITIONS
        .iter()
        .zip(node.health.conditions)
        .filter(|(_, status)| *status == ConditionStatus::True)
        .map(|((_, taint), _)| *taint);
    let cordon = node.unschedulable.then_some(UNSCHEDULABLE_TAINT);
    let wanted: Vec<&str> = ready.into_iter().chain(pressures).chain(cordon).collect();
    let is_own = |taint: &Taint| {
        let key = taint.key.as_ref();
        taint.effect == TaintEffect::NoSchedule
            && ([NOT_READY_TAINT, UNREACHABLE_TAINT, UNSCHEDULABLE_TAINT].contains(&key)
                || NODE_CONDITIONS.iter().any(|(_, own)| *own == key))
    };
    replace_own(&node.taints, is_own, wanted, TaintEffect::NoSchedule, now)
}

/// Keeps taints that are wanted or not managed by this controller, and adds missing ones.
fn replace_own(
    taints: &[Taint],
    is_own: impl Fn(&Taint) -> bool,
    wanted: Vec<&str>,
    effect: TaintEffect,
    now: SimTime,
) -> Vec<Taint> {
    let is_wanted = |taint: &Taint| !is_own(taint) || wanted.contains(&taint.key.as_ref());
    let mut result: Vec<Taint> = taints.iter().filter(|taint| is_wanted(taint)).cloned().collect();
    for key in wanted {
        if !result.iter().any(|taint| taint.effect == effect && taint.key.as_ref() == key) {
            result.push(Taint {
                key: key.into(),
                value: "".into(),
                effect,
                time_added: Some(now.floor_to_second()),
            });
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::node::Lease;

    #[test]
    fn passes_drift_by_the_time_that_they_take() {
        let at = SimTime::from_secs;
        let step = SimDuration::from_secs(5) + SimDuration::from_millis(1);
        let passes = LoopTimer { start: at(-10), step };
        assert_eq!(passes.at_or_after(at(-10)), at(-10));
        assert_eq!(passes.at_or_after(at(-9)), at(-5) + SimDuration::from_millis(1));
        assert_eq!(passes.at_or_after(at(-5)), at(-5) + SimDuration::from_millis(1));
    }

    #[test]
    fn a_new_status_makes_the_next_pass_take_an_old_lease_for_a_new_one() {
        let at = SimTime::from_secs;
        let step = SimDuration::from_secs(5) + SimDuration::from_millis(1);
        let passes = LoopTimer { start: at(-10), step };
        let pass = |number: i64| passes.start + step * number;
        let lease = |started, silent| Lease {
            started: Some(at(started)),
            phase: Some(at(1)),
            silent_since: Some(at(silent)),
        };
        let observe =
            |health: &NodeHealth, record, now| super::observe(health, at(-10), record, passes, now);
        let mut health = NodeHealth { posted: Some(at(-10)), ..NodeHealth::default() };
        health.lease = lease(-10, 25);
        let seen = observe(&health, None, pass(8));
        let seen = observe(&health, Some(seen), pass(9));
        assert_eq!((seen.renewed, seen.probed), (Some(at(21)), pass(8)));

        health.posted = Some(at(36));
        let status = observe(&health, Some(seen), pass(10));
        assert_eq!((status.renewed, status.probed), (None, pass(10)));
        let taken = observe(&health, Some(status), pass(11));
        assert_eq!((taken.renewed, taken.probed), (Some(at(21)), pass(11)));
        assert_eq!(observe(&health, Some(taken), pass(12)).probed, pass(11));
        // The same if no pass was made in between.
        assert_eq!(observe(&health, Some(seen), pass(12)).probed, pass(11));

        // A renewal seen together with the status is remembered.
        health.lease = lease(36, 37);
        let both = observe(&health, Some(seen), pass(10));
        assert_eq!((both.renewed, both.probed), (Some(at(36)), pass(10)));
        assert_eq!(observe(&health, Some(both), pass(12)).probed, pass(10));
    }

    #[test]
    fn one_no_execute_taint_replaces_the_other_and_foreign_ones_stay() {
        let now = SimTime::ZERO;
        let foreign = Taint {
            key: "x".into(),
            value: "".into(),
            effect: TaintEffect::NoExecute,
            time_added: None,
        };
        let tainted = with_no_execute(&[foreign], Some(NOT_READY_TAINT), now);
        let keys = |taints: &[Taint]| -> Vec<String> {
            taints.iter().map(|taint| taint.key.to_string()).collect()
        };
        assert_eq!(keys(&tainted), ["x", NOT_READY_TAINT]);
        let tainted = with_no_execute(&tainted, Some(UNREACHABLE_TAINT), now);
        assert_eq!(keys(&tainted), ["x", UNREACHABLE_TAINT]);
        assert_eq!(keys(&with_no_execute(&tainted, None, now)), ["x"]);
    }
}
