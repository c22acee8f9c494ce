//! User settings for the cost of an inference server's iterations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::iteration_cost::CostSeconds;
use crate::problem::Checks;

/// Cost of an iteration, where it is known more precisely than from GPU and model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CostSpec {
    /// Fixed cost per iteration (ms).
    pub iteration_ms: Option<f64>,
    /// Cost per sequence in the batch (us).
    pub sequence_us: Option<f64>,
    /// Time to read all weights once (ms).
    pub weights_ms: Option<f64>,
    /// Cost per token processed by the layers (us).
    pub token_us: Option<f64>,
    /// Cost per token exchanged between GPUs (us).
    pub exchange_us: Option<f64>,
    /// Cost per pair of a prompt token and one that it attends to (ns).
    pub attention_pair_ns: Option<f64>,
    /// Cost per KV cache token read by a decoding sequence (ns).
    pub context_token_ns: Option<f64>,
}

impl CostSpec {
    /// Sets all fields from a cost.
    pub fn of(cost: &CostSeconds) -> Self {
        Self {
            iteration_ms: Some(cost.iteration * 1e3),
            sequence_us: Some(cost.sequence * 1e6),
            weights_ms: Some(cost.weights * 1e3),
            token_us: Some(cost.token * 1e6),
            exchange_us: Some(cost.exchange * 1e6),
            attention_pair_ns: Some(cost.attention_pair * 1e9),
            context_token_ns: Some(cost.context_token * 1e9),
        }
    }

    fn fields(&self) -> [(&'static str, Option<f64>); 7] {
        [
            ("iterationMs", self.iteration_ms),
            ("sequenceUs", self.sequence_us),
            ("weightsMs", self.weights_ms),
            ("tokenUs", self.token_us),
            ("exchangeUs", self.exchange_us),
            ("attentionPairNs", self.attention_pair_ns),
            ("contextTokenNs", self.context_token_ns),
        ]
    }

    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        for (field, value) in self.fields() {
            if let Some(value) = value {
                checks.not_negative(field, value);
            }
        }
    }

    /// The settings with defaults from `base`; absent if a value is in neither.
    pub(super) fn over(&self, base: Option<CostSeconds>) -> Option<CostSeconds> {
        let pick = |set: Option<f64>, unit: f64, of: fn(&CostSeconds) -> f64| {
            set.map(|value| value * unit).or_else(|| base.as_ref().map(of))
        };
        Some(CostSeconds {
            iteration: pick(self.iteration_ms, 1e-3, |cost| cost.iteration)?,
            sequence: pick(self.sequence_us, 1e-6, |cost| cost.sequence)?,
            weights: pick(self.weights_ms, 1e-3, |cost| cost.weights)?,
            token: pick(self.token_us, 1e-6, |cost| cost.token)?,
            exchange: pick(self.exchange_us, 1e-6, |cost| cost.exchange).unwrap_or(0.0),
            attention_pair: pick(self.attention_pair_ns, 1e-9, |cost| cost.attention_pair)?,
            context_token: pick(self.context_token_ns, 1e-9, |cost| cost.context_token)?,
        })
    }
}
