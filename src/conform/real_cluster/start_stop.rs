//! Deployments of 1 to 40 pods that come up at once and are deleted when they are up.

use super::recorded::{Recording, Row};
use super::set_up::{APPLIED_AT, SetUp, delete, deployment};
use super::story::{Happened, Stories, Story};
use super::{Step, Unit, quantiles::Sample};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;
use sim::Simulation;

/// The cases, and how often each is simulated.
const CASES: [(&str, u64); 7] =
    [("n1", 100), ("n1q", 100), ("n1p", 100), ("n1pq", 100), ("n4", 25), ("n16", 10), ("n40", 5)];
/// Pods that are not up by then are deleted all the same.
const UP_BY: SimDuration = SimDuration::from_secs(60);
/// How long the end of a pod may take.
const DOWN_BY: SimDuration = SimDuration::from_secs(60);

/// A step in the recording's columns, and in a simulation.
struct Measure {
    name: &'static str,
    columns: (&'static str, &'static str),
    happened: (Happened, Happened),
}

const fn step(step: PodStep) -> Happened {
    Happened::Step(step)
}

const MEASURES: [Measure; 8] = [
    Measure {
        name: "bound to sandbox asked for",
        columns: ("bound_watch", "sandbox_call"),
        happened: (Happened::Bound, step(PodStep::SandboxCalled)),
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
        happened: (step(PodStep::Started(0)), Happened::Ready),
    },
    Measure {
        name: "created to Ready",
        columns: ("pod_created_watch", "ready_watch"),
        happened: (Happened::Created, Happened::Ready),
    },
    Measure {
        name: "deleted to SIGTERM",
        columns: ("delete_watch", "app_sigterm"),
        happened: (Happened::Deleted, step(PodStep::Sigterm(0))),
    },
    Measure {
        name: "exit to object gone",
        columns: ("app_exit", "deleted_watch"),
        happened: (step(PodStep::Exited(0)), Happened::Gone),
    },
];

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for (case, times) in CASES {
        let rows: Vec<&Row> =
            recording.rows("start-stop").iter().filter(|row| row.text("case") == case).collect();
        if rows.is_empty() {
            continue;
        }
        let spec = &recording.case("start-stop", case)?["deployment"];
        let set_up = SetUp::new(&deployment(case, spec), APPLIED_AT + UP_BY + DOWN_BY * 2)?;
        let up_for = up_for(&rows);
        let stories = set_up.runs(times, |simulation| lives(simulation, case, up_for))?;
        let stories: Vec<&Story> = stories.iter().flat_map(Stories::iter).collect();
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

/// How long the pods of the recording were up before the user asked for their deletion.
fn up_for(rows: &[&Row]) -> SimDuration {
    let spans = rows.iter().filter_map(|row| row.seconds("ready_watch", "deploy_delete_call"));
    SimDuration::from_secs_f64(Sample::new(spans.collect()).quantile(0.5).value.max(0.0))
}

/// The lives of the pods of a Deployment that is deleted `up_for` after the median pod is Ready.
fn lives(mut simulation: Simulation, case: &str, up_for: SimDuration) -> Result<Stories, String> {
    let mut stories = Stories::default();
    let applied = SimTime::ZERO + APPLIED_AT;
    let mut now = applied;
    let tick = SimDuration::from_millis(50);
    let ready_at = loop {
        simulation.run_until(now);
        stories.take(&mut simulation);
        let ready: Vec<Option<f64>> =
            stories.iter().map(|one| one.first(&Happened::Ready)).collect();
        if now > applied && !ready.is_empty() && ready.iter().all(Option::is_some) {
            break Sample::new(ready.into_iter().flatten().collect()).quantile(0.5).value;
        }
        if now > applied + UP_BY {
            break now.as_secs_f64();
        }
        now += tick;
    };
    simulation.run_until(now.max(SimTime::from_secs_f64(ready_at) + up_for));
    delete(&mut simulation, &format!("Deployment/default/{case}"))?;
    simulation.run_until(simulation.now() + DOWN_BY);
    stories.take(&mut simulation);
    Ok(stories)
}
