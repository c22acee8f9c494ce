//! Histograms that forget: exponentially growing buckets whose older samples weigh less
//! (`pkg/recommender/util/{histogram,decaying_histogram}.go`).

use engine::{SimDuration, SimTime};

/// Weights below this count as none: a thousandth of the least weight of a sample.
const EPSILON: f64 = 0.0001;
/// The reference moves when weights have doubled this often.
const DECAY_EXPONENT_MAX: i32 = 100;
/// Each bucket is this much larger than the one before.
const RATIO: f64 = 1.05;

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
        let exponent = i32::try_from(bucket).unwrap_or(i32::MAX);
        self.first * (libm::pow(RATIO, f64::from(exponent)) - 1.0) / (RATIO - 1.0)
    }
}

/// What is left of a weight; too little is nothing (`safeSubtract`).
fn without_rest(weight: f64) -> f64 {
    if weight < EPSILON { 0.0 } else { weight }
}

fn log_ratio(value: f64) -> f64 {
    libm::log(value) / libm::log(RATIO)
}

/// A histogram whose samples lose half of their weight in each half-life.
#[derive(Clone, Debug, PartialEq)]
pub struct DecayingHistogram {
    buckets: Buckets,
    weights: Vec<f64>,
    total: f64,
    half_life: SimDuration,
    reference: SimTime,
}

impl DecayingHistogram {
    /// An empty one.
    pub fn new(buckets: Buckets, half_life: SimDuration) -> Self {
        let weights = vec![0.0; buckets.count];
        Self { buckets, weights, total: 0.0, half_life, reference: SimTime::ZERO }
    }

    /// Adds a sample of this weight.
    pub fn add(&mut self, value: f64, weight: f64, at: SimTime) {
        let weight = weight * self.decay_factor(at);
        self.weights[self.buckets.of(value)] += weight;
        self.total += weight;
    }

    /// Takes a sample back that was added with this weight and time.
    pub fn subtract(&mut self, value: f64, weight: f64, at: SimTime) {
        let weight = weight * self.decay_factor(at);
        let slot = &mut self.weights[self.buckets.of(value)];
        *slot = without_rest(*slot - weight);
        self.total = without_rest(self.total - weight);
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.total < EPSILON
    }

    /// The upper end of the bucket in which the percentile lies.
    pub fn percentile(&self, percentile: f64) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let threshold = percentile * self.total;
        let last = self.weights.iter().rposition(|weight| *weight >= EPSILON).unwrap_or(0);
        let mut sum = 0.0;
        let mut bucket = 0;
        while bucket < last {
            sum += self.weights[bucket];
            if sum >= threshold {
                break;
            }
            bucket += 1;
        }
        self.buckets.start(if bucket + 1 < self.buckets.count { bucket + 1 } else { bucket })
    }

    fn decay_factor(&mut self, at: SimTime) -> f64 {
        let doublings =
            |this: &Self| (at - this.reference).as_secs_f64() / this.half_life.as_secs_f64();
        if doublings(self) > f64::from(DECAY_EXPONENT_MAX) {
            let shift = libm::round(doublings(self));
            let scale = libm::pow(2.0, -shift);
            self.weights.iter_mut().for_each(|weight| *weight *= scale);
            self.total *= scale;
            let moved = SimDuration::from_secs_f64(self.half_life.as_secs_f64() * shift);
            self.reference += moved;
        }
        libm::pow(2.0, doublings(self))
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
}
