//! `kubectl get`: a line for each object.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::age::age;
use super::columns::{Columns, NONE};
use super::get_workloads::UNKNOWN;
use cluster::deployment::IntOrPercent;
use cluster::hpa::{MetricSource, MetricTarget};
use cluster::hpa_object::HpaObject;
use cluster::hpa_status::MetricValue;
use cluster::node::{ConditionStatus, Node, Taint};
use cluster::pod_template::PodTemplate;
use cluster::policy::Budget;
use cluster::printed_status::printed_status;
use cluster::selector::Selector;
use cluster::{ClusterView, NamespacedName, ObjectReference};
use engine::SimTime;
use units::Quantity;

/// The kinds that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pods.
    Pods,
    /// Nodes.
    Nodes,
    /// Deployments.
    Deployments,
    /// ReplicaSets.
    ReplicaSets,
    /// StatefulSets.
    StatefulSets,
    /// DaemonSets.
    DaemonSets,
    /// Jobs.
    Jobs,
    /// CronJobs.
    CronJobs,
    /// Services.
    Services,
    /// HorizontalPodAutoscalers.
    Hpas,
    /// PodDisruptionBudgets.
    DisruptionBudgets,
    /// ConfigMaps.
    ConfigMaps,
    /// Secrets.
    Secrets,
    /// PersistentVolumeClaims.
    Claims,
    /// ResourceQuotas.
    Quotas,
    /// Namespaces.
    Namespaces,
}

/// Which objects are meant.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only this namespace; all if absent, and then the namespace is a column.
    pub namespace: Option<String>,
    /// Only the object of this name.
    pub name: Option<String>,
    /// Only objects of these names, such as those that a selector finds.
    pub among: Option<BTreeSet<NamespacedName>>,
    /// Names are told with their kind, as where several kinds are listed.
    pub shows_kind: bool,
}

/// Whether all columns are shown, as with `-o wide`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide(pub bool);

impl Kind {
    const ALL: [(Self, &'static str, &'static str); 16] = [
        (Self::Pods, "Pod", "pods"),
        (Self::Nodes, "Node", "nodes"),
        (Self::Deployments, "Deployment", "deployments"),
        (Self::ReplicaSets, "ReplicaSet", "replicasets"),
        (Self::StatefulSets, "StatefulSet", "statefulsets"),
        (Self::DaemonSets, "DaemonSet", "daemonsets"),
        (Self::Jobs, "Job", "jobs"),
        (Self::CronJobs, "CronJob", "cronjobs"),
        (Self::Services, "Service", "services"),
        (Self::Hpas, "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
        (Self::DisruptionBudgets, "PodDisruptionBudget", "poddisruptionbudgets"),
        (Self::ConfigMaps, "ConfigMap", "configmaps"),
        (Self::Secrets, "Secret", "secrets"),
        (Self::Claims, "PersistentVolumeClaim", "persistentvolumeclaims"),
        (Self::Quotas, "ResourceQuota", "resourcequotas"),
        (Self::Namespaces, "Namespace", "namespaces"),
    ];

    /// The kind as a manifest spells it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| *name)
    }

    /// The kinds of `kubectl get all`, in its order.
    pub const OF_ALL: [Self; 9] = [
        Self::Pods,
        Self::Services,
        Self::DaemonSets,
        Self::Deployments,
        Self::ReplicaSets,
        Self::StatefulSets,
        Self::Hpas,
        Self::CronJobs,
        Self::Jobs,
    ];

    /// What kubectl writes before names where several kinds are listed: `deployment.apps`.
    fn prefix(self) -> String {
        let group = match self {
            Self::Deployments | Self::ReplicaSets | Self::StatefulSets | Self::DaemonSets => {
                ".apps"
            }
            Self::Jobs | Self::CronJobs => ".batch",
            Self::Hpas => ".autoscaling",
            Self::DisruptionBudgets => ".policy",
            _ => "",
        };
        format!("{}{group}", self.name().to_ascii_lowercase())
    }

    /// Whether its objects live in namespaces.
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Nodes | Self::Namespaces)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    /// As kubectl takes it: `po`, `pods`, `Pod`.
    fn from_str(text: &str) -> Result<Self, String> {
        let object: Option<ObjectReference> = format!("{text}/any").parse().ok();
        let known = |(_, name, _): &&(Self, &str, &str)| {
            object.as_ref().is_some_and(|object| *object.kind == **name)
        };
        Self::ALL.iter().find(known).map(|(kind, ..)| *kind).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|(_, _, plural)| *plural).collect();
            format!("{text:?} cannot be shown; what can: {}", all.join(", "))
        })
    }
}

impl Scope {
    /// Whether an object is meant.
    pub fn has(&self, id: &NamespacedName) -> bool {
        let is_in = self.namespace.as_ref().is_none_or(|wanted| *id.namespace == **wanted);
        (is_in || id.namespace.is_empty())
            && self.name.as_ref().is_none_or(|name| *id.name == **name)
            && self.among.as_ref().is_none_or(|among| among.contains(id))
    }
}

/// The objects of a kind in the order of their names, as a table; empty if there are none.
pub fn get(view: ClusterView<'_>, kind: Kind, scope: &Scope, wide: Wide) -> String {
    let mut table = Table::new(view, kind, scope, wide);
    match kind {
        Kind::Pods => table.pods(),
        Kind::Nodes => table.nodes(),
        Kind::Deployments => table.deployments(),
        Kind::ReplicaSets => table.replica_sets(),
        Kind::StatefulSets => table.stateful_sets(),
        Kind::DaemonSets => table.daemon_sets(),
        Kind::Jobs => table.jobs(),
        Kind::CronJobs => table.cron_jobs(),
        Kind::ConfigMaps => table.config_maps(),
        Kind::Secrets => table.secrets(),
        Kind::Claims => table.claims(),
        Kind::Quotas => table.quotas(),
        Kind::Namespaces => table.namespaces(),
        Kind::Services => table.services(),
        Kind::Hpas => table.hpas(),
        Kind::DisruptionBudgets => table.disruption_budgets(),
    }
    table.text()
}

pub(super) struct Table<'a> {
    pub(super) view: ClusterView<'a>,
    scope: &'a Scope,
    wide: bool,
    has_namespace: bool,
    /// Before each name.
    prefix: Option<String>,
    rows: Vec<(NamespacedName, Vec<String>)>,
    titles: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn new(view: ClusterView<'a>, kind: Kind, scope: &'a Scope, wide: Wide) -> Self {
        let has_namespace = kind.is_namespaced() && scope.namespace.is_none();
        let prefix = scope.shows_kind.then(|| kind.prefix());
        let (rows, titles) = (Vec::new(), Vec::new());
        Self { view, scope, wide: wide.0, has_namespace, prefix, rows, titles }
    }

    pub(super) fn titles(&mut self, always: &[&'static str], if_wide: &[&'static str]) {
        self.titles = always.to_vec();
        if self.wide {
            self.titles.extend(if_wide);
        }
    }

    pub(super) fn row(
        &mut self,
        id: &NamespacedName,
        mut always: Vec<String>,
        if_wide: Vec<String>,
    ) {
        if self.scope.has(id) {
            if self.wide {
                always.extend(if_wide);
            }
            if let (Some(prefix), Some(name)) = (&self.prefix, always.first_mut()) {
                *name = format!("{prefix}/{name}");
            }
            self.rows.push((id.clone(), always));
        }
    }

    pub(super) fn age(&self, created: SimTime) -> String {
        age(self.view.now, created)
    }

    fn text(mut self) -> String {
        self.rows.sort_by(|one, other| one.0.cmp(&other.0));
        let namespace = self.has_namespace.then_some("NAMESPACE");
        let mut columns = Columns::new(namespace.into_iter().chain(self.titles));
        for (id, cells) in self.rows {
            let namespace = self.has_namespace.then(|| id.namespace.to_string());
            columns.row(namespace.into_iter().chain(cells).collect());
        }
        columns.text()
    }

    fn pods(&mut self) {
        self.titles(
            &["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
            &["IP", "NODE", "NOMINATED NODE", "READINESS GATES"],
        );
        for pod in self.view.store().pods().values() {
            let printed = printed_status(pod, &self.view.template_of(pod).spec);
            let node_name = |node| {
                let node = self.view.nodes().get(node);
                node.map_or_else(|| NONE.to_owned(), |node| node.meta.name().to_string())
            };
            let restarts = match printed.last_restart.filter(|_| printed.restarts > 0) {
                Some(at) => format!("{} ({} ago)", printed.restarts, self.age(at)),
                None => printed.restarts.to_string(),
            };
            let always = vec![
                pod.name().to_string(),
                format!("{}/{}", printed.ready, printed.containers),
                printed.status,
                restarts,
                self.age(pod.created),
            ];
            let none = || NONE.to_owned();
            let if_wide = vec![
                none(),
                pod.node.map_or_else(none, node_name),
                pod.nominated_node.map_or_else(none, node_name),
                none(),
            ];
            self.row(&pod.id, always, if_wide);
        }
    }

    fn nodes(&mut self) {
        self.titles(&["NAME", "STATUS", "ROLES", "AGE", "VERSION"], &["POOL", "CPU", "MEMORY"]);
        for node in self.view.store().nodes().values() {
            let amount = |resource| {
                let amount = node.allocatable.get(resource);
                amount.map_or_else(|| NONE.to_owned(), |amount| amount.to_string())
            };
            let always = vec![
                node.meta.name().to_string(),
                node_status(node),
                NONE.to_owned(),
                self.age(node.meta.created),
                "v1.36".to_owned(),
            ];
            let if_wide = vec![node.pool.to_string(), amount("cpu"), amount("memory")];
            self.row(&node.meta.id, always, if_wide);
        }
    }

    fn deployments(&mut self) {
        self.titles(
            &["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
            &["CONTAINERS", "IMAGES", "SELECTOR"],
        );
        for deployment in self.view.store().deployments().values() {
            let (spec, status) = (&deployment.spec, &deployment.status);
            let always = vec![
                deployment.meta.name().to_string(),
                format!("{}/{}", status.ready_replicas, spec.replicas),
                status.updated_replicas.to_string(),
                status.available_replicas.to_string(),
                self.age(deployment.meta.created),
            ];
            self.row(&deployment.meta.id, always, template_cells(&spec.template, &spec.selector));
        }
    }

    fn replica_sets(&mut self) {
        self.titles(
            &["NAME", "DESIRED", "CURRENT", "READY", "AGE"],
            &["CONTAINERS", "IMAGES", "SELECTOR"],
        );
        for set in self.view.store().replica_sets().values() {
            let always = vec![
                set.meta.name().to_string(),
                set.replicas.to_string(),
                set.status.replicas.to_string(),
                set.status.ready_replicas.to_string(),
                self.age(set.meta.created),
            ];
            let if_wide = match self.view.templates().get(set.template) {
                Some(template) => template_cells(template, &set.selector),
                None => Vec::new(),
            };
            self.row(&set.meta.id, always, if_wide);
        }
    }

    fn services(&mut self) {
        self.titles(
            &["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
            &["SELECTOR", "READY ENDPOINTS"],
        );
        for service in self.view.store().services().values() {
            let ports: Vec<String> =
                service.ports.iter().map(|port| format!("{}/TCP", port.port)).collect();
            let ports = if ports.is_empty() { NONE.to_owned() } else { ports.join(",") };
            let ip = if service.is_headless { "None" } else { NONE };
            let ready = service.endpoints.iter().filter(|endpoint| endpoint.ready).count();
            let always = vec![
                service.meta.name().to_string(),
                "ClusterIP".to_owned(),
                ip.to_owned(),
                NONE.to_owned(),
                ports,
                self.age(service.meta.created),
            ];
            let selector = service.selector.as_ref().map_or_else(|| NONE.to_owned(), label_text);
            self.row(&service.meta.id, always, vec![selector, ready.to_string()]);
        }
    }

    fn hpas(&mut self) {
        self.titles(
            &["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"],
            &[],
        );
        for hpa in self.view.store().hpas().values() {
            let target = &hpa.spec.scale_target;
            let always = vec![
                hpa.meta.name().to_string(),
                format!("{}/{}", target.kind, target.name),
                targets(hpa),
                hpa.spec.min_replicas.to_string(),
                hpa.spec.max_replicas.to_string(),
                hpa.status.current_replicas.to_string(),
                self.age(hpa.meta.created),
            ];
            self.row(&hpa.meta.id, always, Vec::new());
        }
    }

    fn disruption_budgets(&mut self) {
        self.titles(
            &["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"],
            &[],
        );
        for budget in self.view.store().disruption_budgets().values() {
            let absent = || "N/A".to_owned();
            let (min, max) = match &budget.budget {
                Budget::MinAvailable(value) => (amount_text(*value), absent()),
                Budget::MaxUnavailable(value) => (absent(), amount_text(*value)),
            };
            let always = vec![
                budget.meta.name().to_string(),
                min,
                max,
                budget.status.disruptions_allowed.to_string(),
                self.age(budget.meta.created),
            ];
            self.row(&budget.meta.id, always, Vec::new());
        }
    }
}

/// `1` or `50%`.
pub(super) fn amount_text(value: IntOrPercent) -> String {
    match value {
        IntOrPercent::Int(count) => count.to_string(),
        IntOrPercent::Percent(percent) => format!("{percent}%"),
    }
}

/// `Ready`, `NotReady`, `Unknown`, and whether it takes pods (`printNode`).
pub(super) fn node_status(node: &Node) -> String {
    let ready = match node.ready.status {
        ConditionStatus::True => "Ready",
        ConditionStatus::False | ConditionStatus::Unknown => "NotReady",
    };
    let cordoned = if node.unschedulable { ",SchedulingDisabled" } else { "" };
    format!("{ready}{cordoned}")
}

pub(super) fn template_cells(template: &PodTemplate, selector: &Selector) -> Vec<String> {
    let containers = &template.spec.containers;
    let joined = |texts: Vec<&str>| texts.join(",");
    vec![
        joined(containers.iter().map(|one| &*one.name).collect()),
        joined(containers.iter().map(|one| &*one.image).collect()),
        label_text(selector),
    ]
}

/// A selector as kubectl prints it.
pub(super) fn label_text(selector: &Selector) -> String {
    let text = selector.to_string();
    if text.is_empty() { NONE.to_owned() } else { text }
}

/// `node.kubernetes.io/unreachable:NoExecute`, with its value if it has one.
pub(super) fn taint_text(taint: &Taint) -> String {
    let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
    format!("{}{value}:{:?}", taint.key, taint.effect)
}

/// How many metrics of an HPA are listed.
const METRICS_SHOWN: usize = 2;

/// `cpu: 45%/60%`, a pair for each metric up to the second, and how many more there are
/// (`formatHPAMetrics`).
pub(super) fn targets(hpa: &HpaObject) -> String {
    let all = metric_pairs(hpa);
    match all.len().checked_sub(METRICS_SHOWN) {
        _ if all.is_empty() => NONE.to_owned(),
        Some(more @ 1..) => format!("{} + {more} more...", all[..METRICS_SHOWN].join(", ")),
        _ => all.join(", "),
    }
}

/// A pair for each metric.
pub(super) fn metric_pairs(hpa: &HpaObject) -> Vec<String> {
    let pairs = hpa.spec.metrics.iter().enumerate().map(|(position, metric)| {
        let (name, is_told_as_mean) = match &*metric.source {
            MetricSource::Resource { resource, .. } => (format!("{resource}: "), false),
            MetricSource::Object { .. } | MetricSource::External { .. } => (String::new(), true),
            MetricSource::Pods { .. } | MetricSource::Invalid { .. } => (String::new(), false),
        };
        let status = hpa.status.current_metrics.get(position).and_then(Option::as_ref);
        let amount = |milli| Quantity::from_milli(milli).with_format(metric.target_format);
        let (target, mean) = match metric.target {
            MetricTarget::Utilization(percent) => (format!("{percent}%"), ""),
            MetricTarget::AverageValueMilli(milli) if is_told_as_mean => {
                (amount(milli).to_string(), " (avg)")
            }
            MetricTarget::AverageValueMilli(milli) | MetricTarget::ValueMilli(milli) => {
                (amount(milli).to_string(), "")
            }
        };
        let current = status.map_or_else(
            || UNKNOWN.to_owned(),
            |status| match status.current {
                MetricValue::Utilization { percent, .. } => format!("{percent}%"),
                // The controller writes what it measured in decimal suffixes, memory as well.
                MetricValue::AverageValueMilli(milli) | MetricValue::ValueMilli(milli) => {
                    Quantity::from_milli(milli).to_string()
                }
            },
        );
        format!("{name}{current}/{target}{mean}")
    });
    pairs.collect()
}
