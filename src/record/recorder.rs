//! Follows every change of the cluster and keeps the data for a report: sums over time, the state at the end of each
//! interval, and the log.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use rustc_hash::FxHashMap;

use super::batch_track::JobTrack;
use super::billed::BilledObjects;
use super::log::LogLine;
use super::node_track::NodeTrack;
use super::pod_run::{PodRun, is_billed};
use super::pod_track::{PodTrack, requests_of};
use super::service_track::ServiceTrack;
use super::steps::Steps;
use super::workload_track::{WorkloadTrack, workload_of};
use cluster::change::Change;
use cluster::hpa::MetricTarget;
use cluster::hpa_object::{HpaId, HpaObject};
use cluster::hpa_status::{HpaConditionReason, MetricValue};
use cluster::job::JobId;
use cluster::node::{ConditionStatus, NodeId};
use cluster::pod::{Owner, Pod, PodId};
use cluster::pod_template::TemplateId;
use cluster::{ClusterView, Name, NamespacedName, ObjectId, ObjectReference, PodChanges};
use engine::{SimDuration, SimTime};
use units::{ResourceTime, Resources};

/// The running record of one simulation.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// Workloads in the order in which they first appeared.
    pub workloads: Vec<WorkloadTrack>,
    /// Every node that ever existed.
    pub nodes: Vec<NodeTrack>,
    /// Reachability of each Service, by its position in the traffic.
    pub services: Vec<ServiceTrack>,
    /// Resources held by each workload on each node, by (workload, node) positions: of removed pods, and after
    /// [`Self::finish`] of all pods.
    pub holdings: BTreeMap<(usize, usize), NodeUsage>,
    /// Pods that are billed instead of their nodes.
    pub pod_runs: Vec<PodRun>,
    /// Load balancers and disks, and the time for which they existed.
    pub billed: BilledObjects,
    /// Events of the controllers, scheduler and kubelets, and faults, in order of time.
    pub log: Vec<LogLine>,
    /// Ends of the intervals so far.
    pub interval_ends: Vec<SimTime>,
    /// Nodes, Ready nodes and pods without a node at the end of each interval.
    pub series: ClusterSeries,
    /// Times from creation to node of the pods that waited.
    pub pod_waits: Vec<SimDuration>,
    /// Reasons for nodes that have been requested and do not exist yet.
    coming: BTreeMap<Name, String>,
    workload_positions: BTreeMap<ObjectReference, usize>,
    /// The positions of the workloads that an HPA scales or scaled.
    workloads_of_hpa: BTreeMap<NamespacedName, Vec<usize>>,
    /// By the HPA's slot: the position of the workload that it scales.
    hpas: Vec<Option<(HpaId, usize)>>,
    /// The position of the workload behind an owner of pods. Only ever looked up, never iterated.
    owners: FxHashMap<Owner, usize>,
    /// Requests of the pods of a template. Only ever looked up, never iterated.
    requests: FxHashMap<TemplateId, Resources>,
    /// Indexed by the pod's slot.
    pods: Vec<Option<PodTrack>>,
    /// Position in `nodes`, indexed by the node's slot.
    node_positions: Vec<Option<usize>>,
    /// Desired number of pods of each object, with the position of its workload.
    pub(super) wanted: BTreeMap<ObjectId, (usize, i64)>,
    /// The existing Jobs.
    pub(super) jobs: BTreeMap<JobId, JobTrack>,
}

/// Requests and usage of a workload on one node, over its pods' lifetimes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeUsage {
    /// Requests multiplied by the time for which the node reserved them.
    pub requested: ResourceTime,
    /// CPU used; memory and GPUs count by request.
    pub used: ResourceTime,
    /// The larger of requests and usage, interval by interval: the billed amount (OpenCost).
    pub charged: ResourceTime,
    /// Time for which its pods were bound to the node and had not ended, summed over the pods.
    pub bound: SimDuration,
}

impl AddAssign for NodeUsage {
    fn add_assign(&mut self, more: Self) {
        self.requested += more.requested;
        self.used += more.used;
        self.charged += more.charged;
        self.bound += more.bound;
    }
}

/// The cluster at the end of each interval.
#[derive(Clone, Debug, Default)]
pub struct ClusterSeries {
    /// Number of Node objects.
    pub nodes: Vec<usize>,
    /// Number of nodes whose Ready condition is True.
    pub ready_nodes: Vec<usize>,
    /// Pods that wait for the scheduler.
    pub pending_pods: Vec<i64>,
    /// Nodes, at the instants at which they come and go.
    pub node_steps: Steps,
    /// Ready nodes, likewise.
    pub ready_node_steps: Steps,
    /// Pods that wait for the scheduler, likewise.
    pub pending_pod_steps: Steps,
}

/// Usage of a pod's application.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// CPU time since the pod was bound.
    pub cpu_time: SimDuration,
    /// Time since the last booking in which its CPU limit kept requests from the CPU.
    pub throttled: SimDuration,
}

impl Recorder {
    /// Records a change. The view shows the cluster after it.
    pub fn on_change(&mut self, view: ClusterView<'_>, change: &Change) {
        match *change {
            Change::NodeAdded(node) => self.node_added(view, node),
            Change::NodeUpdated(node) => self.node_updated(view, node),
            Change::Removed { object: ObjectId::Node(node), .. } => {
                self.node_removed(view.now, node);
            }
            Change::PodAdded(pod) => self.pod_added(view, pod),
            Change::PodUpdated(pod, what) => self.pod_updated(view, pod, what),
            Change::PodRemoved { pod, .. } => self.pod_removed(view.now, pod),
            Change::Spec(ObjectId::HorizontalPodAutoscaler(hpa), _) => self.hpa_targeted(view, hpa),
            Change::Status(ObjectId::HorizontalPodAutoscaler(hpa)) => self.hpa_measured(view, hpa),
            _ => {
                self.billed.on_change(view, change);
                self.desired_changed(view, change);
            }
        }
    }

    /// The position in [`Self::workloads`] of the workload that a pod belongs to.
    pub fn workload_of(&self, pod: PodId) -> Option<usize> {
        self.track(pod).map(|track| track.workload)
    }

    /// Books a pod's usage since the last booking.
    pub fn book_usage(&mut self, now: SimTime, pod: PodId, used: Used) {
        let Some(Some(track)) = self.pods.get_mut(pod.index()) else { return };
        if track.pod == pod {
            let workload = &mut self.workloads[track.workload];
            workload.cpu_time += track.settle(now, Some(used.cpu_time));
            workload.throttled += used.throttled;
        }
    }

    /// Ends an interval: appends the current values to the series.
    pub fn end_interval(&mut self, view: ClusterView<'_>) {
        self.interval_ends.push(view.now);
        self.series.nodes.push(view.nodes().len());
        let ready = |status| status == ConditionStatus::True;
        let ready_nodes = view.nodes().values().filter(|node| ready(node.ready.status)).count();
        self.series.ready_nodes.push(ready_nodes);
        self.series.pending_pods.push(self.series.pending_pod_steps.value());
        for workload in &mut self.workloads {
            workload.end_interval(self.interval_ends.len());
        }
    }

    /// Settles all open accounts at the end of the run.
    pub fn finish(&mut self, now: SimTime) {
        for slot in 0..self.pods.len() {
            if let Some(track) = &self.pods[slot] {
                let pod = track.pod;
                self.settle_pod(now, pod);
            }
        }
        for node in &mut self.nodes {
            node.removed.get_or_insert(now);
        }
        for service in &mut self.services {
            service.finish(now);
        }
    }

    /// Marks the Service at this position of the traffic as up, or as down for the given cause, from `now` on.
    pub fn set_down(&mut self, now: SimTime, service: usize, down: Option<&'static str>) {
        if self.services.len() <= service {
            self.services.resize_with(service + 1, ServiceTrack::default);
        }
        self.services[service].set_down(now, down);
    }

    /// Adds a line to the log.
    pub fn note(&mut self, line: LogLine) {
        if line.reason == "SuccessfulRescale" {
            for position in self.workloads_of_hpa.get(&line.object).into_iter().flatten() {
                let workload = &mut self.workloads[*position];
                workload.rescales += u64::from(workload.hpa.as_ref() == Some(&line.object));
            }
        }
        self.log.push(line);
    }

    /// Of pods that wait for a node, the first of each workload.
    pub fn first_waiting(
        &mut self,
        view: ClusterView<'_>,
        pods: impl Iterator<Item = PodId>,
    ) -> BTreeMap<usize, PodId> {
        let mut first = BTreeMap::new();
        for id in pods {
            if let Some(pod) = view.pods().get(id) {
                first.entry(self.workload_position(view, pod)).or_insert(id);
            }
        }
        first
    }

    fn node_added(&mut self, view: ClusterView<'_>, id: NodeId) {
        let Some(node) = view.nodes().get(id) else { return };
        if self.node_positions.len() <= id.index() {
            self.node_positions.resize(id.index() + 1, None);
        }
        self.node_positions[id.index()] = Some(self.nodes.len());
        let mut track = NodeTrack::new(node, view.now);
        track.added_because = self.coming.remove(&track.name);
        self.series.node_steps.add(view.now, 1);
        self.series.ready_node_steps.add(view.now, i64::from(track.is_ready()));
        self.nodes.push(track);
    }

    /// Records the reason for which a node of this name was requested.
    pub fn record_node_request(&mut self, name: Name, why: String) {
        self.coming.insert(name, why);
    }

    /// Records the reason for which a node is being removed.
    pub fn record_node_removal(&mut self, name: &Name, why: String) {
        let there = self.nodes.iter_mut().rev().find(|node| node.name == *name);
        if let Some(node) = there {
            node.removed_because = Some(why);
        }
    }

    fn node_updated(&mut self, view: ClusterView<'_>, id: NodeId) {
        let Some(node) = view.nodes().get(id) else { return };
        if let Some(position) = self.node_position(id) {
            let track = &mut self.nodes[position];
            let was_ready = track.is_ready();
            track.set_resources(node);
            track.set_ready(view.now, node.ready.status == ConditionStatus::True);
            let by = i64::from(track.is_ready()) - i64::from(was_ready);
            self.series.ready_node_steps.add(view.now, by);
        }
    }

    fn node_removed(&mut self, now: SimTime, id: NodeId) {
        if let Some(position) = self.node_position(id) {
            let was_ready = self.nodes[position].is_ready();
            self.nodes[position].removed = Some(now);
            self.series.node_steps.add(now, -1);
            self.series.ready_node_steps.add(now, -i64::from(was_ready));
            self.node_positions[id.index()] = None;
        }
    }

    fn pod_added(&mut self, view: ClusterView<'_>, id: PodId) {
        let Some(pod) = view.pods().get(id) else { return };
        let workload = self.workload_position(view, pod);
        if self.pods.len() <= id.index() {
            self.pods.resize_with(id.index() + 1, || None);
        }
        let requests = *self
            .requests
            .entry(pod.template)
            .or_insert_with(|| requests_of(&view.template_of(pod).spec));
        self.pods[id.index()] = Some(PodTrack::new(id, workload, requests, view.now));
        self.series.pending_pod_steps.add(view.now, 1);
        let track = &mut self.workloads[workload];
        if track.pods_created == 0 {
            track.labels = view.template_of(pod).labels.clone();
        }
        track.pods_created += 1;
        track.pending.add(view.now, 1);
    }

    fn pod_updated(&mut self, view: ClusterView<'_>, id: PodId, what: PodChanges) {
        let Some(pod) = view.pods().get(id) else { return };
        let node = pod.node.and_then(|node| self.node_position(node));
        let Some(Some(track)) = self.pods.get_mut(id.index()) else { return };
        if what.has(PodChanges::BOUND) {
            self.pod_waits.extend(track.bind(view.now, node));
            self.workloads[track.workload].pending.add(view.now, -1);
            self.series.pending_pod_steps.add(view.now, -1);
        }
        if what.has(PodChanges::RESTARTED) {
            let restarts = u64::from(pod.restarts.containers_max);
            self.workloads[track.workload].restarts += restarts.saturating_sub(track.restarts);
            track.restarts = restarts;
        }
        if what.has(PodChanges::RESIZED) && !pod.phase.is_terminal() {
            track.resize(view.now, &view.templates()[pod.allocated()].spec);
        }
        let ends = PodChanges::PHASE.and(PodChanges::DELETION_REQUESTED);
        if what.has(ends.and(PodChanges::READY)) {
            if pod.phase.is_terminal() {
                track.end(view.now);
            }
            self.set_ready(view.now, id, pod.is_ready() && !pod.is_terminating());
        }
        if pod.phase.is_terminal() || what.has(PodChanges::RESIZED) {
            self.run_ends(view.now, id);
        }
        if !pod.phase.is_terminal() && what.has(PodChanges::BOUND.and(PodChanges::RESIZED)) {
            self.run_begins(view, id, pod);
        }
    }

    /// From now on a pod is paid for, if its node is not.
    fn run_begins(&mut self, view: ClusterView<'_>, id: PodId, pod: &Pod) {
        let node = pod.node.and_then(|node| self.node_position(node));
        let Some(Some(track)) = self.pods.get_mut(id.index()) else { return };
        let workload = track.workload;
        let Some(node) = node.filter(|node| self.nodes[*node].machine.serverless.is_some()) else {
            return;
        };
        if is_billed(&self.workloads[workload].workload) {
            track.run = Some(self.pod_runs.len());
            let spec = &view.templates()[pod.allocated()].spec;
            self.pod_runs.push(PodRun::new(workload, node, spec, view.now));
        }
    }

    fn run_ends(&mut self, now: SimTime, id: PodId) {
        let Some(Some(track)) = self.pods.get_mut(id.index()) else { return };
        if let Some(run) = track.run.take() {
            self.pod_runs[run].until = Some(now);
        }
    }

    fn set_ready(&mut self, now: SimTime, id: PodId, is_ready: bool) {
        let Some(Some(track)) = self.pods.get_mut(id.index()) else { return };
        if std::mem::replace(&mut track.is_ready, is_ready) != is_ready {
            let by = if is_ready { 1 } else { -1 };
            self.workloads[track.workload].ready.add(now, by);
        }
    }

    fn pod_removed(&mut self, now: SimTime, id: PodId) {
        self.settle_pod(now, id);
        self.run_ends(now, id);
        self.set_ready(now, id, false);
        let Some(track) = self.pods.get_mut(id.index()).and_then(Option::take) else { return };
        if !track.is_bound {
            self.series.pending_pod_steps.add(now, -1);
            self.workloads[track.workload].pending.add(now, -1);
        }
    }

    fn settle_pod(&mut self, now: SimTime, id: PodId) {
        let Some(Some(track)) = self.pods.get_mut(id.index()) else { return };
        track.settle(now, None);
        if let Some((node, held)) = track.take_unbooked() {
            *self.holdings.entry((track.workload, node)).or_default() += held;
        }
    }

    fn hpa_targeted(&mut self, view: ClusterView<'_>, id: HpaId) {
        let Some(hpa) = view.hpas().get(id) else { return };
        let target = &hpa.spec.scale_target;
        let position = self.position_of(ObjectReference {
            kind: cluster::Kind::spelled(&target.kind).unwrap_or(cluster::Kind::CustomResource),
            id: NamespacedName::new(hpa.meta.namespace().clone(), target.name.clone()),
        });
        let scaled = self.workloads_of_hpa.entry(hpa.meta.id.clone()).or_default();
        if !scaled.contains(&position) {
            scaled.push(position);
        }
        if self.hpas.len() <= id.index() {
            self.hpas.resize(id.index() + 1, None);
        }
        self.hpas[id.index()] = Some((id, position));
        self.hpa_measured(view, id);
    }

    fn hpa_measured(&mut self, view: ClusterView<'_>, id: HpaId) {
        let Some(hpa) = view.hpas().get(id) else { return };
        let Some((known, position)) = self.hpas.get(id.index()).copied().flatten() else { return };
        if known != id {
            return;
        }
        let workload = &mut self.workloads[position];
        // If several HPAs scale one workload, the last one to change wins.
        if workload.hpa.as_ref() != Some(&hpa.meta.id) {
            workload.hpa = Some(hpa.meta.id.clone());
        }
        workload.percent_of_target = percent_of_target(hpa);
        workload.capped.set(view.now, i64::from(is_capped(hpa)));
    }

    fn workload_position(&mut self, view: ClusterView<'_>, pod: &Pod) -> usize {
        let Some(owner) = pod.owner else { return self.position_of(workload_of(view, pod)) };
        if let Some(position) = self.owners.get(&owner) {
            return *position;
        }
        let position = self.position_of(workload_of(view, pod));
        self.owners.insert(owner, position);
        position
    }

    pub(super) fn position_of(&mut self, key: ObjectReference) -> usize {
        if let Some(position) = self.workload_positions.get(&key) {
            return *position;
        }
        let position = self.workloads.len();
        self.workloads.push(WorkloadTrack::new(key.clone(), self.interval_ends.len()));
        self.workload_positions.insert(key, position);
        position
    }

    fn node_position(&self, id: NodeId) -> Option<usize> {
        self.node_positions.get(id.index()).copied().flatten()
    }

    fn track(&self, pod: PodId) -> Option<&PodTrack> {
        self.pods.get(pod.index())?.as_ref().filter(|track| track.pod == pod)
    }

    /// Name of the node at a position, for messages.
    pub fn node_name(&self, position: usize) -> &Name {
        &self.nodes[position].name
    }
}

/// Whether its maximum limits the HPA.
fn is_capped(hpa: &HpaObject) -> bool {
    hpa.status.conditions.iter().any(|condition| {
        condition.reason == HpaConditionReason::TooManyReplicas
            && condition.status == ConditionStatus::True
    })
}

/// The metric furthest above its target, in percent of the target.
fn percent_of_target(hpa: &HpaObject) -> Option<f64> {
    let measured = hpa.status.current_metrics.iter().zip(&hpa.spec.metrics);
    let ratios = measured.filter_map(|(status, metric)| {
        let (current, target) = match (status.as_ref()?.current, metric.target) {
            (MetricValue::Utilization { percent, .. }, MetricTarget::Utilization(target)) => {
                (f64::from(percent), f64::from(target))
            }
            (MetricValue::AverageValueMilli(current), MetricTarget::AverageValueMilli(target))
            | (MetricValue::ValueMilli(current), MetricTarget::ValueMilli(target)) => {
                (current as f64, target as f64)
            }
            _ => return None,
        };
        (target > 0.0).then(|| current / target * 100.0)
    });
    ratios.reduce(f64::max)
}
