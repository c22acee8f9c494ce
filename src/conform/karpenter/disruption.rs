//! The decision of each disruption method on one state.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::case::Case;
use super::decisions;
use karpenter::Snapshot;
use karpenter::conditions::{consolidatable_from, drift};
use karpenter::disruption::{
    Command, Method, Round, VALIDATION_DELAY, allowed_disruptions, validate,
};
use karpenter::labels::NODE_POOL;
use karpenter::state::NodeClaim;

/// The decision of each method on this state, independently of the others.
pub(super) fn outcome(case: &Case, mut snapshot: Snapshot) -> Value {
    let mut decisions = Map::new();
    let is_given =
        case.nodes.iter().any(|node| node.consolidatable.is_some() || node.drifted_age_s.is_some());
    if !is_given {
        decisions.insert("conditions".to_owned(), set_conditions(&mut snapshot));
    }
    let mut first = None;
    for method in Method::ALL {
        let (one, acts) = of_method(method, &snapshot);
        if acts && first.is_none() {
            first = Some(method.as_str());
        }
        decisions.insert(method.as_str().to_owned(), one);
    }
    decisions.insert("first_method_with_command".to_owned(), json!(first.unwrap_or("")));
    Value::Object(decisions)
}

/// The decision of a method, and whether it has a command.
fn of_method(method: Method, snapshot: &Snapshot) -> (Value, bool) {
    let is_queued = |_: &str| false;
    let round = Round::new(snapshot, &is_queued);
    let (candidates, _) = method.candidates(&round);
    let costs = candidates.iter().map(|one| json!([&*one.node, one.cost])).collect::<Vec<_>>();
    let allowed = allowed_disruptions(snapshot, method.reason());
    let allowed: Map<String, Value> =
        allowed.iter().map(|(pool, count)| (pool.to_string(), json!(count))).collect();
    let proposed = method.propose(&round).command;
    let is_looked_at_again = proposed.is_some() && method.is_validated();
    let command = proposed.and_then(|command| {
        let mut later = snapshot.clone();
        if method.is_validated() {
            later.now += VALIDATION_DELAY;
        }
        validate(&later, command, &is_queued).ok()
    });
    let commands: Vec<Value> = command.iter().map(|one| told_command(one, snapshot)).collect();
    let elapsed = if is_looked_at_again { VALIDATION_DELAY.as_secs() } else { 0 };
    let decisions = json!({
        "allowed_disruptions": allowed,
        "candidates": costs,
        "commands": commands,
        "elapsed_s": elapsed,
        "reason": method.reason().as_str(),
    });
    (decisions, command.is_some())
}

fn told_command(command: &Command, snapshot: &Snapshot) -> Value {
    let mut candidates: Vec<_> = command.candidates.iter().collect();
    if command.method == Method::Emptiness {
        candidates.sort_by(|one, other| {
            one.cost.total_cmp(&other.cost).then_with(|| one.node.cmp(&other.node))
        });
    }
    let names: Vec<&str> = candidates.iter().map(|one| &*one.node).collect();
    let replacements = command.replacements.iter().map(|claim| decisions::claim(claim, snapshot));
    let used = command.results.existing.iter().filter(|place| !place.pods.is_empty());
    json!({
        "decision": command.decision().as_str(),
        "candidates": names,
        "replacements": replacements.collect::<Vec<_>>(),
        "existing_nodes": used.map(decisions::existing).collect::<Vec<_>>(),
    })
}

/// Computes the conditions of each NodeClaim, and returns them.
fn set_conditions(snapshot: &mut Snapshot) -> Value {
    let mut decisions = Map::new();
    let mut nodes = std::mem::take(&mut snapshot.nodes);
    for state in &mut nodes {
        let Some(claim) = &mut state.claim else { continue };
        let pool = claim.labels.get(NODE_POOL).and_then(|pool| snapshot.pool(pool));
        let Some(pool) = pool.cloned() else { continue };
        let mut changed = NodeClaim::clone(claim);
        let from = consolidatable_from(claim, &pool);
        changed.consolidatable = from.filter(|from| *from <= snapshot.now);
        let reason = drift(claim, &pool, snapshot.types_of(&pool.name), snapshot.now);
        changed.drifted = reason.map(|reason| (snapshot.now, reason));
        let mut own = json!({ "consolidatable": changed.consolidatable.is_some() });
        if let Some(reason) = reason {
            own["drifted"] = json!(reason.as_str());
        }
        decisions.insert(claim.name.to_string(), own);
        *claim = Arc::new(changed);
    }
    snapshot.nodes = nodes;
    Value::Object(decisions)
}
