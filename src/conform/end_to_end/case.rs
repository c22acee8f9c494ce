//! The files of a recorded case: manifests, load, and results.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use serde_json::Value;

use crate::recording::unpacked;
use manifest::Source;

/// The contents of a case's files.
#[derive(Clone, Debug, Default)]
pub struct CaseFiles {
    /// `manifests/*.yaml` except for the two below, by name.
    pub manifests: Vec<Source>,
    /// `manifests/nodes-later.yaml`.
    pub nodes_later: Option<Source>,
    /// `manifests/scheduler-config.yaml`.
    pub scheduler_config: Option<Source>,
    /// `load.csv`.
    pub load: String,
    /// `params.yaml`.
    pub params: Option<Source>,
    /// The files of `expected/`, by name without `.gz`.
    pub expected: BTreeMap<String, String>,
}

/// `params.yaml`.
#[derive(Clone, Debug, Deserialize)]
pub struct Parameters {
    /// Name of the case.
    pub case: String,
    /// Length of the run (s).
    pub duration_s: f64,
    /// Phases of the loops; the first entry is for the base run.
    pub offsets: Vec<Offset>,
    /// Node leases are renewed at this time and every 10 s (s).
    pub lease_phase_s: f64,
    /// Memory usage of a pod.
    #[serde(default)]
    pub memory_mi: i64,
    /// Kubelet timing of each image.
    pub images: BTreeMap<String, Image>,
    /// Cost of requests to each Service.
    #[serde(default)]
    pub services: BTreeMap<String, RequestCost>,
    /// Operations on the cluster.
    #[serde(default)]
    pub timeline: Vec<Step>,
}

/// Phases of the loops in a run.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Offset {
    /// The HPA controller syncs at this time and every 15 s, except for the first sync (s).
    pub hpa_s: f64,
    /// Metrics are scraped at this time and every 15 s (s).
    pub scrape_s: f64,
}

/// Kubelet timing of an image.
#[derive(Clone, Debug, Deserialize)]
pub struct Image {
    /// From binding to Running; negative = never (s).
    pub start_s: f64,
    /// From Running to the first response; negative = never (s).
    pub warmup_s: f64,
    /// From the deletion timestamp until the object is gone (s).
    pub term_s: f64,
    /// CPU burnt from Running until Ready (millicores).
    #[serde(default)]
    pub startup_cpu_m: u32,
    /// CPU time of a request, if it differs from that of the Service (ms).
    #[serde(default)]
    pub cpu_ms_per_request: Option<f64>,
}

/// Cost of requests to a Service.
#[derive(Clone, Debug, Deserialize)]
pub struct RequestCost {
    /// CPU time of a request (ms).
    pub cpu_ms_per_request: f64,
    /// Queue limit of a pod, as the time it takes to work off (s).
    pub queue_bound_s: f64,
}

/// An operation on the cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// Time (s).
    pub t: f64,
    /// Type of the operation.
    #[serde(rename = "do")]
    pub what: String,
    /// Its Deployment.
    #[serde(default)]
    pub deployment: Option<String>,
    /// The image to set.
    #[serde(default)]
    pub image: Option<String>,
    /// The patch to apply.
    #[serde(default)]
    pub patch: Option<Value>,
    /// Node name.
    #[serde(default)]
    pub node: Option<String>,
    /// Its nodes.
    #[serde(default)]
    pub nodes: Vec<String>,
}

/// A breakpoint of the load curve.
#[derive(Clone, Debug, Deserialize)]
pub struct LoadPoint {
    /// Time (s).
    pub t_seconds: f64,
    /// The Service that receives the load.
    pub service: String,
    /// Requests per second.
    pub rps: f64,
}

impl CaseFiles {
    /// A case from the files of a folder, by relative path, compressed with gzip or not; other files are ignored.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, String> {
        let mut case = Self::default();
        for (path, bytes) in files {
            let path = path.strip_suffix(".gz").unwrap_or(&path).to_owned();
            let mut text = String::new();
            let read = unpacked(&*bytes).and_then(|mut input| input.read_to_string(&mut text));
            read.map_err(|error| format!("{path}: {error}"))?;
            let source = || Source::new(&path, text.as_str());
            match path.as_str() {
                "load.csv" => case.load = text,
                "params.yaml" => case.params = Some(source()),
                "manifests/nodes-later.yaml" => case.nodes_later = Some(source()),
                "manifests/scheduler-config.yaml" => case.scheduler_config = Some(source()),
                other => {
                    if let Some(name) = other.strip_prefix("expected/") {
                        case.expected.insert(name.to_owned(), text);
                    } else if is_manifest(other) {
                        case.manifests.push(source());
                    }
                }
            }
        }
        case.manifests.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(case)
    }

    /// Parses `params.yaml`.
    pub fn parameters(&self) -> Result<Parameters, String> {
        let source = self.params.as_ref().ok_or("params.yaml is missing")?;
        let mut problems = manifest::Diagnostics::default();
        let documents = manifest::read_documents(source, &mut problems);
        if problems.has_errors() {
            return Err(problems.to_string());
        }
        let document = documents.into_iter().next().ok_or("params.yaml is empty")?;
        serde_json::from_value(document.value).map_err(|error| format!("params.yaml: {error}"))
    }

    /// Parses `load.csv`: the breakpoints of each Service in order.
    pub(crate) fn load_points(&self) -> Result<BTreeMap<String, Vec<LoadPoint>>, String> {
        let mut points: BTreeMap<String, Vec<LoadPoint>> = BTreeMap::new();
        for row in csv::Reader::from_reader(self.load.as_bytes()).deserialize() {
            let point: LoadPoint = row.map_err(|error| format!("load.csv: {error}"))?;
            points.entry(point.service.clone()).or_default().push(point);
        }
        Ok(points)
    }

    /// A file of `expected/`.
    pub fn expected(&self, name: &str) -> Result<&str, String> {
        let text = self.expected.get(name).map(String::as_str);
        text.ok_or_else(|| format!("expected/{name} is missing"))
    }
}

fn is_manifest(path: &str) -> bool {
    let ending = std::path::Path::new(path).extension();
    path.starts_with("manifests/") && ending.is_some_and(|ending| ending == "yaml")
}

impl Step {
    /// The nodes that it applies to.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.node.iter().chain(&self.nodes).map(String::as_str)
    }
}
