//! A number over time with the instants at which it changed.

use super::time_weighted::TimeWeighted;
use engine::{SimDuration, SimTime};

/// Maximum number of changes kept, more than a chart has columns; beyond it the resolution is reduced.
const CHANGES_MAX: usize = 8192;

/// Intervals into which the changes so far are thinned out.
const INTERVALS: i64 = 2048;

/// A whole number that holds until it changes.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    weighted: TimeWeighted,
    /// Times of changes with the value from then on, in order of time.
    changes: Vec<(SimTime, i64)>,
    /// A change within this time of another replaces it.
    resolution: SimDuration,
}

impl Steps {
    /// The value changes by `by` at `now`.
    pub fn add(&mut self, now: SimTime, by: i64) {
        self.weighted.add(now, by);
        let value = self.weighted.value();
        match self.changes.last_mut() {
            Some((_, known)) if *known == value => {}
            Some((at, known)) if now - *at <= self.resolution => *known = value,
            _ => self.changes.push((now, value)),
        }
        if self.changes.len() > CHANGES_MAX {
            self.thin_out(now);
        }
    }

    /// The value now.
    pub const fn value(&self) -> i64 {
        self.weighted.value()
    }

    /// The value at an instant of the past; zero before the first change.
    pub fn value_at(&self, at: SimTime) -> i64 {
        let before = self.changes.partition_point(|(changed, _)| *changed <= at);
        before.checked_sub(1).map_or(0, |last| self.changes[last].1)
    }

    /// Value-seconds up to `now`.
    pub fn integral_seconds(&self, now: SimTime) -> f64 {
        self.weighted.integral_seconds(now)
    }

    /// The same without the instants.
    pub const fn weighted(&self) -> &TimeWeighted {
        &self.weighted
    }

    /// Times of changes with the value from then on, in order of time; zero before the first.
    pub fn changes(&self) -> &[(SimTime, i64)] {
        &self.changes
    }

    /// Merges changes within 1/[`INTERVALS`] of the elapsed time.
    fn thin_out(&mut self, now: SimTime) {
        let span = now - SimTime::ZERO;
        self.resolution = SimDuration::from_nanos(span.as_nanos() / INTERVALS);
        let mut kept: Vec<(SimTime, i64)> = Vec::with_capacity(CHANGES_MAX / 2);
        for (at, value) in self.changes.drain(..) {
            match kept.last_mut() {
                Some((before, known)) if at - *before <= self.resolution => *known = value,
                _ => kept.push((at, value)),
            }
        }
        self.changes = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_past_is_that_of_the_last_change_until_then() {
        let mut steps = Steps::default();
        steps.add(SimTime::from_secs(1), 3);
        steps.add(SimTime::from_secs(5), -1);
        let at = |seconds| steps.value_at(SimTime::from_secs(seconds));
        assert_eq!([at(0), at(1), at(4), at(5), at(9)], [0, 3, 3, 2, 2]);
    }

    #[test]
    fn changes_stand_at_their_instants_and_those_of_one_instant_are_one() {
        let mut ready = Steps::default();
        ready.add(SimTime::from_secs(7), 2);
        ready.add(SimTime::from_secs(7), 1);
        ready.add(SimTime::from_secs(61), -1);
        assert_eq!(ready.changes(), [(SimTime::from_secs(7), 3), (SimTime::from_secs(61), 2)]);
        assert_eq!(ready.value(), 2);
    }

    #[test]
    fn very_many_changes_keep_their_course_and_their_last_value() {
        let mut ready = Steps::default();
        for second in 0..40_000 {
            ready.add(SimTime::from_secs(second), 1);
        }
        let changes = ready.changes();
        assert!((1_000..=CHANGES_MAX).contains(&changes.len()), "{}", changes.len());
        for (at, value) in changes {
            let off = *value as f64 - at.as_secs_f64();
            assert!((0.0..=60.0).contains(&off), "{value} at {at:?}");
        }
        assert_eq!(changes[changes.len() - 1].1, 40_000);
    }
}
