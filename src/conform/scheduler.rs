//! Recorded scheduling cycles of the real kube-scheduler: feasible nodes, scores, rejections,
//! preemption, messages, queue order. The schema is described in `docs/conform-scheduler.md`.

mod case;
mod compare;
mod steps;
mod world;

use std::io::BufRead;

use case::Case;
use compare::first_difference;
use world::World;

use super::CaseOutcome;
use super::recording::{RecordingError, parse, replay_lines};

/// Replays every case of a recording, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    replay_lines(input, replay_line)
}

fn replay_line(line: &str) -> Result<CaseOutcome, String> {
    let case: Case = parse(line)?;
    let explain = |problem: String| format!("case {}: {problem}", case.id);
    let steps = World::new(&case).and_then(|mut world| world.run(&case)).map_err(explain)?;
    Ok(CaseOutcome::new(&*case.id, first_difference(&case, &steps)))
}
