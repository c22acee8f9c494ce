//! Deployments of some number of pods that start at once and are deleted when they are up.

use super::pod_timeline::{PodTimeline, PodTimelines, TimelineEvent};
use super::recorded::{Recording, Row};
use super::set_up::{APPLIED_AT, PreparedCase, delete, deployment};
use super::{Step, Unit, quantiles::Sample};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;
use sim::Simulation;

/// Number of simulated pods of a case, and the bounds of the number of simulations that have them.
const PODS: u64 = 160;
const RUNS: [u64; 2] = [5, 100];
/// Most simulated pods of a case.
const PODS_MAX: u64 = 440;
/// Time after which pods are deleted even if they are not up, and again so much for each pod.
const UP_BY: SimDuration = SimDuration::from_secs(60);
const UP_BY_PER_POD: SimDuration = SimDuration::from_secs(1);
/// Longest time for which the pods are up (s).
const UP_FOR_MAX: f64 = 60.0;
/// Maximum time for the termination of a pod, and again so much for each.
const DOWN_BY: SimDuration = SimDuration::from_secs(60);

/// A step in the recording's columns, and in a simulation.
struct Measure {
    name: &'static str,
    columns: (&'static str, &'static str),
    happened: (TimelineEvent, TimelineEvent),
}

const fn step(step: PodStep) -> TimelineEvent {
    TimelineEvent::Step(step)
}

const MEASURES: [Measure; 8] = [
    Measure {
        name: "bound to sandbox asked for",
        columns: ("bound_watch", "sandbox_call"),
        happened: (TimelineEvent::Bound, step(PodStep::SandboxCalled)),
    },
    Measure {
        name: "sandbox",
        columns: ("sandbox_call", "sandbox_returns"),
        happened: (step(PodStep::SandboxCalled), step(PodStep::SandboxReturned)),
    },
    Measure {
        name: "sandbox to start asked for",
        columns: ("sandbox_returns", "start_call"),
        happened: (step(PodStep::SandboxReturned), step(PodStep::StartCalled(0))),
    },
    Measure {
        name: "start",
        columns: ("start_call", "start_returns"),
        happened: (step(PodStep::StartCalled(0)), step(PodStep::Started(0))),
    },
    Measure {
        name: "started to Ready",
        columns: ("start_returns", "ready_watch"),
        happened: (step(PodStep::Started(0)), TimelineEvent::Ready),
    },
    Measure {
        name: "created to Ready",
        columns: ("pod_created_watch", "ready_watch"),
        happened: (TimelineEvent::Created, TimelineEvent::Ready),
    },
    Measure {
        name: "deleted to SIGTERM",
        columns: ("delete_watch", "app_sigterm"),
        happened: (TimelineEvent::Deleted, step(PodStep::Sigterm(0))),
    },
    Measure {
        name: "exit to object gone",
        columns: ("app_exit", "deleted_watch"),
        happened: (step(PodStep::Exited(0)), TimelineEvent::Gone),
    },
];

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for case in recording.cases_of("start-stop") {
        let rows = recording.rows_of("start-stop", case);
        let spec = &recording.case("start-stop", case)?["deployment"];
        let pods = spec["replicas"].as_u64().unwrap_or(1).clamp(1, PODS_MAX);
        let times = (PODS / pods).clamp(RUNS[0], RUNS[1]);
        let more = UP_BY_PER_POD * i64::try_from(pods).unwrap_or(0);
        let (up_by, down_by) = (UP_BY + more, DOWN_BY + more);
        let length = APPLIED_AT + up_by + down_by * 2;
        let set_up = PreparedCase::new(&deployment(case, spec), length)?;
        let up_for = up_for(&rows);
        let stories = set_up.runs(times, |one| lives(one, case, &up_for, (up_by, down_by)))?;
        let stories: Vec<&PodTimeline> = stories.iter().flat_map(PodTimelines::iter).collect();
        steps.extend(MEASURES.iter().map(|measure| {
            let (from, to) = measure.columns;
            let (first, last) = &measure.happened;
            Step {
                name: format!("{case}: {}", measure.name),
                unit: Unit::Seconds,
                recorded: rows.iter().filter_map(|row| row.seconds(from, to)).collect(),
                simulated: stories.iter().filter_map(|one| one.seconds(first, last)).collect(),
            }
        }));
    }
    Ok(steps)
}

/// For each recorded pod, the time from its start to Ready, and from then to its deletion by the user, which was
/// longer for pods that were Ready earlier.
fn up_for(rows: &[&Row]) -> Vec<(f64, f64)> {
    let one = |row: &&Row| {
        let ready_after = row.seconds("start_returns", "ready_watch")?;
        Some((ready_after, row.seconds("ready_watch", "deploy_delete_call")?.max(0.0)))
    };
    rows.iter().filter_map(one).collect()
}

/// The pod events of a Deployment that is deleted some time after its median pod is Ready; the delay is that of the
/// recorded pod with the most similar time to Ready.
fn lives(
    mut simulation: Simulation,
    case: &str,
    up_for: &[(f64, f64)],
    (up_by, down_by): (SimDuration, SimDuration),
) -> Result<PodTimelines, String> {
    let mut stories = PodTimelines::default();
    let applied = SimTime::ZERO + APPLIED_AT;
    let mut now = applied;
    let tick = SimDuration::from_millis(50);
    let (ready_at, ready_after) = loop {
        simulation.run_until(now);
        stories.take(&mut simulation);
        let ready: Vec<Option<f64>> =
            stories.iter().map(|one| one.first(&TimelineEvent::Ready)).collect();
        if now > applied && !ready.is_empty() && ready.iter().all(Option::is_some) {
            let started = TimelineEvent::Step(PodStep::Started(0));
            let after =
                stories.iter().filter_map(|one| one.seconds(&started, &TimelineEvent::Ready));
            let after = Sample::new(after.collect()).quantile(0.5).value;
            break (Sample::new(ready.into_iter().flatten().collect()).quantile(0.5).value, after);
        }
        if now > applied + up_by {
            break (now.as_secs_f64(), f64::MAX);
        }
        now += tick;
    };
    let far = |(recorded, _): &&(f64, f64)| (recorded - ready_after).abs();
    let nearest = up_for.iter().min_by(|one, other| far(one).total_cmp(&far(other)));
    let up_for = nearest.map_or(1.0, |(_, up_for)| up_for.min(UP_FOR_MAX));
    let up_for = SimDuration::from_secs_f64(up_for);
    simulation.run_until(now.max(SimTime::from_secs_f64(ready_at) + up_for));
    delete(&mut simulation, &format!("Deployment/default/{case}"))?;
    simulation.run_until(simulation.now() + down_by);
    stories.take(&mut simulation);
    Ok(stories)
}
