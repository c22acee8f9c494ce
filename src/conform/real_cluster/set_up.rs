//! Builds simulations from the objects of a recorded case: the nodes of the recorded cluster, and an application
//! that follows the switches of the recorded one.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use engine::SimDuration;
use faults::TimelineAction;
use manifest::Source;
use scenario::resolved::ScenarioFiles;
use scenario::{ResolvedScenario, ScenarioText};
use sim::{Blueprint, Simulation};

/// Time at which the objects of a case are applied.
pub(super) const APPLIED_AT: SimDuration = SimDuration::from_secs(30);
/// Delays from which on an application counts as blocked for the whole case (ms).
const NEVER_MS: f64 = 100_000.0;
/// The recorded cluster's nodes.
const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
/// Number of application threads that burn CPU concurrently: `GOMAXPROCS` on the recorded machine.
const THREADS: u32 = 2;
/// Server overhead of a request in addition to the CPU that it burns, at a few requests a second, by `cpu.csv`
/// (us).
const OWN_CPU_US: f64 = 1330.0;
/// Name of the images that are in no registry.
const MISSING: &str = "nowhere";
/// Where a Deployment has the spec of its pods.
const POD_SPEC: &str = "/spec/template/spec";
/// Cores of the machine that hosts all nodes.
const CORES: u32 = 2;

/// A prepared case, for runs with several seeds.
pub(super) struct PreparedCase(ResolvedScenario);

impl PreparedCase {
    /// A case that applies this object to an idle cluster.
    pub(super) fn new(object: &Value, length: SimDuration) -> Result<Self, String> {
        Self::with(object, &[], json!({}), length)
    }

    /// The same with other objects that exist from the start, the applications of those among them that have one, and
    /// further fields of the scenario.
    pub(super) fn with(
        object: &Value,
        others: &[Value],
        further: Value,
        length: SimDuration,
    ) -> Result<Self, String> {
        let spec = object.pointer(POD_SPEC).or_else(|| object.get("spec"));
        let mut workloads = vec![workload(object, spec.unwrap_or(&Value::Null))];
        let templates = others.iter().filter_map(|one| Some((one, one.pointer(POD_SPEC)?)));
        workloads.extend(templates.map(|(one, spec)| workload(one, spec)));
        let mut scenario = json!({
            "apiVersion": "wavetank/v1",
            "kind": "Scenario",
            "name": "real-cluster",
            "duration": length,
            "manifests": ["nodes"],
            "timing": { "kubelet": { "sharedCores": CORES } },
            "workloads": workloads,
            "timeline": [{ "at": APPLIED_AT, "apply": "case" }],
        });
        if let (Some(scenario), Value::Object(further)) = (scenario.as_object_mut(), further) {
            scenario.extend(further);
        }
        let nodes = NODES.iter().map(|name| node(name));
        let nodes: Vec<String> =
            nodes.chain(others.iter().cloned()).map(|one| one.to_string()).collect();
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

    /// The results of `run` for each of several watched runs.
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

/// A Pod of the recording. Only the volumes that every pod has are kept.
pub(super) fn pod(name: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|name, _| name != "serviceAccountName" && name != "serviceAccount");
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec })
}

/// A Pod of the recording whose first container has an image that is not there.
pub(super) fn never_pulled(name: &str, spec: &Value) -> Value {
    let mut pod = pod(name, spec);
    if let Some(image) = pod.pointer_mut("/spec/containers/0/image") {
        *image = json!(format!("{MISSING}:1"));
    }
    pod
}

/// Lets the user delete an object of the case, such as `Pod/default/sidecar`.
pub(super) fn delete(simulation: &mut Simulation, object: &str) -> Result<(), String> {
    let object = object.parse().map_err(|problem| format!("{object}: {problem}"))?;
    simulation.intervene(&TimelineAction::Delete(object));
    Ok(())
}

fn node(name: &str) -> Value {
    let amounts = json!({ "cpu": CORES, "memory": "24Gi", "pods": 110 });
    // Labels that the cases use to select nodes.
    let role = if matches!(name, "n1" | "n2") { "a" } else { "b" };
    let fails = if name == "n3" { "no" } else { "yes" };
    let labels = json!({ "role": role, "fnode": fails, "kubernetes.io/hostname": name });
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels },
        "status": { "capacity": amounts, "allocatable": amounts },
    })
}

/// The scenario's workload for a pod.
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
    let mut workload = json!({ "workload": format!("{kind}/default/{name}"), "app": app, "containers": described });
    if let Some(requests) = pod.pointer("/containers/0").and_then(requests) {
        workload["requests"] = requests;
    }
    workload
}

/// The request model of a container that takes requests.
fn requests(container: &Value) -> Option<Value> {
    let number = |name| switch(container, name)?.parse::<f64>().ok();
    if let Some(micros) = number("CPU_US") {
        let cpu = SimDuration::from_secs_f64((micros + OWN_CPU_US) / 1e6);
        return Some(json!({ "concurrency": THREADS, "queue": 1_000_000, "cpuTime": cpu }));
    }
    let millis = number("SLEEP_MS")?;
    let wait = SimDuration::from_secs_f64(millis / 1000.0);
    Some(json!({ "concurrency": 10_000, "cpuTime": "0s", "waitTime": wait }))
}

/// The value of a container's switch.
pub(super) fn switch<'c>(container: &'c Value, name: &str) -> Option<&'c str> {
    let variables = container["env"].as_array().into_iter().flatten();
    variables.filter(|one| one["name"] == name).find_map(|one| one["value"].as_str())
}

/// The behaviour of the recorded application with a container's switches.
fn behavior(container: &Value) -> Value {
    let switch = |name: &str| switch(container, name);
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
        // An application that is still starting up does not drain.
        Some("drain") if starts_up => json!("ignore"),
        Some(mode) => json!(mode),
        None => json!("exit"),
    };
    app["pullFails"] = json!(container["image"].as_str().is_some_and(|one| one.contains(MISSING)));
    app
}
