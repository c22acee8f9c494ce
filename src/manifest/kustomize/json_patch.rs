//! JSON patches (RFC 6902).

use serde_json::Value;

use super::{Context, Resource, Target, documents, maps, problem};
use crate::diagnostic::Diagnostic;

/// `patchesJson6902`.
pub(super) fn patch_all(
    settings: &Value,
    context: &Context<'_>,
    resources: &mut [Resource],
) -> Result<(), Box<Diagnostic>> {
    for given in maps(settings, "patchesJson6902") {
        let text = match (given.get("path").and_then(Value::as_str), given.get("patch")) {
            (Some(path), _) => context.read(path)?,
            (None, Some(Value::String(text))) => text.clone().into_bytes(),
            _ => {
                return Err(problem(
                    context.file,
                    "patchesJson6902: a patch needs `path` or `patch`",
                ));
            }
        };
        let target = Target::of(given.get("target").unwrap_or(&Value::Null));
        for patch in documents(context.file, &text)? {
            let operations = patch.as_array().cloned().unwrap_or_default();
            for resource in resources.iter_mut().filter(|one| target.is_meant(one)) {
                apply_operations(&mut resource.value, &operations)
                    .map_err(|why| problem(context.file, why))?;
            }
        }
    }
    Ok(())
}

pub(super) fn apply_operations(value: &mut Value, operations: &[Value]) -> Result<(), String> {
    for operation in operations {
        let text = |field: &str| operation.get(field).and_then(Value::as_str).unwrap_or_default();
        let path = text("path");
        let given = operation.get("value").cloned().unwrap_or_default();
        let wrong = || format!("a JSON patch refers to {path}, which does not exist");
        match text("op") {
            "add" => add(value, path, given).ok_or_else(wrong)?,
            "replace" => {
                *value.pointer_mut(path).ok_or_else(wrong)? = given;
            }
            "remove" => {
                remove(value, path).ok_or_else(wrong)?;
            }
            "move" => {
                let moved = remove(value, text("from")).ok_or_else(wrong)?;
                add(value, path, moved).ok_or_else(wrong)?;
            }
            "copy" => {
                let copied = value.pointer(text("from")).cloned().ok_or_else(wrong)?;
                add(value, path, copied).ok_or_else(wrong)?;
            }
            "test" => {
                if value.pointer(path) != Some(&given) {
                    return Err(format!("a JSON patch tests that {path} is {given}, which fails"));
                }
            }
            other => return Err(format!("{other:?} is not an operation of a JSON patch")),
        }
    }
    Ok(())
}

/// The container that the last step of a path refers to, and that step.
fn holder<'a>(value: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (around, last) = path.rsplit_once('/')?;
    Some((value.pointer_mut(around)?, last.replace("~1", "/").replace("~0", "~")))
}

fn add(value: &mut Value, path: &str, given: Value) -> Option<()> {
    if path.is_empty() {
        *value = given;
        return Some(());
    }
    let (holder, last) = holder(value, path)?;
    match holder {
        Value::Array(items) if last == "-" => items.push(given),
        Value::Array(items) => {
            let place = last.parse::<usize>().ok().filter(|place| *place <= items.len())?;
            items.insert(place, given);
        }
        Value::Object(fields) => {
            fields.insert(last, given);
        }
        _ => return None,
    }
    Some(())
}

fn remove(value: &mut Value, path: &str) -> Option<Value> {
    let (holder, last) = holder(value, path)?;
    match holder {
        Value::Array(items) => {
            let place = last.parse::<usize>().ok().filter(|place| *place < items.len())?;
            Some(items.remove(place))
        }
        Value::Object(fields) => fields.shift_remove(&last),
        _ => None,
    }
}
