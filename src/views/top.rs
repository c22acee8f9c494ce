//! `kubectl top`: what metrics-server last served.

use std::collections::BTreeMap;

use super::columns::Columns;
use super::get::Scope;
use super::get_workloads::UNKNOWN;
use cluster::ClusterView;
use cluster::metrics::Sample;
use cluster::node::{ConditionStatus, Node, NodeId};
use cluster::pod_template::ResourceList;

/// CPU in billionths of a core, memory in bytes.
#[derive(Clone, Copy, Default)]
struct Usage {
    cpu_nano: i64,
    memory_bytes: i64,
}

/// Use of each pod that metrics-server knows.
pub fn top_pods(view: ClusterView<'_>, scope: &Scope) -> String {
    let has_namespace = scope.namespace.is_none();
    let namespace = has_namespace.then_some("NAMESPACE");
    let titles = ["NAME", "CPU(cores)", "MEMORY(bytes)"];
    let mut columns = Columns::new(namespace.into_iter().chain(titles));
    let mut pods: Vec<_> =
        view.store().pods().iter().filter(|(_, pod)| scope.has(&pod.id)).collect();
    pods.sort_by(|(_, one), (_, other)| one.id.cmp(&other.id));
    for (id, pod) in pods {
        let Some(sample) = view.pod_metrics().get(id) else { continue };
        let usage = Usage::of(sample);
        let cells = [pod.name().to_string(), usage.cpu(), usage.memory()];
        let namespace = has_namespace.then(|| pod.id.namespace.to_string());
        columns.row(namespace.into_iter().chain(cells).collect());
    }
    columns.text()
}

/// Use of each node by the pods on it, and what share of its allocatable that is. What the system itself
/// uses is not simulated. Of a node whose kubelet did not answer, metrics-server serves nothing.
pub fn top_nodes(view: ClusterView<'_>) -> String {
    let mut usage: BTreeMap<NodeId, Usage> = BTreeMap::new();
    for (id, pod) in view.store().pods().iter() {
        let (Some(node), Some(sample)) = (pod.node, view.pod_metrics().get(id)) else { continue };
        let pod = Usage::of(sample);
        let sum = usage.entry(node).or_default();
        sum.cpu_nano += pod.cpu_nano;
        sum.memory_bytes += pod.memory_bytes;
    }
    let titles = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
    let mut columns = Columns::new(titles);
    let mut nodes: Vec<_> = view.store().nodes().iter().collect();
    nodes.sort_by(|(_, one), (_, other)| one.meta.id.cmp(&other.meta.id));
    for (id, node) in nodes {
        if !answers(node) {
            let unknown = || UNKNOWN.to_owned();
            let name = node.meta.name().to_string();
            columns.row(vec![name, unknown(), unknown(), unknown(), unknown()]);
            continue;
        }
        let used = usage.get(&id).copied().unwrap_or_default();
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
    columns.text()
}

/// Whether the kubelet of a node still answers: it is ready, and renewed its lease when it should have.
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
    /// Of all containers together.
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
