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
/// The load if the recording does not say: rates (requests per second) and their durations (s).
const STEPS: &str = "3:60,25:210,3:130";
/// Longest recorded load (s).
const LENGTH_MAX: f64 = 7_200.0;

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
    let mut steps = Vec::new();
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for case in recording.cases_of("hpa") {
        let rows = recording.rows_of("hpa", case);
        let text = rows.iter().map(|row| row.text("steps")).find(|text| !text.is_empty());
        let load = Load::read(text.unwrap_or(STEPS)).ok_or_else(|| {
            format!("hpa.csv: {case}: steps are rates and seconds, such as {STEPS}")
        })?;
        let shown = simulated(case, recording.case("hpa", case)?, &load)?;
        let rescales: Vec<_> = rows.iter().map(|row| rescales(row.text("rescales"))).collect();
        let peak = |run: &Rescales| run.iter().map(|(_, size)| *size).fold(1.0, f64::max);
        steps.push(Step {
            name: format!("{case}: largest size"),
            unit: Unit::Pods,
            recorded: rescales.iter().map(peak).collect(),
            simulated: shown.iter().map(|one| one.peak).collect(),
        });
        let first = rescales.iter().filter_map(|run| Some(run.first()?.0 - load.rises));
        all.entry("recorded first").or_default().extend(first);
        all.entry("simulated first").or_default().extend(shown.iter().filter_map(|one| one.first));
        let down = |run: &Rescales| {
            let down = run.windows(2).find(|pair| pair[1].0 > load.falls && pair[1].1 < pair[0].1);
            down.map(|pair| pair[1].0 - load.falls)
        };
        steps.push(Step {
            name: format!("{case}: fall of the load to first rescale down"),
            unit: Unit::Seconds,
            recorded: rescales.iter().filter_map(down).collect(),
            simulated: shown.iter().filter_map(|one| one.down).collect(),
        });
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

/// Times of rescales (s), and the new sizes.
type Rescales = Vec<(f64, f64)>;

/// Parses `72.202:2 87.312:4`: times and new sizes.
fn rescales(text: &str) -> Rescales {
    text.split(' ').filter_map(pair).collect()
}

/// Two numbers, such as `72.202:2`.
fn pair(text: &str) -> Option<(f64, f64)> {
    let (one, other) = text.trim().split_once(':')?;
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    Some((number(one)?, number(other)?))
}

/// The load of a case: rates, each for some time.
struct Load {
    /// Requests per second, each with the time from which on they come (s after the begin of the load).
    steps: Vec<(f64, f64)>,
    /// When the load first rises, and falls again.
    rises: f64,
    falls: f64,
    /// When it ends.
    ends: f64,
}

impl Load {
    /// Parses `3:60,25:210,3:400`: rates and their durations (s).
    fn read(text: &str) -> Option<Self> {
        let mut ends = 0.0;
        let mut steps = Vec::new();
        for one in text.split(',') {
            let (rps, lasts) = pair(one).filter(|(rps, lasts)| *rps >= 0.0 && *lasts > 0.0)?;
            steps.push((rps, ends));
            ends += lasts;
        }
        let mut changes = steps.windows(2);
        let rises = changes.find(|pair| pair[1].0 > pair[0].0).map_or(0.0, |pair| pair[1].1);
        let falls = changes.find(|pair| pair[1].0 < pair[0].0).map_or(ends, |pair| pair[1].1);
        (ends <= LENGTH_MAX).then_some(Self { steps, rises, falls, ends })
    }
}

fn simulated(case: &str, objects: &Value, load: &Load) -> Result<Vec<RunResults>, String> {
    let Load { rises, falls, ends, .. } = *load;
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
    let at = |second: f64| begins + SimDuration::from_secs_f64(second);
    let steps = load.steps.iter().map(|(rps, from)| json!({ "at": at(*from), "rps": rps }));
    let load = json!({ "pattern": "step", "steps": steps.collect::<Vec<_>>() });
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
    let end = at(ends);
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
            if rescale.to > rescale.from && since > rises {
                shown.first.get_or_insert(since - rises);
            }
            if rescale.to < rescale.from && since > falls {
                shown.down.get_or_insert(since - falls);
            }
        }
        Ok(shown)
    })
}
