//! Quantiles of a sample, with their confidence intervals.

use std::fmt;

use serde::Serialize;

/// Confidence level of the intervals.
const CONFIDENCE: f64 = 0.95;

/// A quantile of a sample, with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantile {
    /// The sample quantile.
    pub value: f64,
    /// Lower end of the interval.
    pub least: f64,
    /// Upper end of the interval.
    pub greatest: f64,
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_nan() {
            return f.write_str("none");
        }
        write!(f, "{:.2} ({:.2} to {:.2})", self.value, self.least, self.greatest)
    }
}

/// Sorted values.
pub(super) struct Sample(Vec<f64>);

impl Sample {
    pub(super) fn new(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The quantile `p` with its confidence interval, from the binomial distribution of the number of values below
    /// the true quantile; NaN for an empty sample.
    pub(super) fn quantile(&self, p: f64) -> Quantile {
        let values = &self.0;
        let Some(last) = values.len().checked_sub(1) else {
            return Quantile { value: f64::NAN, least: f64::NAN, greatest: f64::NAN };
        };
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let below = cumulative(values.len(), p);
        let least = below.iter().rposition(|one| *one <= tail).unwrap_or(0);
        let greatest = below.iter().position(|one| *one >= 1.0 - tail).unwrap_or(last).min(last);
        let at = p * last as f64;
        let low = (1..=last).take_while(|position| *position as f64 <= at).count();
        let part = at - low as f64;
        let high = (low + 1).min(last);
        let value = values[low] + (values[high] - values[low]) * part;
        Quantile { value, least: values[least], greatest: values[greatest] }
    }
}

/// Probability that at most 0, 1, ... of `n` values are below the quantile `p`.
fn cumulative(n: usize, p: f64) -> Vec<f64> {
    // By logarithms: the first chances of a large sample are too small for a float.
    let (mut log_chance, mut sum) = (n as f64 * libm::log(1.0 - p), 0.0);
    let odds = libm::log(p / (1.0 - p));
    let mut below = Vec::with_capacity(n);
    for count in 0..n {
        sum += libm::exp(log_chance);
        below.push(sum);
        log_chance += libm::log((n - count) as f64 / (count + 1) as f64) + odds;
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_ten_values_lies_between_the_second_and_the_ninth() {
        let sample = Sample::new((1..=10).rev().map(f64::from).collect());
        let median = sample.quantile(0.5);
        // P(at most 1 of 10 below) = 11/1024, P(at most 8) = 1013/1024.
        assert_eq!((median.value, median.least, median.greatest), (5.5, 2.0, 9.0));
        assert_eq!(median.to_string(), "5.50 (2.00 to 9.00)");
    }

    #[test]
    fn few_values_bound_a_quantile_by_their_ends() {
        let p90 = Sample::new(vec![1.0, 3.0, 2.0]).quantile(0.9);
        assert_eq!((p90.least, p90.greatest), (1.0, 3.0));
        let none = Sample::new(Vec::new()).quantile(0.5);
        assert!(none.value.is_nan());
        assert_eq!(none.to_string(), "none");
    }

    #[test]
    fn many_values_leave_a_quantile_little_room() {
        let p90 = Sample::new((0..10_000).map(f64::from).collect()).quantile(0.9);
        // 1.96 times the square root of 10,000 x 0.9 x 0.1, each way.
        assert!((8_939.0..8_943.0).contains(&p90.least), "{p90:?}");
        assert!((9_057.0..9_061.0).contains(&p90.greatest), "{p90:?}");
    }
}
