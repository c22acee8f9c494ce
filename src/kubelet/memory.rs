//! Victim selection when a node runs out of memory: the kernel's OOM killer, and the kubelet's
//! eviction, which acts first if there is time.

use std::cmp::Reverse;

use cluster::pod::PodId;
use cluster::qos::QosClass;

/// The memory use of a running pod. All amounts in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryClaim {
    /// The pod.
    pub pod: PodId,
    /// The pod's QoS class.
    pub qos: QosClass,
    /// `spec.priority`.
    pub priority: i32,
    /// Sum of the memory requests.
    pub request: i64,
    /// Memory in use.
    pub usage: i64,
}

/// `oom_score_adj` of a container (`GetContainerOOMScoreAdjust` in `pkg/kubelet/qos/policy.go`, 1.36):
/// -997 for Guaranteed, 1000 for `BestEffort`, between 3 and 999 for the others, decreasing with the
/// requested share of the node's memory.
fn oom_score_adj(qos: QosClass, request: i64, node_memory: i64) -> i64 {
    match qos {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => (1000
            - (1000 * i128::from(request) / i128::from(node_memory.max(1))))
        .clamp(3, 999)
        .try_into()
        .unwrap_or(3),
    }
}

/// The pod that the kernel kills when a node has no memory left (`oom_badness` of Linux): the one with
/// the largest sum of memory in use and `oom_score_adj` thousandths of all memory.
pub fn oom_victim(claims: &[MemoryClaim], node_memory: i64) -> Option<PodId> {
    let badness = |claim: &MemoryClaim| {
        let adjust = oom_score_adj(claim.qos, claim.request, node_memory);
        i128::from(claim.usage) + i128::from(adjust) * i128::from(node_memory) / 1000
    };
    // Ties go to the first in the list.
    claims.iter().max_by_key(|claim| (badness(claim), Reverse(claim.pod))).map(|claim| claim.pod)
}

/// The pod that the kubelet evicts when a node is short of memory (`rankMemoryPressure` in
/// `pkg/kubelet/eviction/helpers.go`, 1.36): pods over their request first, then the lowest priority,
/// then the largest excess over the request.
pub fn eviction_victim(claims: &[MemoryClaim]) -> Option<PodId> {
    let rank = |claim: &MemoryClaim| {
        let excess = claim.usage - claim.request;
        (excess <= 0, claim.priority, Reverse(excess), claim.pod)
    };
    claims.iter().min_by_key(|claim| rank(claim)).map(|claim| claim.pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::pod::Pod;
    use engine::Table;

    const GIB: i64 = 1 << 30;

    #[test]
    fn the_adjustment_follows_class_and_request() {
        assert_eq!(oom_score_adj(QosClass::Guaranteed, GIB, 4 * GIB), -997);
        assert_eq!(oom_score_adj(QosClass::BestEffort, 0, 4 * GIB), 1000);
        assert_eq!(oom_score_adj(QosClass::Burstable, GIB, 4 * GIB), 750);
        assert_eq!(oom_score_adj(QosClass::Burstable, 1, 4 * GIB), 999);
        assert_eq!(oom_score_adj(QosClass::Burstable, 4 * GIB, 4 * GIB), 3);
    }

    fn claims(pods: &[(QosClass, i32, i64, i64)]) -> Vec<MemoryClaim> {
        let mut ids: Table<()> = Table::default();
        let claim = |(qos, priority, request, usage): &(QosClass, i32, i64, i64)| {
            let id = ids.insert(());
            let pod = engine::Id::<Pod>::from_bits(id.to_bits());
            MemoryClaim { pod, qos: *qos, priority: *priority, request: *request, usage: *usage }
        };
        pods.iter().map(claim).collect()
    }

    #[test]
    fn the_kernel_spares_those_whose_memory_is_their_own() {
        let all = claims(&[
            (QosClass::Guaranteed, 0, 2 * GIB, 2 * GIB),
            (QosClass::Burstable, 0, GIB, GIB),
            (QosClass::BestEffort, 0, 0, GIB / 8),
        ]);
        assert_eq!(oom_victim(&all, 4 * GIB), Some(all[2].pod));
        assert_eq!(oom_victim(&all[..2], 4 * GIB), Some(all[1].pod));
    }

    #[test]
    fn the_kubelet_takes_who_exceeds_its_request_then_the_least_important() {
        let all = claims(&[
            (QosClass::Burstable, 0, 2 * GIB, GIB),
            (QosClass::Burstable, 10, GIB, 3 * GIB),
            (QosClass::Burstable, 0, GIB, 2 * GIB),
        ]);
        assert_eq!(eviction_victim(&all), Some(all[2].pod));
        assert_eq!(eviction_victim(&all[..2]), Some(all[1].pod));
        assert_eq!(eviction_victim(&all[..1]), Some(all[0].pod));
        let alike = claims(&[
            (QosClass::Burstable, 0, GIB, 2 * GIB),
            (QosClass::Burstable, 0, GIB, 3 * GIB),
        ]);
        assert_eq!(eviction_victim(&alike), Some(alike[1].pod), "which exceeds it by more");
    }
}
