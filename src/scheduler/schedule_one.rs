//! The scheduler of a simulation: hears what changed, and places one pod at a time.

use std::sync::Arc;

use super::cache::Cache;
use super::decision::{Attempt, Decision, Verdict, decide};
use super::framework::{ClusterEvent, CycleContext, PodToPlace};
use super::gpu::DeviceSet;
use super::message::{assigned, cut};
use super::node_info::{ClassId, PlacedPod};
use super::nominations::{Nominated, Nominations};
use super::placement_index::PlacementIndex;
use super::plugins::topology_spread::may_count_by_node;
use super::preemption::{Candidate, PREEMPTION_BY_SCHEDULER, PostFilter};
use super::profile::{Profile, ProfileError, SchedulerConfiguration};
use super::queue::{QueuedPod, SchedulingQueue};
use super::tie_break::TieBreaker;
use cluster::action::{Event, PodDeletion};
use cluster::node::NodeId;
use cluster::pod::{Pod, PodId};
use cluster::{Action, Change, ClusterView, PodChanges};
use engine::SimTime;

/// Under this name the scheduler acts.
pub const ACTOR: &str = "default-scheduler";

/// kube-scheduler with all its profiles.
#[derive(Clone, Debug)]
pub struct Scheduler {
    profiles: Arc<[Profile]>,
    cache: Cache,
    queue: SchedulingQueue,
    nominations: Nominations,
    /// Position in the order of nodes at which the next cycle starts to look.
    start: usize,
    ties: TieBreaker,
    retries_waiting_pods: bool,
    index: PlacementIndex,
    /// Whether every pod gets a full cycle, for comparison.
    always_full: bool,
    /// Whether it writes no Events about pods that it places.
    is_silent: bool,
    /// By slot of the pod's id.
    tracked: Vec<Option<Tracked>>,
}

/// A pod that the scheduler knows of.
#[derive(Clone, Copy, Debug)]
struct Tracked {
    pod: PodId,
    class: ClassId,
    /// Where it is, or is assumed to be.
    node: Option<NodeId>,
    /// Where the API server has it nominated to.
    nominated: Option<NodeId>,
}

impl Scheduler {
    /// A scheduler that knows of nothing yet.
    pub fn new(
        configuration: &SchedulerConfiguration,
        ties: TieBreaker,
    ) -> Result<Self, ProfileError> {
        let profiles = configuration.resolve()?;
        let keys = profiles.iter().flat_map(Profile::topology_keys);
        let mut queue =
            SchedulingQueue::new(configuration.initial_backoff, configuration.max_backoff);
        queue.retries = configuration.retries_waiting_pods;
        Ok(Self {
            cache: Cache::new(keys),
            profiles: profiles.into(),
            queue,
            nominations: Nominations::default(),
            start: 0,
            ties,
            retries_waiting_pods: configuration.retries_waiting_pods,
            index: PlacementIndex::default(),
            always_full: false,
            is_silent: false,
            tracked: Vec::new(),
        })
    }

    /// The nodes with their pods, as the scheduler sees them.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The pods that wait.
    pub const fn queue(&self) -> &SchedulingQueue {
        &self.queue
    }

    /// When there is something to do next, if nothing changes until then.
    pub fn wake_time(&self, now: SimTime) -> Option<SimTime> {
        self.queue.wake_time(now)
    }

    /// Whether a pod's gates keep it out of the queue: not without the plugin that minds them.
    pub fn is_gated(&self, pod: PodId) -> bool {
        self.tracked(pod).is_some_and(|tracked| self.priority_and_gate(tracked.class).1)
    }

    /// Puts a waiting pod into the active queue, whatever its back-off.
    pub fn activate(&mut self, pod: PodId) {
        self.queue.activate(pod);
    }

    /// Hears of a change, and lets the pods try again that it may help.
    pub fn on_change(&mut self, view: ClusterView<'_>, change: Change) {
        match change {
            Change::NodeAdded(node) => self.node_added(view, node),
            Change::NodeUpdated(node) => self.node_updated(view, node),
            Change::NodeRemoved(node) => self.node_removed(view, node),
            Change::PodAdded(pod) => self.pod_added(view, pod),
            Change::PodUpdated(pod, what) => self.pod_updated(view, pod, what),
            Change::PodRemoved { pod, .. } => self.pod_gone(view, pod),
            Change::ClaimAdded => {
                let woken = self.woken(view, &ClusterEvent::ClaimAdded, None);
                self.requeue(woken, view.now);
            }
            _ => {}
        }
    }

    /// Gives every pod a full cycle, though what follows from the nodes alone is known: for comparison.
    pub const fn always_full(&mut self) {
        self.always_full = true;
    }

    /// Writes no Events about pods that are placed, where nobody reads them.
    pub const fn be_silent(&mut self) {
        self.is_silent = true;
    }

    /// Tries to place the next pod of the queue, which it returns; `None` if there is none to try.
    /// Decides as [`Self::next`] does, and keeps no account of it.
    pub fn place_next(
        &mut self,
        view: ClusterView<'_>,
        actions: &mut Vec<Action>,
    ) -> Option<PodId> {
        let (queued, pod, profile) = self.pop(view)?;
        let id = queued.pod;
        self.prepare_counts(view, &queued, pod);
        if self.always_full || !self.place_by_index(view, profile, &queued, pod, actions) {
            self.attempt(view, profile, queued, pod, actions);
        }
        Some(id)
    }

    /// Tries to place the next pod of the queue; `None` if there is none to try.
    pub fn next(&mut self, view: ClusterView<'_>, actions: &mut Vec<Action>) -> Option<Attempt> {
        let (queued, pod, profile) = self.pop(view)?;
        self.prepare_counts(view, &queued, pod);
        Some(self.attempt(view, profile, queued, pod, actions))
    }

    /// The next pod that still waits, with its profile.
    fn pop<'v>(&mut self, view: ClusterView<'v>) -> Option<(QueuedPod, &'v Pod, usize)> {
        loop {
            let queued = self.queue.pop(view.now)?;
            if let Some(pod) = view.store().pods().get(queued.pod)
                && pod.node.is_none()
                && let Some(profile) = self.profile_of(queued.class)
            {
                return Some((queued, pod, profile));
            }
        }
    }

    /// Lets the cache count pods by node if this one may be the first for which it matters.
    fn prepare_counts(&mut self, view: ClusterView<'_>, queued: &QueuedPod, pod: &Pod) {
        if self.cache.counts_by_node() {
            return;
        }
        let place = PodToPlace {
            id: Some(queued.pod),
            class: self.cache.class(queued.class),
            owner: pod.owner,
            nominated_node: None,
        };
        if may_count_by_node(&CycleContext { cache: &self.cache, view, pod: place }) {
            self.cache.count_by_node();
        }
    }

    /// The GPUs that a pod shares on its node; none if it shares none, or is not placed.
    pub fn devices_of(&self, pod: PodId) -> DeviceSet {
        let placed = self.tracked(pod).and_then(|tracked| self.cache.get(tracked.node?));
        let placed = placed.and_then(|node| node.pods.iter().find(|one| one.id == Some(pod)));
        placed.map_or(DeviceSet::NONE, |placed| placed.devices)
    }

    /// Places a pod where what is known of the nodes is enough to say where; else does nothing.
    fn place_by_index(
        &mut self,
        view: ClusterView<'_>,
        profile: usize,
        queued: &QueuedPod,
        pod: &Pod,
        actions: &mut Vec<Action>,
    ) -> bool {
        let tracked = Tracked {
            pod: queued.pod,
            class: queued.class,
            node: None,
            nominated: pod.nominated_node,
        };
        // The index has the best nodes, not the heap of all in which one of them is on top.
        if matches!(self.ties, TieBreaker::TopOfHeap) {
            return false;
        }
        let profiles = Arc::clone(&self.profiles);
        let profile = &profiles[profile];
        let cycle =
            CycleContext { cache: &self.cache, view, pod: to_place(&self.cache, &tracked, pod) };
        let (class, start, ties) = (queued.class, self.start, &mut self.ties);
        let found = self.index.place(profile, &cycle, class, &self.nominations, start, ties);
        let Some(placement) = found else { return false };
        self.start = placement.next_start;
        self.place(view, profile, tracked, placement.node, pod, actions);
        true
    }

    /// What the scheduler would decide about a pod now; about one that has its node, as if it were
    /// not there. `None` if it does not know of the pod.
    pub fn examine(&self, view: ClusterView<'_>, pod: PodId) -> Option<Decision> {
        let tracked = self.tracked(pod)?;
        let object = view.store().pods().get(pod)?;
        let profile = &self.profiles[self.profile_of(tracked.class)?];
        let mut without = None;
        if let Some(node) = tracked.node {
            without.insert(self.cache.clone()).remove_pod(node, pod, tracked.class);
        }
        let cache = without.as_ref().unwrap_or(&self.cache);
        let cycle = CycleContext { cache, view, pod: to_place(cache, tracked, object) };
        Some(decide(profile, &cycle, &self.nominations, self.start, &mut self.ties.clone()))
    }

    fn attempt(
        &mut self,
        view: ClusterView<'_>,
        profile: usize,
        queued: QueuedPod,
        pod: &Pod,
        actions: &mut Vec<Action>,
    ) -> Attempt {
        let tracked = Tracked {
            pod: queued.pod,
            class: queued.class,
            node: None,
            nominated: pod.nominated_node,
        };
        let decision = {
            let place = to_place(&self.cache, &tracked, pod);
            let cycle = CycleContext { cache: &self.cache, view, pod: place };
            let profile = &self.profiles[profile];
            decide(profile, &cycle, &self.nominations, self.start, &mut self.ties)
        };
        self.start = decision.feasibility.next_start;
        let (number, nominated_node) = (queued.attempts, pod.nominated_node);
        match &decision.verdict {
            Verdict::Placed { node, .. } => {
                let profiles = Arc::clone(&self.profiles);
                self.place(view, &profiles[profile], tracked, *node, pod, actions);
            }
            Verdict::Waits { post_filter, chosen, message } => {
                if let Some(candidate) = chosen {
                    self.preempt(view, &queued, candidate, actions);
                } else if let Some(PostFilter::Failed { clears_nomination: true, .. }) = post_filter
                    && pod.nominated_node.is_some()
                {
                    self.nominations.remove(queued.pod);
                    actions.push(Action::NominatePod(queued.pod, None));
                }
                actions.push(event(pod, true, "FailedScheduling", cut(message)));
                let rejected_by = decision.feasibility.diagnosis.rejecting_plugins();
                self.queue.add_unschedulable(queued, rejected_by, view.now);
            }
        }
        Attempt { pod: tracked.pod, number, nominated_node, decision }
    }

    fn place(
        &mut self,
        view: ClusterView<'_>,
        profile: &Profile,
        tracked: Tracked,
        slot: usize,
        pod: &Pod,
        actions: &mut Vec<Action>,
    ) {
        let node = self.cache.node(slot);
        let devices = profile.reserve.as_ref().map_or(DeviceSet::NONE, |plugin| {
            let place = to_place(&self.cache, &tracked, pod);
            plugin.reserve(&CycleContext { cache: &self.cache, view, pod: place }, node)
        });
        let id = node.id;
        let message = (!self.is_silent).then(|| assigned(&pod.id, &node.name));
        self.nominations.remove(tracked.pod);
        let placed = PlacedPod {
            id: Some(tracked.pod),
            class: tracked.class,
            is_terminating: false,
            devices,
        };
        self.cache.add_pod(id, placed);
        self.track(Tracked { node: Some(id), ..tracked });
        actions.push(Action::BindPod(tracked.pod, id));
        actions.extend(message.map(|message| event(pod, false, "Scheduled", message)));
    }

    /// Asks for the victims to go, takes the nomination from those that the pod outranks on the
    /// node, and nominates it.
    fn preempt(
        &mut self,
        view: ClusterView<'_>,
        queued: &QueuedPod,
        candidate: &Candidate,
        actions: &mut Vec<Action>,
    ) {
        let node = self.cache.node(candidate.node);
        for victim in &candidate.victims {
            let Some(id) = victim.pod.id else { continue };
            let Some(object) = view.store().pods().get(id) else { continue };
            if object.is_terminating() {
                continue;
            }
            let disruption = Some(PREEMPTION_BY_SCHEDULER);
            let deletion = PodDeletion { disruption, ..PodDeletion::default() };
            actions.push(Action::DeletePod(id, deletion));
            let preemptor = view.store().pods().get(queued.pod).map_or(0, |pod| pod.uid);
            let message = format!("Preempted by pod {preemptor:x} on node {}", node.name);
            actions.push(event(object, false, "Preempted", message));
        }
        for outranked in self.nominations.on(node.id) {
            if outranked.priority < queued.priority {
                actions.push(Action::NominatePod(outranked.pod, None));
            }
        }
        actions.push(Action::NominatePod(queued.pod, Some(node.id)));
        let nominated =
            Nominated { pod: queued.pod, class: queued.class, priority: queued.priority };
        self.nominations.set(node.id, nominated);
    }

    fn node_added(&mut self, view: ClusterView<'_>, id: NodeId) {
        let Some(node) = view.store().nodes().get(id) else { return };
        self.cache.add_node(id, node);
        if let Some(added) = self.cache.get(id) {
            let woken = self.woken(view, &ClusterEvent::NodeAdded(added), None);
            self.requeue(woken, view.now);
        }
    }

    fn node_updated(&mut self, view: ClusterView<'_>, id: NodeId) {
        let Some(node) = view.store().nodes().get(id) else { return };
        // The copy is only for the pods that may wake up.
        let waits = self.queue.unschedulable_len() > 0;
        let before = self.cache.get(id).filter(|_| waits).cloned();
        self.cache.update_node(id, node);
        if let (Some(before), Some(after)) = (before, self.cache.get(id)) {
            let event = ClusterEvent::NodeUpdated { before: &before, after };
            let woken = self.woken(view, &event, None);
            self.requeue(woken, view.now);
        }
    }

    fn node_removed(&mut self, view: ClusterView<'_>, id: NodeId) {
        if let Some(node) = self.cache.get(id) {
            let woken = self.woken(view, &ClusterEvent::NodeRemoved(node), None);
            self.requeue(woken, view.now);
        }
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
            self.cache.add_pod(
                node,
                PlacedPod { id: Some(id), class, is_terminating, devices: DeviceSet::NONE },
            );
        }
        self.track(Tracked { pod: id, class, node: Some(node), nominated: None });
        let event = ClusterEvent::PodPlaced(self.cache.class(class));
        let woken = self.woken(view, &event, None);
        self.requeue(woken, view.now);
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
        // For pods that matter no more it is as if it had left its old node.
        if tracked.nominated.is_some() && tracked.nominated != pod.nominated_node {
            let event = ClusterEvent::NominationGone(self.cache.class(tracked.class));
            let woken = self.woken(view, &event, Some(priority));
            self.requeue(woken, view.now);
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
        let (before, after) = (self.cache.class(tracked.class), self.cache.class(class));
        let woken = self.woken(view, &ClusterEvent::PodRelabelled { before, after }, None);
        self.requeue(woken, view.now);
    }

    /// What a pod gives back is room for others.
    fn pod_resized(&mut self, view: ClusterView<'_>, pod: &Pod, id: PodId) {
        let class = self.cache.class_of(view, pod);
        let known = self.tracked(id).copied().filter(|known| known.class != class);
        let Some(tracked) = known else { return };
        self.pod_reclassed(view, pod, id);
        let (before, after) = (self.cache.class(tracked.class), &self.cache.class(class).requests);
        let gives_back =
            before.requests.milli_cpu > after.milli_cpu || before.requests.memory > after.memory;
        if tracked.node.is_some() && gives_back {
            let woken = self.woken(view, &ClusterEvent::PodGone(before), None);
            self.requeue(woken, view.now);
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
        let class = self.cache.class(tracked.class);
        let (event, up_to) = match tracked.node {
            Some(_) => (ClusterEvent::PodGone(class), None),
            None => (ClusterEvent::NominationGone(class), Some(class.priority)),
        };
        let woken = self.woken(view, &event, up_to);
        self.requeue(woken, view.now);
    }

    /// The waiting pods that an event may help, of those whose priority is not above `up_to`.
    fn woken(
        &self,
        view: ClusterView<'_>,
        event: &ClusterEvent<'_>,
        up_to: Option<i32>,
    ) -> Vec<PodId> {
        if !self.retries_waiting_pods {
            return Vec::new();
        }
        let waiting = self.queue.unschedulable();
        let counts = |queued: &&QueuedPod| {
            up_to.is_none_or(|up_to| queued.priority <= up_to) && self.helps(view, event, queued)
        };
        waiting.filter(counts).map(|queued| queued.pod).collect()
    }

    fn helps(&self, view: ClusterView<'_>, event: &ClusterEvent<'_>, queued: &QueuedPod) -> bool {
        let Some(pod) = view.store().pods().get(queued.pod) else { return false };
        let Some(profile) = self.profile_of(queued.class) else { return false };
        let Some(tracked) = self.tracked(queued.pod) else { return false };
        let cycle =
            CycleContext { cache: &self.cache, view, pod: to_place(&self.cache, tracked, pod) };
        self.profiles[profile].pre_filters.iter().any(|entry| {
            queued.rejected_by.contains(&entry.name)
                && entry.plugin.as_ref().is_some_and(|plugin| plugin.queueing_hint(&cycle, event))
        })
    }

    fn requeue(&mut self, pods: Vec<PodId>, now: SimTime) {
        for pod in pods {
            self.queue.requeue(pod, now);
        }
    }

    fn profile_of(&self, class: ClassId) -> Option<usize> {
        let name = &self.cache.class(class).scheduler_name;
        self.profiles.iter().position(|profile| profile.scheduler_name == *name)
    }

    fn priority_and_gate(&self, class: ClassId) -> (i32, bool) {
        let has_gates = self.profile_of(class).is_some_and(|at| self.profiles[at].has_gates);
        let class = self.cache.class(class);
        (class.priority, has_gates && !class.scheduling_gates.is_empty())
    }

    fn tracked(&self, pod: PodId) -> Option<&Tracked> {
        self.tracked.get(pod.index())?.as_ref().filter(|tracked| tracked.pod == pod)
    }

    fn track(&mut self, tracked: Tracked) {
        let slot = tracked.pod.index();
        if self.tracked.len() <= slot {
            self.tracked.resize(slot + 1, None);
        }
        self.tracked[slot] = Some(tracked);
    }
}

fn to_place<'a>(cache: &'a Cache, tracked: &Tracked, pod: &Pod) -> PodToPlace<'a> {
    PodToPlace {
        id: Some(tracked.pod),
        class: cache.class(tracked.class),
        owner: pod.owner,
        nominated_node: pod.nominated_node,
    }
}

fn event(pod: &Pod, is_warning: bool, reason: &'static str, message: String) -> Action {
    let object = pod.id.clone();
    Action::Event(Box::new(Event { kind: "Pod", object, is_warning, reason, message }))
}
