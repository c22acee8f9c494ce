//! Outcomes of a flow: amounts by outcome, and the load that determines their latency.

use crate::recording::{FailureCause, Outcomes};

/// Number of utilization bins.
pub(super) const UTILIZATIONS: usize = 200;
/// Bins per octave of wait.
const PER_OCTAVE: f64 = 16.0;
/// The shortest wait distinguished from zero [s].
const SHORTEST_WAIT: f64 = 1e-6;

/// Amounts of requests over a span of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Requests arrived.
    pub arrived: f64,
    /// Requests served in time.
    pub served: f64,
    /// Requests that failed, by position of the cause in [`FailureCause::ALL`].
    pub failed: [f64; FailureCause::ALL.len()],
    /// Served requests by the kind of pod.
    pub kinds: Vec<Served>,
}

/// Requests served by one kind of pod, by the load that they found, which determines their latency.
#[derive(Clone, Debug, Default)]
pub(super) struct Served {
    /// Requests that found no queue, by utilization.
    pub by_utilization: Vec<f64>,
    /// Requests that found a queue, by the octave of their wait in it.
    pub by_wait: Vec<f64>,
}

impl Tally {
    /// Counts requests that failed.
    pub(super) fn fail(&mut self, cause: FailureCause, amount: f64) {
        self.failed[cause as usize] += amount;
    }

    /// Counts requests served by a pod of a kind without a queue, at a utilization up to 1.
    pub(super) fn serve_at_once(&mut self, kind: usize, utilization: f64, amount: f64) {
        self.served += amount;
        let bins = &mut self.kind(kind).by_utilization;
        bins.resize(UTILIZATIONS, 0.0);
        bins[bin(utilization * UTILIZATIONS as f64, UTILIZATIONS)] += amount;
    }

    /// Counts requests served by a pod of a kind after a wait in its queue [s].
    pub(super) fn serve_after(&mut self, kind: usize, wait: f64, amount: f64) {
        self.served += amount;
        let bins = &mut self.kind(kind).by_wait;
        let octaves = libm::log2((wait / SHORTEST_WAIT).max(1.0));
        let bin = bin(octaves * PER_OCTAVE, usize::MAX);
        if bins.len() <= bin {
            bins.resize(bin + 1, 0.0);
        }
        bins[bin] += amount;
    }

    /// Adds the amounts of another span.
    pub(super) fn add(&mut self, other: &Self) {
        self.add_amounts(other);
        for (kind, more) in other.kinds.iter().enumerate() {
            let sum = self.kind(kind);
            add_bins(&mut sum.by_utilization, &more.by_utilization);
            add_bins(&mut sum.by_wait, &more.by_wait);
        }
    }

    /// Adds the outcomes of another span, without the data for latencies.
    pub(super) fn add_amounts(&mut self, other: &Self) {
        self.arrived += other.arrived;
        self.served += other.served;
        for (sum, more) in self.failed.iter_mut().zip(other.failed) {
            *sum += more;
        }
    }

    /// Resets to zero; keeps the memory.
    pub(super) fn clear(&mut self) {
        (self.arrived, self.served) = (0.0, 0.0);
        self.failed = [0.0; FailureCause::ALL.len()];
        for kind in &mut self.kinds {
            kind.by_utilization.fill(0.0);
            kind.by_wait.clear();
        }
    }

    /// In whole requests.
    pub(super) fn outcomes(&self) -> Outcomes {
        Outcomes {
            arrived: whole(self.arrived),
            answered: whole(self.served),
            failed: self.failed.map(whole),
            // A flow has no retries and no calls.
            ..Outcomes::default()
        }
    }

    fn kind(&mut self, kind: usize) -> &mut Served {
        if self.kinds.len() <= kind {
            self.kinds.resize_with(kind + 1, Served::default);
        }
        &mut self.kinds[kind]
    }
}

/// The wait represented by a bin of [`Served::by_wait`] [s].
pub(super) fn wait_of_bin(bin: usize) -> f64 {
    SHORTEST_WAIT * libm::exp2((bin as f64 + 0.5) / PER_OCTAVE)
}

/// The nearest whole number of requests.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to int casts saturate, which is meant"
)]
pub(super) fn whole(amount: f64) -> u64 {
    amount.round() as u64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to int casts saturate, which is meant"
)]
fn bin(position: f64, bins: usize) -> usize {
    (position as usize).min(bins - 1)
}

fn add_bins(sums: &mut Vec<f64>, more: &[f64]) {
    if sums.len() < more.len() {
        sums.resize(more.len(), 0.0);
    }
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}
