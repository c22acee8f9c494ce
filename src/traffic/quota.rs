//! The CPU time that Linux grants a container per period: the kernel's implementation of a CPU limit.
//!
//! CFS bandwidth control (`kernel/sched/fair.c`): a cgroup may use `cpu.cfs_quota_us` of CPU time in
//! each `cpu.cfs_period_us`, on any number of cores. Once it is used up, all its threads are throttled
//! until the next period begins. Unused quota is not carried over.

use engine::{SimDuration, SimTime};

/// Length of a period: the kubelet's `cpuCFSQuotaPeriod`, 100 ms by default.
const PERIOD: SimDuration = SimDuration::from_millis(100);
/// Rounding tolerance within which the quota counts as used up [ns].
const ROUNDING: f64 = 1.0;

/// The quota of one container, and its remainder in the current period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    /// CPU time per period [ns].
    per_period: f64,
    /// CPU time that is left of the current period [ns].
    left: f64,
    period_end: SimTime,
}

impl Quota {
    /// The quota of a limit of `cores`; its periods begin at `now`.
    pub fn new(cores: f64, now: SimTime) -> Self {
        let per_period = cores * PERIOD.as_nanos() as f64;
        Self { per_period, left: per_period, period_end: now + PERIOD }
    }

    /// Whether the quota is used up until the end of the period.
    #[inline]
    pub(crate) fn is_used_up(&self) -> bool {
        self.left <= ROUNDING
    }

    /// Time at which throttled threads resume: the end of the period, or never if the quota is zero.
    pub(crate) fn replenished_at(&self) -> SimTime {
        if self.per_period > ROUNDING { self.period_end } else { SimTime::MAX }
    }

    /// Throttled time between `from` and `to` of threads with work, if the quota is used up at `from`.
    pub fn throttled(&self, from: SimTime, to: SimTime) -> SimDuration {
        to.min(self.replenished_at()) - from
    }

    /// Consumes the quota from `from` to `to` at a rate of `cores`. It must not have been used up in
    /// between.
    #[inline]
    pub(crate) fn consume(&mut self, from: SimTime, to: SimTime, cores: f64) {
        if to < self.period_end {
            self.left -= cores * (to - from).as_nanos() as f64;
            return;
        }
        let periods = (to - self.period_end).as_nanos() / PERIOD.as_nanos();
        let begin = self.period_end + PERIOD * periods;
        self.period_end = begin + PERIOD;
        self.left = self.per_period - cores * (to - begin).as_nanos() as f64;
    }

    /// Time at which the quota is next used up, at a rate of `cores` from `at` on.
    #[inline]
    pub(crate) fn used_up_at(&self, at: SimTime, cores: f64) -> SimTime {
        if cores <= 0.0 {
            return SimTime::MAX;
        }
        let this_period = at + span(self.left / cores);
        if this_period < self.period_end {
            this_period
        } else if cores * PERIOD.as_nanos() as f64 <= self.per_period + ROUNDING {
            SimTime::MAX
        } else {
            self.period_end + span(self.per_period / cores)
        }
    }
}

/// Rounded up to a nanosecond.
#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate, which is meant")]
fn span(nanos: f64) -> SimDuration {
    SimDuration::from_nanos(nanos.max(0.0).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> SimTime {
        SimTime::ZERO + SimDuration::from_millis(millis)
    }

    #[test]
    fn half_a_core_is_used_up_in_half_a_period_or_on_two_cores_in_a_quarter() {
        let quota = Quota::new(0.5, SimTime::ZERO);
        assert_eq!(quota.used_up_at(at(0), 1.0), at(50));
        assert_eq!(quota.used_up_at(at(0), 2.0), at(25));
        assert_eq!(quota.used_up_at(at(0), 0.5), SimTime::MAX);
    }

    #[test]
    fn the_next_period_brings_the_whole_quota_and_no_more() {
        let mut quota = Quota::new(0.5, SimTime::ZERO);
        quota.consume(at(0), at(50), 1.0);
        assert!(quota.is_used_up());
        quota.consume(at(50), at(100), 0.0);
        assert!(!quota.is_used_up());
        assert_eq!(quota.used_up_at(at(100), 1.0), at(150));
        // Idle for long: unused quota is lost.
        quota.consume(at(100), at(1030), 0.0);
        assert_eq!(quota.used_up_at(at(1030), 1.0), at(1080));
    }

    #[test]
    fn a_burst_towards_the_end_of_a_period_goes_on_in_the_next() {
        let mut quota = Quota::new(0.5, SimTime::ZERO);
        quota.consume(at(0), at(80), 0.0);
        assert_eq!(quota.used_up_at(at(80), 1.0), at(150));
    }
}
