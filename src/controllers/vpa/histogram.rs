//! Decaying histograms: exponentially growing buckets in which older samples weigh less
//! (`pkg/recommender/util/{histogram,decaying_histogram}.go`).

use std::collections::BTreeMap;

use engine::{SimDuration, SimTime};

/// Weights below this count as none: a thousandth of the weight of a CPU sample.
const EPSILON: f64 = 0.001 * 0.1;
/// The reference moves once a sample would weigh more than two to this power.
const DECAY_EXPONENT_MAX: i64 = 100;
/// Each bucket is this much larger than the one before.
const RATIO: f64 = 1.05;
/// The largest weight of a bucket in a checkpoint.
const MAX_CHECKPOINT_WEIGHT: f64 = 10_000.0;

/// The bounds of a histogram's buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Buckets {
    /// Width of the first bucket.
    first: f64,
    count: usize,
}

impl Buckets {
    /// Of CPU in cores: from 10 millicores to 1000 cores.
    pub fn of_cpu() -> Self {
        Self::new(1000.0, 0.01)
    }

    /// Of memory in bytes: from 10 MB to 1 TB.
    pub fn of_memory() -> Self {
        Self::new(1e12, 1e7)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, positive")]
    fn new(max: f64, first: f64) -> Self {
        let last = libm::ceil(log_ratio(max * (RATIO - 1.0) / first + 1.0));
        Self { first, count: last as usize + 1 }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut as in Go")]
    fn of(&self, value: f64) -> usize {
        if value < self.first {
            return 0;
        }
        let bucket = log_ratio(value * (RATIO - 1.0) / self.first + 1.0) as usize;
        bucket.min(self.count - 1)
    }

    fn start(&self, bucket: usize) -> f64 {
        if bucket == 0 {
            return 0.0;
        }
        self.first * (power_of_ratio(bucket) - 1.0) / (RATIO - 1.0)
    }
}

fn log_ratio(value: f64) -> f64 {
    libm::log(value) / libm::log(RATIO)
}

/// The ratio to an integer power by repeated squaring, exactly as Go's `math.Pow`: its last digits can decide about a
/// byte.
fn power_of_ratio(mut exponent: usize) -> f64 {
    let (mut power, mut square) = (1.0, RATIO);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    power
}

/// A weight after a subtraction; tiny remainders count as zero (`safeSubtract`).
fn without_rest(weight: f64) -> f64 {
    if weight < EPSILON { 0.0 } else { weight }
}

/// A histogram whose samples lose half of their weight in each half-life.
#[derive(Clone, Debug, PartialEq)]
pub struct DecayingHistogram {
    buckets: Buckets,
    weights: Vec<f64>,
    total: f64,
    /// The first and the last bucket that count.
    span: (usize, usize),
    half_life: SimDuration,
    /// Time at which a sample has its nominal weight; absent before the first sample.
    reference: Option<SimTime>,
}

/// The serialized form of a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramCheckpoint {
    /// Weights of the buckets that have any, 10,000 for the heaviest.
    pub buckets: BTreeMap<usize, u32>,
    /// The weight of all together, at the reference.
    pub total_weight: f64,
    /// When that was their weight.
    pub reference: Option<SimTime>,
}

impl DecayingHistogram {
    /// An empty one.
    pub fn new(buckets: Buckets, half_life: SimDuration) -> Self {
        let weights = vec![0.0; buckets.count];
        let span = (buckets.count - 1, 0);
        // A half-life of nothing would divide by it.
        let half_life = half_life.max(SimDuration::from_nanos(1));
        Self { buckets, weights, total: 0.0, span, half_life, reference: None }
    }

    /// Adds a sample of this weight.
    pub fn add(&mut self, value: f64, weight: f64, at: SimTime) {
        let weight = weight * self.decay_factor(at);
        let bucket = self.buckets.of(value);
        self.weights[bucket] += weight;
        self.total += weight;
        if self.weights[bucket] >= EPSILON {
            self.span = (self.span.0.min(bucket), self.span.1.max(bucket));
        }
    }

    /// Takes a sample back that was added with this weight and time.
    pub fn subtract(&mut self, value: f64, weight: f64, at: SimTime) {
        let weight = weight * self.decay_factor(at);
        let slot = &mut self.weights[self.buckets.of(value)];
        *slot = without_rest(*slot - weight);
        self.total = without_rest(self.total - weight);
        self.narrow();
    }

    /// Adds all samples of another histogram. Both move to the later of their references.
    pub fn merge(&mut self, other: &mut Self) {
        match (self.reference, other.reference) {
            (mine, Some(theirs)) if mine.is_none_or(|mine| mine < theirs) => self.shift(theirs),
            (Some(mine), theirs) if theirs.is_none_or(|theirs| theirs < mine) => other.shift(mine),
            _ => {}
        }
        let (first, last) = other.span;
        for bucket in first..=last {
            self.weights[bucket] += other.weights[bucket];
        }
        self.total += other.total;
        self.span = (self.span.0.min(first), self.span.1.max(last));
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.weights[self.span.0] < EPSILON
    }

    /// The upper end of the bucket in which the percentile lies.
    pub fn percentile(&self, percentile: f64) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let threshold = percentile * self.total;
        let mut sum = 0.0;
        let mut bucket = self.span.0;
        while bucket < self.span.1 {
            sum += self.weights[bucket];
            if sum >= threshold {
                break;
            }
            bucket += 1;
        }
        self.buckets.start((bucket + 1).min(self.buckets.count - 1))
    }

    /// Creates its checkpoint: weights as integer fractions of the largest.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
    pub fn checkpoint(&self) -> HistogramCheckpoint {
        let (first, last) = self.span;
        let of = |bucket: usize| self.weights[bucket];
        let largest = (first..=last).map(of).fold(0.0, f64::max);
        let ratio = MAX_CHECKPOINT_WEIGHT / largest;
        let rounded = |bucket| (bucket, libm::floor(of(bucket) * ratio + 0.5) as u32);
        let buckets = (first..=last).map(rounded).filter(|(_, weight)| *weight > 0);
        HistogramCheckpoint {
            buckets: buckets.collect(),
            total_weight: self.total,
            reference: self.reference,
        }
    }

    /// Restores a histogram from a checkpoint.
    pub fn restored(
        buckets: Buckets,
        half_life: SimDuration,
        checkpoint: &HistogramCheckpoint,
    ) -> Self {
        let mut restored = Self::new(buckets, half_life);
        restored.reference = checkpoint.reference;
        let sum: u64 = checkpoint.buckets.values().map(|weight| u64::from(*weight)).sum();
        if sum == 0 {
            return restored;
        }
        let ratio = checkpoint.total_weight / sum as f64;
        for (bucket, weight) in checkpoint.buckets.range(..restored.buckets.count) {
            restored.weights[*bucket] += f64::from(*weight) * ratio;
            restored.span = (restored.span.0.min(*bucket), restored.span.1.max(*bucket));
        }
        restored.total = checkpoint.total_weight;
        restored.narrow();
        restored
    }

    /// The weight of a sample of this time, which moves the reference where it would grow too large.
    fn decay_factor(&mut self, at: SimTime) -> f64 {
        let latest =
            self.reference.map(|reference| reference + self.half_life * DECAY_EXPONENT_MAX);
        if latest.is_none_or(|latest| at > latest) {
            self.shift(at);
        }
        let since = at - self.reference.unwrap_or(at);
        libm::exp2(since.as_nanos() as f64 / self.half_life.as_nanos() as f64)
    }

    /// Moves the reference to the whole half-life next to a time.
    #[expect(clippy::cast_possible_truncation, reason = "a number of half-lives")]
    fn shift(&mut self, to: SimTime) {
        let half_life = self.half_life.as_nanos();
        let half_lives = |nanos: i64| nanos.saturating_add(half_life / 2).div_euclid(half_life);
        let rounded = SimTime::ZERO + self.half_life * half_lives(to.as_nanos());
        if let Some(reference) = self.reference {
            let exponent = half_lives((reference - rounded).as_nanos());
            let exponent = exponent.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
            let factor = libm::ldexp(1.0, exponent as i32);
            let (first, last) = self.span;
            for bucket in first..=last {
                self.weights[bucket] *= factor;
            }
            self.total *= factor;
            self.narrow();
        }
        self.reference = Some(rounded);
    }

    /// Leaves out buckets at both ends that hold next to nothing.
    fn narrow(&mut self) {
        let (mut first, mut last) = self.span;
        while self.weights[first] < EPSILON && first < self.buckets.count - 1 {
            first += 1;
        }
        while self.weights[last] < EPSILON && last > 0 {
            last -= 1;
        }
        self.span = (first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SimDuration = SimDuration::from_secs(86_400);

    #[test]
    fn a_percentile_is_the_upper_end_of_its_bucket() {
        let mut cpu = DecayingHistogram::new(Buckets::of_cpu(), DAY);
        assert!(cpu.is_empty());
        for _ in 0..9 {
            cpu.add(0.1, 1.0, SimTime::ZERO);
        }
        cpu.add(1.0, 1.0, SimTime::ZERO);
        // 0.1 cores lie in the bucket from 0.0955 to 0.1103 (its number is 8).
        let expected = 0.01 * (libm::pow(1.05, 9.0) - 1.0) / 0.05;
        assert!((cpu.percentile(0.9) - expected).abs() < 1e-12, "{}", cpu.percentile(0.9));
        assert!(cpu.percentile(0.95) > 1.0);
    }

    #[test]
    fn a_bucket_starts_where_the_powers_of_go_say() {
        let start = Buckets::of_memory().start(4);
        assert!(start < 43_101_250.0 && start > 43_101_249.9, "{start}");
    }

    #[test]
    fn a_sample_of_a_day_ago_weighs_half() {
        let mut cpu = DecayingHistogram::new(Buckets::of_cpu(), DAY);
        cpu.add(4.0, 1.0, SimTime::ZERO);
        cpu.add(0.1, 1.0, SimTime::ZERO + DAY);
        assert!(cpu.percentile(0.66) < 0.2);
        assert!(cpu.percentile(0.67) > 4.0);
    }

    #[test]
    fn what_is_taken_back_is_gone() {
        let mut memory = DecayingHistogram::new(Buckets::of_memory(), DAY);
        memory.add(1e9, 1.0, SimTime::ZERO + DAY * 200);
        memory.subtract(1e9, 1.0, SimTime::ZERO + DAY * 200);
        assert!(memory.is_empty());
    }

    #[test]
    fn a_merged_one_weighs_both_at_the_later_reference() {
        let at = |days: i64| SimTime::ZERO + DAY * days;
        let mut old = DecayingHistogram::new(Buckets::of_cpu(), DAY);
        old.add(4.0, 1.0, at(0));
        let mut new = DecayingHistogram::new(Buckets::of_cpu(), DAY);
        new.add(0.1, 1.0, at(1));
        new.merge(&mut old);
        assert!(new.percentile(0.66) < 0.2);
        assert!(new.percentile(0.67) > 4.0);
    }

    #[test]
    fn a_checkpoint_brings_back_what_weighs_enough() {
        let mut cpu = DecayingHistogram::new(Buckets::of_cpu(), DAY);
        cpu.add(0.1, 1.0, SimTime::ZERO);
        cpu.add(1.0, 0.25, SimTime::ZERO);
        cpu.add(4.0, 0.000_01, SimTime::ZERO);
        let stored = cpu.checkpoint();
        assert_eq!(stored.buckets.values().copied().collect::<Vec<_>>(), [10_000, 2_500]);
        let restored = DecayingHistogram::restored(Buckets::of_cpu(), DAY, &stored);
        assert!(restored.percentile(0.8) < 0.2 && restored.percentile(0.81) > 1.0);
    }
}
