//! A decision in full: every node with its scores or reasons for rejection, and the preemption attempt, in the
//! plugins' own words.

use std::fmt;

use serde::Serialize;

use super::cache::Cache;
use super::cycle::ScoreTable;
use super::decision::{Decision, Verdict};
use super::framework::PluginName;
use super::preemption::{Candidate, PostFilter};
use cluster::pod::Pod;
use cluster::{ClusterView, Name};

/// Number of nodes of each kind that the text lists individually.
const SHOWN: usize = 20;

/// The scheduler's decision about a pod, with reasons.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// Namespace and name of the pod.
    pub pod: String,
    /// Whether it is scheduled, nominated or waiting.
    pub result: PodResult,
    /// The node; absent if it waits.
    pub node: Option<String>,
    /// Message of its FailedScheduling event; absent if it has a node.
    pub message: Option<String>,
    /// The scoring plugins, in profile order; absent if only one node is feasible, since none is scored then.
    pub plugins: Vec<PluginName>,
    /// The feasible nodes, best first.
    pub feasible: Vec<FeasibleNode>,
    /// The infeasible nodes.
    pub rejected: Vec<RejectedNode>,
    /// Nodes that were not examined: enough others were feasible, or PreFilter excluded them.
    pub not_looked_at: usize,
    /// The preemption attempt, if there was one.
    pub preemption: Option<Preemption>,
}

/// Outcome for a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PodResult {
    /// Bound to a node.
    Scheduled,
    /// Nominated to a node on which pods are being preempted.
    Nominated,
    /// No node does.
    #[default]
    Unschedulable,
    /// Not considered until its scheduling gates are removed.
    Gated,
    /// Sets `spec.nodeName` itself, so the scheduler ignores it.
    Named,
    /// Left to a scheduler that is not simulated.
    Foreign,
}

/// A feasible node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeasibleNode {
    /// Node name.
    pub node: String,
    /// The weighted score of each plugin, in the order of [`Explanation::plugins`].
    pub scores: Vec<i64>,
    /// Their sum; absent if none is scored.
    pub total: Option<i64>,
    /// Whether the pod is placed on it.
    pub is_chosen: bool,
}

/// An infeasible node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedNode {
    /// Node name.
    pub node: String,
    /// The plugin that rejected it.
    pub plugin: PluginName,
    /// Its messages.
    pub reasons: Vec<String>,
}

/// An attempt to preempt less important pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preemption {
    /// Why preemption is impossible; absent if it is possible.
    pub failure: Option<String>,
    /// The nodes on which preemption would help.
    pub candidates: Vec<PreemptionCandidate>,
}

/// A node on which preemption would help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreemptionCandidate {
    /// Node name.
    pub node: String,
    /// The pods to be preempted, most important first.
    pub victims: Vec<String>,
    /// Number of victims protected by a PodDisruptionBudget.
    pub budget_violations: usize,
    /// Whether preemption takes place here.
    pub is_chosen: bool,
}

impl Explanation {
    /// Explains a decision about the pod with this name. Cache and view must be those on which it was made.
    pub fn new(pod: String, decision: &Decision, cache: &Cache, view: ClusterView<'_>) -> Self {
        let name = |slot: usize| cache.node(slot).name.to_string();
        let diagnosis = &decision.feasibility.diagnosis;
        let rejected: Vec<RejectedNode> = diagnosis
            .rejected
            .iter()
            .map(|one| RejectedNode {
                node: name(one.node),
                plugin: one.plugin,
                reasons: one.refusal.texts().collect(),
            })
            .collect();
        let looked_at = decision.feasibility.feasible.len() + rejected.len();
        let mut explanation = Self {
            pod,
            rejected,
            not_looked_at: cache.node_count().saturating_sub(looked_at),
            ..Self::default()
        };
        match &decision.verdict {
            Verdict::Placed { node, scores, .. } => {
                explanation.result = PodResult::Scheduled;
                explanation.node = Some(name(*node));
                match scores {
                    Some(scores) => explanation.add_scores(scores, *node, cache),
                    None => explanation.feasible.push(FeasibleNode {
                        node: name(*node),
                        scores: Vec::new(),
                        total: None,
                        is_chosen: true,
                    }),
                }
            }
            Verdict::Waits { post_filter, chosen, message } => {
                explanation.message = Some(message.clone());
                if let Some(chosen) = chosen {
                    explanation.result = PodResult::Nominated;
                    explanation.node = Some(name(chosen.node));
                }
                let reason_sets =
                    |result: &PostFilter| preemption(result, chosen.as_ref(), cache, view);
                explanation.preemption = post_filter.as_ref().map(reason_sets);
            }
        }
        explanation
    }

    /// Explains a pod that the scheduler with these profiles does not consider; `None` for all others.
    pub fn unexamined(view: ClusterView<'_>, pod: &Pod, profiles: &[&Name]) -> Option<Self> {
        let spec = &view.template_of(pod).spec;
        let (result, message) = if let Some(name) = &spec.node_name {
            let message = match pod.node {
                Some(_) => format!("spec.nodeName is {name}: its kubelet admits or rejects it"),
                None => format!(
                    "spec.nodeName is {name}, but that node does not exist: the pod garbage collector deletes the pod"
                ),
            };
            (PodResult::Named, message)
        } else if pod.node.is_none() && !spec.scheduling_gates.is_empty() {
            let gates: Vec<&str> = spec.scheduling_gates.iter().map(|gate| &**gate).collect();
            let message = "Scheduling is blocked due to non-empty scheduling gates";
            (PodResult::Gated, format!("{message}: {}", gates.join(", ")))
        } else if pod.node.is_none() && !profiles.contains(&&spec.scheduler_name) {
            let profiles: Vec<&str> = profiles.iter().map(|name| &***name).collect();
            let message = format!(
                "spec.schedulerName is {}, a scheduler that is not simulated (only {}): the pod stays pending",
                spec.scheduler_name,
                profiles.join(", ")
            );
            (PodResult::Foreign, message)
        } else {
            return None;
        };
        let node = pod.node.and_then(|node| view.nodes().get(node));
        Some(Self {
            pod: pod.id.to_string(),
            result,
            node: node.map(|node| node.meta.name().to_string()),
            message: Some(message),
            ..Self::default()
        })
    }

    fn add_scores(&mut self, scores: &ScoreTable, chosen: usize, cache: &Cache) {
        self.plugins = scores.plugins.iter().map(|(plugin, _)| *plugin).collect();
        for (position, slot) in scores.nodes.iter().enumerate() {
            self.feasible.push(FeasibleNode {
                node: cache.node(*slot).name.to_string(),
                scores: scores.plugins.iter().map(|(_, scores)| scores[position]).collect(),
                total: Some(scores.totals[position]),
                is_chosen: *slot == chosen,
            });
        }
        self.feasible.sort_by(|one, other| {
            let rank = |node: &FeasibleNode| (std::cmp::Reverse(node.total), !node.is_chosen);
            rank(one).cmp(&rank(other)).then_with(|| one.node.cmp(&other.node))
        });
    }

    /// Number of nodes sharing the best total.
    fn equals(&self) -> usize {
        let best = self.feasible.first().map(|node| node.total);
        self.feasible.iter().filter(|node| Some(node.total) == best).count()
    }
}

fn preemption(
    result: &PostFilter,
    chosen: Option<&Candidate>,
    cache: &Cache,
    view: ClusterView<'_>,
) -> Preemption {
    let candidates = match result {
        PostFilter::Failed { message, .. } => {
            return Preemption { failure: Some(message.clone()), candidates: Vec::new() };
        }
        PostFilter::Candidates(candidates) => candidates,
    };
    let victim = |victim: &super::preemption::Victim| {
        let object = victim.pod.id.and_then(|id| view.store().pods().get(id));
        object.map_or_else(String::new, |object| object.id.to_string())
    };
    let reason_sets = |candidate: &Candidate| PreemptionCandidate {
        node: cache.node(candidate.node).name.to_string(),
        victims: candidate.victims.iter().map(victim).collect(),
        budget_violations: candidate.budget_violations,
        is_chosen: chosen.is_some_and(|chosen| chosen.node == candidate.node),
    };
    Preemption { failure: None, candidates: candidates.iter().map(reason_sets).collect() }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_deref().unwrap_or_default();
        match self.result {
            PodResult::Scheduled => {
                write!(f, "pod {} goes to {node}: ", self.pod)?;
                match (self.feasible.as_slice(), self.equals()) {
                    ([_], _) => writeln!(f, "the only feasible node examined")?,
                    (many, 1) => writeln!(f, "the best of {} feasible nodes", many.len())?,
                    (many, equals) => writeln!(
                        f,
                        "drawn at random among {equals} nodes with equal scores, of {} feasible nodes",
                        many.len()
                    )?,
                }
            }
            PodResult::Nominated => {
                writeln!(
                    f,
                    "pod {} waits: lower-priority pods are preempted from {node} for it",
                    self.pod
                )?;
            }
            PodResult::Unschedulable => {
                writeln!(f, "pod {} is unschedulable: no feasible node", self.pod)?;
            }
            PodResult::Gated => writeln!(f, "pod {} has scheduling gates", self.pod)?,
            PodResult::Foreign => {
                writeln!(f, "pod {} is left to another scheduler", self.pod)?;
            }
            PodResult::Named => {
                writeln!(f, "pod {} bypasses the scheduler: spec.nodeName is set", self.pod)?;
            }
        }
        if let Some(message) = &self.message {
            writeln!(f, "  {message}")?;
        }
        self.write_scores(f)?;
        self.write_rejections(f)?;
        if self.not_looked_at > 0 {
            writeln!(f, "\nnot examined: {} nodes", self.not_looked_at)?;
        }
        self.write_preemption(f)
    }
}

impl Explanation {
    fn write_scores(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plugins.is_empty() {
            return Ok(());
        }
        let width = self.feasible.iter().take(SHOWN).map(|node| node.node.len()).max().unwrap_or(0);
        write!(f, "\n{:<width$}  total", "score")?;
        for plugin in &self.plugins {
            write!(f, "  {plugin}")?;
        }
        writeln!(f)?;
        for node in self.feasible.iter().take(SHOWN) {
            write!(f, "{:<width$}  {:>5}", node.node, node.total.unwrap_or_default())?;
            for (plugin, score) in self.plugins.iter().zip(&node.scores) {
                let width = plugin.len();
                write!(f, "  {score:>width$}")?;
            }
            writeln!(f, "{}", if node.is_chosen { "  <-" } else { "" })?;
        }
        more(f, self.feasible.len())
    }

    fn write_rejections(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rejected.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nrejected")?;
        for node in self.rejected.iter().take(SHOWN) {
            writeln!(f, "{}  {}: {}", node.node, node.plugin, node.reasons.join(", "))?;
        }
        more(f, self.rejected.len())
    }

    fn write_preemption(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(preemption) = &self.preemption else { return Ok(()) };
        writeln!(f, "\npreemption")?;
        if let Some(failure) = &preemption.failure {
            writeln!(f, "{failure}")?;
        }
        for candidate in preemption.candidates.iter().take(SHOWN) {
            let (violations, arrow) =
                (candidate.budget_violations, if candidate.is_chosen { "  <-" } else { "" });
            write!(f, "{}  removes {}", candidate.node, candidate.victims.join(", "))?;
            if violations > 0 {
                write!(f, " against {violations} disruption budgets")?;
            }
            writeln!(f, "{arrow}")?;
        }
        more(f, preemption.candidates.len())
    }
}

fn more(f: &mut fmt::Formatter<'_>, rows: usize) -> fmt::Result {
    if rows > SHOWN { writeln!(f, "... and {} more", rows - SHOWN) } else { Ok(()) }
}
