//! Prometheus as read by an adapter: scraped counters and gauges, `rate` over them, and `histogram_quantile`.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use engine::{SimDuration, SimTime};
use units::LoopPhase;

/// Timing of the Prometheus that supplies custom and external metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PrometheusSettings {
    /// Scrape interval. Default 30s, as in kube-prometheus.
    #[schemars(extend("x-minimum" = "100ms"))]
    pub scrape_interval: SimDuration,
    /// Time of the run's first scrape. Default 7s.
    pub first_scrape: LoopPhase,
    /// The range of `rate(...)` in the adapter's queries. Default 2m, as in the adapter's examples.
    pub rate_window: SimDuration,
}

impl Default for PrometheusSettings {
    fn default() -> Self {
        Self {
            scrape_interval: SimDuration::from_secs(30),
            first_scrape: LoopPhase::After(SimDuration::from_secs(7)),
            rate_window: SimDuration::from_secs(120),
        }
    }
}

/// Lookback of an instant query: five minutes (`--query.lookback-delta`, left-open since Prometheus 3).
const LOOKBACK: SimDuration = SimDuration::from_secs(300);

/// The samples of one series that are still within reach of a query.
#[derive(Clone, Debug, Default)]
pub struct Series {
    samples: VecDeque<(SimTime, f64)>,
}

impl Series {
    /// Adds a sample and drops those that have left `window`.
    pub fn push(&mut self, now: SimTime, value: f64, window: SimDuration) {
        while self.samples.front().is_some_and(|(at, _)| *at <= now - window) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, value));
    }

    /// The last value, unless it is older than the lookback of an instant query: `--query.lookback-delta`.
    pub fn last(&self, now: SimTime) -> Option<f64> {
        let (at, value) = self.samples.back()?;
        (*at > now - LOOKBACK).then_some(*value)
    }

    /// `rate(series[window])` at `now`, per second: the increase between the first and the last
    /// sample of the range, extrapolated to its ends (`extrapolatedRate` in `promql/functions.go`).
    /// `None` with fewer than two samples.
    pub fn rate(&self, now: SimTime, window: SimDuration) -> Option<f64> {
        let start = now - window;
        let mut in_range = self.samples.iter().filter(|(at, _)| *at > start && *at <= now);
        let (first_at, first) = *in_range.next()?;
        let (mut last_at, mut last, mut count, mut increase) = (first_at, first, 1_u32, 0.0);
        for (at, value) in in_range {
            // A counter that decreased was reset.
            increase += if *value < last { *value } else { *value - last };
            (last_at, last, count) = (*at, *value, count + 1);
        }
        if count < 2 {
            return None;
        }
        let sampled = (last_at - first_at).as_secs_f64();
        let average = sampled / f64::from(count - 1);
        let threshold = average * 1.1;
        let reach = |gap: f64| if gap >= threshold { average / 2.0 } else { gap };
        let mut to_start = reach((first_at - start).as_secs_f64());
        // A counter cannot have been below zero.
        if increase > 0.0 && first >= 0.0 {
            to_start = to_start.min(sampled * first / increase);
        }
        let to_end = reach((now - last_at).as_secs_f64());
        Some(increase * (sampled + to_start + to_end) / sampled / window.as_secs_f64())
    }
}

/// Upper bounds of the buckets of a latency histogram, in seconds: the client libraries' default
/// (`prometheus.DefBuckets`). A last bucket without a bound follows.
pub const LATENCY_BOUNDS_SECONDS: [f64; 11] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// `histogram_quantile`: the quantile of observations counted per bucket, linear within a bucket; the last
/// bound for observations beyond it. `None` without observations.
pub(crate) fn histogram_quantile(quantile: f64, cells: &[f64]) -> Option<f64> {
    let total: f64 = cells.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let rank = quantile * total;
    let mut below = 0.0;
    for (cell, upper) in cells.iter().zip(LATENCY_BOUNDS_SECONDS) {
        if below + cell >= rank {
            let place = LATENCY_BOUNDS_SECONDS.iter().position(|bound| *bound >= upper);
            let lower = match place {
                Some(place) if place > 0 => LATENCY_BOUNDS_SECONDS[place - 1],
                _ => 0.0,
            };
            return Some(lower + (upper - lower) * (rank - below) / cell);
        }
        below += cell;
    }
    LATENCY_BOUNDS_SECONDS.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: SimDuration = SimDuration::from_secs(120);

    fn series(samples: &[(i64, f64)]) -> Series {
        let mut series = Series::default();
        for (at, value) in samples {
            series.push(SimTime::from_secs(*at), *value, WINDOW);
        }
        series
    }

    #[test]
    fn a_steady_counter_has_its_own_rate() {
        let steady = series(&[(1007, 5000.0), (1037, 5300.0), (1067, 5600.0), (1097, 5900.0)]);
        let rate = steady.rate(SimTime::from_secs(1100), WINDOW).expect("four samples");
        // 90 s of samples are extrapolated 27 s back and 3 s forward: the whole window.
        assert!((rate - 10.0).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn a_counter_that_has_just_begun_is_not_extrapolated_below_zero() {
        let young = series(&[(1060, 0.0), (1090, 300.0)]);
        let rate = young.rate(SimTime::from_secs(1090), WINDOW).expect("two samples");
        assert!((rate - 300.0 / 120.0).abs() < 1e-9, "{rate}");
        assert_eq!(series(&[(1090, 3.0)]).rate(SimTime::from_secs(1090), WINDOW), None);
    }

    #[test]
    fn a_restarted_counter_counts_from_zero() {
        let restarted = series(&[(1000, 90.0), (1030, 120.0), (1060, 15.0)]);
        let rate = restarted.rate(SimTime::from_secs(1060), WINDOW).expect("three samples");
        // 45 in 60 s; the gap to the window's start exceeds 1.1 intervals, so half an interval is added.
        assert!((rate - 45.0 * 75.0 / 60.0 / 120.0).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn a_quantile_is_linear_inside_its_cell() {
        let mut cells = [0.0; 12];
        cells[4] = 100.0;
        let p95 = histogram_quantile(0.95, &cells).expect("observations");
        assert!((p95 - (0.05 + 0.05 * 0.95)).abs() < 1e-12, "{p95}");
        cells[11] = 900.0;
        assert_eq!(histogram_quantile(0.95, &cells), Some(10.0));
        assert_eq!(histogram_quantile(0.95, &[0.0; 12]), None);
    }
}
