//! Full API objects, kept next to the lean ones used by the simulation: they include the fields that are not
//! simulated. There is one for each object written by a user, and one for each pod template.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

/// An object as it was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The object without its status, in the currently served version and with defaults filled in. For fields that
    /// the store keeps as well (labels, annotations, replicas), the store is authoritative.
    pub object: Value,
    /// The manifest of the last `kubectl apply` (the annotation `last-applied-configuration`).
    pub last_applied: Option<Value>,
}

impl Document {
    /// True if both have the same `spec`, ignoring the fields for which the store is authoritative.
    pub(super) fn has_same_spec(&self, other: &Self) -> bool {
        const KEPT_BY_STORE: [&str; 2] = ["replicas", "paused"];
        let fields = |document: &Self| {
            let spec = document.object.get("spec").and_then(Value::as_object).cloned();
            let mut fields = spec.unwrap_or_default();
            fields.retain(|name, _| !KEPT_BY_STORE.contains(&name.as_str()));
            fields
        };
        is_same(&Value::Object(fields(self)), &Value::Object(fields(other)))
    }
}

/// Equality as seen by the API server: an absent field equals an empty one (`omitempty`). Fields where the difference
/// matters have had their defaults filled in.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(own), Value::Object(others)) => {
            let is_same_in = |name: &String| is_same(&one[name], &other[name]);
            own.keys().all(is_same_in) && others.keys().all(is_same_in)
        }
        (Value::Array(own), Value::Array(others)) => {
            own.len() == others.len()
                && own.iter().zip(others).all(|(one, other)| is_same(one, other))
        }
        _ => one == other || (is_nothing(one) && is_nothing(other)),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
    }
}

/// Metadata and spec of a pod template as written; absent for templates without a manifest.
#[derive(Clone, Default)]
pub struct TemplateDocument(Option<Arc<Value>>);

impl TemplateDocument {
    /// The written template, if any.
    pub fn get(&self) -> Option<&Value> {
        self.0.as_deref()
    }
}

impl From<Value> for TemplateDocument {
    fn from(written: Value) -> Self {
        Self(Some(Arc::new(written)))
    }
}

impl PartialEq for TemplateDocument {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || is_same(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for TemplateDocument {}

impl Hash for TemplateDocument {
    /// Constant: templates that differ only in their documents are rare, so comparing them is cheaper than hashing
    /// every document.
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for TemplateDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "written" } else { "not written" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_holds_nothing_is_as_good_as_absent_and_another_value_is_not() {
        let written = |spec| Document { object: json!({ "spec": spec }), last_applied: None };
        let is_same = |one, other| written(one).has_same_spec(&written(other));
        assert!(is_same(json!({"minReadySeconds": 0, "x": {"y": []}}), json!({"paused": true})));
        assert!(!is_same(json!({"minReadySeconds": 1}), json!({})));
        assert!(!is_same(json!({"command": ["a"]}), json!({"command": ["a", "b"]})));
        let template = |command: &str| TemplateDocument::from(json!({"command": [command]}));
        assert!(template("a") == template("a") && template("a") != template("b"));
        assert!(template("a") != TemplateDocument::default());
    }
}
