//! From the objects of a recorded case to simulations of it: the recorded cluster's nodes, and an
//! application that does what the recorded one's switches say.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use engine::SimDuration;
use faults::TimelineAction;
use manifest::Source;
use scenario::resolved::ScenarioFiles;
use scenario::{ResolvedScenario, ScenarioText};
use sim::{Blueprint, Simulation};

/// When the objects of a case are applied.
pub(super) const APPLIED_AT: SimDuration = SimDuration::from_secs(30);
/// Switches that hold an application back for ever, as far as any case goes (ms).
const NEVER_MS: f64 = 100_000.0;
/// The recorded cluster's nodes.
const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
/// Cores of the one machine that they all are on.
const CORES: u32 = 2;

/// A case made ready, for a run with each of several seeds.
pub(super) struct SetUp(ResolvedScenario);

impl SetUp {
    /// A case in which this object is applied to an idle cluster.
    pub(super) fn new(object: &Value, length: SimDuration) -> Result<Self, String> {
        let spec = object.pointer("/spec/template/spec").or_else(|| object.get("spec"));
        let workload = workload(object, spec.unwrap_or(&Value::Null));
        let scenario = json!({
            "apiVersion": "wavetank/v1",
            "kind": "Scenario",
            "name": "real-cluster",
            "duration": length,
            "manifests": ["nodes"],
            "timing": { "kubelet": { "sharedCores": CORES } },
            "workloads": [workload],
            "timeline": [{ "at": APPLIED_AT, "apply": "case" }],
        });
        let nodes: Vec<String> = NODES.iter().map(|name| node(name).to_string()).collect();
        let resolved = ResolvedScenario {
            text: ScenarioText::parse(&Source::new("cases.json", scenario.to_string()), &[])
                .map_err(|problems| problems.to_string())?,
            files: Arc::new(ScenarioFiles {
                manifests: vec![Source::new("nodes", nodes.join("\n---\n"))],
                applies: std::iter::once((
                    "case".to_owned(),
                    vec![Source::new("case", object.to_string())],
                ))
                .collect(),
                ..ScenarioFiles::default()
            }),
            manifest_settings: Vec::new(),
        };
        Ok(Self(resolved))
    }

    /// What `run` makes of each of so many runs, which are watched.
    pub(super) fn runs<T>(
        &self,
        times: u64,
        mut run: impl FnMut(Simulation) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let blueprint = Blueprint::new(&self.0).map_err(|problems| problems.to_string())?;
        let one = |seed| {
            let world = blueprint.world(seed).map_err(|problems| problems.to_string())?;
            let mut simulation = Simulation::new(world);
            simulation.watch();
            run(simulation)
        };
        (1..=times).map(one).collect()
    }
}

/// A Deployment of the recording.
pub(super) fn deployment(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": spec })
}

/// A Pod of the recording. Its volumes are those that every pod has.
pub(super) fn pod(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|name, _| name != "serviceAccountName" && name != "serviceAccount");
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec })
}

/// Has the user delete an object of the case, such as `Pod/default/sidecar`.
pub(super) fn delete(simulation: &mut Simulation, object: &str) -> Result<(), String> {
    let object = object.parse().map_err(|problem| format!("{object}: {problem}"))?;
    simulation.intervene(&TimelineAction::Delete(object));
    Ok(())
}

fn node(name: &str) -> Value {
    let amounts = json!({ "cpu": CORES, "memory": "24Gi", "pods": 110 });
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
        "status": { "capacity": amounts, "allocatable": amounts },
    })
}

/// What the containers of a pod do.
fn workload(object: &Value, pod: &Value) -> Value {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or_default();
    let lists = ["initContainers", "containers"];
    let containers = lists.iter().filter_map(|list| pod[list].as_array()).flatten();
    let mut described: Map<String, Value> = containers
        .map(|container| {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            (name, behavior(container))
        })
        .collect();
    let first = pod.pointer("/containers/0/name").and_then(Value::as_str).unwrap_or_default();
    let app = described.remove(first).unwrap_or_default();
    json!({ "workload": format!("{kind}/default/{name}"), "app": app, "containers": described })
}

/// What the recorded application does with the switches that a container sets.
fn behavior(container: &Value) -> Value {
    let switch = |name: &str| {
        let variables = container["env"].as_array().into_iter().flatten();
        variables.filter(|one| one["name"] == name).find_map(|one| one["value"].as_str())
    };
    let millis = |name: &str| switch(name).and_then(|text| text.parse::<f64>().ok());
    let seconds = |millis: f64| SimDuration::from_secs_f64(millis / 1000.0);
    let mut app = json!({ "imagePull": "0s" });
    let listens_after = millis("START_DELAY").or_else(|| millis("READY_DELAY"));
    let starts_up = listens_after.is_some_and(|delay| delay >= NEVER_MS);
    if let Some(delay) = listens_after {
        app["warmUp"] = json!(seconds(delay));
    }
    if let Some(after) = millis("EXIT_AFTER") {
        app["runsFor"] = json!(seconds(after));
        let code = switch("EXIT_CODE").and_then(|text| text.parse::<i32>().ok());
        app["exitCode"] = json!(code.unwrap_or(1));
    }
    if let Some(after) = millis("LIVE_FAIL_AT") {
        app["hangsAfter"] = json!(seconds(after));
    }
    app["onSigterm"] = match switch("TERM_MODE") {
        // An application that still starts up does not drain to an end.
        Some("drain") if starts_up => json!("ignore"),
        Some(mode) => json!(mode),
        None => json!("exit"),
    };
    app["pullFails"] =
        json!(container["image"].as_str().is_some_and(|one| one.contains("nowhere")));
    app
}
