//! The `victims` cases: which pods a ReplicaSet deletes, tested directly on the ranking.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::case::Case;
use crate::objects::phase;
use cluster::pod::RestartCounts;
use controllers::replica_set::victims::{Candidate, deletion_cost, victims};
use engine::SimTime;

/// A pod of a `victims` case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    uid: String,
    /// `rs` or `sibling`.
    owner: String,
    node: String,
    phase: String,
    ready: bool,
    #[serde(default)]
    ready_age: f64,
    age: f64,
    deletion_cost: Option<String>,
    #[serde(default)]
    restarts: Vec<u32>,
    #[serde(default)]
    sidecar_restarts: Vec<u32>,
    #[serde(default)]
    terminating: bool,
}

/// The differences from the recorded choice; empty if none.
pub(super) fn check(case: &Case) -> Result<Vec<String>, String> {
    let pods = case.rest.get("pods").cloned().unwrap_or(Value::Null);
    let pods: Vec<Entry> = serde_json::from_value(pods).map_err(|error| error.to_string())?;
    let active: Vec<&Entry> = pods.iter().filter(|pod| pod.is_active()).collect();
    let mut colocated: BTreeMap<&str, u32> = BTreeMap::new();
    for pod in &active {
        *colocated.entry(pod.node.as_str()).or_default() += 1;
    }
    let own: Vec<&Entry> = active.into_iter().filter(|pod| pod.owner == "rs").collect();
    let candidates: Vec<Candidate> =
        own.iter().map(|pod| pod.candidate(colocated[pod.node.as_str()])).collect();
    let chosen = victims(&candidates, case.expect.delete, SimTime::ZERO);
    let chosen: Vec<&str> = chosen.into_iter().map(|at| own[at].name.as_str()).collect();
    Ok(differences(case, &chosen))
}

fn differences(case: &Case, chosen: &[&str]) -> Vec<String> {
    let certain = case.expect.certain.clone().unwrap_or_default();
    let tied = case.expect.tied.clone().unwrap_or_default();
    let is_in = |names: &[String], name: &str| names.iter().any(|other| other == name);
    let mut differences: Vec<String> = certain
        .iter()
        .filter(|name| !chosen.contains(&name.as_str()))
        .map(|name| format!("{name} must go, and stays"))
        .collect();
    let others: Vec<&&str> = chosen.iter().filter(|name| !is_in(&certain, name)).collect();
    if others.len() != tied.pick || others.iter().any(|name| !is_in(&tied.among, name)) {
        let among = tied.among.join(", ");
        differences.push(format!(
            "beside the certain ones {} of [{among}] go; ours: {others:?}",
            tied.pick
        ));
    }
    differences
}

impl Entry {
    fn is_active(&self) -> bool {
        !self.terminating && !phase(&self.phase).is_terminal()
    }

    fn candidate(&self, colocated: u32) -> Candidate {
        let before = |age: f64| SimTime::from_secs_f64(-age);
        let highest = |restarts: &[u32]| restarts.iter().copied().max().unwrap_or(0);
        Candidate {
            uid: leading_hex(&self.uid),
            is_assigned: !self.node.is_empty(),
            phase: phase(&self.phase),
            ready_since: self.ready.then(|| before(self.ready_age)),
            deletion_cost: self.deletion_cost.as_deref().map_or(0, deletion_cost),
            colocated,
            restarts: RestartCounts {
                containers_max: highest(&self.restarts),
                sidecars_max: highest(&self.sidecar_restarts),
            },
            created: before(self.age),
        }
    }
}

/// The first sixteen hexadecimal digits of a UID as a number, which preserves their order as text.
pub(super) fn leading_hex(uid: &str) -> u64 {
    let digits = uid.chars().filter_map(|digit| digit.to_digit(16)).take(16);
    digits
        .zip((0..16).rev())
        .fold(0, |value, (digit, place)| value | u64::from(digit) << (4 * place))
}
