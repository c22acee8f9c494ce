//! The cases that a setting must survive: faults at the time when most requests come.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::{Value, json};

use super::evaluate::Case;
use engine::SimDuration;
use report::Report;
use scenario::Override;
use scenario::resolved::ResolvedScenario;

/// A fault that the user names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The busiest node of a pool fails without notice, and does not come back.
    Node,
    /// All nodes of a zone do.
    Zone,
    /// The workloads that take requests are rolled out anew.
    Rollout,
}

/// Faults that must be survived together: `node`, or `node+rollout`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Survive(Vec<Fault>);

impl FromStr for Survive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = |name: &str| match name {
            "node" => Ok(Fault::Node),
            "zone" => Ok(Fault::Zone),
            "rollout" => Ok(Fault::Rollout),
            _ => Err(format!(
                "{name:?} is none of node, zone, rollout, or several such as node+rollout"
            )),
        };
        let mut faults: Vec<Fault> = text.split('+').map(fault).collect::<Result<_, _>>()?;
        faults.sort_unstable();
        faults.dedup();
        Ok(Self(faults))
    }
}

/// Time from the start of a rollout to a fault that comes during it: new pods are starting by then.
const INTO_ROLLOUT: SimDuration = SimDuration::from_secs(15);

/// The cases of a scenario: the traffic by itself, and each set of faults at its peak, which a run of it tells.
pub fn cases(
    resolved: &ResolvedScenario,
    report: &Report,
    survive: &[Survive],
) -> Result<Vec<Case>, String> {
    let mut cases = vec![Case { name: "as it is".to_owned(), settings: Vec::new() }];
    let scenario = serde_json::to_value(resolved.scenario()).unwrap_or_default();
    let peak = peak(resolved, report);
    for Survive(faults) in survive {
        let is_during = faults.len() > 1 && faults.contains(&Fault::Rollout);
        let later = if is_during { peak + INTO_ROLLOUT } else { peak }.to_string();
        // Every pool may lose a node, and every zone may fail, each in a case of its own.
        let mut all = vec![(Vec::new(), Vec::new())];
        for fault in faults {
            let ways = match fault {
                Fault::Node => nodes(&scenario, &later)?,
                Fault::Zone => zones(&scenario, &later)?,
                Fault::Rollout => vec![rollouts(&scenario, &peak.to_string())?],
            };
            let with = |(names, entries): &(Vec<String>, Vec<Value>)| {
                let (names, entries) = (names.clone(), entries.clone());
                ways.iter().map(move |(name, more)| {
                    let names = names.iter().chain([name]).cloned().collect();
                    (names, entries.iter().chain(more).cloned().collect())
                })
            };
            all = all.iter().flat_map(with).collect::<Vec<_>>();
        }
        for (names, entries) in all {
            let settings = vec![timeline(&scenario, entries)?];
            cases.push(Case { name: names.join(" "), settings });
        }
    }
    Ok(cases)
}

/// The start of the interval in which most requests came, warm-up excepted.
fn peak(resolved: &ResolvedScenario, report: &Report) -> SimDuration {
    let ends = &report.interval_ends_seconds;
    let arrived = |interval: usize| -> f64 {
        let services = report.services.iter().filter(|service| service.has_clients);
        services.filter_map(|service| service.series.arrived_rps.get(interval)).sum()
    };
    let warm_up = resolved.scenario().warm_up.as_secs_f64();
    let start = |interval: usize| match interval.checked_sub(1) {
        Some(before) => ends[before],
        None => 0.0,
    };
    let counted = (0..ends.len()).filter(|interval| start(*interval) >= warm_up);
    let busiest =
        counted.max_by(|one, other| arrived(*one).total_cmp(&arrived(*other)).then(other.cmp(one)));
    let seconds = busiest.map_or(warm_up, start);
    SimDuration::from_secs_f64(seconds.round())
}

fn pools(scenario: &Value) -> Result<&Vec<Value>, String> {
    let pools = scenario["cluster"]["nodePools"].as_array().filter(|pools| !pools.is_empty());
    pools.ok_or_else(|| "there is no node pool whose nodes could fail".to_owned())
}

/// A way in which something fails: its name, and what the timeline does.
type Failure = (String, Vec<Value>);

fn nodes(scenario: &Value, at: &str) -> Result<Vec<Failure>, String> {
    let pools = pools(scenario)?;
    let failure = |pool: &Value| {
        let name = pool["name"].as_str().unwrap_or_default();
        let of = if pools.len() > 1 { format!(" of {name}") } else { String::new() };
        let entry = json!({"at": at, "killBusiestNode": name});
        (format!("without the busiest node{of}"), vec![entry])
    };
    Ok(pools.iter().map(failure).collect())
}

fn zones(scenario: &Value, at: &str) -> Result<Vec<Failure>, String> {
    let pools = pools(scenario)?.iter();
    let zones = pools.flat_map(|pool| pool["zones"].as_array().into_iter().flatten());
    let zones: BTreeSet<&str> = zones.filter_map(Value::as_str).collect();
    if zones.is_empty() {
        return Err("no node pool has zones; name them, such as zones: [a, b, c]".to_owned());
    }
    let failure =
        |zone: &&str| (format!("without zone {zone}"), vec![json!({"at": at, "killZone": zone})]);
    Ok(zones.iter().map(failure).collect())
}

fn rollouts(scenario: &Value, at: &str) -> Result<Failure, String> {
    let workloads = scenario["workloads"].as_array().into_iter().flatten();
    let rolled = workloads.filter_map(|workload| {
        let name = workload["workload"].as_str()?;
        (!workload["requests"].is_null()).then(|| json!({"at": at, "restartRollout": name}))
    });
    let rolled: Vec<Value> = rolled.collect();
    if rolled.is_empty() {
        return Err("no workload takes requests".to_owned());
    }
    Ok(("during a rollout".to_owned(), rolled))
}

/// The timeline with further entries.
fn timeline(scenario: &Value, entries: Vec<Value>) -> Result<Override, String> {
    let own = scenario["timeline"].as_array().cloned().unwrap_or_default();
    let all: Vec<Value> = own.into_iter().chain(entries).map(without_nulls).collect();
    let text = format!("timeline={}", Value::Array(all));
    text.parse().map_err(|error| format!("{error}"))
}

fn without_nulls(mut entry: Value) -> Value {
    if let Some(fields) = entry.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    entry
}
