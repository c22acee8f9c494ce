//! Back-offs, and the times at which waiting pods are tried again.

use std::cmp::Reverse;

use super::{QueuedPod, SchedulingQueue, SubQueue};
use crate::cohorts::{Common, Turn};
use engine::{SimDuration, SimTime};

/// Maximum time among the unschedulable pods until a pod is retried without an event
/// (`podMaxInUnschedulablePodsDuration`).
const MAX_UNSCHEDULABLE: SimDuration = SimDuration::from_secs(5 * 60);
/// Interval at which the unschedulable pods are checked for that.
const FLUSH_PERIOD_SECONDS: i64 = 30;

impl SchedulingQueue {
    /// Number of rejections, up to the one at which the back-off is longest.
    pub(super) fn level(&self, rejections: u32) -> u32 {
        let longest = (1..=41).find(|count| self.backoff(*count) >= self.max_backoff);
        rejections.min(longest.unwrap_or(41))
    }

    /// The turn of each cohort at this instant.
    pub(super) fn turns(&self, now: SimTime) -> impl Fn(&Common) -> Turn + use<> {
        let (initial, max) = (self.initial_backoff, self.max_backoff);
        move |common: &Common| {
            let ends = common.timestamp + backoff(common.level, initial, max);
            let is_backing_off = ends >= now.floor_to_second();
            let second = if is_backing_off { ends.floor_to_second() } else { SimTime::ZERO };
            (is_backing_off, second, Reverse(common.priority), common.timestamp, common.rank)
        }
    }

    /// Time at which the next pod can be popped, if nothing changes until then.
    pub fn wake_time(&self, now: SimTime) -> Option<SimTime> {
        let is_any = |place| self.first(place).is_some();
        if is_any(SubQueue::Active)
            || is_any(SubQueue::Backoff)
            || self.cohorts.first_turn().is_some()
        {
            return Some(now);
        }
        if !self.retries {
            return None;
        }
        let flush = self.cohorts.oldest().map(|failed| {
            let due = (failed + MAX_UNSCHEDULABLE).as_nanos();
            let period = SimDuration::from_secs(FLUSH_PERIOD_SECONDS).as_nanos();
            // The periodic flush takes pods that have waited strictly longer than that.
            SimTime::from_nanos((due.div_euclid(period) + 1) * period)
        });
        // Back-offs are over when the second in which they end is.
        let ends = self.first(SubQueue::ErrorBackoff);
        let ends = ends.map(|(ends, _)| ends + SimDuration::from_secs(1));
        Some(flush.into_iter().chain(ends).min()?.max(now))
    }

    /// Moves pods with an expired back-off to the active queue, and unschedulable pods that waited too long to either
    /// queue.
    pub(super) fn flush(&mut self, now: SimTime) {
        let places = if self.retries {
            &[SubQueue::Backoff, SubQueue::ErrorBackoff][..]
        } else {
            &[SubQueue::Backoff]
        };
        for place in places {
            while let Some((ends, pod)) = self.first(*place)
                && ends < now.floor_to_second()
                && let Some(queued) = self.take(pod)
            {
                self.insert(queued, SubQueue::Active);
            }
        }
        if self.sorted != now {
            self.cohorts.sort(self.turns(now));
            self.sorted = now;
        }
        let period = SimDuration::from_secs(FLUSH_PERIOD_SECONDS).as_nanos();
        let looked = SimTime::from_nanos(now.as_nanos().div_euclid(period) * period);
        let is_over = |failed: SimTime| looked.since(failed) > MAX_UNSCHEDULABLE;
        if self.retries && self.cohorts.oldest().is_some_and(is_over) {
            let cohorts = self.cohorts.waiting();
            let over = cohorts.filter(|(_, one)| is_over(one.common.timestamp)).map(|(id, _)| id);
            let over: Vec<u32> = over.collect();
            self.release(&over, now);
        }
    }

    /// When a pod's back-off ends. If its last tries ended without a verdict, those count alone
    /// (`getBackoffTime`).
    pub(super) fn backoff_end(&self, queued: &QueuedPod) -> SimTime {
        let count = if queued.errors > 0 { queued.errors } else { queued.rejections };
        queued.timestamp + self.backoff(count)
    }

    pub(super) fn backoff(&self, count: u32) -> SimDuration {
        backoff(count, self.initial_backoff, self.max_backoff)
    }

    /// Back-offs end at whole seconds, so that pods that end together are ordered by priority.
    pub(super) fn is_backing_off(&self, queued: &QueuedPod, now: SimTime) -> bool {
        self.backoff_end(queued) >= now.floor_to_second()
    }
}

/// A pod's back-off: the initial one after the first rejection, doubled by each further one, up to the longest.
fn backoff(count: u32, initial: SimDuration, longest: SimDuration) -> SimDuration {
    if count == 0 {
        return SimDuration::ZERO;
    }
    let doublings = (count - 1).min(40);
    (initial * (1_i64 << doublings)).min(longest)
}
