//! Estimates the number of new nodes that pods need (`cluster-autoscaler/estimator/binpacking_estimator.go`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::pods::PodInfo;
use super::snapshot::{Slot, Snapshot};
use super::template::TemplateNode;
use cluster::ClusterView;
use cluster::node::HOSTNAME_LABEL;
use units::Quantity;

/// Rejection message of PodTopologySpread for a node that would exceed the skew.
const SPREAD_REASON: &str = "node(s) didn't match pod topology spread constraints";

/// The limits of an estimation, in nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EstimationLimits {
    /// `max-nodes-per-scaleup`; 0 = no limit.
    pub per_scale_up: i64,
    /// Remaining capacity of the group and of similar ones.
    pub group_room: i64,
    /// `max-nodes-total`; 0 = no limit.
    pub cluster_max: i64,
    /// Current nodes of the cluster, including upcoming ones.
    pub cluster_now: i64,
}

impl EstimationLimits {
    /// Most nodes that may be opened; `None` = no limit (`thresholdBasedEstimationLimiter`).
    pub fn nodes(&self) -> Option<i64> {
        let room = (self.group_room > 0).then_some(self.group_room).or(Some(0));
        let per_scale_up = match self.per_scale_up {
            0 => None,
            limit => Some(limit.max(0)),
        };
        let cluster = match self.cluster_max {
            0 => None,
            limit => Some((limit - self.cluster_now).max(0)),
        };
        [per_scale_up, room, cluster].into_iter().flatten().min()
    }
}

/// An estimation in progress.
struct Estimation<'a> {
    snapshot: &'a mut Snapshot,
    view: ClusterView<'a>,
    template: &'a TemplateNode,
    allowed: Option<i64>,
    /// New nodes, in the order in which they were opened.
    opened: Vec<Slot>,
    /// Nodes that got a pod.
    with_pods: BTreeSet<Slot>,
    scheduled: Vec<Arc<PodInfo>>,
}

/// The number of nodes like the template that the pods need, and the pods that these take. The pod groups are tried
/// in descending order of [`score`]; pods beyond the limits are left out.
pub(crate) fn estimate(
    snapshot: &mut Snapshot,
    view: ClusterView<'_>,
    mut groups: Vec<&[Arc<PodInfo>]>,
    template: &TemplateNode,
    limits: EstimationLimits,
) -> (i64, Vec<Arc<PodInfo>>) {
    groups.sort_by(|one, other| score(&other[0], template).total_cmp(&score(&one[0], template)));
    snapshot.fork();
    let mut estimation = Estimation {
        snapshot,
        view,
        template,
        allowed: limits.nodes(),
        opened: Vec::new(),
        with_pods: BTreeSet::new(),
        scheduled: Vec::new(),
    };
    let mut may_open = true;
    for pods in groups {
        let left = estimation.fill_opened(pods);
        if may_open {
            may_open = estimation.fill_new(left);
        }
    }
    let Estimation { with_pods, scheduled, snapshot, .. } = estimation;
    snapshot.revert();
    (i64::try_from(with_pods.len()).unwrap_or(i64::MAX), scheduled)
}

/// Size of a pod relative to a node: its fraction of the CPU plus that of the memory (`calculatePodScore`).
///
/// 1 CPU and 1 GiB of 4 CPUs and 16 GiB: 0.25 + 0.0625 = 0.3125.
pub(crate) fn score(pod: &PodInfo, template: &TemplateNode) -> f64 {
    let share = |resource: &str, value: fn(Quantity) -> i64| {
        let all = template.node.allocatable.get(resource).map_or(0, value);
        let asked = pod.facts.requests.get(resource).map_or(0, value);
        if all > 0 { asked as f64 / all as f64 } else { 0.0 }
    };
    share("cpu", Quantity::milli_value) + share("memory", Quantity::value)
}

impl Estimation<'_> {
    /// Puts pods on the nodes opened so far; stops at the first pod that fits none, and returns the remaining pods.
    fn fill_opened<'p>(&mut self, pods: &'p [Arc<PodInfo>]) -> &'p [Arc<PodInfo>] {
        for (index, pod) in pods.iter().enumerate() {
            let found = self.snapshot.schedule_among(self.view, pod, &self.opened);
            let Some(slot) = found else { return &pods[index..] };
            self.track(pod, slot);
        }
        &[]
    }

    /// Puts pods on the newest node, and opens another one if a pod does not fit. Returns whether more nodes may be
    /// opened for other pods.
    fn fill_new(&mut self, pods: &[Arc<PodInfo>]) -> bool {
        for pod in pods {
            let mut is_placed = false;
            if let Some(newest) = self.opened.last().copied() {
                match self.snapshot.schedule(self.view, pod, newest) {
                    Ok(()) => {
                        is_placed = true;
                        self.track(pod, newest);
                    }
                    Err(rejection) => {
                        let is_spread = rejection.reasons.iter().any(|one| one == SPREAD_REASON);
                        if is_spread && spreads_by_host(pod) {
                            let is_other = |slot: Slot| slot != newest;
                            let found = self.snapshot.schedule_anywhere(self.view, pod, &is_other);
                            if let Some(slot) = found {
                                is_placed = true;
                                self.track(pod, slot);
                            }
                        }
                    }
                }
            }
            if is_placed {
                continue;
            }
            // If even an empty node rejects the pod, another one would as well.
            if self.opened.last().is_some_and(|newest| !self.with_pods.contains(newest)) {
                return true;
            }
            let number = self.opened.len();
            if self.allowed.is_some_and(|allowed| i64::try_from(number).is_ok_and(|n| n >= allowed))
            {
                return false;
            }
            let node = self.template.fresh(self.snapshot, &format!("e-{number}"));
            let slot = self.snapshot.add_node(node);
            self.opened.push(slot);
            if self.snapshot.schedule(self.view, pod, slot).is_err() {
                break;
            }
            self.track(pod, slot);
        }
        true
    }

    /// Records a placed pod. Its node may also be an existing one, which then counts as one that got a pod.
    fn track(&mut self, pod: &Arc<PodInfo>, slot: Slot) {
        self.with_pods.insert(slot);
        self.scheduled.push(Arc::clone(pod));
    }
}

/// True if the pod has a spread constraint on the hostname.
fn spreads_by_host(pod: &PodInfo) -> bool {
    let constraints = pod.facts.template.spec.topology_spread.iter();
    constraints.into_iter().any(|one| *one.topology_key == *HOSTNAME_LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_holds_and_no_room_is_none() {
        let limits =
            EstimationLimits { per_scale_up: 1000, group_room: 9, cluster_max: 0, cluster_now: 50 };
        assert_eq!(limits.nodes(), Some(9));
        assert_eq!(EstimationLimits { per_scale_up: 2, ..limits }.nodes(), Some(2));
        assert_eq!(EstimationLimits { cluster_max: 53, ..limits }.nodes(), Some(3));
        assert_eq!(EstimationLimits { cluster_max: 50, ..limits }.nodes(), Some(0));
        assert_eq!(EstimationLimits { group_room: 0, ..limits }.nodes(), Some(0));
        assert_eq!(EstimationLimits { group_room: -3, ..limits }.nodes(), Some(0));
    }
}
