//! Distributions of prompt and output tokens: the user's settings, and the distribution for drawing.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::histogram::{TokenHistogram, TokenHistograms};
use crate::normal_quantile::normal_quantile;
use crate::problem::Checks;

/// Looks up the content of a histogram file by the name used in a distribution.
pub type FindTokens<'a, 't> = &'a dyn Fn(&str) -> Option<&'t Arc<TokenHistograms>>;

/// A distribution of token counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TokenDistributionFields", untagged)]
pub enum TokenDistribution {
    /// Lognormal, or constant.
    Lognormal {
        /// Mean, above 0.
        mean: f64,
        /// Coefficient of variation; 0 for a constant.
        cv: f64,
    },
    /// A measured distribution.
    Histogram {
        /// The file, in the form of [`TokenHistograms`].
        histogram: String,
    },
}

/// A distribution of token counts: either a `mean` with its `cv`, or a measured `histogram`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "TokenDistribution")]
struct TokenDistributionFields {
    /// Mean, above 0.
    mean: Option<f64>,
    /// Coefficient of variation of a lognormal distribution; 0 for a constant. Default 0.
    cv: Option<f64>,
    /// A file of measured counts, plain or compressed, in the format of ServeGen's token files: CSV with the
    /// columns `field,bin_lo,bin_hi,probability,mean_in_bin`. Its rows `input_tokens` are for prompts,
    /// `output_tokens` for answers.
    histogram: Option<String>,
}

/// Prompt or output tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Prompt,
    Output,
}

/// A distribution prepared for drawing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenQuantile {
    Constant(f64),
    Lognormal { mu: f64, sigma: f64 },
    Histogram(Arc<TokenHistograms>, Part),
}

impl TokenDistribution {
    /// A constant.
    pub const fn constant(mean: f64) -> Self {
        Self::Lognormal { mean, cv: 0.0 }
    }

    /// The file required by the distribution.
    pub(crate) fn histogram_file(&self) -> Option<&str> {
        match self {
            Self::Lognormal { .. } => None,
            Self::Histogram { histogram } => Some(histogram),
        }
    }

    /// Reports problems of the distribution on its own.
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        match self {
            Self::Lognormal { mean, cv } => {
                checks.positive("mean", *mean);
                checks.not_negative("cv", *cv);
            }
            Self::Histogram { histogram } => {
                checks.require(!histogram.is_empty(), "histogram", || {
                    "the file name is missing".into()
                });
            }
        }
    }

    /// The distribution, prepared for drawing; reports problems that prevent this.
    pub(super) fn quantile(
        &self,
        part: Part,
        find: FindTokens<'_, '_>,
        checks: &mut Checks<'_>,
    ) -> Option<TokenQuantile> {
        match self {
            Self::Lognormal { mean, cv } if *cv <= 0.0 => Some(TokenQuantile::Constant(*mean)),
            Self::Lognormal { mean, cv } => {
                let variance = libm::log1p(cv * cv);
                let mu = libm::log(*mean) - variance / 2.0;
                Some(TokenQuantile::Lognormal { mu, sigma: variance.sqrt() })
            }
            Self::Histogram { histogram: file } => {
                let found = find(file);
                checks.require(found.is_some(), "histogram", || {
                    format!("the file {file} was not read")
                });
                let histograms = found?;
                let is_told = part.of(histograms).is_some();
                checks.require(is_told, "histogram", || {
                    format!("{file} has no rows of `{}`", part.field())
                });
                is_told.then(|| TokenQuantile::Histogram(Arc::clone(histograms), part))
            }
        }
    }
}

impl Part {
    fn of(self, histograms: &TokenHistograms) -> Option<&TokenHistogram> {
        match self {
            Self::Prompt => histograms.prompt.as_ref(),
            Self::Output => histograms.output.as_ref(),
        }
    }

    /// The value of the column `field` in a histogram file.
    const fn field(self) -> &'static str {
        match self {
            Self::Prompt => "input_tokens",
            Self::Output => "output_tokens",
        }
    }
}

impl TokenQuantile {
    /// The quantile of the token count at `u` (between 0 and 1, both excluded).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float to int casts saturate, which is meant"
    )]
    pub(super) fn at(&self, u: f64) -> u32 {
        match self {
            Self::Constant(mean) => libm::round(*mean) as u32,
            Self::Lognormal { mu, sigma } => {
                libm::round(libm::exp(mu + sigma * normal_quantile(u))) as u32
            }
            Self::Histogram(histograms, part) => {
                part.of(histograms).map_or(0, |histogram| histogram.at(u))
            }
        }
    }
}

impl TryFrom<TokenDistributionFields> for TokenDistribution {
    type Error = String;

    fn try_from(fields: TokenDistributionFields) -> Result<Self, String> {
        match fields {
            TokenDistributionFields { mean: Some(mean), cv, histogram: None } => {
                Ok(Self::Lognormal { mean, cv: cv.unwrap_or(0.0) })
            }
            TokenDistributionFields { mean: None, cv: None, histogram: Some(histogram) } => {
                Ok(Self::Histogram { histogram })
            }
            TokenDistributionFields { histogram: Some(_), .. } => {
                Err("a `histogram` implies mean and cv; remove them".into())
            }
            _ => Err("set the `mean`, or the `histogram` of a file".into()),
        }
    }
}

impl JsonSchema for TokenDistribution {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        TokenDistributionFields::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        TokenDistributionFields::json_schema(generator)
    }
}
