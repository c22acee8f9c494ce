//! Pods waiting to be scheduled: the active queue, the back-off queue and the unschedulable pods
//! (`backend/queue/scheduling_queue.go` and related files, 1.36).

mod backoff;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::cohorts::{CohortKey, Cohorts, Common, Turn};
use super::framework::PluginName;
use super::node_info::ClassId;
use super::reason_sets::ReasonSetsId;
use cluster::pod::PodId;
use engine::{SimDuration, SimTime};

/// A pod in the queue, with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedPod {
    /// The pod.
    pub pod: PodId,
    /// Class of equal pods.
    pub class: ClassId,
    /// Pod priority.
    pub priority: i32,
    /// Time at which it entered the queue or returned to it.
    pub timestamp: SimTime,
    /// Number of attempts.
    pub attempts: u32,
    /// Number of rejected attempts, which determines the back-off (`UnschedulableCount`).
    pub rejections: u32,
    /// Consecutive attempts that ended without any plugin's verdict, which then determine the back-off
    /// (`ConsecutiveErrorsCount`).
    pub errors: u32,
    /// The plugins that rejected it last.
    pub rejected_by: Arc<[PluginName]>,
    /// Sets of reasons for which it already got an event.
    pub(super) reason_sets: ReasonSetsId,
    /// Orders pods of equal priority and time by arrival.
    sequence: Sequence,
    place: SubQueue,
}

/// Orders pods that arrived at one instant: by the rank of the cohort in which they waited, then by number.
type Sequence = (u64, u64);

/// The outcome of an attempt that found no node.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// Identifies the pods that are rejected for the same reasons.
    pub alike: CohortKey,
    /// The plugins that rejected the pod; none if there are no nodes at all.
    pub by: Arc<[PluginName]>,
    /// Sets of reasons for which the pod got an event, including this one.
    pub reason_sets: ReasonSetsId,
}

impl QueuedPod {
    /// Number of attempts that found no node for it.
    const fn failures(&self) -> u32 {
        self.rejections + self.errors
    }
}

/// Queue holding a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubQueue {
    Active,
    Backoff,
    /// For pods whose attempt ended without a verdict; not retried early (`podErrorBackoffQ`).
    ErrorBackoff,
    Gated,
    /// Waiting for an event, with the others of the cohort of this number.
    Unschedulable(u32),
}

impl SubQueue {
    /// Its index among the queues that hold pods individually.
    const fn index(self) -> Option<usize> {
        match self {
            Self::Active => Some(0),
            Self::Backoff => Some(1),
            Self::ErrorBackoff => Some(2),
            Self::Gated => Some(3),
            Self::Unschedulable(_) => None,
        }
    }
}

/// The order of the active queue (`PrioritySort`).
type Order = (Reverse<i32>, SimTime, Sequence, PodId);

/// The pods of one queue.
type Waiting = BTreeSet<(SimTime, Order)>;

/// The scheduling queue.
#[derive(Clone, Debug, Default)]
pub struct SchedulingQueue {
    initial_backoff: SimDuration,
    max_backoff: SimDuration,
    /// Whether pods are retried without an event: those that waited too long, and those whose attempt ended without a
    /// verdict.
    pub(super) retries: bool,
    /// Lookups only, never iterated.
    pods: FxHashMap<PodId, QueuedPod>,
    /// By [`SubQueue`], each as [`Self::position`] has it.
    waiting: [Waiting; 4],
    /// The pods that wait for an event, and those of them that were released by one.
    cohorts: Cohorts,
    sequence: u64,
    /// The rank of pods rejected individually at an instant.
    rank: (SimTime, u64),
    /// Time at which the released cohorts were last sorted.
    sorted: SimTime,
}

impl SchedulingQueue {
    /// An empty queue with these back-off times.
    pub fn new(initial_backoff: SimDuration, max_backoff: SimDuration) -> Self {
        Self { initial_backoff, max_backoff, retries: true, ..Self::default() }
    }

    /// Adds a new pod; one with gates is held back.
    pub fn add(&mut self, pod: PodId, class: ClassId, priority: i32, now: SimTime, is_gated: bool) {
        self.remove(pod);
        let queued = QueuedPod {
            pod,
            class,
            priority,
            timestamp: now,
            attempts: 0,
            rejections: 0,
            errors: 0,
            rejected_by: Arc::from([]),
            reason_sets: ReasonSetsId::default(),
            sequence: (self.next_sequence(), 0),
            place: SubQueue::Active,
        };
        self.insert(queued, if is_gated { SubQueue::Gated } else { SubQueue::Active });
    }

    /// Takes the next pod to try. While the active queue is empty, pods in back-off are tried early
    /// (`SchedulerPopFromBackoffQ`).
    pub fn pop(&mut self, now: SimTime) -> Option<QueuedPod> {
        self.flush(now);
        let single = self.first_single();
        let together = self.cohorts.first();
        let key = |turn: Turn, number: u64| (turn, number);
        let of_cohort = together.map(|(turn, number, pod)| (key(turn, number), pod));
        let single = single.map(|(turn, number, pod)| (key(turn, number), pod));
        let (_, pod) = single.into_iter().chain(of_cohort).min()?;
        let mut queued = self.take(pod)?;
        queued.attempts += 1;
        Some(queued)
    }

    /// The first pod outside of cohorts that is to be tried, with its turn.
    fn first_single(&self) -> Option<(Turn, u64, PodId)> {
        let turn = |place: SubQueue| {
            let (ends, (priority, at, (rank, number), pod)) = *self.first_entry(place)?;
            Some(((place == SubQueue::Backoff, ends, priority, at, rank), number, pod))
        };
        turn(SubQueue::Active).or_else(|| turn(SubQueue::Backoff))
    }

    /// The released cohorts with the earliest turn, if no other pod precedes them, each with its first pod.
    pub(super) fn first_cohorts(&mut self, now: SimTime) -> Vec<(u32, PodId)> {
        self.flush(now);
        let single = self.first_single().map(|(turn, ..)| turn);
        let Some((turn, ids)) = self.cohorts.first_turn() else { return Vec::new() };
        if single.is_some_and(|single| single < turn) {
            return Vec::new();
        }
        ids.filter_map(|id| Some((id, self.cohorts.head(id)?.1))).collect()
    }

    /// The shared attributes of a cohort's pods, and their number.
    pub(super) fn cohort(&self, id: u32) -> (&Common, usize) {
        let cohort = self.cohorts.get(id);
        (&cohort.common, cohort.len)
    }

    /// The pods of a cohort.
    pub(super) fn pods_of(&self, id: u32) -> impl Iterator<Item = PodId> {
        let members = self.cohorts.members_of(id);
        members.filter(move |(number, pod)| self.is_there(id, *number, *pod)).map(|(_, pod)| pod)
    }

    /// Records that all pods of these cohorts were tried and rejected.
    pub(super) fn reject_all(&mut self, cohorts: Vec<(u32, Rejection)>, now: SimTime) {
        let rank = self.next_sequence();
        self.rank = (now, self.next_sequence());
        for (id, Rejection { by, reason_sets, .. }) in cohorts {
            let level = self.level(self.cohorts.get(id).common.level + 1);
            self.cohorts.reject(id, |common| {
                *common = Common {
                    rejected_by: by,
                    reason_sets,
                    level,
                    timestamp: now,
                    rank,
                    ..common.clone()
                };
            });
        }
        self.join_cohorts();
    }

    /// Takes back a pod for which no node was found. It waits for an event or, if no plugin rejected it (there
    /// are no nodes at all), until its back-off is over (`AddUnschedulablePodIfNotPresent`).
    pub(crate) fn add_unschedulable(
        &mut self,
        mut queued: QueuedPod,
        rejection: Rejection,
        now: SimTime,
    ) {
        let Rejection { alike, by, reason_sets } = rejection;
        let is_error = by.is_empty();
        if is_error {
            queued.errors += 1;
        } else {
            queued.rejections += 1;
            queued.errors = 0;
        }
        queued.rejected_by = by;
        queued.reason_sets = reason_sets;
        queued.timestamp = now;
        if is_error {
            queued.sequence = (self.next_sequence(), 0);
            return self.insert(queued, SubQueue::ErrorBackoff);
        }
        if self.rank.0 != now || self.rank.1 == 0 {
            self.rank = (now, self.next_sequence());
        }
        let common = Common {
            alike,
            priority: queued.priority,
            rejected_by: Arc::clone(&queued.rejected_by),
            reason_sets,
            level: self.level(queued.rejections),
            timestamp: now,
            rank: self.rank.1,
        };
        queued.sequence = (self.rank.1, self.next_sequence());
        let (id, tries) = self.cohorts.push(common, queued.sequence.1, queued.pod);
        queued.place = SubQueue::Unschedulable(id);
        queued.attempts = queued.attempts.wrapping_sub(tries);
        queued.rejections = queued.rejections.wrapping_sub(tries);
        self.pods.insert(queued.pod, queued);
        self.join_cohorts();
    }

    fn join_cohorts(&mut self) {
        if !self.cohorts.are_many() {
            return;
        }
        let Self { cohorts, pods, sequence, .. } = self;
        let mut next = *sequence;
        let next_number = || {
            next += 1;
            next
        };
        cohorts.join(next_number, |(old, number), pod, (new, new_number), tries| {
            let there = |one: &&mut QueuedPod| {
                one.place == SubQueue::Unschedulable(old) && one.sequence.1 == number
            };
            let Some(queued) = pods.get_mut(&pod).filter(there) else { return false };
            queued.place = SubQueue::Unschedulable(new);
            queued.sequence.1 = new_number;
            queued.attempts = queued.attempts.wrapping_add(tries);
            queued.rejections = queued.rejections.wrapping_add(tries);
            true
        });
        *sequence = next;
    }

    /// Puts an unschedulable pod back into the active queue, or into the back-off queue if its
    /// back-off is not over.
    pub fn requeue(&mut self, pod: PodId, now: SimTime) {
        let waits = |queued: &QueuedPod| matches!(queued.place, SubQueue::Unschedulable(_));
        if !self.pods.get(&pod).is_some_and(waits) {
            return;
        }
        let Some(queued) = self.take(pod) else { return };
        let place =
            if self.is_backing_off(&queued, now) { SubQueue::Backoff } else { SubQueue::Active };
        self.insert(queued, place);
    }

    /// Requeues all pods of these cohorts.
    pub(super) fn release(&mut self, cohorts: &[u32], now: SimTime) {
        if !cohorts.is_empty() {
            let turn = self.turns(now);
            self.cohorts.release(cohorts, turn);
            self.sorted = now;
        }
    }

    /// Puts a waiting pod into the active queue, whatever its back-off (`Activate`).
    pub fn activate(&mut self, pod: PodId) {
        let waits =
            |queued: &QueuedPod| !matches!(queued.place, SubQueue::Active | SubQueue::Gated);
        if self.pods.get(&pod).is_some_and(waits)
            && let Some(queued) = self.take(pod)
        {
            self.insert(queued, SubQueue::Active);
        }
    }

    /// Admits a pod whose gates were removed. Its position in the queue follows its creation.
    pub fn ungate(&mut self, pod: PodId, class: ClassId) {
        if self.pods.get(&pod).is_some_and(|queued| queued.place == SubQueue::Gated)
            && let Some(mut queued) = self.take(pod)
        {
            queued.class = class;
            self.insert(queued, SubQueue::Active);
        }
    }

    /// Takes a pod out of whichever queue it is in.
    pub fn remove(&mut self, pod: PodId) {
        self.take(pod);
    }

    /// A pod in the queue.
    pub fn get(&self, pod: PodId) -> Option<QueuedPod> {
        Some(self.as_it_is(self.pods.get(&pod)?.clone()))
    }

    /// A pod updated with the attempts of its whole cohort.
    fn as_it_is(&self, mut queued: QueuedPod) -> QueuedPod {
        if let SubQueue::Unschedulable(id) = queued.place {
            let cohort = self.cohorts.get(id);
            let Common { rejected_by, reason_sets, timestamp, rank, .. } = &cohort.common;
            queued.attempts = queued.attempts.wrapping_add(cohort.tries);
            queued.rejections = queued.rejections.wrapping_add(cohort.tries);
            queued.rejected_by = Arc::clone(rejected_by);
            (queued.reason_sets, queued.timestamp, queued.sequence.0) =
                (*reason_sets, *timestamp, *rank);
        }
        queued
    }

    /// Changes the class of a waiting pod whose labels changed.
    pub fn set_class(&mut self, pod: PodId, class: ClassId) {
        if let Some(queued) = self.pods.get_mut(&pod) {
            queued.class = class;
        }
    }

    /// The cohorts that wait for an event, each with one of its pods.
    pub(super) fn waiting_cohorts(&self) -> impl Iterator<Item = (u32, &Common, &QueuedPod)> {
        self.cohorts.waiting().filter_map(|(id, cohort)| {
            let (_, pod) = self.cohorts.head(id)?;
            Some((id, &cohort.common, self.pods.get(&pod)?))
        })
    }

    /// Pods for which an attempt found no node, in any queue: their condition `PodScheduled` is False for the reason
    /// `Unschedulable`.
    pub fn found_no_node(&self) -> impl Iterator<Item = PodId> {
        let singles = self.waiting.iter().flatten().map(|(_, order)| &self.pods[&order.3]);
        let singles = singles.filter(|queued| queued.failures() > 0).map(|queued| queued.pod);
        let is_there = |id: u32, pod: PodId| {
            self.pods.get(&pod).is_some_and(|queued| queued.place == SubQueue::Unschedulable(id))
        };
        let mut waiting: Vec<(SimTime, PodId)> = Vec::new();
        for (id, cohort) in self.cohorts.all() {
            let there = cohort.members().filter(|pod| cohort.is_whole() || is_there(id, *pod));
            waiting.extend(there.map(|pod| (cohort.common.timestamp, pod)));
        }
        waiting.sort_unstable();
        waiting.dedup();
        singles.chain(waiting.into_iter().map(|(_, pod)| pod))
    }

    /// Number of attempts that found no node for a pod.
    pub fn failures_of(&self, pod: PodId) -> u32 {
        self.get(pod).map_or(0, |queued| queued.failures())
    }

    /// Number of pods waiting for an event.
    pub(crate) fn unschedulable_len(&self) -> usize {
        self.cohorts.waiting_len()
    }

    /// Number of pods in the queue, including gated ones.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod is in the queue.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Sort key of a pod within its queue: the order of the active queue, in back-off preceded by the second in
    /// which that ends.
    fn position(&self, queued: &QueuedPod) -> (SimTime, Order) {
        let QueuedPod { pod, timestamp, .. } = *queued;
        let order = (Reverse(queued.priority), timestamp, queued.sequence, pod);
        match queued.place {
            SubQueue::Active | SubQueue::Unschedulable(_) => (SimTime::ZERO, order),
            SubQueue::Backoff | SubQueue::ErrorBackoff => {
                (self.backoff_end(queued).floor_to_second(), order)
            }
            SubQueue::Gated => (timestamp, (Reverse(0), timestamp, (0, 0), pod)),
        }
    }

    fn first_entry(&self, place: SubQueue) -> Option<&(SimTime, Order)> {
        self.waiting[place.index()?].first()
    }

    /// The first pod of a queue, with its time in the sort key.
    fn first(&self, place: SubQueue) -> Option<(SimTime, PodId)> {
        self.first_entry(place).map(|(at, order)| (*at, order.3))
    }

    fn insert(&mut self, mut queued: QueuedPod, place: SubQueue) {
        queued.place = place;
        if let Some(index) = place.index() {
            let position = self.position(&queued);
            self.waiting[index].insert(position);
        }
        self.pods.insert(queued.pod, queued);
    }

    fn take(&mut self, pod: PodId) -> Option<QueuedPod> {
        let queued = self.pods.remove(&pod)?;
        let queued = self.as_it_is(queued);
        match queued.place {
            SubQueue::Unschedulable(id) => {
                let Self { cohorts, pods, .. } = self;
                cohorts.leave(id, |number, pod| is_member(pods, id, number, pod));
            }
            place => {
                let position = self.position(&queued);
                if let Some(index) = place.index() {
                    self.waiting[index].remove(&position);
                }
            }
        }
        Some(queued)
    }

    fn is_there(&self, id: u32, number: u64, pod: PodId) -> bool {
        is_member(&self.pods, id, number, pod)
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

/// Whether a pod is still in the cohort under this number.
fn is_member(pods: &FxHashMap<PodId, QueuedPod>, id: u32, number: u64, pod: PodId) -> bool {
    pods.get(&pod).is_some_and(|queued| {
        queued.place == SubQueue::Unschedulable(id) && queued.sequence.1 == number
    })
}

#[cfg(test)]
mod tests;
