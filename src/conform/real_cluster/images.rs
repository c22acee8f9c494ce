//! An image that does not exist, and the times of the pull attempts.

use std::collections::BTreeMap;

use super::pod_timeline::{PodTimelines, TimelineEvent};
use super::recorded::Recording;
use super::set_up::{APPLIED_AT, PreparedCase, pod};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;

/// Number of simulations of the case.
const RUNS: u64 = 100;
/// Length of the recording.
const LENGTH: SimDuration = SimDuration::from_secs(1_500);

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let mut by_pod: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in recording.rows("image-events") {
        if row.text("reason") == "Pulling"
            && let Some(at) = row.number("watch_us")
        {
            by_pod.entry(row.text("pod")).or_default().push(at / 1e6);
        }
    }
    let spec = &recording.case("restarts", "img")?["pod"];
    let set_up = PreparedCase::new(&pod("img", spec), APPLIED_AT + LENGTH)?;
    let simulated = set_up.runs(RUNS, |mut simulation| {
        let mut stories = PodTimelines::default();
        simulation.run_until(SimTime::ZERO + APPLIED_AT + LENGTH);
        stories.take(&mut simulation);
        let pulls = TimelineEvent::Step(PodStep::PullCalled(0));
        Ok(stories.iter().next().map(|one| one.all(&pulls)).unwrap_or_default())
    })?;
    let recorded: Vec<Vec<f64>> = by_pod.into_values().collect();
    let most = recorded.iter().map(Vec::len).max().unwrap_or(0);
    let gaps = |runs: &[Vec<f64>], number: usize| {
        let gap = |run: &Vec<f64>| Some(run.get(number)? - run.get(number - 1)?);
        runs.iter().filter_map(gap).collect()
    };
    Ok((1..most)
        .map(|number| Step {
            name: format!("pull {number} to pull {}", number + 1),
            unit: Unit::Seconds,
            recorded: gaps(&recorded, number),
            simulated: gaps(&simulated, number),
        })
        .collect())
}
