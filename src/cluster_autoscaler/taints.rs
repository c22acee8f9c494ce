//! Taints that the autoscaler sets, and taints that reflect a node's state (`cluster-autoscaler/utils/taints`).

use cluster::Name;
use cluster::node::{Node, Taint};
use cluster::pod_template::TaintEffect;
use engine::{SimDuration, SimTime};

/// Taint of nodes being removed.
pub(crate) const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// Soft taint of unneeded nodes.
pub(crate) const DELETION_CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";
/// Prefixes of taints that are removed once a node has started.
const STARTUP_PREFIXES: [&str; 2] = [
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
    "startup-taint.cluster-autoscaler.kubernetes.io/",
];
/// Prefix of taints that reflect a node's state.
const STATUS_PREFIX: &str = "status-taint.cluster-autoscaler.kubernetes.io/";
/// Taints that derive from node conditions, and are not on a fresh node.
const CONDITION_TAINTS: [&str; 11] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/pid-pressure",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "node.cloudprovider.kubernetes.io/shutdown",
    "cloud.google.com/impending-node-termination",
    "NodeWithImpairedVolumes",
];
/// How long after this taint a node counts as being removed (`MaxCloudProviderNodeDeletionTime`).
const DELETION_TIME: SimDuration = SimDuration::from_secs(300);

/// The taint of a node being removed.
pub(crate) fn to_be_deleted(now: SimTime) -> Taint {
    taint(TO_BE_DELETED, TaintEffect::NoSchedule, now)
}

/// The soft taint of an unneeded node.
pub(crate) fn deletion_candidate(now: SimTime) -> Taint {
    taint(DELETION_CANDIDATE, TaintEffect::PreferNoSchedule, now)
}

fn taint(key: &str, effect: TaintEffect, now: SimTime) -> Taint {
    let seconds = now.floor_to_second().since(SimTime::ZERO).as_secs();
    Taint { key: key.into(), value: Name::from(seconds.to_string()), effect, time_added: None }
}

/// Whether a node has a taint.
pub(crate) fn has_taint(node: &Node, key: &str) -> bool {
    node.taints.iter().any(|taint| *taint.key == *key)
}

/// True if the removal of a node began recently (`IsNodeBeingDeleted`).
pub(crate) fn is_being_deleted(node: &Node, now: SimTime) -> bool {
    let Some(taint) = node.taints.iter().find(|taint| *taint.key == *TO_BE_DELETED) else {
        return false;
    };
    let since = taint.value.parse().ok().map(SimTime::from_secs);
    since.is_some_and(|since| now - since < DELETION_TIME)
}

/// True if a node has a startup taint.
pub(crate) fn is_starting(node: &Node) -> bool {
    node.taints.iter().any(|taint| is_startup_taint(&taint.key))
}

fn is_startup_taint(key: &str) -> bool {
    STARTUP_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// The taints that a fresh node like this would have (`SanitizeTaints`).
pub(crate) fn of_fresh_node(taints: &[Taint]) -> Vec<Taint> {
    let passes = |taint: &&Taint| {
        let key = &*taint.key;
        key != TO_BE_DELETED
            && key != DELETION_CANDIDATE
            && !CONDITION_TAINTS.contains(&key)
            && !is_startup_taint(key)
            && !key.starts_with(STATUS_PREFIX)
    };
    taints.iter().filter(passes).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tainted(value: &str) -> Node {
        let mut node = crate::nodes::tests::node("a");
        let taint = to_be_deleted(SimTime::ZERO);
        node.taints = vec![Taint { value: value.into(), ..taint }];
        node
    }

    #[test]
    fn a_node_counts_as_being_deleted_for_less_than_five_minutes() {
        let at = |seconds| is_being_deleted(&tainted("100"), SimTime::from_secs(seconds));
        assert!(at(100) && at(399));
        assert!(!at(400));
        assert!(!is_being_deleted(&tainted("soon"), SimTime::ZERO));
        assert!(!is_being_deleted(&crate::nodes::tests::node("a"), SimTime::ZERO));
    }

    #[test]
    fn a_fresh_node_has_the_taints_of_its_group_alone() {
        let keys = [
            TO_BE_DELETED,
            DELETION_CANDIDATE,
            "node.kubernetes.io/not-ready",
            "startup-taint.cluster-autoscaler.kubernetes.io/x",
            "status-taint.cluster-autoscaler.kubernetes.io/x",
            "dedicated",
        ];
        let all: Vec<Taint> =
            keys.iter().map(|key| taint(key, TaintEffect::NoSchedule, SimTime::ZERO)).collect();
        let left = of_fresh_node(&all);
        assert_eq!(left.len(), 1);
        assert_eq!(&*left[0].key, "dedicated");
    }
}
