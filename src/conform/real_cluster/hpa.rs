//! A Deployment under an HPA whose load rises eightfold: time of the first scale-up, peak size, and age of the
//! samples used.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::load::{fields, services};
use super::recorded::Recording;
use super::set_up::{APPLIED_AT, PreparedCase, deployment};
use super::{Step, Unit};
use cluster::NamespacedName;
use engine::{SimDuration, SimTime};
use sim::watch::WatchedChange;

/// Number of simulations of each case.
const RUNS: u64 = 20;
/// Time by which the pod is up and the recorded load begins.
const UP_BY: SimDuration = SimDuration::from_secs(40);
/// When the load rises and falls again (s after its start), and its request rate per second.
const RISES: i64 = 60;
const FALLS: i64 = 270;
const RPS: [f64; 2] = [3.0, 25.0];

/// Results of a run.
#[derive(Default)]
struct RunResults {
    /// From the rise of the load to the first scale-up (s).
    first: Option<f64>,
    /// From the fall of the load to the first scale-down (s).
    down: Option<f64>,
    peak: f64,
    /// Age of samples when they are first served (s).
    ages: Vec<f64>,
}

pub(super) fn steps(recording: &Recording) -> Result<Vec<Step>, String> {
    let rows = recording.rows("hpa");
    let mut steps = Vec::new();
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in rows {
        let case = row.text("case");
        let objects = recording.case("hpa", case)?;
        let shown = simulated(case, objects)?;
        let rescales = rescales(row.text("rescales"));
        let peak = rescales.iter().map(|(_, size)| *size).fold(1.0, f64::max);
        steps.push(Step {
            name: format!("{case}: largest size"),
            unit: Unit::Pods,
            recorded: vec![peak],
            simulated: shown.iter().map(|one| one.peak).collect(),
        });
        let first = rescales.first().map(|(at, _)| at - RISES as f64);
        all.entry("recorded first").or_default().extend(first);
        all.entry("simulated first").or_default().extend(shown.iter().filter_map(|one| one.first));
        if case == "hpa-window60" {
            let down = rescales.iter().find(|(at, _)| *at > FALLS as f64);
            steps.push(Step {
                name: format!("{case}: fall of the load to first rescale down"),
                unit: Unit::Seconds,
                recorded: down.map(|(at, _)| at - FALLS as f64).into_iter().collect(),
                simulated: shown.iter().filter_map(|one| one.down).collect(),
            });
        }
        all.entry("simulated age").or_default().extend(shown.into_iter().flat_map(|one| one.ages));
    }
    let mut take = |name: &str| all.remove(name).unwrap_or_default();
    steps.push(Step {
        name: "rise of the load to first rescale".to_owned(),
        unit: Unit::Seconds,
        recorded: take("recorded first"),
        simulated: take("simulated first"),
    });
    let ages = recording.rows("hpa-metrics").iter();
    steps.push(Step {
        name: "age of a sample when it is first shown".to_owned(),
        unit: Unit::Seconds,
        recorded: ages.filter_map(|row| row.number("age_when_seen_s")).collect(),
        simulated: take("simulated age"),
    });
    Ok(steps)
}

/// Parses `72.202:2 87.312:4`: times and new sizes.
fn rescales(text: &str) -> Vec<(f64, f64)> {
    let one = |pair: &str| {
        let (at, size) = pair.split_once(':')?;
        Some((at.parse().ok()?, size.parse().ok()?))
    };
    text.split(' ').filter_map(one).collect()
}

fn simulated(case: &str, objects: &Value) -> Result<Vec<RunResults>, String> {
    let spec = &objects["deployment"];
    let object = deployment(case, spec);
    let mut hpa = objects["hpa"].clone();
    let target = hpa.get_mut("scaleTargetRef").and_then(Value::as_object_mut);
    let target = target.ok_or_else(|| format!("cases.json: {case}: hpa has no scaleTargetRef"))?;
    target.insert("name".to_owned(), json!(case));
    let hpa = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": case }, "spec": hpa,
    });
    let begins = APPLIED_AT + UP_BY;
    let at = |second: i64| begins + SimDuration::from_secs(second);
    let load = json!({ "pattern": "step", "steps": [
        { "at": begins, "rps": RPS[0] },
        { "at": at(RISES), "rps": RPS[1] },
        { "at": at(FALLS), "rps": RPS[0] },
    ]});
    let mut others = services(&object);
    others.push(hpa);
    let mut further = fields(&load, "poisson");
    // Only new connections.
    if let Some(traffic) = further["traffic"].as_array_mut() {
        traffic.truncate(1);
    }
    if let Some(services) = further["services"].as_array_mut() {
        services.truncate(1);
    }
    further["metrics"] = json!({ "firstScrape": "seeded" });
    further["controllerManager"] = json!({ "horizontalPodAutoscaler": { "syncPhase": "seeded" } });
    let end = at(FALLS + 130);
    let set_up = PreparedCase::with(&object, &others, further, end)?;
    set_up.runs(RUNS, |mut simulation| {
        let mut shown = RunResults { peak: 1.0, ..RunResults::default() };
        let mut seen: BTreeMap<NamespacedName, SimTime> = BTreeMap::new();
        let mut now = SimTime::ZERO + begins;
        while now <= SimTime::ZERO + end {
            simulation.run_until(now);
            let view = simulation.view();
            for (id, pod) in view.pods().iter() {
                let Some(sample) = view.store().pod_metrics().get(id) else { continue };
                if seen.insert(pod.id.clone(), sample.timestamp) != Some(sample.timestamp) {
                    shown.ages.push((now - sample.timestamp).as_secs_f64());
                }
            }
            now += SimDuration::from_millis(500);
        }
        for watched in simulation.take_watched() {
            let WatchedChange::Rescale(rescale) = watched.what else { continue };
            let since = (watched.at - SimTime::ZERO - begins).as_secs_f64();
            shown.peak = shown.peak.max(f64::from(rescale.to));
            if rescale.to > rescale.from && since > RISES as f64 {
                shown.first.get_or_insert(since - RISES as f64);
            }
            if rescale.to < rescale.from && since > FALLS as f64 {
                shown.down.get_or_insert(since - FALLS as f64);
            }
        }
        Ok(shown)
    })
}
