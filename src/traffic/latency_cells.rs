//! A histogram of latencies in microseconds with three significant digits and the buckets of HdrHistogram
//! (Tene): width one up to 2047, then 1024 buckets per doubling. Counting takes an index and an addition.

use std::borrow::Cow;

use engine::SimDuration;

/// Buckets with a width of one microsecond.
const SINGLE: u64 = 2048;
/// Buckets of each doubling after those.
const PER_DOUBLING: u64 = SINGLE / 2;

/// Counts by latency. The owner keeps the total count.
#[derive(Clone, Debug, Default)]
pub(super) struct LatencyHistogram {
    /// Up to the highest bucket used.
    cells: Vec<u64>,
    sum_nanos: u128,
    max: SimDuration,
    /// Recorded latencies not counted yet. The buckets of consecutive requests are far apart in memory;
    /// counting in batches lets the processor fetch many of them at a time, undisturbed by the other work
    /// of a request.
    met: [SimDuration; BATCH],
    /// Number of pending latencies, less than the capacity.
    pending: usize,
}

const NANOS_PER_MICRO: u64 = 1000;

/// Number of latencies counted in one batch.
const BATCH: usize = 32;

/// Index of a latency's bucket.
#[derive(Clone, Copy, Debug)]
struct Cell(u32);

impl Cell {
    /// The bucket of a latency in microseconds.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 55 x 1024 cells")]
    fn of(micros: u64) -> Self {
        if micros < SINGLE {
            return Self(micros as u32);
        }
        // 2048 to 4095 are in buckets of width two, and so on.
        let shift = u64::from(SINGLE.leading_zeros() - micros.leading_zeros() + 1);
        Self((shift * PER_DOUBLING + (micros >> shift)) as u32)
    }

    /// The largest latency of the bucket [us].
    const fn highest(self) -> u64 {
        let index = self.0 as u64;
        if index < SINGLE {
            return index;
        }
        let shift = index / PER_DOUBLING - 1;
        let within = index - shift * PER_DOUBLING;
        ((within + 1) << shift) - 1
    }
}

impl LatencyHistogram {
    /// Records a latency.
    #[inline]
    pub fn count(&mut self, latency: SimDuration) {
        self.met[self.pending % BATCH] = latency;
        self.pending += 1;
        if self.pending == BATCH {
            self.settle();
        }
    }

    /// Counts the pending latencies, so that the buckets can be read.
    pub fn settle(&mut self) {
        let pending = std::mem::take(&mut self.pending).min(BATCH);
        for latency in &self.met[..pending] {
            let nanos = latency.as_nanos().unsigned_abs();
            self.sum_nanos += u128::from(nanos);
            self.max = self.max.max(*latency);
            let index = Cell::of(nanos / NANOS_PER_MICRO).0 as usize;
            if index >= self.cells.len() {
                self.cells.resize((index + 1).next_power_of_two(), 0);
            }
            self.cells[index] += 1;
        }
    }

    /// The counts including pending latencies.
    fn settled(&self) -> Cow<'_, Self> {
        if self.pending == 0 {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled)
    }

    /// Sum of all latencies [ns], and the largest.
    pub(crate) fn sum_and_max(&self) -> (u128, SimDuration) {
        let settled = self.settled();
        (settled.sum_nanos, settled.max)
    }

    /// The latencies [us] below which these shares of `all` counts lie, each rounded up to the end of its
    /// bucket. The shares must ascend.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is one"
    )]
    pub(crate) fn values_at_quantiles<const N: usize>(
        &self,
        shares: [f64; N],
        all: u64,
    ) -> [u64; N] {
        let settled = self.settled();
        let (mut passed, mut next) = (0, 0u32);
        shares.map(|share| {
            let target = ((share * all as f64).ceil() as u64).max(1);
            while passed < target
                && let Some(count) = settled.cells.get(next as usize)
            {
                passed += count;
                next += 1;
            }
            if passed < target { 0 } else { Cell(next.saturating_sub(1)).highest() }
        })
    }

    /// Number of latencies up to this limit, to three significant digits.
    pub(crate) fn count_within(&self, limit: SimDuration) -> u64 {
        if limit < SimDuration::ZERO {
            return 0;
        }
        let settled = self.settled();
        let last = Cell::of(limit.as_nanos().unsigned_abs() / NANOS_PER_MICRO).0 as usize;
        settled.cells.iter().take(last + 1).sum()
    }

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        let other = other.settled();
        if self.cells.len() < other.cells.len() {
            self.cells.resize(other.cells.len(), 0);
        }
        self.cells.iter_mut().zip(&other.cells).for_each(|(ours, theirs)| *ours += theirs);
        self.sum_nanos += other.sum_nanos;
        self.max = self.max.max(other.max);
    }

    /// Number of latencies below a microsecond.
    pub(crate) fn at_zero(&self) -> u64 {
        self.settled().cells.first().copied().unwrap_or_default()
    }

    /// Clears all counts.
    pub fn clear(&mut self) {
        self.cells.fill(0);
        (self.sum_nanos, self.max, self.pending) = (0, SimDuration::ZERO, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;

    #[test]
    fn quantiles_are_those_of_hdr_histogram() {
        let mut theirs: Histogram<u64> = Histogram::new(3).expect("three digits");
        let mut ours = LatencyHistogram::default();
        let mut state = 1u64;
        let (mut all, mut sum) = (0, 0);
        for step in 0..200_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Of every size up to 2^50.
            let micros = (state >> 14) >> (step % 50);
            theirs.record(micros).expect("it grows");
            let nanos = i64::try_from(micros * NANOS_PER_MICRO).expect("35 years");
            ours.count(SimDuration::from_nanos(nanos));
            sum += u128::from(micros * NANOS_PER_MICRO);
            all += 1;
        }
        let shares = [0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0];
        let expected = shares.map(|share| theirs.value_at_quantile(share));
        assert_eq!(ours.values_at_quantiles(shares, all), expected);
        assert_eq!(ours.at_zero(), theirs.count_at(0));
        assert_eq!(ours.sum_and_max().0, sum);
        let mut twice = LatencyHistogram::default();
        twice.add(&ours);
        twice.add(&ours);
        assert_eq!(twice.values_at_quantiles(shares, 2 * all), expected);
    }

    #[test]
    fn a_quantile_is_the_first_value_that_covers_its_share() {
        let mut histogram = LatencyHistogram::default();
        for micros in [100, 200, 300] {
            histogram.count(SimDuration::from_nanos(1_000 * micros));
        }
        assert_eq!(histogram.values_at_quantiles([0.3, 0.5, 0.7], 3), [100, 200, 300]);
    }

    #[test]
    fn counts_within_a_limit_take_its_own_cell_and_none_above() {
        let mut histogram = LatencyHistogram::default();
        for millis in [1, 2, 2, 300, 4000] {
            histogram.count(SimDuration::from_millis(millis));
        }
        for (limit, within) in [(0, 0), (1, 1), (2, 3), (299, 3), (300, 4), (4000, 5), (9000, 5)] {
            assert_eq!(histogram.count_within(SimDuration::from_millis(limit)), within, "{limit}");
        }
    }

    #[test]
    fn cells_follow_each_other_without_gaps() {
        let mut last = Cell::of(0);
        for micros in 1..20_000u64 {
            let cell = Cell::of(micros);
            assert!(cell.0 == last.0 || cell.0 == last.0 + 1, "{micros}");
            assert!(cell.highest() >= micros && (cell.0 == last.0 || last.highest() == micros - 1));
            last = cell;
        }
    }
}
