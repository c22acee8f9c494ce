//! Containers that crash, exit, or fail their liveness probe, and the delays between their restarts.

use super::pod_timeline::{PodTimelines, TimelineEvent};
use super::recorded::{Recording, Row};
use super::set_up::{APPLIED_AT, PreparedCase, pod};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;

/// Number of simulations of each case.
const RUNS: u64 = 100;
/// Length of the longest recorded case.
const LENGTH: SimDuration = SimDuration::from_secs(1_800);

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
        let (mut recorded, mut simulated) = (Vec::new(), Vec::new());
        for case in cases {
            for row in of_case(recording, case) {
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
    Ok(steps)
}

fn of_case<'a>(recording: &'a Recording, case: &str) -> Vec<&'a Row> {
    recording.rows("restarts").iter().filter(|row| row.text("case") == case).collect()
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
    let set_up = PreparedCase::new(&pod(case, spec), APPLIED_AT + LENGTH)?;
    set_up.runs(RUNS, |mut simulation| {
        let mut stories = PodTimelines::default();
        simulation.run_until(SimTime::ZERO + APPLIED_AT + LENGTH);
        stories.take(&mut simulation);
        let story = stories.iter().next().cloned().unwrap_or_default();
        let all = |step| story.all(&TimelineEvent::Step(step));
        Ok((all(PodStep::Started(0)), all(PodStep::Exited(0))))
    })
}
