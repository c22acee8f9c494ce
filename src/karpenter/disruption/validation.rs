//! Validation of a command some time after the decision (`validation.go`).

use std::collections::{BTreeMap, BTreeSet};

use super::budgets::allowed_disruptions;
use super::candidate::Candidate;
use super::command::Command;
use super::methods::Method;
use super::round::Round;
use super::simulate::simulate;
use crate::state::{Snapshot, StateNode};
use cluster::Name;
use engine::SimDuration;

/// Delay from the decision to the validation (`commandValidationDelay`).
pub const VALIDATION_DELAY: SimDuration = SimDuration::from_secs(15);

/// Why a command is no longer valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Nodes are no longer candidates: pods arrived, or disruption is blocked.
    Churn,
    /// A node is nominated for a pending pod, or a budget is exhausted.
    Budget,
    /// The pods would be scheduled differently now.
    Scheduling,
}

impl Invalid {
    /// The name in Karpenter's metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Churn => "churn",
            Self::Budget => "budget",
            Self::Scheduling => "scheduling",
        }
    }
}

/// Validates a command. An emptiness command keeps the nodes that are still candidates; other commands are valid as
/// a whole or not at all.
pub fn validate(
    snapshot: &Snapshot,
    mut command: Command,
    is_queued: &dyn Fn(&str) -> bool,
) -> Result<Command, Invalid> {
    let round = Round::new(snapshot, is_queued);
    match command.method {
        Method::Drift => Ok(command),
        Method::Emptiness => {
            command.candidates = still_empty(&round, &command.candidates)?;
            Ok(command)
        }
        Method::MultiNodeConsolidation | Method::SingleNodeConsolidation => {
            let current = still_valid(&round, &command)?;
            still_better(&round, &command, &current)?;
            Ok(command)
        }
    }
}

/// The nodes that are still candidates.
fn current(round: &Round<'_>, method: Method, before: &[Candidate]) -> Vec<Candidate> {
    let names: BTreeSet<&Name> = before.iter().map(|one| &one.node).collect();
    let (mut now, _) = method.candidates(round);
    now.retain(|one| names.contains(&one.node));
    now
}

/// The nodes that are nominated for pending pods.
fn nominated(snapshot: &Snapshot) -> BTreeSet<&Name> {
    let nodes = snapshot.nodes.iter().filter(|state| state.is_nominated(snapshot.now));
    nodes.map(StateNode::name).collect()
}

fn still_empty(round: &Round<'_>, before: &[Candidate]) -> Result<Vec<Candidate>, Invalid> {
    let mut valid = current(round, Method::Emptiness, before);
    if valid.is_empty() {
        return Err(Invalid::Churn);
    }
    let mut budgets = allowed_disruptions(round.snapshot, Method::Emptiness.reason());
    let nominated = nominated(round.snapshot);
    valid.retain(|one| !nominated.contains(&one.node) && take(&mut budgets, one));
    if valid.is_empty() { Err(Invalid::Budget) } else { Ok(valid) }
}

fn take(budgets: &mut BTreeMap<Name, i64>, candidate: &Candidate) -> bool {
    let left = budgets.entry(candidate.pool.name.clone()).or_default();
    *left -= 1;
    *left >= 0
}

fn still_valid(round: &Round<'_>, command: &Command) -> Result<Vec<Candidate>, Invalid> {
    let before = command.candidates.as_slice();
    let valid = current(round, command.method, before);
    if valid.len() != before.len() {
        return Err(Invalid::Churn);
    }
    let mut budgets = allowed_disruptions(round.snapshot, command.method.reason());
    let nominated = nominated(round.snapshot);
    for one in &valid {
        if nominated.contains(&one.node) || !take(&mut budgets, one) {
            return Err(Invalid::Budget);
        }
    }
    Ok(valid)
}

/// Checks that the pods could still be scheduled, and that the chosen options are still among the possible ones
/// (`validateCommand`).
fn still_better(round: &Round<'_>, command: &Command, now: &[Candidate]) -> Result<(), Invalid> {
    let results = simulate(round.ground(), now, None).ok_or(Invalid::Scheduling)?;
    if !results.all_non_pending_scheduled() {
        return Err(Invalid::Scheduling);
    }
    match (results.claims.as_slice(), command.replacements.as_slice()) {
        ([], []) => Ok(()),
        ([now], [chosen, ..]) => {
            let names: BTreeSet<&Name> = now.options.iter().map(|one| &one.name).collect();
            let is_subset = chosen.options.iter().all(|one| names.contains(&one.name));
            if is_subset { Ok(()) } else { Err(Invalid::Scheduling) }
        }
        _ => Err(Invalid::Scheduling),
    }
}
