//! Recorded decisions of KEDA: polls of the scale executor, Jobs of a ScaledJob, metrics with fallback, and cron
//! triggers. The schema is described in `docs/conform-keda.md`.

mod cron;
mod executor;
mod fallback;
mod scaled_job;
mod scaled_object;

use std::io::BufRead;

use serde_json::{Map, Value, json};

use super::recording::{RecordingError, parse, replay_lines};
use super::{CaseOutcome, Difference};
use cluster::scaled_object::{KedaCondition, KedaConditions};

/// Replays every case of a recording, with any mix of case types, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    replay_lines(input, replay_line)
}

fn replay_line(line: &str) -> Result<CaseOutcome, String> {
    let case: Map<String, Value> = parse(line)?;
    let id = super::case_id(&case)?;
    let replay: fn(&str) -> Result<Option<Difference>, String> = if case.contains_key("loops") {
        executor::replay
    } else if case.contains_key("jobs") {
        scaled_job::replay
    } else if case.contains_key("steps") {
        fallback::replay
    } else if case.contains_key("metadata") {
        cron::replay
    } else {
        let problem = "has none of the fields loops (scale executor), jobs (ScaledJob), steps \
                       (fallback) and metadata (cron trigger)";
        return Err(format!("case {id}: {problem}"));
    };
    let difference = replay(line).map_err(|problem| format!("case {id}: {problem}"))?;
    Ok(CaseOutcome::new(id, difference))
}

/// Conditions in the form of the recordings.
fn conditions(conditions: KedaConditions) -> Value {
    let told = |KedaCondition { status, reason }: KedaCondition| json!([status.as_str(), reason]);
    json!({
        "Active": told(conditions.active),
        "Fallback": told(conditions.fallback),
        "Paused": told(conditions.paused),
        "Ready": told(conditions.ready),
    })
}
