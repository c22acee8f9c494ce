//! Locates errors within tagged settings.
//!
//! Serde reads `{pattern: step, rps: 5}` as a whole before it knows which pattern it is, and loses track
//! of positions. The error is located by omitting parts until serde reports something else.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longer lists are not searched: each of their items would have to be omitted once.
const ITEMS_MAX: usize = 200;

/// Reads a setting whose kind is given by the field `tag`. An error begins with the field to which it
/// refers, in the form of [`super::arrivals::nested_error`].
pub(super) fn read_tagged<T: DeserializeOwned>(value: &Value, tag: &str) -> Result<T, String> {
    let message = match T::deserialize(value) {
        Ok(read) => return Ok(read),
        Err(error) => error.to_string(),
    };
    let error_of = |value: &Value| T::deserialize(value).err().map(|error| error.to_string());
    let mut steps = Vec::new();
    if let Some(lacking) = missing_field(&message) {
        find_lacking(value, lacking, &message, &error_of, &mut steps);
    } else {
        find_wrong(value, tag, &message, &error_of, &mut steps);
    }
    let path: String = steps.iter().map(Step::written).collect();
    let path = path.trim_start_matches('.');
    Err(if path.is_empty() { message } else { format!("in `{path}`: {message}") })
}

/// A step down in a value.
#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Item(usize),
}

impl Step {
    /// As a part of a path.
    fn written(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::Item(index) => format!("[{index}]"),
        }
    }
}

/// Serde's error for a value, if any.
type Says<'a> = &'a dyn Fn(&Value) -> Option<String>;

fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Descends into the part without which serde would not report this.
fn find_wrong(whole: &Value, tag: &str, message: &str, error_of: Says<'_>, steps: &mut Vec<Step>) {
    'descent: loop {
        let mut children = children(at(whole, steps));
        // Last, as nothing else is read without it.
        children.sort_by_key(|child| matches!(child, Step::Field(name) if name == tag));
        for child in children {
            let mut without = whole.clone();
            take_out(at_mut(&mut without, steps), &child);
            if error_of(&without).as_deref() != Some(message) {
                steps.push(child);
                continue 'descent;
            }
        }
        return;
    }
}

/// Searches for the object that lacks the field: with it serde reports a different error, rather than that
/// the field is unknown there.
fn find_lacking(
    whole: &Value,
    field: &str,
    message: &str,
    error_of: Says<'_>,
    steps: &mut Vec<Step>,
) -> bool {
    let unknown = format!("unknown field `{field}`");
    let here = at(whole, steps);
    if here.get(field).is_none() && here.is_object() {
        let mut filled = whole.clone();
        if let Some(Value::Object(fields)) = at_mut(&mut filled, steps) {
            fields.insert(field.to_owned(), Value::Null);
        }
        let message_of_filled = error_of(&filled);
        if message_of_filled.is_none_or(|message_of_filled| {
            message_of_filled != message && !message_of_filled.starts_with(&unknown)
        }) {
            return true;
        }
    }
    for child in children(here) {
        steps.push(child);
        if find_lacking(whole, field, message, error_of, steps) {
            return true;
        }
        steps.pop();
    }
    false
}

fn children(value: &Value) -> Vec<Step> {
    match value {
        Value::Object(fields) => fields.keys().cloned().map(Step::Field).collect(),
        Value::Array(items) if items.len() <= ITEMS_MAX => {
            (0..items.len()).map(Step::Item).collect()
        }
        _ => Vec::new(),
    }
}

fn at<'a>(whole: &'a Value, steps: &[Step]) -> &'a Value {
    steps.iter().fold(whole, |value, step| match step {
        Step::Field(name) => &value[name.as_str()],
        Step::Item(index) => &value[*index],
    })
}

fn at_mut<'a>(whole: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(whole, |value, step| match step {
        Step::Field(name) => value.get_mut(name),
        Step::Item(index) => value.get_mut(index),
    })
}

fn take_out(value: Option<&mut Value>, step: &Step) {
    match (value, step) {
        (Some(Value::Object(fields)), Step::Field(name)) => {
            fields.shift_remove(name);
        }
        (Some(Value::Array(items)), Step::Item(index)) => {
            items.remove(*index);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Load;
    use crate::TimeDistribution;
    use serde_json::json;

    #[test]
    fn a_mistake_is_told_with_the_field_that_it_is_in() {
        let law = |value: Value| {
            serde_json::from_value::<TimeDistribution>(value).expect_err("wrong").to_string()
        };
        assert_eq!(
            law(json!({"distribution": "lognormal", "mean": "10ms", "cv": "wide"})),
            "in `cv`: invalid type: string \"wide\", expected f64"
        );
        let late = law(json!({"distribution": "exponential", "mean": "10 minutes"}));
        assert!(late.starts_with("in `mean`: "), "{late}");
        let unknown = law(json!({"cvv": 1, "distribution": "exponential", "mean": "1s"}));
        assert!(unknown.starts_with("in `cvv`: unknown field `cvv`"), "{unknown}");
        let kind = law(json!({"distribution": "normal", "mean": "1s"}));
        assert!(kind.starts_with("in `distribution`: unknown variant `normal`"), "{kind}");
        // A missing field can only be located in the whole.
        assert_eq!(law(json!({"distribution": "lognormal", "mean": "1s"})), "missing field `cv`");
    }

    #[test]
    fn a_mistake_deep_in_a_pattern_is_told_with_its_way() {
        let load =
            |value: Value| serde_json::from_value::<Load>(value).expect_err("wrong").to_string();
        let steps =
            json!({"pattern": "step", "steps": [{"at": "1m", "rps": 5}, {"at": "2m", "rps": "x"}]});
        assert_eq!(load(steps), "in `steps[1].rps`: invalid type: string \"x\", expected f64");
        let steps = json!({"pattern": "step", "steps": [{"at": "1m", "rps": 5}, {"rps": 7}]});
        assert_eq!(load(steps), "in `steps[1]`: missing field `at`");
        // Of two equal errors, the list that contains both.
        let steps = json!({"pattern": "step", "steps": [{"at": "1m", "rps": "x"}, {"at": "2m", "rps": "x"}]});
        assert_eq!(load(steps), "in `steps`: invalid type: string \"x\", expected f64");
        let added = json!({"add": [{"pattern": "constant", "rps": 1}, {"pattern": "constant", "rps": "x"}]});
        assert_eq!(load(added), "in `add[1].rps`: invalid type: string \"x\", expected f64");
        let many: Vec<Value> = (0..5_000).map(|_| json!({"at": "1m", "rps": "x"})).collect();
        let load = load(json!({"pattern": "step", "steps": many}));
        assert!(load.starts_with("in `steps`: "), "{load}");
    }
}
