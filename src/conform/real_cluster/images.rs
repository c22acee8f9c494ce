//! An image that does not exist, and the times of the pull attempts.

use std::collections::BTreeMap;

use super::pod_timeline::{PodTimelines, TimelineEvent};
use super::recorded::Recording;
use super::set_up::{APPLIED_AT, PreparedCase, never_pulled};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;

/// Number of simulations of the case.
const RUNS: u64 = 100;
/// The case whose steps have its name for no prefix.
const CASE: &str = "img";
/// Length of the recording.
const LENGTH: SimDuration = SimDuration::from_secs(1_500);

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    // Pods of a case are numbered: `img-0`.
    let mut by_case: BTreeMap<&str, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for row in recording.rows("image-events") {
        let pod = row.text("pod");
        if row.text("reason") == "Pulling"
            && let Some(at) = row.number("watch_us")
        {
            let case = pod.trim_end_matches(|letter: char| letter.is_ascii_digit());
            let case = case.strip_suffix('-').unwrap_or(pod);
            by_case.entry(case).or_default().entry(pod).or_default().push(at / 1e6);
        }
    }
    let mut steps = Vec::new();
    for (case, by_pod) in by_case {
        let recorded: Vec<Vec<f64>> = by_pod.into_values().collect();
        let prefix = if case == CASE { String::new() } else { format!("{case}: ") };
        steps.extend(of_case(recording, (case, &prefix), &recorded)?);
    }
    Ok(steps)
}

fn of_case(
    recording: &Recording,
    (case, prefix): (&str, &str),
    recorded: &[Vec<f64>],
) -> Result<Vec<Step>, String> {
    let spec = &recording.case("restarts", case)?["pod"];
    let set_up = PreparedCase::new(&never_pulled(case, spec), APPLIED_AT + LENGTH)?;
    let simulated = set_up.runs(RUNS, |mut simulation| {
        let mut stories = PodTimelines::default();
        simulation.run_until(SimTime::ZERO + APPLIED_AT + LENGTH);
        stories.take(&mut simulation);
        let pulls = TimelineEvent::Step(PodStep::PullCalled(0));
        Ok(stories.iter().next().map(|one| one.all(&pulls)).unwrap_or_default())
    })?;
    let most = recorded.iter().map(Vec::len).max().unwrap_or(0);
    let gaps = |runs: &[Vec<f64>], number: usize| {
        let gap = |run: &Vec<f64>| Some(run.get(number)? - run.get(number - 1)?);
        runs.iter().filter_map(gap).collect()
    };
    Ok((1..most)
        .map(|number| Step {
            name: format!("{prefix}pull {number} to pull {}", number + 1),
            unit: Unit::Seconds,
            recorded: gaps(recorded, number),
            simulated: gaps(&simulated, number),
        })
        .collect())
}
