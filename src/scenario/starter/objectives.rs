//! The section `objectives` of a starter scenario.

use std::fmt::{self, Write as _};

use super::Models;
use super::calls::Calls;
use super::sizing::Pool;
use cluster::{NamespacedName, ObjectReference};
use engine::{SimDuration, format_duration};

/// Writes objectives for latency and availability of these Services, and for the invoice of the pools.
pub(super) fn write_objectives(
    out: &mut String,
    services: &[(&NamespacedName, &ObjectReference)],
    pools: &[Pool],
    models: &Models<'_>,
    calls: &Calls<'_>,
) -> fmt::Result {
    out.write_str(
        "\n# GUESS: the objectives; `wavetank check` fails if one is missed.\nobjectives:",
    )?;
    let hourly: f64 =
        pools.iter().map(|pool| pool.node_type.on_demand.as_usd() * pool.count as f64).sum();
    if services.is_empty() && hourly <= 0.0 {
        return writeln!(out, " []");
    }
    writeln!(out)?;
    for (service, workload) in services {
        writeln!(out, "  - service: {service}")?;
        if models.contains_key(*workload) {
            writeln!(out, "    latency: {{p95: 30s}}           # of the whole answer")?;
        } else {
            // A request takes as long as all the calls behind it.
            let visits = calls.visits(workload).values().sum::<f64>();
            let limit = |each: f64, least: f64| {
                format_duration(SimDuration::from_secs_f64((each * visits).max(least)))
            };
            let (p95, p99) = (limit(0.2, 0.3), limit(0.4, 1.0));
            writeln!(out, "    latency: {{p95: {p95}, p99: {p99}}}")?;
        }
        writeln!(out, "    availability: 99.9      # percent of the requests")?;
    }
    if hourly > 0.0 {
        // Control plane, NAT gateways and the like cost some 110 dollars regardless of the nodes.
        let month = libm::ceil((hourly * 730.0 * 1.2 + 150.0) / 10.0) * 10.0;
        writeln!(out, "  - costPerMonth: {month}       # US dollars, the whole invoice")?;
    }
    Ok(())
}
