//! Pods with init containers, a sidecar, and a main container that ignores SIGTERM.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pod_timeline::{PodTimeline, PodTimelines, TimelineEvent};
use super::quantiles::Sample;
use super::recorded::{Recording, Row};
use super::set_up::{APPLIED_AT, PreparedCase, delete, pod, switch};
use super::{Step, Unit};
use engine::{SimDuration, SimTime};
use kubelet::PodStep;

/// Number of simulations of each case.
const RUNS: u64 = 100;
/// The case of rows that name none; its steps have no prefix.
const CASE: &str = "sidecar";
/// Delay from the pod's creation to its deletion if none was recorded, and the longest one (s).
const DELETED_AFTER: f64 = 15.0;
const DELETED_AFTER_MAX: f64 = 3_600.0;
/// Maximum time for its termination.
const DOWN_BY: SimDuration = SimDuration::from_secs(60);

/// A container, or the pod, and an event of it.
type Moment = (String, &'static str);

/// A step: its name, and the events from which and to which it lasts.
type Measure = (String, Moment, Moment);

/// A container of the case.
struct Container {
    name: String,
    /// As it is called in the names of steps.
    called: String,
    is_init: bool,
    is_sidecar: bool,
    /// From its start until it listens (s).
    listens_after: f64,
}

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let mut by_case: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in recording.rows("sidecar") {
        let case = Some(row.text("case")).filter(|case| !case.is_empty()).unwrap_or(CASE);
        by_case.entry(case).or_default().push(row);
    }
    let mut steps = Vec::new();
    for (case, rows) in by_case {
        steps.extend(of_case(recording, case, &rows)?);
    }
    Ok(steps)
}

fn of_case(recording: &Recording, case: &str, rows: &[&Row]) -> Result<Vec<Step>, String> {
    let mut recorded: BTreeMap<&str, BTreeMap<(&str, &str), f64>> = BTreeMap::new();
    for row in rows {
        let Some(at) = row.number("t_s") else { continue };
        let what = match row.text("what") {
            what if what.starts_with("watch DELETED") => "gone",
            what if what.ends_with("ready=True") => "ready",
            what if what.ends_with("deleting") => "deleted",
            what => what,
        };
        recorded.entry(row.text("rep")).or_default().entry((row.text("who"), what)).or_insert(at);
    }
    let deletions = recorded.values().filter_map(|run| run.get(&("pod", "deleted")).copied());
    let deletions: Vec<f64> = deletions.collect();
    let deleted_after = if deletions.is_empty() {
        DELETED_AFTER
    } else {
        Sample::new(deletions).quantile(0.5).value
    };
    let deleted_after = SimDuration::from_secs_f64(deleted_after.clamp(0.0, DELETED_AFTER_MAX));
    let spec = &recording.case("sidecar", case)?["pod"];
    let grace = spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(30).clamp(0, 3_600);
    let down_by = DOWN_BY.max(SimDuration::from_secs(grace * 2));
    let set_up = PreparedCase::new(&pod(case, spec), APPLIED_AT + deleted_after + down_by)?;
    let simulated = set_up.runs(RUNS, |mut simulation| {
        let mut stories = PodTimelines::default();
        simulation.run_until(SimTime::ZERO + APPLIED_AT + deleted_after);
        delete(&mut simulation, &format!("Pod/default/{case}"))?;
        simulation.run_until(simulation.now() + down_by);
        stories.take(&mut simulation);
        Ok(stories.iter().next().cloned().unwrap_or_default())
    })?;
    let containers = containers(spec);
    let prefix = if case == CASE { String::new() } else { format!("{case}: ") };
    let step = |(name, from, to): Measure| {
        let of_run = |run: &BTreeMap<(&str, &str), f64>, (who, what): &Moment| {
            run.get(&(who.as_str(), *what)).copied()
        };
        let recorded = recorded.values();
        let simulated = simulated.iter();
        Step {
            name: format!("{prefix}{name}"),
            unit: Unit::Seconds,
            recorded: recorded
                .filter_map(|run| Some(of_run(run, &to)? - of_run(run, &from)?))
                .collect(),
            simulated: simulated
                .filter_map(|story| {
                    Some(when(story, &containers, &to)? - when(story, &containers, &from)?)
                })
                .collect(),
        }
    };
    Ok(measures(&containers).into_iter().map(step).collect())
}

/// The containers of a pod, in the order of their positions.
fn containers(spec: &Value) -> Vec<Container> {
    let of = |list: &str| spec[list].as_array().into_iter().flatten();
    let is_sidecar = |container: &Value| container["restartPolicy"] == "Always";
    let sidecars = of("initContainers").filter(|one| is_sidecar(one)).count();
    let container = |is_init: bool, container: &Value| {
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        let is_sidecar = is_init && is_sidecar(container);
        let is_only_one = is_sidecar && sidecars == 1;
        let listens_after = switch(container, "START_DELAY").and_then(|text| text.parse().ok());
        Container {
            called: if is_only_one { "the sidecar".to_owned() } else { name.clone() },
            name,
            is_init,
            is_sidecar,
            listens_after: listens_after.unwrap_or(0.0) / 1000.0,
        }
    };
    let inits = of("initContainers").map(|one| container(true, one));
    inits.chain(of("containers").map(|one| container(false, one))).collect()
}

/// The steps of a pod: from container to container, to Ready, and its end.
fn measures(containers: &[Container]) -> Vec<Measure> {
    let mut measures = Vec::new();
    let at = |one: &Container, what| (one.name.clone(), what);
    let pod = |what| ("pod".to_owned(), what);
    let has_main = containers.last().is_some_and(|one| !one.is_init);
    for pair in containers.windows(2).filter(|pair| pair[0].is_init) {
        let (before, next) = (&pair[0], &pair[1]);
        let (goes_on, shown) = if before.is_sidecar {
            ("listening", format!("{} listening", before.called))
        } else {
            ("exit", format!("{}'s exit", before.called))
        };
        let name = format!("{shown} to {}'s start", next.called);
        measures.push((name, at(before, goes_on), at(next, "start")));
    }
    let first = containers.iter().find(|one| !one.is_init);
    if let (Some(first), Some(last), true) = (first, containers.last(), has_main) {
        measures.push((
            format!("{}'s start to Ready", last.called),
            at(last, "start"),
            pod("ready"),
        ));
        let name = format!("deleted to {}'s SIGTERM", first.called);
        measures.push((name, pod("deleted"), at(first, "sigterm")));
    }
    let mut sidecars = containers.iter().filter(|one| one.is_sidecar);
    for sidecar in sidecars.clone() {
        let name = format!("deleted to {}'s SIGTERM", sidecar.called);
        measures.push((name, pod("deleted"), at(sidecar, "sigterm")));
    }
    // Sidecars are stopped last, the first of them at the very end.
    if let Some(last) = sidecars.next().or(first) {
        let name = format!("{}'s exit to object gone", last.called);
        measures.push((name, at(last, "exit"), pod("gone")));
    }
    measures
}

/// Time of the first such event in a simulation (s).
fn when(story: &PodTimeline, containers: &[Container], (who, what): &Moment) -> Option<f64> {
    match (who.as_str(), *what) {
        ("pod", "ready") => return story.first(&TimelineEvent::Ready),
        ("pod", "deleted") => return story.first(&TimelineEvent::Deleted),
        ("pod", "gone") => return story.first(&TimelineEvent::Gone),
        _ => {}
    }
    let position = containers.iter().position(|one| one.name == *who)?;
    let step = |step| story.first(&TimelineEvent::Step(step));
    match *what {
        "start" => step(PodStep::Started(position)),
        "listening" => Some(step(PodStep::Started(position))? + containers[position].listens_after),
        "exit" => step(PodStep::Exited(position)),
        "sigterm" => step(PodStep::Sigterm(position)),
        _ => None,
    }
}
