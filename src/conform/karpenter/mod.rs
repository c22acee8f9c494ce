//! Recorded decisions of the real Karpenter: scheduling passes, disruption decisions and whole timelines. The schema is
//! described in `docs/conform-karpenter.md`.

mod case;
mod catalog;
mod decisions;
mod disruption;
mod pools;
mod provisioning;
mod sequence;
mod world;

pub use catalog::Catalog;

use std::io::BufRead;

use serde_json::Value;

use super::json::first_gap;
use super::recording::{RecordingError, inputs_of, parse, replay_lines};
use super::{CaseOutcome, Difference, check_length};
use case::{Case, Layer};
use karpenter::Snapshot;
use karpenter::ties::Ties;

/// Number of seeds tried for choices that the real program makes at random.
const SEEDS: u64 = 64;
/// Messages and figures derived from the decisions, which are not compared.
const NOT_COMPARED: [&str; 3] = ["relaxations", "events", "estimated_savings"];

/// Replays every case of a recording, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    replay_with(Catalog::built_in(), input)
}

/// Replays every case of a recording with a different catalog of instance types.
fn replay_with(catalog: &Catalog, input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    replay_lines(input, |line| replay_line(catalog, line))
}

fn replay_line(catalog: &Catalog, line: &str) -> Result<CaseOutcome, String> {
    let case: Case = parse(line)?;
    let in_case = |problem: String| format!("case {}: {problem}", case.id);
    let snapshot = world::snapshot(&case, catalog).map_err(in_case)?;
    if case.expected.outcomes.is_empty() {
        return Err(in_case("expected.outcomes is empty".to_owned()));
    }
    let mut gap = None;
    for seed in 0..SEEDS {
        let ours = outcome(&case, snapshot.clone(), seed).map_err(in_case)?;
        let gaps = case.expected.outcomes.iter().map(|recorded| difference(recorded, &ours));
        let gaps: Vec<_> = gaps.collect();
        if gaps.iter().any(Option::is_none) {
            return Ok(CaseOutcome::new(&*case.id, None));
        }
        gap = gap.or_else(|| gaps.into_iter().next().flatten());
    }
    let difference = gap.map(|(field, expected, got)| {
        let inputs = inputs_of(line, &[], 0);
        Difference::new("", field.trim_start_matches('.'), expected, got, inputs)
    });
    Ok(CaseOutcome::new(&*case.id, difference))
}

/// Our decision, with this seed for random choices.
fn outcome(case: &Case, mut snapshot: Snapshot, seed: u64) -> Result<Value, String> {
    snapshot.ties = Ties::seeded(seed);
    match case.layer {
        Layer::Provisioning => Ok(provisioning::outcome(&snapshot)),
        Layer::Sequence => {
            let sequence = case.sequence.as_ref().ok_or("sequence: is missing")?;
            check_length("sequence.until_s", sequence.until_s)?;
            sequence::outcome(case, sequence, snapshot)
        }
        Layer::Disruption => Ok(disruption::outcome(case, snapshot)),
    }
}

/// The first field of an outcome that matches no recorded outcome.
fn difference(
    recorded: &serde_json::Map<String, Value>,
    ours: &Value,
) -> Option<(String, Value, Value)> {
    let mut recorded = Value::Object(recorded.clone());
    let mut ours = ours.clone();
    drop_fields(&mut recorded);
    drop_fields(&mut ours);
    decisions::align(&mut recorded, &mut ours);
    first_gap("", &recorded, &ours, &|_| 1e-9)
}

fn drop_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !NOT_COMPARED.contains(&name.as_str()));
            if let Some(Value::Array(events)) = fields.get_mut("timeline") {
                events.sort_by(sequence::by_time_and_kind);
            }
            if let Some(Value::Array(candidates)) = fields.get_mut("candidates")
                && candidates.iter().all(Value::is_array)
            {
                candidates.sort_by_key(|one| one[0].to_string());
            }
            fields.values_mut().for_each(drop_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_fields),
        _ => {}
    }
}
