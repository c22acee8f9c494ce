//! Carries out the scenario's timeline: what a user, an operator or bad luck does to the cluster.

use super::event::Event;
use super::simulation::Simulation;
use crate::cluster::action::{Event as KubernetesEvent, PodDeletion};
use crate::cluster::deployment::{DeploymentId, DeploymentSpec};
use crate::cluster::node::{NodeId, ZONE_LABEL};
use crate::cluster::pod::PodId;
use crate::cluster::pod_template::PodTemplate;
use crate::cluster::{Action, Name, NamespacedName, ObjectReference, Refused};
use crate::engine::{SimDuration, Streams};
use crate::faults::{ImageChange, PatchChange, PodDeletion as DrawnPods, Rollback, TimelineAction};

/// `kubectl drain` asks again after this long when an eviction was refused.
const DRAIN_RETRY: SimDuration = SimDuration::from_secs(5);
/// Annotation by which `kubectl rollout restart` changes a template.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// Kinds that the timeline can name.
const KINDS: [&str; 4] = ["Deployment", "Pod", "Node", "File"];
/// Label by which a Deployment tells its ReplicaSets apart.
const POD_TEMPLATE_HASH: &str = "pod-template-hash";

impl Simulation {
    /// An entry of the timeline is due.
    pub(super) fn timeline(&mut self, entry: u32) {
        let world = std::sync::Arc::clone(&self.world);
        let Some((_, step)) = world.timeline.get(entry as usize) else { return };
        match &step.action {
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
            TimelineAction::Hang(spell) => self.hang_pods(spell, entry),
            TimelineAction::FailReadiness(spell) => self.make_unready(spell, entry),
            TimelineAction::DeletePod(deletion) => self.delete_pods(deletion, entry),
            TimelineAction::SetImage(change) => self.set_image(change),
            TimelineAction::Scale(change) => {
                let replicas = i32::try_from(change.replicas).unwrap_or(i32::MAX);
                self.for_deployment(&change.workload, |_, deployment| {
                    Some(Action::ScaleDeployment(deployment, replicas))
                });
            }
            TimelineAction::RestartRollout(workload) => {
                let now = self.now.to_string();
                self.change_spec(workload, "Restarted", |spec| {
                    let annotations = spec.template.annotations.with(RESTARTED_AT, now);
                    spec.template.annotations = annotations;
                });
            }
            TimelineAction::PauseRollout(workload) => {
                self.change_spec(workload, "Paused", |spec| spec.paused = true);
            }
            TimelineAction::ResumeRollout(workload) => {
                self.change_spec(workload, "Resumed", |spec| spec.paused = false);
            }
            TimelineAction::Rollback(rollback) => self.roll_back(rollback),
            TimelineAction::Apply(file) => {
                self.say("scenario", &file_reference(file), "Applied", format!("applied {file}"));
                for action in &step.objects {
                    self.apply_object(action.clone());
                }
            }
            TimelineAction::Patch(change) => self.patch(change, &step.objects),
            TimelineAction::Delete(object) => self.delete_object(object),
            TimelineAction::MetricsApiDown(api) => self.set_metrics_api(*api, false),
            TimelineAction::MetricsApiUp(api) => self.set_metrics_api(*api, true),
            TimelineAction::PauseScrapes(scraper) => self.scrapes.pause(*scraper, true),
            TimelineAction::ResumeScrapes(scraper) => self.scrapes.pause(*scraper, false),
            TimelineAction::ScrapesFail(name) => {
                self.for_node(name, |this, node| this.set_scrapes(node, false));
            }
            TimelineAction::ScrapesRecover(name) => {
                self.for_node(name, |this, node| this.set_scrapes(node, true));
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
        let in_zone = |labels: &crate::cluster::Labels| {
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
        let pods: Vec<PodId> =
            view.pods_on(node).filter(|(_, pod)| !pod.is_terminating()).map(|(id, _)| id).collect();
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

    fn for_deployment(
        &mut self,
        workload: &ObjectReference,
        action: impl FnOnce(&Self, DeploymentId) -> Option<Action>,
    ) {
        let id = self.plane.store().deployment_named(&workload.id);
        let action = id.filter(|_| *workload.kind == *"Deployment").and_then(|id| action(self, id));
        match action {
            Some(action) => self.act("user", action),
            None => self.not_found(workload),
        }
    }

    fn change_spec(
        &mut self,
        workload: &ObjectReference,
        reason: &'static str,
        change: impl FnOnce(&mut DeploymentSpec),
    ) {
        self.for_deployment(workload, |this, id| {
            let mut spec = this.plane.store().deployments()[id].spec.clone();
            change(&mut spec);
            Some(Action::SetDeploymentSpec(id, Box::new(spec)))
        });
        self.say("user", workload, reason, format!("{reason} by the scenario"));
    }

    fn set_image(&mut self, change: &ImageChange) {
        self.for_deployment(&change.workload, |this, id| {
            let mut spec = this.plane.store().deployments()[id].spec.clone();
            let mut containers = spec.template.spec.containers.iter_mut();
            let container = match &change.container {
                Some(name) => containers.find(|one| one.name == *name),
                None => containers.next(),
            }?;
            container.image = change.image.clone();
            Some(Action::SetDeploymentSpec(id, Box::new(spec)))
        });
        let message = format!("image set to {}", change.image);
        self.say("user", &change.workload, "ImageChanged", message);
    }

    /// `kubectl patch`: the whole object as it is after the patch, but for the number of replicas,
    /// which somebody else may have changed since.
    fn patch(&mut self, change: &PatchChange, patched: &[Action]) {
        let Some(Action::CreateDeployment(draft)) = patched.first() else {
            return self.not_found(&change.workload);
        };
        let names_replicas = change.patch.pointer("/spec/replicas").is_some();
        self.for_deployment(&change.workload, |this, id| {
            let (meta, mut spec) = (**draft).clone();
            if !names_replicas {
                spec.replicas = this.plane.store().deployments()[id].spec.replicas;
            }
            Some(Action::ApplyDeployment(id, Box::new((meta, spec))))
        });
        self.say("user", &change.workload, "Patched", format!("patched with {}", change.patch));
    }

    /// `kubectl rollout undo`: the template of an earlier ReplicaSet becomes the Deployment's.
    fn roll_back(&mut self, rollback: &Rollback) {
        self.for_deployment(&rollback.workload, |this, id| {
            let store = this.plane.store();
            let mut sets: Vec<_> = store.replica_sets_of(id).map(|(_, set)| set).collect();
            sets.sort_by_key(|set| std::cmp::Reverse(set.revision));
            let set = match rollback.to_revision {
                Some(revision) => sets.into_iter().find(|set| set.revision == i64::from(revision)),
                None => sets.into_iter().nth(1),
            }?;
            let mut spec = store.deployments()[id].spec.clone();
            spec.template = without_hash(&store.templates()[set.template]);
            Some(Action::SetDeploymentSpec(id, Box::new(spec)))
        });
        self.say("user", &rollback.workload, "RolledBack", "kubectl rollout undo".to_owned());
    }

    /// `kubectl apply`: what exists already is changed, what does not is created.
    fn apply_object(&mut self, action: Action) {
        let action = match action {
            Action::CreateDeployment(draft) => {
                match self.plane.store().deployment_named(&draft.0.id) {
                    Some(id) => Action::SetDeploymentSpec(id, Box::new(draft.1)),
                    None => Action::CreateDeployment(draft),
                }
            }
            other => other,
        };
        self.act("user", action);
    }

    fn delete_object(&mut self, object: &ObjectReference) {
        let store = self.plane.store();
        let action = match object.kind.as_ref() {
            "Deployment" => store.deployment_named(&object.id).map(Action::DeleteDeployment),
            "Pod" => store
                .pod_named(&object.id)
                .map(|pod| Action::DeletePod(pod, PodDeletion::default())),
            "Node" => store.node_named(&object.id.name).map(Action::RemoveNode),
            _ => None,
        };
        if let Some(Action::RemoveNode(node)) = action {
            self.node_down(node);
        }
        match action {
            Some(action) => {
                self.act("user", action);
                self.say("user", object, "Deleted", format!("{object} deleted"));
            }
            None => self.not_found(object),
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

/// A ReplicaSet's template as its Deployment has it.
fn without_hash(template: &PodTemplate) -> PodTemplate {
    let labels = template.labels.iter().filter(|(key, _)| key.as_ref() != POD_TEMPLATE_HASH);
    let labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
    PodTemplate { labels, ..template.clone() }
}
