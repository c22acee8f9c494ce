//! What users do in the golden cases.

use serde_json::{Value, json};

use super::objects;
use super::world::World;
use crate::cluster::node::ConditionStatus;
use crate::cluster::pod::PodPhase;
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
        _ => act_on_pod(world, action),
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
