//! A histogram of latencies in microseconds, three digits exact, with the cells of HdrHistogram (Tene):
//! cells of one up to 2047, then 1024 cells for each doubling. Counting takes an index and an addition.

/// Cells of one microsecond.
const SINGLE: u64 = 2048;
/// Cells of each doubling after those.
const PER_DOUBLING: u64 = SINGLE / 2;

/// Counts by latency. The number of counts is for the owner to know.
#[derive(Clone, Debug, Default)]
pub(super) struct LatencyHistogram {
    /// As far as there was one.
    cells: Vec<u64>,
}

/// The position of a latency's cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell(usize);

impl Cell {
    /// The cell of so many microseconds.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 55 x 1024 cells")]
    pub fn of(micros: u64) -> Self {
        if micros < SINGLE {
            return Self(micros as usize);
        }
        // 2048 to 4095 are in cells of two, and so on.
        let shift = u64::from(SINGLE.leading_zeros() - micros.leading_zeros() + 1);
        Self((shift * PER_DOUBLING + (micros >> shift)) as usize)
    }

    /// The largest latency of the cell [us].
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
    /// Counts a latency.
    #[inline]
    pub fn count(&mut self, cell: Cell) {
        if let Some(count) = self.cells.get_mut(cell.0) {
            *count += 1;
        } else {
            self.grow(cell);
        }
    }

    #[cold]
    fn grow(&mut self, cell: Cell) {
        self.cells.resize((cell.0 + 1).next_power_of_two(), 0);
        self.cells[cell.0] = 1;
    }

    /// The latency [us] up to which a share `q` of `all` counts lies, rounded up to the end of its cell.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is one"
    )]
    pub fn value_at_quantile(&self, q: f64, all: u64) -> u64 {
        let target = ((q * all as f64).ceil() as u64).max(1);
        let mut passed = 0;
        let found = self.cells.iter().position(|count| {
            passed += count;
            passed >= target
        });
        found.map_or(0, |index| Cell(index).highest())
    }

    /// Counts of less than a microsecond.
    pub fn at_zero(&self) -> u64 {
        self.cells.first().copied().unwrap_or_default()
    }

    /// Forgets all counts.
    pub fn clear(&mut self) {
        self.cells.fill(0);
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
        let mut all = 0;
        for step in 0..200_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Of every size up to 2^50.
            let micros = (state >> 14) >> (step % 50);
            theirs.record(micros).expect("it grows");
            ours.count(Cell::of(micros));
            all += 1;
        }
        for q in [0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
            assert_eq!(ours.value_at_quantile(q, all), theirs.value_at_quantile(q), "{q}");
        }
        assert_eq!(ours.at_zero(), theirs.count_at(0));
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
