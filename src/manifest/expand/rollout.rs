//! Converts an Argo Rollout to the Deployment that has the same pods while no rollout is in progress.

use serde_json::{Map, Value, json};

use super::{Expansion, ExpansionInput, Mistake};

/// Fields with the same meaning in a Deployment.
const SHARED: [&str; 6] = [
    "selector",
    "template",
    "minReadySeconds",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    "paused",
];

pub(super) fn make(given: &ExpansionInput<'_>) -> Expansion {
    let mut spec = Map::new();
    spec.insert("replicas".to_owned(), given.int("/spec/replicas").unwrap_or(1).into());
    // It replaces the referenced Deployment, whose pods are scaled down in favor of the Rollout's.
    if let Some(name) = given.text("/spec/workloadRef/name") {
        let is_it = |one: &&super::Manifest| {
            &*one.kind == given.text("/spec/workloadRef/kind").unwrap_or("Deployment")
                && one.reference.id.namespace == given.manifest.reference.id.namespace
                && &*one.reference.id.name == name
        };
        let Some(workload) = given.others.iter().find(is_it) else {
            return Err(Mistake {
                field: "spec.workloadRef",
                message: format!(
                    "the workload {name}, whose template it refers to, is not in the manifests"
                ),
                help: "add the manifest of that workload",
            });
        };
        if name == given.name() {
            return Ok(Vec::new());
        }
        for field in ["selector", "template"] {
            if let Some(value) = workload.value.pointer(&format!("/spec/{field}")) {
                spec.insert(field.to_owned(), value.clone());
            }
        }
    }
    for field in SHARED {
        if let Some(value) = given.value(&format!("/spec/{field}")) {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    let bounds = ["maxSurge", "maxUnavailable"].into_iter().filter_map(|field| {
        let value = given.value(&format!("/spec/strategy/canary/{field}"))?;
        Some((field.to_owned(), value.clone()))
    });
    let bounds: Map<String, Value> = bounds.collect();
    if !bounds.is_empty() {
        spec.insert("strategy".to_owned(), json!({ "rollingUpdate": bounds }));
    }
    let written = given.value("/metadata/labels").and_then(Value::as_object);
    let metadata = given.metadata(given.name(), written.unwrap_or(&Map::new()));
    Ok(vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}),
    ])
}
