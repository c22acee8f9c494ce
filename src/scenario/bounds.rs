//! Checks every number and duration of a document against the bounds in the JSON Schema, so that no value can
//! make a run endless or exhaust the memory.

use serde_json::{Map, Value};

use engine::{SimDuration, format_duration, parse_duration};

use super::typing::Step;

/// The schema definition of durations.
const DURATION: &str = "#/definitions/Duration";

/// The schema keyword for the least allowed value of a field.
const LEAST: &str = "x-minimum";

/// A value outside its bounds.
#[derive(Debug, PartialEq)]
pub(super) struct OutOfBounds {
    /// The path to the value.
    pub(super) steps: Vec<Step>,
    /// States both bounds and which one the value violates.
    pub(super) message: String,
}

/// All values of a document outside the bounds of its schema. The types of the values must be correct.
pub(super) fn out_of_bounds(schema: &Value, document: &Value) -> Vec<OutOfBounds> {
    let mut walk = Walk { root: schema, steps: Vec::new(), found: Vec::new() };
    walk.value(schema, document);
    walk.found
}

struct Walk<'a> {
    root: &'a Value,
    steps: Vec<Step>,
    found: Vec<OutOfBounds>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, schema: &'a Value, value: &Value) {
        let Value::Object(schema) = schema else { return };
        if is_duration(schema) {
            return self.duration(schema, value);
        }
        if let Value::Number(number) = value {
            self.number(schema, number.as_f64().unwrap_or(f64::NAN));
        }
        if let Some(definition) = self.definition(schema) {
            self.value(definition, value);
        }
        for all in list(schema, "allOf") {
            self.value(all, value);
        }
        for choice in ["anyOf", "oneOf"] {
            let taken = list(schema, choice).iter().find(|branch| self.admits(branch, value));
            if let Some(branch) = taken {
                self.value(branch, value);
            }
        }
        match value {
            Value::Object(fields) => self.fields(schema, fields),
            Value::Array(items) => {
                let Some(of_items) = schema.get("items") else { return };
                for (index, item) in items.iter().enumerate() {
                    self.below(Step::Item(index), of_items, item);
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, schema: &'a Map<String, Value>, fields: &Map<String, Value>) {
        let named = schema.get("properties").and_then(Value::as_object);
        for (name, value) in fields {
            let own = named.and_then(|named| named.get(name));
            let Some(of_field) = own.or_else(|| schema.get("additionalProperties")) else {
                continue;
            };
            self.below(Step::Field(name.clone()), of_field, value);
        }
    }

    fn below(&mut self, step: Step, schema: &'a Value, value: &Value) {
        self.steps.push(step);
        self.value(schema, value);
        self.steps.pop();
    }

    fn number(&mut self, schema: &Map<String, Value>, value: f64) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        // `minimum` is left to the check of the setting itself, which explains the consequences.
        let (least, most) = (bound(LEAST), bound("maximum"));
        if least.is_some_and(|least| value < least) {
            self.report(format!("{value} is below the minimum, {}", between(least, most)));
        } else if most.is_some_and(|most| value > most) {
            self.report(format!("{value} is above the maximum, {}", between(least, most)));
        }
    }

    fn duration(&mut self, schema: &Map<String, Value>, value: &Value) {
        let least = schema.get(LEAST).and_then(Value::as_str);
        let Some(least) = least.and_then(|text| parse_duration(text).ok()) else { return };
        let written = match value {
            Value::String(text) => parse_duration(text).ok(),
            Value::Number(seconds) => seconds.as_f64().map(SimDuration::from_secs_f64),
            _ => None,
        };
        if let Some(written) = written.filter(|written| *written < least) {
            let bounds = format!(
                "{}: write from {} to {}",
                format_duration(least),
                format_duration(least),
                format_duration(SimDuration::LONGEST_WRITTEN)
            );
            self.report(format!("{} is below the minimum, {bounds}", format_duration(written)));
        }
    }

    fn report(&mut self, message: String) {
        let steps = self.steps.clone();
        // Several branches of a schema may bound the same value.
        if self.found.last().is_none_or(|last| last.steps != steps) {
            self.found.push(OutOfBounds { steps, message });
        }
    }

    fn definition(&self, schema: &Map<String, Value>) -> Option<&'a Value> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix("#/definitions/")?;
        self.root.get("definitions")?.get(name)
    }

    /// True if a value can match a branch of a choice, judged by its type and field names.
    fn admits(&self, schema: &Value, value: &Value) -> bool {
        let Value::Object(schema) = schema else { return true };
        if let Some(definition) = self.definition(schema) {
            return self.admits(definition, value);
        }
        let is_one_of = |choice: &str| {
            let branches = list(schema, choice);
            branches.is_empty() || branches.iter().any(|branch| self.admits(branch, value))
        };
        let is_same = |constant: &Value| constant == value;
        let is_listed = |listed: &Value| listed.as_array().is_some_and(|all| all.contains(value));
        list(schema, "allOf").iter().all(|all| self.admits(all, value))
            && is_one_of("anyOf")
            && is_one_of("oneOf")
            && schema.get("const").is_none_or(is_same)
            && schema.get("enum").is_none_or(is_listed)
            && schema.get("type").is_none_or(|types| has_type(types, value))
            && value.as_object().is_none_or(|fields| admits_fields(schema, fields))
    }
}

fn admits_fields(schema: &Map<String, Value>, fields: &Map<String, Value>) -> bool {
    let named = schema.get("properties").and_then(Value::as_object);
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let required = list(schema, "required").iter().filter_map(Value::as_str);
    let is_known = |(name, value): (&String, &Value)| match named.and_then(|it| it.get(name)) {
        Some(Value::Object(of_field)) if of_field.contains_key("const") => {
            of_field.get("const") == Some(value)
        }
        Some(_) => true,
        None => !is_closed,
    };
    required.into_iter().all(|name| fields.contains_key(name)) && fields.iter().all(is_known)
}

fn is_duration(schema: &Map<String, Value>) -> bool {
    let refers = |schema: &Map<String, Value>| schema.get("$ref").is_some_and(|to| to == DURATION);
    let mut below = ["allOf", "anyOf"].into_iter().flat_map(|key| list(schema, key));
    refers(schema) || below.any(|one| one.as_object().is_some_and(refers))
}

fn list<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is_of = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => true,
    };
    types.as_array().map_or_else(|| is_of(types), |types| types.iter().any(is_of))
}

fn between(least: Option<f64>, most: Option<f64>) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!("write from {least} to {most}"),
        (Some(least), None) => format!("write {least} or more"),
        (None, Some(most)) => format!("write {most} or less"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::ScenarioText;
    use manifest::yaml::Source;

    fn problems(settings: &str) -> String {
        let text = format!(
            "apiVersion: wavetank/v1\nkind: Scenario\nname: a\nduration: 1h\nmanifests: [a.yaml]\n{settings}"
        );
        match ScenarioText::parse(&Source::new("a.yaml", text), &[]) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn a_value_beyond_its_bounds_is_told_with_its_line_and_both_bounds() {
        for (settings, expected) in [
            (
                "timing: {cpuSharingPeriod: 0s}",
                "a.yaml:6: timing.cpuSharingPeriod: 0s is below the minimum, 1ms: write from 1ms to 36500d",
            ),
            (
                "verticalPodAutoscaler: {updaterInterval: 0.5}",
                "verticalPodAutoscaler.updaterInterval: 500ms is below the minimum, 1s",
            ),
            (
                "controllerManager: {horizontalPodAutoscaler: {syncPeriod: 1ns}}",
                "syncPeriod: 1ns is below the minimum, 100ms",
            ),
            (
                "traffic: [{service: a/b, load: {users: 1000001, thinkTime: 1s}}]",
                "traffic[0].load.users: 1000001 is above the maximum, write 1000000 or less",
            ),
            (
                "verticalPodAutoscaler: {memoryAggregationIntervalCount: 0}",
                "memoryAggregationIntervalCount: 0 is below the minimum, write from 1 to 100000",
            ),
            (
                "timing: {watch: 106751d}",
                "timing.watch: \"106751d\" is too long; write 36500d or less",
            ),
            (
                "timeline: [{at: 1m, every: 1ns, drain: a}]",
                "timeline[0].every: 1ns is below the minimum, 1s",
            ),
        ] {
            let violations = problems(settings);
            assert!(violations.contains(expected), "{settings}: {violations}");
        }
    }

    #[test]
    fn a_value_at_its_bounds_is_within_them() {
        for settings in [
            "timing: {cpuSharingPeriod: 1ms, watch: 36500d}",
            "cluster: {nodePools: [{name: a, count: 100000}, {name: b, count: 0}]}",
            "verticalPodAutoscaler: {memoryAggregationIntervalCount: 100000}",
            "verticalPodAutoscaler: {updaterInterval: 1}",
        ] {
            assert_eq!(problems(settings), "", "{settings}");
        }
    }

    /// Only the bounds of the first branch that the value can match apply.
    #[test]
    fn only_the_branch_of_a_choice_that_a_value_is_of_bounds_it() {
        let schema = serde_json::json!({
            "properties": { "load": { "oneOf": [
                { "properties": { "pattern": { "const": "steady" }, "rps": { "maximum": 10 } } },
                { "properties": { "pattern": { "const": "steep" }, "rps": { "x-minimum": 20 } } },
            ]}},
        });
        let found = |pattern: &str, rps: u32| {
            let document = serde_json::json!({ "load": { "pattern": pattern, "rps": rps } });
            out_of_bounds(&schema, &document).len()
        };
        let counts =
            [found("steady", 10), found("steady", 11), found("steep", 20), found("steep", 19)];
        assert_eq!(counts, [0, 1, 0, 1]);
    }
}
