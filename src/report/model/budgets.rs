//! Error budgets and their use, as plain data.

use serde::Serialize;

/// The error budget of an objective, and its use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorBudget {
    /// `service shop/web`.
    pub subject: String,
    /// The figure: `availability`, `latency within 300 ms`.
    pub figure: String,
    /// Share of the requests that must be good, 0..1.
    pub objective: f64,
    /// Finished requests.
    pub requests: u64,
    /// Bad requests: failed, or (for a latency) not answered in time.
    pub bad: u64,
    /// Number of bad requests that the budget allows.
    pub allowed: f64,
    /// `bad` over `allowed`.
    pub used: f64,
    /// Burn rate if every request is bad: the highest possible for this objective.
    pub largest_burn_rate: f64,
    /// Bad requests by cause, most first.
    pub used_by: Vec<(String, u64)>,
    /// Multi-window burn-rate alerts that would have fired.
    pub alerts: Vec<BurnRateAlert>,
}

/// A period in which a burn-rate alert would have fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BurnRateAlert {
    /// Burn-rate threshold; 1 uses up a 30-day budget in 30 days.
    pub factor: f64,
    /// The long window, minutes.
    pub long_minutes: u64,
    /// The short window, minutes.
    pub short_minutes: u64,
    /// Start, seconds from the start of the run.
    pub from_seconds: f64,
    /// Length, seconds.
    pub seconds: f64,
    /// Highest burn rate over the long window in this period.
    pub peak: f64,
}

/// Share of requests answered within a limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GoodAndFast {
    /// The limit of a latency objective, milliseconds.
    pub within_ms: f64,
    /// Share of all finished requests answered within the limit, 0..1.
    pub share: f64,
}
