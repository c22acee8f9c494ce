//! A pod with init containers, a sidecar, and a main container that ignores SIGTERM.

use std::collections::BTreeMap;

use super::pod_timeline::{PodTimeline, PodTimelines, TimelineEvent};
use super::recorded::Recording;
use super::set_up::{APPLIED_AT, PreparedCase, delete, pod};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;

/// Number of simulations of the case.
const RUNS: u64 = 100;
/// Delay from the pod's creation to its deletion.
const DELETED_AFTER: SimDuration = SimDuration::from_secs(15);
/// Maximum time for its termination.
const DOWN_BY: SimDuration = SimDuration::from_secs(60);
/// The containers, in order.
const CONTAINERS: [&str; 6] = ["init1", "init2", "side", "init3", "main", "main2"];

/// A container and an event of it.
type Moment = (&'static str, &'static str);

/// The steps: from one event to another.
const MEASURES: [(&str, Moment, Moment); 8] = [
    ("init1's exit to init2's start", ("init1", "exit"), ("init2", "start")),
    ("init2's exit to the sidecar's start", ("init2", "exit"), ("side", "start")),
    ("the sidecar listening to init3's start", ("side", "listening"), ("init3", "start")),
    ("init3's exit to main's start", ("init3", "exit"), ("main", "start")),
    ("main2's start to Ready", ("main2", "start"), ("pod", "ready")),
    ("deleted to main's SIGTERM", ("pod", "deleted"), ("main", "sigterm")),
    ("deleted to the sidecar's SIGTERM", ("pod", "deleted"), ("side", "sigterm")),
    ("the sidecar's exit to object gone", ("side", "exit"), ("pod", "gone")),
];

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let mut recorded: BTreeMap<&str, BTreeMap<(&str, &str), f64>> = BTreeMap::new();
    for row in recording.rows("sidecar") {
        let Some(at) = row.number("t_s") else { continue };
        let what = match row.text("what") {
            what if what.starts_with("watch DELETED") => "gone",
            what if what.ends_with("ready=True") => "ready",
            what if what.ends_with("deleting") => "deleted",
            what => what,
        };
        recorded.entry(row.text("rep")).or_default().entry((row.text("who"), what)).or_insert(at);
    }
    let spec = &recording.case("sidecar", "sidecar")?["pod"];
    let set_up = PreparedCase::new(&pod("sidecar", spec), APPLIED_AT + DELETED_AFTER + DOWN_BY)?;
    let simulated = set_up.runs(RUNS, |mut simulation| {
        let mut stories = PodTimelines::default();
        simulation.run_until(SimTime::ZERO + APPLIED_AT + DELETED_AFTER);
        delete(&mut simulation, "Pod/default/sidecar")?;
        simulation.run_until(simulation.now() + DOWN_BY);
        stories.take(&mut simulation);
        Ok(stories.iter().next().cloned().unwrap_or_default())
    })?;
    let step = |(name, from, to): &(&str, (&str, &str), (&str, &str))| Step {
        name: (*name).to_owned(),
        unit: Unit::Seconds,
        recorded: recorded.values().filter_map(|run| Some(run.get(to)? - run.get(from)?)).collect(),
        simulated: simulated
            .iter()
            .filter_map(|story| Some(when(story, *to)? - when(story, *from)?))
            .collect(),
    };
    Ok(MEASURES.iter().map(step).collect())
}

/// Time of the first such event in a simulation (s).
fn when(story: &PodTimeline, (who, what): (&str, &str)) -> Option<f64> {
    let position = CONTAINERS.iter().position(|one| *one == who).unwrap_or_default();
    let step = |step| story.first(&TimelineEvent::Step(step));
    match what {
        "ready" => story.first(&TimelineEvent::Ready),
        "deleted" => story.first(&TimelineEvent::Deleted),
        "gone" => story.first(&TimelineEvent::Gone),
        "start" => step(PodStep::Started(position)),
        // Two seconds after its start, as its switch defines.
        "listening" => Some(step(PodStep::Started(position))? + 2.0),
        "exit" => step(PodStep::Exited(position)),
        "sigterm" => step(PodStep::Sigterm(position)),
        _ => None,
    }
}
