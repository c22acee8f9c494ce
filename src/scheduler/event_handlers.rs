//! Event handlers of the scheduler (`pkg/scheduler/eventhandlers.go`, 1.36): update its cache and queue, and requeue
//! waiting pods that a change may help.

use super::cache::Cache;
use super::cohorts::Common;
use super::framework::{ClusterEvent, PluginName};
use super::gpu::DeviceSet;
use super::node_info::PlacedPod;
use super::nominations::Nominated;
use super::queue::QueuedPod;
use super::schedule_one::{Scheduler, Tracked, cycle};
use cluster::node::NodeId;
use cluster::pod::{Pod, PodId};
use cluster::{Change, ClusterView, ObjectId, PodChanges, Write};

impl Scheduler {
    /// Handles a change, and requeues the pods that it may help.
    pub fn on_change(&mut self, view: ClusterView<'_>, change: &Change) {
        match *change {
            Change::NodeAdded(node) => self.node_added(view, node),
            Change::NodeUpdated(node) => self.node_updated(view, node),
            Change::Removed { object: ObjectId::Node(node), .. } => self.node_removed(view, node),
            Change::PodAdded(pod) => self.pod_added(view, pod),
            Change::PodUpdated(pod, what) => self.pod_updated(view, pod, what),
            Change::PodRemoved { pod, .. } => self.pod_gone(view, pod),
            Change::Spec(
                ObjectId::PersistentVolumeClaim(_)
                | ObjectId::PersistentVolume(_)
                | ObjectId::StorageClass(_),
                Write::Create,
            ) => {
                self.wake(view, None, |_| Some(ClusterEvent::ClaimAdded));
            }
            Change::Status(ObjectId::PersistentVolumeClaim(_))
            | Change::Spec(ObjectId::CSINode(_), _) => {
                self.wake(view, None, |_| Some(ClusterEvent::AttachmentsChanged));
            }
            _ => {}
        }
    }

    /// The API server refused to bind a pod: it leaves its node and is queued anew (`handleBindingCycleError`).
    pub fn binding_failed(&mut self, view: ClusterView<'_>, pod: PodId) {
        self.pod_gone(view, pod);
        if view.pods().get(pod).is_some_and(|pod| !pod.is_terminating()) {
            self.pod_added(view, pod);
        }
    }

    fn node_added(&mut self, view: ClusterView<'_>, id: NodeId) {
        let Some(node) = view.store().nodes().get(id) else { return };
        self.cache.add_node(id, node);
        self.wake(view, None, |cache| cache.get(id).map(ClusterEvent::NodeAdded));
    }

    fn node_updated(&mut self, view: ClusterView<'_>, id: NodeId) {
        let Some(node) = view.store().nodes().get(id) else { return };
        // The copy is only needed if pods might be requeued.
        let waits = self.queue.unschedulable_len() > 0;
        let before = self.cache.get(id).filter(|_| waits).cloned();
        self.cache.update_node(id, node);
        if let (Some(before), Some(after)) = (before, self.cache.get(id)) {
            let event = ClusterEvent::NodeUpdated { before: &before, after };
            let woken = self.woken(view, &event, None);
            self.queue.release(&woken, view.now);
        }
    }

    fn node_removed(&mut self, view: ClusterView<'_>, id: NodeId) {
        self.wake(view, None, |cache| cache.get(id).map(ClusterEvent::NodeRemoved));
        self.cache.remove_node(id);
    }

    fn pod_added(&mut self, view: ClusterView<'_>, id: PodId) {
        let Some(pod) = view.store().pods().get(id) else { return };
        if pod.phase.is_terminal() {
            return;
        }
        let class = self.cache.class_of(view, pod);
        let tracked = Tracked { pod: id, class, node: None, nominated: pod.nominated_node };
        if pod.node.is_some() {
            self.track(tracked);
            self.pod_bound(view, pod, id);
            return;
        }
        if self.profile_of(class).is_none() || self.cache.class(class).node_name.is_some() {
            return;
        }
        self.track(tracked);
        let (priority, is_gated) = self.priority_and_gate(class);
        self.queue.add(id, class, priority, view.now, is_gated);
        if let Some(node) = pod.nominated_node
            && !is_gated
        {
            self.nominations.set(node, Nominated { pod: id, class, priority });
        }
    }

    fn pod_updated(&mut self, view: ClusterView<'_>, id: PodId, what: PodChanges) {
        let Some(pod) = view.store().pods().get(id) else { return };
        if what.has(PodChanges::BOUND) {
            self.pod_bound(view, pod, id);
        }
        if what.has(PodChanges::NOMINATED) {
            self.pod_nominated(view, pod, id);
        }
        if what.has(PodChanges::PHASE) && pod.phase.is_terminal() {
            self.pod_gone(view, id);
        }
        if what.has(PodChanges::DELETION_REQUESTED)
            && let Some(node) = self.tracked(id).and_then(|tracked| tracked.node)
        {
            self.cache.set_terminating(node, id);
        }
        if what.has(PodChanges::LABELS.and(PodChanges::GATES)) {
            self.pod_reclassed(view, pod, id);
        }
        if what.has(PodChanges::RESIZED) {
            self.pod_resized(view, pod, id);
        }
    }

    fn pod_bound(&mut self, view: ClusterView<'_>, pod: &Pod, id: PodId) {
        let Some(node) = pod.node else { return };
        self.queue.remove(id);
        self.nominations.remove(id);
        let known = self.tracked(id).copied();
        let class = known.map_or_else(|| self.cache.class_of(view, pod), |known| known.class);
        if known.and_then(|known| known.node) != Some(node) {
            let is_terminating = pod.is_terminating();
            let devices = DeviceSet::NONE;
            self.cache.add_pod(node, PlacedPod { id: Some(id), class, is_terminating, devices });
        }
        self.track(Tracked { pod: id, class, node: Some(node), nominated: None });
        self.wake(view, None, |cache| Some(ClusterEvent::PodPlaced(cache.class(class))));
    }

    fn pod_nominated(&mut self, view: ClusterView<'_>, pod: &Pod, id: PodId) {
        let Some(tracked) = self.tracked(id).copied() else { return };
        self.track(Tracked { nominated: pod.nominated_node, ..tracked });
        let (priority, is_gated) = self.priority_and_gate(tracked.class);
        match pod.nominated_node {
            Some(node) if !is_gated => {
                let nominated = Nominated { pod: id, class: tracked.class, priority };
                self.nominations.set(node, nominated);
            }
            _ => self.nominations.remove(id),
        }
        // To pods of equal or lower priority it looks as if it had left its old node.
        if tracked.nominated.is_some() && tracked.nominated != pod.nominated_node {
            self.wake(view, Some(priority), |cache| {
                Some(ClusterEvent::NominationGone(cache.class(tracked.class)))
            });
        }
    }

    fn pod_reclassed(&mut self, view: ClusterView<'_>, pod: &Pod, id: PodId) {
        let Some(tracked) = self.tracked(id).copied() else { return };
        let class = self.cache.class_of(view, pod);
        self.track(Tracked { class, ..tracked });
        let Some(node) = tracked.node else {
            self.queue.set_class(id, class);
            if !self.priority_and_gate(class).1 {
                self.queue.ungate(id, class);
            }
            self.queue.requeue(id, view.now);
            return;
        };
        self.cache.remove_pod(node, id, tracked.class);
        let is_terminating = pod.is_terminating();
        let devices = DeviceSet::NONE;
        self.cache.add_pod(node, PlacedPod { id: Some(id), class, is_terminating, devices });
        self.wake(view, None, |cache| {
            let (before, after) = (cache.class(tracked.class), cache.class(class));
            Some(ClusterEvent::PodRelabelled { before, after })
        });
    }

    /// Resources released by a resize are available to other pods.
    fn pod_resized(&mut self, view: ClusterView<'_>, pod: &Pod, id: PodId) {
        let class = self.cache.class_of(view, pod);
        let known = self.tracked(id).copied().filter(|known| known.class != class);
        let Some(tracked) = known else { return };
        self.pod_reclassed(view, pod, id);
        let [before, after] = [tracked.class, class].map(|one| &self.cache.class(one).requests);
        let gives_back = before.milli_cpu > after.milli_cpu || before.memory > after.memory;
        if tracked.node.is_some() && gives_back {
            self.wake(view, None, |cache| Some(ClusterEvent::PodGone(cache.class(tracked.class))));
        }
    }

    fn pod_gone(&mut self, view: ClusterView<'_>, id: PodId) {
        let slot = self.tracked.get_mut(id.index());
        let Some(tracked) = slot.and_then(|slot| slot.take_if(|one| one.pod == id)) else { return };
        self.queue.remove(id);
        self.nominations.remove(id);
        if let Some(node) = tracked.node {
            self.cache.remove_pod(node, id, tracked.class);
        } else if tracked.nominated.is_none() {
            return;
        }
        let up_to = tracked.node.is_none().then(|| self.cache.class(tracked.class).priority);
        self.wake(view, up_to, |cache| {
            let class = cache.class(tracked.class);
            Some(match tracked.node {
                Some(_) => ClusterEvent::PodGone(class),
                None => ClusterEvent::NominationGone(class),
            })
        });
    }

    /// Requeues the waiting pods that an event may help, limited to priorities up to `up_to`.
    fn wake(
        &mut self,
        view: ClusterView<'_>,
        up_to: Option<i32>,
        event: impl FnOnce(&Cache) -> Option<ClusterEvent<'_>>,
    ) {
        if self.queue.unschedulable_len() == 0 {
            return;
        }
        if let Some(event) = event(&self.cache) {
            let woken = self.woken(view, &event, up_to);
            self.queue.release(&woken, view.now);
        }
    }

    /// The waiting cohorts that an event may make schedulable, among those with a priority up to `up_to`. An event that
    /// helps one pod of a cohort helps all.
    fn woken(
        &self,
        view: ClusterView<'_>,
        event: &ClusterEvent<'_>,
        up_to: Option<i32>,
    ) -> Vec<u32> {
        if !self.retries_waiting_pods {
            return Vec::new();
        }
        let counts = |common: &Common, queued: &QueuedPod| {
            up_to.is_none_or(|up_to| common.priority <= up_to)
                && self.helps(view, event, &common.rejected_by, queued)
        };
        let waiting = self.queue.waiting_cohorts();
        waiting.filter(|(_, common, queued)| counts(common, queued)).map(|(id, ..)| id).collect()
    }

    fn helps(
        &self,
        view: ClusterView<'_>,
        event: &ClusterEvent<'_>,
        rejected_by: &[PluginName],
        queued: &QueuedPod,
    ) -> bool {
        let Some(pod) = view.store().pods().get(queued.pod) else { return false };
        let Some(profile) = self.profile_of(queued.class) else { return false };
        let Some(tracked) = self.tracked(queued.pod) else { return false };
        let cycle = cycle(&self.cache, view, queued.pod, tracked.class, pod);
        self.profiles[profile].pre_filters.iter().any(|entry| {
            rejected_by.contains(&entry.name)
                && entry.plugin.as_ref().is_some_and(|plugin| plugin.queueing_hint(&cycle, event))
        })
    }
}
