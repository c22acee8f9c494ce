//! Distributions of durations, drawn by inversion: one uniform number, the quantile, gives one time.
//!
//! A request carries its quantiles, so that the same request has the same random outcome under two settings, or even
//! in two versions of an application.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::normal_quantile::normal_quantile;
use super::problem::{Checks, Problem};
use super::tagged::read_tagged;
use engine::SimDuration;
use engine::logarithm::{ln, times_ln_each};
use engine::parse_duration;

/// A distribution of times as written by the user: `20ms`, or `{distribution: lognormal, mean: 20ms, cv: 0.8}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TimeDistribution {
    /// A constant.
    Constant(SimDuration),
    /// Drawn anew for each request.
    Drawn(Distribution),
}

/// A distribution of times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "distribution", rename_all = "camelCase", deny_unknown_fields)]
pub enum Distribution {
    /// A constant.
    Constant {
        /// The time of each request.
        value: SimDuration,
    },
    /// Exponential.
    Exponential {
        /// Mean.
        mean: SimDuration,
    },
    /// Lognormal: a bulk and a long tail, like most measured service times.
    Lognormal {
        /// Mean of the times themselves.
        mean: SimDuration,
        /// Coefficient of variation: standard deviation over mean.
        cv: f64,
    },
    /// Pareto: a heavy tail.
    Pareto {
        /// Mean.
        mean: SimDuration,
        /// Tail index, above 1; smaller is heavier.
        shape: f64,
    },
    /// Measured times, all equally likely.
    Empirical {
        /// The times in any order.
        values: Vec<SimDuration>,
    },
}

/// A distribution prepared for drawing; times in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Quantile {
    Constant(f64),
    Exponential { mean: f64 },
    Lognormal { mu: f64, sigma: f64 },
    Pareto { scale: f64, exponent: f64 },
    Empirical(Arc<[f64]>),
}

impl TimeDistribution {
    /// The mean of an unchecked distribution (s).
    pub fn mean_seconds(&self) -> f64 {
        match self {
            Self::Constant(time) | Self::Drawn(Distribution::Constant { value: time }) => {
                time.as_secs_f64()
            }
            Self::Drawn(
                Distribution::Exponential { mean }
                | Distribution::Lognormal { mean, .. }
                | Distribution::Pareto { mean, .. },
            ) => mean.as_secs_f64(),
            Self::Drawn(Distribution::Empirical { values }) => {
                let sum: f64 = values.iter().map(|value| value.as_secs_f64()).sum();
                sum / values.len().max(1) as f64
            }
        }
    }

    /// Always zero.
    pub const ZERO: Self = Self::Constant(SimDuration::ZERO);

    /// All problems of the distribution; `path` is its location.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check("", &mut Checks::at(path, &mut problems));
        problems
    }

    pub(super) fn check(&self, field: &str, checks: &mut Checks<'_>) {
        let mut checks = checks.inside(field);
        match self {
            Self::Constant(_) | Self::Drawn(Distribution::Constant { .. }) => {}
            Self::Drawn(Distribution::Exponential { mean }) => checks.check_positive("mean", *mean),
            Self::Drawn(Distribution::Lognormal { mean, cv }) => {
                checks.check_positive("mean", *mean);
                checks.positive("cv", *cv);
            }
            Self::Drawn(Distribution::Pareto { mean, shape }) => {
                checks.check_positive("mean", *mean);
                checks.require(shape.is_finite() && *shape > 1.0, "shape", || {
                    format!("{shape} must be above 1: the mean would be infinite")
                });
            }
            Self::Drawn(Distribution::Empirical { values }) => {
                checks.require(!values.is_empty(), "values", || {
                    "the list must have at least one time".into()
                });
            }
        }
    }

    /// The distribution, prepared for drawing; it must have passed its checks.
    pub(super) fn quantile(&self) -> Quantile {
        let nanos = |span: &SimDuration| span.as_nanos() as f64;
        match self {
            Self::Constant(value) | Self::Drawn(Distribution::Constant { value }) => {
                Quantile::Constant(nanos(value))
            }
            Self::Drawn(Distribution::Exponential { mean }) => {
                Quantile::Exponential { mean: nanos(mean) }
            }
            Self::Drawn(Distribution::Lognormal { mean, cv }) => {
                let variance = libm::log1p(cv * cv);
                Quantile::Lognormal {
                    mu: libm::log(nanos(mean)) - variance / 2.0,
                    sigma: variance.sqrt(),
                }
            }
            Self::Drawn(Distribution::Pareto { mean, shape }) => Quantile::Pareto {
                scale: nanos(mean) * (shape - 1.0) / shape,
                exponent: -1.0 / shape,
            },
            Self::Drawn(Distribution::Empirical { values }) => {
                let mut sorted: Vec<f64> = values.iter().map(nanos).collect();
                sorted.sort_unstable_by(f64::total_cmp);
                Quantile::Empirical(sorted.into())
            }
        }
    }
}

impl Quantile {
    /// A mixture of these distributions by weight, represented by quantiles at the midpoints of equal shares.
    pub(super) fn mixture<'a>(laws: impl Iterator<Item = (f64, &'a Self)> + Clone) -> Self {
        /// Number of quantiles of the whole mixture.
        const TIMES: f64 = 16_384.0;
        let all: f64 = laws.clone().map(|(weight, _)| weight).sum();
        let mut times = Vec::new();
        let mut weight_so_far = 0.0;
        for (weight, law) in laws {
            let begin = times.len();
            weight_so_far += weight;
            let end = (weight_so_far / all * TIMES).round();
            let count = (end - begin as f64).max(0.0);
            let mut point = 0.5;
            while point < count {
                times.push(law.at(point / count));
                point += 1.0;
            }
        }
        times.sort_unstable_by(f64::total_cmp);
        if times.is_empty() { Self::Constant(0.0) } else { Self::Empirical(times.into()) }
    }

    /// The quantile at `u` (between 0 and 1, both excluded) [ns].
    #[inline]
    pub(super) fn at(&self, u: f64) -> f64 {
        match self {
            Self::Constant(nanos) => *nanos,
            // The precision that 1 - u loses for a small u is far below a nanosecond.
            Self::Exponential { mean } => -mean * ln(1.0 - u),
            _ => self.at_with_more_work(u),
        }
    }

    /// Replaces each share with [`Self::at`].
    pub(super) fn at_each(&self, shares: &mut [f64]) {
        if let Self::Exponential { mean } = self {
            for share in &mut *shares {
                *share = 1.0 - *share;
            }
            times_ln_each(-mean, shares);
        } else {
            for share in shares {
                *share = self.at(*share);
            }
        }
    }

    /// The same, for distributions that need a function call anyway.
    fn at_with_more_work(&self, u: f64) -> f64 {
        match self {
            Self::Constant(_) | Self::Exponential { .. } => self.at(u),
            Self::Lognormal { mu, sigma } => libm::exp(mu + sigma * normal_quantile(u)),
            Self::Pareto { scale, exponent } => scale * libm::pow(1.0 - u, *exponent),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the share is between 0 and 1, so the index is below the length"
            )]
            Self::Empirical(sorted) => {
                let index = (u * sorted.len() as f64) as usize;
                sorted[index.min(sorted.len() - 1)]
            }
        }
    }
}

impl Default for TimeDistribution {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<'de> Deserialize<'de> for TimeDistribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TimeDistribution;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a duration such as 20ms, or a distribution such as {distribution: exponential, mean: 20ms}",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<TimeDistribution, E> {
                parse_duration(text).map(TimeDistribution::Constant).map_err(E::custom)
            }
            fn visit_f64<E: Error>(self, seconds: f64) -> Result<TimeDistribution, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_u64<E: Error>(self, seconds: u64) -> Result<TimeDistribution, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_i64<E: Error>(self, seconds: i64) -> Result<TimeDistribution, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TimeDistribution, A::Error> {
                let value = Value::deserialize(MapAccessDeserializer::new(map))?;
                read_tagged(&value, "distribution")
                    .map(TimeDistribution::Drawn)
                    .map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for TimeDistribution {
    fn schema_name() -> Cow<'static, str> {
        "TimeDistribution".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let constant = generator.subschema_for::<SimDuration>();
        let drawn = generator.subschema_for::<Distribution>();
        json_schema!({
            "description": "A duration: 20ms, or a distribution such as {distribution: lognormal, mean: 20ms, cv: 0.8}.",
            "anyOf": [constant, drawn]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn law(json: serde_json::Value) -> TimeDistribution {
        serde_json::from_value(json).expect("a law")
    }

    /// Mean and coefficient of variation by the midpoint rule over the quantiles.
    fn moments(law: &TimeDistribution) -> (f64, f64) {
        let quantile = law.quantile();
        let n = 400_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for cell in 0..n {
            let x = quantile.at((f64::from(cell) + 0.5) / f64::from(n)) / 1e6;
            sum += x;
            squares += x * x;
        }
        let mean = sum / f64::from(n);
        (mean, (squares / f64::from(n) - mean * mean).max(0.0).sqrt() / mean)
    }

    #[test]
    fn laws_have_the_mean_and_spread_that_they_name() {
        for (json, cv) in [
            (json!("20ms"), 0.0),
            (json!(0.02), 0.0),
            (json!({"distribution": "constant", "value": "20ms"}), 0.0),
            (json!({"distribution": "exponential", "mean": "20ms"}), 1.0),
            (json!({"distribution": "lognormal", "mean": "20ms", "cv": 0.8}), 0.8),
            // Variance of Pareto: 1 / (shape (shape - 2)) of the squared mean.
            (json!({"distribution": "pareto", "mean": "20ms", "shape": 6}), 1.0 / 24f64.sqrt()),
            (json!({"distribution": "empirical", "values": ["30ms", "10ms"]}), 0.5),
        ] {
            let (mean, spread) = moments(&law(json.clone()));
            assert!((mean - 20.0).abs() < 0.01, "{json}: mean {mean}");
            assert!((spread - cv).abs() < 0.005, "{json}: cv {spread}");
        }
    }

    #[test]
    fn many_times_are_those_of_each() {
        let shares: Vec<f64> = (0..100).map(|n| (f64::from(n) + 0.5) / 100.0).collect();
        for json in [
            json!("20ms"),
            json!({"distribution": "exponential", "mean": "20ms"}),
            json!({"distribution": "lognormal", "mean": "20ms", "cv": 0.8}),
        ] {
            let quantile = law(json).quantile();
            let mut many = shares.clone();
            quantile.at_each(&mut many);
            for (time, share) in many.iter().zip(&shares) {
                assert_eq!(time.to_bits(), quantile.at(*share).to_bits(), "{share}");
            }
        }
    }

    #[test]
    fn laws_are_written_as_they_are_read() {
        for json in [
            json!("20ms"),
            json!({"distribution": "lognormal", "mean": "20ms", "cv": 0.8}),
            json!({"distribution": "empirical", "values": ["30ms", "1s"]}),
        ] {
            assert_eq!(serde_json::to_value(law(json.clone())).expect("serialises"), json);
        }
    }

    #[test]
    fn wrong_laws_are_refused_in_plain_words() {
        for (json, says) in [
            (json!("soon"), "\"soon\" is not a duration"),
            (json!(-1), "is not a duration"),
            (json!({"distribution": "normal", "mean": "1s"}), "unknown variant `normal`"),
            (json!({"distribution": "exponential", "men": "1s"}), "unknown field `men`"),
            (json!({"mean": "1s"}), "missing field `distribution`"),
        ] {
            let error = serde_json::from_value::<TimeDistribution>(json).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
