//! Latency of a flow: the latency its requests would have had as single requests.
//!
//! A fluid has no randomness. Where a pod keeps up, requests wait because arrivals are irregular: that
//! wait follows from the utilization by queueing formulas for Poisson arrivals. Where it does not keep
//! up, the fluid's own queue determines the wait, and randomness matters little.

use super::model::{Means, erlang_c};
use super::tally::{Tally, UTILIZATIONS, wait_of_bin};
use crate::recording::{Latencies, LatenciesWithFailures};
use crate::request_model::RequestModel;
use crate::time_distribution::Quantile;
use engine::SimDuration;

/// Above this utilization the stationary formulas describe a state reached only after hours, so the
/// fluid's own queue is used instead.
const STEADY_MAX: f64 = 0.98;
/// Bins per octave of latency: a resolution of 1.1 %.
const PER_OCTAVE: f64 = 64.0;
/// The shortest latency distinguished from zero [s].
const SHORTEST: f64 = 1e-6;
/// Weights of the quantiles of a distribution: `(up to, step)`, finer towards the tail.
const GRID: [(f64, f64); 4] = [(0.9, 0.02), (0.99, 0.005), (0.999, 0.0005), (1.0, 0.0001)];

/// A kind of pod, an application with its CPU, and its latency distribution at each utilization.
#[derive(Clone, Debug)]
pub(super) struct PodKind {
    pub(super) model: usize,
    pub(super) cores: f64,
    times: Times,
    /// Computed on first use.
    at_utilization: Vec<Option<Histogram>>,
}

/// Service times of a kind of pod: quantiles with their weights [s].
#[derive(Clone, Debug)]
struct Times {
    /// CPU time at the speed of a single request.
    cpu: Vec<(f64, f64)>,
    /// Waiting time after that.
    wait: Vec<(f64, f64)>,
    /// Number of requests processed at full speed.
    servers: f64,
    mean_cpu: f64,
    squared_cv: f64,
    /// Factor on the CPU time in a full pod, where all requests in service share the CPU. Absent if
    /// each request in service has its own core.
    sharing: Option<f64>,
}

/// Weights by latency bin.
#[derive(Clone, Debug, Default)]
struct Histogram {
    bins: Vec<f64>,
    weight: f64,
    /// Sum of latencies times weights.
    sum: f64,
}

impl PodKind {
    pub(super) fn new(id: usize, model: &RequestModel, means: Means, cores: f64) -> Self {
        let slots = f64::from(model.concurrency);
        let speed = cores.clamp(f64::MIN_POSITIVE, 1.0);
        let nanos = 1e-9;
        let is_shared = cores < slots && model.concurrency > 1;
        let times = Times {
            cpu: quantiles(model.cpu_distribution(), nanos / speed, grid()),
            // Coarser, as it is combined with both of the others.
            wait: quantiles(model.wait_distribution(), nanos, coarse_grid()),
            servers: cores.min(slots).max(1.0),
            mean_cpu: means.cpu / speed,
            squared_cv: means.squared_cv,
            sharing: is_shared.then(|| (slots / cores.max(1.0)).max(1.0)),
        };
        Self { model: id, cores, times, at_utilization: vec![None; UTILIZATIONS] }
    }
}

/// Latencies of served requests; `None` if there were none.
pub(super) fn latencies(tally: &Tally, kinds: &mut [PodKind]) -> Option<Latencies> {
    histogram(tally, kinds).latencies()
}

/// The same for all ended requests, where a failed one ranks as slower than any answer; `None` if none
/// ended.
pub(super) fn latencies_of_all(
    tally: &Tally,
    kinds: &mut [PodKind],
) -> Option<LatenciesWithFailures> {
    let failed: f64 = tally.failed.iter().sum();
    histogram(tally, kinds).latencies_of_all(failed)
}

/// Number of answers within each of these limits.
pub(super) fn within(
    tally: &Tally,
    kinds: &mut [PodKind],
    limits: &[SimDuration],
) -> impl Iterator<Item = f64> + use<> {
    let histogram = if limits.is_empty() { Histogram::default() } else { histogram(tally, kinds) };
    let amounts: Vec<f64> = limits.iter().map(|limit| histogram.within(*limit)).collect();
    amounts.into_iter()
}

fn histogram(tally: &Tally, kinds: &mut [PodKind]) -> Histogram {
    let mut sum = Histogram::default();
    for (served, kind) in tally.kinds.iter().zip(kinds) {
        let PodKind { times, at_utilization, .. } = kind;
        for (bin, amount) in served.by_utilization.iter().enumerate() {
            if *amount > 0.0 {
                let utilization = (bin as f64 + 0.5) / UTILIZATIONS as f64;
                let known = at_utilization[bin]
                    .get_or_insert_with(|| times.at_utilization(utilization.min(STEADY_MAX)));
                sum.add_all(known, *amount);
            }
        }
        for (bin, amount) in served.by_wait.iter().enumerate() {
            if *amount > 0.0 {
                times.after(wait_of_bin(bin), *amount, &mut sum);
            }
        }
    }
    sum
}

impl Times {
    /// The latencies in a pod that keeps up.
    ///
    /// Requests that share the CPU slow each other down: the mean of M/G/PS for `n` servers is `S (1 +
    /// C / (n (1 - u)))`. Queued requests wait `C / (n (1 - u)) S (1 + cv^2) / 2` in the mean (Allen
    /// and Cunneen), exponentially distributed for those that wait at all.
    fn at_utilization(&self, utilization: f64) -> Histogram {
        let mut histogram = Histogram::default();
        let waits = erlang_c(self.servers, utilization);
        let mean_if_waiting = 1.0 / (self.servers * (1.0 - utilization));
        for (u, turn_share) in grid() {
            // The requests that wait are the upper quantiles.
            let waited =
                if u > 1.0 - waits { -libm::log((1.0 - u) / waits) * mean_if_waiting } else { 0.0 };
            for (cpu, share) in &self.cpu {
                let busy = if self.sharing.is_some() {
                    cpu * (1.0 + waited)
                } else {
                    cpu + waited * self.mean_cpu * f64::midpoint(1.0, self.squared_cv)
                };
                for (wait, wait_share) in &self.wait {
                    histogram.add(busy + wait, share * turn_share * wait_share);
                }
            }
        }
        histogram
    }

    /// The latencies in an overloaded pod, after a wait in its queue [s].
    fn after(&self, wait: f64, amount: f64, sum: &mut Histogram) {
        let stretch = self.sharing.unwrap_or(1.0);
        for (cpu, share) in &self.cpu {
            for (own, own_share) in &self.wait {
                sum.add(wait + cpu * stretch + own, share * own_share * amount);
            }
        }
    }
}

/// The quantiles of a distribution with their weights; a constant has a single one.
fn quantiles(
    law: &Quantile,
    scale: f64,
    grid: impl Iterator<Item = (f64, f64)>,
) -> Vec<(f64, f64)> {
    match law {
        Quantile::Constant(nanos) => vec![(nanos * scale, 1.0)],
        law => grid.map(|(u, share)| (law.at(u) * scale, share)).collect(),
    }
}

/// Ten quantiles and three for the tail.
fn coarse_grid() -> impl Iterator<Item = (f64, f64)> {
    let body = (0..9).map(|one| (0.05 + 0.1 * f64::from(one), 0.1));
    body.chain([(0.925, 0.05), (0.965, 0.03), (0.9875, 0.015), (0.9975, 0.005)])
}

/// Quantiles at the midpoints of their weights, with the weights.
fn grid() -> impl Iterator<Item = (f64, f64)> {
    let froms = [0.0].into_iter().chain(GRID.map(|(to, _)| to));
    froms.zip(GRID).flat_map(|(from, (to, step))| {
        let steps = ((to - from) / step).round();
        let share = (to - from) / steps;
        (0..)
            .map(f64::from)
            .take_while(move |one| *one < steps)
            .map(move |one| (from + (one + 0.5) * share, share))
    })
}

impl Histogram {
    fn add(&mut self, seconds: f64, weight: f64) {
        let bin = bin_of(seconds);
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0.0);
        }
        self.bins[bin] += weight;
        self.weight += weight;
        self.sum += seconds * weight;
    }

    fn add_all(&mut self, other: &Self, amount: f64) {
        if self.bins.len() < other.bins.len() {
            self.bins.resize(other.bins.len(), 0.0);
        }
        let scale = amount / other.weight;
        for (sum, more) in self.bins.iter_mut().zip(&other.bins) {
            *sum += more * scale;
        }
        self.weight += amount;
        self.sum += other.sum * scale;
    }

    fn latencies(&self) -> Option<Latencies> {
        if self.weight <= 0.0 {
            return None;
        }
        let quantile = |q: f64| self.up_to(q * self.weight);
        Some(Latencies {
            mean: SimDuration::from_secs_f64(self.sum / self.weight),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: quantile(1.0),
        })
    }

    fn latencies_of_all(&self, failed: f64) -> Option<LatenciesWithFailures> {
        let ended = self.weight + failed;
        if ended <= 0.0 {
            return None;
        }
        let quantile = |q: f64| (q * ended <= self.weight).then(|| self.up_to(q * ended));
        Some(LatenciesWithFailures {
            p50: quantile(0.5),
            p90: quantile(0.9),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: quantile(1.0),
        })
    }

    /// The latency below which this much of the weight lies.
    fn up_to(&self, weight: f64) -> SimDuration {
        let mut sum = 0.0;
        let reaches = |of_bin: &f64| {
            sum += of_bin;
            sum >= weight
        };
        let bin = self.bins.iter().position(reaches).unwrap_or(self.bins.len().saturating_sub(1));
        SimDuration::from_secs_f64(SHORTEST * libm::exp2((bin as f64 + 0.5) / PER_OCTAVE))
    }

    /// The weight of latencies up to this limit, in whole bins.
    fn within(&self, limit: SimDuration) -> f64 {
        let last = bin_of(limit.as_secs_f64());
        self.bins.iter().take(last + 1).sum()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to int casts saturate, and nothing waits longer than 2^40 seconds"
)]
fn bin_of(seconds: f64) -> usize {
    (libm::log2((seconds / SHORTEST).clamp(1.0, 1e18)) * PER_OCTAVE) as usize
}
