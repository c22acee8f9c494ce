//! A decision in the form of the recording, for comparison field by field.

use serde_json::{Value, json};

use super::case::{Case, Detail};
use super::world::{Step, World};
use cluster::Action;
use cluster::pod::PodId;
use scheduler::Attempt;
use scheduler::cache::Cache;
use scheduler::cycle::{Feasibility, ScoreTable};
use scheduler::decision::Verdict;
use scheduler::framework::{Code, Refusal};
use scheduler::preemption::{Candidate, PostFilter, best_candidates};

/// The step of a gated pod; `None` for a pod that enters the queue.
pub(super) fn gated(world: &World, pod: PodId) -> Option<Step> {
    if !world.scheduler.is_gated(pod) {
        return None;
    }
    let pod = world.store.pods().get(pod)?;
    let gates = &world.store.template_of(pod).spec.scheduling_gates;
    let gates: Vec<&str> = gates.iter().map(AsRef::as_ref).collect();
    let mut step = Step::new();
    step.insert("pod".into(), pod.id.to_string().into());
    step.insert("result".into(), "gated".into());
    step.insert("gatedBy".into(), "SchedulingGates".into());
    let message = format!("waiting for scheduling gates: [{}]", gates.join(" "));
    step.insert("message".into(), message.into());
    Some(step)
}

/// The step of an attempt, before its actions are carried out.
pub(super) fn decided(world: &World, case: &Case, attempt: &Attempt, actions: &[Action]) -> Step {
    let cache = world.scheduler.cache();
    let store = &world.store;
    let mut step = Step::new();
    step.insert("pod".into(), store.pods()[attempt.pod].id.to_string().into());
    if attempt.number > 1 {
        step.insert("attempt".into(), attempt.number.into());
    }
    if let Some(node) = attempt.nominated_node.and_then(|node| store.nodes().get(node)) {
        step.insert("nominatedNodeName".into(), node.meta.name().as_ref().into());
    } else if let Some(node) = world.lost_nominations.get(&attempt.pod)
        && attempt.number == 1
    {
        step.insert("nominatedNodeName".into(), node.as_str().into());
    }
    let feasibility = &attempt.decision.feasibility;
    let rejected = rejected(cache, feasibility);
    if rejected != json!([]) {
        step.insert("rejected".into(), rejected);
    }
    match &attempt.decision.verdict {
        Verdict::Placed { node, scores, top } => {
            step.insert("result".into(), "scheduled".into());
            step.insert("chosen".into(), name(cache, *node));
            step.insert("feasible".into(), sorted(&feasibility.feasible).into());
            if let Some(scores) = scores {
                add_scores(&mut step, scores, case.options.detail);
            }
            if top.len() > 1 {
                step.insert("top".into(), names(cache, top.iter().copied()));
            }
        }
        Verdict::Waits { post_filter, chosen, message } => {
            let result = if chosen.is_some() { "nominated" } else { "unschedulable" };
            step.insert("result".into(), result.into());
            step.insert("message".into(), message.as_str().into());
            if let Some(refused) = &feasibility.diagnosis.pre_filter {
                let texts: Vec<String> = refused.refusal.texts().collect();
                step.insert("preFilterMessage".into(), texts.join(", ").into());
            }
            if let Some(result) = post_filter {
                let described = match result {
                    PostFilter::Candidates(candidates) => {
                        succeeded(world, candidates, chosen.as_ref(), actions)
                    }
                    PostFilter::Failed { plugin, is_error, message, .. } => json!({
                        "plugin": plugin,
                        "code": if *is_error { "Error" } else { "Unschedulable" },
                        "message": message,
                    }),
                };
                step.insert("postFilter".into(), described);
            }
        }
    }
    step
}

fn sorted(slots: &[usize]) -> Vec<usize> {
    let mut slots = slots.to_vec();
    slots.sort_unstable();
    slots
}

fn name(cache: &Cache, slot: usize) -> Value {
    cache.node(slot).name.as_ref().into()
}

/// Names of nodes, sorted.
fn names(cache: &Cache, slots: impl Iterator<Item = usize>) -> Value {
    let mut names: Vec<&str> = slots.map(|slot| cache.node(slot).name.as_ref()).collect();
    names.sort_unstable();
    json!(names)
}

/// Scores in the order of the nodes; a single number if all are equal.
fn add_scores(step: &mut Step, scores: &ScoreTable, detail: Detail) {
    let mut order: Vec<usize> = (0..scores.nodes.len()).collect();
    order.sort_unstable_by_key(|position| scores.nodes[*position]);
    let aligned = |values: &[i64]| -> Vec<i64> { order.iter().map(|at| values[*at]).collect() };
    step.insert("total".into(), aligned(&scores.totals).into());
    if detail == Detail::Totals {
        return;
    }
    let mut plugins = Step::new();
    for (plugin, values) in &scores.plugins {
        let is_uniform = values.iter().all(|value| *value == values[0]);
        let values = if is_uniform { json!(values[0]) } else { aligned(values).into() };
        plugins.insert((*plugin).into(), values);
    }
    step.insert("scores".into(), plugins.into());
}

/// Nodes grouped by rejecting plugin and reason; those that were not evaluated come last.
fn rejected(cache: &Cache, feasibility: &Feasibility) -> Value {
    let diagnosis = &feasibility.diagnosis;
    if feasibility.is_nominated_node {
        return json!([]);
    }
    let mut groups: Vec<(&str, &Refusal, Vec<usize>)> = Vec::new();
    for rejection in &diagnosis.rejected {
        let is_same = |(plugin, refusal, _): &&mut (&str, &Refusal, Vec<usize>)| {
            *plugin == rejection.plugin && **refusal == rejection.refusal
        };
        match groups.iter_mut().find(is_same) {
            Some((_, _, nodes)) => nodes.push(rejection.node),
            None => groups.push((rejection.plugin, &rejection.refusal, vec![rejection.node])),
        }
    }
    let mut described: Vec<Value> = Vec::new();
    for (plugin, refusal, nodes) in groups {
        let mut group = describe(refusal, &nodes);
        group["plugin"] = plugin.into();
        described.push(group);
    }
    if let Some(refusal) = diagnosis.of_absent() {
        let is_seen = |slot: &usize| {
            feasibility.feasible.contains(slot)
                || diagnosis.rejected.iter().any(|rejection| rejection.node == *slot)
        };
        let unseen: Vec<usize> =
            cache.order().iter().copied().filter(|slot| !is_seen(slot)).collect();
        if !unseen.is_empty() {
            let mut group = describe(&refusal, &unseen);
            group["excludedByPreFilter"] = true.into();
            if let Some(refused) = &diagnosis.pre_filter {
                group["plugin"] = refused.plugin.into();
            }
            described.push(group);
        }
    }
    described.into()
}

fn describe(refusal: &Refusal, nodes: &[usize]) -> Value {
    let code = match refusal.code {
        Code::Unschedulable => "Unschedulable",
        Code::UnschedulableAndUnresolvable => "UnschedulableAndUnresolvable",
    };
    let reasons: Vec<String> = refusal.texts().collect();
    json!({"code": code, "reasons": reasons, "nodes": sorted(nodes)})
}

/// A preemption: every candidate with its victims, the equally good ones, and the resulting actions.
fn succeeded(
    world: &World,
    candidates: &[Candidate],
    chosen: Option<&Candidate>,
    actions: &[Action],
) -> Value {
    let cache = world.scheduler.cache();
    let pods = world.store.pods();
    let victims = |candidate: &Candidate| -> Vec<String> {
        let ids = candidate.victims.iter().filter_map(|victim| victim.pod.id);
        ids.map(|id| pods[id].id.to_string()).collect()
    };
    let mut described: Vec<(&str, Value)> = Vec::new();
    for candidate in candidates {
        let node = cache.node(candidate.node).name.as_ref();
        let mut one = json!({"node": node, "victims": victims(candidate)});
        if candidate.budget_violations > 0 {
            one["pdbViolations"] = candidate.budget_violations.into();
        }
        described.push((node, one));
    }
    described.sort_by_key(|(node, _)| *node);
    let described: Vec<Value> = described.into_iter().map(|(_, one)| one).collect();
    let mut result = json!({"code": "Success", "candidates": described});
    let best = best_candidates(candidates);
    if best.len() > 1 {
        result["ties"] = names(cache, best.iter().map(|candidate| candidate.node));
    }
    if let Some(chosen) = chosen {
        result["nominatedNode"] = name(cache, chosen.node);
        result["victims"] = victims(chosen).into();
    }
    let cleared = actions.iter().filter_map(|action| match action {
        Action::NominatePod(pod, None) => Some(pods[*pod].id.to_string()),
        _ => None,
    });
    let cleared: Vec<String> = cleared.collect();
    if !cleared.is_empty() {
        result["clearedNominations"] = cleared.into();
    }
    result
}
