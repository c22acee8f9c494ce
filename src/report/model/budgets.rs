//! Error budgets and what used them up, as plain data.

use serde::Serialize;

/// How much of an objective may go wrong, and did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorBudget {
    /// `service shop/web`.
    pub subject: String,
    /// The figure: `availability`, `latency within 300 ms`.
    pub figure: String,
    /// Share of the requests that must be good, 0..1.
    pub objective: f64,
    /// Requests that ended.
    pub requests: u64,
    /// Those that were not good: failed, or (of a latency) not answered in time.
    pub bad: u64,
    /// How many may be.
    pub allowed: f64,
    /// `bad` over `allowed`.
    pub used: f64,
    /// How many times as fast as it may the budget burns while every request is bad.
    pub largest_burn_rate: f64,
    /// Bad requests by what used the budget up, most first.
    pub used_by: Vec<(String, u64)>,
    /// Multi-window burn-rate alerts, as they would have fired.
    pub alerts: Vec<BurnRateAlert>,
}

/// A span in which a burn-rate alert would have fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BurnRateAlert {
    /// So many times as fast as a budget of 30 days lasts 30 days.
    pub factor: f64,
    /// The long window, minutes.
    pub long_minutes: u64,
    /// The short window, minutes.
    pub short_minutes: u64,
    /// From, seconds from the start.
    pub from_seconds: f64,
    /// For how long, seconds.
    pub seconds: f64,
    /// The highest burn rate over the long window meanwhile.
    pub peak: f64,
}

/// Requests that were answered within a limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GoodAndFast {
    /// The limit of a latency objective, milliseconds.
    pub within_ms: f64,
    /// Those of all requests that ended, 0..1.
    pub share: f64,
}
