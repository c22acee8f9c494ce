//! Scale-up: chooses the groups that grow for unschedulable pods (`cluster-autoscaler/core/scaleup/orchestrator`).

mod execution;
mod min_size;
mod remaining;

pub(crate) use execution::execute;
pub(crate) use min_size::scale_up_to_min_size;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::equivalence::{PodGroup, pod_groups};
use super::estimator::{EstimationLimits, estimate};
use super::expander::{ExpanderContext, ExpansionOption, TieBreaker, best_option, waste};
use super::options::Options;
use super::pods::PodInfo;
use super::provider::{CloudProvider, NodeGroup};
use super::quotas::{Bound, Quotas};
use super::registry::Registry;
use super::report::{LoopReport, OptionReport, ScaleUpInfo, ScaleUpReport, ScaleUpResult, names};
use super::similar::{are_similar, balance};
use super::snapshot::{Snapshot, SnapshotNode};
use super::template::Templates;
use cluster::{ClusterView, Name};
use remaining::{remaining, without_all};

/// Skip reason of an unhealthy group, whose nodes do not become ready.
const NOT_READY: &str = "not ready for scale-up";
/// Skip reason of a group in back-off.
const BACKED_OFF: &str = "in backoff after failed scale-up";
/// Skip reason of a group at its maximum size.
const AT_MAX: &str = "max node group size reached";
/// Skip reason of groups that the cloud refused to scale up.
const EXECUTION_FAILED: &str = "scale-up execution failed";
/// Skip reason of groups that the expander did not choose.
const FILTERED_OUT: &str = "expansion options filtered out and no longer considered";

/// Input of a scale-up.
pub(crate) struct ScaleUp<'a> {
    pub(crate) view: ClusterView<'a>,
    pub(crate) snapshot: &'a mut Snapshot,
    pub(crate) cloud: &'a mut dyn CloudProvider,
    pub(crate) registry: &'a mut Registry,
    pub(crate) templates: &'a Templates,
    pub(crate) options: &'a Options,
    pub(crate) ignored_labels: &'a [Name],
    pub(crate) ties: &'a mut TieBreaker,
    /// Number of nodes in the cluster, including upcoming ones.
    pub(crate) node_count: i64,
    /// Number of registered nodes, in any state.
    pub(crate) registered: usize,
}

impl ScaleUp<'_> {
    /// Chooses a group for the pods and scales it up, together with similar groups.
    pub(crate) fn run(&mut self, pods: &[Arc<PodInfo>], report: &mut LoopReport) -> ScaleUpReport {
        let mut egs = pod_groups(pods);
        let groups = self.cloud.node_groups().to_vec();
        let mut quotas = Quotas::new(self.snapshot, self.cloud, self.options, Bound::Max);
        let (valid, skipped) = self.valid_groups(&groups, &mut quotas);
        for place in &valid {
            self.find_schedulable(&groups[*place], *place, &mut egs);
        }
        let mut options: Vec<ExpansionOption> = Vec::new();
        for place in &valid {
            let option = self.expansion_option(&groups, *place, &valid, &egs);
            if !option.pods.is_empty() && option.nodes > 0 {
                options.push(option);
            }
        }
        if options.is_empty() {
            return no_options(&egs, &skipped);
        }
        let best = self.best(&mut options, report);
        let Some(best) = best.map(|at| &options[at]).filter(|best| best.nodes > 0) else {
            without_all(&mut egs, FILTERED_OUT);
            return no_options(&egs, &skipped);
        };
        let infos = match self.plan(&groups, best, &valid, &egs, &mut quotas) {
            Ok(infos) => infos,
            Err(problem) => {
                without_all(&mut egs, EXECUTION_FAILED);
                return ScaleUpReport {
                    result: ScaleUpResult::Error,
                    triggered: names(&best.pods),
                    remain: remaining(&egs, &skipped),
                    error: Some(("transientError", problem)),
                    ..ScaleUpReport::default()
                };
            }
        };
        self.carry_out(infos, best, egs, &skipped)
    }

    fn best(&mut self, options: &mut [ExpansionOption], report: &mut LoopReport) -> Option<usize> {
        let context = ExpanderContext {
            templates: self.templates,
            cloud: self.cloud,
            priorities: &self.options.priorities,
            node_count: self.registered,
        };
        let best = best_option(options, &self.options.expander.0, &context, self.ties);
        let groups = self.cloud.node_groups();
        let told = |option: &ExpansionOption| OptionReport {
            group: option.name.clone(),
            nodes: option.nodes,
            pods: names(&option.pods),
            similar: option.similar.iter().map(|at| groups[*at].id.clone()).collect(),
            waste: self.templates.get(&option.name).map_or(0.0, |one| waste(option, &one.node)),
            price: option.price,
        };
        report.options = options.iter().map(told).collect();
        report.best = best;
        best
    }

    fn carry_out(
        &mut self,
        infos: Vec<ScaleUpInfo>,
        best: &ExpansionOption,
        mut egs: Vec<PodGroup>,
        skipped: &BTreeMap<Name, Vec<String>>,
    ) -> ScaleUpReport {
        let done = execute(self.cloud, self.registry, &infos, self.options, self.view.now);
        let triggered = names(&best.pods);
        if let Err((failed, message)) = done {
            // The groups after the failed one were not tried.
            let untried = infos.iter().skip_while(|info| info.group != failed);
            let failed_groups: Vec<&Name> = untried.map(|info| &info.group).collect();
            remaining::without(&mut egs, &failed_groups, EXECUTION_FAILED);
            return ScaleUpReport {
                result: ScaleUpResult::Error,
                triggered,
                remain: remaining(&egs, skipped),
                failed_groups: vec![failed],
                error: Some(("cloudProviderError", message)),
                ..ScaleUpReport::default()
            };
        }
        self.registry.recalculate(self.cloud);
        let awaits = |eg: &&PodGroup| eg.is_schedulable && eg.errors.contains_key(&best.name);
        ScaleUpReport {
            result: ScaleUpResult::Successful,
            infos,
            triggered,
            remain: remaining(&egs, skipped),
            awaiting: names(egs.iter().filter(awaits).flat_map(|eg| &eg.pods)),
            ..ScaleUpReport::default()
        }
    }

    /// The positions of groups that may grow, and why others may not (`filterValidScaleUpNodeGroups`).
    fn valid_groups(
        &self,
        groups: &[NodeGroup],
        quotas: &mut Quotas,
    ) -> (Vec<usize>, BTreeMap<Name, Vec<String>>) {
        let mut valid = Vec::new();
        let mut skipped = BTreeMap::new();
        for (place, group) in groups.iter().enumerate() {
            match self.skip_reason(group, quotas) {
                None => valid.push(place),
                Some(reason) => {
                    skipped.insert(group.id.clone(), vec![reason]);
                }
            }
        }
        (valid, skipped)
    }

    fn skip_reason(&self, group: &NodeGroup, quotas: &mut Quotas) -> Option<String> {
        if let Some(reason) = self.unsafe_reason(group) {
            return Some(reason.to_owned());
        }
        if group.target_size >= group.max_size {
            return Some(AT_MAX.to_owned());
        }
        let Some(template) = self.templates.get(&group.id) else {
            return Some(NOT_READY.to_owned());
        };
        let allowance = quotas.check(&template.node, Some(group), 1, self.cloud);
        (!allowance.is_full()).then(|| allowance.reason())
    }

    /// Why a group must not grow now, if so (`IsNodeGroupReadyToScaleUp`).
    fn unsafe_reason(&self, group: &NodeGroup) -> Option<&'static str> {
        if !self.registry.is_group_healthy(&group.id, self.options) {
            return Some(NOT_READY);
        }
        self.registry.backoffs.active(&group.id, self.view.now).map(|_| BACKED_OFF)
    }

    /// Determines which pods fit a new node of a group (`SchedulablePodGroups`).
    fn find_schedulable(&mut self, group: &NodeGroup, place: usize, egs: &mut [PodGroup]) {
        let Some(template) = self.templates.get(&group.id) else { return };
        self.snapshot.fork();
        let node = Arc::new(template.node.clone());
        let pods = template.pods.clone();
        let slot = self.snapshot.add_node(SnapshotNode::new(node, pods, Some(place)));
        for eg in egs.iter_mut() {
            match self.snapshot.check(self.view, &eg.pods[0], slot) {
                Ok(()) => {
                    eg.is_schedulable = true;
                    eg.schedulable_groups.push(group.id.clone());
                }
                Err(rejection) => {
                    eg.errors.insert(group.id.clone(), rejection.reasons);
                }
            }
        }
        self.snapshot.revert();
    }

    /// The expansion option of a group (`ComputeExpansionOption`).
    fn expansion_option(
        &mut self,
        groups: &[NodeGroup],
        place: usize,
        valid: &[usize],
        egs: &[PodGroup],
    ) -> ExpansionOption {
        let group = &groups[place];
        let mut option = ExpansionOption {
            group: place,
            name: group.id.clone(),
            nodes: 0,
            pods: Vec::new(),
            similar: Vec::new(),
            price: None,
        };
        let schedulable = schedulable(egs, &group.id);
        let Some(template) = self.templates.get(&group.id).filter(|_| !schedulable.is_empty())
        else {
            return option;
        };
        option.similar = self.similar_groups(groups, place, valid, egs);
        let room = |group: &NodeGroup| group.max_size.saturating_sub(group.target_size).max(0);
        let similar_room: i64 = option.similar.iter().map(|at| room(&groups[*at])).sum();
        let limits = EstimationLimits {
            per_scale_up: self.options.max_nodes_per_scaleup,
            group_room: room(group) + similar_room,
            cluster_max: self.options.max_nodes_total,
            cluster_now: self.node_count,
        };
        let pods = schedulable.into_iter().map(|eg| &eg.pods[..]).collect();
        (option.nodes, option.pods) = estimate(self.snapshot, self.view, pods, template, limits);
        option
    }

    /// The similar groups that may grow and can take the same pods (`ComputeSimilarNodeGroups`).
    fn similar_groups(
        &self,
        groups: &[NodeGroup],
        place: usize,
        valid: &[usize],
        egs: &[PodGroup],
    ) -> Vec<usize> {
        let group = &groups[place];
        let Some(own) = self.templates.get(&group.id) else { return Vec::new() };
        if !self.options.balance_similar_node_groups {
            return Vec::new();
        }
        let is_similar = |other: &usize| {
            let candidate = &groups[*other];
            *other != place
                && valid.contains(other)
                && self.unsafe_reason(candidate).is_none()
                && schedulable(egs, &group.id)
                    .iter()
                    .all(|eg| eg.schedulable_groups.contains(&candidate.id))
                && self.templates.get(&candidate.id).is_some_and(|template| {
                    are_similar(own, template, self.ignored_labels, self.options)
                })
        };
        (0..groups.len()).filter(is_similar).collect()
    }

    /// The target sizes of the groups for an option, within the limits of the cluster.
    fn plan(
        &mut self,
        groups: &[NodeGroup],
        best: &ExpansionOption,
        valid: &[usize],
        egs: &[PodGroup],
        quotas: &mut Quotas,
    ) -> Result<Vec<ScaleUpInfo>, String> {
        let group = &groups[best.group];
        let capped = capped_by_total(best.nodes, self.node_count, self.options.max_nodes_total);
        let nodes = capped.ok_or("max node total count already reached")?;
        let Some(template) = self.templates.get(&group.id) else {
            return Err("No node info for best expansion option!".to_owned());
        };
        let nodes = quotas.check(&template.node, Some(group), nodes, self.cloud).nodes;
        let mut targets = vec![group];
        for place in self.similar_groups(groups, best.group, valid, egs) {
            let similar = &groups[place];
            let Some(template) = self.templates.get(&similar.id) else { continue };
            if quotas.check(&template.node, Some(similar), 1, self.cloud).is_full() {
                targets.push(similar);
            }
        }
        let mut infos = balance(&targets, nodes);
        for info in &mut infos {
            let group = groups.iter().find(|group| group.id == info.group);
            let template = self.templates.get(&info.group);
            let (Some(group), Some(template)) = (group, template) else { continue };
            let delta = info.to - info.from;
            let allowed = quotas.check(&template.node, Some(group), delta, self.cloud).nodes;
            info.to = info.from + allowed.min(delta);
            if allowed > 0 {
                quotas.take(&template.node, Some(group), allowed.min(delta), self.cloud);
            }
        }
        infos.retain(|info| info.to != info.from);
        Ok(infos)
    }
}

/// The number of new nodes capped by `max-nodes-total`; absent if none is allowed (`GetCappedNewNodeCount`).
fn capped_by_total(nodes: i64, now: i64, max: i64) -> Option<i64> {
    if max <= 0 || nodes + now <= max {
        return Some(nodes);
    }
    Some(max - now).filter(|left| *left >= 1)
}

/// The pod groups that fit a new node of a group.
fn schedulable<'a>(egs: &'a [PodGroup], group: &Name) -> Vec<&'a PodGroup> {
    egs.iter().filter(|eg| eg.schedulable_groups.contains(group)).collect()
}

fn no_options(egs: &[PodGroup], skipped: &BTreeMap<Name, Vec<String>>) -> ScaleUpReport {
    ScaleUpReport {
        result: ScaleUpResult::NoOptionsAvailable,
        remain: remaining(egs, skipped),
        ..ScaleUpReport::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_nodes_caps_new_ones() {
        assert_eq!(capped_by_total(5, 10, 0), Some(5));
        assert_eq!(capped_by_total(5, 10, 15), Some(5));
        assert_eq!(capped_by_total(5, 10, 14), Some(4));
        assert_eq!(capped_by_total(5, 10, 10), None);
    }
}
