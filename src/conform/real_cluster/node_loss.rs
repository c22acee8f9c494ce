//! Loss of one of three nodes under load: time until it is detected and its pods are replaced, and number of failed
//! requests.

use std::collections::BTreeSet;

use serde_json::json;

use super::load::{fields, outcomes, services};
use super::pod_timeline::{PodTimeline, PodTimelines, TimelineEvent};
use super::quantiles::Sample;
use super::recorded::{Recording, Row};
use super::set_up::{APPLIED_AT, PreparedCase, deployment};
use super::{Step, Unit};
use cluster::node::ConditionStatus;
use engine::{SimDuration, SimTime};
use faults::TimelineAction;
use sim::Simulation;
use sim::watch::WatchedChange;

/// Number of simulations of each case.
const RUNS: u64 = 20;
/// Request rate per second on new connections, if the series does not say.
const RPS: f64 = 30.0;
/// Length of a row of the series (s).
const BIN: f64 = 5.0;
/// Delay from the creation of the Deployment to the loss of the node; up to ten seconds are added.
const LOST_AFTER: SimDuration = SimDuration::from_secs(40);
/// Period after the loss in which failed requests are counted, in two parts: until the endpoints are removed, and
/// after that.
const COUNTED: SimDuration = SimDuration::from_secs(150);
/// Time by which the last endpoint is removed, and requests waiting for it have timed out (s).
const OUT_BY: f64 = 60.0;
/// Time by which evictions and replacements are complete, from the end of the toleration on; and the longest toleration.
const OVER_AFTER: SimDuration = SimDuration::from_secs(85);
const TOLERATION: f64 = 300.0;
const TOLERATION_MAX: f64 = 3_600.0;

/// Results of a run (s after the loss).
struct RunResults {
    unknown: Option<f64>,
    evicted: Option<f64>,
    replaced: Option<f64>,
    /// Failed requests until the endpoints are removed, and later.
    failed: [f64; 2],
}

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let rows = recording.rows("node-loss");
    // `f300-r0` is a repetition of f300.
    let case_of = |row: &Row| row.text("case").split('-').next().unwrap_or_default().to_owned();
    let cases: BTreeSet<String> = rows.iter().map(case_of).collect();
    let mut steps = Vec::new();
    for case in cases {
        let object = deployment(&case, &recording.case("node-loss", &case)?["deployment"]);
        let of_case: Vec<&Row> = rows.iter().filter(|row| case_of(row) == case).collect();
        let rps = rate(recording, &of_case);
        let load = json!({ "pattern": "constant", "rps": rps });
        let loss = Loss::of(&case, &of_case);
        let length = APPLIED_AT + LOST_AFTER + loss.over_after + SimDuration::from_secs(20);
        let set_up =
            PreparedCase::with(&object, &services(&object), fields(&load, "even"), length)?;
        let mut phases = (0..).map(|number| SimDuration::from_millis(number * 530 % 10_000));
        let shown = set_up.runs(RUNS, |simulation| {
            run(simulation, &loss, phases.next().unwrap_or(SimDuration::ZERO))
        })?;
        let recorded =
            |column: &str| of_case.iter().filter_map(|row| row.number(column)).collect::<Vec<_>>();
        let simulated = |figure: fn(&RunResults) -> Option<f64>| {
            shown.iter().filter_map(figure).collect::<Vec<_>>()
        };
        for (name, column, figure) in [
            (
                "lost to Ready=Unknown",
                "node_unknown_s",
                (|one| one.unknown) as fn(&RunResults) -> _,
            ),
            ("lost to first eviction", "first_eviction_s", |one| one.evicted),
            ("lost to replacements Ready", "last_replacement_ready_s", |one| one.replaced),
        ] {
            steps.push(Step {
                name: format!("{case}: {name}"),
                unit: Unit::Seconds,
                recorded: recorded(column),
                simulated: simulated(figure),
            });
        }
        let counted = of_case.iter().map(|row| failed(recording, row.text("case")));
        let counted: Vec<[f64; 2]> = counted.collect();
        for (part, name) in ["while the endpoints are there", "after that"].iter().enumerate() {
            steps.push(Step {
                name: format!("{case}: requests on new connections {name}"),
                unit: Unit::FailedRequests { rps },
                recorded: counted.iter().map(|parts| parts[part]).collect(),
                simulated: shown.iter().map(|one| one.failed[part]).collect(),
            });
        }
    }
    Ok(steps)
}

/// Failed requests of a repetition on new connections, until the endpoints were removed and later, by the time at
/// which they were sent.
fn failed(recording: &Recording, case: &str) -> [f64; 2] {
    let mut parts = [0.0; 2];
    for row in recording.rows("node-loss-series") {
        let from = row.number("from_s").unwrap_or(-1.0);
        if row.text("case") == case && row.text("mode") == "new" && from >= 0.0 {
            let late = usize::from(from + BIN > OUT_BY);
            if from < COUNTED.as_secs_f64() {
                parts[late] += row.number("failed").unwrap_or(0.0);
            }
        }
    }
    parts
}

/// Requests per second on new connections: the median of the series.
fn rate(recording: &Recording, repetitions: &[&Row]) -> f64 {
    let is_of = |row: &&Row| {
        row.text("mode") == "new"
            && repetitions.iter().any(|one| one.text("case") == row.text("case"))
    };
    let rows = recording.rows("node-loss-series").iter().filter(is_of);
    let requests = Sample::new(rows.filter_map(|row| row.number("requests")).collect());
    let rps = requests.quantile(0.5).value / BIN;
    if rps > 0.0 { rps.round() } else { RPS }
}

/// How the node is lost.
struct Loss {
    /// Its network is cut; else only its kubelet stops.
    is_cut: bool,
    /// When a stopped kubelet runs again.
    restored_after: SimDuration,
    /// When everything is over.
    over_after: SimDuration,
}

impl Loss {
    fn of(case: &str, repetitions: &[&Row]) -> Self {
        let longest = |column: &str, otherwise: f64| {
            let numbers = repetitions.iter().filter_map(|row| row.number(column));
            numbers
                .fold(None, |most: Option<f64>, one| Some(most.map_or(one, |most| most.max(one))))
                .unwrap_or(otherwise)
        };
        let is_cut = match repetitions.first().map_or("", |row| row.text("mode")) {
            "cut" => true,
            "stop" => false,
            _ => case.starts_with('f'),
        };
        let toleration = longest("toleration_s", TOLERATION).clamp(TOLERATION, TOLERATION_MAX);
        let over_after = SimDuration::from_secs_f64(toleration) + OVER_AFTER;
        let restored = longest("restore_s", f64::MAX).min(over_after.as_secs_f64());
        Self { is_cut, restored_after: SimDuration::from_secs_f64(restored.max(1.0)), over_after }
    }
}

fn run(mut simulation: Simulation, loss: &Loss, phase: SimDuration) -> Result<RunResults, String> {
    let lost = SimTime::ZERO + APPLIED_AT + LOST_AFTER + phase;
    simulation.run_until(lost);
    simulation.take_watched();
    let failed = |simulation: &mut Simulation| outcomes(simulation, "new").failed_in_all() as f64;
    let before = failed(&mut simulation);
    let node = "n4".into();
    simulation.intervene(&if loss.is_cut {
        TimelineAction::DisconnectNode(node)
    } else {
        let fields = json!({ "node": "n4", "downFor": loss.restored_after });
        let restart = serde_json::from_value(fields).map_err(|problem| problem.to_string())?;
        TimelineAction::RestartKubelet(restart)
    });
    // Waiting clients time out after 5 s.
    let patience = SimDuration::from_secs(5);
    simulation.run_until(lost + SimDuration::from_secs_f64(OUT_BY) + patience);
    let early = failed(&mut simulation) - before;
    simulation.run_until(lost + COUNTED + patience);
    let late = failed(&mut simulation) - before - early;
    simulation.run_until(lost + loss.over_after);
    let mut unknown = None;
    let watched = simulation.take_watched();
    for one in &watched {
        if let WatchedChange::Node { name, state: Some(state) } = &one.what
            && name.as_ref() == "n4"
            && state.ready == ConditionStatus::Unknown
        {
            unknown.get_or_insert((one.at - lost).as_secs_f64());
        }
    }
    let stories = PodTimelines::of(watched);
    let since = |at: f64| at - lost.as_secs_f64();
    let first = |what: TimelineEvent| {
        // Pods that are Ready again are no replacements.
        let is_new = |story: &&PodTimeline| {
            what != TimelineEvent::Ready || story.first(&TimelineEvent::Created).is_some()
        };
        let firsts = stories.iter().filter(is_new).filter_map(|story| story.first(&what));
        firsts.map(since).filter(|at| *at >= 0.0).collect::<Vec<_>>()
    };
    Ok(RunResults {
        unknown,
        evicted: first(TimelineEvent::Deleted).into_iter().reduce(f64::min),
        replaced: first(TimelineEvent::Ready).into_iter().reduce(f64::max),
        failed: [early, late],
    })
}
