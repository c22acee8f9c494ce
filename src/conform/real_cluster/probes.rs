//! Pods with probes of several delays and periods: time from the container's start to Ready.

use std::collections::BTreeSet;

use super::pod_timeline::{PodTimelines, TimelineEvent};
use super::recorded::Recording;
use super::set_up::{APPLIED_AT, PreparedCase, deployment};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;

/// Number of simulations of each case.
const RUNS: u64 = 100;
/// Time by which all pods are Ready.
const UP_BY: SimDuration = SimDuration::from_secs(40);

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let rows = recording.rows("probes");
    let cases: BTreeSet<&str> = rows.iter().map(|row| row.text("case")).collect();
    let mut steps = Vec::new();
    for case in cases {
        let of_case = rows.iter().filter(|row| row.text("case") == case);
        let spec = &recording.case("start-stop", case)?["deployment"];
        let set_up = PreparedCase::new(&deployment(case, spec), APPLIED_AT + UP_BY)?;
        let simulated = set_up.runs(RUNS, |mut simulation| {
            let mut stories = PodTimelines::default();
            simulation.run_until(SimTime::ZERO + APPLIED_AT + UP_BY);
            stories.take(&mut simulation);
            let started = TimelineEvent::Step(PodStep::Started(0));
            Ok(stories.iter().next().and_then(|one| one.seconds(&started, &TimelineEvent::Ready)))
        })?;
        steps.push(Step {
            name: format!("{case}: started to Ready"),
            unit: Unit::Seconds,
            recorded: of_case
                .filter_map(|row| row.seconds("start_returns", "ready_watch"))
                .collect(),
            simulated: simulated.into_iter().flatten().collect(),
        });
    }
    Ok(steps)
}
