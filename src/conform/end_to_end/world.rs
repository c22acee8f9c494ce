//! Builds a simulation's world from a case: a scenario with the same objects, nodes, load and operations, and
//! without delays, as in the recording.

use std::sync::Arc;

use serde_json::{Value, json};

use super::case::{CaseFiles, Image, LoadPoint, Offset, Parameters};
use crate::check_length;
use cluster::node::{HOSTNAME_LABEL, Node};
use cluster::{Action, AnySpec, Kind};
use engine::{SimDuration, SimTime};
use kubelet::AppProfile;
use manifest::{Diagnostics, Manifest, Source, read_manifests};
use metrics::MetricsSettings;
use scenario::resolved::ScenarioFiles;
use scenario::{ResolvedScenario, ScenarioText, Timing};
use scheduler::{Scheduler, TieBreaker};
use sim::{Blueprint, World, scheduler_of};
use traffic::arrivals::{Pattern, RatePoint};
use traffic::{ArrivalProcess, Balancer, Load, RequestModelSpec, TimeDistribution, TrafficSpec};
use units::LoopPhase;

/// Start of the control plane and the nodes.
const BEGIN: SimTime = SimTime::from_secs(-10);
/// Interval between scrapes.
const SCRAPE_PERIOD: SimDuration = SimDuration::from_secs(15);
/// Longer than any run.
const NEVER: SimDuration = SimDuration::from_secs(1_000_000_000);
/// The namespace of manifests that do not name one.
const NAMESPACE: &str = "default";

/// A prepared case, for a run at each of its offsets.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// `params.yaml`.
    pub parameters: Parameters,
    world: World,
}

impl Prepared {
    /// Reads and checks all files.
    pub fn new(files: &CaseFiles) -> Result<Self, String> {
        let parameters = files.parameters()?;
        check_length("params.yaml: duration_s", parameters.duration_s)?;
        for (service, cost) in &parameters.services {
            if cost.queue_bound_s < 0.0 {
                let bound = cost.queue_bound_s;
                return Err(format!(
                    "params.yaml: services.{service}.queue_bound_s: {bound} is less than 0; write the \
                     seconds of work that a queue holds, from 0"
                ));
            }
        }
        let mut problems = Diagnostics::default();
        let manifests = read_manifests(&files.manifests, &mut problems);
        let later = read_manifests(files.nodes_later.as_slice(), &mut problems);
        let (workloads, queue_bounds) = workloads(&parameters, &manifests);
        let scenario = json!({
            "apiVersion": "wavetank/v1",
            "kind": "Scenario",
            "name": parameters.case,
            "duration": seconds(parameters.duration_s),
            "manifests": ["manifests"],
            "workloads": workloads,
            "traffic": traffic(files, &parameters)?,
            "timeline": timeline(&parameters, &later)?,
        });
        let source = Source::new("params.yaml", scenario.to_string());
        let resolved = ResolvedScenario {
            text: ScenarioText::parse(&source, &[]).map_err(|problems| problems.to_string())?,
            files: Arc::new(ScenarioFiles {
                manifests: files.manifests.clone(),
                applies: later.iter().map(alone).collect(),
                scheduler_config: files.scheduler_config.clone(),
                ..ScenarioFiles::default()
            }),
            manifest_settings: Vec::new(),
        };
        let blueprint = Blueprint::new(&resolved).map_err(|problems| problems.to_string())?;
        let mut world = blueprint.world(1).map_err(|problems| problems.to_string())?;
        for (model, queue_bound) in world.request_models.iter_mut().zip(queue_bounds) {
            *model = model.clone().with_queue_bound_seconds(queue_bound);
        }
        let configuration = files.scheduler_config.as_ref();
        let configuration = configuration.map(|source| scheduler_of(source, &mut problems));
        if problems.has_errors() {
            return Err(problems.to_string());
        }
        let ties = TieBreaker::TopOfHeap;
        world.scheduler = Scheduler::new(&configuration.unwrap_or_default(), ties)
            .map_err(|error| error.to_string())?;
        as_recorded(&mut world, parameters.lease_phase_s);
        Ok(Self { parameters, world })
    }

    /// The world of a run at these offsets.
    pub fn world(&self, offset: Offset) -> World {
        let mut world = self.world.clone();
        world.controllers.hpa.sync_phase = LoopPhase::After(seconds(offset.hpa_s));
        world.metrics.first_scrape = LoopPhase::After(seconds(offset.scrape_s));
        world
    }
}

/// Removes all delays that the case does not define. All leases are renewed at the same time, and each node has its
/// hostname label.
fn as_recorded(world: &mut World, lease_phase_s: f64) {
    world.interval = world.duration;
    world.begin = BEGIN;
    world.falls_back_to_terminating = false;
    world.metrics = MetricsSettings {
        resolution: SCRAPE_PERIOD,
        housekeeping_interval: SimDuration::ZERO,
        scrape_time: SimDuration::ZERO,
        ..MetricsSettings::default()
    };
    world.timing = Timing { cpu_sharing_period: NEVER, ..Timing::IDEAL };
    let applied = world.timeline.iter_mut().flat_map(|(_, step)| &mut step.objects);
    let later = applied.filter_map(|action| match action {
        Action::Apply(_, AnySpec::Node(node)) => Some(&mut **node),
        _ => None,
    });
    for node in world.nodes.iter_mut().chain(later) {
        complete(node, SimTime::from_secs_f64(lease_phase_s));
    }
}

fn complete(node: &mut Node, lease_phase: SimTime) {
    node.health.lease.phase = Some(lease_phase);
    if node.meta.labels.get(HOSTNAME_LABEL).is_none() {
        let name = node.meta.name().clone();
        node.meta.labels = node.meta.labels.with(HOSTNAME_LABEL, name);
    }
}

/// An object as a separate file, under its name.
fn alone(manifest: &Manifest) -> (String, Vec<Source>) {
    let name = manifest.reference.id.name.to_string();
    let source = Source::new(&name, manifest.value.to_string());
    (name, vec![source])
}

/// The applications of each Deployment by image, and the bounds of their queues in the same order (s).
fn workloads(parameters: &Parameters, manifests: &[Manifest]) -> (Vec<Value>, Vec<f64>) {
    let of = |kind: Kind| manifests.iter().filter(move |one| one.reference.kind == kind);
    let (mut workloads, mut queue_bounds) = (Vec::new(), Vec::new());
    for deployment in of(Kind::Deployment) {
        let template = &deployment.value["spec"]["template"];
        let labels = &template["metadata"]["labels"];
        let selects = |service: &&Manifest| {
            let selector = service.value["spec"]["selector"].as_object();
            selector
                .is_some_and(|selector| selector.iter().all(|(key, value)| labels[key] == *value))
        };
        let service = of(Kind::Service).find(selects);
        let cost = service.and_then(|one| parameters.services.get(one.reference.id.name.as_ref()));
        let containers = template["spec"]["containers"].as_array();
        let mut containers = containers.into_iter().flatten();
        let is_probed = containers.any(|container| container.get("readinessProbe").is_some());
        let mut workload = json!({ "workload": deployment.reference.to_string() });
        if let Some(cost) = cost {
            workload["requests"] = json!(requests(cost.cpu_ms_per_request));
            queue_bounds.push(cost.queue_bound_s);
        }
        for (name, image) in &parameters.images {
            let mut behavior = json!({
                "app": profile(image, is_probed),
                "memory": format!("{}Mi", parameters.memory_mi),
            });
            if let Some(cost) = cost {
                let milliseconds = image.cpu_ms_per_request.unwrap_or(cost.cpu_ms_per_request);
                behavior["requests"] = json!(requests(milliseconds));
                queue_bounds.push(cost.queue_bound_s);
            }
            workload["images"][name] = behavior;
        }
        workloads.push(workload);
    }
    (workloads, queue_bounds)
}

fn requests(cpu_milliseconds: f64) -> RequestModelSpec {
    RequestModelSpec {
        // Recorded pods process any number of requests concurrently.
        concurrency: u32::MAX,
        cpu_time: TimeDistribution::Constant(seconds(cpu_milliseconds / 1000.0)),
        ..RequestModelSpec::default()
    }
}

fn profile(image: &Image, is_probed: bool) -> AppProfile {
    AppProfile {
        image_pull: SimDuration::ZERO,
        start: Some(seconds(image.start_s.max(0.0))),
        // Without a probe a Running pod is Ready, and a Ready pod is assumed to answer.
        warm_up: if is_probed { seconds(image.warmup_s.max(0.0)) } else { SimDuration::ZERO },
        warm_up_cpu_milli: image.startup_cpu_m,
        never_ready: is_probed && image.warmup_s < 0.0,
        pull_fails: image.start_s < 0.0,
        shut_down: seconds(image.term_s),
        ..AppProfile::default()
    }
}

fn traffic(files: &CaseFiles, parameters: &Parameters) -> Result<Vec<TrafficSpec>, String> {
    let mut load = files.load_points()?;
    for name in parameters.services.keys() {
        let none = || vec![LoadPoint { t_seconds: 0.0, service: name.clone(), rps: 0.0 }];
        load.entry(name.clone()).or_insert_with(none);
    }
    let spec = |(name, points): (String, Vec<LoadPoint>)| {
        let point = |one: &LoadPoint| RatePoint { at: seconds(one.t_seconds), rps: one.rps };
        TrafficSpec {
            service: cluster::ServiceReference(cluster::NamespacedName::new(NAMESPACE, name)),
            load: Load::Pattern(Pattern::Points { points: points.iter().map(point).collect() }),
            arrivals: Some(ArrivalProcess::Fluid),
            gap_cv: None,
            states: Vec::new(),
            balancer: Balancer::default(),
            timeout: NEVER,
            retries: None,
        }
    };
    Ok(load.into_iter().map(spec).collect())
}

fn timeline(parameters: &Parameters, later: &[Manifest]) -> Result<Vec<Value>, String> {
    let mut entries = Vec::new();
    for step in &parameters.timeline {
        let mut add = |what: &str, of: Value| {
            entries.push(json!({ "at": seconds(step.t), (what): of }));
        };
        let deployment = || {
            let name = step.deployment.as_deref().ok_or("an action names no deployment")?;
            Ok::<_, String>(format!("Deployment/{NAMESPACE}/{name}"))
        };
        let what = match step.what.as_str() {
            "setImage" => {
                let image = step.image.as_deref().ok_or("setImage names no image")?;
                add("setImage", json!({ "workload": deployment()?, "image": image }));
                continue;
            }
            "patchDeployment" => {
                let patch = step.patch.as_ref().ok_or("patchDeployment has no patch")?;
                add("patch", json!({ "workload": deployment()?, "patch": patch }));
                continue;
            }
            what @ ("metricsApiDown" | "metricsApiUp") => {
                add(what, json!("resource"));
                continue;
            }
            "nodeDown" => "disconnectNode",
            "nodeUp" => "recoverNode",
            what @ ("drain" | "cordon" | "uncordon") => what,
            "deleteNode" => "delete",
            "addNode" => "apply",
            other => return Err(format!("params.yaml: the action {other} is not known")),
        };
        for name in step.nodes() {
            if what == "apply" && !later.iter().any(|one| *one.reference.id.name == *name) {
                return Err(format!("no later node is {name}"));
            }
            let prefix = if what == "delete" { "Node/" } else { "" };
            add(what, json!(format!("{prefix}{name}")));
        }
    }
    Ok(entries)
}

fn seconds(seconds: f64) -> SimDuration {
    SimDuration::from_secs_f64(seconds)
}
