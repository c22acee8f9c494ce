//! What befalls a random world, and what a timeline has for it.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::world::{ZONES, container};

/// A fault, or what a user or cloud does.
#[derive(Clone, Debug)]
pub enum Change {
    Node(&'static str, Index),
    Zone(&'static str, bool),
    RestartKubelet(Index, u32),
    Pods(&'static str, Index, u32, u32),
    SetImage(Index, u32),
    Scale(Index, u32),
    Rollout(&'static str, Index),
    Patch(Index, u32),
    MinReady(Index, u32),
    Quota(u32),
    Metrics(&'static str, bool),
    StockOut(u32),
    Delete(Index),
    Resize(Index, u32),
}

/// What a world has that can be changed.
pub struct Targets {
    /// Nodes that are there from the start.
    pub nodes: Vec<String>,
    /// Workloads with replicas and revisions, as a scenario refers to them.
    pub workloads: Vec<String>,
    pub zones: &'static [&'static str],
}

impl Change {
    /// What a timeline has for it; `None` where this world has nothing of the kind.
    pub fn entry(&self, targets: &Targets) -> Option<Value> {
        let Targets { nodes, workloads, zones } = targets;
        let any = |index: &Index| index.get(workloads).clone();
        Some(match self {
            Self::Node(verb, node) => json!({ *verb: node.get(nodes) }),
            Self::Zone(zone, kill) => {
                // A zone without nodes is a mistake in a scenario.
                if !zones.contains(zone) {
                    return None;
                }
                json!({ (if *kill { "killZone" } else { "recoverZone" }): zone })
            }
            Self::RestartKubelet(node, seconds) => json!({ "restartKubelet": {
                "node": node.get(nodes), "downFor": format!("{seconds}s") } }),
            Self::Pods(verb, workload, count, seconds) => {
                let mut fault = json!({ "workload": any(workload), "count": count });
                if matches!(*verb, "hang" | "failReadiness") {
                    fault["for"] = json!(format!("{seconds}s"));
                }
                json!({ *verb: fault })
            }
            Self::SetImage(workload, version) => json!({ "setImage": {
                "workload": any(workload), "image": format!("app:v{version}") } }),
            Self::Scale(workload, replicas) => {
                json!({ "scale": { "workload": any(workload), "replicas": replicas } })
            }
            Self::Rollout(verb, workload) => {
                let workload = any(workload);
                let is_set = workload.starts_with("StatefulSet");
                match *verb {
                    "rollback" => json!({ "rollback": { "workload": workload } }),
                    "pauseRollout" | "resumeRollout" if is_set => return None,
                    verb => json!({ verb: workload }),
                }
            }
            Self::Patch(workload, cpu) => json!({ "patch": { "workload": any(workload), "patch":
                { "spec": { "template": { "spec": { "containers": [container(*cpu, None)] } } } } } }),
            Self::MinReady(workload, seconds) => json!({ "patch": { "workload": any(workload),
                "patch": { "spec": { "minReadySeconds": seconds } } } }),
            Self::Quota(_) => json!({}),
            Self::Metrics("metricsApi", true) => json!({ "metricsApiDown": "resource" }),
            Self::Metrics("metricsApi", false) => json!({ "metricsApiUp": "resource" }),
            Self::Metrics(_, true) => json!({ "pauseScrapes": "metricsServer" }),
            Self::Metrics(_, false) => json!({ "resumeScrapes": "metricsServer" }),
            Self::StockOut(seconds) => {
                json!({ "stockOut": { "pool": "p0", "for": format!("{seconds}s") } })
            }
            Self::Delete(workload) => json!({ "delete": any(workload) }),
            Self::Resize(workload, cpu) => json!({ "resize": { "workload": any(workload),
                "requests": { "cpu": format!("{cpu}m") } } }),
        })
    }
}

/// Any of these.
pub fn any_change() -> impl Strategy<Value = Change> {
    let nodes = vec![
        "killNode",
        "recoverNode",
        "disconnectNode",
        "nodeNotReady",
        "cordon",
        "uncordon",
        "drain",
    ];
    let pods = vec!["crashContainer", "hang", "failReadiness", "deletePod"];
    let rollouts = vec!["restartRollout", "pauseRollout", "resumeRollout", "rollback"];
    prop_oneof![
        4 => (prop::sample::select(nodes), any::<Index>()).prop_map(|(verb, node)| Change::Node(verb, node)),
        1 => (prop::sample::select(&ZONES[..]), any::<bool>())
            .prop_map(|(zone, kill)| Change::Zone(zone, kill)),
        1 => (any::<Index>(), 1..90u32).prop_map(|(node, down)| Change::RestartKubelet(node, down)),
        4 => (prop::sample::select(pods), any::<Index>(), 1..4u32, 5..120u32)
            .prop_map(|(verb, workload, count, long)| Change::Pods(verb, workload, count, long)),
        2 => (any::<Index>(), 1..4u32).prop_map(|(workload, version)| Change::SetImage(workload, version)),
        2 => (any::<Index>(), 0..8u32).prop_map(|(workload, replicas)| Change::Scale(workload, replicas)),
        2 => (prop::sample::select(rollouts), any::<Index>())
            .prop_map(|(verb, workload)| Change::Rollout(verb, workload)),
        2 => (any::<Index>(), 50..1_500u32).prop_map(|(workload, cpu)| Change::Patch(workload, cpu)),
        1 => (any::<Index>(), 0..15u32).prop_map(|(workload, seconds)| Change::MinReady(workload, seconds)),
        1 => (0..25u32).prop_map(Change::Quota),
        2 => (prop::sample::select(vec!["metricsApi", "pauseScrapes"]), any::<bool>())
            .prop_map(|(which, fails)| Change::Metrics(which, fails)),
        1 => (10..200u32).prop_map(Change::StockOut),
        1 => any::<Index>().prop_map(Change::Delete),
        1 => (any::<Index>(), 50..1_500u32).prop_map(|(workload, cpu)| Change::Resize(workload, cpu)),
    ]
}
