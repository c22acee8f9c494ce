//! What a run had go wrong beyond another one.

use report::{Report, ServiceReport};

/// Effects of an incident in addition to failures that occur anyway.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    /// To each service that clients ask, in the order of their names: requests that failed, seconds down.
    pub services: Vec<(f64, f64)>,
    /// To the bill, US dollars.
    pub usd: f64,
}

/// Effects present in one run and absent in another.
pub(super) fn effect(with: &Report, without: &Report) -> Effects {
    let without_it = clients(without);
    let services = clients(with).into_iter().zip(without_it).map(|(with, without)| {
        let ((failed, down), (failed_anyway, down_anyway)) = (wrong(with), wrong(without));
        (failed - failed_anyway, down - down_anyway)
    });
    let usd = (with.cost.total_usd - without.cost.total_usd).as_usd();
    Effects { services: services.collect(), usd }
}

/// Requests that failed, and seconds down.
pub(super) fn wrong(service: &ServiceReport) -> (f64, f64) {
    let failed: u64 = service.failed_by_cause.iter().map(|(_, count)| count).sum();
    let down: f64 = service.downtimes.iter().map(|down| down.counted_seconds).sum();
    (failed as f64, down)
}

/// The services that clients ask, in the order of their names: a report's own order depends on the requests.
pub(super) fn clients(report: &Report) -> Vec<&ServiceReport> {
    let mut services: Vec<&ServiceReport> =
        report.services.iter().filter(|service| service.has_clients).collect();
    services.sort_by_key(|service| &service.service);
    services
}
