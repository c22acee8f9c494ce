//! `kubectl top`: the metrics that metrics-server last published.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::columns::{Columns, UNKNOWN};
use super::get::Scope;
use cluster::ClusterView;
use cluster::metrics::Sample;
use cluster::node::{ConditionStatus, Node, NodeId};
use cluster::pod::Pod;
use cluster::pod_template::{PodSpec, ResourceList};

/// CPU in billionths of a core, memory in bytes.
#[derive(Clone, Copy, Default)]
struct Usage {
    cpu_nano: i64,
    memory_bytes: i64,
}

/// Order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopOrder {
    /// By name.
    #[default]
    Name,
    /// By CPU, descending.
    Cpu,
    /// By memory, descending.
    Memory,
}

impl TopOrder {
    fn sort<T>(self, rows: &mut [(T, Usage)]) {
        match self {
            Self::Name => {}
            Self::Cpu => rows.sort_by_key(|(_, usage)| Reverse(usage.cpu_nano / 1_000_000)),
            Self::Memory => rows.sort_by_key(|(_, usage)| Reverse(usage.memory_bytes)),
        }
    }
}

/// Usage of each pod that metrics-server knows, or of each of its containers.
pub fn top_pods(
    view: ClusterView<'_>,
    scope: &Scope,
    by_container: bool,
    order: TopOrder,
) -> String {
    let has_namespace = scope.namespace.is_none();
    let mut titles = vec!["NAME", "CPU(cores)", "MEMORY(bytes)"];
    if by_container {
        titles.insert(0, "POD");
    }
    if has_namespace {
        titles.insert(0, "NAMESPACE");
    }
    let mut columns = Columns::padded(titles);
    let is_meant = |pod: &Pod| scope.has(&pod.id, view.labels_of(pod));
    let mut pods: Vec<_> = view.store().pods().iter().filter(|(_, pod)| is_meant(pod)).collect();
    pods.sort_by(|(_, one), (_, other)| one.id.cmp(&other.id));
    let rows = pods.into_iter().filter_map(|(id, pod)| {
        let sample = view.pod_metrics().get(id)?;
        Some(((pod, sample), Usage::of(sample)))
    });
    let mut rows: Vec<_> = rows.collect();
    order.sort(&mut rows);
    for ((pod, sample), usage) in rows {
        let head = || has_namespace.then(|| pod.id.namespace.to_string());
        let name = pod.name().to_string();
        if !by_container {
            let cells = [name, usage.cpu(), usage.memory()];
            columns.row(head().into_iter().chain(cells).collect());
            continue;
        }
        for (container, usage) in containers(&view.template_of(pod).spec, sample) {
            let cells = [name.clone(), container, usage.cpu(), usage.memory()];
            columns.row(head().into_iter().chain(cells).collect());
        }
    }
    columns.text()
}

/// Usage of each container: that of the application, then the others in their order.
fn containers(spec: &PodSpec, sample: Sample<'_>) -> Vec<(String, Usage)> {
    let of_others = |name: &str| sample.others.iter().find(|one| *one.container == *name);
    let mut application = Some(Usage { cpu_nano: sample.cpu_nano, memory_bytes: sample.memory.0 });
    let all = spec.running().filter_map(|container| {
        let usage = match of_others(&container.name) {
            Some(one) => Usage { cpu_nano: one.cpu_nano, memory_bytes: one.memory.0 },
            None => application.take()?,
        };
        Some((container.name.to_string(), usage))
    });
    all.collect()
}

/// Usage of each node by its pods, and as a percentage of its allocatable. The system's own usage is not simulated.
/// For a node whose kubelet did not answer, metrics-server has no metrics.
pub fn top_nodes(view: ClusterView<'_>, scope: &Scope, order: TopOrder) -> String {
    let mut usage: BTreeMap<NodeId, Usage> = BTreeMap::new();
    for (id, pod) in view.store().pods().iter() {
        let (Some(node), Some(sample)) = (pod.node, view.pod_metrics().get(id)) else { continue };
        let pod = Usage::of(sample);
        let sum = usage.entry(node).or_default();
        sum.cpu_nano += pod.cpu_nano;
        sum.memory_bytes += pod.memory_bytes;
    }
    let titles = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
    let mut columns = Columns::padded(titles);
    let is_meant = |node: &Node| scope.has(&node.meta.id, &node.meta.labels);
    let mut nodes: Vec<_> =
        view.store().nodes().iter().filter(|(_, node)| is_meant(node)).collect();
    nodes.sort_by(|(_, one), (_, other)| one.meta.id.cmp(&other.meta.id));
    // Nodes without metrics come last (`PrintNodeMetrics`).
    let (known, unknown): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|(_, node)| answers(node));
    let known = known.into_iter();
    let mut rows: Vec<_> =
        known.map(|(id, node)| (node, usage.get(&id).copied().unwrap_or_default())).collect();
    order.sort(&mut rows);
    for (node, used) in rows {
        let cpu = milli(&node.allocatable, "cpu");
        let memory = milli(&node.allocatable, "memory") / 1_000;
        columns.row(vec![
            node.meta.name().to_string(),
            used.cpu(),
            percent(i128::from(used.cpu_nano / 1_000_000), cpu),
            used.memory(),
            percent(i128::from(used.memory_bytes), memory),
        ]);
    }
    for (_, node) in unknown {
        let mut cells = vec![node.meta.name().to_string()];
        cells.resize(titles.len(), UNKNOWN.to_owned());
        columns.row(cells);
    }
    columns.text()
}

/// True if the kubelet of a node answers: the node is Ready, and its lease is renewed in time.
fn answers(node: &Node) -> bool {
    node.ready.status == ConditionStatus::True && node.health.lease.silent_since.is_none()
}

fn milli(amounts: &ResourceList, resource: &str) -> i128 {
    amounts.get(resource).map_or(0, |amount| i128::from(amount.milli_value()))
}

fn percent(part: i128, whole: i128) -> String {
    if whole > 0 { format!("{}%", part * 100 / whole) } else { "<unknown>".to_owned() }
}

impl Usage {
    /// Total of all containers.
    fn of(sample: Sample<'_>) -> Self {
        let others = sample.others.iter();
        let (cpu_nano, memory_bytes) = others
            .fold((sample.cpu_nano, sample.memory.0), |(cpu_nano, memory_bytes), one| {
                (cpu_nano + one.cpu_nano, memory_bytes + one.memory.0)
            });
        Self { cpu_nano, memory_bytes }
    }

    fn cpu(self) -> String {
        format!("{}m", self.cpu_nano / 1_000_000)
    }

    fn memory(self) -> String {
        format!("{}Mi", self.memory_bytes >> 20)
    }
}
