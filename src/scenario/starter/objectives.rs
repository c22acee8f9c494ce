//! The section `objectives` of a starter scenario.

use std::fmt::{self, Write as _};

use super::Models;
use super::calls::Calls;
use super::endpoints::ServiceEndpoints;
use super::month;
use super::sizing::Pool;
use crate::inventory::Inventory;
use engine::{SimDuration, format_duration};

/// Writes objectives for latency and availability of these Services, and for the invoice of the pools.
pub(super) fn write_objectives(
    out: &mut String,
    services: &[&ServiceEndpoints<'_>],
    inventory: &Inventory,
    pools: &[Pool],
    models: &Models<'_>,
    calls: &Calls<'_>,
) -> fmt::Result {
    out.write_str(
        "\n# GUESS: the objectives; `wavetank check` fails if one is missed.\nobjectives:",
    )?;
    let month = month::limit(inventory, pools);
    if services.is_empty() && month.is_none() {
        return writeln!(out, " []");
    }
    writeln!(out)?;
    for ServiceEndpoints { service, shares } in services {
        writeln!(out, "  - service: {service}")?;
        if calls.wait_for_models(shares, models) {
            let is_model = shares.iter().any(|(workload, _)| models.contains_key(*workload));
            let of = if is_model { "the" } else { "the model's" };
            writeln!(out, "    latency: {{p95: 30s}}           # of {of} whole answer")?;
        } else {
            // A request takes as long as all the calls behind it.
            let visits = calls.visits(shares).values().sum::<f64>();
            let limit = |each: f64, least: f64| {
                format_duration(SimDuration::from_secs_f64(rounded_up(each * visits).max(least)))
            };
            let (p95, p99) = (limit(0.2, 0.3), limit(0.4, 1.0));
            writeln!(out, "    latency: {{p95: {p95}, p99: {p99}}}")?;
        }
        writeln!(out, "    availability: 99.9      # percent of the requests")?;
    }
    if let Some(month) = month {
        writeln!(out, "  - costPerMonth: {month}       # US dollars, the whole invoice")?;
    }
    Ok(())
}

/// A number of seconds, rounded up to two significant digits: a guess deserves no more.
fn rounded_up(seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    // What divides by the unit exactly, apart from the last bits, stays.
    let digits = 1.0 - libm::floor(libm::log10(seconds));
    let unit = libm::pow(10.0, digits);
    libm::ceil(seconds * unit - 1e-9) / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_two_digits_and_are_not_below_what_they_were() {
        for (seconds, written) in [
            (1.055_466_667, "1.1s"),
            (0.2, "200ms"),
            (0.6, "600ms"),
            (12.01, "13s"),
            (130.0, "2m10s"),
        ] {
            assert_eq!(format_duration(SimDuration::from_secs_f64(rounded_up(seconds))), written);
        }
    }
}
