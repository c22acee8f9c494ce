//! Scheduling simulation that tries a pod's last node first (`cluster-autoscaler/simulator/scheduling`).

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::pods::{Controller, PodInfo};
use super::snapshot::{Slot, Snapshot};
use cluster::pod::PodId;
use cluster::{ClusterView, Name};
use scheduler::node_info::ClassId;

/// Most unschedulable pods remembered per controller (`maxPodsPerOwnerRef`).
const MAX_SIMILAR: usize = 10;

/// The nodes found for pods in this loop and in the previous one.
#[derive(Clone, Debug, Default)]
pub(crate) struct HintingSimulator {
    /// Only ever looked up, never iterated.
    current: FxHashMap<PodId, Name>,
    /// Only ever looked up, never iterated.
    old: FxHashMap<PodId, Name>,
}

/// Unschedulable pods; equivalent pods need not be tried.
#[derive(Default)]
struct SimilarPods {
    by_controller: BTreeMap<Controller, Vec<Arc<PodInfo>>>,
    /// Classes that no node has room for, each in place of all that every node judges alike. Nodes only get fuller. Only
    /// ever looked up, never iterated.
    without_room: FxHashSet<ClassId>,
}

impl SimilarPods {
    fn know(&self, pod: &PodInfo) -> bool {
        let known = pod.controller.as_ref();
        let known = known.and_then(|controller| self.by_controller.get(controller));
        known.into_iter().flatten().any(|known| known.is_like(pod))
    }

    /// Searches for a node, unless no node has room for pods of this size.
    fn search(
        &mut self,
        snapshot: &mut Snapshot,
        view: ClusterView<'_>,
        pod: &Arc<PodInfo>,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Option<Slot> {
        let demand = snapshot.depends_on_one_node(pod).then(|| snapshot.demand_of(pod));
        if demand.is_some_and(|demand| self.without_room.contains(&demand)) {
            return None;
        }
        let found = snapshot.schedule_anywhere(view, pod, is_acceptable);
        if found.is_none() {
            self.without_room.extend(demand);
        }
        found
    }

    fn remember(&mut self, pod: &Arc<PodInfo>) {
        let Some(controller) = pod.controller.clone().filter(|_| !pod.is_daemon_set_pod()) else {
            return;
        };
        let known = self.by_controller.entry(controller).or_default();
        if known.len() < MAX_SIMILAR {
            known.push(Arc::clone(pod));
        }
    }
}

impl HintingSimulator {
    /// Schedules the pods on acceptable nodes one by one, and returns the node of each; stops at the
    /// first failure if asked to (`TrySchedulePods`).
    pub(crate) fn try_schedule(
        &mut self,
        snapshot: &mut Snapshot,
        view: ClusterView<'_>,
        pods: &[Arc<PodInfo>],
        ends_with_failure: bool,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Vec<Option<Slot>> {
        let mut similar = SimilarPods::default();
        let mut found = Vec::with_capacity(pods.len());
        for pod in pods {
            let slot = self
                .by_hint(snapshot, view, pod, is_acceptable)
                .or_else(|| self.by_search(&mut similar, snapshot, view, pod, is_acceptable));
            found.push(slot);
            if slot.is_none() && ends_with_failure {
                break;
            }
        }
        found
    }

    fn by_hint(
        &mut self,
        snapshot: &mut Snapshot,
        view: ClusterView<'_>,
        pod: &Arc<PodInfo>,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Option<Slot> {
        let hint = self.current.get(&pod.id).or_else(|| self.old.get(&pod.id)).cloned();
        let slot = hint.as_ref().and_then(|name| snapshot.slot(name));
        let (hint, slot) = (hint?, slot?);
        let is_placed = is_acceptable(slot) && snapshot.schedule(view, pod, slot).is_ok();
        if is_placed {
            self.current.insert(pod.id, hint);
        }
        is_placed.then_some(slot)
    }

    fn by_search(
        &mut self,
        similar: &mut SimilarPods,
        snapshot: &mut Snapshot,
        view: ClusterView<'_>,
        pod: &Arc<PodInfo>,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Option<Slot> {
        if similar.know(pod) {
            return None;
        }
        let Some(slot) = similar.search(snapshot, view, pod, is_acceptable) else {
            similar.remember(pod);
            return None;
        };
        self.current.insert(pod.id, snapshot.node(slot).node.meta.name().clone());
        Some(slot)
    }

    /// Remembers the node of a pod in the last loop.
    pub(crate) fn remember(&mut self, pod: PodId, node: Name) {
        self.old.insert(pod, node);
    }

    /// Drops the hints that are older than the last loop.
    pub(crate) fn drop_old(&mut self) {
        self.old = std::mem::take(&mut self.current);
    }
}
