//! The result of an objective.

use serde::Serialize;

/// An objective with the value reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObjectiveResult {
    /// Subject: `service ai-agents/ai-agent` or `cost`.
    pub subject: String,
    /// The figure: `latency p99`, `availability`, `cost per month`.
    pub figure: String,
    /// The formatted limit: `<= 2 s`, `>= 99.9 %`, `<= $300`.
    pub limit: String,
    /// The formatted value; `none` if no request ended, `never` if too many failed for any time to suffice.
    pub value: String,
    /// Value and limit as numbers, in the figure's base unit (seconds, fraction, USD).
    pub limit_number: f64,
    /// See `limit_number`; absent if there is no value.
    pub value_number: Option<f64>,
    /// True if it was met.
    pub met: bool,
    /// Reason why it was missed, as far as known; empty if it was met.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// Minutes that individually meet the limit; absent for figures not computed per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<MinutesHeld>,
}

impl ObjectiveResult {
    /// The room between value and limit, as a share of the limit; of a share (`>= 99.9 %`), of what the limit leaves to 1.
    /// Negative if it was missed, -1 without a value.
    pub fn room(&self) -> f64 {
        let limit = self.limit_number;
        let room = self.value_number.map_or(-1.0, |value| {
            let is_share = self.limit.starts_with(">=");
            let (slack, of) =
                if is_share { (value - limit, 1.0 - limit) } else { (limit - value, limit) };
            slack / of.max(f64::MIN_POSITIVE)
        });
        // Rounding must not contradict the verdict.
        if self.met { room.max(0.0) } else { room.min(-f64::MIN_POSITIVE) }
    }
}

/// Number of minutes that meet a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MinutesHeld {
    /// Minutes that meet it.
    pub held: u64,
    /// Minutes with requests.
    pub of: u64,
}
