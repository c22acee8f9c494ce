//! Carries out the scenario's timeline: what a user, an operator or bad luck does to the cluster.

use super::event::Event;
use super::simulation::Simulation;
use cluster::action::{Event as KubernetesEvent, PodDeletion};
use cluster::node::{NodeId, ZONE_LABEL};
use cluster::pod::PodId;
use cluster::{Action, Name, NamespacedName, ObjectReference, Refused};
use engine::{SimDuration, Streams};
use faults::{PodDeletion as DrawnPods, TimelineAction};

/// `kubectl drain` asks again after this long when an eviction was refused.
const DRAIN_RETRY: SimDuration = SimDuration::from_secs(5);
/// Kinds that the timeline can name.
const KINDS: [&str; 25] = [
    "APIService",
    "Metric",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Pod",
    "Node",
    "Namespace",
    "Service",
    "Ingress",
    "HTTPRoute",
    "HorizontalPodAutoscaler",
    "ScaledObject",
    "VerticalPodAutoscaler",
    "PodDisruptionBudget",
    "ConfigMap",
    "Secret",
    "PersistentVolumeClaim",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "File",
];

impl Simulation {
    /// An entry of the timeline is due.
    pub(super) fn timeline(&mut self, entry: u32) {
        let world = std::sync::Arc::clone(&self.world);
        if let Some((_, step)) = world.timeline.get(entry as usize) {
            self.carry_out(&step.action, &step.objects, entry);
        }
    }

    /// Somebody at a terminal does now what a timeline could have done, apart from applying files and
    /// patches, whose objects nobody has read.
    pub fn intervene(&mut self, action: &TimelineAction) {
        let entries = u32::try_from(self.world.timeline.len()).unwrap_or(u32::MAX);
        let number = entries.saturating_add(self.interventions);
        self.interventions += 1;
        self.carry_out(action, &[], number);
        self.follow();
    }

    fn carry_out(&mut self, action: &TimelineAction, objects: &[Action], entry: u32) {
        match action {
            TimelineAction::KillNode(name) => self.for_node(name, Self::kill),
            TimelineAction::RecoverNode(name) => self.for_node(name, Self::recover),
            TimelineAction::KillZone(zone) => self.for_zone(zone, Self::kill),
            TimelineAction::RecoverZone(zone) => self.for_zone(zone, Self::recover),
            TimelineAction::Cordon(name) => self.for_node(name, |this, node| {
                this.act("user", Action::SetNodeUnschedulable(node, true));
            }),
            TimelineAction::Uncordon(name) => self.for_node(name, |this, node| {
                this.act("user", Action::SetNodeUnschedulable(node, false));
            }),
            TimelineAction::Drain(name) => {
                self.for_node(name, Self::drain_node);
            }
            TimelineAction::DisconnectNode(name) => self.for_node(name, Self::disconnect),
            TimelineAction::NodeNotReady(name) => self.for_node(name, Self::make_not_ready),
            TimelineAction::RestartKubelet(restart) => self.restart_kubelet(restart),
            TimelineAction::ReclaimSpot(reclaim) => self.reclaim_spot(reclaim, entry),
            TimelineAction::Maintain(maintenance) => self.begin_maintenance(maintenance),
            TimelineAction::CrashContainer(crash) => self.crash_containers(crash, entry),
            TimelineAction::Hang(outage) => self.hang_pods(outage, entry),
            TimelineAction::FailReadiness(outage) => self.make_unready(outage, entry),
            TimelineAction::DeletePod(deletion) => self.delete_pods(deletion, entry),
            TimelineAction::SetImage(change) => self.set_image(change),
            TimelineAction::Scale(change) => self.scale(change),
            TimelineAction::Resize(change) => self.resize(change, entry),
            TimelineAction::RestartRollout(workload) => self.restart_rollout(workload),
            TimelineAction::PauseRollout(workload) => self.pause_rollout(workload, true),
            TimelineAction::ResumeRollout(workload) => self.pause_rollout(workload, false),
            TimelineAction::Rollback(rollback) => self.roll_back(rollback),
            TimelineAction::Apply(file) => {
                self.say("scenario", &file_reference(file), "Applied", format!("applied {file}"));
                for action in objects {
                    self.apply_object(action.clone());
                }
            }
            TimelineAction::Patch(change) => self.patch(change, objects),
            TimelineAction::Delete(object) => self.delete_object(object),
            TimelineAction::MetricsApiDown(api) => self.set_metrics_api(*api, false),
            TimelineAction::MetricsApiUp(api) => self.set_metrics_api(*api, true),
            TimelineAction::MetricDown(name) => self.set_metric_failing(name, true),
            TimelineAction::MetricUp(name) => self.set_metric_failing(name, false),
            TimelineAction::PauseScrapes(scraper) => self.pause_scrapes(*scraper, true),
            TimelineAction::ResumeScrapes(scraper) => self.pause_scrapes(*scraper, false),
            TimelineAction::ScrapesFail(name) => {
                self.for_node(name, |this, node| this.set_scrapes(node, false));
                let message = format!("metrics-server cannot scrape {name}");
                self.say("scenario", &node_reference(name), "ScrapesFail", message);
            }
            TimelineAction::ScrapesRecover(name) => {
                self.for_node(name, |this, node| this.set_scrapes(node, true));
                let message = format!("metrics-server scrapes {name} again");
                self.say("scenario", &node_reference(name), "ScrapesRecover", message);
            }
        }
    }

    pub(super) fn for_node(&mut self, name: &str, act: impl FnOnce(&mut Self, NodeId)) {
        match self.plane.store().node_named(name) {
            Some(node) => act(self, node),
            None => self.not_found(&node_reference(name)),
        }
    }

    fn for_zone(&mut self, zone: &str, act: impl Fn(&mut Self, NodeId)) {
        let in_zone = |labels: &cluster::Labels| {
            labels.get(ZONE_LABEL).is_some_and(|value| value.as_ref() == zone)
        };
        let nodes: Vec<NodeId> = self
            .plane
            .store()
            .nodes()
            .iter()
            .filter(|(_, node)| in_zone(&node.meta.labels))
            .map(|(id, _)| id)
            .collect();
        for node in nodes {
            act(self, node);
        }
    }

    pub(super) fn kill(&mut self, node: NodeId) {
        let name = self.plane.store().nodes()[node].meta.name().clone();
        let message = format!("node {name} stops without a word");
        self.warn("scenario", &node_reference(&name), "NodeKilled", message);
        self.node_down(node);
    }

    pub(super) fn recover(&mut self, node: NodeId) {
        let name = self.plane.store().nodes()[node].meta.name().clone();
        let message = format!("node {name} comes back");
        self.say("scenario", &node_reference(&name), "NodeRecovered", message);
        self.node_up(node);
    }

    /// `kubectl drain`: cordons the node and asks for the eviction of each pod there.
    pub(super) fn drain_node(&mut self, node: NodeId) {
        self.act("user", Action::SetNodeUnschedulable(node, true));
        let view = self.plane.view(self.now);
        let goes = |pod: &PodId| view.pods().get(*pod).is_some_and(|pod| !pod.is_terminating());
        let pods: Vec<PodId> = self.pods_to_drain(node).into_iter().filter(goes).collect();
        for pod in pods {
            self.evict(pod);
        }
    }

    /// Asks for the eviction of a pod, again after a while as long as its budget forbids it
    /// (`evictPods` of `kubectl/pkg/drain`).
    pub(super) fn evict(&mut self, pod: PodId) {
        let view = self.plane.view(self.now);
        let Some(id) = view.pods().get(pod).map(|pod| pod.id.clone()) else { return };
        let reference = ObjectReference { kind: "Pod".into(), id };
        match self.ask("user", Action::EvictPod(pod)) {
            Ok(()) => {
                let message = format!("evicting pod {}", reference.id);
                self.say("user", &reference, "Evicted", message);
            }
            Err(why @ (Refused::TooManyRequests { .. } | Refused::InternalError(_))) => {
                self.warn("user", &reference, "EvictionRefused", why.to_string());
                self.enter(self.now + DRAIN_RETRY, Event::Evict { pod });
            }
            Err(_) => {}
        }
    }

    fn delete_pods(&mut self, deletion: &DrawnPods, entry: u32) {
        let stream = Streams::new(self.world.seed).stream("deleted pods", entry.into());
        for pod in self.drawn_pods(&deletion.workload, Some(deletion.count), stream) {
            if deletion.force {
                self.kill_pod(pod);
            } else {
                self.act("user", Action::DeletePod(pod, PodDeletion::default()));
            }
        }
    }

    pub(super) fn not_found(&mut self, object: &ObjectReference) {
        let message = format!("{object} is not there at this time: nothing was done");
        self.warn("scenario", object, "NotFound", message);
    }

    pub(super) fn say(
        &mut self,
        actor: &'static str,
        object: &ObjectReference,
        reason: &'static str,
        message: String,
    ) {
        self.log(actor, object, false, reason, message);
    }

    pub(super) fn warn(
        &mut self,
        actor: &'static str,
        object: &ObjectReference,
        reason: &'static str,
        message: String,
    ) {
        self.log(actor, object, true, reason, message);
    }

    fn log(
        &mut self,
        actor: &'static str,
        object: &ObjectReference,
        is_warning: bool,
        reason: &'static str,
        message: String,
    ) {
        let kind = KINDS.iter().find(|kind| ***kind == *object.kind).copied().unwrap_or("Object");
        let event =
            KubernetesEvent { kind, object: object.id.clone(), is_warning, reason, message };
        self.act(actor, Action::Event(Box::new(event)));
    }
}

pub(super) fn node_reference(name: &str) -> ObjectReference {
    ObjectReference { kind: "Node".into(), id: NamespacedName::new("", name) }
}

fn file_reference(file: &str) -> ObjectReference {
    ObjectReference { kind: Name::from("File"), id: NamespacedName::new("", file) }
}
