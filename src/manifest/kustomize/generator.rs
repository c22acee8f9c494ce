//! `configMapGenerator` and `secretGenerator`.

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use super::merge::merge_fields;
use super::{Context, Resource, maps, problem, texts};
use crate::diagnostic::Diagnostic;

pub(super) fn generate(
    settings: &Value,
    context: &Context<'_>,
    resources: &mut Vec<Resource>,
) -> Result<(), Box<Diagnostic>> {
    for (field, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for given in maps(settings, field) {
            let given = Value::Object(given.clone());
            let name = given.get("name").and_then(Value::as_str).unwrap_or_default();
            let generated = generated(kind, name, &given, settings, context)?;
            let behavior = given.get("behavior").and_then(Value::as_str).unwrap_or("create");
            let namespace = generated.namespace().to_owned();
            let is_same = |one: &&mut Resource| {
                one.kind() == kind
                    && one.is_called(name)
                    && (namespace.is_empty() || one.namespace() == namespace)
            };
            let existing = resources.iter_mut().find(is_same);
            match (behavior, existing) {
                ("merge", Some(existing)) => {
                    for field in ["data", "binaryData"] {
                        if let Some(data) = generated.value.get(field) {
                            merge_fields(&mut existing.value, field, data);
                        }
                    }
                    merge_metadata(existing, &generated);
                }
                ("replace", Some(existing)) => {
                    for field in ["data", "binaryData"] {
                        let fields = existing.value.as_object_mut().expect("an object");
                        fields.shift_remove(field);
                        if let Some(data) = generated.value.get(field) {
                            fields.insert(field.to_owned(), data.clone());
                        }
                    }
                    merge_metadata(existing, &generated);
                }
                ("merge" | "replace", None) => {
                    let message = format!("{field}: there is no {kind} {name} to {behavior}");
                    return Err(problem(context.file, message));
                }
                _ => resources.push(generated),
            }
        }
    }
    Ok(())
}

fn merge_metadata(existing: &mut Resource, generated: &Resource) {
    for field in ["labels", "annotations"] {
        if let Some(marks) = generated.value["metadata"].get(field) {
            merge_fields(&mut existing.value["metadata"], field, marks);
        }
    }
    existing.has_hash = generated.has_hash;
}

fn generated(
    kind: &str,
    name: &str,
    given: &Value,
    settings: &Value,
    context: &Context<'_>,
) -> Result<Resource, Box<Diagnostic>> {
    let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    if let Some(namespace) = given.get("namespace").and_then(Value::as_str) {
        value["metadata"]["namespace"] = namespace.into();
    }
    let is_secret = kind == "Secret";
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, bytes) in entries(given, context)? {
        let encoded = || serde_json::to_value(ByteString(bytes.clone())).unwrap_or_default();
        match std::str::from_utf8(&bytes) {
            Ok(text) if !is_secret => data.insert(key, text.into()),
            Err(_) if !is_secret => binary.insert(key, encoded()),
            _ => data.insert(key, encoded()),
        };
    }
    if !data.is_empty() {
        value["data"] = data.into();
    }
    if !binary.is_empty() {
        value["binaryData"] = binary.into();
    }
    if is_secret {
        value["type"] = given.get("type").cloned().unwrap_or_else(|| "Opaque".into());
    }
    let mut has_hash = true;
    for options in [settings.get("generatorOptions"), given.get("options")].into_iter().flatten() {
        for field in ["labels", "annotations"] {
            if let Some(marks) = options.get(field) {
                merge_fields(&mut value["metadata"], field, marks);
            }
        }
        if options.get("disableNameSuffixHash").and_then(Value::as_bool) == Some(true) {
            has_hash = false;
        }
        if options.get("immutable").and_then(Value::as_bool) == Some(true) {
            value["immutable"] = true.into();
        }
    }
    Ok(Resource { has_hash, ..Resource::new(value) })
}

/// Keys and values from env files, from whole files, and from literals.
fn entries(
    given: &Value,
    context: &Context<'_>,
) -> Result<Vec<(String, Vec<u8>)>, Box<Diagnostic>> {
    let mut entries = Vec::new();
    let one = given.get("env").and_then(Value::as_str).map(str::to_owned);
    for path in texts(given, "envs").into_iter().chain(one) {
        let bytes = context.read(&path)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for line in text.lines().map(str::trim_start) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            entries.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    for file in texts(given, "files") {
        let (key, path) = match file.split_once('=') {
            Some((key, path)) => (key.to_owned(), path.to_owned()),
            None => (file.rsplit('/').next().unwrap_or(&file).to_owned(), file.clone()),
        };
        entries.push((key, context.read(&path)?));
    }
    for literal in texts(given, "literals") {
        let (key, value) = literal.split_once('=').unwrap_or((&literal, ""));
        let quoted =
            |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
        entries.push((key.to_owned(), value.as_bytes().to_vec()));
    }
    Ok(entries)
}
