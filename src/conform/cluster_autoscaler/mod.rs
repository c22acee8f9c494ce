//! Recorded loops of the real Cluster Autoscaler: its inputs, the groups that it scaled up, the nodes that it
//! removed, and its state. The schema is described in `docs/conform-cluster-autoscaler.md`.

mod binding;
mod case;
mod cloud;
mod compare;
mod decisions;
mod names;
mod objects;
mod run;
mod world;

use std::io::BufRead;

use serde_json::{Map, Value, json};

use super::recording::{RecordingError, parse, replay_lines};
use super::{CaseOutcome, Difference};
use case::{Case, RecordedLoop};
use compare::{Gap, alternative, choice, gap, recorded, update_state};
use run::Run;

/// Replays every case of a recording, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    replay_lines(input, replay_line)
}

fn replay_line(line: &str) -> Result<CaseOutcome, String> {
    let case: Case = parse(line)?;
    let explain = |problem: String| format!("case {}: {problem}", case.id);
    case.check().map_err(explain)?;
    let difference = first_difference(&case).map_err(explain)?;
    Ok(CaseOutcome::new(&*case.id, difference))
}

/// The first difference between replay and recording.
fn first_difference(case: &Case) -> Result<Option<Difference>, String> {
    let mut run = Run::new(case)?;
    let mut state = Map::new();
    for (number, one) in case.loops.iter().enumerate() {
        update_state(&mut state, one);
        let is_cut = case.nondeterministic.cut_at_loop == Some(number);
        let ours = run.next(case, one)?;
        let found = if is_cut {
            choice_gap(case, one, &ours)
        } else {
            gap(&recorded(one, &state), &ours, &case.nondeterministic.unstable_fields)
        };
        if let Some((field, expected, got)) = found {
            let at = format!("loop {number} (t={})", one.t);
            let inputs = json!({ "t": one.t, "world": world_of(one) });
            let difference = Difference::new(at, field, expected, got, inputs);
            return Ok(Some(Difference { explanation: run.explanation(), ..difference }));
        }
        if is_cut {
            break;
        }
    }
    Ok(None)
}

/// The last loop of a case may involve a random choice: ours must be one of the recorded alternatives.
fn choice_gap(case: &Case, one: &RecordedLoop, ours: &Map<String, Value>) -> Option<Gap> {
    let recorded = recorded(one, &Map::new());
    for field in ["pending", "pending_after_filters", "upcoming", "registered_upcoming"] {
        let null = Value::Null;
        let pair = (recorded.get(field).unwrap_or(&null), ours.get(field).unwrap_or(&null));
        if pair.0 != pair.1 {
            return Some((field.to_owned(), pair.0.clone(), pair.1.clone()));
        }
    }
    let alternatives = &case.nondeterministic.alternatives;
    let is_ours = |one: &&Value| alternative(one) == choice(ours, one);
    if alternatives.is_empty() || alternatives.iter().any(|one| is_ours(&one)) {
        return None;
    }
    let got = alternatives.first().map(|one| choice(ours, one)).unwrap_or_default();
    Some(("one of alternatives".to_owned(), json!(alternatives), got))
}

/// The events since the previous loop, by time and name.
fn world_of(one: &RecordedLoop) -> Vec<String> {
    one.world.iter().map(|event| format!("{} {}", event.t, event.ev)).collect()
}
