//! Kustomizations of real projects, held against what `kubectl kustomize` renders, where both are at hand.

#![expect(clippy::disallowed_methods, reason = "a test may read files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use wavetank::manifest::kustomize::{FILE_NAMES, Files, render};
use wavetank::manifest::{Diagnostics, Source, read_documents};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/manifests");

struct OnDisk;

impl Files for OnDisk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        fs::read(path).map_err(|error| error.to_string())
    }

    fn is_folder(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }
}

fn folders(folder: &Path, found: &mut Vec<PathBuf>) {
    if FILE_NAMES.iter().any(|name| folder.join(name).is_file()) {
        found.push(folder.to_owned());
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            folders(&entry.path(), found);
        }
    }
}

/// Objects by kind, namespace and name.
fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let name = |object: &Value| {
        let text = |pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
    };
    objects.into_iter().map(|object| (name(&object), without_nothing(object))).collect()
}

/// A value without fields that hold nothing, and lists of maps in an order of their own: of the order of what a patch
/// adds, nothing depends.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, field)| !field.is_null());
            let mut kept: Vec<(String, Value)> =
                kept.map(|(name, field)| (name, without_nothing(field))).collect();
            kept.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(kept.into_iter().collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(without_nothing).collect();
            if items.iter().all(Value::is_object) {
                items.sort_by_key(ToString::to_string);
            }
            Value::Array(items)
        }
        // A block of text that its file ends with ends in a line break here, even where the file has none.
        Value::String(text) => Value::from(text.trim_end()),
        other => other,
    }
}

/// What differs first between two values.
fn difference(ours: &Value, theirs: &Value, path: &str) -> Option<String> {
    if ours == theirs {
        return None;
    }
    if let (Value::Object(a), Value::Object(b)) = (ours, theirs) {
        let keys = a.keys().chain(b.keys());
        let null = Value::Null;
        return keys.into_iter().find_map(|key| {
            let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
            difference(a, b, &format!("{path}.{key}"))
        });
    }
    let short = |value: &Value| value.to_string().chars().take(300).collect::<String>();
    Some(format!("{path}: {} instead of {}", short(ours), short(theirs)))
}

#[test]
fn kustomizations_of_real_projects_are_rendered_as_kubectl_does() {
    if !Path::new(FOLDER).exists()
        || Command::new("kubectl").arg("version").arg("--client").output().is_err()
    {
        eprintln!("skipped: the corpus or kubectl is not here");
        return;
    }
    let mut all = Vec::new();
    folders(Path::new(FOLDER), &mut all);
    all.sort();
    let (mut alike, mut not_ours, mut wrong) = (0, Vec::new(), Vec::new());
    for folder in &all {
        let output =
            Command::new("kubectl").arg("kustomize").arg(folder).output().expect("kubectl");
        if !output.status.success() {
            continue;
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let documents = read_documents(&Source::new("kubectl", text), &mut Diagnostics::default());
        let theirs = by_name(documents.into_iter().map(|document| document.value).collect());
        match render(&folder.to_string_lossy(), &OnDisk) {
            Err(problem) => not_ours.push(problem.to_string()),
            Ok(ours) => {
                let ours = by_name(ours);
                let names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
                let found =
                    names.into_iter().find_map(|name| match (ours.get(name), theirs.get(name)) {
                        (Some(a), Some(b)) => difference(a, b, name),
                        (None, _) => Some(format!("{name} is missing")),
                        (_, None) => Some(format!("{name} is too many")),
                    });
                match found {
                    None => alike += 1,
                    Some(found) => wrong.push(format!("{}: {found}", folder.display())),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{alike} are alike, these not:\n{}", wrong.join("\n"));
    assert!(alike >= 20, "{alike} are alike; not rendered:\n{}", not_ours.join("\n"));
}
