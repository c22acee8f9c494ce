//! Recorded decisions of the HPA controller: closed sequences of syncs, and tables of single
//! decisions. The schema is described in `docs/conform-hpa.md`.

mod calculator_row;
mod compare;
mod controller_row;
mod pods;
mod readings;
mod row;
mod row_errors;
mod sequence;
mod sync;

use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use super::recording::{RecordingError, for_each_line, parse};
use super::{CaseOutcome, listed};
use cluster::hpa::HpaSpec;
use controllers::hpa::{HpaFeatureGates, HpaSettings};
use engine::SimDuration;
use manifest::hpa::{lower, set_defaults, to_v2};

/// Replays every case of a recording, sequences and table rows in any order, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    let mut outcomes = Vec::new();
    for_each_line(input, |_, line| {
        outcomes.push(replay_line(line)?);
        Ok(())
    })?;
    Ok(outcomes)
}

fn replay_line(line: &str) -> Result<CaseOutcome, String> {
    /// What tells the two sorts of line apart.
    #[derive(Deserialize)]
    struct Kind {
        id: String,
        table: Option<String>,
    }
    let Kind { id, table } = parse(line)?;
    let difference = match table {
        Some(table) => row::replay(&table, line),
        None => sequence::replay(line),
    };
    Ok(CaseOutcome::new(&*id, difference.map_err(|problem| format!("case {id}: {problem}"))?))
}

/// The controller's flags in a recording. A flag that is left out has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Flags {
    downscale_stabilization_seconds: Option<f64>,
    tolerance: Option<f64>,
    cpu_initialization_period_seconds: Option<f64>,
    initial_readiness_delay_seconds: Option<f64>,
    legacy_scale_up_limit_factor: Option<f64>,
}

impl Flags {
    fn settings(&self, feature_gates: HpaFeatureGates) -> HpaSettings {
        let defaults = HpaSettings::default();
        let seconds =
            |given: Option<f64>, default| given.map_or(default, SimDuration::from_secs_f64);
        HpaSettings {
            tolerance: self.tolerance.unwrap_or(defaults.tolerance),
            downscale_stabilization: seconds(
                self.downscale_stabilization_seconds,
                defaults.downscale_stabilization,
            ),
            cpu_initialization_period: seconds(
                self.cpu_initialization_period_seconds,
                defaults.cpu_initialization_period,
            ),
            initial_readiness_delay: seconds(
                self.initial_readiness_delay_seconds,
                defaults.initial_readiness_delay,
            ),
            feature_gates,
            legacy_scale_up_limit_factor: self
                .legacy_scale_up_limit_factor
                .unwrap_or(defaults.legacy_scale_up_limit_factor),
            ..defaults
        }
    }
}

/// A spec as the API server would store it, in lean form and as JSON.
fn defaulted_spec(api_version: &str, object: &Value) -> Result<(HpaSpec, Value), String> {
    let mut spec = to_v2(api_version, object).map_err(|errors| listed(&errors, "hpa"))?;
    set_defaults(&mut spec);
    let json = serde_json::to_value(&spec).map_err(|error| error.to_string())?;
    Ok((lower(&spec).map_err(|errors| listed(&errors, "hpa"))?, json))
}
