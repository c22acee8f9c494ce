//! The scheduler of a simulation: places one pod at a time. Its reaction to changes is in `event_handlers`.

use std::sync::Arc;

use super::cache::Cache;
use super::cohorts::CohortKey;
use super::decision::{Attempt, Decision, Verdict, decide};
use super::framework::{CycleContext, PluginName, PodToPlace, Scope};
use super::gpu::DeviceSet;
use super::message::{assigned, cut};
use super::node_info::{ClassId, PlacedPod};
use super::nominations::{Nominated, Nominations};
use super::placement_index::PlacementIndex;
use super::plugins::topology_spread::may_count_by_node;
use super::preemption::{Candidate, PREEMPTION_BY_SCHEDULER, PostFilter};
use super::profile::{Profile, ProfileError, SchedulerConfiguration};
use super::queue::{QueuedPod, Rejection, SchedulingQueue};
use super::reason_sets::ReasonSets;
use super::tie_break::TieBreaker;
use cluster::action::{Event, PodDeletion};
use cluster::assigned::uid_text;
use cluster::node::NodeId;
use cluster::pod::{Pod, PodId};
use cluster::{Action, ClusterView, Kind, Name};
use engine::SimTime;

/// Under this name the scheduler acts.
pub const ACTOR: &str = "default-scheduler";

/// kube-scheduler with all its profiles.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub(super) profiles: Arc<[Profile]>,
    pub(super) cache: Cache,
    pub(super) queue: SchedulingQueue,
    pub(super) nominations: Nominations,
    /// Position in the order of nodes at which the next cycle starts to look.
    pub(super) start: usize,
    pub(super) ties: TieBreaker,
    pub(super) retries_waiting_pods: bool,
    pub(super) index: PlacementIndex,
    pub(super) reason_sets: ReasonSets,
    /// Whether every pod gets a full cycle, for comparison.
    always_full: bool,
    /// Whether Events of scheduled pods are suppressed.
    is_silent: bool,
    /// By slot of the pod's id.
    pub(super) tracked: Vec<Option<Tracked>>,
}

/// A pod that the scheduler knows of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracked {
    pub(super) pod: PodId,
    pub(super) class: ClassId,
    /// The node to which it is bound, or assumed to be.
    pub(super) node: Option<NodeId>,
    /// The node to which the API server has it nominated.
    pub(super) nominated: Option<NodeId>,
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
            reason_sets: ReasonSets::default(),
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

    /// Time of the next attempt, if nothing changes until then.
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

    /// Forces a full cycle for every pod, bypassing the placement index; for comparison.
    pub const fn always_full(&mut self) {
        self.always_full = true;
    }

    /// Suppresses the Events of scheduled pods if they are not read.
    pub const fn suppress_events(&mut self) {
        self.is_silent = true;
    }

    /// Tries to place the next pod of the queue and returns it; `None` if there is none to try. Decides as
    /// [`Self::next`] does, without recording the decision.
    pub fn place_next(
        &mut self,
        view: ClusterView<'_>,
        actions: &mut Vec<Action>,
    ) -> Option<PodId> {
        if !self.always_full {
            self.reject_batch(view, actions);
        }
        let (queued, pod, profile) = self.pop(view)?;
        let id = queued.pod;
        self.prepare_counts(view, &queued, pod);
        let is_done = !self.always_full
            && (self.place_by_index(view, profile, &queued, pod, actions)
                || self.reject_by_index(view, profile, &queued, pod, actions));
        if !is_done {
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

    /// The next pod that is still waiting, with its profile.
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
        if may_count_by_node(&cycle(&self.cache, view, queued.pod, queued.class, pod)) {
            self.cache.count_by_node();
        }
    }

    /// The GPUs that a pod shares on its node; none if it shares none, or is not placed.
    pub fn devices_of(&self, pod: PodId) -> DeviceSet {
        let placed = self.tracked(pod).and_then(|tracked| self.cache.get(tracked.node?));
        let placed = placed.and_then(|node| node.pods.iter().find(|one| one.id == Some(pod)));
        placed.map_or(DeviceSet::NONE, |placed| placed.devices)
    }

    /// Places a pod if the placement index suffices to decide; otherwise does nothing.
    fn place_by_index(
        &mut self,
        view: ClusterView<'_>,
        profile: usize,
        queued: &QueuedPod,
        pod: &Pod,
        actions: &mut Vec<Action>,
    ) -> bool {
        // The index has the best nodes, not the heap of all in which one of them is on top.
        if matches!(self.ties, TieBreaker::TopOfHeap) {
            return false;
        }
        let profiles = Arc::clone(&self.profiles);
        let profile = &profiles[profile];
        let (class, start, ties) = (queued.class, self.start, &mut self.ties);
        let cycle = cycle(&self.cache, view, queued.pod, class, pod);
        let found = self.index.place(profile, &cycle, class, &self.nominations, start, ties);
        let Some(placement) = found else { return false };
        self.start = placement.next_start;
        self.place(view, profile, queued, placement.node, pod, actions);
        true
    }

    /// The decision that the scheduler would currently make about a pod; one that is already placed is treated as if
    /// it were not. `None` if it does not know the pod.
    pub fn examine(&self, view: ClusterView<'_>, pod: PodId) -> Option<Decision> {
        let tracked = self.tracked(pod)?;
        let object = view.store().pods().get(pod)?;
        let profile = &self.profiles[self.profile_of(tracked.class)?];
        let mut without = None;
        if let Some(node) = tracked.node {
            without.insert(self.cache.clone()).remove_pod(node, pod, tracked.class);
        }
        let cache = without.as_ref().unwrap_or(&self.cache);
        let cycle = cycle(cache, view, pod, tracked.class, object);
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
        let profiles = Arc::clone(&self.profiles);
        let profile = &profiles[profile];
        let cycle = cycle(&self.cache, view, queued.pod, queued.class, pod);
        let decision = decide(profile, &cycle, &self.nominations, self.start, &mut self.ties);
        self.start = decision.feasibility.next_start;
        let (id, number, nominated_node) = (queued.pod, queued.attempts, pod.nominated_node);
        match &decision.verdict {
            Verdict::Placed { node, .. } => {
                self.place(view, profile, &queued, *node, pod, actions);
            }
            Verdict::Waits { post_filter, chosen, message } => {
                if let Some(candidate) = chosen {
                    self.preempt(view, &queued, candidate, actions);
                } else if clears_nomination(post_filter.as_ref()) && pod.nominated_node.is_some() {
                    self.nominations.remove(queued.pod);
                    actions.push(Action::NominatePod(queued.pod, None));
                }
                let diagnosis = &decision.feasibility.diagnosis;
                let reasons = self.reason_sets.reasons(diagnosis.reasons());
                let reason_sets = self.reason_sets.and(queued.reason_sets, reasons);
                if reason_sets.is_some() {
                    actions.push(event(pod, true, "FailedScheduling", cut(message)));
                }
                let by: Arc<[PluginName]> = diagnosis.rejecting_plugins().into();
                let alike = self.alike_of(profile, queued.class, &by);
                let reason_sets = reason_sets.unwrap_or(queued.reason_sets);
                self.queue.add_unschedulable(
                    queued,
                    Rejection { alike, by, reason_sets },
                    view.now,
                );
            }
        }
        Attempt { pod: id, number, nominated_node, decision }
    }

    /// Which pods are rejected alike, as one of this class was by these plugins.
    pub(super) fn alike_of(
        &self,
        profile: &Profile,
        class: ClassId,
        by: &[PluginName],
    ) -> CohortKey {
        let of_one_node = |name: &PluginName| {
            let entry = profile.pre_filters.iter().find(|entry| entry.name == *name);
            let plugin = entry.and_then(|entry| entry.plugin.as_ref());
            plugin.is_some_and(|plugin| plugin.scope() == Scope::Node)
        };
        let looks_at_nodes_alone = !self.cache.has_anti_affinity_classes()
            && self.cache.class(class).depends_on_one_node()
            && by.iter().all(of_one_node);
        if looks_at_nodes_alone {
            CohortKey { class: self.cache.alike(class), is_shared: true }
        } else {
            CohortKey { class, is_shared: false }
        }
    }

    fn place(
        &mut self,
        view: ClusterView<'_>,
        profile: &Profile,
        queued: &QueuedPod,
        slot: usize,
        pod: &Pod,
        actions: &mut Vec<Action>,
    ) {
        let QueuedPod { pod: id, class, .. } = *queued;
        let node = self.cache.node(slot);
        let devices = profile.reserve.as_ref().map_or(DeviceSet::NONE, |plugin| {
            plugin.reserve(&cycle(&self.cache, view, id, class, pod), node)
        });
        let node_id = node.id;
        let message = (!self.is_silent).then(|| assigned(&pod.id, &node.name));
        self.nominations.remove(id);
        let placed = PlacedPod { id: Some(id), class, is_terminating: false, devices };
        self.cache.add_pod(node_id, placed);
        self.track(Tracked { pod: id, class, node: Some(node_id), nominated: pod.nominated_node });
        actions.push(Action::BindPod(id, node_id));
        actions.extend(message.map(|message| event(pod, false, "Scheduled", message)));
    }

    /// Requests deletion of the victims, clears the nominations of lower-priority pods on the node, and nominates the
    /// pod.
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
            let preemptor = uid_text(preemptor);
            let message = format!("Preempted by pod {preemptor} on node {}", node.name);
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

    /// Names of its profiles, which are the schedulers that pods can name.
    pub fn profile_names(&self) -> Vec<&Name> {
        self.profiles.iter().map(|profile| &profile.scheduler_name).collect()
    }

    pub(super) fn profile_of(&self, class: ClassId) -> Option<usize> {
        let name = &self.cache.class(class).scheduler_name;
        self.profiles.iter().position(|profile| profile.scheduler_name == *name)
    }

    pub(super) fn priority_and_gate(&self, class: ClassId) -> (i32, bool) {
        let has_gates = self.profile_of(class).is_some_and(|at| self.profiles[at].has_gates);
        let class = self.cache.class(class);
        (class.priority, has_gates && !class.scheduling_gates.is_empty())
    }

    pub(super) fn tracked(&self, pod: PodId) -> Option<&Tracked> {
        self.tracked.get(pod.index())?.as_ref().filter(|tracked| tracked.pod == pod)
    }

    pub(super) fn track(&mut self, tracked: Tracked) {
        let slot = tracked.pod.index();
        if self.tracked.len() <= slot {
            self.tracked.resize(slot + 1, None);
        }
        self.tracked[slot] = Some(tracked);
    }
}

/// Whether a pod that found no node loses its nomination: always where PostFilter did not run, and else if preemption was
/// tried in vain (`schedulingAlgorithm` in `pkg/scheduler/schedule_one.go`, 1.36).
fn clears_nomination(post_filter: Option<&PostFilter>) -> bool {
    match post_filter {
        None => true,
        Some(PostFilter::Failed { clears_nomination, .. }) => *clears_nomination,
        Some(PostFilter::Candidates(_)) => false,
    }
}

/// Everything plugins may read while placing a pod of a class.
pub(super) fn cycle<'a>(
    cache: &'a Cache,
    view: ClusterView<'a>,
    id: PodId,
    class: ClassId,
    pod: &Pod,
) -> CycleContext<'a> {
    let (class, nominated_node) = (cache.class(class), pod.nominated_node);
    let pod = PodToPlace { id: Some(id), class, owner: pod.owner, nominated_node };
    CycleContext { cache, view, pod }
}

pub(super) fn event(pod: &Pod, is_warning: bool, reason: &'static str, message: String) -> Action {
    let object = pod.id.clone();
    Action::Event(Box::new(Event { kind: Kind::Pod, object, is_warning, reason, message }))
}
