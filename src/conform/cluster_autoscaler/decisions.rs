//! Our decisions in the form of recordings, with name lists expanded.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::world::World;
use cluster::node::Node;
use cluster::{Name, NamespacedName};
use cluster_autoscaler::report::{
    LoopReport, OptionReport, PriceScore, RemainingPod, ScaleUpReport, ScaleUpResult,
};
use cluster_autoscaler::{CloudProvider, ClusterAutoscaler};
use engine::SimTime;

/// Abbreviations of taint keys in recordings.
const TAINTS: [(&str, &str); 2] = [
    ("DeletionCandidateOfClusterAutoscaler", "DeletionCandidate"),
    ("ToBeDeletedByClusterAutoscaler", "ToBeDeleted"),
];

/// All fields of a loop except its state.
pub(super) fn decided(report: &LoopReport) -> Map<String, Value> {
    let mut decisions = Map::new();
    let pending = sorted(report.pending.iter().map(|pod| &pod.name));
    let left = sorted(&report.after_filters);
    if report.has_processed_pods {
        if left != pending {
            decisions.insert("pending_after_filters".into(), json!(left));
        }
        if !pending.is_empty() {
            decisions.insert("pending".into(), json!(pending));
        }
    }
    if !report.upcoming.is_empty() {
        decisions.insert("upcoming".into(), map(&report.upcoming, |number| json!(number)));
    }
    if !report.registered_upcoming.is_empty() {
        let mut names: Vec<&str> = report.registered_upcoming.iter().map(|name| &**name).collect();
        names.sort_unstable();
        decisions.insert("registered_upcoming".into(), json!(names));
    }
    if !report.options.is_empty() {
        let options: Map<String, Value> =
            report.options.iter().map(|one| (one.group.to_string(), option(one))).collect();
        let best = report.best.map(|at| &report.options[at]);
        let best = best.map(|best| json!({ "group": &*best.group, "nodes": best.nodes }));
        decisions.insert("expander".into(), json!({ "options": options, "best": best }));
    }
    let mut scale_ups = Vec::new();
    let is_done = report.scale_up.result != ScaleUpResult::NotNeeded;
    let was_tried = is_done && !is_mere_verdict(report.scale_up.result);
    if report.scale_up_min_size.is_none() || was_tried {
        scale_ups.push(&report.scale_up);
    }
    scale_ups.extend(&report.scale_up_min_size);
    for (field, one) in ["scale_up", "scale_up_min_size"].iter().zip(scale_ups) {
        if one.result != ScaleUpResult::NotNeeded {
            decisions.insert((*field).to_owned(), scale_up(one));
        }
    }
    decisions.insert("scale_down".into(), scale_down(report));
    decisions
}

/// True if no scale-up was attempted, so that the result is only reported at the end of the loop.
const fn is_mere_verdict(result: ScaleUpResult) -> bool {
    matches!(
        result,
        ScaleUpResult::NotTried | ScaleUpResult::InCooldown | ScaleUpResult::LimitedByMaxNodesTotal
    )
}

fn option(one: &OptionReport) -> Value {
    let mut decisions = json!({
        "group": &*one.group, "nodes": one.nodes, "pods": sorted(&one.pods),
        "pod_count": one.pods.len(), "waste": one.waste,
    });
    if !one.similar.is_empty() {
        let mut similar: Vec<&str> = one.similar.iter().map(|name| &**name).collect();
        similar.sort_unstable();
        decisions["similar"] = json!(similar);
    }
    if let Some(PriceScore { nodes, pods, ratio, unfitness, suppressed, score }) = one.price {
        decisions["price"] = json!(format!(
            "all_nodes_price={nodes:.6} pods_price={pods:.6} stabilized_ratio={ratio:.6} \
             unfitness={unfitness:.6} suppressed={suppressed:.6} final_score={score:.6}"
        ));
    }
    decisions
}

fn scale_up(one: &ScaleUpReport) -> Value {
    let mut decisions = json!({ "result": one.result.as_str() });
    if !one.infos.is_empty() {
        let info = |info: &cluster_autoscaler::report::ScaleUpInfo| {
            let decisions = json!({
                "group": &*info.group, "from": info.from, "to": info.to, "max": info.max,
            });
            (info.group.to_string(), decisions)
        };
        decisions["infos"] = Value::Object(one.infos.iter().map(info).collect());
    }
    for (field, pods) in [("triggered", &one.triggered), ("awaiting", &one.awaiting)] {
        if !pods.is_empty() {
            decisions[field] = json!(sorted(pods));
        }
    }
    if !one.remain.is_empty() {
        let remain = one.remain.iter().map(|pod| (pod.pod.name.to_string(), remaining(pod)));
        decisions["remain"] = Value::Object(remain.collect());
    }
    if !one.failed_groups.is_empty() {
        let names: Vec<&str> = one.failed_groups.iter().map(|name| &**name).collect();
        decisions["failed_groups"] = json!(names);
    }
    if let Some((kind, message)) = &one.error {
        decisions["error"] = json!(message);
        decisions["error_type"] = json!(kind);
    }
    decisions
}

fn remaining(pod: &RemainingPod) -> Value {
    let mut decisions = json!({});
    for (field, groups) in [("rejected", &pod.rejected), ("skipped", &pod.skipped)] {
        if !groups.is_empty() {
            decisions[field] = map(groups, |reasons| json!(reasons));
        }
    }
    decisions
}

fn scale_down(report: &LoopReport) -> Value {
    let report = &report.scale_down;
    let mut decisions = json!({ "result": report.result.as_str() });
    if !report.nodes.is_empty() {
        let mut nodes = Map::new();
        for node in &report.nodes {
            let mut one = json!({ "node": &*node.node, "group": &*node.group });
            if let Some(pods) = node.evicted.as_ref().filter(|pods| !pods.is_empty()) {
                one["evict"] = json!(sorted(pods));
            }
            nodes.insert(node.node.to_string(), one);
        }
        decisions["nodes"] = Value::Object(nodes);
    }
    if !report.delete_results.is_empty() {
        decisions["delete_results"] = map(&report.delete_results, |result| json!(result.as_str()));
    }
    decisions
}

/// The state after a loop: every key of `st`, null if empty.
pub(super) fn state(
    autoscaler: &ClusterAutoscaler,
    world: &World,
    now: SimTime,
) -> Map<String, Value> {
    let mut state = Map::new();
    let groups = world.cloud.node_groups();
    let targets = groups.iter().map(|group| (group.id.to_string(), json!(group.target_size)));
    state.insert("targets".into(), Value::Object(targets.collect()));
    let readiness =
        groups.iter().map(|group| (group.id.to_string(), readiness(autoscaler, &group.id)));
    state.insert("readiness".into(), Value::Object(readiness.collect()));
    state.insert("unneeded".into(), unneeded(autoscaler));
    state.insert("unremovable".into(), unremovable(autoscaler));
    state.insert("utilization".into(), utilization(autoscaler));
    state.insert("taints".into(), taints(world));
    let mut backoffs = Map::new();
    for group in groups {
        if let Some(backoff) = autoscaler.registry().backoffs.active(&group.id, now) {
            let error = backoff.error.as_ref();
            let class = error.map_or("Other", |error| error.class());
            let code = error.map_or("timeout", |error| &*error.code);
            let decisions =
                json!({ "class": class, "code": code, "until_s": seconds(backoff.until) });
            backoffs.insert(group.id.to_string(), decisions);
        }
    }
    state.insert("backoff".into(), or_null(Value::Object(backoffs)));
    let deleting = autoscaler.deleting();
    let decisions = json!({ "empty": deleting.empty, "drain": deleting.drain });
    let is_empty = deleting.empty.is_empty() && deleting.drain.is_empty();
    state.insert("deleting".into(), if is_empty { Value::Null } else { decisions });
    let health = if autoscaler.is_cluster_healthy() { Value::Null } else { json!("Unhealthy") };
    state.insert("cluster_health".into(), health);
    let (up, delete, failure) = autoscaler.last_times();
    let last = json!({
        "up": seconds(up), "down_delete": seconds(delete), "down_fail": seconds(failure),
    });
    state.insert("last".into(), last);
    state
}

fn readiness(autoscaler: &ClusterAutoscaler, group: &str) -> Value {
    let mut decisions = Map::new();
    if let Some(readiness) = autoscaler.registry().readiness(group) {
        let not_started = i64::try_from(readiness.not_started.len()).unwrap_or(i64::MAX);
        for (field, number) in [
            ("ready", readiness.ready),
            ("unready", readiness.unready),
            ("deleted", readiness.deleted),
            ("not_started", not_started),
            ("registered", readiness.registered),
            ("long_unregistered", readiness.long_unregistered),
            ("unregistered", readiness.unregistered),
        ] {
            if number != 0 {
                decisions.insert(field.to_owned(), json!(number));
            }
        }
    }
    if !autoscaler.is_group_healthy(group) {
        decisions.insert("health".into(), json!("Unhealthy"));
    }
    Value::Object(decisions)
}

fn unneeded(autoscaler: &ClusterAutoscaler) -> Value {
    let decisions = map(&autoscaler.unneeded(), |node| {
        let threshold = node.threshold.as_secs();
        let mut decisions = json!({ "since": seconds(node.since), "threshold_s": threshold });
        if !node.pods.is_empty() {
            decisions["move"] = json!(sorted(&node.pods));
        }
        if node.is_risky {
            decisions["risky"] = json!(true);
        }
        decisions
    });
    or_null(decisions)
}

fn unremovable(autoscaler: &ClusterAutoscaler) -> Value {
    let decisions = map(&autoscaler.unremovable(), |node| {
        let mut decisions = json!({ "reason": node.reason.as_str() });
        if let Some((pod, reason)) = &node.pod {
            decisions["pod"] = json!(&*pod.name);
            decisions["pod_reason"] = json!(reason.as_str());
        }
        decisions
    });
    or_null(decisions)
}

fn utilization(autoscaler: &ClusterAutoscaler) -> Value {
    let decisions = map(&autoscaler.utilization(), |node| {
        let mut decisions = json!({
            "by": &*node.resource, "cpu": node.cpu, "mem": node.memory, "util": node.share,
        });
        if node.gpu != 0.0 {
            decisions["gpu"] = json!(node.gpu);
        }
        decisions
    });
    or_null(decisions)
}

fn taints(world: &World) -> Value {
    let of = |node: &Node| {
        let known =
            TAINTS.iter().filter(|(key, _)| node.taints.iter().any(|one| *one.key == **key));
        let mut names: Vec<&str> = known.map(|(_, name)| *name).collect();
        if node.unschedulable {
            names.push("cordoned");
        }
        (!names.is_empty()).then(|| (node.meta.name().to_string(), json!(names)))
    };
    or_null(Value::Object(world.store.nodes().values().filter_map(of).collect()))
}

fn or_null(value: Value) -> Value {
    if value.as_object().is_some_and(Map::is_empty) { Value::Null } else { value }
}

fn map<T>(values: &BTreeMap<Name, T>, decisions: impl Fn(&T) -> Value) -> Value {
    Value::Object(values.iter().map(|(name, value)| (name.to_string(), decisions(value))).collect())
}

fn sorted<'a>(pods: impl IntoIterator<Item = &'a NamespacedName>) -> Vec<&'a str> {
    let mut names: Vec<&str> = pods.into_iter().map(|pod| &*pod.name).collect();
    names.sort_unstable();
    names
}

/// Seconds, as an integer if whole.
pub(super) fn seconds(at: SimTime) -> Value {
    let seconds = at.as_secs_f64();
    if at == at.floor_to_second() { json!(super::cloud::second(at)) } else { json!(seconds) }
}
