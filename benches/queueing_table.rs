//! Compares the whole table of exact results with the simulation, by utilization; the output is in
//! docs/latency.md.
//!
//! `cargo bench --bench queueing_table -- [REQUESTS]`: number of requests per model, 10,000,000 by
//! default.

#[path = "../tests/support/theory.rs"]
mod theory;

use std::io::{Write, stdout};

use rayon::prelude::*;
use theory::{Comparison, Model, models};

/// Upper bounds of the utilization bands.
const BANDS: [f64; 6] = [0.3, 0.5, 0.7, 0.8, 0.9, 1.0];

fn main() -> std::io::Result<()> {
    let requests = std::env::args().find_map(|one| one.parse::<f64>().ok()).unwrap_or(1e7);
    let models = models();
    let compared: Vec<(f64, &Model, Comparison)> = models
        .par_iter()
        .flat_map_iter(|model| {
            model.compare(requests).into_iter().map(move |row| (model.utilization(), model, row))
        })
        .collect();
    let mut out = stdout().lock();
    writeln!(
        out,
        "{} models, {} rows, {requests:.0} requests each\n",
        models.len(),
        compared.len()
    )?;
    writeln!(
        out,
        "| model | utilization | rows | within the interval | median error | 90 % of errors below | \
         median half-width (95 %) | half-width below 1 % |\n|---|---|---:|---:|---:|---:|---:|---:|"
    )?;
    let mut names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().chain(["all"]) {
        let mut from = 0.0;
        for to in BANDS {
            let rows: Vec<&Comparison> = compared
                .iter()
                .filter(|(rho, model, _)| {
                    (from..to + 1e-9).contains(rho) && (name == "all" || model.name == name)
                })
                .map(|(_, _, row)| row)
                .collect();
            if !rows.is_empty() {
                write_band(&mut out, name, from, to, &rows)?;
            }
            from = to + 1e-9;
        }
    }
    writeln!(out, "\nOutside of their intervals:\n")?;
    for (_, _, row) in compared.iter().filter(|(_, _, row)| !row.agrees()) {
        writeln!(
            out,
            "- {}: exact {:.5}, simulated {:.5} +- {:.5} ({:+.2} %)",
            row.text,
            row.exact,
            row.simulated,
            row.half_width,
            100.0 * row.relative_error()
        )?;
    }
    Ok(())
}

fn write_band(
    out: &mut impl Write,
    name: &str,
    from: f64,
    to: f64,
    rows: &[&Comparison],
) -> std::io::Result<()> {
    let within = rows.iter().filter(|row| row.agrees()).count();
    let narrow = rows.iter().filter(|row| row.relative_half_width < 0.01).count();
    let errors = || rows.iter().map(|row| row.relative_error().abs()).collect();
    let widths = rows.iter().map(|row| row.relative_half_width).collect();
    let from = if from == 0.0 { String::new() } else { format!("{:.0} to ", 100.0 * from) };
    writeln!(
        out,
        "| {name} | {from}{:.0} % | {} | {within} | {:.2} % | {:.2} % | {:.2} % | {narrow} |",
        100.0 * to,
        rows.len(),
        100.0 * quantile(errors(), 0.5),
        100.0 * quantile(errors(), 0.9),
        100.0 * quantile(widths, 0.5),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is a position"
)]
fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q) as usize]
}
