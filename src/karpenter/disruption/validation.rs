//! Validation of a command some time after the decision (`validation.go`).

use std::collections::{BTreeMap, BTreeSet};

use super::budgets::allowed_disruptions;
use super::candidate::Candidate;
use super::command::Command;
use super::methods::Method;
use super::simulate::simulate;
use crate::scheduling::PassContext;
use crate::state::Snapshot;
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
    match command.method {
        Method::Drift => Ok(command),
        Method::Emptiness => {
            command.candidates = still_empty(snapshot, &command.candidates, is_queued)?;
            Ok(command)
        }
        Method::MultiNodeConsolidation | Method::SingleNodeConsolidation => {
            let current = still_valid(snapshot, &command, is_queued)?;
            still_better(snapshot, &command, &current)?;
            Ok(command)
        }
    }
}

/// The nodes that are still candidates.
fn current(
    snapshot: &Snapshot,
    (method, before): (Method, &[Candidate]),
    is_queued: &dyn Fn(&str) -> bool,
) -> Vec<Candidate> {
    let names: BTreeSet<&Name> = before.iter().map(|one| &one.node).collect();
    let (mut now, _) = method.candidates(snapshot, is_queued);
    now.retain(|one| names.contains(&one.node));
    now
}

fn is_nominated(snapshot: &Snapshot, candidate: &Candidate) -> bool {
    let mut nodes = snapshot.nodes.iter();
    nodes.any(|state| *state.name() == candidate.node && state.is_nominated(snapshot.now))
}

fn still_empty(
    snapshot: &Snapshot,
    before: &[Candidate],
    is_queued: &dyn Fn(&str) -> bool,
) -> Result<Vec<Candidate>, Invalid> {
    let mut valid = current(snapshot, (Method::Emptiness, before), is_queued);
    if valid.is_empty() {
        return Err(Invalid::Churn);
    }
    let mut budgets = allowed_disruptions(snapshot, Method::Emptiness.reason());
    valid.retain(|one| !is_nominated(snapshot, one) && take(&mut budgets, one));
    if valid.is_empty() { Err(Invalid::Budget) } else { Ok(valid) }
}

fn take(budgets: &mut BTreeMap<Name, i64>, candidate: &Candidate) -> bool {
    let left = budgets.entry(candidate.pool.name.clone()).or_default();
    *left -= 1;
    *left >= 0
}

fn still_valid(
    snapshot: &Snapshot,
    command: &Command,
    is_queued: &dyn Fn(&str) -> bool,
) -> Result<Vec<Candidate>, Invalid> {
    let before = command.candidates.as_slice();
    let valid = current(snapshot, (command.method, before), is_queued);
    if valid.len() != before.len() {
        return Err(Invalid::Churn);
    }
    let mut budgets = allowed_disruptions(snapshot, command.method.reason());
    for one in &valid {
        if is_nominated(snapshot, one) || !take(&mut budgets, one) {
            return Err(Invalid::Budget);
        }
    }
    Ok(valid)
}

/// Checks that the pods could still be scheduled, and that the chosen options are still among the possible ones
/// (`validateCommand`).
fn still_better(snapshot: &Snapshot, command: &Command, now: &[Candidate]) -> Result<(), Invalid> {
    let ground = PassContext::new(snapshot);
    let results = simulate(&ground, now, None).ok_or(Invalid::Scheduling)?;
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
