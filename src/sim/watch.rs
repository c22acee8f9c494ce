//! A watch of pods, nodes, workloads and autoscalers, to compare runs. Off by default.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::{LogEntry, Logged};
use cluster::deployment::DeploymentId;
use cluster::hpa_object::HpaId;
use cluster::hpa_status::{HpaConditionType, MetricValue};
use cluster::node::{ConditionStatus, NodeId, Taint};
use cluster::pod::PodId;
use cluster::replica_set::{ReplicaSetId, SetOwner};
use cluster::{Change, ClusterView, Name, NamespacedName, ObjectId, PodChanges};
use engine::SimTime;
use kubelet::PodStep;

/// An observed change.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Time of the change.
    pub at: SimTime,
    /// The change.
    pub what: WatchedChange,
}

/// The kinds of observed changes.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchedChange {
    /// Something happened to a pod.
    Pod {
        /// The pod.
        pod: PodId,
        /// Its Deployment, if it belongs to one.
        deployment: Option<NamespacedName>,
        /// The event.
        event: PodEvent,
    },
    /// A step in a pod's life on its node.
    Step {
        /// The pod.
        pod: PodId,
        /// The step.
        step: PodStep,
    },
    /// A node was added, changed or removed.
    Node {
        /// Node name.
        name: Name,
        /// Its state; absent once the object is gone.
        state: Option<NodeState>,
    },
    /// A Deployment has a new ReplicaSet.
    NewReplicaSet {
        /// The Deployment.
        deployment: NamespacedName,
        /// The image of its first container.
        image: Name,
    },
    /// The reason of a Deployment's Progressing condition changed.
    Progressing {
        /// The Deployment.
        deployment: NamespacedName,
        /// The new reason.
        reason: &'static str,
    },
    /// `spec.replicas` of a Deployment changed.
    Replicas {
        /// The Deployment.
        deployment: NamespacedName,
        /// The new number.
        replicas: i32,
    },
    /// A HorizontalPodAutoscaler changed the scale.
    Rescale(Rescale),
}

/// A change of scale by a HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescale {
    /// The autoscaler.
    pub hpa: NamespacedName,
    /// The name of its scale target.
    pub target: Name,
    /// Replicas before.
    pub from: i32,
    /// Replicas after.
    pub to: i32,
    /// Utilization of the first metric in percent, if it is a utilization.
    pub utilization: Option<i32>,
    /// Status and reason of ScalingLimited, if it was set.
    pub limited: Option<(ConditionStatus, &'static str)>,
}

/// An event in a pod's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodEvent {
    /// It was created.
    Created,
    /// It was bound to this node.
    Bound(Name),
    /// It became Ready, and is not being deleted.
    Ready,
    /// It is no longer Ready, and is not being deleted.
    Unready,
    /// Its deletion was requested, with the reason of the disruption if it is one.
    Deleted(Option<&'static str>),
    /// Its object was removed.
    Gone,
    /// Its eviction was requested.
    Evicted {
        /// Whether the eviction API granted it.
        granted: bool,
    },
}

/// A node as a watch shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Status of its Ready condition.
    pub ready: ConditionStatus,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub cordoned: bool,
}

/// The state needed to detect changes.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    seen: Vec<Watched>,
    pods: BTreeMap<PodId, KnownPod>,
    names: BTreeMap<NamespacedName, PodId>,
    nodes: BTreeMap<NodeId, (Name, NodeState)>,
    deployments: BTreeMap<DeploymentId, (i32, Option<&'static str>)>,
    replica_sets: BTreeSet<ReplicaSetId>,
    /// Autoscalers that changed a scale and have not updated their status yet.
    rescaled: Vec<NamespacedName>,
}

#[derive(Clone, Debug)]
struct KnownPod {
    id: NamespacedName,
    deployment: Option<NamespacedName>,
    is_ready: bool,
    is_terminating: bool,
}

impl Watch {
    /// A watch that knows the existing nodes.
    pub(super) fn new(view: ClusterView<'_>) -> Self {
        let mut watch = Self::default();
        for (id, _) in view.nodes().iter() {
            watch.node_changed(view, id);
        }
        watch.seen.clear();
        watch
    }

    /// The changes since the last call.
    pub fn take(&mut self) -> Vec<Watched> {
        std::mem::take(&mut self.seen)
    }

    pub(super) fn changed(&mut self, view: ClusterView<'_>, change: &Change) {
        match *change {
            Change::PodAdded(pod) => self.pod_added(view, pod),
            Change::PodUpdated(pod, what) => self.pod_updated(view, pod, what),
            Change::PodRemoved { pod, .. } => {
                if let Some(known) = self.pods.remove(&pod) {
                    self.names.remove(&known.id);
                    self.see_pod(view.now, pod, known.deployment, PodEvent::Gone);
                }
            }
            Change::NodeAdded(node) | Change::NodeUpdated(node) => self.node_changed(view, node),
            Change::Removed { object: ObjectId::Node(node), .. } => {
                if let Some((name, _)) = self.nodes.remove(&node) {
                    self.see(view.now, WatchedChange::Node { name, state: None });
                }
            }
            Change::Spec(ObjectId::Deployment(id), _)
            | Change::Status(ObjectId::Deployment(id)) => {
                self.deployment_changed(view, id);
            }
            Change::Spec(ObjectId::ReplicaSet(set), _) => self.replica_set_changed(view, set),
            Change::Status(ObjectId::HorizontalPodAutoscaler(hpa)) => self.hpa_changed(view, hpa),
            _ => {}
        }
    }

    pub(super) fn logged(&mut self, entry: &LogEntry) {
        let Logged::Event(event) = &entry.what else { return };
        match event.reason {
            "SuccessfulRescale" => self.rescaled.push(event.object.clone()),
            "Evicted" | "EvictionRefused" => {
                let Some(pod) = self.names.get(&event.object).copied() else { return };
                let deployment = self.pods.get(&pod).and_then(|known| known.deployment.clone());
                let granted = event.reason == "Evicted";
                self.see_pod(entry.at, pod, deployment, PodEvent::Evicted { granted });
            }
            _ => {}
        }
    }

    pub(super) fn stepped(&mut self, at: SimTime, pod: PodId, step: PodStep) {
        self.see(at, WatchedChange::Step { pod, step });
    }

    fn pod_added(&mut self, view: ClusterView<'_>, id: PodId) {
        let Some(pod) = view.pods().get(id) else { return };
        let deployment = view.deployment_of(pod).and_then(|one| view.deployments().get(one));
        let deployment = deployment.map(|one| one.meta.id.clone());
        self.names.insert(pod.id.clone(), id);
        self.pods.insert(
            id,
            KnownPod {
                id: pod.id.clone(),
                deployment: deployment.clone(),
                is_ready: false,
                is_terminating: false,
            },
        );
        self.see_pod(view.now, id, deployment, PodEvent::Created);
    }

    fn pod_updated(&mut self, view: ClusterView<'_>, id: PodId, what: PodChanges) {
        let (Some(pod), Some(known)) = (view.pods().get(id), self.pods.get_mut(&id)) else {
            return;
        };
        let mut events = Vec::new();
        if what.has(PodChanges::BOUND) {
            let node = pod.node.and_then(|node| view.nodes().get(node));
            events.extend(node.map(|node| PodEvent::Bound(node.meta.name().clone())));
        }
        if what.has(PodChanges::READY) {
            let is_ready = pod.is_ready();
            let was_ready = std::mem::replace(&mut known.is_ready, is_ready);
            events.extend(match (was_ready, is_ready) {
                (false, true) if !pod.is_terminating() => Some(PodEvent::Ready),
                (true, false) if !pod.is_terminating() => Some(PodEvent::Unready),
                _ => None,
            });
        }
        if what.has(PodChanges::DELETION_REQUESTED) && !known.is_terminating {
            known.is_terminating = true;
            events.push(PodEvent::Deleted(pod.disruption_target));
        }
        let deployment = known.deployment.clone();
        for event in events {
            self.see_pod(view.now, id, deployment.clone(), event);
        }
    }

    fn node_changed(&mut self, view: ClusterView<'_>, id: NodeId) {
        let Some(node) = view.nodes().get(id) else { return };
        let state = NodeState {
            ready: node.ready.status,
            taints: node.taints.clone(),
            cordoned: node.unschedulable,
        };
        let name = node.meta.name().clone();
        let before = self.nodes.insert(id, (name.clone(), state.clone()));
        if before.is_none_or(|(_, before)| before != state) {
            self.see(view.now, WatchedChange::Node { name, state: Some(state) });
        }
    }

    fn deployment_changed(&mut self, view: ClusterView<'_>, id: DeploymentId) {
        let Some(object) = view.deployments().get(id) else { return };
        let progressing = object.status.conditions.iter().find(|one| one.kind == "Progressing");
        let reason = progressing.map(|condition| condition.reason);
        let now = (object.spec.replicas, reason);
        let before = self.deployments.insert(id, now);
        let deployment = &object.meta.id;
        if before.is_none_or(|(replicas, _)| replicas != now.0) {
            let deployment = deployment.clone();
            self.see(view.now, WatchedChange::Replicas { deployment, replicas: now.0 });
        }
        if let Some(reason) = reason
            && before.is_none_or(|(_, before)| before != Some(reason))
        {
            self.see(
                view.now,
                WatchedChange::Progressing { deployment: deployment.clone(), reason },
            );
        }
    }

    fn replica_set_changed(&mut self, view: ClusterView<'_>, id: ReplicaSetId) {
        let Some(set) = view.replica_sets().get(id) else { return };
        if !self.replica_sets.insert(id) {
            return;
        }
        let owner = set.owner.and_then(SetOwner::deployment);
        let owner = owner.and_then(|owner| view.deployments().get(owner));
        let image = view.templates()[set.template].spec.containers.first();
        if let (Some(owner), Some(container)) = (owner, image) {
            let (deployment, image) = (owner.meta.id.clone(), container.image.clone());
            self.see(view.now, WatchedChange::NewReplicaSet { deployment, image });
        }
    }

    /// Reports a change of scale when the status update that follows it arrives.
    fn hpa_changed(&mut self, view: ClusterView<'_>, id: HpaId) {
        let Some(hpa) = view.hpas().get(id) else { return };
        let Some(at) = self.rescaled.iter().position(|one| *one == hpa.meta.id) else { return };
        self.rescaled.remove(at);
        let utilization = match hpa.status.current_metrics.first().and_then(Option::as_ref) {
            Some(metric) => match metric.current {
                MetricValue::Utilization { percent, .. } => Some(percent),
                _ => None,
            },
            None => None,
        };
        let limited = hpa.status.condition(HpaConditionType::ScalingLimited);
        let rescale = Rescale {
            hpa: hpa.meta.id.clone(),
            target: hpa.spec.scale_target.name.clone(),
            from: hpa.status.current_replicas,
            to: hpa.status.desired_replicas,
            utilization,
            limited: limited.map(|condition| (condition.status, condition.reason.as_str())),
        };
        self.see(view.now, WatchedChange::Rescale(rescale));
    }

    fn see_pod(
        &mut self,
        at: SimTime,
        pod: PodId,
        deployment: Option<NamespacedName>,
        event: PodEvent,
    ) {
        self.see(at, WatchedChange::Pod { pod, deployment, event });
    }

    fn see(&mut self, at: SimTime, what: WatchedChange) {
        self.seen.push(Watched { at, what });
    }
}
