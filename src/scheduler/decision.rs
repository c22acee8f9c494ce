//! A whole scheduling cycle for one pod: placement, preemption, or waiting. Pure, so that any decision can be
//! reproduced from the same view.

use super::cycle::{Feasibility, ScoreTable, find_feasible, prepare, score};
use super::framework::{Code, CycleContext};
use super::message::fit_error;
use super::nominations::Nominations;
use super::preemption::{Candidate, PostFilter, best_candidates, post_filter};
use super::profile::Profile;
use super::tie_break::TieBreaker;
use cluster::node::NodeId;
use cluster::pod::PodId;

/// Outcome of a cycle, with all intermediate results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Feasible nodes, and the rejections of the others.
    pub feasibility: Feasibility,
    /// The resulting verdict.
    pub verdict: Verdict,
}

/// Placement of a pod, or the reason why it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Bound to a node.
    Placed {
        /// Its slot.
        node: usize,
        /// The scores; absent if only one node is feasible, since none are computed then.
        scores: Option<ScoreTable>,
        /// The nodes (slots) with the best total.
        top: Vec<usize>,
    },
    /// Unschedulable for now.
    Waits {
        /// Result of PostFilter; absent without nodes, or without a PostFilter plugin in the profile.
        post_filter: Option<PostFilter>,
        /// The preemption candidate chosen for it, if any.
        chosen: Option<Candidate>,
        /// The text of the FailedScheduling event.
        message: String,
    },
}

/// One attempt to place a pod, with all intermediate results.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The pod.
    pub pod: PodId,
    /// Number of the attempt, from 1.
    pub number: u32,
    /// Its previous nomination, if any.
    pub nominated_node: Option<NodeId>,
    /// The decision.
    pub decision: Decision,
}

/// Decides about one pod. `start` is the position in the node order at which the search for feasible nodes begins.
pub fn decide(
    profile: &Profile,
    cycle: &CycleContext<'_>,
    nominations: &Nominations,
    start: usize,
    ties: &mut TieBreaker,
) -> Decision {
    let prepared = prepare(profile, cycle);
    let feasibility = find_feasible(profile, cycle, &prepared, nominations, start);
    let verdict = match feasibility.feasible.as_slice() {
        // Without a plugin at PostFilter nothing is tried, as without nodes.
        [] if cycle.cache.node_count() == 0 || profile.post_filters.is_empty() => Verdict::Waits {
            post_filter: None,
            chosen: None,
            message: fit_error(&feasibility.diagnosis, ""),
        },
        [] => {
            let potential = feasibility.diagnosis.rejected.iter();
            let potential = potential.filter(|one| one.refusal.code == Code::Unschedulable);
            let offset = ties.offset(potential.count());
            let diagnosis = &feasibility.diagnosis;
            let result = post_filter(profile, cycle, &prepared, nominations, diagnosis, offset);
            waits(cycle, &feasibility, result, ties)
        }
        [only] => Verdict::Placed { node: *only, scores: None, top: vec![*only] },
        feasible => {
            let scores = score(profile, cycle, feasible);
            let top = scores.top();
            let node = ties.pick_scored(cycle.cache, feasible, &scores.totals, &top);
            let node = node.unwrap_or(feasible[0]);
            Verdict::Placed { node, scores: Some(scores), top }
        }
    };
    Decision { feasibility, verdict }
}

fn waits(
    cycle: &CycleContext<'_>,
    feasibility: &Feasibility,
    result: PostFilter,
    ties: &mut TieBreaker,
) -> Verdict {
    let mut chosen = None;
    let verdict_text = match &result {
        PostFilter::Candidates(candidates) => {
            let best = best_candidates(candidates);
            let nodes: Vec<usize> = best.iter().map(|candidate| candidate.node).collect();
            let node = ties.pick(cycle.cache, &nodes);
            chosen = best.into_iter().find(|candidate| Some(candidate.node) == node).cloned();
            ""
        }
        PostFilter::Failed { message, .. } => message,
    };
    let message = fit_error(&feasibility.diagnosis, verdict_text);
    Verdict::Waits { post_filter: Some(result), chosen, message }
}
