//! The scenario's guesses, and the sensitivity of the results to them.

use serde::Serialize;

use super::Report;
use units::Money;

/// A setting of the scenario that is a guess.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assumption {
    /// The setting's path, as in `provenance`.
    pub setting: String,
    /// Its amounts.
    pub values: Vec<String>,
    /// Results with half the amounts; absent if not tried or not possible.
    pub halved: Option<HeadlineFigures>,
    /// Results with twice the amounts; absent if not tried or not possible.
    pub doubled: Option<HeadlineFigures>,
}

/// A run summarized in a few figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeadlineFigures {
    /// Number of objectives met.
    pub objectives_met: usize,
    /// Total number of objectives.
    pub objectives: usize,
    /// 95th percentile of the first service's latency over all requests, milliseconds; absent if too many failed.
    pub p95_ms: Option<f64>,
    /// Share of its requests that failed, 0..1.
    pub failed_share: f64,
    /// Cost per month, US dollars.
    pub month_usd: Money,
}

impl HeadlineFigures {
    /// Summarizes a run.
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
