//! Strategic merge patches, and the selection of their targets.

use serde_json::{Map, Value};

use super::json_patch::apply_operations;
use super::{Context, Resource, Target, documents, maps, problem, texts};
use crate::diagnostic::Diagnostic;

/// `patchesStrategicMerge` and `patches`.
pub(super) fn patch_all(
    settings: &Value,
    context: &Context<'_>,
    resources: &mut Vec<Resource>,
) -> Result<(), Box<Diagnostic>> {
    for given in texts(settings, "patchesStrategicMerge") {
        let patches = match context.read(&given) {
            Ok(bytes) if !given.contains('\n') => documents(&given, &bytes)?,
            _ => documents(context.file, given.as_bytes())?,
        };
        for patch in patches {
            by_its_own_name(&patch, context, resources)?;
        }
    }
    for given in maps(settings, "patches") {
        let text = match (given.get("path").and_then(Value::as_str), given.get("patch")) {
            (Some(path), _) => context.read(path)?,
            (None, Some(Value::String(text))) => text.clone().into_bytes(),
            _ => return Err(problem(context.file, "patches: a patch needs `path` or `patch`")),
        };
        let target = given.get("target").filter(|target| !target.is_null()).map(Target::of);
        for patch in documents(context.file, &text)? {
            match (&patch, &target) {
                (Value::Array(operations), Some(target)) => {
                    for resource in resources.iter_mut().filter(|one| target.is_meant(one)) {
                        apply_operations(&mut resource.value, operations)
                            .map_err(|why| problem(context.file, why))?;
                    }
                }
                (Value::Array(_), None) => {
                    return Err(problem(context.file, "patches: a JSON patch needs a target"));
                }
                (_, None) => by_its_own_name(&patch, context, resources)?,
                (_, Some(target)) => by_target(&patch, target, resources),
            }
        }
    }
    Ok(())
}

fn by_target(patch: &Value, target: &Target, resources: &mut Vec<Resource>) {
    if is_deletion(patch) {
        return resources.retain(|one| !target.is_meant(one));
    }
    for resource in resources.iter_mut().filter(|one| target.is_meant(one)) {
        let mut patch = patch.clone();
        // The target selects the objects; a patch does not rename them.
        if let Some(Value::Object(metadata)) = patch.get_mut("metadata") {
            metadata.shift_remove("name");
            metadata.shift_remove("namespace");
        }
        if let Some(fields) = patch.as_object_mut() {
            fields.shift_remove("kind");
            fields.shift_remove("apiVersion");
        }
        let is_known = is_known(resource);
        merge(&mut resource.value, &patch, "", is_known);
    }
}

fn by_its_own_name(
    patch: &Value,
    context: &Context<'_>,
    resources: &mut Vec<Resource>,
) -> Result<(), Box<Diagnostic>> {
    let own = Resource::new(patch.clone());
    let is_meant = |one: &Resource| {
        one.kind() == own.kind()
            && one.group() == own.group()
            && one.is_called(own.name())
            && (own.namespace().is_empty() || one.namespace() == own.namespace())
    };
    let Some(place) = resources.iter().position(is_meant) else {
        let message = format!("the {} {} of a patch matches no object", own.kind(), own.name());
        return Err(problem(context.file, message));
    };
    if is_deletion(patch) {
        resources.remove(place);
        return Ok(());
    }
    let mut patch = patch.clone();
    if let Some(Value::Object(metadata)) = patch.get_mut("metadata") {
        metadata.shift_remove("name");
    }
    let resource = &mut resources[place];
    let is_known = is_known(resource);
    merge(&mut resource.value, &patch, "", is_known);
    Ok(())
}

fn is_deletion(patch: &Value) -> bool {
    patch.get("$patch").and_then(Value::as_str) == Some("delete")
}

/// True if the merge keys of an object's lists are known, which holds for built-in kinds.
fn is_known(resource: &Resource) -> bool {
    let group = resource.group();
    group.is_empty()
        || !group.contains('.')
        || group.ends_with(".k8s.io") && {
            let own = [
                "networking",
                "rbac.authorization",
                "storage",
                "scheduling",
                "discovery",
                "admissionregistration",
                "apiextensions",
                "coordination",
                "node",
                "policy",
            ];
            own.iter().any(|name| group.strip_suffix(".k8s.io") == Some(name))
        }
}

/// Lists whose merge key is `name`.
const KNOWN_BY_NAME: [&str; 10] = [
    "containers",
    "initContainers",
    "ephemeralContainers",
    "env",
    "volumes",
    "imagePullSecrets",
    "secrets",
    "resourceClaims",
    "schedulingGates",
    "webhooks",
];

/// The merge key of a list, by the list's name and its parent's.
fn merge_key(list: &str, holder: &str) -> Option<&'static str> {
    Some(match (list, holder) {
        ("ports", "containers" | "initContainers") => "containerPort",
        ("ports", "spec") => "port",
        ("volumeMounts", _) => "mountPath",
        ("volumeDevices", _) => "devicePath",
        ("hostAliases", _) => "ip",
        ("topologySpreadConstraints", _) => "topologyKey",
        ("ownerReferences", _) => "uid",
        ("conditions", _) => "type",
        (list, _) if KNOWN_BY_NAME.contains(&list) => "name",
        _ => return None,
    })
}

/// Merges a patch into a value.
fn merge(value: &mut Value, patch: &Value, holder: &str, is_known: bool) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *value, patch) else {
        *value = without_directives(patch);
        return;
    };
    if changes.get("$patch").and_then(Value::as_str) == Some("replace") {
        *value = without_directives(patch);
        return;
    }
    for (name, change) in changes.iter().filter(|(name, _)| !name.starts_with('$')) {
        match (fields.get_mut(name), change) {
            (_, Value::Null) => {
                fields.shift_remove(name);
            }
            (_, Value::Object(one)) if one.get("$patch").is_some_and(|one| one == "delete") => {
                fields.shift_remove(name);
            }
            (Some(Value::Array(items)), Value::Array(changes)) => {
                match merge_key(name, holder).filter(|_| is_known) {
                    Some(key) => merge_list(items, changes, key, name),
                    None => items.clone_from(changes),
                }
            }
            (Some(field), _) if field.is_object() && change.is_object() => {
                merge(field, change, name, is_known);
            }
            _ => {
                fields.insert(name.clone(), without_directives(change));
            }
        }
    }
}

/// Like in kustomize, new items come before existing ones.
fn merge_list(items: &mut Vec<Value>, changes: &[Value], key: &str, list: &str) {
    if changes.iter().any(|one| one.get("$patch").is_some_and(|one| one == "replace")) {
        let kept = changes.iter().filter(|one| one.get("$patch").is_none());
        *items = kept.map(without_directives).collect();
        return;
    }
    let mut added = Vec::new();
    for change in changes {
        let same = |one: &Value| one.get(key).is_some() && one.get(key) == change.get(key);
        let place = items.iter().position(same);
        let is_deleted = change.get("$patch").is_some_and(|one| one == "delete");
        match place {
            Some(place) if is_deleted => {
                items.remove(place);
            }
            Some(place) => merge(&mut items[place], change, list, true),
            None if is_deleted => {}
            None => added.push(without_directives(change)),
        }
    }
    added.append(items);
    *items = added;
}

/// Removes null fields and merge directives.
fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept =
                fields.iter().filter(|(name, one)| !name.starts_with("$patch") && !one.is_null());
            Value::Object(kept.map(|(name, one)| (name.clone(), without_directives(one))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_directives).collect()),
        other => other.clone(),
    }
}

/// Adds entries to a map, which is created if absent.
pub(super) fn merge_fields(holder: &mut Value, field: &str, entries: &Value) {
    let Some(holder) = holder.as_object_mut() else { return };
    let map = holder.entry(field.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if map.is_null() {
        *map = Value::Object(Map::new());
    }
    if let (Value::Object(map), Value::Object(entries)) = (map, entries) {
        map.extend(entries.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}
