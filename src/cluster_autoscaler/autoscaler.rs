//! The autoscaler's main loop (`cluster-autoscaler/core/static_autoscaler.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::expander::TieBreaker;
use super::hinting::HintingSimulator;
use super::nodes::{LoopNode, NodeList};
use super::options::Options;
use super::pending::PendingPods;
use super::pod_list::{are_all_new, process, without_young};
use super::pods::PodInfo;
use super::provider::CloudProvider;
use super::registry::Registry;
use super::report::{
    LoopReport, RemainingPod, Request, ScaleDownReport, ScaleDownResult, ScaleUpReport,
    ScaleUpResult, names,
};
use super::scale_down::{
    Actuation, Actuator, Assessment, Plan, Planner, UnneededNode, Unremovable, candidates,
    is_in_cooldown, soft_taints, untaint,
};
use super::scale_up::{ScaleUp, scale_up_to_min_size};
use super::snapshot::Snapshot;
use super::taints::{DELETION_CANDIDATE, TO_BE_DELETED, has_taint};
use super::template::{TemplateRegistry, Templates};
use super::utilization::Utilization;
use cluster::pod::PodId;
use cluster::{ClusterView, Name};
use engine::{SimDuration, SimTime};

/// Assumed quiet time before the first loop.
const QUIET_BEFORE_START: SimDuration = SimDuration::from_secs(3600);

/// The autoscaler, with its state between loops. A clone is a snapshot of it.
#[derive(Clone, Debug)]
pub struct ClusterAutoscaler {
    options: Options,
    ties: TieBreaker,
    nodes: NodeList,
    snapshot: Snapshot,
    pending: PendingPods,
    templates: TemplateRegistry,
    registry: Registry,
    hints: HintingSimulator,
    planner: Planner,
    actuator: Actuator,
    /// Unneeded nodes of the last loop that determined them. Only ever looked up, never iterated.
    previous_candidates: FxHashSet<Name>,
    last_scale_up: SimTime,
    last_delete: SimTime,
    last_failure: SimTime,
    is_initialized: bool,
}

/// Nodes being removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleting {
    /// Nodes that counted as empty.
    pub empty: BTreeSet<Name>,
    /// Nodes that are being drained.
    pub drain: BTreeSet<Name>,
}

/// Working state of one loop.
struct Loop<'a> {
    view: ClusterView<'a>,
    cloud: &'a mut dyn CloudProvider,
    nodes: Vec<LoopNode>,
    templates: Templates,
    /// Nodes whose removal began before this loop.
    deleting: Deleting,
    requests: Vec<Request>,
    report: LoopReport,
    /// Number of nodes in the snapshot, including upcoming ones.
    node_count: i64,
    /// True if no deletions may start in this loop.
    forbids_scale_down: bool,
}

impl ClusterAutoscaler {
    /// An autoscaler that starts at `now`.
    pub fn new(options: Options, ties: TieBreaker, now: SimTime) -> Self {
        let quiet = now - QUIET_BEFORE_START;
        Self {
            options,
            ties,
            nodes: NodeList::default(),
            snapshot: Snapshot::new(),
            pending: PendingPods::default(),
            templates: TemplateRegistry::default(),
            registry: Registry::default(),
            hints: HintingSimulator::default(),
            planner: Planner::default(),
            actuator: Actuator::default(),
            previous_candidates: FxHashSet::default(),
            last_scale_up: quiet,
            last_delete: quiet,
            last_failure: quiet,
            is_initialized: false,
        }
    }

    /// Runs one loop (`RunOnce`). `pending` are the pods that the scheduler found no node for.
    ///
    /// The requests are to be carried out at once, in order; anything due before ([`Self::act`]) must have been
    /// done.
    pub fn run_once(
        &mut self,
        view: ClusterView<'_>,
        pending: &[PodId],
        cloud: &mut dyn CloudProvider,
    ) -> (Vec<Request>, LoopReport) {
        let mut requests = Vec::new();
        self.clean_up(view, cloud, &mut requests);
        let nodes = self.nodes.update(view, cloud);
        let (empty, drain) = self.actuator.in_progress();
        self.snapshot.sync(view, &nodes, self.options.expendable_pods_priority_cutoff);
        let templates =
            self.templates.recompute(view, cloud, &nodes, &mut self.snapshot, &self.options);
        self.registry.update(&nodes, cloud, &self.options, view.now);
        let mut this = Loop {
            view,
            cloud,
            nodes,
            templates,
            deleting: Deleting { empty, drain },
            requests,
            report: LoopReport::new(view.now),
            node_count: 0,
            forbids_scale_down: false,
        };
        self.snapshot.fork();
        if self.is_fit_to_go_on(&mut this) {
            self.go_on(&mut this, pending);
        }
        self.snapshot.drop_passing();
        self.snapshot.revert();
        this.report.scale_down.delete_results = self.actuator.take_results();
        (this.requests, this.report)
    }

    /// Performs the work that is due between loops: rechecks tainted nodes, drains and deletes them. Call it
    /// whenever [`Self::next_act`] is due, and again at the same instant until it returns no more requests.
    pub fn act(&mut self, view: ClusterView<'_>, cloud: &mut dyn CloudProvider) -> Vec<Request> {
        let mut requests = Vec::new();
        self.actuator.act(&mut Actuation {
            view,
            snapshot: &mut self.snapshot,
            cloud,
            registry: &mut self.registry,
            options: &self.options,
            requests: &mut requests,
        });
        requests
    }

    /// When [`Self::act`] is due, `now` or later; absent if no node is being removed.
    pub fn next_act(&self, now: SimTime) -> Option<SimTime> {
        self.actuator.next(now).map(|at| at.max(now))
    }

    /// Reports that the API server refused an eviction requested at `now`.
    pub fn eviction_refused(&mut self, pod: PodId, now: SimTime) {
        self.actuator.eviction_refused(pod, now);
    }

    /// Undoes what a previous autoscaler began, after a restart (`cleanUpIfRequired`).
    fn clean_up(
        &mut self,
        view: ClusterView<'_>,
        cloud: &dyn CloudProvider,
        requests: &mut Vec<Request>,
    ) {
        if std::mem::replace(&mut self.is_initialized, true) {
            return;
        }
        for (id, node) in view.nodes().iter() {
            if cloud.group_of(node).is_some() && has_taint(node, TO_BE_DELETED) {
                untaint(id, view, &self.options, requests);
            } else if self.options.max_bulk_soft_taint_count == 0
                && has_taint(node, DELETION_CANDIDATE)
            {
                let others = node.taints.iter().filter(|one| *one.key != *DELETION_CANDIDATE);
                requests.push(Request::SetTaints(id, others.cloned().collect()));
            }
        }
    }

    /// Repairs the state of instances and target sizes. Returns whether the loop continues.
    fn is_fit_to_go_on(&mut self, this: &mut Loop<'_>) -> bool {
        self.remove_long_unregistered(this);
        if !self.registry.is_cluster_healthy(&self.options) {
            self.planner.clear();
            return false;
        }
        self.delete_failed_instances(this);
        !self.fix_group_sizes(this)
    }

    /// Deletes instances that have been unregistered for too long.
    fn remove_long_unregistered(&mut self, this: &mut Loop<'_>) {
        let now = this.view.now;
        let groups = this.cloud.node_groups().to_vec();
        for (group, mut instances) in self.registry.long_unregistered(&groups, &self.options, now) {
            let Some(known) = this.cloud.node_groups().iter().find(|one| one.id == group) else {
                continue;
            };
            if !self.options.force_delete_unregistered_nodes {
                let possible = known.target_size.saturating_sub(known.min_size).max(0);
                instances.truncate(usize::try_from(possible).unwrap_or(usize::MAX));
            }
            if !instances.is_empty() && this.cloud.delete_nodes(&group, &instances, now).is_err() {
                return;
            }
        }
    }

    /// Deletes instances that failed to be created.
    fn delete_failed_instances(&mut self, this: &mut Loop<'_>) {
        let mut has_deleted = false;
        for (group, instances) in self.registry.failed_instances() {
            has_deleted |= this.cloud.delete_nodes(&group, &instances, this.view.now).is_ok();
        }
        if has_deleted {
            self.registry.recalculate(this.cloud);
        }
    }

    /// Lowers targets whose nodes have been missing for too long. Returns true if it did, or if the cloud refused.
    fn fix_group_sizes(&mut self, this: &mut Loop<'_>) -> bool {
        let mut has_fixed = false;
        for group in this.cloud.node_groups().to_vec() {
            let now = this.view.now;
            let Some(surplus) = self.registry.surplus_target(&group, &self.options, now) else {
                continue;
            };
            if this.cloud.decrease_target_size(&group.id, surplus, now).is_err() {
                return true;
            }
            has_fixed = true;
        }
        has_fixed
    }

    fn go_on(&mut self, this: &mut Loop<'_>, pending: &[PodId]) {
        self.add_upcoming(this);
        this.node_count = i64::try_from(self.snapshot.slots().len()).unwrap_or(i64::MAX);
        let (view, draining) = (this.view, &this.deleting.drain);
        let pods = self.pending.update(&mut self.snapshot, view, pending);
        let left =
            process(&pods, draining, &mut self.snapshot, &mut self.hints, view, &self.options);
        this.report.pending = pods;
        this.report.after_filters = names(&left);
        this.report.has_processed_pods = true;
        self.help(this, &without_young(&left, &self.options, view.now));
        if self.options.scale_down_enabled {
            self.scale_down(this);
        }
        if self.options.enforce_node_group_min_size {
            let mut scale_up = self.scale_up(this);
            let done = scale_up_to_min_size(&mut scale_up);
            if done.result == ScaleUpResult::Successful {
                self.last_scale_up = view.now;
            }
            this.report.scale_up_min_size = Some(done);
        }
    }

    /// Adds upcoming nodes to the snapshot, replacing those of them that are registered but not ready.
    fn add_upcoming(&mut self, this: &mut Loop<'_>) {
        let groups = this.cloud.node_groups();
        let mut wanted = Vec::new();
        for (place, number, registered) in self.registry.upcoming(groups, this.view.now) {
            let group = &groups[place];
            let Some(template) = this.templates.get(&group.id) else { continue };
            wanted.push((group.id.clone(), Arc::clone(template), number));
            this.report.upcoming.insert(group.id.clone(), number);
            this.report.registered_upcoming.extend(registered);
        }
        self.snapshot.set_upcoming(&wanted);
        let registered: BTreeSet<&Name> = this.report.registered_upcoming.iter().collect();
        this.nodes.retain(|one| !registered.contains(one.name()));
        for name in &this.report.registered_upcoming {
            if let Some(slot) = self.snapshot.slot(name) {
                self.snapshot.displace(slot);
                self.snapshot.remove_node(slot);
            }
        }
    }

    /// Tries to scale up for these pods.
    fn help(&mut self, this: &mut Loop<'_>, pods: &[Arc<PodInfo>]) {
        let now = this.view.now;
        let max = self.options.max_nodes_total;
        let ready = this.ready();
        if pods.is_empty() {
            this.report.scale_up.result = ScaleUpResult::NotNeeded;
        } else if max > 0 && i64::try_from(ready).is_ok_and(|ready| ready >= max) {
            let remaining = |pod: &Arc<PodInfo>| RemainingPod {
                pod: pod.name.clone(),
                rejected: BTreeMap::new(),
                skipped: BTreeMap::new(),
            };
            this.report.scale_up = ScaleUpReport {
                result: ScaleUpResult::LimitedByMaxNodesTotal,
                remain: pods.iter().map(remaining).collect(),
                ..ScaleUpReport::default()
            };
        } else if are_all_new(pods, now) {
            this.forbids_scale_down = true;
            this.report.scale_up.result = ScaleUpResult::InCooldown;
        } else {
            let mut report = std::mem::replace(&mut this.report, LoopReport::new(now));
            report.scale_up = self.scale_up(this).run(pods, &mut report);
            if report.scale_up.result == ScaleUpResult::Successful {
                self.last_scale_up = now;
            }
            this.report = report;
        }
    }

    fn scale_up<'a>(&'a mut self, this: &'a mut Loop<'_>) -> ScaleUp<'a> {
        ScaleUp {
            view: this.view,
            snapshot: &mut self.snapshot,
            cloud: this.cloud,
            registry: &mut self.registry,
            templates: &this.templates,
            options: &self.options,
            ignored_labels: &self.options.balancing_ignore_labels,
            ties: &mut self.ties,
            node_count: this.node_count,
            registered: this.view.nodes().len(),
        }
    }

    /// Updates the unneeded nodes, and starts to remove those that have been unneeded for long enough.
    fn scale_down(&mut self, this: &mut Loop<'_>) {
        let now = this.view.now;
        let found = candidates(
            &this.nodes,
            &self.snapshot,
            this.cloud,
            &self.previous_candidates,
            &self.registry.last_changes,
            &self.options,
            now,
        );
        let deletions = self.actuator.by_group();
        let deleting = this.deleting.all();
        let mut plan = Plan {
            view: this.view,
            snapshot: &mut self.snapshot,
            cloud: this.cloud,
            options: &self.options,
            deleting: &deleting,
            deletions: &deletions,
        };
        self.planner.update(&mut plan, &this.nodes, &found);
        self.previous_candidates = self.planner.unneeded_names();
        let mut report = ScaleDownReport::default();
        let mut taints = BTreeMap::new();
        if is_in_cooldown(
            this.forbids_scale_down,
            (self.last_scale_up, self.last_delete, self.last_failure),
            &self.options,
            now,
        ) {
            report.result = ScaleDownResult::InCooldown;
        } else if found.is_empty() {
            report.result = ScaleDownResult::NoCandidates;
        } else {
            let requests = &mut this.requests;
            taints = self.actuator.start(
                &mut self.planner,
                &mut plan,
                &this.nodes,
                &mut report,
                requests,
            );
            if report.result == ScaleDownResult::NodeDeleteStarted {
                self.last_delete = now;
                self.registry.recalculate(this.cloud);
            }
        }
        this.report.scale_down = report;
        let unneeded = self.planner.unneeded_names();
        soft_taints(&this.nodes, &taints, &unneeded, &self.options, now, &mut this.requests);
    }

    /// The flags.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The state of the groups and the pending scale-ups, as of the last loop.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// True if the number of unready nodes is low enough for loops to act.
    pub fn is_cluster_healthy(&self) -> bool {
        self.registry.is_cluster_healthy(&self.options)
    }

    /// True if the number of missing nodes of a group is low enough to scale it up.
    pub fn is_group_healthy(&self, group: &str) -> bool {
        self.registry.is_group_healthy(group, &self.options)
    }

    /// The unneeded nodes, by name.
    pub fn unneeded(&self) -> BTreeMap<Name, UnneededNode> {
        self.planner.unneeded()
    }

    /// An unneeded node.
    pub fn unneeded_node(&self, name: &Name) -> Option<UnneededNode> {
        self.planner.unneeded_node(name)
    }

    /// The names of the unneeded nodes, in order.
    pub fn unneeded_names(&self) -> impl Iterator<Item = &Name> {
        self.planner.unneeded_in_order()
    }

    /// The candidates of the last loop, in the order in which they were examined.
    pub fn assessments(&self) -> &[Assessment] {
        self.planner.assessments().list()
    }

    /// The last loop's assessment of a candidate.
    pub fn assessment(&self, name: &Name) -> Option<&Assessment> {
        self.planner.assessments().get(self.snapshot.slot(name), name)
    }

    /// The unremovable nodes, by name.
    pub fn unremovable(&self) -> BTreeMap<Name, Unremovable> {
        self.planner.assessments().unremovable()
    }

    /// The utilization of the nodes that were considered, by name.
    pub fn utilization(&self) -> BTreeMap<Name, Utilization> {
        self.planner.assessments().utilization()
    }

    /// The nodes being removed.
    pub fn deleting(&self) -> Deleting {
        let (empty, drain) = self.actuator.in_progress();
        Deleting { empty, drain }
    }

    /// Times of the last scale-up, of the last start of removals, and of the last failure to start one.
    pub const fn last_times(&self) -> (SimTime, SimTime, SimTime) {
        (self.last_scale_up, self.last_delete, self.last_failure)
    }
}

impl Loop<'_> {
    /// Number of nodes that are ready and schedulable.
    fn ready(&self) -> usize {
        self.nodes.iter().filter(|one| one.is_ready_and_schedulable).count()
    }
}

impl Deleting {
    fn all(&self) -> BTreeSet<Name> {
        self.empty.union(&self.drain).cloned().collect()
    }
}
