//! User actions of the golden cases.

use serde_json::{Map, Value, json};

use super::trace::rounded;
use super::world::World;
use crate::objects::{object, object_of};
use cluster::node::{ConditionStatus, NODE_CONDITIONS, NodeId};
use cluster::{Action, AnySpec, Kind, NamespacedName, ObjectId, Refused};
use sim::documents::merge;

/// Creates an object.
pub(super) fn create(world: &mut World<'_>, document: &Value) -> Result<(), String> {
    let action = object(document, "object")?.into_action();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let identity = (text(&document["kind"]), text(&document["metadata"]["name"]));
    world.documents.insert(identity, stored(document));
    world.act(action).map_err(|refused| refused.to_string())
}

/// A document as the API server keeps it: later changes apply to the defaults that depend on each other, too.
fn stored(document: &Value) -> Value {
    let mut stored = document.clone();
    let spec = &document["spec"];
    let is_single =
        document["kind"] == "Job" && spec["completions"].is_null() && spec["parallelism"].is_null();
    if is_single {
        merge(&mut stored, &json!({ "spec": { "completions": 1, "parallelism": 1 } }));
    }
    stored
}

/// Carries out one entry of `actions`.
pub(super) fn act(world: &mut World<'_>, action: &Value) -> Result<(), String> {
    let kind = action["kind"].as_str().unwrap_or("Deployment").to_owned();
    let name = action["name"].as_str().unwrap_or("web").to_owned();
    match action["do"].as_str().unwrap_or_default() {
        "setImage" => update(world, &(kind, name), |document| {
            if let Some(image) = document.pointer_mut("/spec/template/spec/containers/0/image") {
                *image = action["image"].clone();
            }
        }),
        "scale" => update(world, &(kind, name), |document| {
            merge(document, &json!({ "spec": { "replicas": action["replicas"] } }));
        }),
        "patch" if kind == "Node" => patch_node(world, &name, &action["patch"]),
        "patch" => update(world, &(kind, name), |document| merge(document, &action["patch"])),
        "delete" => {
            // Including everything that it owns.
            let id = NamespacedName::new("default", name);
            let kind = Kind::spelled(&kind).ok_or_else(|| format!("{kind} is no kind"))?;
            if let Some(object) = world.plane.store().object_named(kind, &id) {
                world.try_act(Action::Delete(object));
            }
            Ok(())
        }
        "create" => create(world, &action["object"]),
        "nodeDown" | "nodeUp" | "nodeReady" | "nodeNotReady" | "deleteNode" | "addNode"
        | "addSilentNode" | "nodeCondition" => act_on_nodes(world, action),
        "evict" => {
            let many = action["pods"].as_array().into_iter().flatten();
            many.chain(action.get("pod")).for_each(|pod| evict(world, pod));
            Ok(())
        }
        _ => act_on_pod(world, action),
    }
}

fn act_on_nodes(world: &mut World<'_>, action: &Value) -> Result<(), String> {
    let many = action["nodes"].as_array().into_iter().flatten();
    let names = many.chain(action.get("node")).filter_map(Value::as_str);
    for name in names {
        let known = world.plane.store().node_named(name);
        match (action["do"].as_str().unwrap_or_default(), known) {
            (what @ ("addNode" | "addSilentNode"), _) => {
                let node = world.add_node(name, &action["labels"])?;
                if what == "addNode" {
                    world.kubelet_starts(node);
                }
            }
            ("nodeDown", Some(node)) => world.kubelet_stops(node),
            ("nodeUp", Some(node)) => world.kubelet_starts(node),
            ("nodeReady", Some(node)) => {
                world.try_act(Action::SetNodeReady(node, ConditionStatus::True));
            }
            ("nodeNotReady", Some(node)) => {
                world.try_act(Action::SetNodeReady(node, ConditionStatus::False));
            }
            ("nodeCondition", Some(node)) => set_condition(world, node, action),
            ("deleteNode", Some(node)) => {
                name.clone_into(&mut world.node_going);
                world.try_act(Action::Delete(ObjectId::Node(node)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn set_condition(world: &mut World<'_>, node: NodeId, action: &Value) {
    let kind = action["type"].as_str().or(action["condition"].as_str()).unwrap_or_default();
    let status = match action["status"].as_str() {
        Some("True") => ConditionStatus::True,
        Some("Unknown") => ConditionStatus::Unknown,
        _ => ConditionStatus::False,
    };
    if let Some(place) = NODE_CONDITIONS.iter().position(|(known, _)| *known == kind) {
        world.try_act(Action::SetNodeCondition(node, place, status));
    }
}

/// Evicts a pod; the API server's answer is a result of the case.
fn evict(world: &mut World<'_>, reference: &Value) {
    let Some(pod) = world.pod_named(reference) else { return };
    let mut result = json!([rounded(world.now), "evict", reference]);
    let answer = match world.act(Action::EvictPod(pod, None)) {
        Ok(()) => vec![json!("granted")],
        Err(Refused::TooManyRequests { retry_after, .. }) => {
            let retry_after = retry_after.map(|delay| json!({ "retryAfter": delay.as_secs() }));
            [json!("TooManyRequests")].into_iter().chain(retry_after).collect()
        }
        Err(Refused::InternalError(_)) => vec![json!("InternalError")],
        Err(Refused::Forbidden(_)) => vec![json!("Forbidden")],
        Err(other) => vec![json!(other.to_string())],
    };
    if let Some(fields) = result.as_array_mut() {
        fields.extend(answer);
    }
    world.trace.results.push(result);
}

fn act_on_pod(world: &mut World<'_>, action: &Value) -> Result<(), String> {
    let Some(pod) = world.pod_named(&action["pod"]) else { return Ok(()) };
    match action["do"].as_str().unwrap_or_default() {
        "deletePod" => world.delete_pod(pod),
        "podUnready" => world.try_act(Action::SetPodReady(pod, ConditionStatus::False)),
        "podReady" => world.try_act(Action::SetPodReady(pod, ConditionStatus::True)),
        "podExit" => {
            if action["condition"].as_str() == Some("DisruptionTarget") {
                world.try_act(Action::SetPodDisruption(pod, "TerminationByKubelet"));
            }
            let exit_code = action["exit"].as_i64().unwrap_or(0);
            world.exit_pod(pod, i32::try_from(exit_code).unwrap_or(i32::MAX));
        }
        "containerCrash" => {
            world.crash_container(pod, action["downFor"].as_f64().unwrap_or(0.0));
        }
        other => return Err(format!("\"{other}\" is not replayed yet")),
    }
    Ok(())
}

/// Changes a document as last applied, and applies it again.
fn update(
    world: &mut World<'_>,
    identity: &(String, String),
    change: impl FnOnce(&mut Value),
) -> Result<(), String> {
    let Some(document) = world.documents.get_mut(identity) else { return Ok(()) };
    change(document);
    let object = object(document, "object")?;
    let reference = &object.manifest.reference;
    if world.plane.store().object_named(reference.kind, &reference.id).is_none() {
        // It has been deleted in the meantime.
        return Ok(());
    }
    world.act(object.into_action()).map_err(|refused| refused.to_string())
}

/// Changes labels, taints and cordon state of a node.
fn patch_node(world: &mut World<'_>, name: &str, patch: &Value) -> Result<(), String> {
    let store = world.plane.store();
    let Some(id) = store.node_named(name) else { return Ok(()) };
    let node = &store.nodes()[id];
    let labels = node.meta.labels.iter().map(|(key, value)| (key.to_string(), json!(**value)));
    let taints = node.taints.iter().map(|taint| {
        let effect = format!("{:?}", taint.effect);
        json!({ "key": *taint.key, "value": *taint.value, "effect": effect })
    });
    let mut document = json!({
        "metadata": { "name": name, "labels": labels.collect::<Map<_, _>>() },
        "spec": { "unschedulable": node.unschedulable, "taints": taints.collect::<Value>() },
    });
    merge(&mut document, patch);
    let AnySpec::Node(patched) = object_of(("v1", "Node"), document, "patch")?.spec else {
        return Ok(());
    };
    world.try_act(Action::SetNodeTaints(id, patched.taints));
    world.try_act(Action::SetNodeUnschedulable(id, patched.unschedulable));
    world.try_act(Action::SetNodeLabels(id, patched.meta.labels));
    Ok(())
}
