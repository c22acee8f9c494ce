//! Objects as the API has them, beside the lean ones that a simulation runs on: with the fields that play no part
//! in it. One for each object that somebody wrote, and one for each pod template.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

/// An object as it was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// All of it but its status, of the version that is served today and with its defaults filled in. Of what the
    /// store keeps besides (labels, annotations, replicas) the store is right.
    pub object: Value,
    /// The manifest of the last `kubectl apply` (the annotation `last-applied-configuration`).
    pub last_applied: Option<Value>,
}

impl Document {
    /// Whether two documents say the same in `spec`, but for the fields of which the store is right.
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

/// Whether two values are the same to the API server, which makes no difference between a field that is absent and
/// one that holds nothing (`omitempty`); fields for which it does have their defaults filled in.
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

/// The metadata and spec of a pod template as written, or nothing for a template that no manifest has.
#[derive(Clone, Default)]
pub struct TemplateDocument(Option<Arc<Value>>);

impl TemplateDocument {
    /// What is written.
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
    /// Templates that differ in nothing else are rare: comparing them is cheaper than hashing all of them.
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
