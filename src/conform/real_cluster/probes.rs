//! Pods with probes of several delays and periods: time from the container's start to Ready.

use super::pod_timeline::{PodTimelines, TimelineEvent};
use super::recorded::Recording;
use super::set_up::{APPLIED_AT, PreparedCase, deployment};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;

/// Number of simulations of each case.
const RUNS: u64 = 100;
/// Time by which all pods are Ready, unless the slowest recorded one took more than half of it.
const UP_BY: SimDuration = SimDuration::from_secs(40);
/// Longest such time.
const UP_BY_MAX: SimDuration = SimDuration::from_secs(3_600);

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for case in recording.cases_of("probes") {
        let rows = recording.rows_of("probes", case);
        let recorded: Vec<f64> =
            rows.iter().filter_map(|row| row.seconds("start_returns", "ready_watch")).collect();
        let slowest = SimDuration::from_secs_f64(recorded.iter().copied().fold(0.0, f64::max));
        let up_by = UP_BY.max(slowest * 2).min(UP_BY_MAX);
        let spec = &recording.case("start-stop", case)?["deployment"];
        let set_up = PreparedCase::new(&deployment(case, spec), APPLIED_AT + up_by)?;
        let simulated = set_up.runs(RUNS, |mut simulation| {
            let mut stories = PodTimelines::default();
            simulation.run_until(SimTime::ZERO + APPLIED_AT + up_by);
            stories.take(&mut simulation);
            let started = TimelineEvent::Step(PodStep::Started(0));
            Ok(stories.iter().next().and_then(|one| one.seconds(&started, &TimelineEvent::Ready)))
        })?;
        steps.push(Step {
            name: format!("{case}: started to Ready"),
            unit: Unit::Seconds,
            recorded,
            simulated: simulated.into_iter().flatten().collect(),
        });
    }
    Ok(steps)
}
