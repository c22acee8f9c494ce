//! Containers that crash, exit, or fail their liveness probe, and the delays between their restarts.

use std::collections::BTreeMap;

use super::pod_timeline::{PodTimelines, TimelineEvent};
use super::recorded::{Recording, Row};
use super::set_up::{APPLIED_AT, PreparedCase, pod};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;

/// Number of simulations of each case.
const RUNS: u64 = 100;
/// Length of a simulation, unless a case was recorded for longer; and the longest one.
const LENGTH: SimDuration = SimDuration::from_secs(1_800);
const LENGTH_MAX: SimDuration = SimDuration::from_secs(14_400);

/// Cases whose delays from an exit to the next start are combined.
const CRASHES: [&str; 5] = ["crash0", "crash15", "crashok", "crashinit", "crashonfail"];
/// Cases whose intervals from start to start are combined.
const GAPS: [(&str, &[&str]); 3] = [
    ("liveness kills", &["live", "live-p5-d7"]),
    ("liveness kills with SIGTERM ignored", &["live-ignore"]),
    ("crashes after 100 s", &["crash700"]),
];

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let (mut recorded, mut simulated) = (Vec::new(), Vec::new());
    for case in CRASHES {
        let rows = of_case(recording, case);
        if rows.is_empty() {
            continue;
        }
        for row in rows {
            let wait = row.number("wait_from_exit_to_next_start_s");
            note(&mut recorded, number(row), wait);
        }
        for (starts, exits) in runs(recording, case)? {
            for (number, exit) in exits.iter().enumerate() {
                let wait = starts.get(number + 1).map(|start| start - exit);
                note(&mut simulated, Some(number), wait);
            }
        }
    }
    steps.extend(numbered("crashes: exit to start", recorded, simulated));
    for (name, cases) in GAPS {
        if cases.iter().all(|case| of_case(recording, case).is_empty()) {
            continue;
        }
        let (mut recorded, mut simulated) = (Vec::new(), Vec::new());
        for case in cases {
            let rows = of_case(recording, case);
            if rows.is_empty() {
                continue;
            }
            for row in rows {
                let before = number(row).and_then(|number| number.checked_sub(1));
                note(&mut recorded, before, row.number("since_previous_start_s"));
            }
            for (starts, _) in runs(recording, case)? {
                for (number, pair) in starts.windows(2).enumerate() {
                    note(&mut simulated, Some(number), Some(pair[1] - pair[0]));
                }
            }
        }
        steps.extend(numbered(&format!("{name}: start to start"), recorded, simulated));
    }
    let is_grouped =
        |case: &str| CRASHES.contains(&case) || GAPS.iter().any(|(_, cases)| cases.contains(&case));
    for case in recording.cases_of("restarts").into_iter().filter(|case| !is_grouped(case)) {
        steps.extend(of_its_own(recording, case)?);
    }
    Ok(steps)
}

/// The steps of a case that is in no group: from start to start if its container was killed, else from exit to start.
fn of_its_own(recording: &Recording, case: &str) -> Result<Vec<Step>, String> {
    let rows = of_case(recording, case);
    let is_killed = rows.iter().any(|row| row.number("liveness_failed_at_s").is_some());
    let (mut recorded, mut simulated) = (Vec::new(), Vec::new());
    for row in rows {
        if is_killed {
            let before = number(row).and_then(|number| number.checked_sub(1));
            note(&mut recorded, before, row.number("since_previous_start_s"));
        } else {
            note(&mut recorded, number(row), row.number("wait_from_exit_to_next_start_s"));
        }
    }
    for (starts, exits) in runs(recording, case)? {
        let from = if is_killed { &starts } else { &exits };
        for (number, (from, next)) in from.iter().zip(starts.iter().skip(1)).enumerate() {
            note(&mut simulated, Some(number), Some(next - from));
        }
    }
    let name = if is_killed { "start to start" } else { "exit to start" };
    Ok(numbered(&format!("{case}: {name}"), recorded, simulated))
}

fn of_case<'a>(recording: &'a Recording, case: &str) -> Vec<&'a Row> {
    recording.rows_of("restarts", case)
}

/// Length of the simulations of a case: as long as it was recorded, and as that of the other cases.
fn length(recording: &Recording, case: &str) -> SimDuration {
    let mut spans: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for row in of_case(recording, case) {
        let Some(at) = row.number("start_us") else { continue };
        let span = spans.entry(row.text("pod")).or_insert((at, at));
        *span = (span.0.min(at), span.1.max(at));
    }
    let longest = spans.into_values().map(|(first, last)| (last - first) / 1e6);
    let longest = SimDuration::from_secs_f64(longest.fold(0.0, f64::max) * 1.1);
    LENGTH.max(longest).min(LENGTH_MAX)
}

/// The restart count of a row's container, from 0.
fn number(row: &Row) -> Option<usize> {
    row.text("start_no").parse().ok()
}

/// Adds a delay to those with the same number.
fn note(waits: &mut Vec<Vec<f64>>, number: Option<usize>, wait: Option<f64>) {
    let (Some(number), Some(wait)) = (number, wait) else { return };
    if waits.len() <= number {
        waits.resize_with(number + 1, Vec::new);
    }
    waits[number].push(wait);
}

/// A step for each number that both have.
fn numbered(name: &str, recorded: Vec<Vec<f64>>, simulated: Vec<Vec<f64>>) -> Vec<Step> {
    let both = recorded.into_iter().zip(simulated).enumerate();
    both.filter(|(_, (recorded, _))| !recorded.is_empty())
        .map(|(number, (recorded, simulated))| Step {
            name: format!("{name} {}", number + 1),
            unit: Unit::Seconds,
            recorded,
            simulated,
        })
        .collect()
}

/// Times of a container's starts and exits in one run (s).
type StartsAndEnds = (Vec<f64>, Vec<f64>);

/// Starts and exits of the restarting container in each run.
fn runs(recording: &Recording, case: &str) -> Result<Vec<StartsAndEnds>, String> {
    let spec = &recording.case("restarts", case)?["pod"];
    let length = length(recording, case);
    let set_up = PreparedCase::new(&pod(case, spec), APPLIED_AT + length)?;
    let count = |list: &str| spec[list].as_array().map_or(0, Vec::len);
    let containers = count("initContainers") + count("containers");
    set_up.runs(RUNS, |mut simulation| {
        let mut stories = PodTimelines::default();
        simulation.run_until(SimTime::ZERO + APPLIED_AT + length);
        stories.take(&mut simulation);
        let story = stories.iter().next().cloned().unwrap_or_default();
        let all = |step| story.all(&TimelineEvent::Step(step));
        let starts = |position: &usize| all(PodStep::Started(*position)).len();
        // The one that restarts; the first of several.
        let position = (0..containers).rev().max_by_key(starts).unwrap_or(0);
        Ok((all(PodStep::Started(position)), all(PodStep::Exited(position))))
    })
}
