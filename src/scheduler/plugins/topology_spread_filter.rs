//! PodTopologySpread as a filter: no domain gets more than `maxSkew` pods ahead of the emptiest.

use std::borrow::Cow;

use super::super::cache::Cache;
use super::super::framework::{
    ClusterEvent, CycleContext, FilterPlugin, NodeFilter, PreFilter, Refusal,
};
use super::super::node_info::NodeInfo;
use super::super::pod_class::{PodClass, SpreadConstraint};
use super::super::topology::{Domain, TopologyKey};
use super::topology_spread::{
    MatchingPods, TopologySpread, counts_by_domain, has_all_keys, includes_node, is_on_all_nodes,
};
use cluster::pod_template::WhenUnsatisfiable;

impl FilterPlugin for TopologySpread {
    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        let constraints = self.constraints_of(cycle, WhenUnsatisfiable::DoNotSchedule);
        if constraints.is_empty() {
            return PreFilter::Skip;
        }
        let is_on_all = is_on_all_nodes(cycle, &constraints);
        let mut counts = Vec::with_capacity(constraints.len());
        for constraint in constraints.iter() {
            let mut domains = DomainCounts::new(cycle.cache.topology().size(constraint.topology));
            let pods = if is_on_all { counts_by_domain(cycle, constraint) } else { None };
            if let Some(pods) = pods {
                domains
                    .enter_all(&pods, cycle.cache.topology().nodes_by_domain(constraint.topology));
                counts.push(domains);
                continue;
            }
            let mut matching = MatchingPods::new(cycle);
            for node in cycle.cache.nodes() {
                if has_all_keys(&constraints, node)
                    && includes_node(constraint, cycle.pod.class, node)
                    && let Some(domain) = node.domain(constraint.topology)
                {
                    domains.enter(domain, matching.count(constraint, node));
                }
            }
            domains.update_minimum();
            counts.push(domains);
        }
        let class = cycle.pod.class;
        let own = constraints.iter().map(|one| i64::from(one.matches(&class.labels))).collect();
        PreFilter::check(SpreadFilter { class, constraints, counts, own })
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        let class = cycle.pod.class;
        let constraints = self.constraints_of(cycle, WhenUnsatisfiable::DoNotSchedule);
        let counts = |pod: &PodClass| {
            pod.namespace == class.namespace
                && constraints.iter().any(|constraint| constraint.matches(&pod.labels))
        };
        let has_keys = |node: &NodeInfo| has_all_keys(&constraints, node);
        match event {
            // Only pods that are on a node are counted.
            ClusterEvent::NominationGone(_)
            | ClusterEvent::ClaimAdded
            | ClusterEvent::AttachmentsChanged => false,
            ClusterEvent::PodPlaced(pod) | ClusterEvent::PodGone(pod) => counts(pod),
            ClusterEvent::PodRelabelled { before, after } => {
                after.namespace == class.namespace
                    && constraints.iter().any(|constraint| {
                        constraint.matches(&before.labels) != constraint.matches(&after.labels)
                    })
            }
            ClusterEvent::NodeAdded(node) | ClusterEvent::NodeRemoved(node) => has_keys(node),
            ClusterEvent::NodeUpdated { before, after } => {
                let moves = |constraint: &SpreadConstraint| {
                    before.domain(constraint.topology) != after.domain(constraint.topology)
                };
                has_keys(before) != has_keys(after)
                    || (has_keys(after)
                        && (constraints.iter().any(moves) || before.taints != after.taints))
            }
        }
    }
}

/// Matching pods in each domain that takes part.
#[derive(Clone, Debug)]
struct DomainCounts {
    /// By domain; `None` = no node of it takes part.
    counts: Vec<Option<i64>>,
    /// Number of domains that take part.
    domains: usize,
    /// The smallest count, 0 without domains.
    minimum: i64,
}

impl DomainCounts {
    fn new(size: usize) -> Self {
        Self { counts: vec![None; size], domains: 0, minimum: 0 }
    }

    fn enter(&mut self, domain: Domain, pods: i64) {
        let count = &mut self.counts[domain.index()];
        self.domains += usize::from(count.is_none());
        *count = Some(count.unwrap_or(0) + pods);
    }

    /// Enters the pods of all domains that have nodes.
    fn enter_all(&mut self, pods: &[i64], nodes: &[u32]) {
        for (count, (pods, nodes)) in self.counts.iter_mut().zip(pods.iter().zip(nodes)) {
            *count = (*nodes > 0).then_some(*pods);
        }
        self.domains = nodes.iter().filter(|nodes| **nodes > 0).count();
        self.update_minimum();
    }

    fn update_minimum(&mut self) {
        self.minimum = self.counts.iter().flatten().copied().min().unwrap_or(0);
    }

    fn count(&self, domain: Domain) -> i64 {
        self.counts[domain.index()].unwrap_or(0)
    }
}

#[derive(Clone)]
struct SpreadFilter<'c> {
    class: &'c PodClass,
    constraints: Cow<'c, [SpreadConstraint]>,
    counts: Vec<DomainCounts>,
    /// By constraint: 1 if the pod itself counts.
    own: Vec<i64>,
}

impl SpreadFilter<'_> {
    /// Whether each constraint holds in a node's domains; `None` where it lacks the label.
    fn holds(&self, domain: impl Fn(TopologyKey) -> Option<Domain>) -> Option<bool> {
        for ((constraint, counts), own) in self.constraints.iter().zip(&self.counts).zip(&self.own)
        {
            let domain = domain(constraint.topology)?;
            let too_few = counts.domains < constraint.min_domains;
            let minimum = if too_few { 0 } else { counts.minimum };
            if counts.count(domain) + own - minimum > constraint.max_skew {
                return Some(false);
            }
        }
        Some(true)
    }

    fn change(&mut self, pod: &PodClass, node: &NodeInfo, pods: i64) {
        if pod.namespace != self.class.namespace || !has_all_keys(&self.constraints, node) {
            return;
        }
        for (constraint, counts) in self.constraints.iter().zip(&mut self.counts) {
            if constraint.matches(&pod.labels)
                && includes_node(constraint, self.class, node)
                && let Some(domain) = node.domain(constraint.topology)
            {
                counts.enter(domain, pods);
                counts.update_minimum();
            }
        }
    }
}

impl NodeFilter for SpreadFilter<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        match self.holds(|key| node.domain(key)) {
            Some(true) => Ok(()),
            Some(false) => {
                let reason = "node(s) didn't match pod topology spread constraints";
                Err(Refusal::unschedulable(reason))
            }
            None => {
                let reason =
                    "node(s) didn't match pod topology spread constraints (missing required label)";
                Err(Refusal::unresolvable(reason))
            }
        }
    }

    fn admits(&self, cache: &Cache, slot: usize) -> bool {
        self.holds(|key| cache.topology().domain_at(key, slot)) == Some(true)
    }

    fn add_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        self.change(pod, node, 1);
    }

    fn remove_pod(&mut self, pod: &PodClass, node: &NodeInfo) {
        self.change(pod, node, -1);
    }
}
