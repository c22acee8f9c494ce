//! TaintToleration: rejects nodes with untolerated taints, and prefers nodes with fewer untolerated PreferNoSchedule
//! taints.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeScore, PreFilter, PreScore, Refusal, Scope,
    ScorePlugin, default_normalize,
};
use super::super::node_info::NodeInfo;
use cluster::node::Taint;
use cluster::pod_template::{TaintEffect, Toleration};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct TaintToleration;

/// True if the taints repel a pod with these tolerations.
pub fn has_untolerated_taint(taints: &[Taint], tolerations: &[Toleration]) -> bool {
    taints.iter().any(|taint| {
        taint.effect != TaintEffect::PreferNoSchedule
            && !tolerations.iter().any(|toleration| toleration.tolerates(taint))
    })
}

impl FilterPlugin for TaintToleration {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        let tolerations = &cycle.pod.class.tolerations;
        PreFilter::require(
            move |node| !has_untolerated_taint(&node.taints, tolerations),
            || Refusal::unresolvable("node(s) had untolerated taint(s)"),
        )
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        let rejects =
            |node: &NodeInfo| has_untolerated_taint(&node.taints, &cycle.pod.class.tolerations);
        match event {
            ClusterEvent::NodeAdded(node) => !rejects(node),
            ClusterEvent::NodeUpdated { before, after } => rejects(before) && !rejects(after),
            _ => false,
        }
    }
}

impl ScorePlugin for TaintToleration {
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        !cycle.cache.has_soft_taints()
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, _: &[usize]) -> PreScore<'c> {
        let tolerations = cycle.pod.class.tolerations.iter().filter(|toleration| {
            toleration.effect.is_none_or(|effect| effect == TaintEffect::PreferNoSchedule)
        });
        Some(Box::new(CountIntolerable { tolerations: tolerations.collect() }))
    }
}

struct CountIntolerable<'c> {
    /// Those that apply to PreferNoSchedule taints.
    tolerations: Vec<&'c Toleration>,
}

impl NodeScore for CountIntolerable<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let intolerable = node.taints.iter().filter(|taint| {
            taint.effect == TaintEffect::PreferNoSchedule
                && !self.tolerations.iter().any(|toleration| toleration.tolerates(taint))
        });
        intolerable.map(|_| 1).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        default_normalize(scores, true);
    }
}
