//! Rolling updates of four pods under load: their duration, and the number of failed requests.

use std::collections::BTreeSet;

use serde_json::json;

use super::load::{SERVICES, fields, outcomes, services};
use super::pod_timeline::{PodTimeline, PodTimelines, TimelineEvent};
use super::recorded::{Recording, Row};
use super::set_up::{APPLIED_AT, PreparedCase, deployment};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use faults::{ImageChange, TimelineAction};
use kubelet::PodStep;
use sim::Simulation;
use sim::watch::{PodEvent, WatchedChange};

/// Number of simulations of each case.
const RUNS: u64 = 24;
/// Request rate per second, on new and on kept connections each.
const RPS: f64 = 50.0;
/// Delay from the creation of the Deployment to the change of its image.
const CHANGED_AFTER: SimDuration = SimDuration::from_secs(25);
/// Time after that by which everything is finished, and clients have timed out.
const OVER_AFTER: SimDuration = SimDuration::from_secs(60);

/// Steps of the new pods: columns of the recording, and events of a simulation.
const MEASURES: [(&str, [&str; 2], [TimelineEvent; 2]); 4] = [
    (
        "new pods, created to sandbox asked for",
        ["pod_created_watch", "sandbox_call"],
        [TimelineEvent::Created, TimelineEvent::Step(PodStep::SandboxCalled)],
    ),
    (
        "new pods, sandbox asked for to started",
        ["sandbox_call", "start_returns"],
        [TimelineEvent::Step(PodStep::SandboxCalled), TimelineEvent::Step(PodStep::Started(0))],
    ),
    (
        "new pods, started to Ready",
        ["start_returns", "ready_watch"],
        [TimelineEvent::Step(PodStep::Started(0)), TimelineEvent::Ready],
    ),
    (
        "new pods, created to Ready",
        ["pod_created_watch", "ready_watch"],
        [TimelineEvent::Created, TimelineEvent::Ready],
    ),
];

/// Results of a run.
struct RunResults {
    /// The events of the new pods.
    new_pods: Vec<PodTimeline>,
    /// From the change of the image until all new pods are Ready and all old ones gone (s).
    rollout: Option<f64>,
    /// Failed requests on new and on kept connections.
    failed: [f64; 2],
}

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let rows = recording.rows("rollouts");
    let cases: BTreeSet<&str> = rows.iter().map(|row| row.text("case")).collect();
    let mut steps = Vec::new();
    for case in cases {
        let object = deployment(case, &recording.case("rollouts", case)?["deployment"]);
        let load = json!({ "pattern": "constant", "rps": RPS });
        let length = APPLIED_AT + CHANGED_AFTER + OVER_AFTER;
        let set_up =
            PreparedCase::with(&object, &services(&object), fields(&load, "even"), length)?;
        // Vary the phase relative to periodic activities from run to run.
        let mut phases = (0..).map(|number| SimDuration::from_millis(number * 137 % 2000));
        let shown = set_up.runs(RUNS, |simulation| {
            run(simulation, case, phases.next().unwrap_or(SimDuration::ZERO))
        })?;
        let recorded = |column: &str| {
            let of_case = rows.iter().filter(|row| row.text("case") == case);
            of_case.filter_map(|row| row.number(column)).collect::<Vec<_>>()
        };
        steps.push(Step {
            name: format!("{case}: image changed to rollout complete"),
            unit: Unit::Seconds,
            recorded: recorded("rollout_s"),
            simulated: shown.iter().filter_map(|one| one.rollout).collect(),
        });
        let pods = recording.rows("rollout-pods").iter();
        let new_pods: Vec<&Row> =
            pods.filter(|row| row.text("case") == case && row.text("pod") == "new").collect();
        for (name, [from, to], [first, last]) in &MEASURES {
            let stories = shown.iter().flat_map(|one| &one.new_pods);
            steps.push(Step {
                name: format!("{case}: {name}"),
                unit: Unit::Seconds,
                recorded: new_pods.iter().filter_map(|row| row.seconds(from, to)).collect(),
                simulated: stories.filter_map(|one| one.seconds(first, last)).collect(),
            });
        }
        for (position, (name, column)) in
            [("new", "new_failed"), ("kept", "ka_failed")].into_iter().enumerate()
        {
            steps.push(Step {
                name: format!("{case}: requests on {name} connections"),
                unit: Unit::FailedRequests { rps: RPS },
                recorded: recorded(column),
                simulated: shown.iter().map(|one| one.failed[position]).collect(),
            });
        }
    }
    Ok(steps)
}

fn run(mut simulation: Simulation, case: &str, phase: SimDuration) -> Result<RunResults, String> {
    let changed = SimTime::ZERO + APPLIED_AT + CHANGED_AFTER + phase;
    simulation.run_until(changed);
    simulation.take_watched();
    let failed = |simulation: &mut Simulation| {
        SERVICES.map(|service| outcomes(simulation, service).failed_in_all() as f64)
    };
    let before = failed(&mut simulation);
    let workload = format!("Deployment/default/{case}");
    simulation.intervene(&TimelineAction::SetImage(ImageChange {
        workload: workload.parse().map_err(|problem| format!("{workload}: {problem}"))?,
        container: None,
        image: "web:2".into(),
    }));
    simulation.run_until(SimTime::ZERO + APPLIED_AT + CHANGED_AFTER + OVER_AFTER);
    let watched = simulation.take_watched();
    let is_complete = watched.iter().any(|one| {
        matches!(one.what, WatchedChange::Progressing { reason: "NewReplicaSetAvailable", .. })
    });
    // Complete when the last old pod is gone and the last new one is Ready.
    let last = watched.iter().rev().find(|one| {
        matches!(one.what, WatchedChange::Pod { event: PodEvent::Gone | PodEvent::Ready, .. })
    });
    let complete = last.filter(|_| is_complete).map(|one| one.at);
    let after = failed(&mut simulation);
    let stories = PodTimelines::of(watched);
    Ok(RunResults {
        new_pods: stories
            .iter()
            .filter(|one| one.first(&TimelineEvent::Created).is_some())
            .cloned()
            .collect(),
        rollout: complete.map(|at| (at - changed).as_secs_f64()),
        failed: [after[0] - before[0], after[1] - before[1]],
    })
}
