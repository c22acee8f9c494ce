//! The disruption methods, in the order in which they are tried.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::alike::Refusals;
use super::budgets::allowed_disruptions;
use super::candidate::{Candidate, Class, Obstacle, Survey};
use super::command::Command;
use super::consolidation::{Unconsolidatable, consolidate, obstacle, without_same_type};
use super::round::Round;
use super::simulate::simulate;
use crate::go_sort::sort_slice;
use crate::node_pool::DisruptionReason;
use crate::scheduling::Results;
use cluster::Name;
use engine::SimTime;

/// Approximate number of nodes that are consolidated at once, at most.
const MAX_PARALLEL: usize = 100;

/// A disruption method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Deletes empty nodes, all at once.
    Emptiness,
    /// Replaces one drifted node.
    Drift,
    /// Removes several nodes whose pods fit elsewhere or on one cheaper node.
    MultiNodeConsolidation,
    /// Removes one such node.
    SingleNodeConsolidation,
}

/// Result of a method.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    /// The proposed command.
    pub command: Option<Command>,
    /// True if the method has nothing to do until the cluster changes.
    pub is_settled: bool,
    /// Why nodes are kept, by node.
    pub obstacles: Vec<Obstacle>,
}

/// Remaining disruption budget of each pool.
type Budgets = BTreeMap<Name, i64>;

impl Method {
    /// All methods, in the order in which they are tried.
    pub const ALL: [Self; 4] =
        [Self::Emptiness, Self::Drift, Self::MultiNodeConsolidation, Self::SingleNodeConsolidation];

    /// The name in Karpenter's log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emptiness => "Emptiness",
            Self::Drift => "Drift",
            Self::MultiNodeConsolidation => "MultiNodeConsolidation",
            Self::SingleNodeConsolidation => "SingleNodeConsolidation",
        }
    }

    /// The reason that selects the budgets.
    pub const fn reason(self) -> DisruptionReason {
        match self {
            Self::Emptiness => DisruptionReason::Empty,
            Self::Drift => DisruptionReason::Drifted,
            Self::MultiNodeConsolidation | Self::SingleNodeConsolidation => {
                DisruptionReason::Underutilized
            }
        }
    }

    /// True if its commands are validated before they are executed.
    pub const fn is_validated(self) -> bool {
        !matches!(self, Self::Drift)
    }

    const fn class(self) -> Class {
        match self {
            Self::Drift => Class::Eventual,
            _ => Class::Graceful,
        }
    }

    /// Why this method rejects a candidate; empty if Karpenter gives no reason.
    fn refusal(self, candidate: &Candidate) -> Option<Cow<'static, str>> {
        let is_consolidatable = candidate.claim.consolidatable.is_some();
        let silent = |holds: bool| (!holds).then_some(Cow::Borrowed(""));
        match self {
            Self::Drift => silent(candidate.claim.drifted.is_some()),
            Self::Emptiness if candidate.pool.disruption.consolidate_after.is_none() => {
                let pool = &candidate.pool.name;
                Some(format!("NodePool {pool:?} has consolidation disabled").into())
            }
            Self::Emptiness => silent(candidate.pods.is_empty() && is_consolidatable),
            _ => obstacle(candidate).or_else(|| silent(is_consolidatable)),
        }
    }

    /// The candidates of this method in the order of a map walk, and why other nodes are kept (`GetCandidates`).
    pub fn candidates(self, round: &Round<'_>) -> (Vec<Candidate>, Vec<Obstacle>) {
        let Survey { found, overdue, blocked } = round.survey();
        let mut obstacles = blocked.clone();
        let is_eventual = self.class() == Class::Eventual;
        if !is_eventual {
            let own = overdue.iter().map(|(one, reason)| (one.node.clone(), reason.clone()));
            obstacles.extend(own);
        }
        let overdue = overdue.iter().map(|(one, _)| one).filter(|_| is_eventual);
        let mut kept: Vec<&Candidate> = Vec::new();
        for candidate in found.iter().chain(overdue) {
            match self.refusal(candidate) {
                None => kept.push(candidate),
                Some(reason) if reason.is_empty() => {}
                Some(reason) => obstacles.push((candidate.node.clone(), reason)),
            }
        }
        round.snapshot.ties.shuffle(&mut kept, |one| &one.node);
        (kept.into_iter().cloned().collect(), obstacles)
    }

    /// The command that it would execute now (`ComputeCommands`).
    pub fn propose(self, round: &Round<'_>) -> Proposal {
        let (candidates, obstacles) = self.candidates(round);
        if candidates.is_empty() {
            return Proposal { obstacles, ..Proposal::default() };
        }
        let budgets = allowed_disruptions(round.snapshot, self.reason());
        let mut proposal = match self {
            Self::Emptiness => empty_nodes(candidates, budgets),
            Self::Drift => drifted_node(round, candidates, &budgets),
            Self::MultiNodeConsolidation => several_nodes(round, candidates, budgets),
            Self::SingleNodeConsolidation => one_node(round, candidates, &budgets),
        };
        proposal.obstacles.splice(0..0, obstacles);
        proposal
    }
}

fn by_cost(candidates: &mut [Candidate]) {
    sort_slice(candidates, |one, other| one.cost < other.cost);
}

fn settled(is_settled: bool, command: Option<Command>) -> Proposal {
    Proposal { is_settled, command, obstacles: Vec::new() }
}

/// Consumes one from the budget of a pool, if any is left.
fn take(budgets: &mut Budgets, pool: &str) -> bool {
    match budgets.get_mut(pool) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

/// All empty nodes, within the budgets.
fn empty_nodes(mut candidates: Vec<Candidate>, mut budgets: Budgets) -> Proposal {
    by_cost(&mut candidates);
    let count = candidates.len();
    candidates.retain(|one| take(&mut budgets, &one.pool.name));
    let is_limited = candidates.len() < count;
    if candidates.is_empty() {
        return settled(!is_limited, None);
    }
    let command = Command {
        method: Method::Emptiness,
        candidates,
        replacements: Vec::new(),
        results: Results::default(),
    };
    settled(false, Some(command))
}

/// The first node that can be disrupted: empty ones first, then by the time of their drift.
fn drifted_node(round: &Round<'_>, mut candidates: Vec<Candidate>, budgets: &Budgets) -> Proposal {
    let since = |one: &Candidate| one.claim.drifted.map_or(SimTime::ZERO, |(since, _)| since);
    sort_slice(&mut candidates, |one, other| since(one) < since(other));
    let (empty, others): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|one| one.pods.is_empty());
    let mut proposal = Proposal::default();
    for candidate in empty.into_iter().chain(others) {
        if budgets.get(&candidate.pool.name).is_none_or(|left| *left == 0) {
            continue;
        }
        let candidates = vec![candidate];
        let Some(results) = simulate(round.ground(), &candidates, None) else { continue };
        if !results.all_non_pending_scheduled() {
            let reason = "not all pods would schedule";
            proposal.obstacles.push((candidates[0].node.clone(), reason.into()));
            continue;
        }
        let replacements = results.claims.clone();
        let method = Method::Drift;
        proposal.command = Some(Command { method, candidates, replacements, results });
        return proposal;
    }
    proposal
}

/// As many nodes as can be removed together, those with the lowest disruption cost first.
fn several_nodes(
    round: &Round<'_>,
    mut candidates: Vec<Candidate>,
    mut budgets: Budgets,
) -> Proposal {
    by_cost(&mut candidates);
    let mut is_limited = false;
    candidates.retain(|one| {
        if budgets.get(&one.pool.name).is_none_or(|left| *left == 0) {
            is_limited = true;
            return false;
        }
        !one.pods.is_empty() && take(&mut budgets, &one.pool.name)
    });
    match longest_prefix(round, &candidates) {
        None => settled(!is_limited, None),
        command => settled(false, command),
    }
}

/// Binary search for the longest prefix that can be removed: a prefix that cannot rules out longer ones, even if
/// one of those could (`firstNConsolidationOption`).
fn longest_prefix(round: &Round<'_>, candidates: &[Candidate]) -> Option<Command> {
    if candidates.len() < 2 {
        return None;
    }
    let mut low = 1;
    let mut high = MAX_PARALLEL.min(candidates.len() - 1);
    let mut best = None;
    while low <= high {
        let middle = usize::midpoint(low, high);
        let method = Method::MultiNodeConsolidation;
        let command = consolidate(round.ground(), method, &candidates[..=middle]);
        let command = command.and_then(|mut command| {
            without_same_type(&mut command)?;
            Ok(command)
        });
        match command {
            Ok(command) => {
                best = Some(command);
                low = middle + 1;
            }
            Err(_) => high = middle - 1,
        }
    }
    best
}

/// The first node that can be removed, alternating between the pools.
fn one_node(round: &Round<'_>, mut candidates: Vec<Candidate>, budgets: &Budgets) -> Proposal {
    by_cost(&mut candidates);
    let mut pools: BTreeMap<Name, std::collections::VecDeque<Candidate>> = BTreeMap::new();
    for one in candidates {
        pools.entry(one.pool.name.clone()).or_default().push_back(one);
    }
    let mut order: Vec<Name> = pools.keys().cloned().collect();
    round.snapshot.ties.shuffle(&mut order, |name| name);
    let (mut is_limited, mut obstacles) = (false, Vec::new());
    let mut refusals = Refusals::new(round);
    while pools.values().any(|queue| !queue.is_empty()) {
        for pool in &order {
            let Some(one) = pools.get_mut(pool).and_then(std::collections::VecDeque::pop_front)
            else {
                continue;
            };
            if budgets.get(pool).is_none_or(|left| *left == 0) {
                is_limited = true;
                continue;
            }
            if one.pods.is_empty() {
                continue;
            }
            let likeness = refusals.likeness(round, &one);
            let known = likeness.as_ref().and_then(|likeness| refusals.known(likeness));
            let method = Method::SingleNodeConsolidation;
            if let Some(reason) = known {
                debug_assert_eq!(
                    consolidate(round.ground(), method, std::slice::from_ref(&one))
                        .err()
                        .map(Unconsolidatable::into_reason),
                    Some(reason.clone()),
                    "candidates that are alike are refused alike"
                );
                obstacles.push((one.node, reason));
                continue;
            }
            let candidates = [one];
            match consolidate(round.ground(), method, &candidates) {
                Ok(command) => {
                    return Proposal { command: Some(command), is_settled: false, obstacles };
                }
                Err(why) => {
                    if let (Some(likeness), Unconsolidatable::OfKind(reason)) = (likeness, &why) {
                        refusals.note(likeness, reason.clone());
                    }
                    obstacles.push((candidates[0].node.clone(), why.into_reason()));
                }
            }
        }
    }
    Proposal { command: None, is_settled: !is_limited, obstacles }
}
