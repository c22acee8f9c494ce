//! Carries out the scenario's timeline: what a user, an operator or bad luck does to the cluster.

use super::event::Event;
use super::simulation::Simulation;
use crate::cluster::action::{Event as KubernetesEvent, PodDeletion};
use crate::cluster::deployment::{DeploymentId, DeploymentSpec};
use crate::cluster::node::{NodeId, ZONE_LABEL};
use crate::cluster::pod::PodId;
use crate::cluster::pod_template::PodTemplate;
use crate::cluster::{Action, Name, NamespacedName, ObjectReference};
use crate::engine::{SimDuration, Streams, random};
use crate::faults::{ImageChange, Rollback, TimelineAction};
use crate::record::workload_of;

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
                self.for_node(name, |this, node| this.drain_node(node, entry));
            }
            TimelineAction::DeletePod(deletion) => {
                self.delete_pods(&deletion.workload, deletion.count, entry);
            }
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
            TimelineAction::Delete(object) => self.delete_object(object),
        }
    }

    fn for_node(&mut self, name: &str, act: impl FnOnce(&mut Self, NodeId)) {
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

    fn kill(&mut self, node: NodeId) {
        let name = self.plane.store().nodes()[node].meta.name().clone();
        let message = format!("node {name} stops without a word");
        self.warn("scenario", &node_reference(&name), "NodeKilled", message);
        self.node_down(node);
    }

    fn recover(&mut self, node: NodeId) {
        let name = self.plane.store().nodes()[node].meta.name().clone();
        let message = format!("node {name} comes back");
        self.say("scenario", &node_reference(&name), "NodeRecovered", message);
        self.node_up(node);
    }

    /// Cordons the node and evicts its pods; entered again while some are left.
    fn drain_node(&mut self, node: NodeId, entry: u32) {
        self.act("user", Action::SetNodeUnschedulable(node, true));
        let view = self.plane.view(self.now);
        let pods: Vec<PodId> =
            view.pods_on(node).filter(|(_, pod)| !pod.is_terminating()).map(|(id, _)| id).collect();
        for pod in &pods {
            let eviction =
                PodDeletion { disruption: Some("EvictionByEvictionAPI"), ..PodDeletion::default() };
            self.act("user", Action::DeletePod(*pod, eviction));
        }
        let view = self.plane.view(self.now);
        if view.pods_on(node).any(|(_, pod)| !pod.is_terminating()) {
            self.enter(self.now + DRAIN_RETRY, Event::Timeline { entry });
        }
    }

    fn delete_pods(&mut self, workload: &ObjectReference, count: u32, entry: u32) {
        let view = self.plane.view(self.now);
        let mut pods: Vec<PodId> = view
            .pods()
            .iter()
            .filter(|(_, pod)| pod.is_active() && pod.node.is_some())
            .filter(|(_, pod)| workload_of(view, pod) == *workload)
            .map(|(id, _)| id)
            .collect();
        if pods.is_empty() {
            self.not_found(workload);
        }
        let mut drawn = Streams::new(self.world.seed).stream("deleted pods", entry.into());
        for _ in 0..count.min(u32::try_from(pods.len()).unwrap_or(u32::MAX)) {
            let pod = pods.swap_remove(random::index_below(&mut drawn, pods.len()));
            self.act("user", Action::DeletePod(pod, PodDeletion::default()));
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
        match action {
            Some(action) => {
                self.act("user", action);
                self.say("user", object, "Deleted", format!("{object} deleted"));
            }
            None => self.not_found(object),
        }
    }

    fn not_found(&mut self, object: &ObjectReference) {
        let message = format!("{object} is not there at this time: nothing was done");
        self.warn("scenario", object, "NotFound", message);
    }

    fn say(
        &mut self,
        actor: &'static str,
        object: &ObjectReference,
        reason: &'static str,
        message: String,
    ) {
        self.log(actor, object, false, reason, message);
    }

    fn warn(
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

fn node_reference(name: &str) -> ObjectReference {
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
