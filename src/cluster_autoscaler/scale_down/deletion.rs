//! Nodes being removed: tainted, rechecked, drained and deleted (`core/scaledown/actuation`,
//! `core/scaledown/deletiontracker`).

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::budgets::{Bucket, crop};
use super::drain::{Drain, Progress, evicted_names};
use super::drainability::{DrainContext, pods_to_move};
use super::planner::{Plan, Planner};
use crate::nodes::LoopNode;
use crate::options::Options;
use crate::pdb::RemainingBudgets;
use crate::provider::CloudProvider;
use crate::registry::Registry;
use crate::report::{DeleteResult, RemovedNode, Request, ScaleDownReport, ScaleDownResult};
use crate::snapshot::{Snapshot, by_age};
use crate::taints::{TO_BE_DELETED, has_taint, to_be_deleted};
use cluster::node::{NodeId, Taint};
use cluster::pod::PodId;
use cluster::{ClusterView, Name};
use engine::SimTime;

/// The removal of a node.
#[derive(Clone, Debug)]
struct Deletion {
    group: Name,
    id: NodeId,
    is_drained: bool,
}

/// Nodes that are to be rechecked at a certain time.
#[derive(Clone, Debug)]
struct Batch {
    at: SimTime,
    nodes: Vec<Name>,
}

/// All removals in progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actuator {
    deletions: BTreeMap<Name, Deletion>,
    batches: Vec<Batch>,
    drains: Vec<Drain>,
    /// Nodes that are batched for a request to the cloud, by group, with the time of the request
    /// (`node-deletion-batcher-interval`).
    gathered: BTreeMap<Name, (SimTime, Vec<Name>)>,
    results: BTreeMap<Name, DeleteResult>,
}

/// Context of the actuation.
pub(crate) struct Actuation<'a> {
    pub(crate) view: ClusterView<'a>,
    pub(crate) snapshot: &'a mut Snapshot,
    pub(crate) cloud: &'a mut dyn CloudProvider,
    pub(crate) registry: &'a mut Registry,
    pub(crate) options: &'a Options,
    pub(crate) requests: &'a mut Vec<Request>,
}

impl Actuator {
    /// The nodes being removed: those that counted as empty, and those that are drained.
    pub(crate) fn in_progress(&self) -> (BTreeSet<Name>, BTreeSet<Name>) {
        let of = |is_drained: bool| {
            let nodes = self.deletions.iter().filter(|(_, one)| one.is_drained == is_drained);
            nodes.map(|(name, _)| name.clone()).collect()
        };
        (of(false), of(true))
    }

    /// Number of nodes being removed, by group.
    pub(crate) fn by_group(&self) -> BTreeMap<Name, i64> {
        let mut counts = BTreeMap::new();
        for deletion in self.deletions.values() {
            *counts.entry(deletion.group.clone()).or_default() += 1;
        }
        counts
    }

    /// Takes the results of removals that ended since the last call.
    pub(crate) fn take_results(&mut self) -> BTreeMap<Name, DeleteResult> {
        std::mem::take(&mut self.results)
    }

    /// Starts the removal of these nodes as far as the limits allow (`StartDeletion`). Returns their new taints.
    pub(crate) fn start(
        &mut self,
        planner: &mut Planner,
        plan: &mut Plan<'_>,
        nodes: &[LoopNode],
        report: &mut ScaleDownReport,
        requests: &mut Vec<Request>,
    ) -> BTreeMap<NodeId, Vec<Taint>> {
        let chosen = planner.nodes_to_delete(plan);
        // Only ever looked up, never iterated.
        let by_name: FxHashMap<&Name, &LoopNode> =
            nodes.iter().map(|one| (one.name(), one)).collect();
        let find = |name: &Name| by_name.get(name).copied();
        let group_of = |name: &Name| find(name).and_then(|one| one.group);
        let (empty, drained) = self.in_progress();
        let (empty, drain) = crop(&chosen, (empty.len(), drained.len()), &group_of, plan.options);
        report.result = ScaleDownResult::NoNodeDeleted;
        let mut taints = BTreeMap::new();
        let now = plan.view.now;
        for (buckets, is_drained) in [(empty, false), (drain, true)] {
            for Bucket { group, nodes: names } in buckets {
                report.result = ScaleDownResult::NodeDeleteStarted;
                let Some(group) = plan.cloud.node_groups().get(group) else { continue };
                for node in names.iter().filter_map(find) {
                    taints.insert(node.id, taint(node, plan.options, now, requests));
                    let slot = plan.snapshot.slot(node.name());
                    let evicted = slot.map(|slot| evicted_names(&plan.snapshot.node(slot).pods));
                    report.nodes.push(RemovedNode {
                        node: node.name().clone(),
                        group: group.id.clone(),
                        evicted: evicted.filter(|_| is_drained),
                    });
                    let deletion = Deletion { group: group.id.clone(), id: node.id, is_drained };
                    self.deletions.insert(node.name().clone(), deletion);
                }
                let at = now + plan.options.node_delete_delay_after_taint;
                self.batches.push(Batch { at, nodes: names });
            }
        }
        taints
    }

    /// When there is work next.
    pub(crate) fn next(&self, now: SimTime) -> Option<SimTime> {
        let batches = self.batches.iter().map(|batch| batch.at);
        let drains = self.drains.iter().map(|drain| drain.next(now));
        let gathered = self.gathered.values().map(|(at, _)| *at);
        batches.chain(drains).chain(gathered).min()
    }

    /// Records a refused eviction.
    pub(crate) fn eviction_refused(&mut self, pod: PodId, now: SimTime) {
        for drain in &mut self.drains {
            drain.refused(pod, now);
        }
    }

    /// Performs the work that is due.
    pub(crate) fn act(&mut self, actuation: &mut Actuation<'_>) {
        let now = actuation.view.now;
        let (due, later) =
            std::mem::take(&mut self.batches).into_iter().partition(|one| one.at <= now);
        self.batches = later;
        let due: Vec<Batch> = due;
        for batch in due {
            for node in batch.nodes {
                self.look_again(node, actuation);
            }
        }
        let mut running = Vec::new();
        for mut drain in std::mem::take(&mut self.drains) {
            match drain.step(actuation.view, actuation.options, actuation.requests) {
                Progress::Runs => running.push(drain),
                Progress::Done => self.freed(drain.node, actuation),
                Progress::Failed => {
                    self.abort(&drain.node, DeleteResult::FailedToEvictPods, actuation);
                }
            }
        }
        self.drains.extend(running);
        let ready = self.gathered.iter().filter(|(_, (at, _))| *at <= now);
        let ready: Vec<Name> = ready.map(|(group, _)| group.clone()).collect();
        for group in ready {
            if let Some((_, nodes)) = self.gathered.remove(&group) {
                self.delete(&group, &nodes, actuation);
            }
        }
    }

    /// Rechecks a node with the current pods and budgets, and starts to evict its pods.
    fn look_again(&mut self, node: Name, actuation: &mut Actuation<'_>) {
        let Some(Deletion { id, is_drained, .. }) = self.deletions.get(&node).cloned() else {
            return;
        };
        let (view, options) = (actuation.view, actuation.options);
        let mut pods = Vec::new();
        for (pod, object) in view.store().pods_on(id) {
            let info = actuation.snapshot.pod(view, pod);
            let info =
                info.filter(|info| !info.is_expendable(options.expendable_pods_priority_cutoff));
            pods.extend(info.filter(|_| !object.phase.is_terminal()));
        }
        pods.sort_by(|one, other| by_age(one, other));
        let budgets = RemainingBudgets::new(view);
        let context = DrainContext {
            options,
            budgets: Some(&budgets).filter(|_| is_drained),
            view: Some(view).filter(|_| is_drained),
            now: view.now,
        };
        match pods_to_move(&pods, context) {
            Ok(moved) if is_drained || moved.pods.is_empty() && !moved.has_on_completion => {
                let drain = Drain::new((node, id), &pods, &moved, is_drained, options, view.now);
                self.drains.push(drain);
            }
            _ => self.abort(&node, DeleteResult::Internal, actuation),
        }
    }

    fn freed(&mut self, node: Name, actuation: &mut Actuation<'_>) {
        let Some(group) = self.deletions.get(&node).map(|one| one.group.clone()) else { return };
        let interval = actuation.options.node_deletion_batcher_interval;
        if interval == engine::SimDuration::ZERO {
            self.delete(&group, &[node], actuation);
            return;
        }
        let at = actuation.view.now + interval;
        self.gathered.entry(group).or_insert_with(|| (at, Vec::new())).1.push(node);
    }

    fn delete(&mut self, group: &Name, nodes: &[Name], actuation: &mut Actuation<'_>) {
        let now = actuation.view.now;
        if actuation.cloud.delete_nodes(group, nodes, now).is_err() {
            actuation.registry.last_changes.failed(group, now);
            for node in nodes {
                self.abort(node, DeleteResult::FailedToDelete, actuation);
            }
            return;
        }
        for node in nodes {
            actuation.registry.register_scale_down(group, now);
            self.deletions.remove(node);
            self.results.insert(node.clone(), DeleteResult::Ok);
        }
    }

    /// Gives up a removal: the node stays.
    fn abort(&mut self, node: &Name, result: DeleteResult, actuation: &mut Actuation<'_>) {
        if let Some(deletion) = self.deletions.remove(node) {
            untaint(deletion.id, actuation.view, actuation.options, actuation.requests);
        }
        self.results.insert(node.clone(), result);
    }
}

/// Taints a node for removal, and cordons it; returns its taints.
fn taint(
    node: &LoopNode,
    options: &Options,
    now: SimTime,
    requests: &mut Vec<Request>,
) -> Vec<Taint> {
    let mut taints = node.node.taints.clone();
    if !has_taint(&node.node, TO_BE_DELETED) {
        taints.push(to_be_deleted(now));
        requests.push(Request::SetTaints(node.id, taints.clone()));
        if options.cordon_node_before_terminating {
            requests.push(Request::SetUnschedulable(node.id, true));
        }
    }
    taints
}

/// Removes the taint again (`CleanToBeDeleted`).
pub(crate) fn untaint(
    id: NodeId,
    view: ClusterView<'_>,
    options: &Options,
    requests: &mut Vec<Request>,
) {
    let Some(node) = view.nodes().get(id).filter(|node| has_taint(node, TO_BE_DELETED)) else {
        return;
    };
    let others = node.taints.iter().filter(|taint| *taint.key != *TO_BE_DELETED);
    requests.push(Request::SetTaints(id, others.cloned().collect()));
    if options.cordon_node_before_terminating {
        requests.push(Request::SetUnschedulable(id, false));
    }
}
