//! Named random streams and the samplers drawn from them. All randomness of a run comes from here.

use rand::{Rng, RngExt, SeedableRng};
use rand_distr::Distribution;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::digest::{Digest, mix};

/// One stream of random numbers: a named, portable generator, the same on every machine.
pub type Stream = Xoshiro256PlusPlus;

/// The root of all random streams of a run.
///
/// Every process that needs randomness requests a stream by name and index. A stream depends only on the seed, its
/// name and its index, so that changing one setting leaves all other streams unchanged: two variants of a scenario
/// see the same requests (common random numbers).
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed that was given.
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// The stream of the process `name` with this `index` (0 if there is only one).
    pub fn stream(self, name: &str, index: u64) -> Stream {
        let named = mix(self.seed ^ Digest::of(name.as_bytes()));
        Stream::seed_from_u64(mix(named.wrapping_add(mix(index.wrapping_add(1)))))
    }
}

/// A number in the open interval (0, 1): safe to take a logarithm of.
#[inline]
pub fn open_unit<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    unit_of(rng.next_u64())
}

/// The number in the open interval (0, 1) that [`open_unit`] derives from random bits.
#[inline]
pub fn unit_of(bits: u64) -> f64 {
    // 53 random bits, centred in their cell, so that neither 0 nor 1 comes out.
    let cell = (bits >> 11) as f64;
    (cell + 0.5) * (1.0 / 9_007_199_254_740_992.0)
}

/// A uniformly drawn index below `n`; `n` must not be 0.
#[inline]
pub fn index_below<R: Rng + ?Sized>(rng: &mut R, n: usize) -> usize {
    assert!(n > 0, "an index is drawn from at least one");
    // Lemire's multiply-shift; the bias of n / 2^64 is far too small to be observed in a run.
    let product = u128::from(rng.next_u64()) * n as u128;
    usize::try_from(product >> 64).expect("the product's upper half is below n")
}

/// Whether an event of probability `p` happens.
pub fn happens<R: Rng + ?Sized>(rng: &mut R, p: f64) -> bool {
    rng.random::<f64>() < p
}

/// The exponential distribution with a given mean (unit as the mean's).
#[derive(Clone, Copy, Debug)]
pub struct Exponential {
    /// Mean of the distribution.
    pub mean: f64,
}

impl Distribution<f64> for Exponential {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        -libm::log(open_unit(rng)) * self.mean
    }
}

/// The normal distribution, by the Box-Muller transform (one of the pair is used, so that every
/// sample takes the same number of draws).
#[derive(Clone, Copy, Debug)]
pub struct Normal {
    /// Mean of the drawn values.
    pub mean: f64,
    /// Standard deviation of the drawn values.
    pub std_dev: f64,
}

impl Distribution<f64> for Normal {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(open_unit(rng)));
        let angle = std::f64::consts::TAU * open_unit(rng);
        self.mean + self.std_dev * radius * libm::cos(angle)
    }
}

/// The lognormal distribution with a given mean and coefficient of variation.
#[derive(Clone, Copy, Debug)]
pub struct LogNormal {
    mu: f64,
    sigma: f64,
}

impl LogNormal {
    /// `mean` is that of the distribution itself, not of its logarithm; `cv` is standard deviation
    /// over mean.
    pub fn from_mean_cv(mean: f64, cv: f64) -> Self {
        let variance = libm::log1p(cv * cv);
        Self { mu: libm::log(mean) - variance / 2.0, sigma: libm::sqrt(variance) }
    }
}

impl Distribution<f64> for LogNormal {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        libm::exp(Normal { mean: self.mu, std_dev: self.sigma }.sample(rng))
    }
}

/// The Pareto distribution (type I) with a given mean; `shape` must exceed 1.
#[derive(Clone, Copy, Debug)]
pub struct Pareto {
    /// Mean of the distribution.
    pub mean: f64,
    /// Tail index alpha; smaller is heavier.
    pub shape: f64,
}

impl Distribution<f64> for Pareto {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let scale = self.mean * (self.shape - 1.0) / self.shape;
        scale * libm::pow(open_unit(rng), -1.0 / self.shape)
    }
}

/// The gamma distribution with a given mean and coefficient of variation (Marsaglia and Tsang 2000;
/// for shapes below 1 boosted by a power of a uniform).
#[derive(Clone, Copy, Debug)]
pub struct Gamma {
    shape: f64,
    scale: f64,
}

impl Gamma {
    /// `cv` is standard deviation over mean; 1 gives the exponential distribution.
    pub fn from_mean_cv(mean: f64, cv: f64) -> Self {
        let shape = 1.0 / (cv * cv);
        Self { shape, scale: mean / shape }
    }
}

impl Distribution<f64> for Gamma {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let (shape, boost) = if self.shape < 1.0 {
            (self.shape + 1.0, libm::pow(open_unit(rng), 1.0 / self.shape))
        } else {
            (self.shape, 1.0)
        };
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let x = Normal { mean: 0.0, std_dev: 1.0 }.sample(rng);
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            if libm::log(open_unit(rng)) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                return d * v * self.scale * boost;
            }
        }
    }
}

/// The Weibull distribution with a given mean and coefficient of variation.
#[derive(Clone, Copy, Debug)]
pub struct Weibull {
    /// One over the shape.
    exponent: f64,
    scale: f64,
}

impl Weibull {
    /// `cv` is standard deviation over mean, from 0.05 to 20; 1 gives the exponential distribution.
    ///
    /// The shape k solves cv^2 = gamma(1 + 2/k) / gamma(1 + 1/k)^2 - 1, whose right side rises with 1/k.
    pub fn from_mean_cv(mean: f64, cv: f64) -> Self {
        let spread =
            |exponent: f64| libm::lgamma(1.0 + 2.0 * exponent) - 2.0 * libm::lgamma(1.0 + exponent);
        let wanted = libm::log1p(cv * cv);
        let (mut low, mut high) = (0.0, 64.0);
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if spread(middle) < wanted { low = middle } else { high = middle }
        }
        Self { exponent: low, scale: mean / libm::tgamma(1.0 + low) }
    }
}

impl Distribution<f64> for Weibull {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        self.scale * libm::pow(-libm::log(open_unit(rng)), self.exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(name: &str, index: u64) -> u64 {
        Streams::new(42).stream(name, index).next_u64()
    }

    #[test]
    fn streams_differ_by_seed_name_and_index() {
        assert_ne!(first("arrivals", 0), first("arrivals", 1));
        assert_ne!(first("arrivals", 0), first("service", 0));
        assert_ne!(first("arrivals", 0), Streams::new(43).stream("arrivals", 0).next_u64());
        assert_eq!(first("arrivals", 7), first("arrivals", 7));
    }

    /// The first draws of every sampler are part of the promise that a seed gives the same bytes
    /// on every machine: a change here changes every published result.
    #[test]
    fn samplers_keep_their_values() {
        let mut rng = Streams::new(1).stream("golden", 0);
        let drawn = [
            Exponential { mean: 1.0 }.sample(&mut rng),
            Normal { mean: 0.0, std_dev: 1.0 }.sample(&mut rng),
            LogNormal::from_mean_cv(1.0, 0.5).sample(&mut rng),
            Pareto { mean: 1.0, shape: 2.5 }.sample(&mut rng),
            Gamma::from_mean_cv(1.0, 2.0).sample(&mut rng),
            Gamma::from_mean_cv(1.0, 0.5).sample(&mut rng),
        ];
        insta::assert_debug_snapshot!(drawn);
    }

    #[test]
    fn samplers_have_the_mean_and_spread_that_they_name() {
        fn check(name: &str, law: impl Distribution<f64>, cv: f64) {
            let mut rng = Streams::new(7).stream(name, 0);
            let n = 200_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..n {
                let x = law.sample(&mut rng);
                sum += x;
                squares += x * x;
            }
            let mean = sum / f64::from(n);
            let std_dev = (squares / f64::from(n) - mean * mean).sqrt();
            assert!((mean - 3.0).abs() < 0.05, "{name}: mean {mean}");
            assert!((std_dev / mean - cv).abs() < 0.03, "{name}: cv {}", std_dev / mean);
        }
        check("exponential", Exponential { mean: 3.0 }, 1.0);
        check("lognormal", LogNormal::from_mean_cv(3.0, 0.7), 0.7);
        check("gamma below one", Gamma::from_mean_cv(3.0, 1.8), 1.8);
        check("gamma above one", Gamma::from_mean_cv(3.0, 0.4), 0.4);
        check("weibull with a tail", Weibull::from_mean_cv(3.0, 1.5), 1.5);
        check("weibull without", Weibull::from_mean_cv(3.0, 0.3), 0.3);
    }
}
