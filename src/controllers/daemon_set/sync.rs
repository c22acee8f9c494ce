//! One sync of a DaemonSet (`daemon_controller.go`, 1.36).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::backoff::FailedPodBackoff;
use super::placement::Placement;
use super::rolling::{NodePods, Replacement, RevisionPod, in_place, limits, with_surge};
use super::roster::{Roster, Unsettled};
use crate::replica_set::slow_start_batches;
use crate::replica_set::status::available_at;
use crate::{Actions, Key, Requeue};
use cluster::action::{Event, PodDeletion, PodDraft, PodName, PodSource};
use cluster::controller_revision::{REVISION_HASH_LABEL, Revision, truncate, with_latest};
use cluster::daemon_set::{DaemonSet, DaemonSetId, DaemonSetStatus, for_node, target_node};
use cluster::node::{Node, NodeId};
use cluster::pod::{Owner, Pod, PodId, PodPhase};
use cluster::pod_template::PodTemplate;
use cluster::{Action, ClusterView, Kind, Name};
use engine::{SimDuration, SimTime};

/// Maximum number of pods created or deleted by one sync (`BurstReplicas`).
const BURST_REPLICAS: usize = 250;

/// State of one sync.
pub(super) struct Sync<'a> {
    view: ClusterView<'a>,
    id: DaemonSetId,
    set: &'a DaemonSet,
    backoff: &'a mut FailedPodBackoff,
    /// All revisions, the current one last.
    revisions: Vec<Revision>,
    /// Of the current revision, before a node is named.
    template: Arc<PodTemplate>,
    /// The nodes that need a look, ordered by name.
    nodes: Vec<(&'a Node, NodeId, Placement)>,
    /// Number of other nodes, which run their pod and need nothing.
    settled: i32,
    /// Their pods, by node and in the order of creation; ended ones with a deletion mark are left out.
    pods: Vec<(PodId, &'a Pod)>,
    /// By the node's slot: range of its pods in that list.
    ranges: Vec<Range<usize>>,
    /// Pods for missing nodes, by the name of the node.
    lost: BTreeMap<&'a Name, Vec<(PodId, &'a Pod)>>,
}

impl<'a> Sync<'a> {
    pub(super) fn new(
        view: ClusterView<'a>,
        id: DaemonSetId,
        backoff: &'a mut FailedPodBackoff,
        rosters: &mut BTreeMap<DaemonSetId, Roster>,
    ) -> Option<Self> {
        let store = view.store();
        let set = store.daemon_sets().get(id)?;
        let revisions = with_latest(&set.revisions, &set.spec.template);
        let latest = revisions.last()?;
        let roster = rosters.entry(id).or_insert_with(|| Roster::new(set, latest));
        roster.update(view, set, latest);
        let hash = Some(&latest.hash);
        // With a minimum, readiness becomes availability by time alone.
        let has_minimum = set.spec.min_ready_seconds > 0;
        let is_settled = |pod: &Pod| {
            !has_minimum
                && pod.is_ready()
                && available_at(pod, SimDuration::ZERO).is_some_and(|at| at <= view.now)
                && view.labels_of(pod).get(REVISION_HASH_LABEL) == hash
        };
        let Unsettled { nodes, settled, elsewhere } = roster.unsettled(view, id, is_settled);
        let template = Arc::clone(&roster.template);
        let nodes = nodes.into_iter().map(|(id, placement)| (&store.nodes()[id], id, placement));
        let nodes: Vec<(&Node, NodeId, Placement)> = nodes.collect();
        let mut found: Vec<(NodeId, PodId, &Pod)> = Vec::new();
        let mut lost: BTreeMap<&Name, Vec<(PodId, &Pod)>> = BTreeMap::new();
        let counts = |pod: &Pod| !(pod.phase.is_terminal() && pod.is_terminating());
        for (_, node, _) in &nodes {
            let own =
                store.pods_on(*node).filter(|(_, pod)| pod.owner == Some(Owner::DaemonSet(id)));
            found.extend(own.filter(|(_, pod)| counts(pod)).map(|(id, pod)| (*node, id, pod)));
        }
        for (pod_id, pod) in elsewhere.into_iter().filter(|(_, pod)| counts(pod)) {
            let Some(name) = target_node(store.template_of(pod)) else { continue };
            match store.node_named(name) {
                Some(node) => found.push((node, pod_id, pod)),
                None => lost.entry(name).or_default().push((pod_id, pod)),
            }
        }
        let order = |pod: &Pod| (pod.node.is_none(), pod.sequence);
        found.sort_by_key(|(node, _, pod)| (*node, order(pod)));
        for of_node in lost.values_mut() {
            of_node.sort_by_key(|(_, pod)| order(pod));
        }
        let mut ranges = vec![0..0; store.nodes().capacity()];
        for (position, (node, ..)) in found.iter().enumerate() {
            let range = &mut ranges[node.index()];
            let start = if range.end == 0 { position } else { range.start };
            *range = start..position + 1;
        }
        let pods = found.into_iter().map(|(_, id, pod)| (id, pod)).collect();
        Some(Self {
            view,
            id,
            set,
            backoff,
            revisions,
            template,
            nodes,
            settled,
            pods,
            ranges,
            lost,
        })
    }

    pub(super) fn run(mut self, actions: &mut Actions) -> Requeue {
        self.write_revisions(actions);
        let (create, delete) = self.manage(actions);
        if create.is_empty() && delete.is_empty() {
            let Replacement { delete, surge } = self.replace();
            let surge: Vec<&Node> =
                surge.into_iter().map(|position| self.nodes[position].0).collect();
            self.carry_out(&surge, delete, actions);
        } else {
            // The update continues once these changes have been observed.
            self.carry_out(&create, delete, actions);
        }
        let has_unavailable = self.write_status(actions);
        self.next_look(has_unavailable).map_or(Requeue::No, Requeue::At)
    }

    fn hash(&self) -> Option<&Name> {
        self.revisions.last().map(|latest| &latest.hash)
    }

    fn is_updated(&self, pod: &Pod) -> bool {
        self.view.labels_of(pod).get(REVISION_HASH_LABEL) == self.hash()
    }

    fn is_available(&self, pod: &Pod) -> bool {
        available_at(pod, self.min_ready()).is_some_and(|at| at <= self.view.now)
    }

    fn min_ready(&self) -> SimDuration {
        SimDuration::from_secs(self.set.spec.min_ready_seconds.into())
    }

    fn write_revisions(&self, actions: &mut Actions) {
        let limit = self.set.spec.revision_history_limit;
        if usize::try_from(limit).is_ok_and(|limit| self.revisions.len() <= limit)
            && self.revisions == self.set.revisions
        {
            return;
        }
        let pods = self.view.store().pods_of(Owner::DaemonSet(self.id));
        let in_use: Vec<Name> = pods
            .filter_map(|(_, pod)| self.view.labels_of(pod).get(REVISION_HASH_LABEL))
            .chain(self.hash())
            .cloned()
            .collect();
        let mut kept = self.revisions.clone();
        truncate(&mut kept, limit, |hash| in_use.contains(hash));
        if kept != self.set.revisions {
            actions.push(Action::SetRevisions(Owner::DaemonSet(self.id), kept));
        }
    }

    fn pods_on(&self, node: NodeId) -> &[(PodId, &'a Pod)] {
        &self.pods[self.ranges[node.index()].clone()]
    }

    /// Nodes that lack a pod, and pods to delete (`manage`, `podsShouldBeOnNode`).
    fn manage(&mut self, actions: &mut Actions) -> (Vec<&'a Node>, Vec<PodId>) {
        let mut create = Vec::new();
        let mut delete = Vec::new();
        let allows_surge = self.allows_surge();
        for position in 0..self.nodes.len() {
            let (node, id, placement) = self.nodes[position];
            let pods = self.pods_on(id);
            if placement.should_run && pods.is_empty() {
                create.push(node);
            } else if placement.should_continue {
                if let [(_, pod)] = pods
                    && !pod.phase.is_terminal()
                    && !pod.is_terminating()
                {
                    // The common case.
                    continue;
                }
                let pods = pods.to_vec();
                let runs = self.keep_one(node, &pods, allows_surge, &mut delete, actions);
                if allows_surge && !runs && placement.should_run {
                    // A surge pod is created without waiting for the old pod's removal.
                    create.push(node);
                }
            } else {
                delete
                    .extend(pods.iter().filter(|(_, pod)| !pod.is_terminating()).map(|one| one.0));
            }
        }
        // Pods waiting for a removed node: no other component deletes them.
        let lost = self.lost.values().flatten();
        let waiting = lost.filter(|(_, pod)| pod.node.is_none() && !pod.is_terminating());
        delete.extend(waiting.map(|(id, _)| *id));
        (create, delete)
    }

    /// Deletes the finished pods of a node, and the surplus ones. Returns whether an active pod exists.
    fn keep_one(
        &mut self,
        node: &Node,
        pods: &[(PodId, &'a Pod)],
        allows_surge: bool,
        delete: &mut Vec<PodId>,
        actions: &mut Actions,
    ) -> bool {
        let (now, name) = (self.view.now, node.meta.name());
        let observed = self.set.status.observed_generation;
        let mut running = Vec::new();
        for (id, pod) in pods.iter().filter(|(_, pod)| !pod.is_terminating()) {
            match pod.phase {
                PodPhase::Failed => {
                    let key = (self.id, observed, name.clone());
                    if let Some(delay) = self.backoff.remaining(&key, now) {
                        actions.requeue(Key::DaemonSet(self.id), now + delay);
                    } else {
                        self.backoff.next(key, now);
                        delete.push(*id);
                        actions.push(self.ended_event(pod, node, true));
                    }
                }
                PodPhase::Succeeded => {
                    delete.push(*id);
                    actions.push(self.ended_event(pod, node, false));
                }
                _ => running.push((*id, *pod)),
            }
        }
        if !allows_surge {
            delete.extend(running.iter().skip(1).map(|(id, _)| *id));
        } else if running.len() > 1 {
            self.keep_old_and_new(&running, delete);
        }
        !running.is_empty()
    }

    /// The Event about a finished daemon pod.
    fn ended_event(&self, pod: &Pod, node: &Node, has_failed: bool) -> Action {
        let (reason, how, what) = if has_failed {
            ("FailedDaemonPod", "failed", "kill")
        } else {
            ("SucceededDaemonPod", "succeeded", "delete")
        };
        let (pod, node) = (&pod.id, node.meta.name());
        Action::Event(Box::new(Event {
            kind: Kind::DaemonSet,
            object: self.set.meta.id.clone(),
            is_warning: has_failed,
            reason,
            message: format!("Found {how} daemon pod {pod} on node {node}, will try to {what} it"),
        }))
    }

    /// With a surge, a node may run an old pod next to a new one until the latter is available.
    fn keep_old_and_new(&self, running: &[(PodId, &Pod)], delete: &mut Vec<PodId>) {
        let (mut new, mut old) = (None, None);
        for (id, pod) in running {
            let kept = if self.is_updated(pod) { &mut new } else { &mut old };
            if kept.is_none() {
                *kept = Some((*id, *pod));
            } else {
                delete.push(*id);
            }
        }
        if let (Some((_, new)), Some((id, old))) = (new, old)
            && (!old.is_ready() || self.is_available(new))
        {
            delete.push(id);
        }
    }

    fn desired(&self) -> i32 {
        let wanted = self.nodes.iter().filter(|(.., placement)| placement.should_run).count();
        i32::try_from(wanted).unwrap_or(i32::MAX).saturating_add(self.settled)
    }

    fn allows_surge(&self) -> bool {
        // Evaluated for a single node (`AllowsSurge`).
        limits(self.set.spec.update, 1).is_some_and(|(surge, _)| surge > 0)
    }

    fn replace(&self) -> Replacement {
        let desired = self.desired();
        let Some((surge, unavailable)) = limits(self.set.spec.update, desired) else {
            return Replacement::default();
        };
        let on = |(_, node, placement): &(&Node, NodeId, Placement)| {
            self.node_pods(self.pods_on(*node), placement.should_run)
        };
        // Pods of a removed node count until they are garbage-collected; a surge waits for that.
        let lost = self.lost.values().map(|pods| self.node_pods(pods, false));
        if surge > 0 {
            if lost.clone().any(|pods| pods.old.is_some() && pods.new.is_none() && !pods.is_crowded)
            {
                return Replacement::default();
            }
            // Appended after existing nodes, whose positions identify where pods are created.
            let nodes: Vec<NodePods> = self.nodes.iter().map(on).chain(lost).collect();
            return with_surge(&nodes, self.settled, surge, desired);
        }
        // Nodes that neither have nor should have a pod are skipped.
        let is_meant = |(_, node, placement): &&(&Node, NodeId, Placement)| {
            placement.should_run || !self.pods_on(*node).is_empty()
        };
        let nodes: Vec<NodePods> = self.nodes.iter().filter(is_meant).map(on).chain(lost).collect();
        in_place(&nodes, unavailable)
    }

    fn node_pods(&self, on_node: &[(PodId, &Pod)], should_run: bool) -> NodePods {
        let mut pods = NodePods { should_run, ..NodePods::default() };
        for (id, pod) in on_node.iter().filter(|(_, pod)| !pod.is_terminating()) {
            let kept = if self.is_updated(pod) { &mut pods.new } else { &mut pods.old };
            let one = RevisionPod { id: *id, is_available: self.is_available(pod) };
            pods.is_crowded |= kept.replace(one).is_some();
        }
        pods
    }

    /// Creates in batches that grow as long as nothing is refused, and deletes (`syncNodes`).
    fn carry_out(&self, create: &[&Node], delete: Vec<PodId>, actions: &mut Actions) {
        let prefix: Name = format!("{}-", self.set.meta.name()).into();
        for pod in delete.into_iter().take(BURST_REPLICAS) {
            actions.push(Action::DeletePod(pod, PodDeletion::default()));
        }
        let mut nodes = create.iter();
        for batch in slow_start_batches(create.len().min(BURST_REPLICAS)) {
            for node in nodes.by_ref().take(batch) {
                let template = for_node(&self.template, node.meta.name());
                actions.push(Action::CreatePod(Box::new(PodDraft {
                    name: PodName::Generate(prefix.clone()),
                    namespace: self.set.meta.namespace().clone(),
                    template: PodSource::New(Box::new(template)),
                    owner: Some(Owner::DaemonSet(self.id)),
                })));
            }
            actions.end_batch();
        }
    }

    /// Counts over the nodes (`updateDaemonSetStatus`); returns whether some counted pod is ready but not yet
    /// available.
    pub(super) fn write_status(&self, actions: &mut Actions) -> bool {
        let mut status = DaemonSetStatus {
            observed_generation: self.set.meta.generation,
            desired_number_scheduled: self.desired(),
            current_number_scheduled: self.settled,
            number_ready: self.settled,
            number_available: self.settled,
            updated_number_scheduled: self.settled,
            ..DaemonSetStatus::default()
        };
        for (_, node, placement) in &self.nodes {
            let Some((_, pod)) = self.pods_on(*node).first() else { continue };
            if !placement.should_run {
                status.number_misscheduled += 1;
                continue;
            }
            status.current_number_scheduled += 1;
            status.number_ready += i32::from(pod.is_ready());
            status.number_available += i32::from(self.is_available(pod));
            status.updated_number_scheduled += i32::from(self.is_updated(pod));
        }
        status.number_unavailable = status.desired_number_scheduled - status.number_available;
        let has_unavailable = status.number_ready != status.number_available;
        if status != self.set.status {
            actions.push(Action::status(self.id, status));
        }
        has_unavailable
    }

    /// Time at which to check whether ready pods have become available. For counted pods, one per node, this is
    /// `minReadySeconds` after this sync; for all others, such as surge pods, one second after they become available
    /// (`updatePod`).
    fn next_look(&self, has_unavailable: bool) -> Option<SimTime> {
        let (now, min_ready) = (self.view.now, self.min_ready());
        if min_ready == SimDuration::ZERO {
            return None;
        }
        if has_unavailable {
            return Some(now + min_ready);
        }
        let is_new = |pod: &Pod| {
            let ready = pod.ready.filter(|_| pod.is_ready());
            ready.is_some_and(|ready| ready.since >= now.floor_to_second())
        };
        let mut pods = self.pods.iter().chain(self.lost.values().flatten());
        pods.any(|(_, pod)| is_new(pod)).then(|| now + min_ready + SimDuration::from_secs(1))
    }
}
