//! What users do in the golden cases.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use super::case::NodeEntry;
use super::objects;
use super::trace::rounded;
use super::world::World;
use cluster::action::{PodDraft, PodName, PodSource};
use cluster::node::{ConditionStatus, NODE_CONDITIONS, NodeId};
use cluster::pod_template::PodTemplate;
use cluster::{Action, NamespacedName, Refused, Store};

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
        "PodDisruptionBudget" => {
            let budget = objects::disruption_budget(&objects::typed(document)?)?;
            Action::CreateDisruptionBudget(Box::new(budget))
        }
        _ => objects::creation(document)?,
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
        "delete" => delete(world, &kind, &name),
        "create" => create(world, &action["object"]),
        "nodeDown" | "nodeUp" | "nodeReady" | "nodeNotReady" | "deleteNode" | "addNode"
        | "addSilentNode" | "nodeCondition" => {
            act_on_nodes(world, action);
            Ok(())
        }
        "evict" => {
            let many = action["pods"].as_array().into_iter().flatten();
            many.chain(action.get("pod")).for_each(|pod| evict(world, pod));
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

/// What changes an object that is there, of what would create it.
fn changed(store: &Store, id: &NamespacedName, creation: Action) -> Result<Option<Action>, String> {
    Ok(match creation {
        Action::CreateStatefulSet(draft) => {
            store.stateful_set_named(id).map(|set| Action::ApplyStatefulSet(set, draft))
        }
        Action::CreateDaemonSet(draft) => {
            store.daemon_set_named(id).map(|set| Action::ApplyDaemonSet(set, draft))
        }
        Action::CreateJob(draft) => store.job_named(id).map(|job| {
            let draft = *draft;
            Action::ApplyJob(job, Box::new((draft.meta, draft.spec)))
        }),
        Action::CreateCronJob(draft) => {
            store.cron_job_named(id).map(|cron_job| Action::ApplyCronJob(cron_job, draft))
        }
        other => return Err(format!("{} is not replayed as a change", other.verb())),
    })
}

/// Deletes an object with all that it owns.
fn delete(world: &mut World<'_>, kind: &str, name: &str) -> Result<(), String> {
    let id = NamespacedName::new("default", name);
    let store = world.plane.store();
    let action = match kind {
        "Deployment" => store.deployment_named(&id).map(Action::DeleteDeployment),
        "StatefulSet" => store.stateful_set_named(&id).map(Action::DeleteStatefulSet),
        "DaemonSet" => store.daemon_set_named(&id).map(Action::DeleteDaemonSet),
        "Job" => store.job_named(&id).map(Action::DeleteJob),
        "CronJob" => store.cron_job_named(&id).map(Action::DeleteCronJob),
        "PodDisruptionBudget" => {
            let mut budgets = store.disruption_budgets().iter();
            let found = budgets.find(|(_, budget)| budget.meta.id == id);
            found.map(|(budget, _)| Action::DeleteDisruptionBudget(budget))
        }
        other => return Err(format!("deletion of a {other} is not replayed")),
    };
    if let Some(action) = action {
        world.try_act(action);
    }
    Ok(())
}

/// Evicts a pod; what the API server says is a result of the case.
fn evict(world: &mut World<'_>, reference: &Value) {
    let Some(pod) = world.pod_named(reference) else { return };
    let mut result = json!([rounded(world.now), "evict", reference]);
    let answer = match world.act(Action::EvictPod(pod)) {
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
        "PodDisruptionBudget" => {
            let mut budgets = store.disruption_budgets().iter();
            let Some((budget, _)) = budgets.find(|(_, budget)| budget.meta.id == id) else {
                return Ok(());
            };
            let changed = objects::disruption_budget(&objects::typed(&document)?)?;
            Action::ApplyDisruptionBudget(budget, Box::new(changed))
        }
        _ => match changed(store, &id, objects::creation(&document)?)? {
            Some(action) => action,
            None => return Ok(()),
        },
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
