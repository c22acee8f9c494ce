//! Mean and variance of time distributions, for models that only use these.

use super::time_distribution::Quantile;

/// A distribution of infinite variance (Pareto with a tail index of 2 or less) is given a variance
/// of this many squared means: a hundred times that of an exponential distribution.
const HEAVIEST_TAIL: f64 = 100.0;

impl Quantile {
    /// The mean [ns].
    pub(super) fn mean_nanos(&self) -> f64 {
        match self {
            Self::Constant(nanos) => *nanos,
            Self::Exponential { mean } => *mean,
            Self::Lognormal { mu, sigma } => libm::exp(mu + sigma * sigma / 2.0),
            Self::Pareto { scale, exponent } => scale / (1.0 + exponent),
            Self::Empirical(times) => times.iter().sum::<f64>() / times.len() as f64,
        }
    }

    /// The variance over the square of the mean; 0 if always zero.
    pub(super) fn squared_cv(&self) -> f64 {
        match self {
            Self::Constant(_) => 0.0,
            Self::Exponential { .. } => 1.0,
            Self::Lognormal { sigma, .. } => libm::expm1(sigma * sigma),
            Self::Pareto { exponent, .. } => {
                let shape = -1.0 / exponent;
                if shape > 2.0 {
                    (1.0 / (shape * (shape - 2.0))).min(HEAVIEST_TAIL)
                } else {
                    HEAVIEST_TAIL
                }
            }
            Self::Empirical(times) => {
                let mean = self.mean_nanos();
                let squares: f64 = times.iter().map(|time| (time - mean) * (time - mean)).sum();
                if mean > 0.0 { squares / times.len() as f64 / (mean * mean) } else { 0.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_quantiles() {
        let laws = [
            Quantile::Exponential { mean: 20.0 },
            Quantile::Lognormal { mu: 3.0, sigma: 0.6 },
            Quantile::Pareto { scale: 10.0, exponent: -0.2 },
            Quantile::Empirical([1.0, 2.0, 9.0].into()),
        ];
        for law in laws {
            let points = 400_000;
            let at = |point: i32| law.at((f64::from(point) + 0.5) / f64::from(points));
            let mean = (0..points).map(at).sum::<f64>() / f64::from(points);
            let variance = (0..points).map(|point| (at(point) - mean).powi(2)).sum::<f64>()
                / f64::from(points);
            assert!((law.mean_nanos() / mean - 1.0).abs() < 1e-3, "{law:?}");
            assert!((law.squared_cv() / (variance / mean / mean) - 1.0).abs() < 0.03, "{law:?}");
        }
    }
}
