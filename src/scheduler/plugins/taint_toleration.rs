//! TaintToleration: keeps pods off nodes whose taints they do not tolerate, and prefers nodes with
//! fewer PreferNoSchedule taints that they do not tolerate.

use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, NodeScore, PreFilter, Refusal, Scope,
    ScorePlugin, default_normalize,
};
use super::super::node_info::NodeInfo;
use cluster::node::Taint;
use cluster::pod_template::{TaintEffect, Toleration};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct TaintToleration;

/// Whether a pod with these tolerations is kept off a node with these taints.
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
        PreFilter::check(Tolerates { tolerations: &cycle.pod.class.tolerations })
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

#[derive(Clone, Copy)]
struct Tolerates<'c> {
    tolerations: &'c [Toleration],
}

impl NodeFilter for Tolerates<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if has_untolerated_taint(&node.taints, self.tolerations) {
            return Err(Refusal::unresolvable("node(s) had untolerated taint(s)"));
        }
        Ok(())
    }
}

impl ScorePlugin for TaintToleration {
    fn is_uniform(&self, cycle: &CycleContext<'_>) -> bool {
        !cycle.cache.has_soft_taints()
    }

    fn pre_score<'c>(
        &'c self,
        cycle: &CycleContext<'c>,
        _: &[usize],
    ) -> Option<Box<dyn NodeScore + 'c>> {
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
