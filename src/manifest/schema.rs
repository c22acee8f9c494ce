//! Checks that an object only has fields of its kind, each with the right type.
//!
//! The fields are those of Kubernetes 1.36, from `definitions`. Values are not interpreted, except that
//! quantities, times and base64 must be well-formed: the API server also rejects these before any other
//! validation.

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value};

use super::definitions::DEFINITIONS;
use super::modelled::{self, Part};
use super::path::FieldPath;
use super::spelling::nearest;
use units::Quantity;

/// The results of checking the fields of an object.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Mistakes that the API server would fail to decode.
    pub(super) mistakes: Vec<Mistake>,
    /// Valid fields that are not simulated.
    pub(super) unmodelled: Vec<UnmodelledField>,
}

/// A field that is unknown, missing, or of the wrong type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) code: &'static str,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// A field that is not simulated.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnmodelledField {
    /// The type that contains it, such as `PodSpec`.
    pub(super) type_name: &'static str,
    /// Field name.
    pub(super) field: &'static str,
    /// Path of its use.
    pub(super) path: String,
}

/// Checks an object against the type of its kind, and normalizes values for k8s-openapi: quantities
/// become text, nulls in maps of texts become empty texts, and fields that only the API server writes
/// and invalid values are removed, so that the rest can be checked further.
pub(super) fn check(type_name: &str, value: &mut Value) -> Findings {
    let mut findings = Findings::default();
    if let Some((name, definition)) = DEFINITIONS.get_key_value(type_name) {
        let mut checker = Checker { findings: &mut findings, is_modelled: true };
        checker.object(name, definition, value, &FieldPath::ROOT);
    }
    findings
}

/// Advice for values that YAML does not parse as text although they look like it.
pub const QUOTES_HELP: &str = "quote it; YAML reads yes, no, on, off, y and n as true and false";

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
/// Fields written by the API server, in formats that users need not follow.
const SERVER_FIELDS: [(&str, &str); 3] =
    [("ObjectMeta", "managedFields"), ("ObjectMeta", "selfLink"), ("NodeStatus", "nodeInfo")];

struct Checker<'a> {
    findings: &'a mut Findings,
    /// True if the parent is simulated; otherwise it is reported once, instead of all its fields.
    is_modelled: bool,
}

impl Checker<'_> {
    fn object(
        &mut self,
        name: &'static str,
        definition: &'static Value,
        value: &mut Value,
        path: &FieldPath,
    ) {
        let type_name = name.rsplit('.').next().unwrap_or(name);
        let Some(properties) = definition.get("properties").and_then(Value::as_object) else {
            return self.leaf(name, definition, value, path);
        };
        let Some(map) = value.as_object_mut() else {
            return self.wrong_type(value, "fields (`name: value` lines)", path);
        };
        // Determined before invalid values are removed.
        let required = definition.get("required").and_then(Value::as_array).into_iter().flatten();
        let missing: Vec<&str> = required
            .filter_map(Value::as_str)
            .filter(|field| map.get(*field).is_none_or(Value::is_null))
            .collect();
        for (field, value) in map.iter_mut() {
            let at = path.field(field);
            match properties.get_key_value(field) {
                Some((field, schema)) => self.field(type_name, field, schema, value, &at),
                None => self.unknown_field(field, properties, &at),
            }
        }
        // Objects without a name are reported elsewhere; an embedded object needs no metadata.
        for field in missing.into_iter().filter(|field| *field != "metadata") {
            self.missing_field(properties, &path.field(field));
        }
    }

    fn field(
        &mut self,
        type_name: &'static str,
        field: &'static str,
        schema: &'static Value,
        value: &mut Value,
        path: &FieldPath,
    ) {
        // Of all observed state, only the size of nodes is simulated.
        let is_status = field == "status" && path.is_top_level() && type_name != "Node";
        if is_status || SERVER_FIELDS.contains(&(type_name, field)) {
            *value = Value::Null;
        }
        if value.is_null() {
            return;
        }
        let part = modelled::part(type_name, field);
        if self.is_modelled && part == Part::Listed {
            let path = path.to_string();
            self.findings.unmodelled.push(UnmodelledField { type_name, field, path });
        }
        if self.is_modelled
            && type_name == "ObjectMeta"
            && ["labels", "annotations"].contains(&field)
        {
            self.marks(value, path);
        }
        let surroundings = self.is_modelled;
        self.is_modelled &= part == Part::Modelled;
        self.value(schema, value, path);
        self.is_modelled = surroundings;
    }

    /// Collects annotations and labels that are effective in a cluster.
    fn marks(&mut self, value: &Value, path: &FieldPath) {
        let found = value.as_object().into_iter().flatten();
        for (key, row) in found.filter_map(|(key, _)| Some((key, modelled::mark(key)?))) {
            let path = path.key(key).to_string();
            let mark = UnmodelledField { type_name: modelled::MARK, field: row, path };
            self.findings.unmodelled.push(mark);
        }
    }

    fn value(&mut self, schema: &'static Value, value: &mut Value, path: &FieldPath) {
        // Any value is allowed.
        if schema.is_boolean() {
            return;
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            if let Some((name, definition)) = DEFINITIONS.get_key_value(name) {
                self.object(name, definition, value, path);
            }
        } else if let Some(items) = schema.get("items") {
            let Some(values) = value.as_array_mut() else {
                return self.wrong_type(value, "a list (`- ` lines)", path);
            };
            for (index, value) in values.iter_mut().enumerate() {
                self.value(items, value, &path.item(index));
                // Removing a list item would shift the indexes of others.
                if value.is_null() {
                    *value = if is_text(items) { Value::from("") } else { Map::new().into() };
                }
            }
        } else if let Some(entries) = schema.get("additionalProperties") {
            let Some(map) = value.as_object_mut() else {
                return self.wrong_type(value, "a map (`key: value` lines)", path);
            };
            for (key, value) in map.iter_mut() {
                if value.is_null() && is_text(entries) {
                    *value = Value::from("");
                }
                self.value(entries, value, &path.key(key));
            }
            map.retain(|_, value| !value.is_null());
        } else {
            self.leaf("", schema, value, path);
        }
    }

    fn leaf(&mut self, name: &str, schema: &Value, value: &mut Value, path: &FieldPath) {
        let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
        if name == QUANTITY {
            return self.quantity(value, path);
        }
        if schema.get("x-kubernetes-int-or-string").is_some() {
            if !value.is_i64() && !value.is_string() {
                self.wrong_type(value, "a whole number or text", path);
            }
            return;
        }
        match (text("type"), text("format"), &*value) {
            ("integer", format, Value::Number(number)) => {
                let fits = match format {
                    "int32" => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                    _ => number.is_i64(),
                };
                if !fits {
                    let range = if format == "int32" { " of at most 2147483647" } else { "" };
                    self.wrong_type(value, &format!("a whole number{range}"), path);
                }
            }
            ("string", "byte", Value::String(_)) => {
                self.parsed::<ByteString>(value, "base64; put plain text under stringData", path);
            }
            ("string", "date-time", Value::String(_)) => {
                self.parsed::<Time>(value, "a time such as 2026-01-31T12:00:00Z", path);
            }
            ("string", _, Value::String(_))
            | ("boolean", _, Value::Bool(_))
            | ("number", _, Value::Number(_))
            | ("object", _, Value::Object(_)) => {}
            ("string", ..) => self.wrong_type(value, "text", path),
            ("integer", ..) => self.wrong_type(value, "a whole number", path),
            ("boolean", ..) => self.wrong_type(value, "true or false", path),
            ("number", ..) => self.wrong_type(value, "a number", path),
            _ => self.wrong_type(value, "a map (`key: value` lines)", path),
        }
    }

    /// A quantity may be written as a number, but k8s-openapi expects text.
    fn quantity(&mut self, value: &mut Value, path: &FieldPath) {
        match value {
            Value::Number(number) => *value = Value::from(number.to_string()),
            Value::String(_) => {}
            _ => return self.wrong_type(value, "a quantity such as 250m or 1.5Gi", path),
        }
        if let Some(Err(error)) = value.as_str().map(str::parse::<Quantity>) {
            *value = Value::Null;
            let (problem, help) = match error.to_string().split_once("; ") {
                Some((problem, help)) => (problem.to_owned(), Some(help.to_owned())),
                None => (error.to_string(), None),
            };
            self.mistake("invalid-value", path, format!("Invalid value: {problem}"), help);
        }
    }

    fn parsed<T: serde::de::DeserializeOwned>(
        &mut self,
        value: &mut Value,
        wanted: &str,
        path: &FieldPath,
    ) {
        if T::deserialize(&*value).is_err() {
            let message = format!("Invalid value: {}: must be {wanted}", shown(value));
            self.mistake("invalid-value", path, message, None);
            *value = Value::Null;
        }
    }

    /// Reports a value and removes it.
    fn wrong_type(&mut self, value: &mut Value, wanted: &str, path: &FieldPath) {
        let message = format!("Invalid value: {}: must be {wanted}", shown(value));
        let help = match &*value {
            Value::Bool(_) if wanted == "text" => Some(QUOTES_HELP.to_owned()),
            Value::Number(number) if wanted == "text" => Some(format!("quote it: \"{number}\"")),
            Value::String(text) if wanted.contains("number") && text.parse::<i64>().is_ok() => {
                Some(format!("write {text} without quotes"))
            }
            Value::String(text) if wanted == "true or false" && text.parse::<bool>().is_ok() => {
                Some(format!("write {text} without quotes"))
            }
            _ => None,
        };
        self.mistake("wrong-type", path, message, help);
        *value = Value::Null;
    }

    fn unknown_field(&mut self, field: &str, known: &Map<String, Value>, path: &FieldPath) {
        const LISTED: usize = 12;
        let help = match nearest(field, known.keys().map(String::as_str)) {
            Some(nearest) => Some(format!("did you mean `{nearest}`?")),
            None if field.starts_with('$') => Some(
                "patches must be applied first, as in `kubectl kustomize . > rendered.yaml`"
                    .to_owned(),
            ),
            None if known.len() <= LISTED => {
                let known: Vec<&str> = known.keys().map(String::as_str).collect();
                Some(format!("known here: {}", known.join(", ")))
            }
            None => None,
        };
        self.mistake("unknown-field", path, format!("unknown field `{field}`"), help);
    }

    fn missing_field(&mut self, properties: &Map<String, Value>, path: &FieldPath) {
        let description = path.last_field().and_then(|field| properties.get(field));
        let description = description.and_then(|schema| schema.get("description"));
        let sentence = description.and_then(Value::as_str).map(first_sentence);
        self.mistake(
            "missing-field",
            path,
            "Required value".to_owned(),
            sentence.map(str::to_owned),
        );
    }

    fn mistake(
        &mut self,
        code: &'static str,
        path: &FieldPath,
        message: String,
        help: Option<String>,
    ) {
        self.findings.mistakes.push(Mistake { code, path: path.to_string(), message, help });
    }
}

fn is_text(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("string")
}

/// Formats a value for an error message.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::Null => "nothing".to_owned(),
        _ => {
            let text = value.to_string();
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text,
            }
        }
    }
}

fn first_sentence(description: &str) -> &str {
    let sentence = description.split_once(". ").map_or(description, |(sentence, _)| sentence);
    sentence.strip_suffix('.').unwrap_or(sentence)
}

#[cfg(test)]
pub(super) fn fields_of(type_name: &str) -> Vec<&'static str> {
    let is_named = |name: &str| name.rsplit('.').next() == Some(type_name);
    let definition = DEFINITIONS.iter().find(|(name, _)| is_named(name)).map(|(_, schema)| schema);
    let properties = definition.and_then(|schema| schema.get("properties")?.as_object());
    properties.into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

#[cfg(test)]
pub(super) fn has_field(type_name: &str, field: &str) -> bool {
    fields_of(type_name).contains(&field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";

    /// The mistakes of a Deployment, as `path: message` or `path: message (help)`.
    fn mistakes(mut value: Value) -> Vec<String> {
        let findings = check(DEPLOYMENT, &mut value);
        let shown = |mistake: Mistake| match mistake.help {
            Some(help) => format!("{}: {} ({help})", mistake.path, mistake.message),
            None => format!("{}: {}", mistake.path, mistake.message),
        };
        findings.mistakes.into_iter().map(shown).collect()
    }

    fn with_container(container: &Value) -> Value {
        json!({"metadata": {"name": "web"}, "spec": {"selector": {}, "template": {"spec": {"containers": [container]}}}})
    }

    #[test]
    fn a_misspelt_field_is_found_with_the_name_that_was_meant() {
        assert_eq!(
            mistakes(
                json!({"spec": {"replica": 3, "selector": {}, "template": {"sepc": {}, "xyz": 1}}})
            ),
            [
                "spec.replica: unknown field `replica` (did you mean `replicas`?)",
                "spec.template.sepc: unknown field `sepc` (did you mean `spec`?)",
                "spec.template.xyz: unknown field `xyz` (known here: metadata, spec)",
            ]
        );
    }

    #[test]
    fn a_missing_field_is_found_with_what_it_is_for() {
        let found = mistakes(json!({"spec": {"template": {"spec": {"containers": null}}}}));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0]
                .starts_with("spec.template.spec.containers: Required value (List of containers")
        );
        assert!(found[1].starts_with("spec.selector: Required value (Label selector for pods"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_found_with_what_would_be_right() {
        let container = json!({
            "name": 8080, "image": true, "ports": {"containerPort": 80}, "tty": "true",
            "resources": {"limits": {"cpu": "1.5.2", "memory": "1.5.2Gi"}, "requests": 7},
            "livenessProbe": {"periodSeconds": "10", "failureThreshold": 3_000_000_000_u32},
            "readinessProbe": {"httpGet": {"port": 1.5}},
        });
        let found = mistakes(with_container(&container));
        let prefix = "spec.template.spec.containers[0].";
        let found: Vec<&str> =
            found.iter().map(|text| text.strip_prefix(prefix).unwrap()).collect();
        assert_eq!(
            found,
            [
                "name: Invalid value: 8080: must be text (quote it: \"8080\")",
                "image: Invalid value: true: must be text (quote it; YAML reads yes, no, on, off, y and n as true and false)",
                "ports: Invalid value: a map: must be a list (`- ` lines)",
                "tty: Invalid value: \"true\": must be true or false (write true without quotes)",
                "resources.limits[cpu]: Invalid value: \"1.5.2\" is not a quantity (write a number with \
                 at most one of the suffixes n u m k M G T P E Ki Mi Gi Ti Pi Ei, such as 250m, 1.5Gi or 1e3)",
                "resources.limits[memory]: Invalid value: \"1.5.2Gi\" is not a quantity (write a number with \
                 at most one of the suffixes n u m k M G T P E Ki Mi Gi Ti Pi Ei, such as 250m, 1.5Gi or 1e3)",
                "resources.requests: Invalid value: 7: must be a map (`key: value` lines)",
                "livenessProbe.periodSeconds: Invalid value: \"10\": must be a whole number (write 10 without quotes)",
                "livenessProbe.failureThreshold: Invalid value: 3000000000: must be a whole number of at most 2147483647",
                "readinessProbe.httpGet.port: Invalid value: 1.5: must be a whole number or text",
            ]
        );
    }

    #[test]
    fn what_the_api_server_takes_leniently_is_taken() {
        let mut value = with_container(
            &json!({"name": "a", "command": null, "resources": {"limits": {"cpu": 1.5}}}),
        );
        value["metadata"] =
            json!({"creationTimestamp": null, "labels": {"empty": null}, "managedFields": [7]});
        value["status"] = json!({"anything": true});
        let findings = check(DEPLOYMENT, &mut value);
        assert_eq!(findings.mistakes, []);
        assert_eq!(value["metadata"]["labels"]["empty"], "");
        let limits = &value["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(limits["cpu"], "1.5");
        serde_json::from_value::<Deployment>(value).expect("k8s-openapi reads what was checked");
    }

    #[test]
    fn a_field_that_plays_no_part_is_found_once_and_not_what_it_holds() {
        let container = json!({"name": "a", "env": [{"name": "x", "value": "y"}], "securityContext": {"privileged": true}});
        let mut value = with_container(&container);
        let findings = check(DEPLOYMENT, &mut value);
        let fields: Vec<(&str, &str)> =
            findings.unmodelled.iter().map(|f| (f.type_name, f.field)).collect();
        assert_eq!(fields, [("Container", "env"), ("Container", "securityContext")]);
    }
}
