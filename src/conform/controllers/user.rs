//! What users do in the golden cases.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use super::case::NodeEntry;
use super::objects;
use super::world::World;
use crate::cluster::action::{PodDraft, PodName, PodSource};
use crate::cluster::node::{ConditionStatus, NODE_CONDITIONS, NodeId};
use crate::cluster::pod::PodPhase;
use crate::cluster::pod_template::PodTemplate;
use crate::cluster::{Action, NamespacedName};

/// Creates an object.
pub(super) fn create(world: &mut World<'_>, document: &Value) -> Result<(), String> {
    let identity = objects::identity(document);
    let action = match identity.0.as_str() {
        "Deployment" => {
            let deployment = objects::typed(document)?;
            let spec = objects::deployment_spec(&deployment)?;
            let meta = objects::object_meta(&deployment.metadata);
            Action::CreateDeployment(Box::new((meta, spec)))
        }
        "Pod" => {
            let pod: core::Pod = objects::typed(document)?;
            let meta = objects::object_meta(&pod.metadata);
            let template = PodTemplate {
                labels: meta.labels.clone(),
                annotations: meta.annotations.clone(),
                spec: pod.spec.as_ref().map(objects::pod_spec).unwrap_or_default(),
            };
            Action::CreatePod(Box::new(PodDraft {
                name: PodName::Exact(meta.name().clone()),
                namespace: meta.namespace().clone(),
                template: PodSource::New(Box::new(template)),
                owner: None,
            }))
        }
        kind => return Err(format!("objects of kind {kind} are not replayed yet")),
    };
    world.documents.insert(identity, document.clone());
    world.act(action).map_err(|refused| refused.to_string())
}

/// Does one entry of `actions`.
pub(super) fn act(world: &mut World<'_>, action: &Value) -> Result<(), String> {
    let kind = action["kind"].as_str().unwrap_or("Deployment").to_owned();
    let name = action["name"].as_str().unwrap_or("web").to_owned();
    match action["do"].as_str().unwrap_or_default() {
        "setImage" => {
            let pointer = "/spec/template/spec/containers/0/image";
            update(world, &(kind, name), |document| {
                if let Some(image) = document.pointer_mut(pointer) {
                    *image = action["image"].clone();
                }
            })
        }
        "scale" => update(world, &(kind, name), |document| {
            let patch = json!({ "spec": { "replicas": action["replicas"] } });
            objects::merge_patch(document, &patch);
        }),
        "patch" => update(world, &(kind, name), |document| {
            objects::merge_patch(document, &action["patch"]);
        }),
        "nodeDown" | "nodeUp" | "nodeReady" | "nodeNotReady" | "deleteNode" | "addNode"
        | "addSilentNode" | "nodeCondition" => {
            act_on_nodes(world, action);
            Ok(())
        }
        _ => act_on_pod(world, action),
    }
}

fn act_on_nodes(world: &mut World<'_>, action: &Value) {
    let many = action["nodes"].as_array().into_iter().flatten();
    let names = many.chain(action.get("node")).filter_map(Value::as_str);
    for name in names {
        let known = world.plane.store().node_named(name);
        match (action["do"].as_str().unwrap_or_default(), known) {
            ("addNode", _) => {
                let node = world.add_node(&node_entry(name, action));
                if let Some(node) = node {
                    world.kubelet_starts(node);
                }
            }
            ("addSilentNode", _) => drop(world.add_node(&node_entry(name, action))),
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
                world.try_act(Action::RemoveNode(node));
            }
            _ => {}
        }
    }
}

fn node_entry(name: &str, action: &Value) -> NodeEntry {
    let labels = serde_json::from_value(action["labels"].clone()).unwrap_or_default();
    NodeEntry { name: name.to_owned(), labels }
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

fn act_on_pod(world: &mut World<'_>, action: &Value) -> Result<(), String> {
    let Some(pod) = world.pod_named(&action["pod"]) else { return Ok(()) };
    match action["do"].as_str().unwrap_or_default() {
        "deletePod" => world.delete_pod(pod),
        "podUnready" => world.try_act(Action::SetPodReady(pod, ConditionStatus::False)),
        "podReady" => world.try_act(Action::SetPodReady(pod, ConditionStatus::True)),
        "podExit" => {
            let is_success = action["exit"].as_i64() == Some(0);
            let phase = if is_success { PodPhase::Succeeded } else { PodPhase::Failed };
            world.end_pod(pod, phase);
        }
        other => return Err(format!("\"{other}\" is not replayed yet")),
    }
    Ok(())
}

/// Changes a document as applied before, and applies it anew.
fn update(
    world: &mut World<'_>,
    identity: &(String, String),
    change: impl FnOnce(&mut Value),
) -> Result<(), String> {
    if identity.0 == "Node" {
        return update_node(world, &identity.1, change);
    }
    let Some(document) = world.documents.get_mut(identity) else { return Ok(()) };
    change(document);
    let document = document.clone();
    let id = NamespacedName::new("default", identity.1.as_str());
    let store = world.plane.store();
    let action = match identity.0.as_str() {
        "Deployment" => {
            let Some(deployment) = store.deployment_named(&id) else { return Ok(()) };
            let typed = objects::typed(&document)?;
            let spec = objects::deployment_spec(&typed)?;
            let meta = objects::object_meta(&typed.metadata);
            Action::ApplyDeployment(deployment, Box::new((meta, spec)))
        }
        kind => return Err(format!("objects of kind {kind} are not replayed yet")),
    };
    world.act(action).map_err(|refused| refused.to_string())
}

/// Changes labels, taints and cordon of a node.
fn update_node(
    world: &mut World<'_>,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Result<(), String> {
    let store = world.plane.store();
    let Some(id) = store.node_named(name) else { return Ok(()) };
    let node = &store.nodes()[id];
    let labels: BTreeMap<&str, &str> =
        node.meta.labels.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
    let mut document = json!({
        "metadata": { "labels": labels },
        "spec": {
            "unschedulable": node.unschedulable,
            "taints": node.taints.iter().map(objects::taint_json).collect::<Vec<_>>(),
        },
    });
    change(&mut document);
    let document: core::Node = objects::typed(&document)?;
    let spec = document.spec.unwrap_or_default();
    let taints = spec.taints.iter().flatten().filter_map(objects::taint).collect();
    world.try_act(Action::SetNodeTaints(id, taints));
    world.try_act(Action::SetNodeUnschedulable(id, spec.unschedulable.unwrap_or(false)));
    let labels = document.metadata.labels.unwrap_or_default();
    let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    world.try_act(Action::SetNodeLabels(id, labels));
    Ok(())
}
