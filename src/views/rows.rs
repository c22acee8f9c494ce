//! The cells of `kubectl get` (`pkg/printers/internalversion/printers.go`, 1.36) for nodes, pods, workloads and
//! Services. Titles are in `kinds`, printing is in `get`.

use super::age::{age, human};
use super::columns::{NONE, UNKNOWN};
use super::derived;
use super::describe_hpa::targets;
use super::get::Scope;
use cluster::assigned::{cluster_ip, node_ip, node_port, pod_ip, uid_text};
use cluster::deployment::IntOrPercent;
use cluster::job::{COMPLETE, FAILED, Job};
use cluster::node::Taint;
use cluster::node::{ConditionStatus, Node};
use cluster::pod::Pod;
use cluster::pod_template::{PodSpec, PodTemplate};
use cluster::policy::Budget;
use cluster::printed_status::printed_status;
use cluster::selector::Selector;
use cluster::service::Service;
use cluster::{ClusterView, Kind, Labels, NamespacedName, ObjectMeta};
use engine::SimTime;

/// A cluster at an instant.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The store at an instant.
    pub view: ClusterView<'a>,
}

impl<'a> Snapshot<'a> {
    /// Age of an object created at this time.
    pub(super) fn age(self, at: SimTime) -> String {
        age(self.view.now, at)
    }

    /// A time as in `kubectl describe` (`time.RFC1123Z`, in UTC).
    pub(super) fn date(self, at: SimTime) -> String {
        let at = ClusterView::new(self.view.store(), at).timestamp();
        at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }

    /// The name of a pod's node.
    pub(super) fn node_name(self, node: Option<cluster::node::NodeId>) -> &'a str {
        let node = node.and_then(|node| self.view.store().nodes().get(node));
        node.map_or(NONE, |node| node.meta.name())
    }
}

/// The objects of a list.
pub(super) struct Rows<'a> {
    scope: &'a Scope,
    pub(super) found: Vec<Found>,
}

/// A listed object.
pub(super) struct Found {
    pub(super) id: NamespacedName,
    pub(super) labels: Labels,
    /// The cells of all columns, those of `-o wide` last.
    pub(super) cells: Vec<String>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(scope: &'a Scope) -> Self {
        Self { scope, found: Vec::new() }
    }

    /// Lists an object if it is selected; its name precedes the other cells.
    pub(super) fn add(
        &mut self,
        id: &NamespacedName,
        labels: &Labels,
        others: impl FnOnce() -> Vec<String>,
    ) {
        if !self.scope.has(id, labels) {
            return;
        }
        let mut cells = vec![id.name.to_string()];
        cells.extend(others());
        self.found.push(Found { id: id.clone(), labels: labels.clone(), cells });
    }

    pub(super) fn of(&mut self, meta: &ObjectMeta, others: impl FnOnce() -> Vec<String>) {
        self.add(&meta.id, &meta.labels, others);
    }
}

pub(super) fn pods(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    let view = snapshot.view;
    for pod in view.store().pods().values() {
        rows.add(&pod.id, view.labels_of(pod), || {
            let printed = printed_status(pod, &view.template_of(pod).spec);
            let restarts = match printed.last_restart.filter(|_| printed.restarts > 0) {
                Some(at) => format!("{} ({} ago)", printed.restarts, snapshot.age(at)),
                None => printed.restarts.to_string(),
            };
            vec![
                format!("{}/{}", printed.ready, printed.containers),
                printed.status,
                restarts,
                snapshot.age(pod.created),
                pod_ip(snapshot.view.store(), pod).unwrap_or_else(|| NONE.to_owned()),
                snapshot.node_name(pod.node).to_owned(),
                snapshot.node_name(pod.nominated_node).to_owned(),
                open_gates(pod, &view.template_of(pod).spec),
            ]
        });
    }
}

/// Number of a pod's readiness gates that are open: all or none, as a single controller sets their conditions.
fn open_gates(pod: &Pod, spec: &PodSpec) -> String {
    match (spec.readiness_gates.len(), pod.is_ready()) {
        (0, _) => NONE.to_owned(),
        (all, true) => format!("{all}/{all}"),
        (all, false) => format!("0/{all}"),
    }
}

pub(super) fn nodes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for node in snapshot.view.store().nodes().values() {
        rows.of(&node.meta, || {
            let info = &snapshot.written(Kind::Node, &node.meta.id)["status"]["nodeInfo"];
            let node_info =
                |field: &str, otherwise: &str| info[field].as_str().unwrap_or(otherwise).to_owned();
            let kernel = match (info["kernelVersion"].as_str(), info["architecture"].as_str()) {
                (Some(kernel), Some(architecture)) => format!("{kernel} ({architecture})"),
                _ => UNKNOWN.to_owned(),
            };
            vec![
                node_status(node),
                node_roles(node),
                snapshot.age(node.meta.created),
                node_info("kubeletVersion", derived::KUBELET_VERSION),
                node_ip(node),
                NONE.to_owned(),
                node_info("osImage", UNKNOWN),
                kernel,
                node_info("containerRuntimeVersion", UNKNOWN),
            ]
        });
    }
}

pub(super) fn deployments(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for deployment in snapshot.view.store().deployments().values() {
        let (spec, status) = (&deployment.spec, &deployment.status);
        rows.of(&deployment.meta, || {
            let mut cells = vec![
                format!("{}/{}", status.ready_replicas, spec.replicas),
                status.updated_replicas.to_string(),
                status.available_replicas.to_string(),
                snapshot.age(deployment.meta.created),
            ];
            cells.extend(template_cells(&spec.template, &spec.selector));
            cells
        });
    }
}

pub(super) fn replica_sets(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for set in snapshot.view.store().replica_sets().values() {
        rows.of(&set.meta, || {
            let mut cells = vec![
                set.replicas.to_string(),
                set.status.replicas.to_string(),
                set.status.ready_replicas.to_string(),
                snapshot.age(set.meta.created),
            ];
            let template = snapshot.view.store().templates().get(set.template);
            cells.extend(template.into_iter().flat_map(|one| template_cells(one, &set.selector)));
            cells
        });
    }
}

pub(super) fn stateful_sets(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for set in snapshot.view.store().stateful_sets().values() {
        rows.of(&set.meta, || {
            let mut cells = vec![
                format!("{}/{}", set.status.ready_replicas, set.spec.replicas),
                snapshot.age(set.meta.created),
            ];
            cells.extend(container_cells(&set.spec.template));
            cells
        });
    }
}

pub(super) fn daemon_sets(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for set in snapshot.view.store().daemon_sets().values() {
        let status = &set.status;
        rows.of(&set.meta, || {
            let mut cells = vec![
                status.desired_number_scheduled.to_string(),
                status.current_number_scheduled.to_string(),
                status.number_ready.to_string(),
                status.updated_number_scheduled.to_string(),
                status.number_available.to_string(),
                labels_text(&set.spec.template.spec.node_selector),
                snapshot.age(set.meta.created),
            ];
            cells.extend(template_cells(&set.spec.template, &set.spec.selector));
            cells
        });
    }
}

pub(super) fn jobs(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for job in snapshot.view.store().jobs().values() {
        let ended = job.status.completion_time.unwrap_or(snapshot.view.now);
        rows.of(&job.meta, || {
            let duration = job.status.start_time.map(|start| human(ended - start));
            let mut cells = vec![
                job_status(job).to_owned(),
                completions(job),
                duration.unwrap_or_default(),
                snapshot.age(job.meta.created),
            ];
            cells.extend(container_cells(&job.spec.template));
            cells.push(job_selector(job));
            cells
        });
    }
}

pub(super) fn cron_jobs(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for cron_job in snapshot.view.store().cron_jobs().values() {
        let (spec, status) = (&cron_job.spec, &cron_job.status);
        let none = || NONE.to_owned();
        rows.of(&cron_job.meta, || {
            let mut cells = vec![
                spec.schedule.to_string(),
                spec.time_zone.as_ref().map_or_else(none, ToString::to_string),
                title_case(spec.suspend).to_owned(),
                status.active.len().to_string(),
                status.last_schedule_time.map_or_else(none, |at| snapshot.age(at)),
                snapshot.age(cron_job.meta.created),
            ];
            cells.extend(container_cells(&spec.job_template.spec.template));
            cells.push(none());
            cells
        });
    }
}

pub(super) fn services(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for service in snapshot.view.store().services().values() {
        rows.of(&service.meta, || {
            let written = &snapshot.written(Kind::Service, &service.meta.id)["spec"];
            let has_node_ports = service.spec.node_ports > 0;
            let ports = service.spec.ports.iter().enumerate().map(|(position, port)| {
                let written = &written["ports"][position];
                let protocol = written["protocol"].as_str().unwrap_or("TCP");
                if has_node_ports {
                    let on_nodes = node_port(service, position);
                    format!("{}:{on_nodes}/{protocol}", port.port)
                } else {
                    format!("{}/{protocol}", port.port)
                }
            });
            let ports: Vec<String> = ports.collect();
            vec![
                service_type(snapshot, service).to_owned(),
                cluster_ip(service).unwrap_or_else(|| NONE.to_owned()),
                external_ip(snapshot, service),
                if ports.is_empty() { NONE.to_owned() } else { ports.join(",") },
                snapshot.age(service.meta.created),
                service.spec.selector.as_ref().map_or_else(|| NONE.to_owned(), label_text),
            ]
        });
    }
}

pub(super) fn hpas(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for hpa in snapshot.view.store().hpas().values() {
        let target = &hpa.spec.scale_target;
        rows.of(&hpa.meta, || {
            vec![
                format!("{}/{}", target.kind, target.name),
                targets(hpa),
                hpa.spec.min_replicas.to_string(),
                hpa.spec.max_replicas.to_string(),
                hpa.status.current_replicas.to_string(),
                snapshot.age(hpa.meta.created),
            ]
        });
    }
}

pub(super) fn disruption_budgets(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for budget in snapshot.view.store().disruption_budgets().values() {
        let absent = || "N/A".to_owned();
        rows.of(&budget.meta, || {
            let (min, max) = match &budget.spec.budget {
                Budget::MinAvailable(value) => (amount_text(*value), absent()),
                Budget::MaxUnavailable(value) => (absent(), amount_text(*value)),
            };
            let allowed = budget.status.disruptions_allowed.to_string();
            vec![min, max, allowed, snapshot.age(budget.meta.created)]
        });
    }
}

/// `spec.type` of a Service, as written or by default.
pub(super) fn service_type<'a>(snapshot: Snapshot<'a>, service: &Service) -> &'a str {
    let written = &snapshot.written(Kind::Service, &service.meta.id)["spec"]["type"];
    match written.as_str() {
        Some(written) => written,
        None if service.spec.is_load_balancer => "LoadBalancer",
        None if service.spec.node_ports > 0 => "NodePort",
        None => "ClusterIP",
    }
}

/// The EXTERNAL-IP of a Service, without addresses from a cloud.
fn external_ip(snapshot: Snapshot<'_>, service: &Service) -> String {
    let spec = &snapshot.written(Kind::Service, &service.meta.id)["spec"];
    let given = spec["externalIPs"].as_array().into_iter().flatten();
    let given: Vec<&str> = given.filter_map(serde_json::Value::as_str).collect();
    match (spec["externalName"].as_str(), given.is_empty()) {
        (Some(name), _) if spec["type"] == "ExternalName" => name.to_owned(),
        (_, false) => given.join(","),
        _ if service.spec.is_load_balancer => "<pending>".to_owned(),
        _ => NONE.to_owned(),
    }
}

/// `1` or `50%`.
pub(super) fn amount_text(value: IntOrPercent) -> String {
    match value {
        IntOrPercent::Int(count) => count.to_string(),
        IntOrPercent::Percent(percent) => format!("{percent}%"),
    }
}

/// `True` or `False`.
pub(super) const fn title_case(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// `Ready`, `NotReady` or `Unknown`, and whether it is schedulable (`printNode`).
pub(super) fn node_status(node: &Node) -> String {
    let ready = match node.ready.status {
        ConditionStatus::True => "Ready",
        ConditionStatus::False | ConditionStatus::Unknown => "NotReady",
    };
    let cordoned = if node.unschedulable { ",SchedulingDisabled" } else { "" };
    format!("{ready}{cordoned}")
}

/// Roles of a node, from its labels (`findNodeRoles`).
pub(super) fn node_roles(node: &Node) -> String {
    let roles = node.meta.labels.iter().filter_map(|(key, value)| {
        let named = key.strip_prefix("node-role.kubernetes.io/");
        named.or_else(|| (**key == *"kubernetes.io/role").then_some(value))
    });
    let mut roles: Vec<&str> = roles.filter(|role| !role.is_empty()).collect();
    roles.sort_unstable();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

/// `node.kubernetes.io/unreachable:NoExecute`, with its value if it has one.
pub(super) fn taint_text(taint: &Taint) -> String {
    let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
    format!("{}{value}:{:?}", taint.key, taint.effect)
}

fn template_cells(template: &PodTemplate, selector: &Selector) -> Vec<String> {
    let mut cells = container_cells(template);
    cells.push(label_text(selector));
    cells
}

/// Cells with the containers and their images.
fn container_cells(template: &PodTemplate) -> Vec<String> {
    let containers = &template.spec.containers;
    let joined = |texts: Vec<&str>| texts.join(",");
    vec![
        joined(containers.iter().map(|one| &*one.name).collect()),
        joined(containers.iter().map(|one| &*one.image).collect()),
    ]
}

/// A selector as kubectl prints it.
pub(super) fn label_text(selector: &Selector) -> String {
    let text = selector.to_string();
    if text.is_empty() { NONE.to_owned() } else { text }
}

/// `a=1,b=2`.
pub(super) fn labels_text(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}

/// The status in `printJob`.
pub(super) fn job_status(job: &Job) -> &'static str {
    let has = |kind: &str| {
        let mut conditions = job.status.conditions.iter();
        conditions.any(|one| one.kind == kind && one.status == ConditionStatus::True)
    };
    [COMPLETE, FAILED, "Suspended", "FailureTarget", "SuccessCriteriaMet"]
        .into_iter()
        .find(|kind| has(kind))
        .unwrap_or("Running")
}

/// The selector that the API server generates for a Job.
pub(super) fn job_selector(job: &Job) -> String {
    format!("batch.kubernetes.io/controller-uid={}", uid_text(job.meta.uid))
}

/// `3/5`, and for a work queue `1/1 of 3`.
fn completions(job: &Job) -> String {
    let succeeded = job.status.succeeded;
    match job.spec.completions {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if job.spec.parallelism > 1 => format!("{succeeded}/1 of {}", job.spec.parallelism),
        None => format!("{succeeded}/1"),
    }
}
