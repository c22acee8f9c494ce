//! Recorded decisions of the HPA controller: sequences of syncs, and tables of individual decisions. The schema is
//! described in `docs/conform-hpa.md`.

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
use serde_json::{Map, Value, json};

use super::recording::{RecordingError, parse, replay_lines};
use super::{CaseOutcome, listed};
use cluster::hpa::HpaSpec;
use controllers::hpa::{HpaFeatureGates, HpaSettings};
use engine::SimDuration;
use manifest::hpa::{lower, set_defaults, to_v2};

/// Replays every case of a recording, sequences and table rows in any order, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    replay_lines(input, replay_line)
}

fn replay_line(line: &str) -> Result<CaseOutcome, String> {
    /// The fields that distinguish the two types of lines.
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

/// The controller's flags in a recording: its settings, with times in seconds. Missing flags have their defaults.
#[derive(Debug, Default, Deserialize)]
struct Flags(Map<String, Value>);

impl Flags {
    fn settings(&self, feature_gates: HpaFeatureGates) -> Result<HpaSettings, String> {
        let mut flags = self.0.clone();
        // This is a constant of the controller, not a setting.
        let factor = flags.remove("legacyScaleUpLimitFactor").and_then(|factor| factor.as_f64());
        let setting = |(name, value): (String, Value)| match name.strip_suffix("Seconds") {
            Some(name) => {
                let time = value.as_f64().map(SimDuration::from_secs_f64);
                (name.to_owned(), time.map_or(value, |time| json!(time)))
            }
            None => (name, value),
        };
        let flags = flags.into_iter().map(setting).collect();
        let settings = HpaSettings::deserialize(Value::Object(flags));
        let settings = settings.map_err(|error| format!("flags: {error}"))?;
        let legacy_scale_up_limit_factor = factor.unwrap_or(settings.legacy_scale_up_limit_factor);
        Ok(HpaSettings { feature_gates, legacy_scale_up_limit_factor, ..settings })
    }
}

/// A spec as stored by the API server, in typed form and as JSON.
fn defaulted_spec(api_version: &str, object: &Value) -> Result<(HpaSpec, Value), String> {
    let mut spec = to_v2(api_version, object).map_err(|errors| listed(&errors, "hpa"))?;
    set_defaults(&mut spec);
    let json = serde_json::to_value(&spec).map_err(|error| error.to_string())?;
    Ok((lower(&spec).map_err(|errors| listed(&errors, "hpa"))?, json))
}
