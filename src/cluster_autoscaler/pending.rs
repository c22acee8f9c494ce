//! The pending pods in the order in which the autoscaler reads them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::pods::PodInfo;
use super::snapshot::{Snapshot, by_age};
use cluster::ClusterView;
use cluster::pod::{Pod, PodId, PodPhase};
use engine::SimTime;

/// The pending pods of the last loop. Most of them are still pending, and unchanged, in the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingPods {
    /// Only ever looked up, never iterated.
    known: FxHashMap<PodId, Known>,
    /// By age.
    pods: Arc<Vec<Arc<PodInfo>>>,
    /// Number of loops.
    loops: u64,
    /// True if there ever were two pods that age and name do not order.
    has_ties: bool,
}

/// A pod, with what tells that it changed.
#[derive(Clone, Debug)]
struct Known {
    info: Arc<PodInfo>,
    resource_version: u64,
    phase: PodPhase,
    deletion: Option<SimTime>,
    /// The last loop in which it was pending.
    seen: u64,
}

impl Known {
    fn is_current(&self, pod: &Pod) -> bool {
        self.resource_version == pod.resource_version
            && self.phase == pod.phase
            && self.deletion == pod.deletion.map(|deletion| deletion.deadline)
    }
}

impl PendingPods {
    /// The pods by age and name; pods of one age and name stay in their order.
    pub(crate) fn update(
        &mut self,
        snapshot: &mut Snapshot,
        view: ClusterView<'_>,
        pending: &[PodId],
    ) -> Arc<Vec<Arc<PodInfo>>> {
        self.loops += 1;
        let loops = self.loops;
        let mut new = Vec::new();
        for id in pending {
            let Some(pod) = view.pods().get(*id) else { continue };
            if let Some(known) = self.known.get_mut(id).filter(|known| known.is_current(pod)) {
                known.seen = loops;
                continue;
            }
            let Some(info) = snapshot.pod(view, *id) else { continue };
            let known = Known {
                info: Arc::clone(&info),
                resource_version: pod.resource_version,
                phase: info.phase,
                deletion: info.deletion,
                seen: loops,
            };
            let before = self.known.insert(*id, known);
            // A condition of a pod, set when the scheduler found no node for it, is nothing that the autoscaler reads.
            if before.is_none_or(|before| !Arc::ptr_eq(&before.info, &info)) {
                new.push(info);
            }
        }
        let known = &self.known;
        let pods = Arc::make_mut(&mut self.pods);
        pods.retain(|pod| {
            let known = known.get(&pod.id);
            known.is_some_and(|known| known.seen == loops && Arc::ptr_eq(&known.info, pod))
        });
        self.has_ties |= add_sorted(pods, new);
        if self.has_ties {
            pods.clear();
            let all = pending.iter().filter_map(|id| known.get(id));
            pods.extend(all.filter(|known| known.seen == loops).map(|one| Arc::clone(&one.info)));
            pods.sort_by(|one, other| by_age(one, other));
        }
        if self.known.len() > pods.len() {
            self.known.retain(|_, known| known.seen == loops);
        }
        Arc::clone(&self.pods)
    }
}

/// Adds pods to others that are sorted. Returns true if the order of some is not determined.
fn add_sorted(pods: &mut Vec<Arc<PodInfo>>, mut new: Vec<Arc<PodInfo>>) -> bool {
    new.sort_by(|one, other| by_age(one, other));
    let mut has_ties = new.windows(2).any(|two| by_age(&two[0], &two[1]).is_eq());
    let Some(first) = new.first() else { return has_ties };
    let place = pods.partition_point(|pod| by_age(pod, first).is_lt());
    let mut later = pods.split_off(place).into_iter().peekable();
    for one in new {
        while let Some(next) = later.next_if(|next| by_age(next, &one).is_lt()) {
            pods.push(next);
        }
        has_ties |= later.peek().is_some_and(|next| by_age(next, &one).is_eq());
        pods.push(one);
    }
    pods.extend(later);
    has_ties
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod;

    fn aged(name: &str, seconds: i64) -> Arc<PodInfo> {
        Arc::new(PodInfo { created: SimTime::from_secs(seconds), ..pod(name) })
    }

    fn names(pods: &[Arc<PodInfo>]) -> Vec<&str> {
        pods.iter().map(|pod| &*pod.name.name).collect()
    }

    #[test]
    fn new_pods_are_put_among_the_others_by_age_and_name() {
        let mut pods = vec![aged("b", 1), aged("d", 2), aged("a", 3)];
        assert!(!add_sorted(&mut pods, vec![aged("b", 3), aged("c", 2), aged("z", 0)]));
        assert_eq!(names(&pods), ["z", "b", "c", "d", "a", "b"]);
        assert!(!add_sorted(&mut pods, Vec::new()));
    }

    #[test]
    fn pods_of_one_age_and_name_are_noticed() {
        assert!(add_sorted(&mut vec![aged("a", 1)], vec![aged("a", 1)]));
        assert!(add_sorted(&mut Vec::new(), vec![aged("a", 1), aged("a", 1)]));
    }
}
