//! Rolling updates of four pods under load: their duration, and the number of failed requests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::load::{SERVICES, fields, outcomes, services};
use super::pod_timeline::{PodTimeline, PodTimelines, TimelineEvent};
use super::recorded::{Recording, Row};
use super::set_up::{APPLIED_AT, PreparedCase, deployment};
use super::{Step, Unit, quantiles::Sample};
use cluster::NamespacedName;
use cluster::pod::PodId;
use engine::{SimDuration, SimTime};
use faults::{ImageChange, TimelineAction};
use kubelet::PodStep;
use sim::Simulation;
use sim::watch::{PodEvent, Watched, WatchedChange};

/// Number of simulations of each case.
const RUNS: u64 = 24;
/// Request rate per second, on new and on kept connections each.
const RPS: f64 = 50.0;
/// Delay from the creation of the Deployment to the change of its image; longer if the slowest recorded rollout took
/// longer.
const CHANGED_AFTER: SimDuration = SimDuration::from_secs(25);
/// Name of the Deployment that is rolled out at the same time as a case, as in a second measurement.
const BESIDE: &str = "beside";
/// Pause from the end of a recorded rollout to the next one of its measurement (s).
const PAUSE: f64 = 8.0;
/// Time after that by which everything is finished, and clients have timed out, at least.
const OVER_AFTER: SimDuration = SimDuration::from_secs(60);
/// Longest recorded rollout (s), and how many times as long as the slowest one a rollout may take.
const SLOWEST: f64 = 3_600.0;
const TIMES_AS_LONG: f64 = 2.0;

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
    let mut steps = Vec::new();
    for case in recording.cases_of("rollouts") {
        let object = deployment(case, &recording.case("rollouts", case)?["deployment"]);
        let load = json!({ "pattern": "constant", "rps": RPS });
        let of_case = recording.rows_of("rollouts", case);
        let times = Times::of(&of_case);
        let length = APPLIED_AT + times.changed_after + times.over_after;
        let company = Company::of(&of_case, rows);
        let mut others = services(&object);
        if let Some(company) = &company {
            others.push(beside(recording.case("rollouts", company.case)?));
        }
        let set_up = PreparedCase::with(&object, &others, fields(&load, "even"), length)?;
        // Vary the phase relative to periodic activities from run to run.
        let mut number = 0;
        let shown = set_up.runs(RUNS, |simulation| {
            let phase = SimDuration::from_millis(number * 137 % 2000);
            // As large a share of the runs as of the repetitions, at all phases.
            let part = number as f64 / RUNS as f64;
            // Fractions of multiples of the golden ratio are even in [0, 1).
            let lot = (number as f64 * 0.618_034).fract();
            let company = company.as_ref().filter(|company| lot < company.share);
            let beside = company.map(|company| (part, company.period));
            number += 1;
            run(simulation, (case, &times), phase, beside)
        })?;
        let recorded =
            |column: &str| of_case.iter().filter_map(|row| row.number(column)).collect::<Vec<_>>();
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

/// When the image changes after the creation of the Deployment, and when everything is over after that.
struct Times {
    changed_after: SimDuration,
    over_after: SimDuration,
}

impl Times {
    fn of(repetitions: &[&Row]) -> Self {
        let all = repetitions.iter().filter_map(|row| row.number("rollout_s"));
        let slowest = all.fold(0.0, f64::max).min(SLOWEST);
        Self {
            changed_after: CHANGED_AFTER.max(SimDuration::from_secs_f64(slowest)),
            over_after: OVER_AFTER.max(SimDuration::from_secs_f64(slowest * TIMES_AS_LONG)),
        }
    }
}

/// The case that was measured at the same time as another one.
struct Company<'r> {
    case: &'r str,
    /// Share of the repetitions during which it was (0 to 1).
    share: f64,
    /// From one of its rollouts to the next (s).
    period: f64,
}

impl<'r> Company<'r> {
    /// The case that most often accompanied these repetitions, if any did.
    fn of(repetitions: &[&Row], rows: &'r [Row]) -> Option<Self> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for repetition in repetitions {
            let together = rows.iter().filter(|other| is_together(repetition, other));
            let cases: BTreeSet<&str> = together.map(|other| other.text("case")).collect();
            for case in cases {
                *counts.entry(case).or_default() += 1;
            }
        }
        let (case, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        let of_case = rows.iter().filter(|row| row.text("case") == case);
        let rollouts = Sample::new(of_case.filter_map(|row| row.number("rollout_s")).collect());
        let share = count as f64 / repetitions.len() as f64;
        Some(Self { case, share, period: rollouts.quantile(0.5).value + PAUSE })
    }
}

/// Whether a rollout of another case overlapped this one, with the pause to its measurement's next one.
fn is_together(row: &Row, other: &Row) -> bool {
    let span = |row: &Row| {
        let begin = row.number("patched")? / 1e6;
        Some((begin, begin + row.number("rollout_s")?))
    };
    let Some(((begin, end), (from, to))) = span(row).zip(span(other)) else { return false };
    row.text("case") != other.text("case") && from < end && to + PAUSE > begin
}

/// The Deployment that is rolled out at the same time as a case, derived from that case's objects.
fn beside(objects: &Value) -> Value {
    let mut spec = objects["deployment"].clone();
    for labels in ["/selector/matchLabels", "/template/metadata/labels"] {
        let labels = spec.pointer_mut(labels).and_then(Value::as_object_mut);
        labels.into_iter().flatten().for_each(|(_, value)| *value = json!(BESIDE));
    }
    deployment(BESIDE, &spec)
}

/// Changes the image of a Deployment.
fn set_image(simulation: &mut Simulation, name: &str, image: &str) -> Result<(), String> {
    let workload = format!("Deployment/default/{name}");
    simulation.intervene(&TimelineAction::SetImage(ImageChange {
        workload: workload.parse().map_err(|problem| format!("{workload}: {problem}"))?,
        container: None,
        image: image.into(),
    }));
    Ok(())
}

/// `beside` has the phase (in periods) and the period (s) of another Deployment's rollouts, if any.
fn run(
    mut simulation: Simulation,
    (case, times): (&str, &Times),
    phase: SimDuration,
    beside: Option<(f64, f64)>,
) -> Result<RunResults, String> {
    let changed = SimTime::ZERO + APPLIED_AT + times.changed_after + phase;
    let over = SimTime::ZERO + APPLIED_AT + times.changed_after + times.over_after;
    let failed = |simulation: &mut Simulation| {
        SERVICES.map(|service| outcomes(simulation, service).failed_in_all() as f64)
    };
    let mut before = [0.0; 2];
    let mut changes: Vec<(SimTime, &str, &str)> = vec![(changed, case, "web:2")];
    if let Some((part, period)) = beside {
        let image = |number| if number % 2 == 0 { "web:2" } else { "web:1" };
        let at = |number| {
            let periods = f64::from(number) - part;
            changed + SimDuration::from_secs_f64(period * periods)
        };
        changes.extend((0..4).map(|number| (at(number), BESIDE, image(number))));
    }
    changes.sort_by_key(|(at, ..)| *at);
    for (at, name, image) in changes {
        simulation.run_until(at);
        if name == case {
            simulation.take_watched();
            before = failed(&mut simulation);
        }
        set_image(&mut simulation, name, image)?;
    }
    simulation.run_until(over);
    let watched = without_beside(simulation.take_watched());
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

/// The changes that belong to the case itself.
fn without_beside(mut watched: Vec<Watched>) -> Vec<Watched> {
    let is_beside = |id: &NamespacedName| *id.name == *BESIDE;
    let others = watched.iter().filter_map(|one| match &one.what {
        WatchedChange::Pod { pod, deployment, .. }
            if deployment.as_ref().is_some_and(is_beside) =>
        {
            Some(*pod)
        }
        _ => None,
    });
    let others: BTreeSet<PodId> = others.collect();
    watched.retain(|one| match &one.what {
        WatchedChange::Pod { pod, .. } | WatchedChange::Step { pod, .. } => !others.contains(pod),
        WatchedChange::Progressing { deployment, .. } => !is_beside(deployment),
        _ => true,
    });
    watched
}
