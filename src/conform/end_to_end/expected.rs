//! The recording in the form of [`super::run::RunResults`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::case::CaseFiles;
use super::run::{RunEvent, node_text, rescale_line};

/// The recording of a case.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The samples of the base run, with unchanged values filled in.
    pub samples: Vec<Value>,
    /// The events of the base run, one per pod.
    pub events: Vec<RunEvent>,
    /// The results that three runs with equal inputs agree on.
    pub repro: Repro,
    /// The range of results over runs at all offsets.
    pub band: Band,
}

/// `repro.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Repro {
    /// Deployment status in the samples.
    pub deployments: Section,
    /// HPA status in the samples.
    pub hpa: Section,
    /// Number of pods without a node.
    pub pending: Section,
    /// Number of pods on each node.
    pub pods_per_node: Section,
    /// Number of pods per node, sorted, so that the nodes' identity does not matter.
    pub pods_per_node_sorted: Section,
    /// Request counts.
    pub services: Section,
    /// Maximum difference of request counts between the runs.
    pub services_max_difference: f64,
    /// Whether rescales are identical.
    pub rescales_identical: bool,
    /// Whether pod events have identical times and counts.
    pub pod_event_counts_identical: bool,
}

/// Whether the runs agree on a part of the samples.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Section {
    /// True if they do.
    pub identical: bool,
    /// Time of the first difference [s].
    pub first_t: Option<f64>,
}

/// `band.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Band {
    /// The index of the offsets of each run, by its name.
    pub runs: BTreeMap<String, usize>,
    /// Minimum and maximum, by path.
    pub summary: BTreeMap<String, (f64, f64)>,
    /// The value of each run, for figures that vary between them.
    pub summary_per_run: BTreeMap<String, Vec<Option<f64>>>,
}

impl Section {
    /// True if the section is reproducible at this time, so that it can be compared.
    pub(crate) fn is_certain_at(&self, t: f64) -> bool {
        self.identical || self.first_t.is_some_and(|first| t < first)
    }
}

impl Band {
    /// The values of a figure in the runs at an offset, if recorded per run.
    pub(crate) fn of_offset(&self, path: &str, offset: usize) -> Vec<f64> {
        let Some(values) = self.summary_per_run.get(path) else { return Vec::new() };
        let runs = self.runs.values().zip(values).filter(|(position, _)| **position == offset);
        runs.filter_map(|(_, value)| *value).collect()
    }
}

impl Expected {
    /// Parses the recording.
    pub fn new(files: &CaseFiles) -> Result<Self, String> {
        Ok(Self {
            samples: samples(files.expected("timeline.jsonl")?)?,
            events: events(files.expected("events.jsonl")?)?,
            repro: read(files, "repro.json")?,
            band: read(files, "band.json")?,
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(files: &CaseFiles, name: &str) -> Result<T, String> {
    serde_json::from_str(files.expected(name)?).map_err(|error| format!("expected/{name}: {error}"))
}

fn lines(text: &str, name: &str) -> Result<Vec<Map<String, Value>>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| format!("expected/{name}, line {}: {error}", number + 1))
        })
        .collect()
}

/// A missing key is unchanged since the previous record; so are missing conditions of an HPA.
fn samples(text: &str) -> Result<Vec<Value>, String> {
    let mut now: Map<String, Value> = Map::new();
    let mut samples = Vec::new();
    for record in lines(text, "timeline.jsonl")? {
        for (key, mut value) in record {
            if key == "hpa" {
                let hpas = value.as_object_mut().into_iter().flatten();
                for (name, hpa) in hpas {
                    let before = now.get("hpa").and_then(|all| all.get(name));
                    let conditions = before.and_then(|before| before.get("conditions")).cloned();
                    // A new HPA has none.
                    let conditions = conditions.unwrap_or(Value::Array(Vec::new()));
                    if let Some(fields) = hpa.as_object_mut() {
                        fields.entry("conditions").or_insert(conditions);
                    }
                }
            }
            now.insert(key, value);
        }
        samples.push(Value::Object(now.clone()));
    }
    Ok(samples)
}

fn events(text: &str) -> Result<Vec<RunEvent>, String> {
    let mut events = Vec::new();
    for record in lines(text, "events.jsonl")? {
        let field = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| record.get(key).and_then(Value::as_i64).unwrap_or(1);
        let whole = |key: &str| i32::try_from(number(key)).unwrap_or(i32::MAX);
        let deployment = field("deployment");
        let (what, node) = match field("type") {
            "pod" => {
                let mut what = format!("pod {deployment} {}", field("event"));
                let detail = match field("event") {
                    "evict" if is_refusal(record.get("result")) => "refused",
                    "evict" => "granted",
                    _ => field("reason"),
                };
                if !detail.is_empty() {
                    what = format!("{what} {detail}");
                }
                (what, record.get("node").and_then(Value::as_str).map(str::to_owned))
            }
            "rescale" => {
                let utilization = record.get("utilization").unwrap_or(&Value::Null);
                let limited = field("scalingLimited");
                let (from, to) = (whole("from"), whole("to"));
                (rescale_line(field("hpa"), from, to, utilization, limited), None)
            }
            "node" => (node_event(&record), None),
            "newReplicaSet" => (format!("newReplicaSet {deployment} {}", field("image")), None),
            other => (format!("{other} {deployment}"), None),
        };
        let t = record.get("t").and_then(Value::as_f64).unwrap_or_default();
        let times = if field("type") == "pod" { number("n") } else { 1 };
        for _ in 0..times {
            events.push(RunEvent { t, what: what.clone(), node: node.clone() });
        }
    }
    Ok(events)
}

/// True for a refused eviction: refusals and grants have different texts or codes.
fn is_refusal(result: Option<&Value>) -> bool {
    let text = result.map(Value::to_string).unwrap_or_default().to_lowercase();
    ["refuse", "429", "toomany", "too many", "denied"].iter().any(|word| text.contains(word))
}

fn node_event(record: &Map<String, Value>) -> String {
    let field = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = field("node");
    if !field("event").is_empty() {
        return format!("node {name} {}", field("event"));
    }
    let mut taints: Vec<String> = record
        .get("taints")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|taint| taint.rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    taints.sort_unstable();
    let cordoned = record.get("cordoned").and_then(Value::as_bool).unwrap_or(false);
    node_text(name, field("ready"), &taints, cordoned)
}
