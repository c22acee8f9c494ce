//! Determines which nodes are unneeded, and which of them to remove now (`core/scaledown/planner`).

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use super::assessment::{Assessment, Assessments};
use super::drainability::{BlockingReason, DrainContext};
use super::eligibility::examine;
use super::removal::{NodeToBeRemoved, simulate_removal};
use super::unneeded::{Unneeded, UnneededNode, UnneededNodes};
use crate::hinting::HintingSimulator;
use crate::natural_cmp;
use crate::nodes::LoopNode;
use crate::options::Options;
use crate::pdb::RemainingBudgets;
use crate::provider::CloudProvider;
use crate::quotas::{Bound, Quotas};
use crate::snapshot::Snapshot;
use cluster::{ClusterView, Name, NamespacedName};
use engine::{SimDuration, SimTime};

/// Why a node cannot be removed (`simulator.UnremovableReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnremovableReason {
    /// An annotation prevents its removal.
    ScaleDownDisabledAnnotation,
    /// It is not ready, and the removal of such nodes is disabled.
    ScaleDownUnreadyDisabled,
    /// It belongs to no group.
    NotAutoscaled,
    /// It has not been unneeded for long enough.
    NotUnneededLongEnough,
    /// It has not been unready for long enough.
    NotUnreadyLongEnough,
    /// Its group would fall below its minimum size.
    NodeGroupMinSizeReached,
    /// The cluster would fall below a minimum of its resource limits.
    MinimalResourceLimitExceeded,
    /// It is already being removed.
    CurrentlyBeingDeleted,
    /// Its utilization is too high.
    NotUnderutilized,
    /// Its removal failed in simulation recently.
    RecentlyUnremovable,
    /// Its pods fit nowhere else.
    NoPlaceToMovePods,
    /// A pod blocks its removal.
    BlockedByPod,
    /// A pod must complete first.
    BlockedByOnCompletionPod,
    /// Its resources are unknown.
    UnexpectedError,
}

impl UnremovableReason {
    /// The name in the real autoscaler.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ScaleDownDisabledAnnotation => "ScaleDownDisabledAnnotation",
            Self::ScaleDownUnreadyDisabled => "ScaleDownUnreadyDisabled",
            Self::NotAutoscaled => "NotAutoscaled",
            Self::NotUnneededLongEnough => "NotUnneededLongEnough",
            Self::NotUnreadyLongEnough => "NotUnreadyLongEnough",
            Self::NodeGroupMinSizeReached => "NodeGroupMinSizeReached",
            Self::MinimalResourceLimitExceeded => "MinimalResourceLimitExceeded",
            Self::CurrentlyBeingDeleted => "CurrentlyBeingDeleted",
            Self::NotUnderutilized => "NotUnderutilized",
            Self::RecentlyUnremovable => "RecentlyUnremovable",
            Self::NoPlaceToMovePods => "NoPlaceToMovePods",
            Self::BlockedByPod => "BlockedByPod",
            Self::BlockedByOnCompletionPod => "BlockedByOnCompletionPod",
            Self::UnexpectedError => "UnexpectedError",
        }
    }
}

/// A node that cannot be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unremovable {
    /// The reason.
    pub reason: UnremovableReason,
    /// The pod that blocks its removal, if any, and why.
    pub pod: Option<(NamespacedName, BlockingReason)>,
}

impl From<UnremovableReason> for Unremovable {
    fn from(reason: UnremovableReason) -> Self {
        Self { reason, pod: None }
    }
}

/// The planner's state between loops.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planner {
    unneeded: UnneededNodes,
    assessments: Assessments,
    /// Unremovable nodes, each with the time until which it is skipped. Only ever looked up, never iterated.
    parked: FxHashMap<Name, SimTime>,
    hints: HintingSimulator,
    last_update: Option<SimTime>,
    /// Shortest interval between two loops so far.
    min_update_interval: Option<SimDuration>,
}

/// Input of the planner.
pub(crate) struct Plan<'a> {
    pub(crate) view: ClusterView<'a>,
    pub(crate) snapshot: &'a mut Snapshot,
    pub(crate) cloud: &'a dyn CloudProvider,
    pub(crate) options: &'a Options,
    /// Names of the nodes being removed.
    pub(crate) deleting: &'a BTreeSet<Name>,
    /// Number of nodes being removed, by group.
    pub(crate) deletions: &'a BTreeMap<Name, i64>,
}

/// Names of the nodes to remove now: empty ones, and those that must be drained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodesToDelete {
    pub(super) empty: Vec<Name>,
    pub(super) drain: Vec<Name>,
}

impl Planner {
    /// Determines which candidates can be removed (`UpdateClusterState`). Pods may be moved to any of `nodes`.
    pub(crate) fn update(&mut self, plan: &mut Plan<'_>, nodes: &[LoopNode], candidates: &[usize]) {
        let now = plan.view.now;
        let least = plan.options.scale_down_unneeded_time.max(SimDuration::from_nanos(1));
        let least = *self.min_update_interval.get_or_insert(least);
        if let Some(last) = self.last_update {
            self.min_update_interval = Some(least.min(now - last));
        }
        self.last_update = Some(now);
        plan.snapshot.fork();
        let mut destinations = vec![false; plan.snapshot.capacity()];
        for one in nodes.iter().filter(|one| !plan.deleting.contains(one.name())) {
            if let Some(slot) = plan.snapshot.slot_of(one.id) {
                destinations[slot] = true;
            }
        }
        let candidates: Vec<&LoopNode> = candidates
            .iter()
            .map(|place| &nodes[*place])
            .filter(|one| !plan.deleting.contains(one.name()))
            .collect();
        self.categorize(plan, &candidates, destinations);
        self.hints.drop_old();
        plan.snapshot.revert();
    }

    fn categorize(&mut self, plan: &mut Plan<'_>, candidates: &[&LoopNode], mut free: Vec<bool>) {
        let now = plan.view.now;
        let snapshot = &*plan.snapshot;
        self.parked.retain(|name, until| *until > now && snapshot.slot(name).is_some());
        let eligible = self.eligible(plan, candidates);
        let parked_until = now + plan.options.unremovable_node_recheck_timeout;
        let limit = self.limit(plan.options);
        let mut budgets = RemainingBudgets::new(plan.view);
        let mut removable = Vec::new();
        for one in eligible {
            if i64::try_from(removable.len()).is_ok_and(|number| number >= limit) {
                break;
            }
            let Some(slot) = plan.snapshot.slot_of(one.id) else { continue };
            let node = plan.snapshot.node(slot).clone();
            let view = plan.view;
            let (options, budgets_now) = (plan.options, Some(&budgets));
            let context = DrainContext { options, budgets: budgets_now, view: Some(view), now };
            let hints = &mut self.hints;
            match simulate_removal(plan.snapshot, hints, view, slot, &free, context) {
                Ok(mut removal) => {
                    removal.is_risky = !budgets.allow_together(&removal.pods);
                    free[slot] = false;
                    budgets.take(&removal.pods);
                    let group = node.group.and_then(|group| plan.cloud.node_groups().get(group));
                    if let Some(group) = group {
                        let group = group.options.resolved(plan.options);
                        removable.push((removal, node, group));
                    }
                }
                Err((reason, pod)) => {
                    let pod = pod.map(|(pod, reason)| (pod.name.clone(), reason));
                    self.parked.insert(one.name().clone(), parked_until);
                    self.assessments.keep(Some(slot), one.name(), Unremovable { reason, pod });
                }
            }
        }
        self.unneeded.update(removable, now);
    }

    /// The candidates with a low enough utilization (`FilterOutUnremovable`).
    fn eligible<'n>(&mut self, plan: &Plan<'_>, candidates: &[&'n LoopNode]) -> Vec<&'n LoopNode> {
        let now = plan.view.now;
        let groups = plan.cloud.node_groups();
        let resolved: Vec<_> =
            groups.iter().map(|group| group.options.resolved(plan.options)).collect();
        let mut eligible = Vec::new();
        self.assessments.clear();
        for one in candidates {
            let name = one.name();
            let slot = plan.snapshot.slot_of(one.id);
            let (reason, utilization) = match slot {
                None => (Some(UnremovableReason::UnexpectedError), None),
                Some(_) if self.parked.contains_key(name) => {
                    (Some(UnremovableReason::RecentlyUnremovable), None)
                }
                Some(slot) => {
                    let group = one.group.and_then(|group| resolved.get(group).copied());
                    let label = plan.cloud.gpu_label();
                    examine(plan.snapshot.node(slot), group, label, plan.options, now)
                }
            };
            if reason.is_none() {
                eligible.push(*one);
            }
            let unremovable = reason.map(Unremovable::from);
            self.assessments
                .push(slot, Assessment { node: name.clone(), utilization, unremovable });
        }
        eligible
    }

    /// Most nodes that may count as unneeded: as many as can be removed within the time until they must be
    /// rechecked, and at most twice the parallelism more than now (`unneededNodesLimit`).
    fn limit(&self, options: &Options) -> i64 {
        let parallelism = options.max_scale_down_parallelism;
        let known = i64::try_from(self.unneeded.0.len()).unwrap_or(i64::MAX);
        let limit = known.saturating_add(parallelism).saturating_add(parallelism);
        let interval = self.min_update_interval.unwrap_or(SimDuration::ZERO).as_nanos().max(1);
        let time = options.scale_down_unneeded_time.as_nanos().max(interval);
        let upper = parallelism.saturating_mul(time / interval).saturating_add(parallelism);
        limit.min(upper)
    }

    /// Resets the unneeded nodes.
    pub(crate) fn clear(&mut self) {
        self.unneeded.0.clear();
    }

    /// The nodes to remove now, if deletions may start (`NodesToDelete`).
    pub(super) fn nodes_to_delete(&mut self, plan: &mut Plan<'_>) -> NodesToDelete {
        let now = plan.view.now;
        let mut quotas = Quotas::new(plan.snapshot, plan.cloud, plan.options, Bound::Min);
        let groups = plan.cloud.node_groups();
        let mut sizes: Vec<i64> = groups.iter().map(|group| group.target_size).collect();
        let mut chosen: Vec<(u8, Name)> = Vec::new();
        for is_empty in [true, false] {
            let mut in_order: Vec<_> = self.unneeded.0.iter().collect();
            in_order.sort_by(|(one, _), (other, _)| natural_cmp(one, other));
            for (name, unneeded) in in_order {
                if unneeded.removal.pods.is_empty() != is_empty {
                    continue;
                }
                let group = unneeded.node.group;
                let known = group.and_then(|place| Some((place, groups.get(place)?)));
                let reason = unneeded.waits(now).or_else(|| {
                    let Some((place, group)) = known else {
                        return Some(UnremovableReason::NotAutoscaled);
                    };
                    let leaving = plan.deletions.get(&group.id).copied().unwrap_or(0);
                    if sizes[place] - leaving <= group.min_size {
                        return Some(UnremovableReason::NodeGroupMinSizeReached);
                    }
                    let allowed = quotas.take(&unneeded.node.node, Some(group), 1, plan.cloud);
                    if !allowed.is_full() {
                        return Some(UnremovableReason::MinimalResourceLimitExceeded);
                    }
                    sizes[place] -= 1;
                    None
                });
                match reason {
                    Some(reason) => {
                        let slot = plan.snapshot.slot(name);
                        self.assessments.keep(slot, name, reason.into());
                    }
                    None => chosen.push((order_of(&unneeded.removal), name.clone())),
                }
            }
        }
        chosen.sort_by_key(|(order, _)| *order);
        let mut nodes = NodesToDelete::default();
        for (order, name) in chosen {
            let waits = self.unneeded.0.get(&name).is_some_and(|one| one.removal.has_on_completion);
            if waits {
                let reason = UnremovableReason::BlockedByOnCompletionPod;
                self.assessments.keep(plan.snapshot.slot(&name), &name, reason.into());
            } else if order == 0 {
                nodes.empty.push(name);
            } else {
                nodes.drain.push(name);
            }
        }
        nodes
    }

    /// The unneeded nodes, by name.
    pub(crate) fn unneeded(&self) -> BTreeMap<Name, UnneededNode> {
        self.unneeded.0.iter().map(|(name, one)| (name.clone(), one.told())).collect()
    }

    /// An unneeded node.
    pub(crate) fn unneeded_node(&self, name: &Name) -> Option<UnneededNode> {
        self.unneeded.0.get(name).map(Unneeded::told)
    }

    /// The names of the unneeded nodes, in order.
    pub(crate) fn unneeded_in_order(&self) -> impl Iterator<Item = &Name> {
        self.unneeded.0.keys()
    }

    /// The names of the unneeded nodes. Only to be looked up, not iterated.
    pub(crate) fn unneeded_names(&self) -> FxHashSet<Name> {
        self.unneeded.0.keys().cloned().collect()
    }

    /// The candidates of the last loop.
    pub(crate) const fn assessments(&self) -> &Assessments {
        &self.assessments
    }
}

/// Sort key: empty nodes first, nodes whose pods may not be disrupted together last.
fn order_of(removal: &NodeToBeRemoved) -> u8 {
    match (removal.pods.is_empty(), removal.is_risky) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}
