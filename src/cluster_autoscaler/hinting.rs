//! Scheduling simulation that tries a pod's last node first (`cluster-autoscaler/simulator/scheduling`).

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::pods::{Controller, PodInfo};
use super::snapshot::{Slot, Snapshot};
use cluster::pod::PodId;
use cluster::{ClusterView, Name};

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
struct SimilarPods(BTreeMap<Controller, Vec<Arc<PodInfo>>>);

impl SimilarPods {
    fn know(&self, pod: &PodInfo) -> bool {
        let known = pod.controller.as_ref().and_then(|controller| self.0.get(controller));
        known.into_iter().flatten().any(|known| known.is_like(pod))
    }

    fn remember(&mut self, pod: &Arc<PodInfo>) {
        let Some(controller) = pod.controller.clone().filter(|_| !pod.is_daemon_set_pod()) else {
            return;
        };
        let known = self.0.entry(controller).or_default();
        if known.len() < MAX_SIMILAR {
            known.push(Arc::clone(pod));
        }
    }
}

impl HintingSimulator {
    /// Schedules the pods on acceptable nodes one by one, and returns for each whether it succeeded; stops at the
    /// first failure if asked to (`TrySchedulePods`).
    pub(crate) fn try_schedule(
        &mut self,
        snapshot: &mut Snapshot,
        view: ClusterView<'_>,
        pods: &[Arc<PodInfo>],
        ends_with_failure: bool,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> Vec<bool> {
        let mut similar = SimilarPods::default();
        let mut found = Vec::with_capacity(pods.len());
        for pod in pods {
            let is_placed = self.by_hint(snapshot, view, pod, is_acceptable)
                || self.by_search(&mut similar, snapshot, view, pod, is_acceptable);
            found.push(is_placed);
            if !is_placed && ends_with_failure {
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
    ) -> bool {
        let hint = self.current.get(&pod.id).or_else(|| self.old.get(&pod.id)).cloned();
        let slot = hint.as_ref().and_then(|name| snapshot.slot(name));
        let (Some(hint), Some(slot)) = (hint, slot) else { return false };
        let is_placed = is_acceptable(slot) && snapshot.schedule(view, pod, slot).is_ok();
        if is_placed {
            self.current.insert(pod.id, hint);
        }
        is_placed
    }

    fn by_search(
        &mut self,
        similar: &mut SimilarPods,
        snapshot: &mut Snapshot,
        view: ClusterView<'_>,
        pod: &Arc<PodInfo>,
        is_acceptable: &dyn Fn(Slot) -> bool,
    ) -> bool {
        if similar.know(pod) {
            return false;
        }
        let Some(slot) = snapshot.schedule_anywhere(view, pod, is_acceptable) else {
            similar.remember(pod);
            return false;
        };
        self.current.insert(pod.id, snapshot.node(slot).node.meta.name().clone());
        true
    }

    /// Drops the hints that are older than the last loop.
    pub(crate) fn drop_old(&mut self) {
        self.old = std::mem::take(&mut self.current);
    }
}
