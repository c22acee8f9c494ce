//! Names: prefixes, suffixes, hashes, and references to renamed objects (`nameReference` of kustomize's
//! defaults).

use std::collections::BTreeMap;

use serde_json::Value;

use super::Resource;
use super::hash::hash_of;

/// Kinds that are never renamed.
const KEPT: [&str; 3] = ["CustomResourceDefinition", "APIService", "Namespace"];

/// `namePrefix` and `nameSuffix`.
pub(super) fn add_affixes(settings: &Value, resources: &mut [Resource]) {
    let text = |field: &str| settings.get(field).and_then(Value::as_str).unwrap_or_default();
    let (prefix, suffix) = (text("namePrefix"), text("nameSuffix"));
    if prefix.is_empty() && suffix.is_empty() {
        return;
    }
    rename_all(resources, |one| {
        let is_kept = KEPT.contains(&one.kind());
        (!is_kept).then(|| format!("{prefix}{}{suffix}", one.name()))
    });
}

/// Adds the hash suffixes of generated names.
pub(super) fn add_hashes(resources: &mut [Resource]) {
    rename_all(resources, |one| {
        one.has_hash.then(|| format!("{}-{}", one.name(), hash_of(&one.value)))
    });
}

/// Renames objects and updates all references to them.
fn rename_all(resources: &mut [Resource], name: impl Fn(&Resource) -> Option<String>) {
    let mut renamed = Renamed::new();
    for resource in resources.iter_mut() {
        let Some(new) = name(resource) else { continue };
        let kind = resource.kind().to_owned();
        let earlier = resource.earlier_names.iter().cloned();
        for old in earlier.chain([resource.name().to_owned()]) {
            renamed.entry((kind.clone(), old)).or_insert_with(|| new.clone());
        }
        resource.rename(&new);
    }
    for resource in resources {
        let kind = resource.kind().to_owned();
        refer(&mut resource.value, &kind, "", &renamed);
    }
}

/// New names by kind and old name.
type Renamed = BTreeMap<(String, String), String>;

/// Updates all fields that refer to a renamed object.
fn refer(value: &mut Value, top: &str, holder: &str, renamed: &Renamed) {
    match value {
        Value::Array(items) => {
            for item in items {
                refer(item, top, holder, renamed);
            }
        }
        Value::Object(fields) => {
            let kind = fields.get("kind").and_then(Value::as_str).map(str::to_owned);
            for (name, field) in fields.iter_mut() {
                if name == "metadata" && holder.is_empty() || name == "status" {
                    continue;
                }
                let referred = referred_kind(top, holder, name, kind.as_deref());
                if let (Some(referred), Value::String(text)) = (&referred, &mut *field) {
                    if let Some(new) = renamed.get(&(referred.clone(), text.clone())) {
                        new.clone_into(text);
                    }
                } else {
                    refer(field, top, name, renamed);
                }
            }
        }
        _ => {}
    }
}

const SECRET: &str = "Secret";
const SERVICE: &str = "Service";
/// Fields with the `name` of a Secret.
const SECRET_HOLDERS: [&str; 7] = [
    "secret",
    "secretRef",
    "secretKeyRef",
    "imagePullSecrets",
    "secrets",
    "nodePublishSecretRef",
    "basicAuthSecret",
];

/// The kind of object that a text field refers to.
fn referred_kind(top: &str, holder: &str, field: &str, kind: Option<&str>) -> Option<String> {
    let known = match (holder, field) {
        ("configMap" | "configMapRef" | "configMapKeyRef", "name") => "ConfigMap",
        (holder, "name") if SECRET_HOLDERS.contains(&holder) => SECRET,
        ("secret" | "tls" | "azureFile", "secretName") => SECRET,
        ("persistentVolumeClaim", "claimName") => "PersistentVolumeClaim",
        ("spec", "serviceName") if top == "StatefulSet" => SERVICE,
        ("service", "name") | ("backend" | "defaultBackend", "serviceName") => SERVICE,
        ("spec", "serviceAccountName" | "serviceAccount") => "ServiceAccount",
        ("spec", "priorityClassName") => "PriorityClass",
        ("spec", "storageClassName") => "StorageClass",
        ("spec", "volumeName") => "PersistentVolume",
        ("spec", "ingressClassName") => "IngressClass",
        ("scaleTargetRef" | "targetRef" | "roleRef" | "subjects" | "describedObject", "name") => {
            return kind.map(str::to_owned);
        }
        _ => return None,
    };
    Some(known.to_owned())
}
