//! The state of the groups' nodes and instances, and the pending scale-ups and removals
//! (`cluster-autoscaler/clusterstate`).

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use super::backoff::Backoffs;
use super::nodes::LoopNode;
use super::options::Options;
use super::provider::{CloudProvider, InstanceError, InstanceState, NodeGroup};
use cluster::Name;
use engine::{SimDuration, SimTime};

/// How long a requested deletion may take (`MaxCloudProviderNodeDeletionTime`).
const DELETION_TIME: SimDuration = SimDuration::from_secs(300);

/// Nodes and instances of a group, or of the cluster, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Ready nodes.
    pub ready: i64,
    /// Nodes that are not ready although their startup time is over.
    pub unready: i64,
    /// Nodes whose machine is gone.
    pub deleted: i64,
    /// Nodes that are not ready yet.
    pub not_started: Vec<Name>,
    /// All registered nodes.
    pub registered: i64,
    /// Instances that have been unregistered for too long.
    pub long_unregistered: i64,
    /// Instances that have not registered as nodes yet.
    pub unregistered: i64,
}

/// A pending scale-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleUpRequest {
    /// Number of requested nodes.
    pub increase: i64,
    /// Time by which they must be there (`ExpectedAddTime`).
    pub expected_by: SimTime,
}

/// The acceptable numbers of nodes of a group, and its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct AcceptableRange {
    min_nodes: i64,
    target: i64,
}

/// A group whose number of nodes differs from its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IncorrectSize {
    current: i64,
    expected: i64,
    first_observed: SimTime,
}

/// The state of all groups.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    requests: BTreeMap<Name, ScaleUpRequest>,
    /// Groups of requested deletions, each with its deadline.
    removals: Vec<(Name, SimTime)>,
    readiness: BTreeMap<Name, Readiness>,
    total: Readiness,
    nodes: i64,
    ranges: BTreeMap<Name, AcceptableRange>,
    incorrect: BTreeMap<Name, IncorrectSize>,
    /// Unregistered instances, with their group and the time at which they were first seen.
    unregistered: BTreeMap<Name, (Name, SimTime)>,
    /// Instances that failed to be created, by group, with their last error.
    failed: BTreeMap<Name, BTreeMap<Name, InstanceError>>,
    /// Back-offs of failed groups.
    pub backoffs: Backoffs,
    /// Times of each group's last changes.
    pub(crate) last_changes: LastChanges,
}

/// Times of each group's last changes, for delays per group (`scale-down-delay-type-local`).
#[derive(Clone, Debug, Default)]
pub(crate) struct LastChanges {
    scale_ups: BTreeMap<Name, SimTime>,
    scale_downs: BTreeMap<Name, SimTime>,
    failures: BTreeMap<Name, SimTime>,
}

impl LastChanges {
    /// True if it is too early to remove nodes of a group.
    pub(crate) fn delay(&self, group: &Name, options: &Options, now: SimTime) -> bool {
        let is_recent = |times: &BTreeMap<Name, SimTime>, delay: SimDuration| {
            times.get(group).is_some_and(|at| *at + delay > now)
        };
        is_recent(&self.scale_ups, options.scale_down_delay_after_add)
            || is_recent(&self.scale_downs, options.scale_down_delay_after_delete)
            || is_recent(&self.failures, options.scale_down_delay_after_failure)
    }

    /// The cloud refused to delete a node of a group.
    pub(crate) fn failed(&mut self, group: &Name, now: SimTime) {
        self.failures.insert(group.clone(), now);
    }
}

impl Registry {
    /// Updates the state of all nodes and instances (`UpdateNodes`).
    pub(crate) fn update(
        &mut self,
        nodes: &[LoopNode],
        cloud: &mut dyn CloudProvider,
        options: &Options,
        now: SimTime,
    ) {
        let failed_before = std::mem::take(&mut self.failed);
        self.update_instances(nodes, cloud, now);
        self.update_readiness(nodes, cloud, options, now);
        self.update_ranges(cloud);
        self.update_requests(cloud, options, now);
        self.handle_creation_errors(cloud, &failed_before, options, now);
        self.update_ranges(cloud);
        self.update_incorrect_sizes(cloud, now);
    }

    fn update_instances(&mut self, nodes: &[LoopNode], cloud: &dyn CloudProvider, now: SimTime) {
        // Only ever looked up, never iterated.
        let registered: FxHashSet<&Name> = nodes.iter().map(LoopNode::name).collect();
        let mut unregistered = BTreeMap::new();
        for group in cloud.node_groups() {
            cloud.each_instance(&group.id, &mut |name, state| match state {
                InstanceState::Creating(Some(error)) => {
                    let failed = self.failed.entry(group.id.clone()).or_default();
                    failed.insert(name.clone(), error);
                }
                InstanceState::Deleting => {}
                InstanceState::Running | InstanceState::Creating(None) => {
                    if !registered.contains(name) {
                        let known = self.unregistered.get(name).cloned();
                        let since = known.unwrap_or_else(|| (group.id.clone(), now));
                        unregistered.insert(name.clone(), since);
                    }
                }
            });
        }
        self.unregistered = unregistered;
    }

    fn update_readiness(
        &mut self,
        nodes: &[LoopNode],
        cloud: &dyn CloudProvider,
        options: &Options,
        now: SimTime,
    ) {
        let groups = cloud.node_groups();
        let startup_times: Vec<_> =
            groups.iter().map(|group| group.options.resolved(options).startup_time).collect();
        let mut of_groups: Vec<Option<Readiness>> = vec![None; groups.len()];
        let mut total = Readiness::default();
        for one in nodes {
            let group = one.group.filter(|group| *group < groups.len());
            let startup_time =
                group.map_or(options.max_node_startup_time, |group| startup_times[group]);
            let is_deleted = !one.has_instance;
            total.count(one, is_deleted, startup_time, now);
            if let Some(group) = group {
                let readiness = of_groups[group].get_or_insert_default();
                readiness.count(one, is_deleted, startup_time, now);
            }
        }
        let of_groups = groups.iter().zip(of_groups);
        let mut by_group: BTreeMap<Name, Readiness> = of_groups
            .filter_map(|(group, readiness)| Some((group.id.clone(), readiness?)))
            .collect();
        for (group, since) in self.unregistered.values() {
            let known = groups.iter().find(|one| one.id == *group);
            let Some(known) = known else { continue };
            let provision_time = known.options.resolved(options).provision_time;
            let readiness = by_group.entry(group.clone()).or_default();
            if *since + provision_time < now {
                readiness.long_unregistered += 1;
                total.long_unregistered += 1;
            } else {
                readiness.unregistered += 1;
                total.unregistered += 1;
            }
        }
        self.readiness = by_group;
        self.total = total;
        self.nodes = count(nodes.len());
    }

    fn update_ranges(&mut self, cloud: &dyn CloudProvider) {
        self.ranges.clear();
        for group in cloud.node_groups() {
            let target = group.target_size;
            let missing = self.readiness.get(&group.id).map_or(0, |one| one.long_unregistered);
            let asked = self.requests.get(&group.id).map_or(0, |request| request.increase);
            let range = AcceptableRange { min_nodes: target - missing - asked, target };
            self.ranges.insert(group.id.clone(), range);
        }
    }

    /// Updates the state after targets have changed (`Recalculate`).
    pub(crate) fn recalculate(&mut self, cloud: &dyn CloudProvider) {
        self.update_ranges(cloud);
    }

    fn update_requests(&mut self, cloud: &mut dyn CloudProvider, options: &Options, now: SimTime) {
        self.backoffs.forget(options, now);
        for (group, request) in std::mem::take(&mut self.requests) {
            if self.upcoming_in(&group) <= 0 {
                continue;
            }
            if request.expected_by >= now {
                self.requests.insert(group, request);
                continue;
            }
            self.backoffs.failed(&group, None, options, now);
            // The cloud refuses if the instances exist, and the target stays.
            let _ = cloud.decrease_target_size(&group, request.increase, now);
        }
        self.removals.retain(|(_, expected_by)| *expected_by > now);
    }

    fn handle_creation_errors(
        &mut self,
        cloud: &dyn CloudProvider,
        before: &BTreeMap<Name, BTreeMap<Name, InstanceError>>,
        options: &Options,
        now: SimTime,
    ) {
        for group in cloud.node_groups() {
            let mut unseen: BTreeMap<InstanceError, i64> = BTreeMap::new();
            for (instance, error) in self.failed.get(&group.id).into_iter().flatten() {
                let was_seen =
                    before.get(&group.id).is_some_and(|seen| seen.contains_key(instance));
                if !was_seen {
                    *unseen.entry(error.clone()).or_default() += 1;
                }
            }
            for (error, instances) in unseen {
                if self.is_scaling_up(&group.id) {
                    self.register_scale_up(group, -instances, options, now);
                    self.backoffs.failed(&group.id, Some(error), options, now);
                }
            }
        }
    }

    fn update_incorrect_sizes(&mut self, cloud: &dyn CloudProvider, now: SimTime) {
        let before = std::mem::take(&mut self.incorrect);
        for group in cloud.node_groups() {
            let (Some(range), Some(readiness)) =
                (self.ranges.get(&group.id), self.readiness.get(&group.id))
            else {
                continue;
            };
            let unregistered = readiness.unregistered + readiness.long_unregistered;
            let (current, expected) = (readiness.registered, range.target);
            if current > expected || current < expected - unregistered {
                let known = before.get(&group.id);
                let known =
                    known.filter(|known| (known.current, known.expected) == (current, expected));
                let first_observed = known.map_or(now, |known| known.first_observed);
                let incorrect = IncorrectSize { current, expected, first_observed };
                self.incorrect.insert(group.id.clone(), incorrect);
            }
        }
    }

    /// Registers requested nodes of a group, or fewer of them if `delta` is negative
    /// (`registerOrUpdateScaleUpNoLock`). Additional nodes restart the deadline of the whole request.
    pub(crate) fn register_scale_up(
        &mut self,
        group: &NodeGroup,
        delta: i64,
        options: &Options,
        now: SimTime,
    ) {
        let expected_by = now + group.options.resolved(options).provision_time;
        if delta > 0 {
            self.last_changes.scale_ups.insert(group.id.clone(), now);
        }
        let known = self.requests.get(&group.id).copied();
        let increase = known.map_or(0, |request| request.increase) + delta;
        if increase <= 0 {
            self.requests.remove(&group.id);
            return;
        }
        let kept = known.filter(|_| delta <= 0).map(|request| request.expected_by);
        let request = ScaleUpRequest { increase, expected_by: kept.unwrap_or(expected_by) };
        self.requests.insert(group.id.clone(), request);
    }

    /// Registers the requested deletion of a node of a group.
    pub(crate) fn register_scale_down(&mut self, group: &Name, now: SimTime) {
        self.removals.push((group.clone(), now + DELETION_TIME));
        self.last_changes.scale_downs.insert(group.clone(), now);
    }

    /// True if the number of unready nodes is low enough to act (`IsClusterHealthy`).
    pub fn is_cluster_healthy(&self, options: &Options) -> bool {
        exceeds(self.total.unready, self.nodes, options).is_none()
    }

    /// True if the number of missing nodes of a group is low enough (`IsNodeGroupHealthy`).
    pub fn is_group_healthy(&self, group: &str, options: &Options) -> bool {
        let Some(range) = self.ranges.get(group) else { return false };
        let Some(readiness) = self.readiness.get(group) else {
            return range.target == 0 || range.min_nodes == 0 && range.target > 0;
        };
        let missing = (range.min_nodes - readiness.ready).max(0);
        let not_started = count(readiness.not_started.len());
        let all = readiness.ready + readiness.unready + not_started;
        exceeds(missing, all, options).is_none()
    }

    /// Number of nodes of a group that are still to become ready, regardless of who requested them.
    fn upcoming_in(&self, group: &str) -> i64 {
        let Some(range) = self.ranges.get(group) else { return 0 };
        let present = self.readiness.get(group).map_or(0, |readiness| {
            readiness.ready + readiness.unready + readiness.long_unregistered
        });
        range.target - present
    }

    /// True if a group waits for requested nodes.
    pub(crate) fn is_scaling_up(&self, group: &str) -> bool {
        self.upcoming_in(group) > 0 && self.requests.contains_key(group)
    }

    /// Number of upcoming nodes of each group, and those of them that are already registered (`GetUpcomingNodes`):
    /// for groups with a pending request that are not in back-off.
    pub(crate) fn upcoming(
        &self,
        groups: &[NodeGroup],
        now: SimTime,
    ) -> Vec<(usize, i64, Vec<Name>)> {
        let mut upcoming = Vec::new();
        for (place, group) in groups.iter().enumerate() {
            let number = self.upcoming_in(&group.id);
            let is_open = self.requests.contains_key(&group.id);
            if number > 0 && is_open && self.backoffs.active(&group.id, now).is_none() {
                let readiness = self.readiness.get(&group.id);
                let registered = readiness.map(|one| one.not_started.clone());
                upcoming.push((place, number, registered.unwrap_or_default()));
            }
        }
        upcoming
    }

    /// The instances that have been unregistered for too long, by group.
    pub(crate) fn long_unregistered(
        &self,
        groups: &[NodeGroup],
        options: &Options,
        now: SimTime,
    ) -> BTreeMap<Name, Vec<Name>> {
        let mut long: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
        for (instance, (group, since)) in &self.unregistered {
            let Some(known) = groups.iter().find(|one| one.id == *group) else { continue };
            if *since + known.options.resolved(options).provision_time < now {
                long.entry(group.clone()).or_default().push(instance.clone());
            }
        }
        long
    }

    /// The instances that failed to be created, by group.
    pub(crate) fn failed_instances(&self) -> Vec<(Name, Vec<Name>)> {
        let groups = self.failed.iter();
        groups.map(|(group, failed)| (group.clone(), failed.keys().cloned().collect())).collect()
    }

    /// By how much to lower the target of a group whose nodes have been missing for too long (`fixNodeGroupSize`).
    pub(crate) fn surplus_target(
        &self,
        group: &NodeGroup,
        options: &Options,
        now: SimTime,
    ) -> Option<i64> {
        let incorrect = self.incorrect.get(&group.id)?;
        let provision_time = group.options.resolved(options).provision_time;
        let surplus = incorrect.expected - incorrect.current;
        (incorrect.first_observed + provision_time < now && surplus > 0).then_some(surplus)
    }

    /// The nodes and instances of a group, as of the last update.
    pub fn readiness(&self, group: &str) -> Option<&Readiness> {
        self.readiness.get(group)
    }

    /// The pending scale-up of a group.
    pub fn request(&self, group: &str) -> Option<&ScaleUpRequest> {
        self.requests.get(group)
    }
}

impl Readiness {
    fn count(&mut self, one: &LoopNode, is_deleted: bool, startup_time: SimDuration, now: SimTime) {
        let node = &one.node;
        self.registered += 1;
        if is_deleted {
            self.deleted += 1;
        } else if one.is_ready {
            self.ready += 1;
        } else if node.meta.created + startup_time > now {
            self.not_started.push(node.meta.name().clone());
        } else {
            self.unready += 1;
        }
    }
}

/// The number if it is too high: above both the count that is always tolerated and the percentage.
fn exceeds(unready: i64, all: i64, options: &Options) -> Option<i64> {
    let limit = options.max_total_unready_percentage / 100.0 * all as f64;
    (unready > options.ok_total_unready_count && unready as f64 > limit).then_some(unready)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_unhealthy_above_both_the_count_and_the_share() {
        let options = Options::default();
        let unhealthy = |unready, all| exceeds(unready, all, &options).is_some();
        assert!(!unhealthy(3, 3));
        assert!(unhealthy(4, 8));
        assert!(!unhealthy(9, 20));
        assert!(unhealthy(10, 20));
    }
}
