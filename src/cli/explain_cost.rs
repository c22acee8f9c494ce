//! `wavetank explain cost`: the sums behind the bill of the nodes, of all or of a workload.

use std::io::Write;

use serde_json::json;

use super::exit::{Exit, Failure};
use super::explain::FORMAT_VERSION;
use super::run::Form;
use super::scenario_arguments::{Settings, load};
use report::text::{cost_sums, cost_sums_json};

/// Runs the scenario to its end and writes the sums.
pub fn run(
    workload: Option<&str>,
    scenario: &str,
    settings: &Settings,
    form: Form,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let resolved = load(scenario, settings)?;
    let seed = settings.first_seed(&resolved);
    let report = sweep::run(&resolved, seed, |_| {}).map_err(Failure::Problems)?;
    let ledger = &report.cost.ledger;
    let text_or_json = match form {
        Form::Text => cost_sums(ledger, workload),
        Form::Json => cost_sums_json(ledger, workload).map(|mut sums| {
            sums["format_version"] = json!(FORMAT_VERSION);
            format!("{sums:#}\n")
        }),
    };
    let Some(text_or_json) = text_or_json else {
        let mut known: Vec<String> = ledger
            .shares
            .iter()
            .map(|share| ledger.workloads[share.workload].object.to_string())
            .collect();
        known.sort_unstable();
        known.dedup();
        return Err(Failure::Input(format!(
            "{} had no share of any node; the workloads with shares are {}",
            workload.unwrap_or("no workload"),
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    };
    out.write_all(text_or_json.as_bytes())?;
    Ok(Exit::Fine)
}
