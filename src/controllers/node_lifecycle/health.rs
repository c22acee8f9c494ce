//! Whether a node is alive (`tryUpdateNodeHealth` of `pkg/controller/nodelifecycle`, 1.36), and
//! which taints its conditions bring.

use super::Settings;
use cluster::node::{
    ConditionStatus, NODE_CONDITIONS, NOT_READY_TAINT, Node, NodeId, Taint, UNREACHABLE_TAINT,
    UNSCHEDULABLE_TAINT,
};
use cluster::pod_template::TaintEffect;
use engine::{SimDuration, SimTime};

/// State kept by the controller for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// The node.
    pub node: NodeId,
    /// The last sign of life that a pass saw.
    pub heartbeat: Option<SimTime>,
    /// When a pass saw it.
    pub probed: SimTime,
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
    /// The first pass at or after an instant.
    pub(crate) fn at_or_after(self, time: SimTime) -> SimTime {
        let elapsed = (time - self.start).as_nanos().max(0);
        let step = self.step.as_nanos();
        self.start + SimDuration::from_nanos((elapsed + step - 1) / step * step)
    }
}

/// Brings the memory of a node up to the pass at `now`.
///
/// A sign of life counts from the first pass that saw it; where no pass was made because all was
/// well, that instant is computed.
pub fn observe(
    node: &Node,
    id: NodeId,
    record: Option<NodeRecord>,
    passes: LoopTimer,
    now: SimTime,
) -> NodeRecord {
    let heartbeat = node.heartbeat(now);
    match record {
        Some(known) if known.heartbeat == heartbeat => known,
        Some(_) => {
            let seen = heartbeat.map_or(now, |heartbeat| passes.at_or_after(heartbeat));
            NodeRecord { node: id, heartbeat, probed: seen.min(now) }
        }
        // A kubelet that never posted anything is given the start-up grace from its creation on.
        None if !node.health.has_ready_condition && heartbeat.is_none() => {
            NodeRecord { node: id, heartbeat, probed: node.meta.created }
        }
        None => NodeRecord { node: id, heartbeat, probed: now },
    }
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
