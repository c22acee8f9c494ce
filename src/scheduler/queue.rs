//! Pods waiting to be scheduled: the active queue, the back-off queue and the unschedulable pods
//! (`backend/queue/scheduling_queue.go` and related files, 1.36).

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::framework::PluginName;
use super::node_info::ClassId;
use cluster::pod::PodId;
use engine::{SimDuration, SimTime};

/// After so long among the unschedulable pods, a pod is tried again whatever happened
/// (`podMaxInUnschedulablePodsDuration`).
const MAX_UNSCHEDULABLE: SimDuration = SimDuration::from_secs(5 * 60);
/// Interval at which the unschedulable pods are checked for that.
const FLUSH_PERIOD_SECONDS: i64 = 30;

/// A pod in the queue, with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedPod {
    /// The pod.
    pub pod: PodId,
    /// Its class.
    pub class: ClassId,
    /// Its priority.
    pub priority: i32,
    /// When it entered the queue, or returned to it.
    pub timestamp: SimTime,
    /// Number of attempts.
    pub attempts: u32,
    /// Number of rejected attempts, which determines the back-off (`UnschedulableCount`).
    pub rejections: u32,
    /// Consecutive attempts that ended without any plugin's verdict, which then determine the back-off
    /// (`ConsecutiveErrorsCount`).
    pub errors: u32,
    /// The plugins that rejected it last.
    pub rejected_by: Vec<PluginName>,
    /// Orders pods of equal priority and time: as they came.
    sequence: u64,
    place: Place,
}

impl QueuedPod {
    /// Number of attempts that found no node for it.
    const fn failures(&self) -> u32 {
        self.rejections + self.errors
    }
}

/// Queue holding a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active,
    Backoff,
    /// For pods whose attempt ended without a verdict; not retried early (`podErrorBackoffQ`).
    ErrorBackoff,
    /// For something to change.
    Unschedulable,
    Gated,
}

/// The order of the active queue (`PrioritySort`).
type Order = (Reverse<i32>, SimTime, u64, PodId);

/// The pods in one place.
type Waiting = BTreeSet<(SimTime, Order)>;

/// The scheduling queue.
#[derive(Clone, Debug, Default)]
pub struct SchedulingQueue {
    initial_backoff: SimDuration,
    max_backoff: SimDuration,
    /// Whether pods are retried without a change: those that waited too long, and those whose attempt ended without a
    /// verdict.
    pub(super) retries: bool,
    /// Lookups only, never iterated.
    pods: FxHashMap<PodId, QueuedPod>,
    /// By [`Place`], each as [`Self::position`] has it.
    waiting: [Waiting; 5],
    sequence: u64,
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
            rejected_by: Vec::new(),
            sequence: self.next_sequence(),
            place: Place::Active,
        };
        self.insert(queued, if is_gated { Place::Gated } else { Place::Active });
    }

    /// The next pod to try. While the active queue is empty, pods in back-off are tried early
    /// (`SchedulerPopFromBackoffQ`).
    pub fn pop(&mut self, now: SimTime) -> Option<QueuedPod> {
        self.flush(now);
        let first = self.first(Place::Active).or_else(|| self.first(Place::Backoff));
        let mut queued = self.take(first?.1)?;
        queued.attempts += 1;
        Some(queued)
    }

    /// Returns an unschedulable pod to the queue, to wait for a change; or, if no plugin rejected it (there are no
    /// nodes), until its back-off expires (`AddUnschedulablePodIfNotPresent`).
    pub fn add_unschedulable(
        &mut self,
        mut queued: QueuedPod,
        rejected_by: Vec<PluginName>,
        now: SimTime,
    ) {
        let is_error = rejected_by.is_empty();
        if is_error {
            queued.errors += 1;
        } else {
            queued.rejections += 1;
            queued.errors = 0;
        }
        queued.rejected_by = rejected_by;
        queued.timestamp = now;
        queued.sequence = self.next_sequence();
        self.insert(queued, if is_error { Place::ErrorBackoff } else { Place::Unschedulable });
    }

    /// Puts an unschedulable pod back into the active queue, or into the back-off queue if its
    /// back-off is not over.
    pub fn requeue(&mut self, pod: PodId, now: SimTime) {
        let waits = |queued: &QueuedPod| queued.place == Place::Unschedulable;
        if !self.pods.get(&pod).is_some_and(waits) {
            return;
        }
        let Some(queued) = self.take(pod) else { return };
        let place = if self.is_backing_off(&queued, now) { Place::Backoff } else { Place::Active };
        self.insert(queued, place);
    }

    /// Does that with each of these pods.
    pub fn requeue_all(&mut self, pods: Vec<PodId>, now: SimTime) {
        for pod in pods {
            self.requeue(pod, now);
        }
    }

    /// Puts a waiting pod into the active queue, whatever its back-off (`Activate`).
    pub fn activate(&mut self, pod: PodId) {
        let waits = |queued: &QueuedPod| {
            matches!(queued.place, Place::Unschedulable | Place::Backoff | Place::ErrorBackoff)
        };
        if self.pods.get(&pod).is_some_and(waits)
            && let Some(queued) = self.take(pod)
        {
            self.insert(queued, Place::Active);
        }
    }

    /// Admits a pod whose gates were removed. Its position in the queue follows its creation.
    pub fn ungate(&mut self, pod: PodId, class: ClassId) {
        if self.pods.get(&pod).is_some_and(|queued| queued.place == Place::Gated)
            && let Some(mut queued) = self.take(pod)
        {
            queued.class = class;
            self.insert(queued, Place::Active);
        }
    }

    /// Takes a pod out of whichever queue it is in.
    pub fn remove(&mut self, pod: PodId) {
        self.take(pod);
    }

    /// A pod in the queue.
    pub fn get(&self, pod: PodId) -> Option<&QueuedPod> {
        self.pods.get(&pod)
    }

    /// Changes the class of a waiting pod whose labels changed.
    pub fn set_class(&mut self, pod: PodId, class: ClassId) {
        if let Some(queued) = self.pods.get_mut(&pod) {
            queued.class = class;
        }
    }

    /// The pods that wait for something to change, the longest-waiting first.
    pub fn unschedulable(&self) -> impl Iterator<Item = &QueuedPod> {
        self.waiting[Place::Unschedulable as usize].iter().map(|(_, order)| &self.pods[&order.3])
    }

    /// Pods for which an attempt found no node, in any queue: their condition `PodScheduled` is False for the reason
    /// `Unschedulable`.
    pub fn found_no_node(&self) -> impl Iterator<Item = PodId> {
        let all = self.waiting.iter().flatten().map(|(_, order)| &self.pods[&order.3]);
        all.filter(|queued| queued.failures() > 0).map(|queued| queued.pod)
    }

    /// Number of attempts that found no node for a pod.
    pub fn failures_of(&self, pod: PodId) -> u32 {
        self.pods.get(&pod).map_or(0, QueuedPod::failures)
    }

    /// Number of pods waiting for a change.
    pub fn unschedulable_len(&self) -> usize {
        self.waiting[Place::Unschedulable as usize].len()
    }

    /// How many pods are in the queue, gated ones included.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod is in the queue.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Time at which the next pod can be popped, if nothing changes until then.
    pub fn wake_time(&self, now: SimTime) -> Option<SimTime> {
        if [Place::Active, Place::Backoff].into_iter().any(|place| self.first(place).is_some()) {
            return Some(now);
        }
        if !self.retries {
            return None;
        }
        let flush = self.first(Place::Unschedulable).map(|(failed, _)| {
            let due = (failed + MAX_UNSCHEDULABLE).as_nanos();
            let period = SimDuration::from_secs(FLUSH_PERIOD_SECONDS).as_nanos();
            // The periodic flush takes pods that have waited strictly longer than that.
            SimTime::from_nanos((due.div_euclid(period) + 1) * period)
        });
        // Back-offs are over when the second in which they end is.
        let ends = self.first(Place::ErrorBackoff);
        let ends = ends.map(|(ends, _)| ends + SimDuration::from_secs(1));
        Some(flush.into_iter().chain(ends).min()?.max(now))
    }

    /// Moves pods with an expired back-off to the active queue, and unschedulable pods that waited too long to either
    /// queue.
    fn flush(&mut self, now: SimTime) {
        let places = if self.retries {
            &[Place::Backoff, Place::ErrorBackoff][..]
        } else {
            &[Place::Backoff]
        };
        for place in places {
            while let Some((ends, pod)) = self.first(*place)
                && ends < now.floor_to_second()
                && let Some(queued) = self.take(pod)
            {
                self.insert(queued, Place::Active);
            }
        }
        let period = SimDuration::from_secs(FLUSH_PERIOD_SECONDS).as_nanos();
        let looked = SimTime::from_nanos(now.as_nanos().div_euclid(period) * period);
        while self.retries
            && let Some((failed, pod)) = self.first(Place::Unschedulable)
            && looked.since(failed) > MAX_UNSCHEDULABLE
        {
            self.requeue(pod, now);
        }
    }

    /// End of a pod's back-off: the initial duration after the first rejection, doubled by each further one, up to
    /// the maximum. If its last attempts ended without a verdict, only those count (`getBackoffTime`).
    fn backoff_end(&self, queued: &QueuedPod) -> SimTime {
        let count = if queued.errors > 0 { queued.errors } else { queued.rejections };
        if count == 0 {
            return queued.timestamp;
        }
        let doublings = (count - 1).min(40);
        let factor = 1_i64 << doublings;
        queued.timestamp + (self.initial_backoff * factor).min(self.max_backoff)
    }

    /// Back-offs end at whole seconds, so that pods that end together are ordered by priority.
    fn is_backing_off(&self, queued: &QueuedPod, now: SimTime) -> bool {
        self.backoff_end(queued) >= now.floor_to_second()
    }

    /// Sort key of a pod within its queue: the active queue by its order; back-off queues first by the second in
    /// which the back-off ends; unschedulable pods by the time of their failure.
    fn position(&self, queued: &QueuedPod) -> (SimTime, Order) {
        let QueuedPod { pod, timestamp, .. } = *queued;
        let order = (Reverse(queued.priority), timestamp, queued.sequence, pod);
        match queued.place {
            Place::Active => (SimTime::ZERO, order),
            Place::Backoff | Place::ErrorBackoff => {
                (self.backoff_end(queued).floor_to_second(), order)
            }
            Place::Unschedulable | Place::Gated => (timestamp, (Reverse(0), timestamp, 0, pod)),
        }
    }

    /// The first pod of a queue, with the time in its sort key.
    fn first(&self, place: Place) -> Option<(SimTime, PodId)> {
        self.waiting[place as usize].first().map(|(at, order)| (*at, order.3))
    }

    fn insert(&mut self, mut queued: QueuedPod, place: Place) {
        queued.place = place;
        let position = self.position(&queued);
        self.waiting[place as usize].insert(position);
        self.pods.insert(queued.pod, queued);
    }

    fn take(&mut self, pod: PodId) -> Option<QueuedPod> {
        let queued = self.pods.remove(&pod)?;
        let position = self.position(&queued);
        self.waiting[queued.place as usize].remove(&position);
        Some(queued)
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(number: u64) -> PodId {
        PodId::from_bits(number)
    }

    fn queue() -> SchedulingQueue {
        SchedulingQueue::new(SimDuration::from_secs(1), SimDuration::from_secs(10))
    }

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    fn fail(queue: &mut SchedulingQueue, now: SimTime) -> PodId {
        let queued = queue.pop(now).unwrap();
        let pod = queued.pod;
        queue.add_unschedulable(queued, vec!["NodeResourcesFit"], now);
        pod
    }

    #[test]
    fn priority_goes_first_then_time_then_the_order_of_arrival() {
        let mut queue = queue();
        queue.add(pod(1), ClassId(0), 0, at(2), false);
        queue.add(pod(2), ClassId(0), 5, at(3), false);
        queue.add(pod(3), ClassId(0), 0, at(1), false);
        queue.add(pod(4), ClassId(0), 0, at(1), false);
        let popped = std::iter::from_fn(|| queue.pop(at(4)).map(|queued| queued.pod));
        assert_eq!(popped.collect::<Vec<_>>(), [pod(2), pod(3), pod(4), pod(1)]);
    }

    #[test]
    fn a_gated_pod_is_not_popped_until_its_gates_are_gone() {
        let mut queue = queue();
        queue.add(pod(1), ClassId(0), 0, at(0), true);
        assert_eq!((queue.pop(at(1)), queue.wake_time(at(1))), (None, None));
        queue.ungate(pod(1), ClassId(1));
        assert_eq!(queue.pop(at(2)).map(|queued| queued.class), Some(ClassId(1)));
    }

    #[test]
    fn a_rejected_pod_backs_off_behind_active_ones_but_is_popped_early_if_nothing_else_waits() {
        let mut queue = queue();
        queue.add(pod(1), ClassId(0), 9, at(0), false);
        fail(&mut queue, at(0));
        queue.requeue(pod(1), at(0));
        queue.add(pod(2), ClassId(0), 0, at(0), false);
        assert_eq!(queue.pop(at(0)).map(|queued| queued.pod), Some(pod(2)));
        assert_eq!(queue.pop(at(0)).map(|queued| queued.pod), Some(pod(1)));
    }

    #[test]
    fn back_off_doubles_up_to_its_longest() {
        let mut queue = queue();
        queue.add(pod(1), ClassId(0), 0, at(0), false);
        let mut waits = Vec::new();
        for _ in 0..6 {
            fail(&mut queue, at(0));
            waits.push(queue.backoff_end(&queue.pods[&pod(1)]).since(at(0)).as_secs());
            queue.activate(pod(1));
        }
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn without_a_verdict_a_pod_is_tried_again_after_its_back_off_and_not_early() {
        let mut queue = queue();
        queue.add(pod(1), ClassId(0), 0, at(10), false);
        let mut now = at(10);
        let mut waits = Vec::new();
        for _ in 0..5 {
            let queued = queue.pop(now).unwrap();
            queue.add_unschedulable(queued, Vec::new(), now);
            let next = queue.wake_time(now).unwrap();
            assert_eq!(queue.pop(next - SimDuration::from_nanos(1)), None);
            waits.push(next.since(now).as_secs());
            now = next;
        }
        // Each lasts until the second in which it ends is over.
        assert_eq!(waits, [2, 3, 5, 9, 11]);
    }

    #[test]
    fn after_a_verdict_the_back_off_grows_with_the_verdicts_alone() {
        let mut queue = queue();
        queue.add(pod(1), ClassId(0), 0, at(10), false);
        let mut now = at(10);
        for _ in 0..3 {
            let queued = queue.pop(now).unwrap();
            queue.add_unschedulable(queued, Vec::new(), now);
            now = queue.wake_time(now).unwrap();
        }
        fail(&mut queue, now);
        let ends = queue.backoff_end(&queue.pods[&pod(1)]);
        assert_eq!(ends.since(now).as_secs(), 1, "as after the first");
    }

    #[test]
    fn an_unschedulable_pod_is_tried_again_after_five_minutes_whatever_happened() {
        let mut queue = queue();
        queue.add(pod(1), ClassId(0), 0, at(10), false);
        fail(&mut queue, at(10));
        assert_eq!(queue.pop(at(300)), None);
        assert_eq!(queue.wake_time(at(20)), Some(at(330)));
        assert_eq!(queue.pop(at(330)).map(|queued| queued.attempts), Some(2));
        let mut queue = self::queue();
        queue.add(pod(1), ClassId(0), 0, at(30), false);
        fail(&mut queue, at(30));
        assert_eq!(queue.wake_time(at(40)), Some(at(360)), "more than five minutes");
        assert_eq!(queue.pop(at(330)), None);
    }
}
