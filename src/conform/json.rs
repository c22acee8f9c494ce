//! Comparison of recorded values with ours.

use std::collections::BTreeSet;

use serde_json::Value;

/// The first difference between two values: its path, the recorded value and ours. Missing values are null; numbers
/// may differ by the `slack` for their path.
pub(crate) fn first_gap(
    path: &str,
    recorded: &Value,
    ours: &Value,
    slack: &dyn Fn(&str) -> f64,
) -> Option<(String, Value, Value)> {
    let is_same = match (recorded, ours) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            return keys.into_iter().find_map(|key| {
                first_gap(&format!("{path}.{key}"), &recorded[key], &ours[key], slack)
            });
        }
        (Value::Array(one), Value::Array(other)) => {
            let has_gap = |(one, other)| first_gap(path, one, other, slack).is_some();
            one.len() == other.len() && !one.iter().zip(other).any(has_gap)
        }
        (Value::Number(one), Value::Number(other)) => {
            let slack = slack(path);
            // Integers may be too large for a float, and yet be written as one: 15.0.
            let is_float = one.is_f64() || other.is_f64() || slack > 0.0;
            let gap = one.as_f64().zip(other.as_f64()).map(|(one, other)| (one - other).abs());
            one == other || is_float && gap.is_some_and(|gap| gap <= slack)
        }
        (one, other) => one == other,
    };
    (!is_same).then(|| (path.to_owned(), recorded.clone(), ours.clone()))
}

/// True if two values are equal, with numbers compared by value.
pub(crate) fn is_equal(recorded: &Value, ours: &Value) -> bool {
    first_gap("", recorded, ours, &|_| 0.0).is_none()
}
