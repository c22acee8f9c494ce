//! `wavetank catalog --failures`: the default failure rates of machines.

use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ContentArrangement, Table};
use serde::Serialize;

use super::exit::Failure;
use capacity::failures::{FailureRate, rates};

/// A rate in the JSON output.
#[derive(Serialize)]
struct Row {
    failure: &'static str,
    fault: &'static str,
    of: &'static str,
    mean_time_between_hours: f64,
    source: &'static str,
    date: &'static str,
    mean_time_to_repair_minutes: f64,
    repair_cv: f64,
    together: f64,
    repair_source: &'static str,
}

fn hours(rate: &FailureRate) -> f64 {
    rate.mean_time_between.as_secs_f64() / 3_600.0
}

/// Writes the rates as JSON or as a table.
pub fn write(as_json: bool, out: &mut impl Write) -> Result<(), Failure> {
    if as_json {
        let rows = rates().iter().map(|rate| Row {
            failure: rate.failure,
            fault: rate.fault,
            of: rate.of,
            mean_time_between_hours: hours(rate),
            source: rate.source,
            date: rate.date,
            mean_time_to_repair_minutes: rate.mean_time_to_repair.as_secs_f64() / 60.0,
            repair_cv: rate.repair_cv,
            together: rate.together,
            repair_source: rate.repair_source,
        });
        let rows: Vec<Row> = rows.collect();
        serde_json::to_writer_pretty(&mut *out, &rows).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["FAULT", "OF", "EVERY", "REPAIRED AFTER", "TOGETHER", "SOURCE", "DATE"]);
    for rate in rates() {
        let days = format!("{:.0} days", hours(rate) / 24.0);
        let minutes = rate.mean_time_to_repair.as_secs_f64() / 60.0;
        let repair = match rate.repair_cv {
            _ if minutes <= 0.0 => "-".to_owned(),
            1.0 => format!("{minutes:.0} min, exponential"),
            cv => format!("{minutes:.0} min, lognormal, cv {cv}"),
        };
        let together = match rate.together {
            0.0 => "-".to_owned(),
            share => format!("{share}"),
        };
        let cells = [rate.fault, rate.of, &days, &repair, &together, rate.source, rate.date];
        table.add_row(cells.map(Cell::new));
    }
    writeln!(out, "{}", table.trim_fmt())?;
    writeln!(out, "\nRepairs:")?;
    for rate in rates() {
        writeln!(out, "  {} of {}: {}", rate.fault, rate.of, rate.repair_source)?;
    }
    writeln!(out, "\n`faults` of a scenario replace them, by pool, zones or pods.")?;
    Ok(())
}
