//! `kubectl describe`: all that is known of an object, and its events.

use std::fmt::Write as _;

use super::age::age;
use super::columns::NONE;
use super::describe_workloads as workloads;
use super::get::{Scope, label_text, metric_pairs, node_status, taint_text};
use super::pod_status::{conditions, state_lines};
use cluster::container_status::{ContainerStatus, ContainerStatuses};
use cluster::deployment::WorkloadCondition;
use cluster::pod::Pod;
use cluster::pod_template::{Container, PodSpec, PodTemplate, ReferenceKind, ResourceList};
use cluster::printed_status::printed_status;
use cluster::{ClusterView, Labels, ObjectReference};
use engine::SimTime;
use record::LogLine;

/// An object in full, as text; `None` if there is no such object, or it is of a kind that is not shown.
pub fn describe(
    view: ClusterView<'_>,
    log: &[LogLine],
    object: &ObjectReference,
) -> Option<String> {
    let mut page = Page::default();
    match &*object.kind {
        "Pod" => pod(view, object, &mut page)?,
        "Node" => node(view, object, &mut page)?,
        "Deployment" => deployment(view, object, &mut page)?,
        "HorizontalPodAutoscaler" => hpa(view, object, &mut page)?,
        "Service" => service(view, object, &mut page)?,
        "StatefulSet" => workloads::stateful_set(view, object, &mut page)?,
        "DaemonSet" => workloads::daemon_set(view, object, &mut page)?,
        "Job" => workloads::job(view, object, &mut page)?,
        "CronJob" => workloads::cron_job(view, object, &mut page)?,
        "ReplicaSet" => workloads::replica_set(view, object, &mut page)?,
        "PodDisruptionBudget" => workloads::disruption_budget(view, object, &mut page)?,
        "ConfigMap" => workloads::config(view, object, ReferenceKind::ConfigMap, &mut page)?,
        "Secret" => workloads::config(view, object, ReferenceKind::Secret, &mut page)?,
        "PersistentVolumeClaim" => {
            workloads::claim(view, object, &mut page)?;
        }
        "ResourceQuota" => workloads::quota(view, object, &mut page)?,
        _ => return None,
    }
    let of_object: Vec<LogLine> = log
        .iter()
        .filter(|line| *line.kind == *object.kind && line.object == object.id)
        .cloned()
        .collect();
    let scope = Scope { namespace: Some(object.id.namespace.to_string()), ..Scope::default() };
    match super::events(view.now, &of_object, &scope) {
        events if events.is_empty() => page.field("Events", NONE),
        events => {
            page.section("Events");
            events.lines().for_each(|line| page.line(line));
        }
    }
    Some(page.text)
}

/// A page that grows line by line.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub(super) fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let name = format!("{name}:");
        let _ = writeln!(self.text, "{name:<21} {value}");
    }

    pub(super) fn section(&mut self, name: &str) {
        let _ = writeln!(self.text, "{name}:");
    }

    pub(super) fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "  {line}");
    }

    pub(super) fn labels(&mut self, name: &str, labels: &Labels) {
        let pairs: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.field(name, if pairs.is_empty() { NONE.to_owned() } else { pairs.join(", ") });
    }

    pub(super) fn template(&mut self, template: &PodTemplate) {
        self.all_containers(&template.spec, &ContainerStatuses::default(), SimTime::ZERO);
    }

    /// Containers with what is said of them at `now`.
    fn all_containers(&mut self, spec: &PodSpec, statuses: &ContainerStatuses, now: SimTime) {
        let (init, regular) = statuses.split(spec);
        if !spec.init_containers.is_empty() {
            self.containers("Init Containers", &spec.init_containers, init, now);
        }
        self.containers("Containers", &spec.containers, regular, now);
    }

    /// Containers, and which of those that come first run on beside the others.
    fn containers(
        &mut self,
        title: &str,
        containers: &[Container],
        statuses: &[ContainerStatus],
        now: SimTime,
    ) {
        self.section(title);
        for (position, container) in containers.iter().enumerate() {
            self.line(&format!("{}:", container.name));
            self.of_container("Image:", &container.image);
            for (name, text) in
                statuses.get(position).into_iter().flat_map(|status| state_lines(status, now))
            {
                self.of_container(name, &text);
            }
            if container.is_sidecar {
                self.of_container("Restart Policy:", "Always");
            }
            for (name, amounts) in
                [("Limits:", &container.limits), ("Requests:", &container.requests)]
            {
                if !amounts.is_empty() {
                    self.of_container(name, &amounts_text(amounts));
                }
            }
        }
    }

    fn of_container(&mut self, name: &str, value: &str) {
        self.line(&format!("  {name:<15} {value}"));
    }

    pub(super) fn conditions(&mut self, conditions: &[WorkloadCondition]) {
        self.section("Conditions");
        for one in conditions {
            let status = one.status.as_str();
            self.line(&format!("{:<15} {status:<8} {}: {}", one.kind, one.reason, one.message));
        }
    }
}

fn amounts_text(amounts: &ResourceList) -> String {
    let pairs: Vec<String> =
        amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    pairs.join(", ")
}

fn pod(view: ClusterView<'_>, object: &ObjectReference, page: &mut Page) -> Option<()> {
    let pod = view.pods().get(view.pod_named(&object.id)?)?;
    let template = view.template_of(pod);
    let printed = printed_status(pod, &template.spec);
    let node = pod.node.and_then(|node| view.nodes().get(node));
    page.field("Name", pod.name());
    page.field("Namespace", &pod.id.namespace);
    page.field("Priority", template.spec.priority.unwrap_or(0));
    page.field("Node", node.map_or(NONE, |node| &**node.meta.name()));
    page.field("Age", age(view.now, pod.created));
    page.labels("Labels", view.labels_of(pod));
    page.field("Status", printed.status);
    if let Some(deletion) = pod.deletion {
        page.field(
            "Terminating",
            format!("asked for {} ago", age(view.now, deletion.requested_at)),
        );
    }
    if let Some((kind, id)) = pod.owner.and_then(|owner| view.identity_of(owner)) {
        page.field("Controlled By", format!("{kind}/{}", id.name));
    }
    page.field("Ready", format!("{}/{}", printed.ready, printed.containers));
    page.field("Restart Count", printed.restarts);
    page.all_containers(&template.spec, &pod.containers, view.now);
    let (told, of_resize) = (conditions(pod), resize_conditions(pod));
    if pod.conditions.scheduled.is_some() || !of_resize.is_empty() {
        page.section("Conditions");
    }
    for (kind, condition) in told {
        page.line(&format!("{kind:<25} {}", condition.status.as_str()));
    }
    for one in of_resize {
        let text = format!("{:<25} True   {}: {}", one.kind, one.reason, one.message);
        page.line(text.trim_end_matches([':', ' ']));
    }
    Some(())
}

/// A condition of a resize that is not through.
pub(super) struct ResizeCondition<'a> {
    pub(super) kind: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: &'a str,
    pub(super) since: SimTime,
}

/// The conditions of a resize that is not through.
pub(super) fn resize_conditions(pod: &Pod) -> Vec<ResizeCondition<'_>> {
    let Some(resize) = &pod.resize else { return Vec::new() };
    let pending = resize.pending.as_ref().map(|pending| ResizeCondition {
        kind: "PodResizePending",
        reason: pending.reason.as_str(),
        message: &pending.message,
        since: pending.since,
    });
    let in_progress = resize.in_progress.as_ref().map(|progress| ResizeCondition {
        kind: "PodResizeInProgress",
        reason: if progress.error.is_some() { "Error" } else { "" },
        message: progress.error.as_deref().unwrap_or_default(),
        since: progress.since,
    });
    pending.into_iter().chain(in_progress).collect()
}

fn node(view: ClusterView<'_>, object: &ObjectReference, page: &mut Page) -> Option<()> {
    let id = view.node_named(&object.id.name)?;
    let node = view.nodes().get(id)?;
    page.field("Name", node.meta.name());
    page.labels("Labels", &node.meta.labels);
    page.field("Age", age(view.now, node.meta.created));
    page.field("Status", node_status(node));
    let taints: Vec<String> = node.taints.iter().map(taint_text).collect();
    page.field("Taints", if taints.is_empty() { NONE.to_owned() } else { taints.join(", ") });
    page.field("Unschedulable", node.unschedulable);
    page.field("Capacity", amounts_text(&node.capacity));
    page.field("Allocatable", amounts_text(&node.allocatable));
    page.section("Pods");
    let mut pods: Vec<_> = view.pods_on(id).map(|(_, pod)| pod).collect();
    pods.sort_by(|one, other| one.id.cmp(&other.id));
    for pod in pods {
        let spec = &view.template_of(pod).spec;
        let printed = printed_status(pod, spec);
        let requests = cluster::pod_resources::pod_requests(spec);
        let line = format!("{}  {}  {}", pod.id, printed.status, amounts_text(&requests));
        page.line(&line);
    }
    Some(())
}

fn deployment(view: ClusterView<'_>, object: &ObjectReference, page: &mut Page) -> Option<()> {
    let id = view.deployment_named(&object.id)?;
    let deployment = view.deployments().get(id)?;
    let (spec, status) = (&deployment.spec, &deployment.status);
    page.field("Name", deployment.meta.name());
    page.field("Namespace", deployment.meta.namespace());
    page.field("Age", age(view.now, deployment.meta.created));
    page.labels("Labels", &deployment.meta.labels);
    page.field("Selector", label_text(&spec.selector));
    page.field(
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            spec.replicas,
            status.updated_replicas,
            status.replicas,
            status.available_replicas,
            status.unavailable_replicas
        ),
    );
    page.field("MinReadySeconds", spec.min_ready_seconds);
    page.field("Paused", spec.paused);
    page.template(&spec.template);
    page.conditions(&status.conditions);
    page.section("ReplicaSets");
    for (_, set) in view.store().replica_sets_of(id) {
        page.line(&format!(
            "{} (revision {}): {}/{} replicas",
            set.meta.name(),
            set.revision,
            set.status.replicas,
            set.replicas
        ));
    }
    Some(())
}

fn hpa(view: ClusterView<'_>, object: &ObjectReference, page: &mut Page) -> Option<()> {
    let hpa = view.hpas().get(view.hpa_named(&object.id)?)?;
    let target = &hpa.spec.scale_target;
    page.field("Name", hpa.meta.name());
    page.field("Namespace", hpa.meta.namespace());
    page.field("Age", age(view.now, hpa.meta.created));
    page.field("Reference", format!("{}/{}", target.kind, target.name));
    let pairs = metric_pairs(hpa);
    page.field("Metrics", if pairs.is_empty() { NONE.to_owned() } else { pairs.join(", ") });
    page.field("Min replicas", hpa.spec.min_replicas);
    page.field("Max replicas", hpa.spec.max_replicas);
    let (current, desired) = (hpa.status.current_replicas, hpa.status.desired_replicas);
    page.field("Replicas", format!("{current} current / {desired} desired"));
    page.section("Conditions");
    for one in &hpa.status.conditions {
        let (kind, status) = (one.kind.as_str(), one.status.as_str());
        page.line(&format!("{kind:<15} {status:<8} {}: {}", one.reason.as_str(), one.message()));
    }
    Some(())
}

fn service(view: ClusterView<'_>, object: &ObjectReference, page: &mut Page) -> Option<()> {
    let service = view.services().values().find(|service| service.meta.id == object.id)?;
    page.field("Name", service.meta.name());
    page.field("Namespace", service.meta.namespace());
    page.field("Age", age(view.now, service.meta.created));
    page.field("Selector", service.selector.as_ref().map_or_else(|| NONE.to_owned(), label_text));
    for port in &service.ports {
        page.field("Port", format!("{} -> {}", port.port, port.target_port));
    }
    page.section("Endpoints");
    for endpoint in &service.endpoints {
        let Some(pod) = view.pods().get(endpoint.pod) else { continue };
        let state = match (endpoint.ready, endpoint.terminating) {
            (true, _) => "ready",
            (false, true) => "terminating",
            (false, false) => "not ready",
        };
        page.line(&format!("{}  {state}", pod.name()));
    }
    Some(())
}
