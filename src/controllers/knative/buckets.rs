//! Averages of a metric over a sliding window, in buckets of one second (`pkg/autoscaler/aggregation`).

use std::collections::VecDeque;

use cluster::pod_autoscaler::Aggregation;
use engine::{SimDuration, SimTime};

/// Least weight of the latest second in a weighted average.
const LEAST_COEFFICIENT: f64 = 0.2;
/// Least sum of the weights of a window.
const WEIGHT_PRECISION: f64 = 0.9999;
/// Averages are rounded to this part.
const ROUNDED_TO: f64 = 1e6;

/// Values by second, over a window.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    /// The sums of the seconds in the window that have any, ascending.
    values: VecDeque<(i64, f64)>,
    /// Length of the window in seconds.
    window: i64,
    /// The first second of the current run of writes; a gap of a whole window begins a new one.
    first: i64,
    /// The last second written.
    last: Option<i64>,
    aggregation: Aggregation,
}

impl Buckets {
    pub(super) fn new(window: SimDuration, aggregation: Aggregation) -> Self {
        let second = SimDuration::from_secs(1).as_nanos();
        let window = (window.as_nanos() + second - 1) / second;
        Self { values: VecDeque::new(), window: window.max(1), first: 0, last: None, aggregation }
    }

    /// Adds a value to its second.
    pub(super) fn record(&mut self, now: SimTime, value: f64) {
        let second = second_of(now);
        let is_gap = self.last.is_none_or(|last| second - last >= self.window);
        if is_gap {
            self.values.clear();
            self.first = second;
        }
        self.last = Some(second);
        while self.values.front().is_some_and(|(one, _)| *one <= second - self.window) {
            self.values.pop_front();
        }
        match self.values.back_mut() {
            Some((last, sum)) if *last == second => *sum += value,
            _ => self.values.push_back((second, value)),
        }
    }

    /// Whether nothing was written for more than a window.
    pub(super) fn is_empty(&self, now: SimTime) -> bool {
        self.last.is_none_or(|last| second_of(now) - last > self.window)
    }

    /// The average at `now`.
    pub(super) fn average(&self, now: SimTime) -> f64 {
        match self.aggregation {
            Aggregation::Linear => self.linear(second_of(now)),
            Aggregation::WeightedExponential => self.weighted(second_of(now)),
        }
    }

    /// The sum over the window, by the seconds since the first write in it. Seconds without a write after the last one
    /// shorten the window, others count as zero.
    fn linear(&self, now: i64) -> f64 {
        let Some(last) = self.last else { return 0.0 };
        let missing = (now - last).max(0);
        if missing >= self.window {
            return 0.0;
        }
        let oldest = last + missing - self.window;
        let within = self.values.iter().filter(|(second, _)| *second > oldest);
        let sum: f64 = within.map(|(_, value)| value).sum();
        let seconds = (last - self.first + 1).min(self.window - missing);
        (sum / seconds as f64 * ROUNDED_TO).round() / ROUNDED_TO
    }

    /// The sum of the window's seconds, each weighted less than the next by the same factor.
    fn weighted(&self, now: i64) -> f64 {
        let Some(last) = self.last.filter(|last| now - last <= self.window) else { return 0.0 };
        let seconds = self.window as f64;
        let coefficient =
            (1.0 - libm::pow(1.0 - WEIGHT_PRECISION, 1.0 / seconds)).max(LEAST_COEFFICIENT);
        let oldest = now.max(last) - self.window;
        let within = self.values.iter().filter(|(second, _)| *second > oldest);
        let weight = |second: i64| {
            coefficient * libm::pow(1.0 - coefficient, (now.max(last) - second) as f64)
        };
        within.map(|(second, value)| value * weight(*second)).sum()
    }
}

const fn second_of(at: SimTime) -> i64 {
    at.as_nanos().div_euclid(SimDuration::from_secs(1).as_nanos())
}

/// The maximum of the values in the last buckets of some length (`max.TimeWindow`).
#[derive(Clone, Debug, Default)]
pub(super) struct DelayWindow {
    /// Number of the bucket and value, descending by value.
    maxima: VecDeque<(i64, i32)>,
}

impl DelayWindow {
    /// Adds a value to the bucket of `now`, and returns the maximum of as many buckets of this length as `window` has.
    pub(super) fn delayed(
        &mut self,
        now: SimTime,
        (window, bucket): (SimDuration, SimDuration),
        value: i32,
    ) -> i32 {
        let buckets = (window.as_nanos() + bucket.as_nanos() - 1) / bucket.as_nanos();
        let number = now.as_nanos().div_euclid(bucket.as_nanos());
        while self.maxima.back().is_some_and(|(_, other)| value >= *other) {
            self.maxima.pop_back();
        }
        while self.maxima.front().is_some_and(|(other, _)| number - other >= buckets) {
            self.maxima.pop_front();
        }
        // The larger of two values in one bucket counts.
        if self.maxima.back().is_none_or(|(other, _)| *other != number) {
            self.maxima.push_back((number, value));
        }
        self.maxima.front().map_or(value, |(_, most)| *most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    fn secs(seconds: i64) -> SimDuration {
        SimDuration::from_secs(seconds)
    }

    #[test]
    fn an_average_covers_the_seconds_since_the_first_value() {
        let mut buckets = Buckets::new(secs(60), Aggregation::Linear);
        assert!(buckets.is_empty(at(0)));
        for second in 10..16 {
            buckets.record(at(second), 30.0);
        }
        assert!((buckets.average(at(15)) - 30.0).abs() < 1e-9);
        // The two seconds that are missing in between count as zero: 7 * 30 / 9.
        buckets.record(at(18), 30.0);
        assert!((buckets.average(at(18)) - 23.333_333).abs() < 1e-9);
    }

    #[test]
    fn seconds_without_values_at_the_end_shorten_the_window() {
        let mut buckets = Buckets::new(secs(6), Aggregation::Linear);
        for second in 0..6 {
            buckets.record(at(second), second as f64);
        }
        // 0 to 5 over six seconds; two seconds later 2 to 5 over four; after a window nothing.
        assert!((buckets.average(at(5)) - 2.5).abs() < 1e-9);
        assert!((buckets.average(at(7)) - 3.5).abs() < 1e-9);
        assert!((buckets.average(at(11)) - 0.0).abs() < 1e-9);
        assert!(!buckets.is_empty(at(11)));
        assert!(buckets.is_empty(at(12)));
    }

    #[test]
    fn a_gap_of_a_window_begins_anew() {
        let mut buckets = Buckets::new(secs(60), Aggregation::Linear);
        buckets.record(at(0), 100.0);
        buckets.record(at(100), 1.0);
        assert!((buckets.average(at(100)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_weighted_average_decays_with_age() {
        let mut buckets = Buckets::new(secs(60), Aggregation::WeightedExponential);
        buckets.record(at(0), 10.0);
        buckets.record(at(1), 20.0);
        // 20 * 0.2 + 10 * 0.2 * 0.8; a second later both times 0.8.
        assert!((buckets.average(at(1)) - 5.6).abs() < 1e-9);
        assert!((buckets.average(at(2)) - 4.48).abs() < 1e-9);
        // Four buckets need a weight of 1 - (1 - 0.9999)^(1/4) = 0.9.
        let mut short = Buckets::new(secs(4), Aggregation::WeightedExponential);
        short.record(at(0), 10.0);
        assert!((short.average(at(0)) - 9.0).abs() < 1e-9);
    }

    #[test]
    fn the_largest_value_of_the_delay_counts() {
        let mut window = DelayWindow::default();
        let length = (secs(6), secs(2));
        let mut delayed = |second, value| window.delayed(at(second), length, value);
        assert_eq!(delayed(0, 5), 5);
        assert_eq!(delayed(2, 3), 5);
        assert_eq!(delayed(4, 1), 5);
        assert_eq!(delayed(6, 1), 3);
        assert_eq!(delayed(8, 1), 1);
        assert_eq!(delayed(9, 0), 1);
    }
}
