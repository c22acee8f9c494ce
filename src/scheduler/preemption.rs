//! Preemption of lower-priority pods: PostFilter with DynamicResources and DefaultPreemption
//! (`framework/preemption/preemption.go`, `plugins/defaultpreemption`, 1.36).

use std::cmp::Reverse;

use serde::Deserialize;

use super::cycle::{Diagnosis, Prepared, check};
use super::framework::{Code, CycleContext, NodeFilter, PluginName, Refusal};
use super::message::histogram;
use super::node_info::{NodeInfo, PlacedPod};
use super::nominations::Nominations;
use super::plugins::dynamic_resources::{NO_CYCLE_STATE, NOTHING_TO_DEALLOCATE};
use super::plugins::{DEFAULT_PREEMPTION, DYNAMIC_RESOURCES};
use super::profile::Profile;
use cluster::pod::PodId;
use cluster::pod_template::PreemptionPolicy;
use engine::SimTime;

/// Reason of the DisruptionTarget condition that preemption sets.
pub const PREEMPTION_BY_SCHEDULER: &str = "PreemptionByScheduler";

/// Message for nodes on which evicting pods cannot help.
pub(super) const HELPS_NOT: &str = "Preemption is not helpful for scheduling";
/// Message for a pod that may not preempt others.
pub(super) const NEVER: &str = "not eligible due to preemptionPolicy=Never.";

/// `DefaultPreemptionArgs`: the number of candidate nodes to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PreemptionArguments {
    /// Minimum number of candidates, as a percentage of the nodes that may help.
    pub min_candidate_nodes_percentage: usize,
    /// Minimum number of candidates.
    pub min_candidate_nodes_absolute: usize,
}

impl Default for PreemptionArguments {
    fn default() -> Self {
        Self { min_candidate_nodes_percentage: 10, min_candidate_nodes_absolute: 100 }
    }
}

impl PreemptionArguments {
    /// Number of candidates to find among this number of nodes (`calculateNumCandidates`).
    fn candidates_wanted(self, nodes: usize) -> usize {
        let part = nodes * self.min_candidate_nodes_percentage / 100;
        part.max(self.min_candidate_nodes_absolute).min(nodes)
    }
}

/// Result of PostFilter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostFilter {
    /// There are nodes on which room can be made.
    Candidates(Vec<Candidate>),
    /// Nothing can be done.
    Failed {
        /// The plugin to which the failure is attributed.
        plugin: Option<PluginName>,
        /// Whether it failed with an error rather than finding no candidate.
        is_error: bool,
        /// Text for the event.
        message: String,
        /// Whether the pod loses its nomination.
        clears_nomination: bool,
    },
}

/// A node on which removing some pods makes room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its slot.
    pub node: usize,
    /// The pods to remove, the most important first.
    pub victims: Vec<Victim>,
    /// Number of victims protected by a PodDisruptionBudget.
    pub budget_violations: usize,
}

/// A pod to be preempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Victim {
    /// The pod.
    pub pod: PlacedPod,
    /// Pod priority.
    pub priority: i32,
    /// Its start time; the current time if it has not started.
    pub started: SimTime,
}

/// Runs PostFilter for a pod that no node takes. `offset` is where the search for candidates starts
/// among the nodes that may help; the real one draws it.
pub fn post_filter(
    profile: &Profile,
    cycle: &CycleContext<'_>,
    prepared: &Prepared<'_>,
    nominations: &Nominations,
    diagnosis: &Diagnosis,
    offset: usize,
) -> PostFilter {
    let mut messages = Vec::new();
    let mut plugin = None;
    let mut clears_nomination = false;
    for name in &profile.post_filters {
        if *name == DYNAMIC_RESOURCES {
            let refusal = diagnosis.pre_filter.as_ref();
            if refusal.is_some_and(|refusal| !refusal.after_dynamic_resources) {
                let (plugin, message) = (Some(*name), NO_CYCLE_STATE.to_owned());
                let (is_error, clears_nomination) = (true, false);
                return PostFilter::Failed { plugin, is_error, message, clears_nomination };
            }
            messages.push(NOTHING_TO_DEALLOCATE.to_owned());
        } else if *name == DEFAULT_PREEMPTION {
            match preempt(profile, cycle, prepared, nominations, diagnosis, offset) {
                Ok(candidates) => return PostFilter::Candidates(candidates),
                Err(failure) => {
                    clears_nomination = failure.clears_nomination;
                    messages.push(format!("preemption: {}", failure.message));
                }
            }
        }
        plugin = plugin.or(Some(*name));
    }
    let message = messages.join(", ");
    PostFilter::Failed { plugin, is_error: false, message, clears_nomination }
}

struct Failure {
    message: String,
    clears_nomination: bool,
}

fn preempt(
    profile: &Profile,
    cycle: &CycleContext<'_>,
    prepared: &Prepared<'_>,
    nominations: &Nominations,
    diagnosis: &Diagnosis,
    offset: usize,
) -> Result<Vec<Candidate>, Failure> {
    if let Err(reason) = is_eligible(cycle, diagnosis) {
        return Err(Failure { message: reason.to_owned(), clears_nomination: false });
    }
    let rejected = diagnosis.rejected.iter();
    let mut potential: Vec<usize> = rejected
        .filter(|rejection| rejection.refusal.code == Code::Unschedulable)
        .map(|rejection| rejection.node)
        .collect();
    potential.sort_unstable();
    let wanted = profile.preemption.candidates_wanted(potential.len());
    let mut candidates = Vec::new();
    let mut refusals = Vec::new();
    let mut without_victims = 0;
    let mut violating = 0;
    let least = cycle.cache.least_priority();
    let has_lesser = least.is_some_and(|least| least < cycle.pod.class.priority);
    for step in 0..potential.len() {
        let node = cycle.cache.node(potential[(offset + step) % potential.len()]);
        if !has_lesser || lesser_pods(cycle, node).next().is_none() {
            without_victims += 1;
            continue;
        }
        match select_victims(cycle, prepared, nominations, node) {
            // The list of candidates that violate a budget is capped at the wanted number, however long the search
            // for others continues.
            Ok(candidate) if candidate.budget_violations > 0 => {
                violating += 1;
                if violating <= wanted {
                    candidates.push(candidate);
                }
            }
            Ok(candidate) => candidates.push(candidate),
            Err(refusal) => refusals.push(refusal),
        }
        if candidates.len() > violating && candidates.len() >= wanted {
            break;
        }
    }
    if !candidates.is_empty() {
        return Ok(candidates);
    }
    let others = Refusal::unresolvable(HELPS_NOT);
    let no_victims = no_victims();
    let refusals = refusals.iter().chain(std::iter::repeat_n(&no_victims, without_victims));
    let message = histogram(diagnosis.node_count, refusals, Some(&others));
    Err(Failure { message, clears_nomination: true })
}

/// Whether the pod may currently preempt others (`PodEligibleToPreemptOthers`).
pub fn is_eligible(cycle: &CycleContext<'_>, diagnosis: &Diagnosis) -> Result<(), &'static str> {
    let class = cycle.pod.class;
    if class.preemption_policy == PreemptionPolicy::Never {
        return Err(NEVER);
    }
    let Some(node) = cycle.pod.nominated_node.and_then(|node| cycle.cache.get(node)) else {
        return Ok(());
    };
    if diagnosis.is_unresolvable(node.id.index()) {
        return Ok(());
    }
    let waits_for = |pod: &PlacedPod| {
        let object = pod.id.and_then(|id| cycle.view.pods().get(id));
        cycle.cache.class(pod.class).priority < class.priority
            && object.is_some_and(|object| {
                object.is_terminating() && object.disruption_target == Some(PREEMPTION_BY_SCHEDULER)
            })
    };
    if node.pods.iter().any(waits_for) {
        return Err("not eligible due to a terminating pod on the nominated node.");
    }
    Ok(())
}

/// A dry run on one node.
struct DryRun<'a, 'c> {
    cycle: &'a CycleContext<'c>,
    nominations: &'a Nominations,
    filters: Vec<(PluginName, Box<dyn NodeFilter + 'a>)>,
    node: NodeInfo,
}

impl DryRun<'_, '_> {
    fn remove(&mut self, pod: PlacedPod) {
        let class = self.cycle.cache.class(pod.class);
        self.node.remove_pod(pod.id, class);
        for (_, filter) in &mut self.filters {
            filter.remove_pod(class, &self.node);
        }
    }

    fn add(&mut self, pod: PlacedPod) {
        let class = self.cycle.cache.class(pod.class);
        self.node.add_pod(pod, class);
        for (_, filter) in &mut self.filters {
            filter.add_pod(class, &self.node);
        }
    }

    fn fits(&self) -> Result<(), Refusal> {
        let result = check(&self.filters, self.cycle, self.nominations, &self.node);
        result.map_err(|(_, refusal)| refusal)
    }

    /// Restores the victims that still fit next to the pod, and returns the rest.
    fn reprieve(&mut self, victims: &[Victim]) -> Vec<Victim> {
        let mut kept_out = Vec::new();
        for victim in victims {
            self.add(victim.pod);
            if self.fits().is_err() {
                self.remove(victim.pod);
                kept_out.push(*victim);
            }
        }
        kept_out
    }
}

/// The smallest set of least important pods whose removal makes the pod fit the node (`SelectVictimsOnNode`).
fn select_victims(
    cycle: &CycleContext<'_>,
    prepared: &Prepared<'_>,
    nominations: &Nominations,
    node: &NodeInfo,
) -> Result<Candidate, Refusal> {
    let mut potential: Vec<Victim> =
        lesser_pods(cycle, node).map(|pod| victim(cycle, *pod)).collect();
    if potential.is_empty() {
        return Err(no_victims());
    }
    let filters = prepared.filters.iter().map(|(name, filter)| (*name, filter.boxed_clone()));
    let mut run = DryRun { cycle, nominations, filters: filters.collect(), node: node.clone() };
    for victim in &potential {
        run.remove(victim.pod);
    }
    run.fits()?;
    potential.sort_by_key(importance);
    let (violating, others) = split_by_budgets(cycle, &potential);
    let mut victims = run.reprieve(&violating);
    let budget_violations = victims.len();
    victims.extend(run.reprieve(&others));
    if !violating.is_empty() && !others.is_empty() {
        victims.sort_by_key(importance);
    }
    if victims.is_empty() {
        let reason = format!("expected at least one victim pod on node {:?}", node.name.as_ref());
        return Err(Refusal::unresolvable(reason));
    }
    Ok(Candidate { node: node.id.index(), victims, budget_violations })
}

/// The pods of a node that matter less than the incoming one.
fn lesser_pods<'c>(
    cycle: &CycleContext<'c>,
    node: &'c NodeInfo,
) -> impl Iterator<Item = &'c PlacedPod> {
    let (cache, priority) = (cycle.cache, cycle.pod.class.priority);
    node.pods.iter().filter(move |pod| cache.class(pod.class).priority < priority)
}

pub(super) fn no_victims() -> Refusal {
    Refusal::unresolvable("No preemption victims found for incoming pod")
}

fn victim(cycle: &CycleContext<'_>, pod: PlacedPod) -> Victim {
    let object = pod.id.and_then(|id| cycle.view.pods().get(id));
    let started = object.and_then(|object| object.start_time).unwrap_or(cycle.view.now);
    Victim { pod, priority: cycle.cache.class(pod.class).priority, started }
}

/// The more important first: higher priority, then longer running.
const fn importance(victim: &Victim) -> (Reverse<i32>, SimTime) {
    (Reverse(victim.priority), victim.started)
}

/// Splits victims into those protected by a PodDisruptionBudget and the others, keeping their order
/// (`filterPodsWithPDBViolation`).
fn split_by_budgets(cycle: &CycleContext<'_>, victims: &[Victim]) -> (Vec<Victim>, Vec<Victim>) {
    let budgets = || cycle.view.store().disruption_budgets().values();
    let mut allowed: Vec<i32> = budgets().map(|budget| budget.status.disruptions_allowed).collect();
    let violates = |victim: &&Victim| {
        let class = cycle.cache.class(victim.pod.class);
        let mut is_violated = false;
        for (budget, allowed) in budgets().zip(&mut allowed) {
            let disrupted = &budget.status.disrupted_pods;
            let is_disrupted = |id: &PodId| disrupted.iter().any(|one| one.pod == *id);
            let protects = *budget.meta.namespace() == class.namespace
                && !class.labels.is_empty()
                && budget.spec.selector.as_ref().is_some_and(|selector| {
                    !selector.is_empty() && selector.matches(&class.labels)
                })
                && !victim.pod.id.as_ref().is_some_and(is_disrupted);
            if protects {
                *allowed -= 1;
                is_violated |= *allowed < 0;
            }
        }
        is_violated
    };
    victims.iter().partition(violates)
}

/// The best candidates, equal by all criteria (`pickOneNodeForPreemption`): fewest budget
/// violations, least important first victim, smallest sum of priorities, fewest victims, latest
/// start of the longest-running among the most important victims.
pub fn best_candidates(candidates: &[Candidate]) -> Vec<&Candidate> {
    let rank = |candidate: &Candidate| {
        let victims = &candidate.victims;
        let highest = victims.iter().map(|victim| victim.priority).max();
        // Shifted so that more victims always weigh more, whatever their priorities.
        let shifted = victims.iter().map(|victim| i64::from(victim.priority) + (1 << 31));
        let most_important = victims.iter().filter(|victim| Some(victim.priority) == highest);
        let earliest = most_important.map(|victim| victim.started).min();
        (
            candidate.budget_violations,
            victims.first().map(|victim| victim.priority),
            shifted.sum::<i64>(),
            victims.len(),
            Reverse(earliest),
        )
    };
    let best = candidates.iter().map(rank).min();
    candidates.iter().filter(|candidate| Some(rank(candidate)) == best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceSet;
    use crate::node_info::ClassId;

    /// A candidate whose victims have these priorities and start times [s].
    fn candidate(node: usize, victims: &[(i32, i64)]) -> Candidate {
        let pod = PlacedPod {
            id: None,
            class: ClassId(0),
            is_terminating: false,
            devices: DeviceSet::NONE,
        };
        let victims = victims.iter().map(|(priority, started)| Victim {
            pod,
            priority: *priority,
            started: SimTime::from_secs(*started),
        });
        Candidate { node, victims: victims.collect(), budget_violations: 0 }
    }

    #[test]
    fn of_equal_candidates_the_one_whose_oldest_important_victim_is_youngest_is_best() {
        let of_nodes = [
            candidate(0, &[(5, 10), (5, 90), (1, 90)]),
            candidate(1, &[(5, 20), (5, 30), (1, 0)]),
            candidate(2, &[(5, 20), (5, 80), (1, 90)]),
        ];
        let best: Vec<usize> = best_candidates(&of_nodes).iter().map(|one| one.node).collect();
        assert_eq!(best, [1, 2]);
    }
}
