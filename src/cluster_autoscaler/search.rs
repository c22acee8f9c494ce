//! The search for a node in the snapshot that a pod fits (`SchedulePodOnAnyNodeMatching`).

use std::sync::Arc;

use super::pods::PodInfo;
use super::snapshot::{Slot, Snapshot, may_be};
use cluster::ClusterView;
use scheduler::cycle::{check, prepare};
use scheduler::node_info::NodeInfo;
use scheduler::nominations::Nominations;
use scheduler::pod_class::PodClass;

impl Snapshot {
    /// Puts a pod on the first acceptable node that it fits, searching from the one after the last match
    /// (`SchedulePodOnAnyNodeMatching`).
    pub(crate) fn schedule_anywhere(
        &mut self,
        view: ClusterView<'_>,
        pod: &Arc<PodInfo>,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Option<Slot> {
        let position = self.search(view, pod, is_acceptable)?;
        self.last_match = position;
        let slot = self.order[position];
        self.add_pod(slot, Arc::clone(pod));
        Some(slot)
    }

    /// The same among a few nodes only.
    pub(crate) fn schedule_among(
        &mut self,
        view: ClusterView<'_>,
        pod: &Arc<PodInfo>,
        slots: &[Slot],
    ) -> Option<Slot> {
        let mut positions: Vec<usize> = Vec::with_capacity(slots.len());
        for slot in slots {
            // Nodes that were added together are usually side by side.
            let guess = positions.last().map_or(0, |last| last + 1);
            let found = Some(guess).filter(|guess| self.order.get(*guess) == Some(slot));
            let found = found.or_else(|| self.place_of(self.node(*slot).node.meta.name()).ok());
            positions.extend(found);
        }
        positions.sort_unstable();
        let first = positions.partition_point(|position| *position <= self.last_match);
        positions.rotate_left(first);
        let position = self.first_that_fits(view, pod, positions.into_iter())?;
        self.last_match = position;
        let slot = self.order[position];
        self.add_pod(slot, Arc::clone(pod));
        Some(slot)
    }

    fn search(
        &self,
        view: ClusterView<'_>,
        pod: &PodInfo,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Option<usize> {
        let count = self.order.len();
        let positions = (0..count).map(|step| (step + 1 + self.last_match) % count);
        let is_acceptable = |position: &usize| is_acceptable(self.order[*position]);
        self.first_that_fits(view, pod, positions.filter(is_acceptable))
    }

    /// The first of these positions with a node that the pod fits.
    fn first_that_fits(
        &self,
        view: ClusterView<'_>,
        pod: &PodInfo,
        mut positions: impl Iterator<Item = usize>,
    ) -> Option<usize> {
        let cycle = self.cycle(view, pod);
        let prepared = prepare(&self.profile, &cycle);
        if prepared.refusal.is_some() {
            return None;
        }
        let nominations = Nominations::default();
        positions.find(|position| {
            let slot = self.order[*position];
            if !may_be(&prepared, slot) {
                return false;
            }
            let node = self.cache.node(slot);
            !node.unschedulable
                && !is_short(node, cycle.pod.class)
                && check(&prepared.filters, &cycle, &nominations, node).is_ok()
        })
    }
}

/// True if NodeResourcesFit rejects the node, without the reasons: a cheap test, as most nodes are full.
fn is_short(node: &NodeInfo, pod: &PodClass) -> bool {
    let (free, asked) = (&node.allocatable, &pod.requests);
    let lacks = |asked: i64, free: i64, used: i64| asked > 0 && asked > free.saturating_sub(used);
    node.pods.len() + 1 > node.allowed_pods
        || lacks(asked.milli_cpu, free.milli_cpu, node.requested.milli_cpu)
        || lacks(asked.memory, free.memory, node.requested.memory)
}
