//! Overrides of settings on the command line, `PATH=VALUE`: applied to the untyped document before it
//! is typed and checked, so that a variant must follow the same rules as the file.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use cluster::ObjectReference;
use manifest::Diagnostics;
use manifest::yaml::{Source, read_documents};

/// One override: `seed=7`, `cluster.nodePools[general].count=5`, or, in a manifest,
/// `manifests.HorizontalPodAutoscaler/shop/web.spec.maxReplicas=20`.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The override as given by the user.
    text: String,
    target: Target,
    steps: Vec<String>,
    value: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Scenario,
    Manifest(ObjectReference),
}

/// Reason why an override cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverrideError {
    text: String,
    message: String,
}

impl fmt::Display for OverrideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--set {}: {}", self.text, self.message)
    }
}

impl std::error::Error for OverrideError {}

/// The fields that identify an element of a list; the first one present counts.
const IDENTITIES: [&str; 5] = ["name", "workload", "service", "key", "type"];

impl FromStr for Override {
    type Err = OverrideError;

    /// Steps of the path are separated by dots; a step in brackets may contain dots. The value is
    /// JSON, a YAML map or list such as `{trace: day.csv}`, or plain text.
    fn from_str(text: &str) -> Result<Self, OverrideError> {
        let error = |message: &str| OverrideError { text: text.into(), message: message.into() };
        let (path, value) =
            text.split_once('=').ok_or_else(|| error("write PATH=VALUE, such as seed=7"))?;
        let mut steps = steps_of(path).ok_or_else(|| {
            error("the path is malformed; write it like cluster.nodePools[general].count")
        })?;
        let value = value_of(value);
        let object = match &steps[..] {
            [first, object, _, ..] if first == "manifests" => object.parse().ok(),
            _ => None,
        };
        let target = match object {
            Some(object) => {
                steps.drain(..2);
                Target::Manifest(object)
            }
            None => Target::Scenario,
        };
        Ok(Self { text: text.to_owned(), target, steps, value })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Override {
    /// An override in the scenario itself.
    pub(super) fn in_scenario(steps: Vec<String>, value: Value) -> Self {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let text = format!("{}={shown}", joined(&steps));
        Self { text, target: Target::Scenario, steps, value }
    }

    /// True for the scenario's `seed`, which is without effect where a command chooses the seeds.
    pub fn is_seed(&self) -> bool {
        self.target == Target::Scenario && self.steps == ["seed"]
    }

    /// The manifest object to be changed; `None` for an override in the scenario.
    pub fn object(&self) -> Option<&ObjectReference> {
        match &self.target {
            Target::Manifest(object) => Some(object),
            Target::Scenario => None,
        }
    }

    /// Applies the override to its document. Missing fields on the path are added; elements of lists
    /// must exist.
    pub fn apply(&self, document: &mut Value) -> Result<(), OverrideError> {
        let mut here = document;
        for (depth, step) in self.steps.iter().enumerate() {
            here = descend(here, step).map_err(|message| OverrideError {
                text: self.text.clone(),
                message: match depth {
                    0 => message,
                    _ => format!("in {}: {message}", joined(&self.steps[..depth])),
                },
            })?;
        }
        *here = self.value.clone();
        Ok(())
    }
}

fn value_of(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    if text.starts_with(['{', '[']) {
        let mut problems = Diagnostics::default();
        let documents = read_documents(&Source::new("--set", text), &mut problems);
        if let ([document], false) = (&documents[..], problems.has_errors()) {
            return document.value.clone();
        }
    }
    Value::String(text.to_owned())
}

/// Splits `a.b[c.d].e` into `a`, `b`, `c.d`, `e`; `None` if a step is empty or a bracket is not
/// closed.
pub(super) fn steps_of(path: &str) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    let mut rest = path;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (step, tail) = rest.split_at(end);
        // An empty step is valid only between two brackets.
        if !step.is_empty() {
            steps.push(step.to_owned());
        } else if steps.is_empty() || !tail.starts_with('[') {
            return None;
        }
        rest = tail;
        while let Some(tail) = rest.strip_prefix('[') {
            let (step, tail) = tail.split_once(']').filter(|(step, _)| !step.is_empty())?;
            steps.push(step.to_owned());
            rest = tail;
        }
        match rest.strip_prefix('.') {
            Some(tail) => rest = tail,
            None => return rest.is_empty().then_some(steps),
        }
    }
}

pub(super) fn joined(steps: &[String]) -> String {
    let written: Vec<String> = steps
        .iter()
        .map(|step| if step.contains(['.', '[']) { format!("[{step}]") } else { step.clone() })
        .collect();
    written.join(".").replace(".[", "[")
}

fn descend<'a>(value: &'a mut Value, step: &str) -> Result<&'a mut Value, String> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => Ok(fields.entry(step).or_insert(Value::Null)),
        Value::Array(elements) => {
            let index = find_element(elements, step)?;
            Ok(&mut elements[index])
        }
        other => Err(format!("{other} has no field {step:?}")),
    }
}

/// The index of the element that a step names, if there is one.
pub(super) fn place_of(elements: &[Value], step: &str) -> Option<usize> {
    find_element(elements, step).ok()
}

fn find_element(elements: &[Value], step: &str) -> Result<usize, String> {
    let mut named = elements
        .iter()
        .enumerate()
        .filter(|(_, element)| identity(element) == Some(step))
        .map(|(index, _)| index);
    match (named.next(), named.next()) {
        (Some(index), None) => Ok(index),
        (Some(_), Some(_)) => Err(format!(
            "several elements are named {step:?}; select one by its index, starting at [0]"
        )),
        (None, _) => match step.parse::<usize>() {
            Ok(index) if index < elements.len() => Ok(index),
            _ => Err(format!("the list has no element {step:?}; it has {}", listed(elements))),
        },
    }
}

fn identity(element: &Value) -> Option<&str> {
    match element {
        Value::String(text) => Some(text),
        element => IDENTITIES.iter().find_map(|field| element.get(field)?.as_str()),
    }
}

fn listed(elements: &[Value]) -> String {
    let names: Vec<String> = elements
        .iter()
        .enumerate()
        .map(|(index, element)| identity(element).map_or(format!("[{index}]"), str::to_owned))
        .collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        json!({
            "seed": 1,
            "cluster": {"nodePools": [
                {"name": "general", "count": 3, "labels": {"example.com/team": "a"}},
                {"name": "gpu", "count": 1},
            ]},
            "traffic": [
                {"service": "shop/web", "scale": 1},
                {"service": "shop/api", "scale": 1},
                {"service": "shop/api", "scale": 2},
            ],
            "metrics": null,
        })
    }

    fn set(text: &str) -> Result<Value, String> {
        let mut document = document();
        let setting: Override = text.parse().map_err(|error: OverrideError| error.to_string())?;
        setting.apply(&mut document).map_err(|error| error.to_string())?;
        Ok(document)
    }

    #[test]
    fn a_setting_replaces_what_its_path_names() {
        for (text, pointer, value) in [
            ("seed=7", "/seed", json!(7)),
            ("cluster.nodePools[general].count=5", "/cluster/nodePools/0/count", json!(5)),
            ("cluster.nodePools.gpu.count=5", "/cluster/nodePools/1/count", json!(5)),
            ("cluster.nodePools[1].count=5", "/cluster/nodePools/1/count", json!(5)),
            ("traffic[shop/web].scale=2.5", "/traffic/0/scale", json!(2.5)),
            ("metrics.resolution=30s", "/metrics/resolution", json!("30s")),
            ("scheduler.config=other.yaml", "/scheduler/config", json!("other.yaml")),
            (
                "cluster.nodePools[0].labels[example.com/team]=b=c",
                "/cluster/nodePools/0/labels/example.com~1team",
                json!("b=c"),
            ),
            ("cluster.nodePools[gpu].zones=[\"a\"]", "/cluster/nodePools/1/zones", json!(["a"])),
        ] {
            assert_eq!(set(text).expect(text).pointer(pointer), Some(&value), "{text}");
        }
    }

    #[test]
    fn a_setting_that_fits_nowhere_says_what_there_is() {
        for (text, says) in [
            ("seed", "write PATH=VALUE"),
            ("=3", "malformed"),
            ("a..b=3", "malformed"),
            ("a[b=3", "malformed"),
            ("a[].b=3", "malformed"),
            ("a.=3", "malformed"),
            ("a[b]c=3", "malformed"),
            ("seed.x=3", "in seed: 1 has no field \"x\""),
            (
                "cluster.nodePools[genral].count=5",
                "in cluster.nodePools: the list has no element \"genral\"; it has general, gpu",
            ),
            ("traffic[shop/api].scale=2", "several elements"),
        ] {
            let error = set(text).expect_err(text);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_setting_in_a_manifest_names_its_object() {
        let setting: Override =
            "manifests.hpa/shop/web.spec.maxReplicas=20".parse().expect("well-formed");
        let object = setting.object().expect("an object of the manifests");
        assert_eq!(object.to_string(), "HorizontalPodAutoscaler/shop/web");
        let mut manifest = json!({"spec": {"maxReplicas": 10}});
        setting.apply(&mut manifest).expect("applies");
        assert_eq!(manifest, json!({"spec": {"maxReplicas": 20}}));
        let dotted: Override =
            "manifests[Service/shop/web.v2].spec.ports[0].port=81".parse().expect("well-formed");
        assert_eq!(
            dotted.object().map(ToString::to_string).as_deref(),
            Some("Service/shop/web.v2")
        );
        let paths: Override = "manifests[0]=other".parse().expect("well-formed");
        assert_eq!(paths.object(), None);
    }
}
