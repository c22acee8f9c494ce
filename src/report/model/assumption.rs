//! Guesses of the scenario, and how far the answer moves with them.

use serde::Serialize;

use super::Report;
use units::Money;

/// A setting of the scenario that is a guess.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assumption {
    /// As `provenance` has it.
    pub setting: String,
    /// The amounts in it.
    pub values: Vec<String>,
    /// The answer with half of them; absent if it was not tried, or cannot be.
    pub halved: Option<Answer>,
    /// The answer with twice as much.
    pub doubled: Option<Answer>,
}

/// A run in four figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Objectives that were met.
    pub objectives_met: usize,
    /// Of so many.
    pub objectives: usize,
    /// Within this time 95 % of the requests of the first service were answered, milliseconds; absent if fewer were.
    pub p95_ms: Option<f64>,
    /// Share of its requests that failed, 0..1.
    pub failed_share: f64,
    /// The bill of a month, US dollars.
    pub month_usd: Money,
}

impl Answer {
    /// Of a run.
    pub fn of(report: &Report) -> Self {
        let service = report.services.first();
        let latency = service.and_then(|service| service.latency_of_all);
        let available = service.and_then(|service| service.availability_by_requests);
        Self {
            objectives_met: report.objectives.iter().filter(|one| one.met).count(),
            objectives: report.objectives.len(),
            p95_ms: latency.and_then(|latency| latency.p95_ms),
            failed_share: 1.0 - available.unwrap_or(1.0),
            month_usd: report.cost.month_usd,
        }
    }
}
